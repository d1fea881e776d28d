"""Heads as jobs: fitted on features, made of names, mapped, or checked, and loaded again."""

import os
import time
from functools import partial

import numpy as np
import pytest
import torch

import workflow.lib.backends  # noqa: F401  (before timm)

# isort: split
import open_clip
import timm

from tests.close import assert_same_to_scale
from tests.tiny_clip import write_checkpoint
from workflow.lib.data import imagenet
from workflow.lib.data.images import Images
from workflow.lib.data.manifest import Manifest
from workflow.lib.data.splits import Split
from workflow.lib.models import networks
from workflow.lib.models.inference import Inference
from workflow.lib.outputs import store as outputs
from workflow.lib.probes import fit as probes
from workflow.lib.run.errors import InputError
from workflow.scripts import head as script
from workflow.scripts.head import head

pytestmark = pytest.mark.numeric

INPUT = {"size": 64, "crop": 1.0, "interpolation": "bicubic", "mean": [0.5] * 3, "std": [0.25] * 3}
STRENGTHS = [0.01, 0.1]
LBFGS = {"head": "lbfgs", "data": ["train"], "seed": 0, "regularisation": STRENGTHS, "input": INPUT}


@pytest.fixture
def study(tmp_path):
    """Forty images in two colours, by class, their manifest, and a way to run the job."""
    rng = np.random.default_rng(0)
    pixels, labels = rng.integers(0, 120, (40, 3, 64, 64), dtype=np.uint8), np.arange(40) % 2
    pixels[labels == 1, 0] += 60
    np.save(tmp_path / "train.npy", pixels)
    ids = np.array([f"{i:02d}" for i in range(40)])
    Manifest(("blue", "red"), {"train": Split(ids, labels)}).write(tmp_path / "manifest.tsv")

    def run(parent, recipe, manifest="manifest.tsv"):
        path = tmp_path / "made.safetensors"
        head(
            manifest=str(tmp_path / manifest),
            images=[str(tmp_path / "train.npy")] if "data" in recipe else [],
            parents=[str(parent)],
            weights=[],
            checkpoint=str(path),
            recipe=recipe,
            code=["a fingerprint"],
            threads=1,
        )
        return path

    run.images = Images([tmp_path / "train.npy"], INPUT["mean"], INPUT["std"], networks.device())
    run.labels = labels
    return run


def trained(tmp_path, architecture: str, classes: int = 5, **options):
    """A network with random weights, and its checkpoint."""
    torch.manual_seed(0)
    recipe = {"architecture": architecture, "options": options, "input": INPUT,
              "head": "pretraining", "outputs": classes}  # fmt: skip
    network = networks.create(recipe, classes).eval()
    networks.save(tmp_path / "parent.safetensors", recipe, network)
    return network, tmp_path / "parent.safetensors"


def logits_of(study, path):
    """What the network of a checkpoint says of the study's images."""
    with torch.inference_mode():
        return networks.load_classifier(path, {}, 2)(study.images[np.arange(40)])[2]


@pytest.fixture
def clip(tmp_path):
    """A small CLIP of open_clip's with random weights, and its checkpoint."""
    return write_checkpoint(tmp_path, input=INPUT)


@pytest.mark.parametrize(
    ("architecture", "options"),
    [
        ("test_resnet", {}),
        ("dla34", {}),  # its last layer is a convolution
        ("deit_tiny_distilled_patch16_224", {"img_size": 64, "depth": 1}),  # and here there are two
    ],
)
def test_a_fitted_head_is_the_probe_of_the_features(study, tmp_path, architecture, options):
    network, parent = trained(tmp_path, architecture, **options)
    path = study(parent, LBFGS)
    rows = np.arange(40)
    with torch.inference_mode():
        maps = network.forward_features(study.images[rows])
        if "distilled" in architecture:
            features = torch.cat([maps[:, 0], maps[:, 1]], dim=1)
        else:
            features = network.forward_head(maps, pre_logits=True)
    probe = probes.fit(features.clone(), torch.from_numpy(study.labels), 2, STRENGTHS, seed=0)
    with torch.inference_mode():
        found, outputs, logits = networks.load_classifier(path, {}, 2)(study.images[rows])
    assert_same_to_scale(found, features)
    assert_same_to_scale(logits, probe(features), 3e-3)  # features of other rounding
    assert (logits.argmax(1).numpy() == study.labels).mean() > 0.9
    layer = networks.load_classifier(path, {}, 2).head
    with torch.no_grad():
        linear = torch.nn.functional.linear(found, layer.weight.flatten(1), layer.bias)
    assert_same_to_scale(linear, outputs)
    (part,) = tmp_path.glob("*.part")
    assert part.samefile(path) and not list(tmp_path.glob("features*"))


def test_a_head_is_fitted_on_the_embeddings_of_a_clip(study, clip):
    model, parent = clip
    path = study(parent, LBFGS)
    recipe, tensors = networks.load_tensors(path)
    assert recipe["head"] == "lbfgs" and not networks.part(tensors, "clip")
    with torch.inference_mode():
        features, _, logits = networks.load_classifier(path, {}, 2)(study.images[np.arange(40)])
        expected = model.encode_image(study.images[np.arange(40)], normalize=True)
    torch.testing.assert_close(features, expected, rtol=0, atol=1e-6)
    assert (logits.argmax(1).numpy() == study.labels).mean() > 0.9


