"""The gate: right checkpoints pass, wrong ones end the study with what to look at."""

import pandas as pd
import pytest

from workflow.lib.outputs.tables import write_table
from workflow.lib.run.errors import InputError
from workflow.scripts.accuracy import accuracy

LITE0 = {"source": "timm", "checkpoint": "tf_efficientnet_lite0.in1k", "published": 0.74846,
         "note": ""}  # fmt: skip
LITE1 = {"source": "timm", "checkpoint": "tf_efficientnet_lite1.in1k", "published": 0.76674,
         "note": ""}  # fmt: skip
NEW = {"source": "timm", "checkpoint": "new.in1k", "published": None,
       "note": "timm publishes no accuracy of it"}  # fmt: skip


class Study:
    """A study of as many test images as asked for, and models with as many right as asked for."""

    def __init__(self, folder, images):
        self.folder, self.images = folder, images

    def compare(self, tolerance=0.01, claims=None, **right):
        claims = claims or {"lite0": LITE0, "lite1": LITE1}
        models = dict.fromkeys(claims, 0) | right
        correct = pd.DataFrame({"model": list(models), "images": self.images})
        correct["right"] = list(models.values())
        write_table(self.folder / "correct.tsv", correct)
        accuracy(
            correct=str(self.folder / "correct.tsv"), table=str(self.folder / "accuracy.tsv"),
            claims=claims, population=50_000, tolerance=tolerance,
        )  # fmt: skip
        return pd.read_csv(self.folder / "accuracy.tsv", sep="\t").set_index("model")


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    return Study(tmp_path_factory.mktemp("full"), 50_000)


def test_the_published_accuracy_passes_and_is_written(full):
    table = full.compare(lite0=37_423, lite1=38_337 - 500)  # published, and a whole point below
    assert table["verdict"].tolist() == ["agrees", "agrees"]
    assert table["measured"].tolist() == [0.74846, 0.75674]
    assert table["difference"].tolist() == [0, -0.01]
    assert table["allowed"].tolist() == [0.01, 0.01]


def test_what_is_published_of_another_head_is_shown_and_not_judged(full):
    other = {**LITE1, "judged": False, "note": "published with other names"}
    table = full.compare(claims={"lite0": LITE0, "lite1": other}, lite0=37_423, lite1=100)
    assert table["verdict"].tolist() == ["agrees", "not judged"]
    assert table.loc["lite1", ["measured", "published"]].tolist() == [0.002, 0.76674]


def test_an_image_more_than_the_tolerance_ends_the_study(full):
    (full.folder / "accuracy.tsv").unlink(missing_ok=True)
    with pytest.raises(InputError) as error:
        full.compare(lite0=37_423, lite1=38_337 - 501)
    message = str(error.value)
    assert message.startswith(
        "lite1 (timm: tf_efficientnet_lite1.in1k) has an accuracy of 0.7567 on 50000 test images, "
        "but 0.7667 is published, and a difference of 0.0100 is allowed. Look at: its preprocessing"
    )
    assert "since other models agree" in message
    assert "lite0" not in message
    assert "raise accuracy_tolerance" in message
    assert not (full.folder / "accuracy.tsv").exists()


def test_all_that_are_off_are_named_and_so_are_the_labels(full):
    with pytest.raises(InputError) as error:
        full.compare(lite0=0, lite1=38_337 + 501)  # too good is wrong as well
    message = str(error.value)
    assert "lite0 (" in message
    assert "lite1 (" in message
    assert "whether the test images are ImageNet's validation images" in message


def test_what_differs_in_preprocessing_is_said(full):
    note = "published with crop 0.875, and taken with 1.0 here"
    with pytest.raises(InputError, match=rf"is allowed \({note}\)\. Look at"):
        full.compare(claims={"lite0": LITE0 | {"note": note}}, lite0=30_000)


def test_a_wider_tolerance_lets_it_pass(full):
    assert full.compare(0.05, lite0=36_000, lite1=38_337)["verdict"].eq("agrees").all()


def test_a_checkpoint_of_which_nothing_is_published_passes_with_a_note(full):
    table = full.compare(claims={"new": NEW, "lite0": LITE0}, lite0=37_423)
    assert table["verdict"].to_dict() == {"new": "none published", "lite0": "agrees"}
    assert table["note"]["new"] == "timm publishes no accuracy of it"
    assert table["measured"].isna().to_dict() == {"new": True, "lite0": False}


def test_a_sample_of_the_images_is_allowed_its_error(tmp_path):
    study = Study(tmp_path, 1_000)
    # 0.01 + 3 sqrt(0.74846 * 0.25154 / 1000 * 49000 / 49999) = 0.01 + 0.04075
    table = study.compare(claims={"lite0": LITE0}, lite0=748 - 50)
    assert table["allowed"]["lite0"] == pytest.approx(0.05075, abs=1e-5)
    with pytest.raises(InputError, match=r"0\.6970 on 1000 test images.* 0\.0507 is allowed"):
        study.compare(claims={"lite0": LITE0}, lite0=697)
