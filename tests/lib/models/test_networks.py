"""Checkpoints: loaded whole and without unpickling, or refused with a reason."""

import workflow.lib.backends  # noqa: F401  (before timm)

# isort: split
import datetime
import pickle

import pytest
import safetensors.torch
import timm
import torch
from torch.nn import functional as F

from tests.close import assert_same_to_scale
from workflow.lib.models import networks
from workflow.lib.models.networks import Classifier, load_classifier
from workflow.lib.run.errors import InputError

pytestmark = pytest.mark.numeric

RECIPE = {
    "architecture": "test_resnet",
    "options": {"channels": [8, 8, 8, 16]},
    "input": {"size": 28, "mean": [0.3], "std": [0.3]},
    "head": "trained",
    "labels": "classes",
}
IMAGES = torch.randn(5, 1, 28, 28, generator=torch.Generator().manual_seed(0))


def network(classes: int = 4, **changes):
    torch.manual_seed(0)
    return networks.create(RECIPE | changes, classes).eval()


def test_a_checkpoint_gives_back_weights_and_recipe(tmp_path):
    original = network()
    networks.save(tmp_path / "a.safetensors", RECIPE, original)
    recipe, _ = networks.load_tensors(tmp_path / "a.safetensors")
    assert recipe == RECIPE
    features, outputs, logits = load_classifier(tmp_path / "a.safetensors", {}, 4)(IMAGES)
    assert torch.equal(logits, original(IMAGES))
    assert torch.equal(outputs, logits)
    assert_same_to_scale(original.get_classifier()(features).detach(), logits.detach())


def test_a_pickled_checkpoint_that_runs_code_is_refused(tmp_path, capsys):
    class Evil:
        def __reduce__(self):
            return (print, ("pwned",))

    (tmp_path / "a.pth").write_bytes(pickle.dumps({"state_dict": Evil()}, protocol=2))
    with pytest.raises(InputError, match=r"tensors and nothing else") as error:
        networks.load_tensors(tmp_path / "a.pth")
    assert "a.pth" in str(error.value)
    assert "pwned" not in capsys.readouterr().out
    torch.save({"weight": torch.zeros(1), "args": {"lr": 1}}, tmp_path / "b.pth")
    with pytest.raises(InputError, match=r"holds more than tensors"):
        networks.load_tensors(tmp_path / "b.pth")


def test_a_state_dict_from_elsewhere_is_read(tmp_path):
    torch.save({"state_dict": network().state_dict()}, tmp_path / "a.pth")
    _, tensors = networks.load_tensors(tmp_path / "a.pth")
    assert tensors.keys() == network().state_dict().keys()


@pytest.mark.parametrize(
    "prefix", ["module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."]
)
def test_a_wrapped_networks_state_dict_is_unwrapped(tmp_path, prefix):
    tensors = network().state_dict()
    wrapped = {prefix + key: tensor for key, tensor in tensors.items()}
    torch.save({"state_dict": wrapped}, tmp_path / "a.pth")
    safetensors.torch.save_file(wrapped, tmp_path / "a.safetensors")
    for name in ("a.pth", "a.safetensors"):
        _, found = networks.load_tensors(tmp_path / name)
        assert found.keys() == tensors.keys()
    partly = {"module.a": torch.zeros(1), "b": torch.zeros(1)}
    torch.save(partly, tmp_path / "a.pth")
    assert networks.load_tensors(tmp_path / "a.pth")[1].keys() == partly.keys()


@pytest.mark.parametrize(
    "content",
    [[torch.zeros(1)], torch.zeros(1), {"state_dict": None}, {"state_dict": [1]},
     {1: torch.zeros(1)}],
)  # fmt: skip
def test_a_checkpoint_of_another_form_is_named(tmp_path, content):
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(InputError, match=r"a.pth holds more than tensors, or tensors without"):
        networks.load_tensors(tmp_path / "a.pth")


