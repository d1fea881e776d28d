"""Heads made of class names and of other labels, against open_clip's own way and by hand."""

import json

import pytest
import torch
from torch.nn import functional as F

import workflow.lib.backends  # noqa: F401  (before timm)

# isort: split
import open_clip
import timm
from timm.data import ImageNetInfo

from tests.close import assert_same_to_scale
from tests.tiny_clip import TINY, write_checkpoint
from workflow.lib.data import imagenet
from workflow.lib.models import heads, networks
from workflow.lib.models.clip import TextTower
from workflow.lib.run.errors import InputError

pytestmark = pytest.mark.numeric

IMAGES = torch.randn(3, 3, 64, 64, generator=torch.Generator().manual_seed(0))
NAMES = imagenet.classes()[1]


@pytest.fixture
def clip(tmp_path):
    """A small CLIP of open_clip's with random weights, and its checkpoint."""
    return write_checkpoint(tmp_path)


def test_zero_shot_logits_are_open_clips_own(clip, tmp_path):
    model, path = clip
    templates, names = ["a photo of a {}.", "the {}"], ["cat", "dog", "old tree"]
    tower, head = heads.zero_shot_head(path, templates, names)
    networks.save(tmp_path / "head.safetensors", networks.load_tensors(path)[0], tower, head=head)
    classifier = networks.load_classifier(tmp_path / "head.safetensors", {}, 3)
    with torch.no_grad():
        features, _, logits = classifier(IMAGES)
        texts = [model.encode_text(open_clip.tokenize([t.format(n) for t in templates]), True)
                 for n in names]  # fmt: skip
        expected = torch.stack([F.normalize(text.mean(0), dim=0) for text in texts])
        images = model.encode_image(IMAGES, normalize=True)
    torch.testing.assert_close(features, images, rtol=0, atol=1e-6)
    logits_of_clip = model.logit_scale.exp() * images @ expected.T
    assert_same_to_scale(logits, logits_of_clip.detach())


def test_imagenet_has_open_clips_names_and_templates(clip, monkeypatch):
    _, path = clip
    seen = {}

    def build(model, tokenizer, classes, templates, **options):
        seen.update(classes=classes, templates=templates)
        return torch.zeros(16, len(classes))

    monkeypatch.setattr(open_clip, "build_zero_shot_classifier", build)
    heads.zero_shot_head(path, None, NAMES)
    assert seen["classes"] == list(open_clip.IMAGENET_CLASSNAMES)
    short = [[name.partition(" (")[0] for name in names] for names in (seen["classes"], NAMES)]
    assert short[0] == short[1]  # in the same order
    assert seen["templates"] == list(open_clip.OPENAI_IMAGENET_TEMPLATES)
    heads.zero_shot_head(path, ["a {}"], NAMES)
    assert (seen["classes"][744], seen["templates"]) == ("missile", ["a {}"])
    heads.zero_shot_head(path, ["a {}"], ["x", "y"])
    assert seen["classes"] == ["x", "y"]
    own = [f"name {number}" for number in range(1000)]
    heads.zero_shot_head(path, None, NAMES, own)
    assert (seen["classes"], seen["templates"]) == (own, list(open_clip.OPENAI_IMAGENET_TEMPLATES))
    with pytest.raises(InputError, match=r"has 2 names, and .* 1000 classes: .*\(tench, goldfish"):
        heads.zero_shot_head(path, None, NAMES, ["x", "y"])
    with pytest.raises(InputError, match=r"needs `templates`"):
        heads.zero_shot_head(path, None, ["x", "y"])


def test_classes_that_share_their_texts_are_refused(clip, caplog, monkeypatch):
    _, path = clip
    with pytest.raises(InputError, match=r"cannot tell them apart: a \('cat'\) and b \('cat'\)\. "):
        heads.zero_shot_head(path, ["a {}"], ["a", "b", "c"], ["cat", "cat", "emu"])
    with pytest.raises(InputError, match=r"Tree \('Tree'\) and tree \('tree'\)"):
        heads.zero_shot_head(path, ["a {}"], ["Tree", "tree"])  # read in lower case
    long = "a photo of " + 80 * "very " + "good {}"
    with pytest.raises(InputError, match=r"ant .* and bee .*a text is cut at the end"):
        heads.zero_shot_head(path, [long], ["ant", "bee"])
    heads.zero_shot_head(path, [long, "the {}"], ["ant", "bee"])
    assert "are the same" not in caplog.text
    monkeypatch.setattr(
        open_clip, "build_zero_shot_classifier", lambda *_, **__: torch.zeros(16, len(NAMES))
    )
    heads.zero_shot_head(path, ["a {}"], NAMES)
    assert "('missile') and " in caplog.text  # of open_clip's own


