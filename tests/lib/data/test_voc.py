"""Pascal VOC 2007: its layout, its labels, and its average precision."""

import shutil
import warnings
from fractions import Fraction

import numpy as np
import pytest

from tests.voc import write_annotation, write_sets
from workflow.lib.data import voc
from workflow.lib.data.voc import VocObject
from workflow.lib.measures import average_precision
from workflow.lib.run.errors import InputError

pytestmark = pytest.mark.numeric

ANNOTATION = """<annotation>
	<folder>VOC2007</folder>
	<filename>{id}.jpg</filename>
	<source>
		<database>The VOC2007 Database</database>
		<annotation>PASCAL VOC2007</annotation>
		<image>flickr</image>
		<flickrid>341012865</flickrid>
	</source>
	<owner>
		<flickrid>Someone</flickrid>
		<name>Some One</name>
	</owner>
	<size>
		<width>353</width>
		<height>500</height>
		<depth>3</depth>
	</size>
	<segmented>0</segmented>
{objects}</annotation>
"""
OBJECT = """	<object>
		<name>{name}</name>
		<pose>Left</pose>
		<truncated>1</truncated>
		<difficult>{difficult}</difficult>
		<bndbox>
			<xmin>48</xmin>
			<ymin>240</ymin>
			<xmax>195</xmax>
			<ymax>371</ymax>
		</bndbox>
{part}	</object>
"""
PART = """		<part>
			<name>head</name>
			<bndbox>
				<xmin>50</xmin>
				<ymin>241</ymin>
				<xmax>60</xmax>
				<ymax>250</ymax>
			</bndbox>
		</part>
"""
CLASSES = ("car", "dog", "person")
# Objects of each image (class, difficult), and the labels that these mean, by class.
IMAGES = {
    "000005": ([("dog", 0), ("person", 1)], [-1, 1, 0]),
    "000007": ([("person", 1), ("person", 0)], [-1, -1, 1]),
    "000009": ([("car", 1), ("car", 1)], [0, -1, -1]),
    "000012": ([("car", 0), ("dog", 0), ("person", 0)], [1, 1, 1]),
    "000016": ([("dog", 1)], [-1, 0, -1]),
}
SETS = {
    "train": ["000007", "000005"],
    "val": ["000012"],
    "trainval": ["000005", "000007", "000012"],
    "test": ["000016", "000009"],
}


@pytest.fixture
def folder(tmp_path):
    """Five images in the real layout, class files and all."""
    for name in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (tmp_path / name).mkdir(parents=True)
    for key, (objects, _) in IMAGES.items():
        (tmp_path / f"JPEGImages/{key}.jpg").write_bytes(b"no pixels needed")
        text = "".join(
            OBJECT.format(name=name, difficult=flag, part=PART if name == "person" else "")
            for name, flag in objects
        )
        (tmp_path / f"Annotations/{key}.xml").write_text(ANNOTATION.format(id=key, objects=text))
    for split, keys in SETS.items():
        main = tmp_path / "ImageSets/Main"
        (main / f"{split}.txt").write_text("".join(f"{key}\n" for key in keys))
        for column, name in enumerate(CLASSES):
            lines = (f"{key} {IMAGES[key][1][column]:2d}\n" for key in keys)
            (main / f"{name}_{split}.txt").write_text("".join(lines))
    return tmp_path


@pytest.mark.parametrize("split", voc.SPLITS)
@pytest.mark.parametrize("without", [[], ["dog_test.txt"], ["*_*.txt"]])
def test_class_files_and_annotations_say_the_same(folder, split, without):
    for pattern in without:
        for file in (folder / "ImageSets/Main").glob(pattern):
            file.unlink()
    ids, labels, classes = voc.read_voc(folder, split)
    assert ids.tolist() == [f"JPEGImages/{key}.jpg" for key in SETS[split]]
    assert labels.tolist() == [IMAGES[key][1] for key in SETS[split]]
    assert labels.dtype == np.int8
    assert classes == CLASSES


def test_class_files_are_what_is_read_where_they_are(folder):
    file = folder / "ImageSets/Main/car_val.txt"
    file.write_text("000012 -1\n")  # one space, and another label than the annotation's
    assert voc.read_voc(folder, "val").labels.tolist() == [[-1, 1, 1]]


