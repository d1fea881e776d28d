"""Training: augmentation, schedules, objectives worked out by hand, resuming without a trace."""

import workflow.lib.backends  # noqa: F401  (before timm)

# isort: split
import random

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_sample_images
from timm.data.transforms import RandomResizedCropAndInterpolation
from torch.nn import functional as F

from tests.close import assert_same_to_scale
from workflow.lib.data.images import Images
from workflow.lib.data.kinds import Decoder
from workflow.lib.models import heads, networks
from workflow.lib.models.train import augment, drop_block, objectives
from workflow.lib.models.train import loop as training
from workflow.lib.run.errors import InputError

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
PHOTOGRAPHS = RECIPE | {
    "input": {"size": 32, "mean": [0.5] * 3, "std": [0.25] * 3, "interpolation": "bicubic"},
    "augmentation": "random-resized-crop", "crop_scale": [0.2, 1.0], "crop_ratio": [0.8, 1.25],
    "optimizer": "sgd", "learning_rate": 0.1, "schedule": "step", "warmup": 1, "milestones": [2],
}  # fmt: skip


@pytest.fixture
def images(tmp_path):
    """Four classes of noise around four patterns: 160 images."""
    rng = np.random.default_rng(0)
    patterns = rng.integers(0, 200, (4, 1, 28, 28))
    pixels = patterns[np.arange(160) % 4] + rng.integers(0, 56, (160, 1, 28, 28))
    np.save(tmp_path / "a.npy", pixels.astype(np.uint8))
    return Images([tmp_path / "a.npy"], [0.3], [0.3], DEVICE)


LABELS = torch.arange(160, device=DEVICE) % 4


@pytest.fixture(scope="session")
def photographs(tmp_path_factory):
    """Crops of two photographs, of a Chinese temple and of a dahlia, as 160 JPEGs of 96 × 64."""
    path = tmp_path_factory.mktemp("photographs")
    rng = np.random.default_rng(0)
    for row in range(160):
        photograph = Image.fromarray(load_sample_images().images[row % 2])
        left, top = int(rng.integers(640 - 192)), int(rng.integers(427 - 128))
        view = photograph.crop((left, top, left + 192, top + 128)).resize((96, 64))
        view.save(path / f"{row:03d}.jpg", quality=90)
    return path


def crops(path, recipe=PHOTOGRAPHS, workers=1):
    ids = [f"{row:03d}.jpg" for row in range(160)]
    return augment.Crops(Decoder("folder", str(path), "RGB"), ids, recipe, DEVICE, workers)


def of_photographs(path, recipe=PHOTOGRAPHS, workers=1):
    torch.manual_seed(0)
    network = networks.create(recipe, 2)
    return objectives.Supervised(recipe, crops(path, recipe, workers), LABELS % 2, network)


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 5, 6, 7, 40])
@pytest.mark.parametrize("schedule", ["one-cycle", "cosine"])
def test_any_number_of_steps_is_trained(steps, schedule):
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimiser = torch.optim.SGD([parameter], lr=0.5, momentum=0.9)
    recipe = {"schedule": schedule, "epochs": 1, "learning_rate": 0.5}
    scheduler = training.scheduler(recipe, optimiser, steps)
    rates = []
    for _ in range(steps):
        rates.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        scheduler.step()
    assert 0.3 < max(rates) <= 0.5 and min(rates) >= 0
    peak = int(np.argmax(rates))
    assert peak <= 0.2 * steps and rates[peak:] == sorted(rates[peak:], reverse=True)


def supervised(images):
    torch.manual_seed(0)
    return objectives.Supervised(RECIPE, images, LABELS, networks.create(RECIPE, 4))


def test_shift_and_flip_move_whole_images_by_so_much_and_no_more():
    torch.manual_seed(0)
    pixels = torch.zeros(400, 1, 5, 5)
    pixels[:, :, 2, 1] = 9
    moved = augment.shift_and_flip(pixels, 1, True)
    assert moved.shape == pixels.shape
    assert torch.equal(moved.sum((1, 2, 3)), pixels.sum((1, 2, 3)))
    seen = {tuple(place) for place in moved[:, 0].nonzero()[:, 1:].tolist()}
    assert seen == {(row, column) for row in (1, 2, 3) for column in (0, 1, 2, 3, 4)}


def test_without_shift_and_flip_an_image_stays():
    pixels = torch.randint(0, 256, (3, 2, 6, 7))
    assert torch.equal(augment.shift_and_flip(pixels, 0, False), pixels)


