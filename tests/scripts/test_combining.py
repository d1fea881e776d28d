"""From outputs files to weights, scores, cascades, recommendations and cards: file by file."""

import json
import subprocess
import sys
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax
from scipy.stats import chi2

from workflow.lib.data.manifest import Manifest
from workflow.lib.data.splits import Split
from workflow.lib.ensembles.scores import LIKELY, OF_ENSEMBLES
from workflow.lib.measures.calibration import fit_temperature
from workflow.lib.outputs.store import write
from workflow.lib.run.errors import InputError
from workflow.scripts import scores as scoring
from workflow.scripts.added import added
from workflow.scripts.card import card
from workflow.scripts.cascades import cascades
from workflow.scripts.figures.nats import nats
from workflow.scripts.figures.pareto import named, pareto
from workflow.scripts.figures.risk import risk
from workflow.scripts.recommendations import recommendations
from workflow.scripts.scores import scores
from workflow.scripts.selection import selection
from workflow.scripts.uncertainty import uncertainty
from workflow.scripts.weights import weights

pytestmark = pytest.mark.numeric

CATEGORIES = ["base", "reinit", "hparam", "arch", "fwork"]
MEMBERS = {
    f"m{i}": {"name": f"Model {i}", "category": category, "recipe": {"head": "trained"},
              "file": f"m{i}.safetensors"}
    for i, category in enumerate(CATEGORIES)
}  # fmt: skip
KEYS = list(MEMBERS)
MACS = {key: 1000.0 * 4**i for i, key in enumerate(KEYS)}
CLASSES = 5
NAMED = {"mine": ["m3", "m0", "m1"]}


class Study:
    """Five models, the dearer the better, that share what makes an image hard."""

    def __init__(self, folder, macs=MACS):
        self.folder, self.logits, self.splits = folder, {}, {}
        rng = np.random.default_rng(0)
        for name, examples in (("calibration", 400), ("test", 600)):
            labels = rng.integers(0, CLASSES, examples)
            ids = np.array([f"{name}/{i}" for i in range(examples)])
            self.splits[name] = Split(ids, labels)
            shared = rng.normal(size=(examples, CLASSES))
            for i, key in enumerate(KEYS):
                values = shared + rng.normal(0, 1, (examples, CLASSES))
                values[np.arange(examples), labels] += 1.5 + 0.4 * i
                values = self.logits[key, name] = (2 * values).astype(np.float32)
                known = {
                    "parameters": 10 * (i + 1),
                    "images_per_second": 100.0,
                    "weights": key * 32,
                }
                known |= {"macs": macs[key]} if key in macs else {}
                path = folder / key / f"{name}.h5"
                write(path, self.splits[name], lambda rows, v=values: (v[rows], v[rows, :1]), known)
        Manifest(tuple("abcde"), self.splits).write(folder / "manifest.tsv")
        fits = [fit_temperature(self.logits[k, "calibration"], self.splits["calibration"].labels)
                for k in KEYS]  # fmt: skip
        self.temperatures = dict(zip(KEYS, (fit.temperature for fit in fits), strict=True))
        columns = ("temperature", "nll_after", "converged")
        table = pd.DataFrame({name: [getattr(fit, name) for fit in fits] for name in columns})
        table.assign(model=KEYS).to_csv(folder / "calibration.tsv", sep="\t", index=False)

    def path(self, name):
        return str(self.folder / name)

    def files(self, split):
        return [str(self.folder / key / f"{split}.h5") for key in KEYS]

    def read(self, name):
        return pd.read_csv(self.folder / name, sep="\t", keep_default_na=False, na_values=[""])

    def p(self, models, split="test", kind="probability", weights=None):
        """Probabilities of an ensemble, spelt out."""
        keys = models.split(" + ")
        z = [self.logits[k, split].astype(np.float64) / self.temperatures[k] for k in keys]
        if kind == "weighted":
            return softmax(sum(w * own for w, own in zip(weights, z, strict=True)), axis=1)
        if kind == "logit":
            return softmax(sum(z) / len(z), axis=1)
        return sum(softmax(own, axis=1) for own in z) / len(z)


