"""A damaged intermediate is named, or gives the same result: never another one, nor a traceback."""

import contextlib
import re
import shutil
import time
from collections import Counter
from pathlib import Path

import numpy as np
import torch

from workflow.lib.data.arrays import Array, Writer
from workflow.lib.data.manifest import Manifest
from workflow.lib.data.splits import Split
from workflow.lib.models import networks
from workflow.lib.models.train import loop
from workflow.lib.outputs.arrays import read_arrays
from workflow.lib.outputs.store import Outputs, write
from workflow.lib.outputs.tables import read_table
from workflow.lib.run.errors import InputError
from workflow.lib.run.fingerprint import ROOT
from workflow.lib.show.blocks import figure, sheet
from workflow.scripts.head import _whole
from workflow.scripts.report import _drawing

ROUNDS = 3  # of each mutation on each kind of file


def flip(content: bytes, rng: np.random.Generator) -> bytes:
    place = int(rng.integers(len(content)))
    bit = 1 << int(rng.integers(8))
    return content[:place] + bytes([content[place] ^ bit]) + content[place + 1 :]


def zero(content: bytes, rng: np.random.Generator) -> bytes:
    place = int(rng.integers(len(content)))
    return (content[:place] + bytes(4096) + content[place + 4096 :])[: len(content)]


def cut(content: bytes, rng: np.random.Generator) -> bytes:
    return content[: int(rng.integers(len(content)))]


def lose_a_line(content: bytes, rng: np.random.Generator) -> bytes:
    lines = content.splitlines(keepends=True)
    del lines[int(rng.integers(len(lines)))]
    return b"".join(lines)


def empty(content: bytes, rng: np.random.Generator) -> bytes:
    return b""


MUTATIONS = (flip, zero, cut, lose_a_line, empty)

# What is read of each kind of file: equal for equal results.


def read_manifest(path: Path, results: Path) -> object:
    manifest = Manifest.read(path)
    splits = {name: split.digest for name, split in manifest.splits.items()}
    return manifest.classes, splits, manifest.source


def read_outputs(path: Path, results: Path) -> object:
    place = "downstream" if "downstream" in path.parts else "dataset"
    split = Manifest.read(results / place / "manifest.tsv").split(path.stem)
    with Outputs(path, split) as file:
        values = [file.read(name).tobytes() for name in ("logits", "features")]
        return values, file.labels.tobytes(), sorted(map(str, file.attributes.items()))


def read_images(path: Path, results: Path) -> object:
    array = Array(path)
    pixels = np.empty(array.shape, np.uint8)
    array.read(0, pixels)
    assert np.array_equal(array[:], pixels)
    return pixels.tobytes()


def read_checkpoint(path: Path, results: Path) -> object:
    recipe, tensors = networks.load_tensors(path)
    return recipe, {name: tensor.numpy().tobytes() for name, tensor in tensors.items()}


# What jobs that were killed left, and what a later one makes of it.

SPLIT = Split(np.array([f"test/{row}" for row in range(1200)]), np.arange(1200) % 4)
LOGITS = np.random.default_rng(0).standard_normal((1200, 4)).astype(np.float32)
PIXELS = np.random.default_rng(0).integers(0, 256, (300, 3, 9, 9), dtype=np.uint8)
STATE = {"module": torch.nn.Linear(64, 64).requires_grad_(False)}


def resume_outputs(path: Path, results: Path | None, stop: int = 1200) -> object:
    def compute(rows):
        if rows[-1] >= stop:
            raise KeyboardInterrupt
        return LOGITS[rows], None

    write(path.with_suffix(""), SPLIT, compute, {"weights": "abc"})
    with Outputs(path.with_suffix(""), SPLIT) as file:
        return file.read("logits").tobytes()


def resume_images(path: Path, results: Path | None, stop: int = 300) -> object:
    with Writer(path, PIXELS.shape) as file:
        for row in PIXELS[file.done : stop]:
            file.append(row)
    return stop < 300 or read_images(path, results)


def resume_head(path: Path, results: Path | None) -> object:
    return not _whole(path) or torch.equal(networks.load_tensors(path)[1]["weight"], torch.ones(9))


def resume_training(path: Path, results: Path | None) -> object:
    module = torch.nn.Linear(64, 64)
    before = module.weight.clone()
    done = loop._resume(path, "digest", {"module": module})
    return torch.equal(module.weight, STATE["module"].weight if done["epoch"] else before)


