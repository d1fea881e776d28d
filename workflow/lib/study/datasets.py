"""What a study's file may say of images: its dataset, and further test sets."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from workflow.lib.study.fields import (
    KEYS_ARE_SLUGS,
    Answers,
    Count,
    Images,
    Maybe,
    Seed,
    Strict,
)

SPLITS = """Number of images for each split, or `rest` for all that are left over, in equal shares
of each class. They are drawn from the training images; but if `test` is named and there are test
images of its own (of ImageNet, the validation images), `calibration` and `test` are drawn from
those. What is not named is whole as it is: `test`, and any folder <path>/<split> of the kind
`folder`."""
Splits = Annotated[dict[str, Images], Field(description=SPLITS, json_schema_extra=KEYS_ARE_SLUGS)]


class Dataset(Strict):
    """The images, and how they are divided into splits.

    Attributes
    ----------
    needs : tuple of str
        Splits that must be drawn.
    """

    needs: ClassVar[tuple[str, ...]] = ()

    kind: str
    """What layout the images are in."""
    path: str
    """Folder of the images, relative to the working directory."""
    seed: Seed
    """Seed of the draw of the splits, in equal shares of each class."""
    splits: Splits = {}

    @property
    def settings(self) -> dict:
        """All of its keys, of plain types."""
        return {"skip_corrupt": False} | self.model_dump()


class PhotoDataset(Dataset):
    """Images in files that may be damaged."""

    skip_corrupt: bool = False
    """Leave out images that cannot be decoded, and name them in the log. To find them, every image
    is decoded once more."""


class FashionMnist(Dataset):
    """Fashion-MNIST."""

    needs = ("train", "calibration")

    kind: Literal["fashion-mnist"]
    """Fashion-MNIST's own files."""
    splits: Splits


class Folder(PhotoDataset):
    """Images by class."""

    kind: Literal["folder"]
    """<path>/<split>/<class>/*.jpg, or <path>/<class>/*.jpg to be divided."""


class ImageNet(PhotoDataset):
    """ImageNet, in the official order of its classes."""

    needs = ("calibration",)

    kind: Literal["imagenet"]
    """<path>/train/<synset>/*.JPEG (only if something is drawn from it) and
    <path>/val/<synset>/*.JPEG, or <path>/val/*.JPEG with the devkit's ground truth."""
    splits: Splits


class Parquet(PhotoDataset):
    """A Hugging Face dataset."""

    kind: Literal["parquet"]
    """Files <split>-*.parquet."""


class Labels(Dataset):
    """Labels alone, for logits and answers that were computed elsewhere."""

    kind: Literal["labels"]
    """A CSV file with the columns `id` and `label` (a class by name, or by index from 0), and
    perhaps `split`; there are no images. Without `split`, all rows are test images, or what
    `splits` draws from them."""
    seed: Seed = 0
    """Seed of the draw of the splits, in equal shares of each class."""
    classes: Maybe[str] = None
    """File of the names of the classes, in order: a name a line, or a .csv or .tsv file with a
    column `name` or `class`. By default they are called as in the column `label`."""


DATASETS = (FashionMnist, Folder, ImageNet, Parquet, Labels)


class TestSet(Strict):
    """Further images, or other labels of the test images, that everything is scored on.

    One of `kind`, `labels`, `answers` and `corruption` says which.
    """

    kind: Maybe[Literal["fashion-mnist", "folder", "imagenet", "objectnet", "parquet"]] = None
    """Images of their own, in a layout as under `dataset`, or in ObjectNet's; of a dataset that is
    divided, its test images. Where they show some of the study's classes alone, models choose among
    these."""
    path: Maybe[str] = None
    """Folder of these images."""
    skip_corrupt: bool = False
    """Leave out those of them that cannot be decoded."""
    labels: Maybe[str] = None
    """Other labels of the study's test images: ReaL's JSON, or a CSV file with the columns `id` and
    `label`, a row a right label. Images without a label are left out."""
    answers: Maybe[Answers] = None
    """Where all that is known of the models are their answers: those on other images, an .npz file
    of several models as under `models`, with an array `labels`."""
    corruption: Maybe[
        Literal["gaussian-noise", "shot-noise", "blur", "contrast", "brightness", "pixelate",
                "jpeg"]
    ] = None  # fmt: skip
    """What is done to the study's test images (Hendrycks and Dietterich 2019)."""
    severity: Maybe[Annotated[int, Field(ge=1, le=5)]] = None
    """How much of it, from 1 to 5."""
    images: Maybe[Count] = None
    """Number of test images to corrupt, in equal shares of each class; by default, all."""
    seed: Seed = 0
    """Seed of the noise, and of the draw of the images."""
