"""Studies are read strictly, and loaded as a whole."""

import json
import os
from pathlib import Path

import pytest
import yaml

from tests.lib.study.examples import NONSENSE, PUBLISHED, ROOT, SECTIONS, STUDY, edited
from workflow.lib.study import networks
from workflow.lib.study.load import ConfigurationError, load, read, record


@pytest.mark.parametrize("file", ["config.yaml", "studies/paper.yaml", "studies/imagenet.yaml"])
def test_studies_of_the_repository_are_valid(file, monkeypatch):
    monkeypatch.chdir(ROOT)
    study = load(read(file), [file])
    assert "paper" in (study.name, study.alongside and study.alongside.name)


@pytest.mark.parametrize(
    ("alongside", "mistake"),
    [
        ([], "there is no published study to compare with; name its file under alongside"),
        (["studies/paper.yaml"], 'no published study has a model "ResNet-50 (Reinit"; did you '
                                 'mean "ResNet-50 (Reinit)"?'),
    ],
)  # fmt: skip
def test_the_row_beside_a_model_must_be_published(study, monkeypatch, alongside, mistake):
    monkeypatch.chdir(ROOT)
    study["alongside"] = alongside
    study["models"]["seed-1"]["paper"] = "ResNet-50 (Reinit"
    with pytest.raises(ConfigurationError) as error:
        load(study, [])
    assert str(error.value) == f"configuration: models.seed-1.paper: {mistake}"


def test_only_some_models_are_kept_and_what_they_need(study):
    study |= {
        "only": ["distilled", "linear"],
        "pairs": [["base", "seed-1"], ["base", "linear"]],
        "updates": [["linear", "strong"], ["seed-1", "strong"]],
        "greedy": {"bases": ["zero"], "pool": ["tuned", "linear"]},
        "features": {"models": ["seed-1"]},
    }
    found = load(study, [])
    # The base, and the teacher of one that is named.
    assert list(found.models) == ["base", "linear", "distilled", "strong"]
    assert list(found.networks) == ["simclr", *found.models]
    assert found.pairs == [["base", "linear"]]
    assert found.updates == [["linear", "strong"]]
    assert (found.greedy.bases, found.greedy.pool) == (["strong"], ["linear"])
    assert found.features.models == ["linear"]  # as if no list had been given

    study["only"] = ["liner"]
    with pytest.raises(ConfigurationError) as error:
        load(study, [])
    assert error.value.mistakes == [
        'configuration: only[0]: there is no model "liner"; did you mean "linear"?'
    ]


@pytest.mark.parametrize("section", [*SECTIONS, "only", "greedy", "features", "downstream"])
@pytest.mark.parametrize("value", [*NONSENSE, [["base"]], {"models": [[]]}, {"base": {"from": []}}])
def test_any_nonsense_beside_only_is_a_mistake_and_no_crash(study, section, value):
    study["only"] = ["base"]
    valid = [("pairs", []), ("greedy", {}), ("features", {})]
    # No model that is kept starts from another network, so that none is looked at.
    valid = (section, value) in valid or (section == "pretraining" and isinstance(value, dict))
    try:
        load(edited(study, {section: value}), [])
    except ConfigurationError:
        assert not valid
    else:
        assert valid


@pytest.mark.parametrize(
    ("text", "mistakes"),
    [
        ("a: 1\nb: 2\na: 3", ["line 3: a: the key is given twice, first in line 1"]),
        (
            "models:\n  x: {seed: 1, seed: 2}\n  x: {}\n",
            [
                "line 2: models.x.seed: the key is given twice, first in line 2",
                "line 3: models.x: the key is given twice, first in line 2",
            ],
        ),
        ("no: 1", ['line 1: no: YAML does not read this key as text; write "no"']),
        ("a: 1\nb: [1\nc: 2", ["line 3: not valid YAML: expected ',' or ']', but got ':'"]),
        ("a: *b", ["line 1: not valid YAML: found undefined alias 'b'"]),
        (
            "a: &b\n  c: *b",
            ["line 1: a.c: holds an alias of what it stands in; write out what is meant"],
        ),
        ("- 1", ["must hold keys and values"]),
        ("", ["must hold keys and values"]),
    ],
)
def test_reading_refuses_what_yaml_would_drop(tmp_path, text, mistakes):
    path = tmp_path / "f.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError) as error:
        read(path)
    assert str(error.value).splitlines() == [f"{path}: {mistake}" for mistake in mistakes]


def test_reading_allows_merged_keys(tmp_path):
    path = tmp_path / "f.yaml"
    path.write_text("a: &a {x: 2, y: [3]}\nb: {<<: *a, x: 1}")
    assert read(path)["b"] == {"x": 1, "y": [3]}


