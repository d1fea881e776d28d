"""Inference: features are those that the head takes; nothing changes results but by rounding."""

import workflow.lib.backends  # noqa: F401  (before timm)

# isort: split
import re

import numpy as np
import pytest
import torch
from torch import nn

from tests.close import assert_same_to_scale
from workflow.lib.data.images import Images
from workflow.lib.models import networks
from workflow.lib.models.inference import Inference
from workflow.lib.run.errors import InputError

pytestmark = pytest.mark.numeric

RECIPE = {
    "architecture": "test_resnet",
    "options": {"channels": [8, 8, 8, 16]},
    "input": {"size": 28, "mean": [0.3], "std": [0.3]},
}
CPU = torch.device("cpu")


@pytest.fixture
def classifier():
    torch.manual_seed(0)
    return networks.Classifier(networks.create(RECIPE, 4)).eval()


@pytest.fixture
def images(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 1, 28, 28), dtype=np.uint8)
    np.save(tmp_path / "a.npy", pixels[:15])
    np.save(tmp_path / "b.npy", pixels[15:])
    return Images([tmp_path / "a.npy", tmp_path / "b.npy"], [0.3], [0.3], CPU)


def test_logits_are_those_of_the_network_and_features_those_of_its_head(classifier, images):
    rows = np.arange(5, 25)
    logits, features = Inference(classifier, images, model="mine")(rows)
    with torch.inference_mode():
        expected = classifier.network(images[rows])
    assert_same_to_scale(logits, expected)
    head = classifier.network.fc
    assert_same_to_scale(
        features @ head.weight.detach().numpy().T + head.bias.detach().numpy(), logits
    )


@pytest.mark.parametrize("batch_size", [1, 7, 16, 100])
def test_any_batch_size_gives_the_same_rows_of_any_blocks(classifier, images, batch_size):
    expected = Inference(classifier, images, model="mine")(np.arange(40))
    inference = Inference(classifier, images, model="mine", batch_size=batch_size)
    # Blocks in order, then one from elsewhere, as after an interruption.
    for rows in (np.arange(0, 16), np.arange(16, 32), np.arange(32, 40), np.arange(16, 32)):
        for values, whole in zip(inference(rows), expected, strict=True):
            assert values.dtype == np.float32
            assert_same_to_scale(values, whole[rows])


def test_rows_are_computed_once(classifier, images, monkeypatch):
    real, seen = classifier.forward, []
    monkeypatch.setattr(classifier, "forward", lambda x: seen.append(len(x)) or real(x))
    inference = Inference(classifier, images, model="mine", batch_size=12)
    for rows in np.split(np.arange(40), 5):
        inference(rows)
    assert seen == [12, 12, 12, 4]


def test_features_of_the_wrong_layer_are_noticed(classifier, images, monkeypatch):
    network = classifier.network
    real = network.forward_head

    def other(maps, pre_logits=False):
        return real(maps, pre_logits=pre_logits) * (0.9 if pre_logits else 1)

    monkeypatch.setattr(network, "forward_head", other)
    for precision in ("float32", "bfloat16"):
        inference = Inference(classifier, images, model="mine", precision=precision)
        network.fc.weight.data *= 10  # logits as large as those of trained networks
        with pytest.raises(InputError, match="head of 'mine' does not turn its features"):
            inference(np.arange(10))


def test_a_head_that_is_a_convolution_is_checked_too(tmp_path):
    torch.manual_seed(0)
    pixels = np.random.default_rng(0).integers(0, 256, (20, 1, 32, 32), dtype=np.uint8)
    np.save(tmp_path / "c.npy", pixels)
    images = Images([tmp_path / "c.npy"], [0.3], [0.3], CPU)
    options = {"base_width": 4, "cardinality": 1, "channels": [8, 8, 8, 16, 16, 16]}
    recipe = RECIPE | {"architecture": "dla34", "options": options}
    classifier = networks.Classifier(networks.create(recipe, 4)).eval()
    assert isinstance(classifier.head, nn.Conv2d)
    inference = Inference(classifier, images, model="mine", batch_size=10)
    logits, features = inference(np.arange(10))
    assert features.shape == (10, 16)
    weight, bias = (p.detach().numpy() for p in classifier.head.parameters())
    assert_same_to_scale(features @ weight[:, :, 0, 0].T + bias, logits)
    classifier.head.register_forward_hook(lambda *a: a[-1] + 1)
    with pytest.raises(InputError, match="does not turn its features into its logits"):
        inference(np.arange(10, 20))