def run(study):
    common = {"manifest": study.path("manifest.tsv"), "calibration": study.path("calibration.tsv"),
              "models": KEYS}  # fmt: skip
    of = study.path
    selection(
        **common, selected=study.files("calibration"), scored=study.files("test"),
        greedy=of("greedy.tsv"), recommendations=of("selected.tsv"), splits=["calibration", "test"],
        bases=["m4"], pool=KEYS[:4], size=3, threads=2,
    )  # fmt: skip
    weights(
        **common, recommended=of("selected.tsv"), greedy=of("greedy.tsv"),
        outputs=study.files("calibration"), table=of("weights.tsv"), named=NAMED,
        split="calibration", threads=2,
    )  # fmt: skip
    scores(
        **common, weights=of("weights.tsv"), recommended=of("selected.tsv"),
        outputs=study.files("test"), table=of("scores.tsv"), risks=of("risks.tsv"), split="test",
        threads=2,
    )  # fmt: skip
    cascades(
        **common, recommended=of("selected.tsv"), selected=study.files("calibration"),
        scored=study.files("test"), table=of("cascades.tsv"), curves=of("curves.tsv"),
        risks=of("cascade_risks.tsv"), scores=of("cascade_scores.tsv"),
        splits=["calibration", "test"], threads=2,
    )  # fmt: skip
    recommendations(
        selected=of("selected.tsv"), cascades=of("cascades.tsv"), weights=of("weights.tsv"),
        scores=of("scores.tsv"), table=of("recommendations.tsv"), members=MEMBERS,
        combination="probability",
    )  # fmt: skip
    uncertainty(
        recommended=of("recommendations.tsv"), scores=of("scores.tsv"), risks=of("risks.tsv"),
        cascade_scores=of("cascade_scores.tsv"), cascade_risks=of("cascade_risks.tsv"),
        table=of("uncertainty.tsv"), figure=of("risk.tsv"), members=MEMBERS,
        combination="probability",
    )  # fmt: skip
    return study


def write_cards(study, names):
    of = study.path
    card(
        manifest=of("manifest.tsv"), calibration=of("calibration.tsv"),
        recommended=of("recommendations.tsv"), weights=of("weights.tsv"), scores=of("scores.tsv"),
        cascades=of("cascades.tsv"), cascade_scores=of("cascade_scores.tsv"),
        outputs=study.files("test"), cards=[of(f"{name}.json") for name in names],
        function=of("apply_card.py"), study="tiny", models=KEYS, members=MEMBERS, names=names,
        split="test",
    )  # fmt: skip
    return [json.loads((study.folder / f"{name}.json").read_text()) for name in names]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return run(Study(tmp_path_factory.mktemp("study")))


@pytest.fixture(scope="module")
def without_macs(tmp_path_factory):
    return run(Study(tmp_path_factory.mktemp("without"), macs={}))


def test_all_pairs_and_everything_listed_have_weights(study):
    table = study.read("weights.tsv")
    assert table["models"].is_unique
    kinds = table["kind"].value_counts()
    assert kinds["single"] == 5 and kinds["pair"] == 10
    assert set(table.loc[table["kind"] == "pair", "models"]) == {
        " + ".join(pair) for pair in combinations(KEYS, 2)
    }
    assert table.loc[table["name"] == "mine", "models"].tolist() == ["m3 + m0 + m1"]
    # Of the same three models there is no other row.
    assert "m0 + m1 + m3" not in set(table["models"])
    assert table["converged"].all()
    crossed = table[[f"cross_{name}" for name in LIKELY]]
    chosen = table["combination"].notna()
    assert chosen[table["kind"] != "single"].all()  # since few pairs are all listed
    assert (
        crossed[chosen].idxmin(axis=1).str.removeprefix("cross_") == table["combination"][chosen]
    ).all()


def test_the_likelihood_ratio_is_that_of_the_best_member_against_both(study):
    table = study.read("weights.tsv").set_index("models")
    labels = study.splits["calibration"].labels
    for models, row in table[table["kind"] == "pair"].iterrows():
        values = [float(value) for value in row["weights"].split()]
        p = study.p(models, "calibration", "weighted", values)
        nll = -np.log(p[np.arange(400), labels]).mean()
        assert row["nll_weighted"] == pytest.approx(nll, abs=1e-9)
        alone = [
            -np.log(study.p(key, "calibration")[np.arange(400), labels]).mean()
            for key in models.split(" + ")
        ]
        ratio = 800 * (min(alone) - nll)
        assert row["likelihood_ratio"] == pytest.approx(ratio, abs=1e-4)
        assert row["p"] == pytest.approx(chi2.sf(ratio, 1) / 2, rel=1e-3)