def test_a_whole_view_without_jitter_is_the_image_or_its_mirror_image():
    torch.manual_seed(0)
    pixels = torch.rand(50, 1, 8, 8) * 255
    area = (9.0, 9.0)  # more than all: clamped to the whole image
    views = augment.distort(pixels, area, 0.0)
    same = (views - pixels).abs().amax((1, 2, 3)) < 1e-3
    mirrored = (views - pixels.flip(3)).abs().amax((1, 2, 3)) < 1e-3
    assert (same ^ mirrored).all()
    assert same.any()
    assert mirrored.any()


def test_crops_are_those_of_timm_of_the_same_seed(photographs):
    images = crops(photographs)
    transform = RandomResizedCropAndInterpolation(
        32, scale=(0.2, 1.0), ratio=(0.8, 1.25), interpolation="bicubic"
    )
    mirrored = 0
    for row in range(20):
        [view] = images.view(5, row)
        seed = int(np.random.SeedSequence([3, 5, row]).generate_state(1)[0])
        random.seed(seed)
        with Image.open(photographs / f"{row:03d}.jpg") as image:
            expected = torch.from_numpy(np.array(transform(image))).permute(2, 0, 1)
        torch.manual_seed(seed)
        if torch.rand(1) < 0.5:  # as torchvision's RandomHorizontalFlip draws
            mirrored += 1
            expected = expected.flip(2)
        assert view.dtype == torch.uint8
        assert torch.equal(view, expected)
    assert 0 < mirrored < 20


def test_what_is_drawn_does_not_depend_on_workers_order_or_the_rest_of_the_epoch(photographs):
    rows = np.array([[3, 150, 0, 7], [9, 8, 3, 1]])
    state = torch.get_rng_state()
    alone = list(crops(photographs).batches(1, rows))
    shared = list(crops(photographs, workers=2).batches(1, rows[::-1]))
    assert torch.equal(torch.stack(alone), torch.stack(shared[::-1]))
    assert torch.equal(alone[0][0], alone[1][2])  # row 3 twice
    [later] = crops(photographs).batches(2, rows[:1])
    assert not torch.equal(later, alone[0])
    assert torch.equal(torch.get_rng_state(), state)


def test_simclr_gets_two_views_of_each_file_of_the_same_colours_or_not(photographs):
    recipe = PHOTOGRAPHS | {"objective": "simclr", "crop_scale": [1.0, 1.0], "jitter": 0.4}
    images = crops(photographs, recipe | {"crop_ratio": [1.5, 1.5]})
    [pixels] = images.batches(0, [np.arange(12)])
    assert pixels.shape == (24, 3, 32, 32)
    first, second = pixels.reshape(2, 12, 3, 32, 32).float()
    assert (first != second).flatten(1).any(dim=1).all()
    # Whole images: blurred as they are, two views of one are nearer than views of any two.
    shape = [F.avg_pool2d(view.mean(1), 16).flatten(1) for view in (first, second)]
    mirrored = [F.avg_pool2d(view.mean(1).flip(2), 16).flatten(1) for view in (first, second)]
    shape = [values + flipped for values, flipped in zip(shape, mirrored, strict=True)]
    shape = [values - values.mean(1, keepdim=True) for values in shape]
    similarity = F.normalize(shape[0], dim=1) @ F.normalize(shape[1], dim=1).T
    assert similarity.diag().mean() > similarity.mean() + 0.1

    objective = objectives.SimCLR(recipe, images, LABELS, networks.create(recipe, 0)).to(DEVICE)
    loss, _ = objective(pixels, np.arange(12))
    loss.backward()
    assert loss.isfinite()