def small_memory(classifier, monkeypatch, largest: int, error=torch.OutOfMemoryError) -> list[int]:
    """Let batches above a size raise an error; gives the sizes seen."""
    real, sizes = classifier.forward, []

    def forward(images):
        sizes.append(len(images))
        if len(images) > largest:
            raise error("no")
        return real(images)

    monkeypatch.setattr(classifier, "forward", forward)
    return sizes


def test_batches_shrink_when_memory_runs_out(classifier, images, monkeypatch):
    expected = Inference(classifier, images, model="mine")(np.arange(40))
    sizes = small_memory(classifier, monkeypatch, 10)
    inference = Inference(classifier, images, model="mine", batch_size=32)
    parts = [inference(rows) for rows in np.split(np.arange(40), 2)]
    assert sizes == [32, 16, 8, 8, 8, 8, 8]
    for own, whole in zip(zip(*parts, strict=True), expected, strict=True):
        assert_same_to_scale(np.concatenate(own), whole)


def test_memory_too_small_for_one_image_is_told_with_the_model(classifier, images, monkeypatch):
    small_memory(classifier, monkeypatch, 0)
    inference = Inference(classifier, images, model="mine", batch_size=4)
    with pytest.raises(InputError, match="too small for one image of the model 'mine'"):
        inference(np.arange(4))


def test_no_other_error_is_tried_again(classifier, images, monkeypatch):
    sizes = small_memory(classifier, monkeypatch, 10, torch.AcceleratorError)
    inference = Inference(classifier, images, model="mine", batch_size=32)
    with pytest.raises(torch.AcceleratorError):
        inference(np.arange(32))
    assert sizes == [32]


def test_images_of_a_size_that_the_network_cannot_take_are_told(tmp_path):
    np.save(tmp_path / "c.npy", np.zeros((4, 1, 28, 28), np.uint8))
    images = Images([tmp_path / "c.npy"], [0.3], [0.3], CPU)
    classifier = networks.Classifier(
        networks.create(
            RECIPE | {"architecture": "test_vit", "options": {"dynamic_img_size": False}}, 4
        )
    ).eval()
    told = (
        "the model 'mine' cannot take images of 28 pixels: Input height (28) doesn't match model "
        "(160); leave out input.size, or give timm's options: {img_size: 28}"
    )
    with pytest.raises(InputError, match=f"^{re.escape(told)}$") as error:
        Inference(classifier, images, model="mine")(np.arange(4))
    assert isinstance(error.value.__cause__, AssertionError)


@pytest.mark.parametrize("error", [RuntimeError, AssertionError])
def test_only_the_first_batch_says_that_the_size_is_wrong(classifier, images, monkeypatch, error):
    inference = Inference(classifier, images, model="mine", batch_size=10)
    small_memory(classifier, monkeypatch, 0, error)
    with pytest.raises(InputError, match="cannot take images of 28 pixels: no; leave out"):
        inference(np.arange(10))
    monkeypatch.undo()
    inference(np.arange(10))
    small_memory(classifier, monkeypatch, 0, error)
    with pytest.raises(error, match=r"^no$"):
        inference(np.arange(10, 20))


@pytest.mark.parametrize(("precision", "close"), [("bfloat16", 0.05), ("float16", 0.01)])
def test_reduced_precision_is_close_and_its_logits_are_not_rounded(
    classifier, images, precision, close
):
    exact, _ = Inference(classifier, images, model="mine")(np.arange(40))
    reduced, features = Inference(classifier, images, model="mine", precision=precision)(
        np.arange(40)
    )
    assert 0 < np.abs(reduced - exact).max() < close * np.abs(exact).max()
    # The head is in float32, so that logits do not tie.
    head = classifier.network.fc
    expected = torch.from_numpy(features) @ head.weight.T + head.bias
    assert_same_to_scale(reduced, expected.detach())
    assert (
        torch.from_numpy(reduced).to(getattr(torch, precision)).float().numpy() != reduced
    ).any()


