"""From outputs files to the table of greedy ensembles and figure 5."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.special import softmax

from workflow.lib.data.manifest import Manifest
from workflow.lib.data.splits import Split
from workflow.lib.outputs.store import write
from workflow.lib.run.errors import InputError
from workflow.scripts.figures.figure5 import figure5
from workflow.scripts.greedy import greedy
from workflow.scripts.selection import selection

SHOWN = {"objective": "supervised", "train_data": "train"}
MEMBERS = {
    "one": {"name": "Model 1", "category": "arch", **SHOWN},
    "strong": {"name": "Strong", "category": "dataset", **SHOWN},
    "two": {"name": "Model 2", "category": "hparam", **SHOWN},
    "three": {"name": "Model 3", "category": "fwork", **SHOWN},
    "bad": {"name": "Bad", "category": "reinit", **SHOWN},
}
TEMPERATURES = {"one": 1.0, "strong": 2.0, "two": 0.5, "three": 1.0, "bad": 1.0}
POOL = ["one", "two", "three", "bad"]
CLASSES = 6
SELECTED = ("greedy", "recommendations")


def make_study(folder, shift=None):
    """Write outputs of models with independent noise; gives the script's arguments and logits."""
    rng = np.random.default_rng(0)
    splits, logits = {}, {}
    for name, examples in (("calibration", 400), ("test", 700)):
        labels = rng.integers(0, CLASSES, examples)
        split = Split(np.array([f"{name}/{i}" for i in range(examples)]), labels)
        splits[name] = split
        for key in MEMBERS:
            values = rng.normal(0, 1, (examples, CLASSES))
            better = {"strong": 2.4, "bad": -3.0}.get(key, 1.7)
            values[np.arange(examples), labels] += better
            values = values.astype(np.float32)
            logits[key, name] = values
            path = folder / key / f"{name}.h5"
            write(path, split, lambda rows, v=values: (v[rows], v[rows, :1]), {"model": key})
    manifest = folder / "manifest.tsv"
    Manifest(tuple("abcdef"), splits).write(manifest)
    calibration = folder / "calibration.tsv"
    fits = pd.DataFrame(TEMPERATURES.items(), columns=["model", "temperature"])
    fits.assign(nll_after=1.0).to_csv(calibration, sep="\t", index=False)
    arguments = {
        "manifest": str(manifest),
        "calibration": str(calibration),
        "selected": [str(folder / key / "calibration.h5") for key in MEMBERS],
        "scored": [str(folder / key / "test.h5") for key in MEMBERS],
        **dict.fromkeys(SELECTED, str(folder / "unused.tsv")),
        "models": list(MEMBERS),
        "splits": ["calibration", "test"],
        "bases": ["strong", "one"],
        "pool": POOL,
        "size": 4,
        "threads": 2,
    }
    return arguments, splits, logits


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    arguments, splits, logits = make_study(folder)
    return arguments, splits, logits, run(folder, arguments)


def run(folder, arguments):
    """Select, and name what was selected; gives both tables."""
    arguments = arguments | {name: str(folder / f"{name}_by_key.tsv") for name in SELECTED}
    selection(**arguments)
    paths = {name: folder / f"{name}.tsv" for name in ("table", "first")}
    greedy(
        selected=arguments["greedy"], members=MEMBERS,
        **{name: str(path) for name, path in paths.items()},
    )  # fmt: skip
    return {name: pd.read_csv(path, sep="\t") for name, path in paths.items()}


def accuracy(logits, splits, name, combination, members):
    total = 0
    for key in members:
        scaled = logits[key, name].astype(np.float64) / TEMPERATURES[key]
        total = total + (softmax(scaled, axis=1) if combination == "probability" else scaled)
    return (total.argmax(1) == splits[name].labels).mean()


@pytest.mark.numeric
def test_every_step_is_the_best_one_and_is_scored_on_test(study):
    arguments, splits, logits, read = study
    keys = ["protocol", "combination", "replacement", "base"]
    groups = read["table"].groupby(keys, sort=False)
    assert len(groups) == 16
    for (protocol, combination, replacement, base), path in groups:
        selected = "calibration" if protocol == "held-out" else "test"
        members = list(path["model"])
        assert members[0] == base
        assert path["step"].tolist() == list(range(len(path)))
        for step in range(len(path)):
            so_far = members[: step + 1]
            row = path.iloc[step]
            found = accuracy(logits, splits, selected, combination, so_far)
            assert row["selection_accuracy"] == pytest.approx(found, abs=1e-12)
            assert row["accuracy"] == pytest.approx(
                accuracy(logits, splits, "test", combination, so_far)
            )
            if step + 1 < arguments["size"]:
                left = [key for key in POOL if replacement or key not in so_far]
                best = max(
                    accuracy(logits, splits, selected, combination, [*so_far, k]) for k in left
                )
                if step + 1 < len(path):
                    assert path.iloc[step + 1]["selection_accuracy"] == pytest.approx(best)
                else:
                    assert best <= row["selection_accuracy"] + 1e-12
        assert len(set(members)) == len(members) or replacement
        assert "bad" not in members