def test_two_sets_of_weights_are_not_chosen_from(tmp_path):
    sets = {"state_dict": network().state_dict(), "state_dict_ema": network().state_dict()}
    torch.save(sets, tmp_path / "a.pth")
    with pytest.raises(InputError, match=r"a.pth holds 2 sets of weights, state_dict and state_"):
        networks.load_tensors(tmp_path / "a.pth")
    torch.save(sets | {"state_dict_ema": None}, tmp_path / "a.pth")
    assert networks.load_tensors(tmp_path / "a.pth")[1].keys() == sets["state_dict"].keys()


@pytest.mark.parametrize("damage", [lambda b: b[:100], lambda b: b[:-100], lambda b: b""])
def test_a_damaged_checkpoint_is_named(tmp_path, damage):
    path = tmp_path / "a.safetensors"
    networks.save(path, RECIPE, network())
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InputError, match=r"cannot read the checkpoint .*a.safetensors"):
        networks.load_tensors(path)
    with pytest.raises(InputError, match=r"there is no checkpoint"):
        networks.load_tensors(tmp_path / "b.safetensors")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda t: t.update({"fc.weight": torch.zeros(4, 15)}), "size mismatch for fc.weight"),
        (lambda t: t.pop("fc.bias"), "Missing key.*fc.bias"),
        (lambda t: t.update(more=torch.zeros(1)), "Unexpected key.*more"),
    ],
)
def test_weights_that_do_not_fit_are_refused(tmp_path, spoil, message):
    tensors = dict(network().state_dict())
    spoil(tensors)
    path = tmp_path / "a.safetensors"
    safetensors.torch.save_file(tensors, path)
    with pytest.raises(InputError, match=message) as error:
        load_classifier(path, RECIPE, 4)
    assert str(path) in str(error.value)


def test_an_architecture_or_option_that_timm_has_not_is_named():
    with pytest.raises(InputError, match=r"'test_resnot'"):
        network(architecture="test_resnot")
    with pytest.raises(InputError, match=r"chanels"):
        network(options={"chanels": 3})


def test_class_mapping_adds_the_probabilities_of_a_classs_labels():
    classifier = Classifier(network(6), groups=networks.class_of_label("shades", 2))
    _, outputs, logits = classifier(IMAGES)
    assert logits.shape == (5, 2)
    fine, coarse = outputs.softmax(1), logits.softmax(1)
    torch.testing.assert_close(coarse[:, 0], fine[:, :3].sum(1))
    torch.testing.assert_close(coarse[:, 1], fine[:, 3:].sum(1))


def test_a_pretrained_trunk_keeps_its_weights_and_gets_a_fresh_last_layer(tmp_path):
    original = network(6)
    networks.save(tmp_path / "a.safetensors", RECIPE, original, projector=torch.nn.Linear(3, 3))
    trunk = networks.pretrained(tmp_path / "a.safetensors", 4).eval()
    assert trunk.get_classifier().weight.shape == (4, 16)
    before = original.forward_head(original.forward_features(IMAGES), pre_logits=True)
    after = trunk.forward_head(trunk.forward_features(IMAGES), pre_logits=True)
    assert torch.equal(before, after)


def test_an_embedding_head_takes_normalised_outputs(tmp_path):
    tower, head = network(7), torch.nn.Linear(7, 4, bias=False)
    networks.save(tmp_path / "a.safetensors", RECIPE, tower, head=head)
    features, _, logits = load_classifier(tmp_path / "a.safetensors", {}, 4)(IMAGES)
    torch.testing.assert_close(features.norm(dim=1), torch.ones(5))
    expected = F.normalize(tower(IMAGES)) @ head.weight.T
    assert_same_to_scale(logits.detach(), expected.detach())