def test_mapped_classes_keep_their_head_in_float32(images):
    torch.manual_seed(0)
    classifier = networks.Classifier(
        networks.create(RECIPE, 6), groups=networks.class_of_label("shades", 2)
    ).eval()
    exact, _ = Inference(classifier, images, model="mine")(np.arange(40))
    reduced, features = Inference(classifier, images, model="mine", precision="bfloat16")(
        np.arange(40)
    )
    assert reduced.shape == exact.shape == (40, 2)
    with torch.inference_mode():
        outputs = classifier.head(torch.from_numpy(features))
        expected = torch.stack([outputs[:, :3].logsumexp(1), outputs[:, 3:].logsumexp(1)], 1)
    assert_same_to_scale(reduced, expected)


def test_a_network_that_cannot_be_compiled_is_told_with_the_switch(images, monkeypatch):
    class Odd(nn.Module):
        network, head = nn.Identity(), nn.Identity()

    def refuse(*_, **__):
        def call(_):
            raise torch._dynamo.exc.Unsupported("no compiler\nat all")

        return call

    monkeypatch.setattr(torch, "compile", refuse)
    inference = Inference(Odd(), images, model="mine", compile=True)
    told = "'mine' cannot be compiled here: no compiler; set extraction.compile: false"
    with pytest.raises(InputError, match=re.escape(told)):
        inference(np.arange(4))


def test_compiled_networks_see_one_shape(classifier, images, monkeypatch):
    expected = Inference(classifier, images, model="mine")(np.arange(40))
    shapes = []

    def watch(network, dynamic):
        assert not dynamic
        return lambda x: shapes.append(len(x)) or network(x)

    monkeypatch.setattr(torch, "compile", watch)
    inference = Inference(classifier, images, model="mine", batch_size=16, compile=True)
    for own, whole in zip(inference(np.arange(40)), expected, strict=True):
        assert_same_to_scale(own, whole)
    assert shapes == [16, 16, 16]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_gpu_gives_what_a_cpu_gives(classifier, tmp_path, precision):
    pixels = np.random.default_rng(0).integers(0, 256, (1300, 1, 28, 28), dtype=np.uint8)
    np.save(tmp_path / "c.npy", pixels)
    results = []
    for device in (CPU, torch.device("cuda")):
        images = Images([tmp_path / "c.npy"], [0.3], [0.3], device)
        inference = Inference(
            classifier.to(device), images, model="mine", precision=precision, batch_size=64
        )
        blocks = [inference(np.arange(row, min(row + 512, 1300))) for row in range(0, 1300, 512)]
        results.append([np.concatenate(part) for part in zip(*blocks, strict=True)])
    for own, other in zip(*results, strict=True):
        assert_same_to_scale(own, other, 1e-4 if precision == "float32" else 0.05)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_batches_shrink_when_the_memory_of_a_gpu_is_full(tmp_path):
    device = torch.device("cuda")
    pixels = np.random.default_rng(0).integers(0, 256, (512, 3, 224, 224), dtype=np.uint8)
    np.save(tmp_path / "c.npy", pixels)
    images = Images([tmp_path / "c.npy"], [0.5] * 3, [0.5] * 3, device)
    recipe = {"architecture": "resnet50", "options": {}, "input": {"mean": [0.5] * 3}}
    network = networks.Classifier(networks.create(recipe, 10)).eval().to(device)
    few = Inference(network, images, model="mine", batch_size=8)(np.arange(512))
    torch.cuda.empty_cache()
    whole = torch.cuda.get_device_properties(device).total_memory
    torch.cuda.set_per_process_memory_fraction(1.5e9 / whole)  # 512 images need several GB
    try:
        inference = Inference(network, images, model="mine", batch_size=512)
        many = inference(np.arange(512))
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert 1 <= inference.batch_size < 512
    for own, other in zip(many, few, strict=True):
        assert_same_to_scale(own, other, 1e-4)
