"""The study that `make study` writes."""

import json
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from PIL import Image

from tests.run.photographs import write_imagenet
from workflow.lib.run.errors import InputError
from workflow.lib.run.fingerprint import ROOT
from workflow.lib.study.load import check, read
from workflow.lib.study.new import find, look, new_study
from workflow.lib.study.sources import timm

BASE = "resnet50.a1_in1k"


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A folder of 20 images in each of three classes, one of which looks like a number."""
    folder = tmp_path_factory.mktemp("photos")
    pixels = np.zeros((4, 4, 3), np.uint8)
    for name in ("007", "bird", "yes"):
        (folder / name).mkdir()
        for number in range(20):
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return folder


@pytest.mark.parametrize(
    ("name", "category", "data"),
    [
        ("resnet50.a2_in1k", "hparam", "ImageNet-1k"),
        ("resnet18.a1_in1k", "arch", "ImageNet-1k"),
        ("tf_efficientnet_b0.aa_in1k", "arch", "ImageNet-1k"),
        ("deit_tiny_distilled_patch16_224.fb_in1k", "fwork", "ImageNet-1k"),
        ("hgnet_base.ssld_in1k", "fwork", "ImageNet-1k"),
        ("vit_base_patch16_224.dino", "fwork", "ImageNet-1k"),
        ("convnextv2_atto.fcmae_ft_in1k", "fwork", "ImageNet-1k"),
        ("vit_small_patch16_224.augreg_in21k_ft_in1k", "dataset", "ImageNet-21k + ImageNet-1k"),
        ("resnet50.fb_swsl_ig1b_ft_in1k", "dataset", "Instagram + ImageNet-1k"),
        ("vit_base_patch16_clip_224.openai_ft_in1k", "dataset", "WIT + ImageNet-1k"),
        ("vit_base_patch16_siglip_224.webli", "dataset", "WebLI"),
        ("vit_base_patch14_dinov2.lvd142m", "dataset", "LVD-142M"),
        ("aimv2_1b_patch14_224.apple_pt", "dataset", "unknown data"),
    ],
)
def test_categories_are_guessed_from_names(name, category, data):
    model = find(name)
    assert model.differs(find(BASE))[0] == category
    assert " + ".join(model.data) == data


def test_a_guess_is_relative_to_the_base():
    base = find("vit_small_patch16_224.augreg_in21k_ft_in1k")
    assert find("vit_base_patch16_224.augreg_in21k_ft_in1k").differs(base)[0] == "arch"
    assert find("vit_small_patch16_224.augreg_in1k").differs(base)[0] == "dataset"


def test_a_name_without_a_tag_is_the_one_timm_loads():
    assert find("resnet50").name == "resnet50.a1_in1k"


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("resnet50.a9_in1k", "resnet50.a1_in1k"),
        ("resnt50.a1_in1k", "resnet50.a1_in1k"),
        ("vit_smal_patch16_224.augreg_in1k", "vit_small_patch16_224.augreg_in1k"),
    ],
)
def test_an_unknown_name_is_an_error_with_the_nearest(name, nearest):
    with pytest.raises(InputError, match=f"no pretrained model '{name}'; near it are") as error:
        find(name)
    assert nearest in str(error.value)


def test_heads_are_fitted_for_classes_that_are_not_imagenets(photos, tmp_path):
    names = [BASE, "resnetv2_50x1_bit.goog_in21k", "vit_base_patch16_224.dino"]
    file = new_study("mine", str(photos), names, tmp_path)
    study = read(file)
    assert study["dataset"] == {
        "kind": "folder", "path": str(photos), "seed": 0,
        "splits": {"train": 36, "calibration": 12, "test": "rest"},
    }  # fmt: skip
    base, bit, dino = study["models"].values()
    assert [model["category"] for model in (base, bit, dino)] == ["base", "dataset", "fwork"]
    for model, name in zip((base, bit, dino), names, strict=True):
        assert (model["head"], model["data"]) == ("lbfgs", ["train"])
        assert study["pretraining"][model["from"]] == {"timm": name}
    assert study["greedy"] == {
        "bases": ["resnet50-a1-in1k"],
        "pool": ["resnetv2-50x1-bit-goog-in21k", "vit-base-patch16-224-dino"],
    }
    assert check(study, str(file)) == []
    text = file.read_text()
    assert "Guess: fwork: by self-supervision, not supervised training." in text
    assert text.count("Guess") == 2


def test_imagenet_is_recognised_and_models_keep_their_heads(tmp_path):
    write_imagenet(tmp_path / "imagenet", "val")
    names = [BASE, "resnetv2_50x1_bit.goog_in21k"]
    file = new_study("mine", str(tmp_path / "imagenet"), names, tmp_path)
    study = read(file)
    assert study["dataset"]["kind"] == "imagenet"
    assert study["dataset"]["splits"] == {"calibration": 11, "test": "rest"}
    base, bit = study["models"].values()
    assert base["timm"] == BASE
    assert "from" not in base
    assert bit["head"] == "class-mapping"
    assert study["pretraining"][bit["from"]] == {"timm": names[1]}
    assert "pairs" not in study  # figure 6 would need images to learn from
    assert check(study, str(file)) == []

    with pytest.raises(InputError, match="dino has no head for ImageNet's classes"):
        new_study(
            "other", str(tmp_path / "imagenet"), [BASE, "vit_base_patch16_224.dino"], tmp_path
        )
    write_imagenet(tmp_path / "imagenet", "train")
    names.append("vit_base_patch16_224.dino")
    study = read(new_study("other", str(tmp_path / "imagenet"), names, tmp_path))
    assert study["dataset"]["splits"] == {"train": "rest", "calibration": 11, "test": "rest"}
    assert study["models"]["vit-base-patch16-224-dino"]["head"] == "lbfgs"
    assert len(study["pairs"]) == 2


def test_a_flat_folder_of_validation_images_is_imagenet(tmp_path):
    (tmp_path / "val").mkdir()
    for number in range(10):
        name = f"ILSVRC2012_val_{number + 1:08d}.JPEG"
        Image.new("RGB", (4, 4)).save(tmp_path / "val" / name)
    assert look(str(tmp_path)).kind == "imagenet"


def test_folders_of_all_class_numbers_are_imagenet_v2(tmp_path):
    for number in range(1000):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "a.jpeg").touch()
    images = look(str(tmp_path))
    assert images.kind == "imagenet"
    assert images.splits == {"calibration": 200, "test": "rest"}


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (["train-0.parquet"], {"train": 6, "calibration": 2, "test": "rest"}),
        (["train-0.parquet", "test-0.parquet"], {"train": "rest", "calibration": 2}),
    ],
)
def test_parquet_files_are_a_dataset(tmp_path, names, splits):
    image = {"bytes": b"", "path": None}
    for name in names:
        table = pa.table({"image": [image] * 10, "label": [0, 1] * 5})
        pq.write_table(table, tmp_path / name)
    images = look(str(tmp_path))
    assert (images.kind, images.splits) == ("parquet", splits)


def test_folders_train_and_test_are_used_as_they_are(photos, tmp_path):
    for split in ("train", "test"):
        (tmp_path / split).symlink_to(photos)
    assert look(str(tmp_path)).splits == {"train": "rest", "calibration": 12}


def test_a_folder_of_weights_is_a_model(tmp_path):
    config = {"architecture": "test_resnet", "num_classes": 10, "pretrained_cfg": {"tag": "mine"}}
    (tmp_path / "My net").mkdir()
    (tmp_path / "My net/config.json").write_text(json.dumps(config))
    model = find(f"local-dir:{tmp_path / 'My net'}")
    assert (model.title, model.key, model.architecture, model.tag, model.classes) == (
        "My net", "my-net", "test_resnet", "mine", 10,
    )  # fmt: skip
    with pytest.raises(InputError, match=r"cannot read .*config\.json"):
        find(f"local-dir:{tmp_path}")


@pytest.mark.parametrize(
    ("name", "models", "message"),
    [
        ("My study", [BASE], "must be small letters"),
        ("mine", [], "give a name, a folder of images, and models: make study NAME="),
        ("mine", [BASE, BASE], "resnet50-a1-in1k is named twice"),
        ("mine", ["resnt50", "vitt_base"], "'resnt50'.*\n.*'vitt_base'"),
    ],
)
def test_bad_arguments_are_told_and_write_nothing(photos, tmp_path, name, models, message):
    with pytest.raises(InputError, match=message):
        new_study(name, str(photos), models, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (None, "holds no images"),
        ("a.png", "must hold folders of classes"),
        ("a/a.png", "must hold folders of classes"),
        ("train/a/a.png", "has no folder test"),
    ],
)
def test_a_folder_of_another_layout_is_told(tmp_path, file, message):
    if file:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (4, 4)).save(tmp_path / file)
    with pytest.raises(InputError, match=message):
        look(str(tmp_path))


def test_a_folder_that_does_not_exist_is_told(tmp_path):
    with pytest.raises(InputError, match="there is no folder"):
        look(str(tmp_path / "nowhere"))


def test_a_study_is_never_overwritten(photos, tmp_path):
    file = new_study("mine", str(photos), [BASE], tmp_path)
    file.write_text("edited")
    with pytest.raises(InputError, match="exists already"):
        new_study("mine", str(photos), [BASE], tmp_path)
    assert file.read_text() == "edited"


def test_names_that_yaml_reads_as_something_else_are_quoted(photos, tmp_path):
    for name in ("007", "null", "1e5"):
        study = yaml.safe_load(new_study(name, str(photos), [BASE], tmp_path).read_text())
        assert study["study"] == name


def test_the_command_says_what_is_wrong_in_one_line(photos):
    command = [
        sys.executable,
        "-m",
        "workflow.lib.study.new",
        "--name",
        "mine",
        "--images",
        str(photos),
    ]
    done = subprocess.run([*command, "resnt50"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("timm has no pretrained model 'resnt50'; near it are ")
    assert "Traceback" not in done.stderr
    assert not (ROOT / "studies/mine.yaml").exists()


def fill(folder, counts):
    """Write so many images of each class."""
    for name, count in counts.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            Image.new("L", (4, 4)).save(folder / name / f"{number}.png")
    return str(folder)


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({"cat": 2, "dog": 2}, r"holds too few to divide \(4 images in 2 classes\)"),
        ({"cat": 50, "emu": 2}, "'calibration' has no image of emu"),
        ({"train/cat": 9, "train/dog": 9, "test/cat": 9, "test/dog": 9, "calibration/cat": 9},
         "'calibration' has no image of dog"),
        ({"cat": 9, "dog": 9, ".": 1}, "0.png is in no folder of a class; move it"),
        ({"cat": 9, "train": 9}, "or folders of classes, none of them called train"),
    ],
)  # fmt: skip
def test_images_that_cannot_be_divided_are_told_and_write_nothing(tmp_path, counts, message):
    with pytest.raises(InputError, match=message):
        new_study("mine", fill(tmp_path / "photos", counts), [BASE], tmp_path / "studies")
    assert [*tmp_path.rglob("*.yaml")] == []


def test_a_path_of_any_letters_is_written_as_it_is(tmp_path):
    photos = fill(tmp_path / "emo😀ji é: #", {"cat": 9, "dog": 9})
    file = new_study("mine", photos, [BASE], tmp_path / "studies")
    assert read(file)["dataset"]["path"] == photos
    assert "😀" in file.read_text(encoding="utf-8")
    with pytest.raises(InputError, match=r"IMAGES: 'a\\nb' must be UTF-8, without tab, line"):
        new_study("other", "a\nb", [BASE], tmp_path / "studies")


@pytest.mark.parametrize("name", ["模型", "1e5"])
def test_a_folder_of_weights_of_any_name_has_a_key(photos, tmp_path, name):
    config = {"architecture": "test_resnet", "num_classes": 10, "pretrained_cfg": {}}
    (tmp_path / name).mkdir()
    (tmp_path / name / "config.json").write_text(json.dumps(config))
    models = [BASE, f"local-dir:{tmp_path / name}"]
    study = read(new_study("mine", str(photos), models, tmp_path / "studies"))
    key = "test-resnet" if name == "模型" else name
    assert study["models"][key]["name"] == name
    assert f"{key}-features" in study["pretraining"]


@pytest.mark.parametrize(
    "wrong", [{"architecture": None}, {"pretrained_cfg": {"tag": 3}}, {"num_classes": "5"}]
)
def test_a_folder_of_weights_that_says_nonsense_is_told(tmp_path, wrong):
    config = {"architecture": "test_resnet", "num_classes": 10, **wrong}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(
        InputError, match=r"cannot read .*config.json: .*is no text, or num_classes"
    ):
        find(f"local-dir:{tmp_path}")


def test_the_name_of_another_study_is_refused(photos, tmp_path):
    (tmp_path / "a.yaml").write_text("study: taken")
    for name, file in (("default", "config.yaml"), ("taken", ".*a.yaml")):
        with pytest.raises(InputError, match=rf"NAME: '{name}' is the study of {file}; choose"):
            new_study(name, str(photos), [BASE], tmp_path)


def test_a_study_that_would_not_be_planned_is_told_and_not_written(photos, tmp_path):
    config = {"architecture": "no_such_network", "num_classes": 10, "pretrained_cfg": {}}
    (tmp_path / "net").mkdir()
    (tmp_path / "net/config.json").write_text(json.dumps(config))
    models = [BASE, f"local-dir:{tmp_path / 'net'}"]
    with pytest.raises(InputError, match=r"the study would not run: .*net-features.*no_such_netw"):
        new_study("mine", str(photos), models, tmp_path / "studies")
    assert not [*(tmp_path / "studies").iterdir()]


@pytest.fixture
def own(tmp_path):
    """Weights of a small network of three classes, and logits of the images that are held out."""
    torch.manual_seed(0)
    network = timm.create_model("test_resnet", num_classes=3)
    torch.save(network.state_dict(), tmp_path / "mine.pth")
    logits = np.zeros((24, 3), np.float32)
    np.savez(tmp_path / "other.npz", logits=logits)
    return tmp_path


def test_names_weights_and_logits_can_be_mixed(photos, own):
    names = [BASE, f"test_resnet:{own}/mine.pth", "ViT-B-32/openai", f"{own}/other.npz"]
    file = new_study("mine", str(photos), names, own)
    study = read(file)
    _, mine, clip, other = study["models"].values()
    assert mine == {
        "name": "mine", "category": "arch", "timm": "test_resnet",
        "checkpoint": f"{own}/mine.pth",
    }  # fmt: skip
    assert study["pretraining"][clip["from"]] == {"open_clip": "ViT-B-32/openai"}
    assert (clip["category"], clip["head"], clip["train_data"]) == ("dataset", "lbfgs", "WIT")
    assert other == {"name": "other", "category": "arch", "logits": f"{own}/other.npz"}
    assert check(study, str(file)) == []
    text = file.read_text()
    assert text.count("how it was trained is not known; say it here") == 2


def test_weights_of_other_classes_get_a_head(photos, own):
    torch.save(timm.create_model("test_resnet", num_classes=7).state_dict(), own / "mine.pth")
    study = read(new_study("mine", str(photos), [f"test_resnet:{own}/mine.pth"], own))
    (model,) = study["models"].values()
    assert model["head"] == "lbfgs"
    origin = {"timm": "test_resnet", "checkpoint": f"{own}/mine.pth"}
    assert study["pretraining"][model["from"]] == origin


def test_labels_alone_will_do_for_logits(own):
    rows = "".join(f"{number},{number % 3}\n" for number in range(24))
    (own / "labels.csv").write_text(f"id,label\n{rows}")
    np.save(own / "base.npy", np.zeros((24, 3), np.float32))
    given = "mine", str(own / "labels.csv")
    file = new_study(*given, [f"{own}/base.npy", f"{own}/other.npz"], own)
    study = read(file)
    assert study["dataset"]["kind"] == "labels"
    assert study["dataset"]["splits"] == {"calibration": 4, "test": "rest"}
    assert "pairs" not in study and check(study, str(file)) == []
    with pytest.raises(InputError, match=f"{BASE} needs images to run on, and .*labels alone"):
        new_study("next", str(own / "labels.csv"), [BASE], own)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mine.pth", r"of which of timm's architectures.*resnet50:mine.pth; or write in the study"),
        ("resnt50:mine.pth", "timm knows no architecture 'resnt50'; near it are .*resnet50"),
        ("resnet50:gone.pth", "there is no file gone.pth"),
        ("gone.npz", "there is no file gone.npz"),
        ("ViT-B-32/opnai", "open_clip has no weights .*ViT-B-32/openai(.|\n)*written in the study"),
        ("resnet50.mine", "no pretrained model(.|\n)*category: arch, timm: resnet50, checkpoint"),
    ],
)
def test_what_is_refused_is_answered_with_what_to_write(name, message):
    with pytest.raises(InputError, match=message):
        find(name)
