"""The order of a head's outputs: said, the same for all readers, or refused."""

import pytest
import torch

import workflow.lib.backends  # noqa: F401  (before timm)

# isort: split
import timm
from timm.utils import natural_key

from workflow.lib.data.imagenet import classes
from workflow.lib.models import labels
from workflow.lib.run.errors import InputError

NAMES = ["apple", "Banana", "class1", "class2", "class10", "Ärger", "x9y10", "x10y9", "7", "07"]


def test_timms_order_is_that_of_its_reader():
    assert labels.orders(NAMES)["timm"] == sorted(NAMES, key=natural_key)
    assert labels.orders(NAMES)["torchvision"] == sorted(NAMES)
    assert set(labels.orders(NAMES)) == {"torchvision", "timm"}


def order(names, told=None, settings=None):
    return labels.order_of_outputs(names, told, settings, "mine.pth", "models.vit")


@pytest.mark.parametrize(
    "names",
    [
        ["cat", "dog", "emu"],
        ["0", "1", "2"],
        ["class01", "class02", "class10"],
        ["dog", "cat"],
        ["T-shirt", "trouser", "pullover", "dress"],
        classes()[1],
    ],
)
def test_names_that_all_sort_alike_and_orders_of_a_dataset_are_taken(names):
    assert order(names) is None


@pytest.mark.parametrize(
    "names",
    [
        ["Banana", "apple"],
        ["class1", "class10", "class2"],
        [str(i) for i in range(12)],
        sorted(str(i) for i in range(12)),
    ],
)
def test_names_that_readers_sort_differently_are_refused_with_both_orders(names):
    with pytest.raises(InputError, match=r"models.vit: nothing says .* mine.pth .*this study: "):
        order(names)
    assert order(names, told=names) is None
    assert order(names, told=names[::-1]) == list(range(len(names)))[::-1]
    assert order(names, settings=names[::-1]) == list(range(len(names)))[::-1]


def test_names_that_are_told_must_be_those_of_the_classes():
    with pytest.raises(InputError, match=r"models.vit.label_names lack 'b'"):
        order(["a", "b"], told=["a", "c"])
    with pytest.raises(InputError, match=r"models.vit.label_names name 3 outputs, .* 2 classes"):
        order(["a", "b"], told=["a", "b", "c"])


def test_names_are_the_same_in_either_form_of_unicode_and_case():
    assert order(["caf\u00e9", "Dog"], told=["cafe\u0301", "dog"]) is None
    assert order(["caf\u00e9", "Dog"], told=["DOG", "cafe\u0301"]) == [1, 0]


def test_names_are_read_from_a_list_or_a_file(tmp_path):
    (tmp_path / "names.txt").write_text("\ufeffdog\ncat \r\n\n", encoding="utf-8")
    assert labels.read_label_names(str(tmp_path / "names.txt")) == ["dog", "cat"]
    assert labels.read_label_names(["a", 1]) == ["a", "1"]
    with pytest.raises(InputError, match=r"cannot read .*none.txt"):
        labels.read_label_names(str(tmp_path / "none.txt"))
    with pytest.raises(InputError, match=r"'x' is given twice"):
        labels.read_label_names(["x", "x"])


@pytest.mark.parametrize("architecture", ["test_vit", "test_resnet", "dla34"])
def test_outputs_are_put_into_another_order(architecture):
    torch.manual_seed(0)
    network = timm.create_model(architecture, num_classes=4).eval()
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        before = network(images)
        labels.reorder(network, [2, 0, 3, 1])
        torch.testing.assert_close(network(images), before[:, [2, 0, 3, 1]], rtol=0, atol=1e-6)