@pytest.mark.parametrize(
    "architecture",
    [
        "test_vit",
        "dla34",  # the last layer is a convolution of one pixel
        "dpn48b",
        "resnetv2_50x1_bit",
        "deit_tiny_distilled_patch16_224",  # two heads on two tokens
        "efficientformer_l1",  # two heads on the same features
    ],
)
def test_the_head_takes_the_features_and_gives_timms_logits(architecture):
    torch.manual_seed(0)
    theirs = timm.create_model(architecture, num_classes=4).eval()
    for layer in networks.last_layers(theirs):
        torch.nn.init.normal_(layer.weight)
        torch.nn.init.normal_(layer.bias)
    size = theirs.default_cfg["input_size"][-1]
    images = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    classifier = Classifier(theirs)
    with torch.no_grad():
        features, outputs, logits = classifier(images)
        assert torch.equal(logits, theirs(images))
        head = classifier.head
        expected = F.linear(features, head.weight.flatten(1), head.bias)
        assert_same_to_scale(expected, outputs)
        weight = torch.randn(head.weight.flatten(1).shape)
        networks.set_linear_head(theirs, weight, torch.arange(4.0))
        again, outputs, _ = classifier(images)
        assert torch.equal(again, features)
        expected = F.linear(features, weight, torch.arange(4.0))
        assert_same_to_scale(outputs, expected)


def test_a_head_that_is_not_linear_cannot_be_replaced():
    network = timm.create_model("levit_128s", num_classes=4)
    with pytest.raises(InputError, match=r"a LevitDistilled has no linear last layer"):
        networks.set_linear_head(network, torch.zeros(4, 384), torch.zeros(4))


def test_an_image_tower_of_open_clip_takes_no_last_layer(tmp_path):
    config = {
        "embed_dim": 8,
        "vision_cfg": {"image_size": 28, "layers": 1, "width": 64, "patch_size": 14},
        "text_cfg": {},
    }
    recipe = {"clip": config}
    networks.save(tmp_path / "a.safetensors", recipe, networks.create(recipe, 0))
    with pytest.raises(InputError, match=r"a.safetensors is an image tower of open_clip"):
        networks.pretrained(tmp_path / "a.safetensors", 4)


def test_a_file_of_other_objects_is_told_without_advice_to_unpickle_it(tmp_path):
    torch.save({"a": torch.zeros(2), "b": datetime.date(2020, 1, 1)}, tmp_path / "a.pth")
    with pytest.raises(
        InputError, match=r"a.pth: .* other objects \(datetime.date\), which"
    ) as told:
        networks.load_tensors(tmp_path / "a.pth")
    assert "weights_only" not in str(told.value) and "Re-running" not in str(told.value)


def spoilt(content: bytes, place: int) -> bytes:
    """Flip a bit."""
    return content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :]


@pytest.mark.parametrize("share", [0, 1e-3, 0.01, 0.02, 0.05, 0.2, 0.5, 0.999])
def test_a_damaged_checkpoint_of_ours_is_named(tmp_path, share):
    path = tmp_path / "a.safetensors"
    networks.save(path, {"architecture": "test_resnet"}, network())
    content = path.read_bytes()
    for damaged in (
        spoilt(content, int(share * len(content))),
        content[: int(share * len(content))],
    ):
        path.write_bytes(damaged)
        with pytest.raises(
            InputError, match=r"(?s)checkpoint .*a.safetensors.*delete it and run again"
        ):
            networks.load_tensors(path)


def test_a_digest_tells_any_tensor_number_and_name_apart_and_no_order():
    tensors = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.tensor(True), "c": torch.ones(0)}
    known = {networks.digest_of([tensors, 1])}
    assert networks.digest_of([dict(reversed(tensors.items())), 1]) in known
    a, b = tensors["a"], tensors["b"]
    changes = [
        {"d": 1},
        {"a": a.reshape(3, 2)},
        {"a": a.double()},
        {"a": a.flip(0)},
        {"b": ~b},
        {"a": b, "b": a},
        {"c": torch.ones(1)},
    ]
    for other in ([tensors, 2], [tensors], *([tensors | change, 1] for change in changes)):
        digest = networks.digest_of(other)
        assert digest not in known
        known.add(digest)