def test_a_corrupt_file_is_named_and_its_training_stops(photographs, tmp_path):
    for row in range(160):
        (tmp_path / f"{row:03d}.jpg").symlink_to(photographs / f"{row:03d}.jpg")
    (tmp_path / "077.jpg").unlink()
    whole = (photographs / "077.jpg").read_bytes()
    (tmp_path / "077.jpg").write_bytes(whole[: len(whole) // 2])
    objective = of_photographs(tmp_path)
    with pytest.raises(InputError, match=r"^cannot read the image .*077\.jpg: ") as error:
        training.train(objective, PHOTOGRAPHS, tmp_path / "resume.pt", [])
    assert "Traceback" not in str(error.value)
    assert not (tmp_path / "resume.pt").exists()


def test_step_schedule_is_that_of_its_source_at_every_turn():
    recipe = {"schedule": "step", "epochs": 90, "warmup": 5, "milestones": [30, 60, 80]}
    rates = [training.rate(recipe, step, 10) for step in range(900)]
    assert rates[0] == 0
    assert rates[1] == pytest.approx(0.1 / 5)
    assert rates[25] == pytest.approx(0.5)
    assert rates[49] == pytest.approx(4.9 / 5)
    assert rates[50:300] == [1] * 250
    assert rates[300:600] == pytest.approx([0.1] * 300)
    assert rates[600:800] == pytest.approx([0.01] * 200)
    assert rates[800:] == pytest.approx([0.001] * 100)


def test_cosine_schedule_is_its_closed_form():
    recipe = {"schedule": "cosine", "epochs": 20, "warmup": 4}
    rates = [training.rate(recipe, step, 5) for step in range(101)]
    assert rates[:20] == pytest.approx([step / 20 for step in range(20)])
    assert rates[20] == 1
    assert rates[60] == pytest.approx(0.5)  # half way from epoch 4 to 20
    assert rates[100] == pytest.approx(0)
    # A third of the way, cos(π / 3) is 1 / 2.
    assert training.rate({"schedule": "cosine", "epochs": 9}, 3, 1) == pytest.approx(0.75)
    assert (np.diff(rates[20:]) < 0).all()


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        # 3 epochs of 5 steps; after one epoch of warm-up to 0.1, a tenth from the second on
        ("step", [0, 0.02, 0.04, 0.06, 0.08, *[0.1] * 5, *[0.01] * 5]),
        ("cosine", [0, 0.02, 0.04, 0.06, 0.08,
                    *(0.05 * (1 + np.cos(np.pi * np.arange(10) / 10)))]),
    ],
)  # fmt: skip
def test_each_step_is_taken_at_the_rate_of_the_schedule(
    images, tmp_path, monkeypatch, schedule, expected
):
    taken = []

    def step(self, closure=None):
        taken.append(self.param_groups[0]["lr"])

    monkeypatch.setattr(torch.optim.SGD, "step", step)
    recipe = RECIPE | {"optimizer": "sgd", "learning_rate": 0.1, "schedule": schedule}
    recipe |= {"warmup": 1, "milestones": [2]}
    training.train(supervised(images), recipe, tmp_path / "resume.pt", [])
    assert taken == pytest.approx(expected)


def test_sgd_is_nesterovs_and_momentum_the_classical_one(images):
    for name, nesterov in (("sgd", True), ("momentum", False)):
        recipe = RECIPE | {"optimizer": name, "learning_rate": 0.1, "weight_decay": 0.5}
        optimiser = training._optimiser(supervised(images), recipe, DEVICE)
        assert isinstance(optimiser, torch.optim.SGD)
        told = [(g["momentum"], g["nesterov"], g["weight_decay"]) for g in optimiser.param_groups]
        assert sorted(told) == [(0.9, nesterov, 0), (0.9, nesterov, 0.5)]


@pytest.mark.numeric
@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_a_fused_step_is_the_plain_one(images, tmp_path, monkeypatch, optimizer):
    # torch's fused ones take the wrong entries, without a word, where a gradient lies in memory in
    # another order than its weight.
    recipe = RECIPE | {"optimizer": optimizer, "epochs": 1}
    fused, plain = supervised(images), supervised(images)
    training.train(fused, recipe, tmp_path / "fused.pt", [])
    create = training.create_optimizer_v2
    monkeypatch.setattr(
        training,
        "create_optimizer_v2",
        lambda *args, **own: create(*args, **own | {"fused": False}),
    )
    training.train(plain, recipe, tmp_path / "plain.pt", [])
    start = supervised(images).state_dict()
    for name, tensor in plain.state_dict().items():
        if "conv" in name:
            moved = (tensor - start[name].to(tensor)).abs().max()
            assert (fused.state_dict()[name] - tensor).abs().max() < 0.02 * moved, name


