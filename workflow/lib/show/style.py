"""How every figure looks: each category's name, colour and marker; fonts, lines and widths."""

from typing import NamedTuple

from workflow.lib.study.categories import BASE


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
}

INK = "#333333"  # text and lines that belong to no category
PALE = "#BBBBBB"  # guides behind the data

# Inches, of a two-column page.
COLUMN_WIDTH = 3.3
TEXT_WIDTH = 6.9

RC = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same letters on every machine
    "text.parse_math": False,  # a folder may be called Ba$$in
    "font.size": 7,
    "axes.titlesize": 7,
    "axes.labelsize": 7,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "legend.handlelength": 1,
    "legend.handletextpad": 0.4,
    "legend.columnspacing": 1.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "lines.linewidth": 0.9,
    "figure.dpi": 100,
    "savefig.dpi": 300,
    "pdf.fonttype": 42,  # letters stay text, in an embedded font that journals accept
    "svg.fonttype": "path",  # looks the same whether or not the reader has the font
    "svg.hashsalt": "uncorrelated",  # else identifiers are drawn at random
}