def test_scores_are_those_of_the_definition_on_the_test_images(study):
    table = study.read("scores.tsv").set_index(["models", "combination", "score"])
    fitted = study.read("weights.tsv").set_index("models")
    labels, here = study.splits["test"].labels, np.arange(600)
    for models in ("m0 + m4", "m3 + m0 + m1"):
        values = [float(value) for value in fitted.at[models, "weights"].split()]
        best = fitted.at[models, "best_member"]
        reference = -np.log(study.p(best)[here, labels])
        for kind in ("probability", "logit", "weighted"):
            p = study.p(models, "test", kind, values)
            loss = -np.log(p[here, labels])
            row = table.loc[(models, kind, "nll")]
            assert row["value"] == pytest.approx(loss.mean(), rel=1e-7)
            assert row["difference"] == pytest.approx((loss - reference).mean(), abs=1e-7)
            # The jackknife's interval of paired differences is near the plain one.
            half = 1.96 * (loss - reference).std() / 600**0.5
            assert (row["difference_high"] - row["difference_low"]) / 2 == pytest.approx(
                half, rel=0.6
            )
            right = p.argmax(axis=1) == labels
            assert table.loc[(models, kind, "accuracy"), "value"] == pytest.approx(right.mean())
        nll = table.loc[(models, "probability", "nll")]
        assert nll["members"] - nll["value"] == pytest.approx(nll["diversity"])
        assert nll["diversity"] > 0
    everything = study.read("scores.tsv")
    assert set(everything["score"]) == set(OF_ENSEMBLES)
    converted = everything[everything["score"] == "conversion_rate"]
    assert {own.count("+") for own in converted["models"]} == {1}
    assert set(everything["test"]) == {"test"}
    votes = everything[everything["combination"] == "vote"]
    assert (
        set(votes["score"]) == {"accuracy"}
        and not votes["models"].isin([" + ".join(pair) for pair in combinations(KEYS, 2)]).any()
    )
    single = everything[everything["kind"] == "single"]
    assert set(single["combination"]) == {"single"}
    assert (single["difference"] == 0).all() or (single["difference"].abs() < 1e-12).all()


def test_cascades_are_chosen_on_the_calibration_images(study):
    table = study.read("cascades.tsv")
    two = table[(table["kind"] == "pair") & (table["target"] == "accuracy")]
    assert len(two) == 2 * 10
    assert two["models"].map(lambda own: own.split(" + ") == sorted(own.split(" + "))).all()
    for row in two.itertuples():
        first, second = row.models.split(" + ")
        for split in ("calibration", "test"):
            p = study.p(first, split)
            last = study.p(row.models if row.then == "ensemble" else second, split)
            exits = p.max(axis=1) >= float(row.thresholds)
            right = np.where(exits[:, None], p, last).argmax(axis=1) == study.splits[split].labels
            macs = MACS[first] + (1 - exits.mean()) * MACS[second]
            if split == "test":
                assert row.accuracy == pytest.approx(right.mean())
                assert row.macs == pytest.approx(macs)
                assert row.exits == pytest.approx(exits.mean())
            else:
                whole = (last.argmax(axis=1) == study.splits[split].labels).mean()
                assert row.selection_accuracy == pytest.approx(right.mean())
                assert row.selection_accuracy >= whole - 0.001 - 1e-12
    listed = two[two["listed"]]
    assert len(listed)
    for row in listed.itertuples():
        assert row.accuracy_low < row.accuracy < row.accuracy_high
        assert row.against_ensemble == pytest.approx(row.accuracy - row.ensemble_accuracy)
        assert row.oracle_accuracy >= row.accuracy
        assert row.macs < row.ensemble_macs
    curves = study.read("curves.tsv")
    assert set(curves.loc[curves["target"] == "accuracy", "models"]) >= set(listed["models"])
    assert curves.groupby(["models", "then", "target"])["chosen"].sum().eq(1).all()
    assert (table["target"] == "selective").any()