@pytest.mark.numeric
def test_drop_block_drops_whole_blocks_inside_the_map_and_keeps_the_sum():
    torch.manual_seed(0)
    maps = torch.ones(500, 4, 9, 9)
    dropped = drop_block.drop_block(maps, 0.3, size=3)
    gone = dropped == 0
    # Every value gone lies in a block of 3 × 3 that is gone.
    whole = -F.max_pool2d(-gone.float(), 3, stride=1)
    inside = F.max_pool2d(F.pad(whole, [2] * 4), 3, stride=1)
    assert torch.equal(inside.bool(), gone)
    # 81 × 0.3 / 9 = 2.7 blocks a map are drawn; where they overlap, they drop less than 30 %.
    assert 0.22 < gone.float().mean() < 0.3
    # A corner is in one block of 49, the centre in 9.
    rate = 0.3 * 81 / 9 / 49
    for row, column, blocks in ((0, 0, 1), (0, 4, 3), (4, 4, 9)):
        share = float(gone[:, :, row, column].float().mean())
        assert share == pytest.approx(1 - (1 - rate) ** blocks, abs=0.04)
    assert float(dropped.mean()) == pytest.approx(1, abs=1e-5)
    assert len(dropped.unique()) == 2
    # Channels are dropped each on its own.
    assert (gone[:, 0] != gone[:, 1]).any()


def test_drop_block_as_large_as_the_map_drops_whole_maps_of_that_share():
    torch.manual_seed(0)
    dropped = drop_block.drop_block(torch.ones(2000, 1, 7, 7), 0.2)
    whole = (dropped == 0).flatten(1)
    assert torch.equal(whole.any(1), whole.all(1))
    assert whole.any(1).float().mean() == pytest.approx(0.2, abs=0.03)
    assert torch.equal(drop_block.drop_block(dropped, 0.0), dropped)
    assert drop_block.drop_block(dropped, 1.0).abs().sum() == 0


def test_drop_block_acts_in_its_stages_in_training_alone_and_grows(images, monkeypatch):
    options = {"channels": [4, 4, 8, 8]}
    recipe = RECIPE | {"architecture": "resnet26", "options": options}
    recipe |= {"drop_block_stages": [3, 4], "drop_block_keep": 0.6}
    torch.manual_seed(0)
    network = networks.create(recipe, 4)
    names = list(network.state_dict())
    plain = network.eval()(images[np.arange(4)])
    objective = objectives.Supervised(recipe, images, LABELS, network).to(DEVICE)
    shares = []
    monkeypatch.setattr(drop_block, "drop_block", lambda maps, share: shares.append(share) or maps)
    assert torch.equal(network.eval()(images[np.arange(4)]), plain)
    assert list(network.state_dict()) == names
    assert not shares
    objective.train()
    objective.progress = 0.5
    objective(images.raw(np.arange(4)), np.arange(4))
    # Two blocks a stage, four places a block; half of 0.4 in stage 4, a quarter of that in 3.
    assert shares == pytest.approx([0.05] * 8 + [0.2] * 8)


def test_the_objective_is_told_how_much_of_the_whole_training_is_done(images, tmp_path):
    told = []

    class Told(objectives.Supervised):
        def forward(self, pixels, rows):
            told.append(self.progress)
            return super().forward(pixels, rows)

    objective = Told(RECIPE, images, LABELS, networks.create(RECIPE, 4))
    training.train(objective, RECIPE, tmp_path / "resume.pt", [])
    assert told == pytest.approx([step / 15 for step in range(15)])


def test_drop_block_refuses_stages_without_bottlenecks(images):
    recipe = RECIPE | {"drop_block_stages": [4], "drop_block_keep": 0.9}
    network = networks.create(RECIPE, 4)
    with pytest.raises(InputError, match=r"stage 4 of the architecture 'test_resnet' is not"):
        objectives.Supervised(recipe, images, LABELS, network)


@pytest.mark.numeric
def test_simclr_loss_is_equation_1_of_its_paper(images, monkeypatch):
    objective = objectives.SimCLR(RECIPE, images, LABELS, networks.create(RECIPE, 0)).to(DEVICE)
    fixed = F.normalize(torch.randn(8, 8, device=DEVICE), dim=1)
    monkeypatch.setattr(objective.projector, "forward", lambda _: fixed)
    loss, _ = objective(images.raw(np.arange(4)), np.arange(4))
    expected = 0.0
    for i in range(8):
        j = (i + 4) % 8
        similarity = [float(fixed[i] @ fixed[k]) / 0.5 for k in range(8)]
        total = sum(np.exp(similarity[k]) for k in range(8) if k != i)
        expected -= np.log(np.exp(similarity[j]) / total) / 8
    assert float(loss) == pytest.approx(expected, rel=1e-5)


