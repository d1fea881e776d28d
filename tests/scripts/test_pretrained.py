"""Checkpoints of public networks: whole and with their source, or a message saying what to do."""

import hashlib

import pytest
import torch

import workflow.lib.backends  # noqa: F401  (before timm)

# isort: split
import timm
from safetensors.torch import save_file

from tests.run.photographs import write_weights
from workflow.lib.data.imagenet import classes
from workflow.lib.data.manifest import Manifest
from workflow.lib.data.splits import Split
from workflow.lib.models import hub, networks, preprocessing
from workflow.lib.run.errors import InputError
from workflow.scripts.pretrained import pretrained

IMAGES = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def run(folder, names=(), weights=(), **recipe):
    """Bring a network into folder/net/checkpoint.safetensors."""
    Manifest(tuple(names), {"test": Split(*2 * [torch.zeros(0).numpy()])}).write(folder / "m.tsv")
    recipe = {"head": "pretrained", "input": preprocessing.preprocessing(recipe)} | recipe
    path = folder / "net/checkpoint.safetensors"
    pretrained(
        manifest=str(folder / "m.tsv"), weights=weights or [], checkpoint=str(path),
        recipe=recipe, entry="models.net", threads=1,
    )  # fmt: skip
    return path, recipe


@pytest.fixture(scope="module")
def lite(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "lite0.safetensors"
    write_weights("tf_efficientnet_lite0", path)
    return path


def test_a_real_network_keeps_its_logits_and_says_where_it_comes_from(tmp_path, lite):
    entry = {"timm": "tf_efficientnet_lite0.in1k", "checkpoint": str(lite)}
    path, recipe = run(tmp_path, classes()[1], str(lite), **entry)
    own, _ = networks.load_tensors(path)
    digest = hashlib.sha256(lite.read_bytes()).hexdigest()
    source = {"name": f"timm:{entry['timm']}", "file": lite.name, "sha256": digest}
    made = {"architecture": entry["timm"], "options": {}, "outputs": 1000, "source": source}
    assert own == recipe | made
    theirs = timm.create_model("tf_efficientnet_lite0", checkpoint_path=lite).eval()
    assert torch.equal(networks.load_classifier(path, {}, 1000)(IMAGES)[2], theirs(IMAGES))
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    with pytest.raises(InputError, match=r"models.net: .* not 0{64} as models.net.sha256 asks"):
        run(tmp_path, classes()[1], str(lite), **entry, sha256="0" * 64)


def test_a_model_of_other_labels_is_told_where_to_go(tmp_path, lite):
    entry = {"timm": "tf_efficientnet_lite0", "checkpoint": str(lite)}
    with pytest.raises(InputError) as error:
        run(tmp_path, ["cat", "dog"], str(lite), **entry)
    text = str(error.value)
    assert text.startswith("models.net: timm:tf_efficientnet_lite0 has a head of 1000 labels, and")
    for part in ("the study has 2 classes", "`from: net-features`", "lbfgs", "class-mapping"):
        assert part in text
    assert not (tmp_path / "net").exists()
    path, _ = run(tmp_path, ["cat", "dog"], str(lite), **entry, head="pretraining")
    assert path.is_file()


@pytest.fixture
def folder(tmp_path):
    """Give a function that makes a folder of timm's, whose config.json has some label_names."""

    def make(labels):
        torch.manual_seed(0)
        model = timm.create_model("test_vit", num_classes=5)
        config = {"label_names": labels}
        timm.models.save_for_hf(
            model, tmp_path / "mine", model_config=config, safe_serialization=True
        )
        return {"timm": f"local-dir:{tmp_path / 'mine'}"}, hub.local_files(tmp_path / "mine")

    return make


CLASSES = ("ant", "bee", "cat", "dog", "emu")


@pytest.mark.parametrize(
    "labels",
    [["Ant", "bee", "CAT", "dog", "emu"], ["ant"], None, {0: "ant", 2: "cat"},
     {2: "cat", 3: "dog", 4: "emu", 1: "bee", 0: "ant"}],
)  # fmt: skip
def test_a_head_of_the_studys_classes_or_of_unnamed_ones_is_taken(tmp_path, folder, labels, caplog):
    entry, files = folder(labels)
    path, _ = run(tmp_path, CLASSES, files, **entry)
    assert path.is_file()
    assert "label_names" not in caplog.text


@pytest.mark.parametrize("form", [list, lambda names: dict(enumerate(names))])
def test_a_head_of_the_studys_classes_in_another_order_is_put_into_theirs(tmp_path, folder, form):
    entry, files = folder(form(["ant", "bee", "Emu", "dog", "cat"]))
    plain, _ = run(tmp_path, CLASSES, files, **entry, head="pretraining")
    theirs = networks.load_classifier(plain, {}, 5)(IMAGES)[2]
    path, _ = run(tmp_path, CLASSES, files, **entry)
    ours = networks.load_classifier(path, {}, 5)(IMAGES)[2]
    torch.testing.assert_close(ours, theirs[:, [0, 1, 4, 3, 2]], rtol=0, atol=0)


MIXED = ("Banana", "apple", "class1", "class10", "class2")  # as they are sorted here
TIMM = ["apple", "Banana", "class1", "class2", "class10"]


def test_names_that_readers_sort_differently_need_an_order(tmp_path, folder):
    entry, files = folder(None)
    with pytest.raises(InputError) as error:
        run(tmp_path, MIXED, files, **entry)
    text = str(error.value)
    assert text.startswith(f"models.net: nothing says which output of timm:{entry['timm']} is whic")
    assert f"torchvision: {', '.join(MIXED)}; timm: {', '.join(TIMM)}; this study:" in text
    assert "Add `label_names` to the entry" in text
    assert not (tmp_path / "net").exists()
    plain, _ = run(tmp_path, MIXED, files, **entry, head="pretraining")
    theirs = networks.load_classifier(plain, {}, 5)(IMAGES)[2]
    path, _ = run(tmp_path, MIXED, files, **entry, label_names=TIMM)
    ours = networks.load_classifier(path, {}, 5)(IMAGES)[2]
    torch.testing.assert_close(ours, theirs[:, [1, 0, 2, 4, 3]], rtol=0, atol=0)
    path, _ = run(tmp_path, MIXED, files, **entry, label_names=list(MIXED))
    ours = networks.load_classifier(path, {}, 5)(IMAGES)[2]
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
    with pytest.raises(InputError, match=r"models.net.label_names lack 'class10', and the study"):
        run(tmp_path, MIXED, files, **entry, label_names=[*TIMM[:4], "class3"])


def test_a_head_of_other_names_is_taken_with_a_warning(tmp_path, folder, caplog):
    entry, files = folder(["n1", "n2", "n3", "n4", "n5"])
    path, _ = run(tmp_path, CLASSES, files, **entry)
    assert path.is_file()
    [record] = [record for record in caplog.records if record.levelname == "WARNING"]
    assert "label_names: n1 for ant, n2 for bee, n3 for cat; make sure" in record.getMessage()


def test_a_hub_that_changes_its_weights_is_noticed(tmp_path, monkeypatch):
    def publish(seed):
        torch.manual_seed(seed)
        save_file(timm.create_model("test_vit").state_dict(), tmp_path / "hub.safetensors")
        monkeypatch.setattr(hub, "_from_hub", lambda *_: str(tmp_path / "hub.safetensors"))

    publish(0)
    path, _ = run(tmp_path, classes()[1], timm="test_vit.r160_in1k")
    record = (path.parent / "source.sha256").read_text()
    digest = hashlib.sha256((tmp_path / "hub.safetensors").read_bytes()).hexdigest()
    assert record == f"{digest}  timm:test_vit.r160_in1k\n"
    run(tmp_path, classes()[1], timm="test_vit.r160_in1k")
    before = path.read_bytes()
    publish(1)
    with pytest.raises(InputError, match=r"models.net: timm:test_vit.r160_in1k has changed"):
        run(tmp_path, classes()[1], timm="test_vit.r160_in1k")
    assert path.read_bytes() == before
    assert (path.parent / "source.sha256").read_text() == record
