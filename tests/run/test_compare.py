"""Files of logits, compared without images and without a configuration."""

import json
import re
import subprocess
import sys

import h5py
import numpy as np
import pandas as pd
import pytest
import yaml

from tests.run.conftest import Checkout
from workflow.compare import Comparison, _clear, _key, write_study
from workflow.lib.run.errors import InputError

IMAGES, CLASSES = 300, ["cat", "dog", "owl"]


def write_files(folder, numbered=False):
    """Files of every format, three of them of the same logits, and the labels."""
    rng = np.random.default_rng(0)
    labels = np.arange(IMAGES) % len(CLASSES)
    ids = np.array([f"photos/{number:03d}.jpg" for number in range(IMAGES)])
    logits = {}
    for name in ("one", "two", "three"):
        logits[name] = rng.normal(size=(IMAGES, len(CLASSES))).astype(np.float32)
        logits[name][np.arange(IMAGES), labels] += 1.5
    order = rng.permutation(IMAGES)
    np.savez(folder / "one.npz", logits=logits["one"][order], ids=ids[order])
    np.save(folder / "two.npy", logits["two"])
    table = pd.DataFrame(logits["three"], columns=CLASSES[::-1])
    table[CLASSES] = logits["three"]
    table.to_csv(folder / "three.csv", index=False)
    with h5py.File(folder / "twin.h5", "w") as file:
        file["logits"] = logits["two"]
    shown = labels if numbered else [CLASSES[label] for label in labels]
    pd.DataFrame({"id": ids, "label": shown}).to_csv(folder / "labels.csv", index=False)
    return {
        "One": folder / "one.npz", "Two": folder / "two.npy",
        "Three": folder / "three.csv", "Twin": folder / "twin.h5",
    }, logits, labels  # fmt: skip


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """A comparison from the command line, in a copy of the checkout."""
    folder = tmp_path_factory.mktemp("logits")
    files, logits, labels = write_files(folder)
    checkout = Checkout.new(tmp_path_factory.mktemp("compare"))
    command = [sys.executable, "-m", "workflow.compare", "--name=mine"]
    command += [f"--labels={folder / 'labels.csv'}", *(f"{k}={v}" for k, v in files.items())]
    done = subprocess.run(command, cwd=checkout.path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return checkout.path / "results/mine", done.stdout, logits, labels


def test_the_answer_and_the_report_are_there(compared):
    folder, said, *_ = compared
    lines = said.splitlines()
    assert lines[-1] == "Report: results/mine/report.html"
    text = " ".join(said.split())
    assert "over the best single model" in text or "no pair is better than the best" in text
    assert "is the most different from One" in text
    page = (folder / "report.html").read_text()
    assert "Which models together?" in page and "not known (" not in page
    # Nothing is made up of files from elsewhere.
    models = pd.read_csv(folder / "models.tsv", sep="\t")
    assert models["objective"].isna().all() and models["head"].isna().all()
    assert "supervised" not in page and "Architecture" not in page.split("Configuration")[0]


def test_every_format_is_matched_to_its_images(compared):
    folder, _, logits, labels = compared
    models = pd.read_csv(folder / "models.tsv", sep="\t").set_index("model")
    manifest = pd.read_csv(folder / "dataset/manifest.tsv", sep="\t", comment="#")
    test = manifest.loc[manifest["split"] == "test", "id"]
    rows = [int(name[7:10]) for name in test]
    assert len(rows) == IMAGES - IMAGES // 5
    for key in ("one", "two", "three"):
        right = logits[key][rows].argmax(axis=1) == labels[rows]
        assert models.at[key, "accuracy"] == pytest.approx(right.mean())
    pairs = pd.read_csv(folder / "pairs.tsv", sep="\t").set_index(["model_1", "model_2"])
    assert (pairs.loc[("two", "twin"), "error_inconsistency"] == 0).all()


def test_the_study_beside_it_is_that_of_the_comparison(compared):
    folder, *_ = compared
    study = yaml.safe_load((folder / "compare.yaml").read_text())
    assert [own["name"] for own in study["models"].values()] == ["One", "Two", "Three", "Twin"]
    checkout = Checkout(folder.parents[1])
    output = checkout.run("--dry-run", study="results/mine/compare.yaml")
    assert "Nothing to be done" in output


def refused(tmp_path, files, match, labels=None, classes=None):
    with pytest.raises(InputError, match=match):
        write_study(files, labels or tmp_path / "labels.csv", classes, "x", tmp_path / "results")


def test_what_is_wrong_is_said_before_anything_runs(tmp_path):
    files, *_ = write_files(tmp_path)
    refused(tmp_path, {"One": files["One"]}, "two files")
    refused(tmp_path, files | {"Gone": tmp_path / "gone.npz"}, r"Gone: there is no file .*gone.npz")
    refused(tmp_path, files | {"X": tmp_path / "x.txt"}, r"X: .*x.txt must end in .npz")
    refused(tmp_path, {"a b": files["One"], "A-B": files["Two"]}, "A-B: another file has the same")
    np.save(tmp_path / "short.npy", np.zeros((7, 3), np.float32))
    refused(tmp_path, files | {"S": tmp_path / "short.npy"}, "short.npy names no images and has 7")
    np.save(tmp_path / "wide.npy", np.zeros((IMAGES, 4), np.float32))
    wide = files | {"W": tmp_path / "wide.npy"}
    refused(tmp_path, wide, r"W: .*wide.npy has 4 columns, but there are 3 classes; name all")
    few = tmp_path / "few.csv"
    few.write_text("id,label\n" + "".join(f"{i},{i % 2}\n" for i in range(5)))
    refused(tmp_path, files, "few.csv has 5 images; 20 or more", labels=few)


def test_answers_alone_are_compared_by_what_they_are(tmp_path):
    files, logits, _ = write_files(tmp_path)
    ids = pd.read_csv(tmp_path / "labels.csv")["id"]
    for name in ("one", "two"):
        top = [CLASSES[label] for label in logits[name].argmax(axis=1)]
        pd.DataFrame({"id": ids, "answer": top}).to_csv(tmp_path / f"{name}.csv", index=False)
    chosen = {"One": tmp_path / "one.csv", "Two": tmp_path / "two.csv"}
    file = write_study(chosen, tmp_path / "labels.csv", None, "x", tmp_path / "results")
    study = yaml.safe_load(file.read_text())
    assert [own["answers"] for own in study["models"].values()] == list(map(str, chosen.values()))
    assert "splits" not in study["dataset"]
    refused(tmp_path, chosen | {"Three": files["Three"]}, "One has answers alone and Three logits")


def test_classes_without_images_are_known_by_the_columns(tmp_path):
    write_files(tmp_path, numbered=True)
    for name in ("two", "wide"):
        np.save(tmp_path / f"{name}.npy", np.random.default_rng(0).normal(size=(IMAGES, 5)))
    chosen = {"Two": tmp_path / "two.npy", "Wide": tmp_path / "wide.npy"}
    write_study(chosen, tmp_path / "labels.csv", None, "x", tmp_path / "results")
    assert (tmp_path / "results/classes.txt").read_text().split() == ["0", "1", "2", "3", "4"]


def test_only_an_earlier_comparison_is_replaced(tmp_path):
    _clear(tmp_path / "new")
    other = tmp_path / "study"
    other.mkdir()
    (other / "models.tsv").touch()
    with pytest.raises(InputError, match="results of another study; choose another NAME"):
        _clear(other)
    assert (other / "models.tsv").exists()
    (other / "compare.yaml").touch()
    _clear(other)
    assert not other.exists()


def test_names_become_keys():
    assert [_key(name) for name in ("ViT-B/32", "A", "mein_Modell 2")] == [
        "vit-b-32", "a", "mein-modell-2",
    ]  # fmt: skip
    with pytest.raises(InputError, match="no letter or digit"):
        _key("/")


def test_a_comparison_prints_its_answer(tmp_path):
    empty = pd.DataFrame()
    (tmp_path / "report.html").touch()
    assert str(Comparison(tmp_path, *5 * [empty])) == f"Report: {tmp_path}/report.html"


def test_the_notebook_says_what_it_shows(compared):
    checkout = compared[0].parents[1]
    notebook = json.loads((checkout / "docs/compare.ipynb").read_text())
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    script = "\n".join("".join(cell["source"]) for cell in cells)
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=checkout / "docs", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    shown = next(
        "".join(output["text"]) for cell in cells for output in cell["outputs"] if "text" in output
    )
    # Numbers differ in their last digits between processors.
    words = [
        [re.sub(r"[−+]?\d[\d.,]*", "0", line) for line in text.splitlines()]
        for text in (shown, done.stdout.replace(f"{checkout}/", ""))
    ]
    assert words[0][-1] == words[1][-1] == "Report: results/digits/report.html"
    assert len(words[0]) == pytest.approx(len(words[1]), abs=2)