@pytest.mark.numeric
def test_distillation_from_itself_is_the_teachers_entropy(images):
    torch.manual_seed(0)
    network = networks.create(RECIPE, 4).eval()
    recipe = RECIPE | {"shift": 0, "flip": False, "temperature": 2.0}
    teacher = networks.Classifier(network)
    objective = objectives.Distillation(recipe, images, LABELS, network, teacher).to(DEVICE).eval()
    loss, _ = objective(images.raw(np.arange(10)), np.arange(10))
    soft = (network(images[np.arange(10)]) / 2).softmax(1)
    entropy = -(soft * soft.log()).sum(1).mean()
    torch.testing.assert_close(loss, 4 * entropy)


@pytest.mark.numeric
@pytest.mark.parametrize("optimizer", ["adamw", "lamb"])  # torch's, which can be fused, and timm's
def test_supervised_training_learns(images, tmp_path, optimizer):
    objective = supervised(images)
    recipe = RECIPE | {"epochs": 20, "optimizer": optimizer}
    training.train(objective, recipe, tmp_path / "resume.pt", [])
    logits = objective.network(images[np.arange(160)])
    assert (logits.argmax(1) == LABELS).float().mean() > 0.9


def test_training_from_files_learns(photographs, tmp_path):
    recipe = PHOTOGRAPHS | {"epochs": 6, "milestones": [4], "options": {}, "learning_rate": 0.2}
    objective = of_photographs(photographs, recipe, workers=2)
    training.train(objective, recipe, tmp_path / "resume.pt", [])
    [pixels] = objective.images.batches(99, [np.arange(160)])
    with torch.no_grad():
        logits = objective.network(objective.images.normalise(pixels))
    assert (logits.argmax(1) == LABELS % 2).float().mean() > 0.9


@pytest.mark.slow
def test_clip_learns_and_its_zero_shot_head_is_the_mean_of_its_captions(images, tmp_path):
    torch.manual_seed(0)
    recipe = RECIPE | {"epochs": 20, "objective": "clip", "options": {}, "learning_rate": 0.02}
    recipe |= {"shift": 0, "flip": False}
    names = ["zero", "one", "two", "three"]
    objective = objectives.Clip(recipe, images, LABELS, networks.create(recipe, 8), names)
    training.train(objective, recipe, tmp_path / "resume.pt", [])
    path = tmp_path / "clip.safetensors"
    networks.save(path, recipe, objective.clip.visual, **objective.parts())
    network, head = heads.zero_shot_head(path, recipe["templates"], names)
    classifier = networks.Classifier(network.eval(), head).to(DEVICE)
    _, _, logits = classifier(images[np.arange(160)])
    assert (logits.argmax(1) == LABELS).float().mean() > 0.9

    clip = objective.clip
    captions = [["a " + name, "the " + name] for name in names]
    tokens = [objective.tokenizer(pair).to(DEVICE) for pair in captions]
    texts = torch.stack([clip.encode_text(pair, normalize=True).mean(0) for pair in tokens])
    embeddings = clip.encode_image(images[np.arange(160)], normalize=True)
    expected = clip.logit_scale.exp() * embeddings @ F.normalize(texts, dim=1).T
    assert_same_to_scale(logits.detach().cpu(), expected.detach().cpu())


@pytest.mark.numeric
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


@pytest.mark.slow
@pytest.mark.numeric
@pytest.mark.parametrize(
    ("stop", "changes"),
    [
        (3, {}),
        (9, {"schedule": "cosine"}),
        (11, {"architecture": "resnet26", "options": {"channels": [4, 4, 8, 8], "drop_rate": 0.2},
              "drop_block_stages": [2, 4], "drop_block_keep": 0.5}),
    ],
)  # fmt: skip
def test_a_training_killed_within_an_epoch_ends_in_the_same_weights_bit_by_bit(
    photographs, tmp_path, monkeypatch, stop, changes
):
    recipe = PHOTOGRAPHS | changes
    whole = of_photographs(photographs, recipe)
    training.train(whole, recipe, tmp_path / "whole.pt", [])

    class Killed(Exception):
        pass

    steps = []

    def advance(self, *_, **__):
        steps.append(self.done)
        if len(steps) > stop:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(training.Progress, "advance", advance)
        with pytest.raises(Killed):
            training.train(
                of_photographs(photographs, recipe), recipe, tmp_path / "resume.pt", [], every=0
            )
    state = torch.load(tmp_path / "resume.pt", weights_only=True)
    assert (state["epoch"], state["step"]) == divmod(stop, 5)

    steps.clear()
    monkeypatch.setattr(training.Progress, "advance", lambda *_, **__: steps.append(1))
    torch.manual_seed(123)  # the state's own random numbers count, not those of this process
    resumed = of_photographs(photographs, recipe, workers=2)
    training.train(resumed, recipe, tmp_path / "resume.pt", [])
    assert len(steps) == 15 - stop
    for name, tensor in whole.network.state_dict().items():
        assert torch.equal(tensor, resumed.network.state_dict()[name]), name


