"""Training: augmentation, objectives worked out by hand, and resuming without a trace."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from workflow.lib import networks, training
from workflow.lib.images import Images
from workflow.lib.jobs import InputError

RECIPE = {
    "architecture": "test_resnet",
    "options": {"channels": [8, 8, 8, 16], "drop_rate": 0.1},
    "input": {"size": 28, "mean": [0.3], "std": [0.3]},
    "seed": 3, "epochs": 3, "batch_size": 32, "optimizer": "adamw", "learning_rate": 0.01,
    "weight_decay": 0.02, "label_smoothing": 0.1, "shift": 1, "flip": True,
    "objective": "supervised", "temperature": 0.5, "projection": 8,
    "crop_scale": [0.3, 1.0], "jitter": 0.4, "context": 16, "text_width": 64, "text_layers": 1,
    "templates": ["a {}", "the {}"],
}  # fmt: skip
DEVICE = networks.device()


@pytest.fixture
def images(tmp_path):
    """Four classes of noise around four patterns: 160 images."""
    rng = np.random.default_rng(0)
    patterns = rng.integers(0, 200, (4, 1, 28, 28))
    pixels = patterns[np.arange(160) % 4] + rng.integers(0, 56, (160, 1, 28, 28))
    np.save(tmp_path / "a.npy", pixels.astype(np.uint8))
    return Images([tmp_path / "a.npy"], [0.3], [0.3], DEVICE)


LABELS = torch.arange(160, device=DEVICE) % 4


def supervised(images):
    torch.manual_seed(0)
    return training.Supervised(RECIPE, images, LABELS, networks.create(RECIPE, 4))


def test_shift_and_flip_move_whole_images_by_so_much_and_no_more():
    torch.manual_seed(0)
    pixels = torch.zeros(400, 1, 5, 5)
    pixels[:, :, 2, 1] = 9
    moved = training.shift_and_flip(pixels, 1, True)
    assert moved.shape == pixels.shape
    assert torch.equal(moved.sum((1, 2, 3)), pixels.sum((1, 2, 3)))
    seen = {tuple(place) for place in moved[:, 0].nonzero()[:, 1:].tolist()}
    assert seen == {(row, column) for row in (1, 2, 3) for column in (0, 1, 2, 3, 4)}


def test_without_shift_and_flip_an_image_stays():
    pixels = torch.randint(0, 256, (3, 2, 6, 7))
    assert torch.equal(training.shift_and_flip(pixels, 0, False), pixels)


def test_a_whole_view_without_jitter_is_the_image_or_its_mirror_image():
    torch.manual_seed(0)
    pixels = torch.rand(50, 1, 8, 8) * 255
    area = (9.0, 9.0)  # more than all: clamped to the whole image
    views = training.distort(pixels, area, 0.0)
    same = (views - pixels).abs().amax((1, 2, 3)) < 1e-3
    mirrored = (views - pixels.flip(3)).abs().amax((1, 2, 3)) < 1e-3
    assert (same ^ mirrored).all()
    assert same.any()
    assert mirrored.any()


def test_simclr_loss_is_equation_1_of_its_paper(images, monkeypatch):
    objective = training.SimCLR(RECIPE, images, LABELS, networks.create(RECIPE, 0)).to(DEVICE)
    fixed = F.normalize(torch.randn(8, 8, device=DEVICE), dim=1)
    monkeypatch.setattr(objective.projector, "forward", lambda _: fixed)
    loss, _ = objective(np.arange(4))
    expected = 0.0
    for i in range(8):
        j = (i + 4) % 8
        similarity = [float(fixed[i] @ fixed[k]) / 0.5 for k in range(8)]
        total = sum(np.exp(similarity[k]) for k in range(8) if k != i)
        expected -= np.log(np.exp(similarity[j]) / total) / 8
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_distillation_from_itself_is_the_teachers_entropy(images):
    torch.manual_seed(0)
    network = networks.create(RECIPE, 4).eval()
    recipe = RECIPE | {"shift": 0, "flip": False, "temperature": 2.0}
    teacher = networks.Classifier(network)
    objective = training.Distillation(recipe, images, LABELS, network, teacher).to(DEVICE).eval()
    loss, _ = objective(np.arange(10))
    soft = (network(images[np.arange(10)]) / 2).softmax(1)
    entropy = -(soft * soft.log()).sum(1).mean()
    torch.testing.assert_close(loss, 4 * entropy)


def test_supervised_training_learns(images, tmp_path):
    objective = supervised(images)
    training.train(objective, RECIPE | {"epochs": 20}, tmp_path / "resume.pt", [])
    logits = objective.network(images[np.arange(160)])
    assert (logits.argmax(1) == LABELS).float().mean() > 0.9


def test_clip_learns_and_its_zero_shot_head_is_the_mean_of_its_captions(images, tmp_path):
    torch.manual_seed(0)
    recipe = RECIPE | {"epochs": 40, "objective": "clip", "options": {}}
    names = ["zero", "one", "two", "three"]
    objective = training.Clip(recipe, images, LABELS, networks.create(recipe, 8), names)
    training.train(objective, recipe, tmp_path / "resume.pt", [])
    path = tmp_path / "clip.safetensors"
    networks.save(path, recipe, objective.clip.visual, **objective.parts())
    network, head = training.zero_shot_head(path, recipe["templates"], names)
    classifier = networks.Classifier(network.eval(), head).to(DEVICE)
    _, _, logits = classifier(images[np.arange(160)])
    assert (logits.argmax(1) == LABELS).float().mean() > 0.9

    clip = objective.clip
    captions = [["a " + name, "the " + name] for name in names]
    tokens = [objective.tokenizer(pair).to(DEVICE) for pair in captions]
    texts = torch.stack([clip.encode_text(pair, normalize=True).mean(0) for pair in tokens])
    embeddings = clip.encode_image(images[np.arange(160)], normalize=True)
    expected = clip.logit_scale.exp() * embeddings @ F.normalize(texts, dim=1).T
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("stop", [1, 2])
def test_a_training_killed_after_any_epoch_ends_in_the_same_weights(
    images, tmp_path, stop, monkeypatch
):
    whole = supervised(images)
    training.train(whole, RECIPE, tmp_path / "whole.pt", [])

    class Killed(Exception):
        pass

    calls = 0

    def progress(self, *_, **__):
        nonlocal calls
        calls += 1
        if calls > stop * 5 + 2:  # five steps an epoch: in the middle of the next one
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(training.Progress, "advance", progress)
        with pytest.raises(Killed):
            training.train(supervised(images), RECIPE, tmp_path / "resume.pt", [])
    resumed = supervised(images)
    steps = []
    monkeypatch.setattr(
        training.Progress, "advance", lambda self, *_, **__: steps.append(self.done)
    )
    training.train(resumed, RECIPE, tmp_path / "resume.pt", [])
    assert len(steps) == (3 - stop) * 5
    for name, tensor in whole.network.state_dict().items():
        assert torch.equal(tensor, resumed.network.state_dict()[name]), name


def test_a_state_of_another_recipe_or_data_is_not_gone_on_from(images, tmp_path, caplog):
    caplog.set_level("INFO")
    training.train(supervised(images), RECIPE, tmp_path / "resume.pt", ["data"])
    for recipe, tag in ((RECIPE | {"seed": 4}, ["data"]), (RECIPE, ["other data"])):
        caplog.clear()
        training.train(supervised(images), recipe, tmp_path / "resume.pt", tag)
        assert "starting over" in caplog.text
        assert "epoch 1 of 3" in caplog.text


def test_a_diverging_training_says_so(images, tmp_path):
    objective = supervised(images)
    with torch.no_grad():
        objective.network.fc.weight.fill_(torch.nan)
    with pytest.raises(InputError, match=r"loss is nan in epoch 1; lower the learning_rate"):
        training.train(objective, RECIPE, tmp_path / "resume.pt", [])
    assert not (tmp_path / "resume.pt").exists()
