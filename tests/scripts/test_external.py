"""Logits from elsewhere: the same outputs from every format, and a message for each bad file."""

import csv
import gzip
import logging
import pickle
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from workflow.lib.data.manifest import Manifest
from workflow.lib.data.splits import Split
from workflow.lib.outputs.store import Outputs
from workflow.lib.run.errors import InputError
from workflow.scripts.external import external
from workflow.scripts.template import template

FASHION_MNIST = Path("resources/fashion-mnist")
CLASSES = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag",
           "boot, ankle")  # fmt: skip
SCORED = ["calibration", "test"]
ROWS = {"calibration": range(600), "test": range(700), "train": range(600, 640)}
COUNTS = {name: len(rows) for name, rows in ROWS.items()}  # two blocks of rows each, and a few
# A real network on real photographs, in a process of its own: reading logits needs no torch.
NETWORK = """
import sys
import workflow.lib.backends
import numpy, timm, torch
torch.manual_seed(0), torch.set_num_threads(1)
model = timm.create_model("test_resnet", in_chans=1, num_classes=10).eval()
images = torch.tensor(numpy.load(sys.argv[1]))[:, None] / 255
with torch.inference_mode():
    features = model.forward_head(model.forward_features(images), pre_logits=True)
    numpy.savez(sys.argv[2], features=features, logits=model.get_classifier()(features))
"""