def test_loading_tells_quoted_text_from_numbers(study, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = STUDY.replace("name: The base", "name: '1e-3'") + "groups: {g: ['1e3', '2e3']}\n"
    Path("small.yaml").write_text(text)
    config = yaml.safe_load(text)  # as Snakemake reads it
    config["recipe"]["weight_decay"] = "2e-2"  # as it reads --config recipe='{weight_decay: 2e-2}'
    loaded = load(config, ["small.yaml"])
    assert loaded.models["base"].name == "1e-3"
    assert loaded.groups == {"g": ["1e3", "2e3"]}
    recipe = loaded.networks["base"].recipe
    assert (recipe["learning_rate"], recipe["weight_decay"]) == (0.001, 0.02)


def test_loading_refuses_what_stands_in_itself(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = STUDY + "groups: &g {g: *g}\n"
    Path("small.yaml").write_text(text)
    with pytest.raises(ConfigurationError, match=r"small.yaml: line \d+: groups.g: holds an alias"):
        load(yaml.safe_load(text), ["small.yaml"])
    with pytest.raises(ConfigurationError, match=r"configuration: something stands in itself"):
        load(yaml.safe_load(text), [])


def test_loading_reports_the_mistakes_of_all_files(study, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("print.yaml").write_text(yaml.safe_dump(edited(PUBLISHED, {"band": [1, 0]})))
    Path("small.yaml").write_text(STUDY + "study: small\n")
    study["alongside"] = ["print.yaml", "nowhere.yaml", "other.yaml"]
    study["recipe"]["epoch"] = 3
    Path("other.yaml").write_text("study: other")
    with pytest.raises(ConfigurationError) as error:
        load(study, [tmp_path / "small.yaml"])
    lines = STUDY.count("\n")
    assert str(error.value).splitlines() == [
        f"small.yaml: line {lines + 1}: study: the key is given twice, first in line 2",
        "nowhere.yaml: cannot be read: No such file or directory",
        "other.yaml: not a published study, so it cannot stand alongside another",
        'small.yaml: recipe.epoch: unknown key; did you mean "epochs"?',
        "print.yaml: band: must go from the lower to the higher accuracy, not [1, 0]",
    ]


def test_two_studies_need_two_names(study, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("small.yaml").write_text(STUDY)
    Path("print.yaml").write_text(yaml.safe_dump(PUBLISHED | {"study": "small"}))
    study["alongside"] = ["print.yaml"]
    with pytest.raises(ConfigurationError, match=r'the name "small" is also that of small\.yaml'):
        load(study, ["small.yaml"])


def test_one_published_study_stands_alongside(study, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("one", "two"):
        Path(f"{name}.yaml").write_text(yaml.safe_dump(PUBLISHED | {"study": name}))
    study["alongside"] = ["one.yaml", "two.yaml"]
    with pytest.raises(ConfigurationError, match=r"configuration: alongside\[1\]: only one pub"):
        load(study, [])


def test_loading_takes_what_the_command_line_changed(study, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("small.yaml").write_text(STUDY)
    Path("print.yaml").write_text(yaml.safe_dump(PUBLISHED))
    study["alongside"], study["recipe"]["learning_rate"] = ["print.yaml"], "5e-4"
    loaded = load(study, ["small.yaml"])
    assert loaded.networks["base"].recipe["learning_rate"] == 0.0005
    printed = loaded.alongside
    assert (printed.name, printed.title, printed.ensemble) == ("print", "", "unstated")
    assert (printed.published["base"]["accuracy"], printed.published["corrections"]) == (0.76, [])
    assert load(printed.file, []) == printed
    assert (printed.pairs, printed.figures) == ([], ["figure1", "figure2", "figure8"])


@pytest.fixture
def nothing_found(monkeypatch):
    monkeypatch.setattr(networks, "FOUND", {})


def test_jobs_recall_how_public_networks_want_their_images(
    public, tmp_path, monkeypatch, nothing_found
):
    monkeypatch.chdir(tmp_path)
    before = load(public, [], in_job=True)  # nothing is there yet
    record(before)
    networks.FOUND.clear()
    monkeypatch.setattr(networks.preprocessing, "preprocessing", None)
    assert load(public, [], in_job=True) == before


def test_a_later_run_recalls_it_while_the_code_that_looks_it_up_is_the_same(
    public, tmp_path, monkeypatch, nothing_found
):
    monkeypatch.chdir(tmp_path)
    before = load(public, [])
    record(before)
    looked_up, look_up = [], networks.preprocessing.preprocessing

    def counted(entry):
        looked_up.append(entry)
        return look_up(entry)

    monkeypatch.setattr(networks.preprocessing, "preprocessing", counted)
    networks.FOUND.clear()
    assert load(public, []) == before
    assert looked_up == []
    networks.FOUND.clear()
    monkeypatch.setattr("workflow.lib.study.load.dependencies", lambda script: ["timm==0"])
    assert load(public, []) == before
    assert len(looked_up) == len(before.preprocessing)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"preprocessing": 3}'])
def test_a_record_that_is_none_is_passed_over(public, tmp_path, monkeypatch, nothing_found, text):
    monkeypatch.chdir(tmp_path)
    Path("results/public").mkdir(parents=True)
    Path("results/public/study.json").write_text(text)
    assert load(public, [], in_job=True) == load(public, [])


def test_the_record_is_the_complete_study_and_is_written_when_that_changes(
    study, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    loaded, file = load(study, []), Path("results/small/study.json")
    record(loaded)
    content = json.loads(file.read_text())
    by = content.pop("preprocessing_by")
    assert any(name.startswith("timm==") for name in by)
    assert content == loaded.settings | {"preprocessing": {}}
    assert list(content) == sorted(content)
    assert content["networks"]["distilled"]["parents"] == ["strong"]
    os.utime(file, (0, 0))
    record(loaded)
    assert file.stat().st_mtime == 0
    record(load(edited(study, {"title": "Another"}), []))
    assert json.loads(file.read_text())["title"] == "Another"
    assert {path.name for path in file.parent.iterdir()} == {"study.json", ".study.json.sha256"}


def test_aliases_that_explode_are_refused_at_once(tmp_path):
    lines = ["a0: &a0 [lol, lol, lol]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 30)]
    (tmp_path / "s.yaml").write_text("\n".join(lines))
    with pytest.raises(ConfigurationError, match=r"s.yaml: its aliases stand for more than 100000"):
        read(tmp_path / "s.yaml")