def test_three_stages_cost_less_than_their_ensemble(study):
    table = study.read("cascades.tsv").query("kind == 'triple'")
    assert len(table)
    for row in table.itertuples():
        keys = row.models.split(" + ")
        t = [float(value) for value in row.thresholds.split()]
        p = [study.p(" + ".join(keys[: n + 1])) for n in range(3)]
        stage = np.where(p[0].max(1) >= t[0], 0, np.where(p[1].max(1) >= t[1], 1, 2))
        costs = np.cumsum([MACS[key] for key in keys])
        assert row.macs == pytest.approx(costs[stage].mean(), rel=2e-2)  # thresholds of six digits
        assert row.macs < row.ensemble_macs


def test_no_multiply_adds_no_cascades(without_macs, caplog):
    assert without_macs.read("cascades.tsv").empty
    table = without_macs.read("recommendations.tsv")
    assert set(table["kind"]) == {"ensemble"}
    assert table["macs"].isna().all() and not table["pareto"].any()
    assert set(without_macs.read("uncertainty.tsv")["kind"]) == {"single", "pair", "triple"}
    with caplog.at_level("WARNING"):
        cascades(
            manifest=without_macs.path("manifest.tsv"),
            calibration=without_macs.path("calibration.tsv"),
            recommended=without_macs.path("selected.tsv"),
            selected=without_macs.files("calibration"), scored=without_macs.files("test"),
            table=without_macs.path("c.tsv"), curves=without_macs.path("cc.tsv"),
            risks=without_macs.path("cr.tsv"), scores=without_macs.path("cs.tsv"), models=KEYS,
            splits=["calibration", "test"], threads=1,
        )  # fmt: skip
    assert "no cascades with m0, m1, m2, m3, m4" in caplog.text
    assert "give `macs` beside their `logits`" in caplog.text


def test_recommendations_say_how_to_combine_and_what_is_gained(study):
    table = study.read("recommendations.tsv")
    fitted = study.read("weights.tsv").set_index("models")
    found = study.read("scores.tsv").set_index(["models", "combination", "score"])
    several = table[(table["kind"] == "ensemble") & (table["size"] > 1)]
    for row in several[several["models"].isin(fitted.index)].itertuples():
        assert row.choice == fitted.at[row.models, "combination"]
        nll = found.loc[(row.models, row.choice, "nll")]
        assert row.nll == nll["value"] and row.nll_gain == -nll["difference"]
        assert row.nll_gain_low <= row.nll_gain <= row.nll_gain_high
    assert (table["kind"] == "cascade").sum() == (
        study.read("cascades.tsv").query("listed and target == 'accuracy'").shape[0]
    )
    first = several[several["rank"] == 1]
    assert first["as_good"].all() and (first["behind"] == 0).all()
    assert (several["as_good"] == (several["behind_low"] <= 0)).all()


def test_nothing_beats_the_front_of_multiply_adds(study):
    table = study.read("recommendations.tsv")
    own = study.read("cascades.tsv").query("listed and target == 'accuracy'")
    cost = table["macs"].to_numpy(float, copy=True)
    cost[(table["kind"] == "cascade").to_numpy()] = own["selection_macs"]
    good = table["selection_accuracy"].to_numpy()
    for c, g, front in zip(cost, good, table["pareto"], strict=True):
        beaten = ((cost < c) & (good >= g)) | ((cost <= c) & (good > g))
        assert front == (not beaten.any())


