import itertools

import pytest
from matplotlib.colors import to_rgb
from matplotlib.markers import MarkerStyle

from workflow.lib.show.style import LOOKS
from workflow.lib.study.categories import BASE, CATEGORIES, ORDER, more_divergent


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ("base", "reinit", "reinit"),
        ("reinit", "hparam", "hparam"),
        ("hparam", "arch", "arch"),
        ("arch", "fwork", "fwork"),
        ("fwork", "dataset", "dataset"),
        ("reinit", "dataset", "dataset"),
        ("arch", "arch", "arch"),
        ("base", "control", "control"),
        ("control", "reinit", "reinit"),
        ("unknown", "dataset", "unknown"),
    ],
)
def test_a_pair_belongs_to_the_more_divergent_category(a, b, expected):
    assert more_divergent(a, b) == expected
    assert more_divergent(b, a) == expected


def test_an_unknown_category_is_an_error():
    with pytest.raises(ValueError):
        more_divergent("base", "colour")


def test_every_category_has_a_look_of_its_own():
    assert set(LOOKS) == set(ORDER) > {BASE, *CATEGORIES}
    for values in zip(*LOOKS.values(), strict=True):
        assert len(set(values)) == len(LOOKS)


def test_every_marker_is_one_that_matplotlib_fills_and_none_is_the_star_of_means():
    for look in LOOKS.values():
        assert MarkerStyle(look.marker).is_filled()
        assert look.marker != "*"


def lightness(colour: str) -> float:
    """CIE L* of an sRGB colour: what is left of it in grey, from 0 to 100."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    luminance = sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
    return 116 * luminance ** (1 / 3) - 16 if luminance > 0.008856 else 903.3 * luminance


def test_categories_darken_with_divergence_so_that_they_stay_apart_in_grey():
    steps = [lightness(LOOKS[category].colour) for category in CATEGORIES]
    assert all(lighter - darker > 9 for lighter, darker in itertools.pairwise(steps))