def fashion_mnist(part, content, header):
    """Read the images or labels of Fashion-MNIST."""
    packed = (FASHION_MNIST / f"{part}-{content}-ubyte.gz").read_bytes()
    return np.frombuffer(gzip.decompress(packed)[header:], np.uint8)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Path of a manifest of a few images of Fashion-MNIST."""
    train, test = (fashion_mnist(part, "labels-idx1", 8) for part in ("train", "t10k"))
    splits = {
        name: Split(
            np.array([f"{'test' if name == 'test' else 'train'}/{row:05d}" for row in rows]),
            (test if name == "test" else train)[rows].astype(np.int64),
        )
        for name, rows in ROWS.items()
    }
    path = tmp_path_factory.mktemp("dataset") / "manifest.tsv"
    Manifest(CLASSES, splits).write(path)
    return path


@pytest.fixture(scope="module")
def computed(dataset):
    """Give ids, logits and features of a network, in the order calibration, test, train."""
    splits = Manifest.read(dataset).splits
    images = [
        fashion_mnist("t10k" if name == "test" else "train", "images-idx3", 16).reshape(-1, 28, 28)[
            rows.start : rows.stop
        ]
        for name, rows in ROWS.items()
    ]
    np.save(dataset.with_name("images.npy"), np.concatenate(images))
    path = dataset.with_name("network.npz")
    command = [sys.executable, "-c", NETWORK, dataset.with_name("images.npy"), path]
    subprocess.run(command, check=True)
    with np.load(path) as file:
        return {"ids": np.concatenate([splits[name].ids for name in ROWS]), **file}


def scored(computed):
    """Leave out the images that only probes learn from."""
    return {name: values[: COUNTS["calibration"] + COUNTS["test"]]
            for name, values in computed.items()}  # fmt: skip


def write_csv(path, classes, logits, ids=None):
    with open(path, "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow([*classes, "id"] if ids is not None else classes)
        for row, values in enumerate(logits):
            own = [str(value) for value in values]
            table.writerow([*own, ids[row]] if ids is not None else own)


def write_h5(path, **arrays):
    with h5py.File(path, "w") as file:
        for name, values in arrays.items():
            if values.dtype.kind == "U":
                file.create_dataset(name, data=values.astype(object), dtype=h5py.string_dtype())
            else:
                file[name] = values


def record_of(dataset, source):
    return dataset.parent / "models" / source.stem / "order.sha256"


def bring(
    dataset,
    source,
    splits=SCORED,
    order=SCORED,
    template=None,
    features=False,
    sha256=None,
    macs=None,
):
    """Run the script; give the outputs files that it wrote."""
    files = [dataset.parent / "outputs" / source.stem / f"{split}.h5" for split in splits]
    for file in files:
        file.unlink(missing_ok=True)
    external(
        manifest=str(dataset), source=str(source), files=[str(file) for file in files], model="vit",
        sha256=sha256, splits=splits, order=order, template=template or order,
        images="results/mine/template/images.csv", record=str(record_of(dataset, source)),
        features=features, macs=macs, code=["c"],
    )  # fmt: skip
    return files


def read(dataset, file):
    with Outputs(file, Manifest.read(dataset).splits[file.stem]) as outputs:
        features = None if outputs.features is None else outputs.read("features")
        return outputs.read("logits"), features, outputs.attributes


def columns(classes, values):
    """Give headings and columns of a .csv file in an order of their own."""
    order = np.random.default_rng(1).permutation(len(classes))
    return [classes[column] for column in order], values[:, order]


FORMATS = {
    "npy": lambda p, m, a: np.save(p, a["logits"]),
    "npz": lambda p, m, a: np.savez_compressed(p, logits=a["logits"]),
    "h5": lambda p, m, a: write_h5(p, logits=a["logits"]),
    "csv": lambda p, m, a: write_csv(p, m.classes, a["logits"]),
}
FORMATS_WITH_IDS = {
    "npz": lambda p, m, a: np.savez(p, **a),
    "h5": lambda p, m, a: write_h5(p, **a),
    "hdf5": lambda p, m, a: write_h5(p, **{**a, "ids": np.char.encode(a["ids"])}),
    "csv": lambda p, m, a: write_csv(p, *columns(m.classes, a["logits"]), ids=a["ids"]),
}


def check(dataset, source, expected, with_features):
    """Compare what is written, bit for bit, with what the network computed."""
    start = 0
    for file in bring(dataset, source):
        logits, features, attributes = read(dataset, file)
        stop = start + COUNTS[file.stem]
        np.testing.assert_array_equal(logits, expected["logits"][start:stop])
        if with_features:
            np.testing.assert_array_equal(features, expected["features"][start:stop])
        else:
            assert features is None
        assert attributes["images_per_second"] == 0
        assert attributes["external"] == str(source)
        assert len(attributes["weights"]) == 64
        start = stop


def test_multiply_adds_are_those_that_the_study_gives(dataset, computed, tmp_path):
    source = tmp_path / "model.npz"
    np.savez(source, logits=computed["logits"][:1300])
    assert "macs" not in read(dataset, bring(dataset, source)[0])[2]
    assert read(dataset, bring(dataset, source, macs=4.1e9)[0])[2]["macs"] == 4.1e9


@pytest.mark.parametrize("suffix", FORMATS)
def test_rows_in_the_order_of_the_template_give_the_outputs(dataset, computed, tmp_path, suffix):
    source = tmp_path / f"ordered-{suffix}.{suffix}"
    FORMATS[suffix](source, Manifest.read(dataset), scored(computed))
    check(dataset, source, computed, with_features=False)


@pytest.mark.parametrize("suffix", FORMATS_WITH_IDS)
def test_rows_in_any_order_are_matched_by_their_ids(dataset, computed, tmp_path, suffix):
    order = np.random.default_rng(0).permutation(len(computed["ids"]))
    shuffled = {name: values[order] for name, values in computed.items()}
    source = tmp_path / f"shuffled-{suffix}.{suffix}"
    FORMATS_WITH_IDS[suffix](source, Manifest.read(dataset), shuffled)
    check(dataset, source, computed, with_features=suffix != "csv")


def test_the_template_lists_the_images_in_the_order_that_is_assumed(dataset, computed, tmp_path):
    images, classes = tmp_path / "images.csv", tmp_path / "classes.csv"
    template(manifest=str(dataset), images=str(images), classes=str(classes),
             splits=[*SCORED, "train"])  # fmt: skip
    rows = list(csv.DictReader(images.open(newline="", encoding="utf-8")))
    assert [row["id"] for row in rows] == computed["ids"].tolist()
    assert [row["split"] for row in rows] == [
        name for name, count in COUNTS.items() for _ in range(count)
    ]
    listed = list(csv.DictReader(classes.open(newline="", encoding="utf-8")))
    assert listed[1] == {"column": "1", "class": "trouser"}
    assert tuple(row["class"] for row in listed) == Manifest.read(dataset).classes


def test_features_for_probes_come_from_the_same_file(dataset, computed, tmp_path):
    source = tmp_path / "probed.npz"
    np.savez(source, logits=computed["logits"], features=computed["features"])
    order = [*SCORED, "train"]
    [file] = bring(dataset, source, splits=["train"], order=order, features=True)
    logits, features, _ = read(dataset, file)
    np.testing.assert_array_equal(logits, computed["logits"][-COUNTS["train"] :])
    np.testing.assert_array_equal(features, computed["features"][-COUNTS["train"] :])


@pytest.mark.parametrize("suffix", FORMATS)
def test_rows_of_the_whole_template_do_where_fewer_are_needed(dataset, computed, tmp_path, suffix):
    source = tmp_path / f"whole-{suffix}.{suffix}"
    FORMATS[suffix](source, Manifest.read(dataset), computed)
    for file in bring(dataset, source, template=[*SCORED, "train"]):
        start = 0 if file.stem == "calibration" else COUNTS["calibration"]
        logits = read(dataset, file)[0]
        np.testing.assert_array_equal(logits, computed["logits"][start : start + COUNTS[file.stem]])


@pytest.fixture
def redrawn(dataset, tmp_path):
    """Path of a manifest whose test images come in another order, their labels in the same."""
    manifest = Manifest.read(dataset)
    test = manifest.splits["test"]
    order, place = np.arange(len(test.labels)), np.flatnonzero(test.labels == 3)
    order[place] = np.roll(place, 1)
    splits = {**manifest.splits, "test": Split(test.ids[order], test.labels[order])}
    (tmp_path / "redrawn").mkdir()
    Manifest(manifest.classes, splits).write(tmp_path / "redrawn/manifest.tsv")
    return tmp_path / "redrawn/manifest.tsv"


def move_record(dataset, redrawn, source):
    """Let the other manifest be that of the same study, later."""
    record = record_of(redrawn, source)
    record.parent.mkdir(parents=True)
    record.write_text(record_of(dataset, source).read_text())
    return record


@pytest.mark.parametrize("suffix", FORMATS)
def test_rows_without_ids_are_not_given_to_other_images(
    dataset, redrawn, computed, tmp_path, suffix
):
    source = tmp_path / f"old-{suffix}.{suffix}"
    FORMATS[suffix](source, Manifest.read(dataset), scored(computed))
    bring(dataset, source)
    bring(dataset, source)
    record = move_record(dataset, redrawn, source)
    before = record.read_text()
    for _ in range(2):
        with pytest.raises(InputError, match=(
            r"models.vit.logits: .*old-.* names no images, and .* order have changed since .*again "
            r"after the new template, .*cores 1 results/mine/template/images.csv.*bring `ids`; .*"
            rf"new order, delete {record}"
        )):  # fmt: skip
            bring(redrawn, source)
    assert record.read_text() == before
    assert not (redrawn.parent / f"outputs/old-{suffix}").exists()
    record.unlink()
    check(redrawn, source, computed, with_features=False)
    assert record.read_text() != before


def test_a_file_of_the_new_order_is_recorded_anew(dataset, redrawn, computed, tmp_path):
    source = tmp_path / "anew.npy"
    np.save(source, scored(computed)["logits"])
    bring(dataset, source)
    move_record(dataset, redrawn, source)
    np.save(source, scored(computed)["logits"] + 1)
    bring(redrawn, source)
    record_of(dataset, source).write_text(record_of(redrawn, source).read_text())
    with pytest.raises(InputError, match="order have changed"):
        bring(dataset, source)


def test_rows_with_ids_follow_their_images(dataset, redrawn, computed, tmp_path):
    source = tmp_path / "follows.npz"
    np.savez(source, **computed)
    bring(dataset, source)
    assert not record_of(dataset, source).exists()
    after = read(redrawn, bring(redrawn, source)[1])[0]
    ids = Manifest.read(redrawn).splits["test"].ids.tolist()
    place = {example: row for row, example in enumerate(computed["ids"].tolist())}
    np.testing.assert_array_equal(after, computed["logits"][[place[example] for example in ids]])


def test_numbers_between_0_and_1_are_cosines_or_warned_of(dataset, computed, tmp_path, caplog):
    sigmoid = 1 / (1 + np.exp(-scored(computed)["logits"]))
    for name, values in (("sigmoid", sigmoid), ("more", sigmoid * 2), ("less", sigmoid - 0.5)):
        caplog.clear()
        np.save(tmp_path / f"{name}.npy", values)
        bring(dataset, tmp_path / f"{name}.npy")
        warnings = [record.getMessage() for record in caplog.records
                    if record.levelno == logging.WARNING]  # fmt: skip
        assert len(warnings) == (name == "sigmoid")
        assert all("sigmoid.npy: all logits lie between 0 and 1" in text for text in warnings)


def test_a_file_in_double_precision_is_rounded_to_single(dataset, computed, tmp_path):
    np.save(tmp_path / "double.npy", scored(computed)["logits"].astype(np.float64) * (1 + 1e-12))
    check(dataset, tmp_path / "double.npy", computed, with_features=False)


def altered(**changes):
    """Write an .npz file with some arrays replaced, or left out where None."""

    def write(path, arrays):
        arrays = {**arrays, **{name: change(arrays) for name, change in changes.items()}}
        np.savez(path, **{name: values for name, values in arrays.items() if values is not None})

    return write


def put(name, row, value):
    def change(arrays):
        values = arrays[name].copy()
        values[row] = value
        return values

    return change


def softmax(arrays):
    values = np.exp(arrays["logits"] - arrays["logits"].max(axis=1, keepdims=True))
    return values / values.sum(axis=1, keepdims=True)


BAD = {
    "few classes": (
        altered(logits=lambda a: a["logits"][:, :9]), "logits of 9 classes, but the study has 10"),
    "background": (
        altered(logits=lambda a: np.pad(a["logits"], ((0, 0), (1, 0)))),
        "11 classes, but the study has 10; leave out the background class"),
    "missing id": (
        altered(ids=lambda a: a["ids"][3:], logits=lambda a: a["logits"][3:],
                features=lambda a: a["features"][3:]),
        r"lacks 3 of the 1300 images of the splits calibration, test, the first being 'train/\d+' "
        r"\(its own first id is 'train/\d+'\)"),
    "id twice": (
        altered(ids=lambda a: put("ids", 5, a["ids"][9])(a)),
        r"1 ids more than once, such as 'train/\d+' in rows 5, 9 counted from 0"),
    "row too few": (
        altered(ids=lambda _: None, features=lambda _: None, logits=lambda a: a["logits"][1:]),
        r"names no images and has 1299 rows, but must hold 1300 images, "
        r"600 \(calibration\) \+ 700 \(test\); bring"),
    "nan": (
        altered(logits=put("logits", (1299, 4), np.nan)),
        r"the logits of image 'test/00699' \(row 1299, counted from 0\) hold a gap, NaN"),
    "infinite feature": (
        altered(features=put("features", (0, 0), np.inf)), "the features of image 'train/"),
    "beyond float32": (
        altered(logits=lambda a: a["logits"].astype(np.float64) * 1e40), "beyond float32"),
    "probabilities": (altered(logits=softmax), "holds probabilities.*into the softmax"),
    "per cent": (
        altered(logits=lambda a: (100 * softmax(a)).round(1)), "probabilities.* sum to 100 in"),
    "whole numbers": (
        altered(logits=lambda a: a["logits"].astype(np.int64)), "logits holds int64; bring float"),
    "objects": (
        altered(ids=lambda a: a["ids"].astype(object)),
        "pickled Python objects, which are never loaded"),
    "one axis": (altered(logits=lambda a: a["logits"][:, 0]), r"the shape \(1300,\).*two axes"),
    "no logits": (
        altered(logits=lambda _: None, scores=lambda a: a["logits"]),
        "holds features, ids, scores, but no array `logits`"),
    "features of other rows": (
        altered(features=lambda a: a["features"][1:]), "features has 1299 rows, but logits 1300"),
    "ids of other rows": (
        altered(ids=lambda a: a["ids"][1:]), r"ids has the shape \(1299,\), but logits 1300 rows"),
    "features of no dimensions": (
        altered(features=lambda a: a["features"][:, :0]), "features has no dimensions; bring some"),
    "logits of no classes": (
        altered(logits=lambda a: a["logits"][:, :0]), "logits of 0 classes, but the study has 10"),
    "ids in latin 1": (
        altered(ids=lambda a: np.char.encode(np.char.add(a["ids"], "é"), "latin-1")),
        "its text is not in UTF-8; write ids and headings in that encoding"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_refused_and_nothing_is_written(dataset, computed, tmp_path, case):
    write, message = BAD[case]
    source = tmp_path / "bad.npz"
    write(source, scored(computed))
    with pytest.raises(InputError, match=message) as error:
        bring(dataset, source)
    assert str(source) in str(error.value)
    folder = dataset.parent / "outputs" / "bad"
    assert not folder.exists() or not list(folder.iterdir())


def heading(change):
    def write(path, dataset, arrays):
        write_csv(path, change(list(dataset.classes)), arrays["logits"], arrays["ids"])

    return write


BAD_TABLES = {
    "a class misspelt": (
        heading(lambda names: ["T-shrt", *names[1:]]),
        "no column headed 'T-shirt', and one headed 'T-shrt', which is no class"),
    "a class twice": (
        heading(lambda names: [names[1], *names[1:]]), "two columns headed 'trouser'"),
    "a class too few": (
        lambda p, d, a: write_csv(p, d.classes[:9], a["logits"][:, :9], a["ids"]),
        "logits of 9 classes, but the study has 10"),
    "a gap": (
        lambda p, d, a: write_csv(p, d.classes, [["", *row[1:]] for row in a["logits"]], a["ids"]),
        "cannot read .*could not convert string ''"),
    "a line cut short": (
        lambda p, d, a: write_csv(p, d.classes, [*a["logits"][:-1], [1.0]], a["ids"]),
        "cannot read .*column"),
    "nothing": (lambda p, d, a: p.write_text(""), "no line of headings, .* first line is empty"),
    "no headings": (
        lambda p, d, a: write_csv(p, a["logits"][0], a["logits"][1:]),
        r"no line of headings, since its first line begins with '-?\d+\.\d+'; put one above"),
    "no headings but ids": (
        lambda p, d, a: p.write_text("test/00000" + ",0.5" * 10 + "\n"),
        "no line of headings, since its first line begins with 'test/00000'; put one above"),
    "ids under another name": (
        lambda p, d, a: p.write_text(
            ",".join(["ID", *map(str, range(10))]) + "\ntest/00000" + ",0.5" * 10 + "\n"),
        "a column headed 'ID'; if it holds the ids, head it with `id`"),
    "semicolons": (
        lambda p, d, a: p.write_text(
            ";".join(map(str, range(10))) + "\n" + ";".join(["0,5"] * 10) + "\n"),
        "has semicolons between its columns; separate them by commas"),
    "tabs": (
        lambda p, d, a: p.write_text("\t".join(["id", *d.classes]) + "\n"),
        "has tabs between its columns; separate them by commas"),
    "no lines": (lambda p, d, a: write_csv(p, d.classes, [], []), r"lacks 1300.*\(it has no rows"),
    "bytes": (lambda p, d, a: p.write_bytes(b"\xff\xfe\x00abc"), "cannot read"),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:loadtxt:UserWarning")
@pytest.mark.parametrize("case", BAD_TABLES)
def test_a_bad_table_is_refused(dataset, computed, tmp_path, case):
    write, message = BAD_TABLES[case]
    source = tmp_path / "bad.csv"
    write(source, Manifest.read(dataset), scored(computed))
    with pytest.raises(InputError, match=message):
        bring(dataset, source)


@pytest.mark.parametrize("ids", [None, "ids", "index"])
def test_the_index_that_pandas_writes_is_no_class(dataset, computed, tmp_path, ids):
    table = pd.DataFrame(scored(computed)["logits"])
    if ids == "ids":
        table["id"] = scored(computed)["ids"]
    elif ids == "index":
        table.index = scored(computed)["ids"]
    source = tmp_path / "pandas.csv"
    table.to_csv(source)
    with pytest.raises(InputError, match=r"no heading above column 1; leave it out .*"
                                         r"index=False.*, or head it with `id`"):  # fmt: skip
        bring(dataset, source)
    pd.read_csv(source).to_csv(source, index=False)  # now it is called 'Unnamed: 0'
    with pytest.raises(InputError, match="no heading above column 1"):
        bring(dataset, source)


def test_columns_may_be_headed_by_their_numbers(dataset, computed, tmp_path):
    write_csv(tmp_path / "numbers.csv", range(10), scored(computed)["logits"])
    check(dataset, tmp_path / "numbers.csv", computed, with_features=False)


@pytest.mark.parametrize("suffix", ["npy", "npz", "h5", "csv"])
def test_a_pickle_is_never_loaded(dataset, tmp_path, suffix):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    source = tmp_path / f"trap.{suffix}"
    source.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(InputError, match=r"cannot read .*trap|no line of headings|logits of"):
        bring(dataset, source)
    np.save(tmp_path / "objects.npy", np.array([Trap()], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match="pickled Python objects"):
        bring(dataset, tmp_path / "objects.npy")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("suffix", ["npy", "npz", "h5"])
def test_a_file_cut_short_is_refused(dataset, computed, tmp_path, suffix):
    source = tmp_path / f"cut.{suffix}"
    FORMATS[suffix](source, Manifest.read(dataset), scored(computed))
    source.write_bytes(source.read_bytes()[:-5000])
    with pytest.raises(InputError, match="cannot read"):
        bring(dataset, source)


def test_features_that_the_study_needs_must_be_there(dataset, computed, tmp_path):
    np.save(tmp_path / "plain.npy", scored(computed)["logits"])
    with pytest.raises(InputError, match=r"holds no features, .*'vit'.* or leave the model out"):
        bring(dataset, tmp_path / "plain.npy", features=True)


def test_classes_in_another_order_begin_the_outputs_anew(dataset, computed, tmp_path):
    rows = scored(computed)
    write_csv(tmp_path / "named.csv", CLASSES, rows["logits"], ids=rows["ids"])
    before = read(dataset, bring(dataset, tmp_path / "named.csv")[0])[0]
    known = Manifest.read(dataset)
    turned = dataset.with_name("turned.tsv")
    Manifest(known.classes[::-1], known.splits).write(turned)
    # The part files of the first time are still there.
    after = read(turned, bring(turned, tmp_path / "named.csv")[0])[0]
    np.testing.assert_array_equal(after, before[:, ::-1])


def test_a_file_that_changed_under_its_name_is_noticed(dataset, computed, tmp_path):
    source = tmp_path / "pinned.npy"
    np.save(source, scored(computed)["logits"])
    digest = read(dataset, bring(dataset, source)[0])[2]["weights"]
    bring(dataset, source, sha256=digest)
    np.save(source, scored(computed)["logits"] + 1)
    with pytest.raises(InputError, match=rf"models.vit: .*not {digest} as models.vit.sha256"):
        bring(dataset, source, sha256=digest)