def test_states_within_an_epoch_are_kept_from_time_to_time(images, tmp_path, monkeypatch):
    clock, kept = [0.0], []
    monkeypatch.setattr(training.time, "monotonic", lambda: clock[0])

    def advance(self, *_, **__):
        clock[0] += 4.0

    def save(state, path):
        kept.append((state["epoch"], state["step"]))

    monkeypatch.setattr(training.Progress, "advance", advance)
    monkeypatch.setattr(training.torch, "save", save)
    training.train(supervised(images), RECIPE | {"epochs": 2}, tmp_path / "r.pt", [], every=10)
    # 4 seconds a step: due after three steps, and at the end of an epoch in any case.
    assert kept == [(0, 3), (1, 0), (1, 3), (2, 0)]


def test_a_state_of_another_recipe_or_data_is_not_gone_on_from(images, tmp_path, caplog):
    caplog.set_level("INFO")
    training.train(supervised(images), RECIPE, tmp_path / "resume.pt", ["data"])
    for recipe, tag in ((RECIPE | {"seed": 4}, ["data"]), (RECIPE, ["other data"])):
        caplog.clear()
        training.train(supervised(images), recipe, tmp_path / "resume.pt", tag)
        assert "starting over" in caplog.text
        assert "epoch 1 of 3" in caplog.text


@pytest.mark.parametrize("share", [0, 0.01, 0.3, 0.6, 0.9])
def test_a_damaged_state_is_not_resumed_from(images, tmp_path, caplog, share):
    caplog.set_level("INFO")
    training.train(supervised(images), RECIPE, tmp_path / "resume.pt", [])
    content = bytearray((tmp_path / "resume.pt").read_bytes())
    content[int(share * len(content))] ^= 1
    (tmp_path / "resume.pt").write_bytes(content)
    training.train(supervised(images), RECIPE, tmp_path / "resume.pt", [])
    assert "starting over" in caplog.text or "resuming after epoch 3" in caplog.text


def test_weights_altered_in_a_state_are_not_resumed_from(images, tmp_path, caplog):
    training.train(supervised(images), RECIPE, tmp_path / "resume.pt", [])
    state = torch.load(tmp_path / "resume.pt", weights_only=True)
    next(iter(state["objective"].values())).view(-1)[0] += 1
    torch.save(state, tmp_path / "resume.pt")
    training.train(supervised(images), RECIPE, tmp_path / "resume.pt", [])
    assert "starting over, since" in caplog.text


def test_what_a_killed_job_left_of_its_state_is_deleted(images, tmp_path):
    (tmp_path / ".resume.pt.abcdef12.pt").write_text("half")
    training.train(supervised(images), RECIPE, tmp_path / "resume.pt", [])
    assert [path.name for path in tmp_path.glob("*resume.pt*")] == ["resume.pt"]


def test_a_diverging_training_says_so(images, tmp_path):
    objective = supervised(images)
    with torch.no_grad():
        objective.network.fc.weight.fill_(torch.nan)
    with pytest.raises(InputError, match=r"loss is nan in epoch 1; lower the learning_rate"):
        training.train(objective, RECIPE, tmp_path / "resume.pt", [])
    assert not (tmp_path / "resume.pt").exists()


def test_a_loss_that_is_not_finite_is_noticed_within_the_epoch(images, tmp_path):
    objective = supervised(images)
    calls = []

    def forward(pixels, rows):
        calls.append(rows)
        loss, accuracy = objectives.Supervised.forward(objective, pixels, rows)
        return (loss * torch.inf if len(calls) == 2 else loss), accuracy

    objective.forward = forward
    with pytest.raises(InputError, match=r"the loss is (inf|nan) in epoch 1"):
        training.train(objective, RECIPE, tmp_path / "resume.pt", [], every=0)
    assert len(calls) == 2
    assert torch.load(tmp_path / "resume.pt", weights_only=True)["step"] == 1


def test_a_batch_that_the_gpu_cannot_hold_says_what_to_lower(images, tmp_path):
    objective = supervised(images)

    def forward(pixels, rows):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    objective.forward = forward
    with pytest.raises(InputError, match=r"a batch of 32 images does not fit .* lower batch_size"):
        training.train(objective, RECIPE, tmp_path / "resume.pt", [])
