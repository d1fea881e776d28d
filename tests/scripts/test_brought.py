"""Logits from elsewhere: the same outputs from every format, and a message for each bad file."""

import csv
import gzip
import pickle
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from workflow.lib.datasets import Manifest, Split
from workflow.lib.jobs import InputError
from workflow.lib.outputs import Outputs
from workflow.scripts.brought import brought
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
import workflow.lib.compat
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


def bring(dataset, source, splits=SCORED, order=SCORED, features=False, sha256=None):
    """Run the script; give the outputs files that it wrote."""
    files = [dataset.parent / "outputs" / source.stem / f"{split}.h5" for split in splits]
    for file in files:
        file.unlink(missing_ok=True)
    brought(
        manifest=str(dataset), source=str(source), files=[str(file) for file in files], model="vit",
        sha256=sha256, splits=splits, order=order, features=features, code=["c"],
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
        assert attributes["brought"] == str(source)
        assert len(attributes["weights"]) == 64
        start = stop


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
        r"names no images and has 1299 rows, but the template has 1300 images, "
        r"600 \(calibration\) \+ 700 \(test\)"),
    "nan": (
        altered(logits=put("logits", (1299, 4), np.nan)),
        r"the logits of image 'test/00699' \(row 1299, counted from 0\) hold a gap, NaN"),
    "infinite feature": (
        altered(features=put("features", (0, 0), np.inf)), "the features of image 'train/"),
    "beyond float32": (
        altered(logits=lambda a: a["logits"].astype(np.float64) * 1e40), "beyond float32"),
    "probabilities": (altered(logits=softmax), "holds probabilities.*into the softmax"),
    "whole numbers": (
        altered(logits=lambda a: a["logits"].astype(np.int64)), "logits holds int64; bring float"),
    "objects": (
        altered(ids=lambda a: a["ids"].astype(object)),
        "pickled Python objects, which are never loaded"),
    "one axis": (altered(logits=lambda a: a["logits"][:, 0]), r"the shape \(1300,\).*two axes"),
    "no logits": (
        altered(logits=lambda _: None, scores=lambda a: a["logits"]),
        "holds ids, features, scores, but no array `logits`"),
    "features of other rows": (
        altered(features=lambda a: a["features"][1:]), "features has 1299 rows, but logits 1300"),
    "ids of other rows": (
        altered(ids=lambda a: a["ids"][1:]), r"ids has the shape \(1299,\), but logits 1300 rows"),
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
    "nothing": (lambda p, d, a: p.write_text(""), "logits of 0 classes"),
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
    with pytest.raises(InputError, match=r"cannot read .*trap|logits of"):
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


def test_a_file_that_changed_under_its_name_is_noticed(dataset, computed, tmp_path):
    source = tmp_path / "pinned.npy"
    np.save(source, scored(computed)["logits"])
    digest = read(dataset, bring(dataset, source)[0])[2]["weights"]
    bring(dataset, source, sha256=digest)
    np.save(source, scored(computed)["logits"] + 1)
    with pytest.raises(InputError, match=rf"models.vit: .*not {digest} as models.vit.sha256"):
        bring(dataset, source, sha256=digest)