def test_class_files_may_be_in_another_order_and_have_other_line_ends(folder):
    (folder / "ImageSets/Main/dog_train.txt").write_bytes(b"000005  1\r\n000007 -1\r\n")
    assert voc.read_voc(folder, "train").labels.tolist() == [[-1, -1, 1], [-1, 1, 0]]


def test_source_files_are_those_that_are_read(folder):
    names = [f"ImageSets/Main/{name}_{split}.txt" for name in CLASSES for split in SETS]
    lists = [f"ImageSets/Main/{split}.txt" for split in SETS]
    pixels = [f"JPEGImages/{key}.jpg" for key in IMAGES]
    boxes = [f"Annotations/{key}.xml" for key in IMAGES]
    shutil.copy(folder / "JPEGImages/000005.jpg", folder / "JPEGImages/000099.jpg")  # in no split

    def files(*lists):
        return sorted(str(folder / name) for part in lists for name in part)

    assert voc.files(folder) == files(names, lists, pixels)
    (folder / "ImageSets/Main/car_val.txt").unlink()
    assert voc.files(folder) == files(lists, pixels, boxes)


def put(text):
    return lambda path: path.write_text(text)


def delete(path):
    shutil.rmtree(path) if path.is_dir() else path.unlink()


@pytest.mark.parametrize(
    ("file", "spoil", "message"),
    [
        ("", delete, r"no folder .*ImageSets/Main; give the folder that holds"),
        ("JPEGImages", delete, r"no folder .*JPEGImages"),
        ("Annotations", delete, r"no folder .*Annotations"),
        ("ImageSets/Main/train.txt", delete, r"train.txt is missing"),
        ("ImageSets/Main/train.txt", put(""), r"train.txt lists no id"),
        ("ImageSets/Main/train.txt", put("000005\n000005\n"), r"train.txt lists an id twice"),
        ("ImageSets/Main/train.txt", put("000005 1\n"), r"train.txt has a line that is not one id"),
        ("ImageSets/Main/train.txt", put("000099\n"), r"000099.jpg is missing, but .*train.txt"),
        ("JPEGImages/000007.jpg", delete, r"000007.jpg is missing, but .*train.txt lists 000007"),
        ("Annotations/000007.xml", delete, r"000007.xml is missing, but .*train.txt lists 000007"),
        ("ImageSets/Main/dog_train.txt", put("000005 1\n"), r"dog_train.txt has other ids"),
        ("ImageSets/Main/dog_train.txt", put("000005 1\n000005 1\n"), r"dog_train.*other ids"),
        ("ImageSets/Main/dog_train.txt", put("000005 1\n000099 1\n"), r"dog_train.*other ids"),
        ("ImageSets/Main/dog_train.txt", put("000005 2\n000007 1\n"), r"dog_train.*'000005 2'"),
        ("ImageSets/Main/dog_train.txt", put("000005\n000007 1\n"), r"dog_train.*'000005'"),
    ],
)
def test_a_wrong_file_is_named(folder, file, spoil, message):
    spoil(folder / file)
    with pytest.raises(InputError, match=message):
        voc.read_voc(folder, "train")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("</object>", ""),
        ("<difficult>0</difficult>", "<difficult>maybe</difficult>"),
        ("<name>dog</name>", ""),
        ("<xmin>48</xmin>", "<xmin></xmin>"),
        ("<ymax>371</ymax>", ""),
        ("<xmin>48</xmin>", "<xmin>inf</xmin>"),
        ("<annotation>\n", "<?xml version='1.0' encoding='none'?><annotation>\n"),
    ],
)
def test_a_wrong_annotation_is_named_when_labels_come_from_it(folder, old, new):
    (folder / "ImageSets/Main/car_val.txt").unlink()
    file = folder / "Annotations/000005.xml"
    file.write_text(file.read_text().replace(old, new))
    with pytest.raises(InputError, match=r"000005.xml"):
        voc.read_voc(folder, "test")