def test_other_networks_have_no_zero_shot_head(tmp_path):
    recipe = {"architecture": "test_vit", "options": {}, "input": {"mean": [0, 0, 0]}}
    networks.save(tmp_path / "a.safetensors", recipe, networks.create(recipe, 3))
    with pytest.raises(InputError, match=r"a.safetensors has no text tower"):
        heads.zero_shot_head(tmp_path / "a.safetensors", ["a {}"], ["x"])


def test_a_tokenizer_that_cannot_be_had_is_named(clip, tmp_path, monkeypatch):
    model, path = clip
    recipe = networks.load_tensors(path)[0]
    config = TINY | {"text_cfg": TINY["text_cfg"] | {"hf_tokenizer_name": "some/tokenizer"}}
    (tmp_path / "tiny-clip-hf.json").write_text(json.dumps(config))
    open_clip.add_model_config(tmp_path / "tiny-clip-hf.json")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    recipe |= {"open_clip": "tiny-clip-hf/tag", "clip": config}
    networks.save(path, recipe, model.visual, clip=TextTower(model))
    with pytest.raises(InputError, match=r"(?s)tokenizer some/tokenizer .*transformers"):
        heads.zero_shot_head(path, ["a {}"], ["x"])


@pytest.mark.parametrize(
    ("labels", "subset", "missing"),
    [
        (21843, "imagenet-21k-goog", 1),
        (21841, "imagenet-22k", 1),
        (21842, "imagenet-22k-ms", 0),
        (11821, "imagenet-12k", 7),
        (11221, "imagenet-21k-miil", 9),
    ],
)
def test_a_class_is_mapped_to_its_own_synset(labels, subset, missing):
    names = ImageNetInfo(subset).label_names()
    rows = heads.label_of_class(NAMES, labels).tolist()
    assert len(names) == labels and rows.count(-1) == missing
    synsets = imagenet.classes()[0]
    assert all(names[row] == synset for row, synset in zip(rows, synsets, strict=True) if row >= 0)
    # By hand, in the list of Google's 21k: tench, the house cat's tabby, and the missing teddy.
    if labels == 21843:
        descriptions = ImageNetInfo(subset).index_to_description
        assert descriptions(rows[0]).startswith("tench")
        assert descriptions(rows[281]).startswith("tabby")
        assert NAMES[rows.index(-1)] == "teddy bear"


def test_classes_named_by_synsets_are_mapped_too():
    rows = heads.label_of_class(["n02123045", "n01440764"], 1000)
    assert rows.tolist() == [281, 0]


@pytest.mark.parametrize(
    ("classes", "labels", "message"),
    [
        (NAMES, 19168, r"has 19168 outputs, and timm ships no list"),
        (["cat", "dog"], 21843, r"must be ImageNet's thousand, or named by their synsets"),
        (["n01440764", "n99999999"], 21843, r"1 of 2 classes are not among .*n99999999"),
    ],
)
def test_labels_that_cannot_be_mapped_are_refused(classes, labels, message):
    with pytest.raises(InputError, match=message):
        heads.label_of_class(classes, labels)


@pytest.mark.parametrize("architecture", ["test_vit", "test_resnet", "dla34"])
def test_mapped_logits_are_those_of_the_labels_and_else_their_mean(architecture):
    torch.manual_seed(0)
    parent = timm.create_model(architecture, num_classes=6).eval()
    network = timm.create_model(architecture, num_classes=4).eval()
    trunk = {key: tensor for key, tensor in parent.state_dict().items()
             if tensor.shape == network.state_dict()[key].shape}  # fmt: skip
    network.load_state_dict(network.state_dict() | trunk)
    heads.map_labels(network, parent, torch.tensor([5, 0, -1, 2]))
    with torch.no_grad():
        ours, theirs = network(IMAGES), parent(IMAGES)
    assert_same_to_scale(ours[:, [0, 1, 3]], theirs[:, [5, 0, 2]])
    assert_same_to_scale(ours[:, 2], theirs[:, [5, 0, 2]].mean(1))
