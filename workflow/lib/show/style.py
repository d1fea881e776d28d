"""How every figure looks: each category's name, colour and marker; fonts, lines and widths."""

from typing import NamedTuple

import seaborn as sns

from workflow.lib.study.categories import BASE, CONTROL, UNKNOWN


class Look(NamedTuple):
    """How one category looks in every figure.

    Attributes
    ----------
    name : str
        Display name.
    colour : str
        Hexadecimal sRGB.
    marker : str
        Matplotlib marker. The star is kept for means.
    """

    name: str
    colour: str
    marker: str


# From light to dark with divergence, at steps that remain in grey; hues that stay apart without
# red, green or blue cones.
LOOKS = {
    BASE: Look("Base", "#000000", "P"),
    "reinit": Look("Reinitialisation", "#E6B400", "o"),
    "hparam": Look("Hyper-parameters", "#56A8E0", "s"),
    "arch": Look("Architecture", "#D55E00", "^"),
    "fwork": Look("Framework", "#00755A", "D"),
    "dataset": Look("Dataset", "#5A2A8C", "v"),
    CONTROL: Look("Same weights", "#8C8C8C", "X"),
    UNKNOWN: Look("Unknown", "#B9B9B9", "h"),
}

BY_CATEGORY = {
    "hue": "category",
    "hue_order": list(LOOKS),
    "palette": {name: look.colour for name, look in LOOKS.items()},
    "style": "category",
    "style_order": list(LOOKS),
    "markers": {name: look.marker for name, look in LOOKS.items()},
}
"""Keywords of seaborn's functions for tables with a column `category`."""

INK = "#333333"  # text and lines that belong to no category
PALE = "#BBBBBB"  # guides behind the data

# Inches, of a two-column page.
COLUMN_WIDTH = 3.3
TEXT_WIDTH = 6.9

SIZE = 7 / 12  # of seaborn's notebook, whose letters have 12 points

RC = {
    **sns.axes_style(
        "ticks",
        {"axes.spines.top": False, "axes.spines.right": False}
        | dict.fromkeys(["axes.edgecolor", "axes.labelcolor", "text.color"], INK)
        | dict.fromkeys(["xtick.color", "ytick.color"], INK),
    ),
    **{name: SIZE * size for name, size in sns.plotting_context("notebook").items()},
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.4,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same letters on every machine
    "text.parse_math": False,  # a folder may be called Ba$$in
    "legend.frameon": False,
    "legend.handlelength": 1,
    "legend.handletextpad": 0.4,
    "legend.columnspacing": 1.5,
    "figure.dpi": 100,
    "savefig.dpi": 300,
    "pdf.fonttype": 42,  # letters stay text, in an embedded font that journals accept
    "svg.fonttype": "path",  # looks the same whether or not the reader has the font
    "svg.hashsalt": "uncorrelated",  # else identifiers are drawn at random
}