def test_annotations_and_sets_are_read_as_they_were_written(tmp_path):
    objects = [
        VocObject("ankle-boot", False, True, (1, 2, 30, 40)),
        VocObject("R&D <coat>", True, False, (5, 6, 7, 8)),
    ]
    (tmp_path / "Annotations").mkdir()
    (tmp_path / "JPEGImages").mkdir()
    (tmp_path / "JPEGImages/000001.jpg").touch()
    file = tmp_path / "Annotations/000001.xml"
    write_annotation(file, (42, 43, 1), objects, {"database": "mine", "image": "a; b"})
    assert voc.read_annotation(file) == objects
    assert "<filename>000001.jpg</filename>" in file.read_text()
    assert "<width>42</width>" in file.read_text()
    classes = ["R&D <coat>", "ankle-boot", "bag"]
    labels = voc.labels_of([objects], classes)
    assert labels.tolist() == [[0, 1, -1]]
    write_sets(tmp_path, {"test": ["000001"]}, {"test": labels}, classes)
    assert (tmp_path / "ImageSets/Main/ankle-boot_test.txt").read_text() == "000001  1\n"
    read = voc.read_voc(tmp_path, "test")
    assert read.labels.tolist() == labels.tolist()
    assert read.classes == tuple(classes)


def test_a_class_needs_two_positive_images():
    labels = np.array([[1, 1, -1], [1, -1, 0], [-1, 1, 1]])
    voc.check_tasks(labels[:, :2], ["car", "dog"], "train")
    with pytest.raises(InputError, match=r"'person' has a single positive .*'train', which cannot"):
        voc.check_tasks(labels, CLASSES, "train")
    with pytest.raises(InputError, match=r"'person' has no positive image in the split 'val'"):
        voc.check_tasks(labels[:2, [0, 0, 2]], CLASSES, "val")


def ranked(labels):
    """Scores that rank the labels in their order."""
    return np.arange(len(labels), 0, -1), np.array(labels)


# rank        1    2    3    4    5    6    7    8    9    10
# label       +    -    +    0    -    -    +    -    +    -
# recall     1/4  1/4  2/4  2/4  2/4  2/4  3/4  3/4  4/4  4/4
# precision  1/1  1/2  2/3  2/3  2/4  2/5  3/6  3/7  4/8  4/9
BY_HAND = [1, -1, 1, 0, -1, -1, 1, -1, 1, -1]


def test_average_precision_worked_out_by_hand():
    # The best precision at a recall of at least 0, 0.1, 0.2 is 1; of 0.3, 0.4, 0.5 it is 2/3; of
    # 0.6 to 1, five levels, 1/2.
    expected = (3 * 1 + 3 * 2 / 3 + 5 * 1 / 2) / 11
    assert average_precision.average_precision(*ranked(BY_HAND)) == pytest.approx(
        expected, abs=1e-12
    )


def test_average_precision_is_not_that_of_all_points():
    # Area under the same steps: a quarter of recall each at 1, 2/3, 1/2 and 1/2.
    area = (1 + 2 / 3 + 1 / 2 + 1 / 2) / 4
    assert average_precision.average_precision(*ranked(BY_HAND)) - area == pytest.approx(
        7.5 / 11 - 2 / 3
    )


def naive(scores, labels):
    """The devkit's loop in floating point: what most ports of it do."""
    order = np.argsort(-scores, kind="stable")
    right, wrong = np.cumsum(labels[order] > 0), np.cumsum(labels[order] < 0)
    recall, precision = right / right[-1], right / (right + wrong)
    return sum(precision[recall >= level].max() / 11 for level in np.arange(0, 1.1, 0.1))


def test_a_recall_of_exactly_three_tenths_reaches_that_level():
    # Three of ten positives, one negative, the other seven: the precision is 1 up to a recall of
    # 0.3, and at best 10/11 thereafter. In floating point 3 * 0.1 > 3 / 10.
    scores, labels = ranked([1, 1, 1, -1, *[1] * 7])
    assert average_precision.average_precision(scores, labels) == pytest.approx(
        (4 + 7 * 10 / 11) / 11, abs=1e-12
    )
    assert naive(scores, labels) == pytest.approx((3 + 8 * 10 / 11) / 11, abs=1e-12)


