"""Bad input ends a run with one readable message, and nothing half-written."""

import fcntl
import re

import h5py
import pytest

from tests.run.conftest import SMALL


def fails(checkout, *arguments, study=SMALL) -> str:
    done = checkout.snakemake(*arguments, study=study)
    assert done.returncode != 0
    assert "Traceback" not in done.stdout, done.stdout
    return done.stdout


def test_every_mistake_in_the_configuration_is_told_before_any_job_starts(checkout):
    checkout.edit(SMALL, "  batch_size: 50", "  batchsize: 50")
    checkout.edit(SMALL, "- [base, reinit]", "- [base, reinitt]")
    output = fails(checkout)
    assert f'{SMALL}: recipe.batchsize: unknown key; did you mean "batch_size"?' in output
    assert 'there is no model "reinitt"; did you mean "reinit"?' in output
    assert "jobs to run" not in output


def test_two_models_with_one_key(checkout):
    checkout.edit(SMALL, "  reinit: {", "  base: {category: reinit, seed: 9}\n  reinit: {")
    assert "models.base: the key is given twice" in fails(checkout)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda p: p.write_bytes(p.read_bytes()[:-5000]), "cannot read .*base/test.h5"),
        (lambda p: p.write_bytes(b""), "cannot read .*base/test.h5"),
    ],
)
def test_damaged_outputs_are_named_in_the_terminal(checkout, spoil, message):
    path = checkout.path / "results/small/outputs/base/test.h5"
    correct = checkout.path / "results/small/correct.tsv"
    spoil(path)
    output = fails(
        checkout, "--rerun-triggers", "input", "--force", str(correct.relative_to(checkout.path))
    )
    assert re.search(message, output), output
    assert "the model 'base' is extracted again" in output
    assert not correct.exists()


def test_an_unreadable_image_is_named(folder_study):
    checkout, study = folder_study
    image = checkout.path / "photos/test/red/02.png"
    image.write_bytes(image.read_bytes()[:60])
    assert "cannot read the image photos/test/red/02.png" in fails(checkout, study=study)
    for each in image.parent.iterdir():
        each.unlink()
    assert "the split 'test' has no image of red" in fails(checkout, study=study)


def test_weights_of_another_shape_are_refused(folder_study):
    checkout, study = folder_study
    checkout.edit(study, "set: low,", "set: low, options: {channels: [8, 8, 8, 24]},")
    output = fails(checkout, study=study)
    assert "the checkpoint mine.safetensors does not fit" in output
    assert "size mismatch" in output


def test_a_task_with_a_single_positive_is_named(folder_study):
    checkout, study = folder_study
    path = checkout.path / "voc/ImageSets/Main/red_val.txt"
    lines = [line.split() for line in path.read_text().splitlines()]
    first = next(key for key, label in lines if label == "1")
    path.write_text("".join(f"{key} {1 if key == first else -1}\n" for key, _ in lines))
    output = fails(checkout, study=study)
    assert "the task 'red' has a single positive image in the split 'val'" in output


def test_a_group_of_an_unknown_class_is_named(checkout):
    checkout.edit(SMALL, "footwear: [sandal,", "footwear: [sandals,")
    output = fails(checkout)
    assert "groups.footwear: the dataset has no class 'sandals'; do you mean 'sandal'?" in output


def test_a_base_of_greedy_ensembles_that_is_no_model_is_told_before_any_job(checkout):
    checkout.edit(SMALL, "greedy: {size: 4}", "greedy: {size: 4, bases: [hihg]}")
    output = fails(checkout)
    assert 'greedy.bases[0]: there is no model "hihg"; did you mean "high"?' in output
    assert "jobs to run" not in output


def test_outputs_without_features_are_named(checkout):
    with h5py.File(checkout.path / "results/small/outputs/clip-linear/train.h5", "r+") as file:
        del file["features"]
    table = "results/small/features/clip-linear.tsv"
    output = fails(checkout, "--rerun-triggers", "input", "--force", table)
    assert "holds no features of the model 'clip-linear'" in output


def test_two_clones_that_share_results_do_not_both_write_to_them(checkout):
    target = "results/small/figures/figure2.png"
    with open(checkout.path / "results/small/.lock", "a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        output = checkout.snakemake("--force", target).stdout
        assert re.search(r"another run writes to .*results/small: process \d+ on ", output), output
        assert "] figure2" not in output
        checkout.run("--dry-run", "--force", target)
    checkout.run("--force", target)
