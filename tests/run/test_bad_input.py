"""Bad input ends a run with one readable message, and nothing half-written."""

import re

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
    assert "rule " not in output


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
    pairs = checkout.path / "results/small/pairs.tsv"
    spoil(path)
    output = fails(
        checkout, "--rerun-triggers", "input", "--force", str(pairs.relative_to(checkout.path))
    )
    assert re.search(message, output), output
    assert "the model 'base' is extracted again" in output
    assert not pairs.exists()


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