def test_difficult_images_are_neither_right_nor_wrong():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # Ahead of everything: no precision there, rather than one of 0 or 1.
        assert average_precision.average_precision(*ranked([0, 0, 1, -1])) == 1
        assert average_precision.average_precision(*ranked([0, -1, 0, 1])) == pytest.approx(1 / 2)
    rng = np.random.default_rng(0)
    scores, labels = rng.normal(size=200), rng.integers(-1, 2, 200)
    seen = labels != 0
    whole = average_precision.average_precision(scores, labels)
    assert whole == average_precision.average_precision(scores[seen], labels[seen])


def test_equal_scores_keep_their_order():
    labels = np.array([-1, 1, 1, -1])
    # Negative first: precisions 0, 1/2, 2/3, 2/4; the best at every recall is 2/3.
    assert average_precision.average_precision(np.zeros(4), labels) == pytest.approx(2 / 3)
    assert average_precision.average_precision(np.zeros(4), labels[[1, 2, 0, 3]]) == 1


def exact(scores, labels):
    """The definition word by word, in fractions."""
    order = sorted(range(len(scores)), key=lambda i: -scores[i])
    positives = sum(label > 0 for label in labels)
    total = Fraction(0)
    for level in range(11):
        best, right, wrong = Fraction(0), 0, 0
        for i in order:
            right, wrong = right + (labels[i] > 0), wrong + (labels[i] < 0)
            if Fraction(right, positives) >= Fraction(level, 10) and right + wrong:
                best = max(best, Fraction(right, right + wrong))
        total += best
    return total / 11


@pytest.mark.parametrize("seed", range(40))
def test_average_precision_is_its_definition(seed):
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 30, 60)  # many ties
    labels = rng.choice([-1, 0, 1], 60, p=rng.dirichlet([2, 1, 2]))
    labels[rng.integers(60)] = 1
    value = average_precision.average_precision(scores, labels)
    assert value == pytest.approx(float(exact(scores.tolist(), labels.tolist())), abs=1e-14)
    assert 0 < value <= 1


def test_average_precision_sees_only_the_ranking_of_scores():
    rng = np.random.default_rng(1)
    scores, labels = rng.normal(size=300), rng.integers(-1, 2, 300)
    value = average_precision.average_precision(scores, labels)
    for other in (3 * scores + 7, np.exp(scores), scores**3, scores.argsort().argsort()):
        assert average_precision.average_precision(other, labels) == value
    rows = rng.permutation(300)
    assert average_precision.average_precision(scores[rows], labels[rows]) == value


def test_the_best_and_the_worst_ranking():
    assert average_precision.average_precision(*ranked([1] * 7 + [-1] * 13)) == 1
    # All positives last: the precision is highest at the end, 7 of 20.
    assert average_precision.average_precision(*ranked([-1] * 13 + [1] * 7)) == pytest.approx(
        7 / 20
    )


def test_mean_average_precision_goes_with_the_classes():
    rng = np.random.default_rng(2)
    scores, labels = rng.normal(size=(100, 5)), rng.integers(-1, 2, (100, 5))
    by_class, mean = average_precision.mean_average_precision(scores, labels)
    assert by_class.dtype == np.float64
    assert by_class.tolist() == [
        average_precision.average_precision(scores[:, i], labels[:, i]) for i in range(5)
    ]
    assert mean == pytest.approx(sum(by_class) / 5)
    order = [3, 1, 4, 0, 2]
    again, same = average_precision.mean_average_precision(scores[:, order], labels[:, order])
    assert again.tolist() == by_class[order].tolist()
    assert same == pytest.approx(mean)


@pytest.mark.parametrize(
    ("scores", "labels", "message"),
    [
        ([1.0, 2.0], [-1, 0], "there is none"),
        ([1.0, np.nan], [1, -1], "NaN"),
        ([1.0, 2.0, 3.0], [1, -1], "not of one shape"),
    ],
)
def test_what_has_no_average_precision_is_refused(scores, labels, message):
    with pytest.raises(ValueError, match=message):
        average_precision.average_precision(scores, labels)
    with pytest.raises(ValueError, match=message):
        average_precision.mean_average_precision(
            np.array(scores)[:, None], np.array(labels)[:, None]
        )