def test_names_make_a_head_of_a_clip(study, clip):
    model, parent = clip
    recipe = {"head": "zero-shot", "input": INPUT, "templates": ["{}"]}
    path = study(parent, recipe)
    images = study.images[np.arange(40)]
    with torch.inference_mode():
        _, _, logits = networks.load_classifier(path, {}, 2)(images)
        texts = model.encode_text(open_clip.tokenize(["blue", "red"]), normalize=True)
        expected = model.encode_image(images, normalize=True) @ texts.T * model.logit_scale.exp()
    assert_same_to_scale(logits, expected)
    with pytest.raises(InputError, match=r"needs `templates`"):
        study(parent, {"head": "zero-shot", "input": INPUT})
    named = study(parent, recipe | {"class_names": ["red", "blue"]})
    with torch.inference_mode():
        _, _, swapped = networks.load_classifier(named, {}, 2)(images)
    assert_same_to_scale(swapped, expected[:, [1, 0]])
    with pytest.raises(InputError, match=r"`class_names` has 3 names, and .* 2 classes: .*\("):
        study(parent, recipe | {"class_names": ["red", "blue", "green"]})


def test_a_head_of_a_larger_imagenet_is_mapped(study, tmp_path):
    names = imagenet.classes()[1]
    Manifest(names, {"test": Split(np.array(["a"]), np.array([0]))}).write(tmp_path / "in.tsv")
    parent, path = trained(tmp_path, "test_resnet", 21842)
    made = study(path, {"head": "class-mapping", "input": INPUT}, manifest="in.tsv")
    images = study.images[np.arange(4)]
    labels = timm.data.ImageNetInfo("imagenet-22k-ms").label_names()
    rows = [labels.index(synset) for synset in imagenet.classes()[0]]
    with torch.inference_mode():
        _, _, logits = networks.load_classifier(made, {}, 1000)(images)
        expected = parent(images)
    assert_same_to_scale(logits, expected[:, rows])
    share = expected.softmax(1)[:, rows]
    torch.testing.assert_close(logits.softmax(1), share / share.sum(1, keepdim=True))


def test_images_of_another_manifest_are_refused(study, tmp_path):
    Manifest(("a", "b"), {"train": Split(np.array(["x"]), np.array([0]))}).write(
        tmp_path / "other.tsv"
    )
    _, parent = trained(tmp_path, "test_resnet")
    with pytest.raises(InputError, match=r"train.npy hold 40 images, but the manifest lists 1"):
        study(parent, LBFGS, manifest="other.tsv")


@pytest.mark.parametrize("fits", [8, 0])
def test_batches_are_halved_when_memory_runs_out(study, tmp_path, fits, monkeypatch):
    _, parent = trained(tmp_path, "test_resnet")
    whole = logits_of(study, study(parent, LBFGS))

    def run(network, images, features_of=networks.features_of):
        if len(images) > fits:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return features_of(network, images)

    monkeypatch.setattr(networks, "features_of", run)
    for file in tmp_path.glob("made*"):
        file.unlink()
    if fits:
        path = study(parent, LBFGS)
        monkeypatch.undo()
        assert_same_to_scale(logits_of(study, path), whole, 1e-3)
    else:
        with pytest.raises(InputError, match=r"too small for one image"):
            study(parent, LBFGS)
    assert (tmp_path / "made.safetensors").exists() == bool(fits)


def counted(monkeypatch, stop: int | None = None) -> list[int]:
    """Have images counted, batch by batch, that go through a network, which is killed at some."""
    seen = []

    def run(network, images, features_of=networks.features_of):
        if stop is not None and sum(seen) >= stop:
            raise KeyboardInterrupt
        seen.append(len(images))
        return features_of(network, images)

    monkeypatch.setattr(networks, "features_of", run)
    return seen


def test_a_killed_fit_goes_on_from_its_features_and_a_finished_one_is_not_done_again(
    study, tmp_path, monkeypatch
):
    _, parent = trained(tmp_path, "test_resnet")
    whole = logits_of(study, study(parent, LBFGS))
    for file in tmp_path.glob("made*"):
        file.unlink()
    monkeypatch.setattr(outputs, "BLOCK", 8)
    monkeypatch.setattr(script, "Inference", partial(Inference, batch_size=8))
    with monkeypatch.context() as patch:
        counted(patch, stop=24)
        with pytest.raises(KeyboardInterrupt):
            study(parent, LBFGS)
    assert not (tmp_path / "made.safetensors").exists()
    with monkeypatch.context() as patch:
        seen = counted(patch)
        path = study(parent, LBFGS)
        assert sum(seen) == 40 - 24
    tensors = networks.load_tensors(path)[1]
    assert_same_to_scale(logits_of(study, path), whole, 1e-3)

    path.unlink()  # as Snakemake does where another job of the group fails
    with monkeypatch.context() as patch:
        seen = counted(patch)
        again = networks.load_tensors(study(parent, LBFGS))[1]
        assert seen == []
    assert torch.equal(again["fc.weight"], tensors["fc.weight"])

    path.unlink()
    later = time.time() + 1
    os.utime(parent, (later, later))
    with monkeypatch.context() as patch:
        seen = counted(patch)
        study(parent, LBFGS)
        assert sum(seen) == 40