def test_added_nats_are_what_the_weighted_pair_gains(study):
    models = pd.DataFrame({"model": KEYS, "name": KEYS, "category": CATEGORIES})
    models.to_csv(study.path("models.tsv"), sep="\t", index=False)
    pairs = pd.DataFrame(
        [{"model_1": "m0", "model_2": key, "category_1": "base", "category_2": "x",
          "with_base": True, "main": True, "error_inconsistency": 0.2,
          "error_inconsistency_low": 0.1, "error_inconsistency_high": 0.3} for key in KEYS[1:]]
    )  # fmt: skip
    pairs.to_csv(study.path("pairs.tsv"), sep="\t", index=False)
    added(
        weights=study.path("weights.tsv"), scores=study.path("scores.tsv"),
        models=study.path("models.tsv"), pairs=study.path("pairs.tsv"),
        table=study.path("added.tsv"), figure=study.path("nats.tsv"), base="m0",
    )  # fmt: skip
    table = study.read("added.tsv")
    fitted = study.read("weights.tsv")
    best = fitted[fitted["kind"] == "single"].set_index("models")["nll_best"].idxmin()
    assert table.groupby("reference")["with"].unique().map(list).to_dict() == {
        "base": ["m0"],
        "best": [best],
    }
    assert table.loc[table["reference"] == "base", "model"].tolist() == KEYS[1:]
    fitted = fitted.set_index("models")
    labels, here = study.splits["test"].labels, np.arange(600)
    for row in table[table["reference"] == "base"].itertuples():
        pair = f"m0 + {row.model}"
        values = [float(value) for value in fitted.at[pair, "weights"].split()]
        both = study.p(pair, "test", "weighted", values)[here, labels]
        alone = study.p(row.best_member)[here, labels]
        assert row.added == pytest.approx(np.log(both / alone).mean(), abs=1e-7)
        assert row.added_low < row.added < row.added_high
    drawn = study.read("nats.tsv")
    np.testing.assert_allclose(
        drawn["added"], 1000 * table.loc[table["reference"] == "base", "added"]
    )
    files = {kind: study.path(f"nats.{kind}") for kind in ("pdf", "svg", "png")}
    nats(table=study.path("nats.tsv"), label=[["m0", "m1"]], **files)


def test_the_table_of_uncertainty_has_every_combination_of_the_first(study):
    table = study.read("uncertainty.tsv")
    assert list(table["kind"].unique()) == ["single", "pair", "triple", "cascade"]
    assert table.groupby("kind")["chosen"].sum().eq(1).all()
    triple = table[table["kind"] == "triple"].set_index("combination")
    assert set(triple.index) == {*LIKELY, "vote", "oracle"}
    assert triple["accuracy"].idxmax() == "oracle"
    drawn = study.read("risk.tsv")
    assert list(drawn["kind"].unique()) == ["single", "pair", "triple", "cascade"]
    ends = drawn.groupby("kind").last()
    chosen = table[table["chosen"]].set_index("kind")
    np.testing.assert_allclose(ends["risk"], 1 - chosen["accuracy"].reindex(ends.index), atol=1e-8)
    files = {kind: study.path(f"risk.{kind}") for kind in ("pdf", "svg", "png")}
    risk(table=study.path("risk.tsv"), **files)
    assert (study.folder / "risk.png").stat().st_size > 5000


@pytest.mark.slow
def test_costs_are_drawn_with_and_without_cascades(study, without_macs):
    for own in (study, without_macs):
        files = {kind: own.path(f"pareto.{kind}") for kind in ("pdf", "svg", "png", "tsv")}
        pareto(table=own.path("recommendations.tsv"), curves=own.path("curves.tsv"), **files)
        drawn = own.read("pareto.tsv")
        assert ("curve" in set(drawn["kind"])) == (own is study)