def leave(folder: Path) -> None:
    """Make what killed jobs leave."""
    folder.mkdir(parents=True)
    for name, stop in (("begun", 700), ("done", 1200)):
        with contextlib.suppress(KeyboardInterrupt):
            resume_outputs(folder / f"{name}.h5.part", None, stop)
        (folder / f"{name}.h5").unlink(missing_ok=True)
        resume_images(folder / f"{name}.npy.part", None, stop // 4)
    module = torch.nn.Module()
    module.weight = torch.nn.Parameter(torch.ones(9))
    networks.save(folder / "checkpoint.safetensors.part", {"seed": 0}, module)
    state = {"module": STATE["module"].state_dict(), "digest": "digest", "epoch": 2, "step": 1}
    torch.save(state | {"proof": networks.digest_of(state)}, folder / "resume.pt")


KINDS = {
    "manifests": (["dataset/manifest.tsv", "downstream/manifest.tsv"], read_manifest),
    "tables": (
        ["*.tsv", "figures/*.tsv", "selection/*.tsv", "tables/*.tsv", "features/*.tsv"],
        lambda path, _: read_table(path).to_csv(),
    ),
    "digests of tables": (
        [".*.tsv.sha256"],
        lambda path, _: read_table(path.with_name(path.name[1:-7])).to_csv(),
    ),
    "arrays": (["*.npz"], lambda path, _: {n: a.tobytes() for n, a in read_arrays(path).items()}),
    "outputs": (["outputs/*/*.h5", "downstream/outputs/*/*.h5"], read_outputs),
    "images": (["images/*/*.npy", "downstream/*.npy"], read_images),
    "checkpoints": (["models/*/*.safetensors"], read_checkpoint),
    "drawings": (
        ["figures/*.svg"],
        lambda path, _: figure(path.stem, {"svg": _drawing(path)}, None, ""),
    ),
    "pictures": (
        ["contact_sheets/*.png", "flip_sheets/*.png", "image_sheets/*.png"],
        lambda path, _: sheet("a + b", "", _drawing(path)),
    ),
    "outputs that were begun": (["left/*.h5.part"], resume_outputs),
    "images that were begun": (["left/*.npy.part"], resume_images),
    "heads that were begun": (["left/*.safetensors.part"], resume_head),
    "trainings that were begun": (["left/resume.pt"], resume_training),
}
"""Where files of each kind are, and what reads them."""


def lay(source: Path, path: Path, content: bytes) -> None:
    """Put a file with other content where it is alone but for its table or its digest."""
    shutil.rmtree(path.parent, ignore_errors=True)
    path.parent.mkdir(parents=True)
    name = source.name.strip(".").removesuffix(".sha256")
    for other in (name, f".{name}.sha256"):
        if other != source.name and (source.parent / other).exists():
            shutil.copy(source.parent / other, path.parent)
    path.write_bytes(content)


def test_no_mutation_of_an_intermediate_goes_unnoticed(finished, tmp_path, capsys):
    results, copy = finished.path / "results/small", tmp_path / "copy"
    leave(copy / "left")
    counts, sound, wrong, begin = Counter(), {}, [], time.monotonic()
    for seed, kind in enumerate(KINDS):
        rng, (places, read) = np.random.default_rng(seed), KINDS[kind]
        own = copy if places[0].startswith("left/") else results
        files = sorted(path for place in places for path in own.glob(place))
        files = [path for path in files if kind != "tables" or path.name != "manifest.tsv"]
        assert files, kind
        for mutate in MUTATIONS * ROUNDS:
            source = files[int(rng.integers(len(files)))]
            path = tmp_path / "spoilt" / source.relative_to(own)
            if source not in sound:
                lay(source, path, source.read_bytes())
                sound[source] = read(path, results)
            lay(source, path, mutate(source.read_bytes(), rng))
            try:
                outcome = "same" if read(path, results) == sound[source] else "silent"
            except InputError as error:
                names = str(path.parent) in str(error) and len(str(error)) < 2000
                outcome = "named" if names else "named without its file"
            except Exception as error:
                outcome = f"traceback {error!r}"
            counts[outcome.partition(" ")[0]] += 1
            if outcome not in ("same", "named"):
                wrong.append(f"{kind}: {mutate.__name__} {source.name}: {outcome}")
    with capsys.disabled():
        told = ", ".join(
            f"{counts[name]} {name}" for name in ("named", "same", "silent", "traceback")
        )
        print(f"\n{counts.total()} mutations in {time.monotonic() - begin:.0f} s: {told}")
    assert not wrong, "\n".join(wrong)


READERS = r"np\.load\(|h5py\.File\(|safe_open\(|torch\.load\(|pd\.read_csv\(|\.memmap\("
OWN = {
    "data/arrays.py",
    "outputs/store.py",
    "outputs/tables.py",
    "models/networks.py",
    "models/train/loop.py",
    "outputs/arrays.py",
}
FROM_ELSEWHERE = {
    "compare.py",
    "models/weights.py",
    "outputs/answers.py",
    "outputs/formats.py",
    "scripts/published.py",
}


def test_nothing_reads_an_intermediate_but_its_reader():
    folder = ROOT / "workflow"
    readers = {
        path.relative_to(folder).as_posix().removeprefix("lib/")
        for path in folder.rglob("*.py")
        if re.search(READERS, path.read_text())
    }
    assert readers == OWN | FROM_ELSEWHERE