@pytest.mark.numeric
def test_the_paper_s_protocol_scores_what_it_selects_by(study):
    table = study[-1]["table"]
    paper = table[table["protocol"] == "paper"]
    np.testing.assert_allclose(paper["selection_accuracy"], paper["accuracy"])
    held_out = table[table["protocol"] == "held-out"]
    assert (held_out["selection_accuracy"] != held_out["accuracy"]).all()


def test_intervals_hold_their_values_and_begin_at_nothing(study):
    table = study[-1]["table"]
    for name in ("accuracy", "gain"):
        assert table[name].between(table[f"{name}_low"], table[f"{name}_high"]).all()
    alone = table[table["step"] == 0]
    assert (alone[["gain", "gain_low", "gain_high"]] == 0).all(axis=None)
    of_base = table["base"].map(alone.drop_duplicates("base").set_index("base")["accuracy"])
    np.testing.assert_allclose(table["gain"], table["accuracy"] - of_base, atol=1e-12)


def test_a_first_member_is_named_whether_it_helps_or_not(study, tmp_path):
    arguments, splits, logits, read = study
    first = read["first"]
    assert len(first) == 8
    second = read["table"].query("step == 1 and not replacement").reset_index(drop=True)
    pd.testing.assert_frame_equal(first[first["raises"]].drop(columns="raises"), second)
    # Alone in the pool, a bad model is the best one to add, and is not added.
    alone = run(tmp_path, arguments | {"pool": ["bad"]})
    assert (alone["table"].query("not replacement")["step"] == 0).all()
    row = alone["first"].iloc[0]
    assert (row["model"], row["raises"]) == ("bad", False)
    assert row["gain_high"] < 0
    pair = accuracy(logits, splits, "calibration", "probability", ["strong", "bad"])
    assert row["selection_accuracy"] == pytest.approx(pair)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"pool": []}, "greedy.pool names no model"),
        ({"pool": ["one"]}, r"greedy.pool holds only 'one', which greedy.bases names too"),
        ({"size": 1}, "greedy.size is 1"),
    ],
)
def test_what_can_t_grow_is_an_error_that_names_the_key(study, wrong, message):
    with pytest.raises(InputError, match=message):
        selection(**study[0] | wrong)


def test_without_bases_and_pool_there_are_no_greedy_ensembles(study, tmp_path):
    with pytest.raises(InputError, match="must each name a model"):
        run(tmp_path, study[0] | {"bases": [], "pool": []})


def test_numbers_are_written_as_they_were_found_and_names_beside_keys(study, tmp_path):
    read = run(tmp_path, study[0])
    found = pd.read_csv(tmp_path / "greedy_by_key.tsv", sep="\t")
    assert found["refused"].any()
    enters = found[~found.pop("refused")].reset_index(drop=True)
    pd.testing.assert_frame_equal(read["table"][enters.columns], enters)
    names = {key: member["name"] for key, member in MEMBERS.items()}
    for table in read.values():
        assert (table["name"] == table["model"].map(names)).all()
        assert (table["base_name"] == table["base"].map(names)).all()
    assert not {*SHOWN, "name", "base_name", "category"} & set(found)


def draw(study, folder, rows=slice(None), **options):
    """Draw figure 5 of some bases, and give the table drawn."""
    read = study[-1]
    bases = pd.unique(read["table"]["base"])[rows]
    for name in ("table", "first"):
        chosen = read[name][read[name]["base"].isin(bases)]
        chosen.to_csv(folder / f"{name}.tsv", sep="\t", index=False)
    paths = {kind: str(folder / f"figure5.{kind}") for kind in ("pdf", "svg", "png", "tsv")}
    figure5(
        greedy=str(folder / "table.tsv"),
        first=str(folder / "first.tsv"),
        **{"combination": "probability", "protocol": "held-out", **paths, **options},
    )
    return pd.read_csv(paths["tsv"], sep="\t")


def test_figure_5_writes_the_steps_and_first_members_that_it_draws(study, tmp_path):
    drawn = draw(study, tmp_path)
    table = study[-1]["table"].query("combination == 'probability'")
    assert (drawn["what"] == "step").sum() == len(table)
    first = drawn[drawn["what"] == "first"]
    assert first["base"].tolist() == ["strong", "one"]
    assert (first["protocol"] == "held-out").all()
    assert (drawn["combination"] == "probability").all()
    before = (tmp_path / "figure5.png").read_bytes()
    assert Image.open(tmp_path / "figure5.png").width == pytest.approx(6.9 * 300, abs=2)
    draw(study, tmp_path)
    assert (tmp_path / "figure5.png").read_bytes() == before


def test_figure_5_draws_one_base_and_the_other_protocol(study, tmp_path):
    drawn = draw(study, tmp_path, slice(1), protocol="paper", combination="logit")
    assert set(drawn["base"]) == {"strong"}
    assert set(drawn.loc[drawn["what"] == "first", "protocol"]) == {"paper"}
    assert (tmp_path / "figure5.pdf").stat().st_size > 1000