def test_cards_apply_with_numpy_alone_in_a_process_of_their_own(study):
    names = ["single", "pair", "triple", "cascade", "mine"]
    cards = write_cards(study, names)
    for name, own in zip(names, cards, strict=True):
        assert own["ensemble"] == name
        models = " + ".join(member["model"] for member in own["members"])
        images = [list(study.splits["test"].ids).index(i) for i in own["self_test"]["images"]]
        assert len(images) == 20
        p = study.p(models, "test", own["combination"], own["weights"])[images]
        if own["combination"] == "cascade":
            first = study.p(own["members"][0]["model"])[images]
            if own["then"] == "larger":
                p = study.p(own["members"][1]["model"])[images]
            p = np.where(first.max(axis=1)[:, None] >= own["thresholds"][0], first, p)
        if own["combination"] == "confident":
            each = np.stack([study.p(m["model"])[images] for m in own["members"]])
            p = each[each.max(axis=2).argmax(axis=0), np.arange(20)]
        np.testing.assert_allclose(own["self_test"]["probabilities"], p, atol=1e-7)
        assert own["expected"]["accuracy"]["low"] < own["expected"]["accuracy"]["value"]
        assert own["expected"]["test_set_sha256"] == study.splits["test"].digest
        assert own["members"][0]["sha256"] == own["members"][0]["model"] * 32
    script = (
        "import json, sys, apply_card\n"
        "for name in sys.argv[1:]:\n"
        "    card = json.load(open(name + '.json'))\n"
        "    apply_card.check(card)\n"
        "    p, macs = apply_card.apply(card, card['self_test']['logits'])\n"
        "    assert abs(p.sum(axis=1) - 1).max() < 1e-12 and (macs > 0).all()\n"
        "assert not {'workflow', 'scipy', 'pandas', 'torch'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script, *names], cwd=study.folder, check=True)
    assert cards[3]["thresholds"] and cards[3]["then"] in ("ensemble", "larger")


def test_a_card_for_nothing_says_so_and_an_unknown_ensemble_is_named(without_macs):
    (own,) = write_cards(without_macs, ["cascade"])
    assert own == {"missing": "tiny has no cascade to recommend"}
    with pytest.raises(
        InputError, match=r"no ensemble 'yours'; name it under `ensembles`, or ask for .*mine"
    ):
        write_cards(without_macs, ["yours"])


def test_the_ends_of_a_front_are_among_the_named():
    table = pd.DataFrame({"names": list("abcdefgh"), "accuracy": np.linspace(0.5, 0.9, 8)})
    table["parameters"], table["pareto"] = np.arange(8) * 100.0, True
    assert named(table, "parameters", "pareto")["name"].iloc[[0, -1]].tolist() == ["a", "h"]


def test_many_ensembles_are_scored_part_by_part(study, monkeypatch):
    before = study.read("scores.tsv")
    monkeypatch.setattr(scoring, "MEMORY", 40_000)
    assert len(scoring.cut(19, 600)) == 5
    scores(
        manifest=study.path("manifest.tsv"), calibration=study.path("calibration.tsv"),
        weights=study.path("weights.tsv"), recommended=study.path("selected.tsv"),
        outputs=study.files("test"), table=study.path("parts.tsv"), risks=study.path("r.tsv"),
        models=KEYS, split="test", threads=1,
    )  # fmt: skip
    pd.testing.assert_frame_equal(study.read("parts.tsv"), before)
    assert study.read("r.tsv").equals(study.read("risks.tsv"))


def test_what_some_models_cannot_take_is_scored_by_the_others(study):
    chosen = {key for own in study.read("selected.tsv").query("rank == 1")["models"]
              for key in own.split(" + ")}  # fmt: skip
    for keys in (KEYS[:2], [key for key in KEYS if key not in chosen]):
        files = dict(zip(KEYS, study.files("test"), strict=True))
        scores(
            manifest=study.path("manifest.tsv"), calibration=study.path("calibration.tsv"),
            weights=study.path("weights.tsv"), recommended=study.path("selected.tsv"),
            outputs=[files[key] for key in keys], table=study.path("some.tsv"),
            risks=study.path("r.tsv"), models=keys, split="test", threads=1, name="other",
        )  # fmt: skip
        found = study.read("some.tsv")
        assert {k for own in found["models"] for k in own.split(" + ")} == {*keys}
        assert (found["test"] == "other").all()
        at = ["models", "combination", "score"]
        both = found.merge(study.read("scores.tsv"), on=at)
        np.testing.assert_allclose(both["value_x"], both["value_y"], rtol=1e-9)
        drawn = {k for own in study.read("r.tsv")["models"] for k in own.split(" + ")}
        assert drawn <= {*keys}
    assert not drawn


def test_weights_that_do_not_converge_are_reported_and_marked(tmp_path, caplog):
    own = Study(tmp_path)
    labels = own.splits["calibration"].labels
    for key in KEYS[:2]:  # both are right on all calibration images
        values = 9 * np.eye(CLASSES, dtype=np.float32)[labels]
        path = tmp_path / key / "calibration.h5"
        for old in path.parent.glob("calibration.h5*"):
            old.unlink()
        write(path, own.splits["calibration"], lambda rows, v=values: (v[rows], v[rows, :1]), {})
    with caplog.at_level("WARNING"):
        run(own)
    assert "m0 + m1: the fit of its weights did not converge" in caplog.text
    assert not own.read("weights.tsv").set_index("models").at["m0 + m1", "converged"]
    table = own.read("scores.tsv").query("models == 'm0 + m1'")
    assert set(table.loc[~table["converged"], "combination"]) == {"weighted"}
