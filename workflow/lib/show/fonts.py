"""Letters that the figures' own font lacks: found in installed fonts, or else reported."""

import functools
import logging
import os

from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.text import Text

log = logging.getLogger("uncorrelated")

SPARED = ("Last Resort", "STIX", "cm", "DejaVu", "Noto Color", "Apple Color")
"""Beginnings of names: of boxes, of mathematics, the figures' own, and of pictures."""


def lend_letters(figure: Figure) -> str:
    """Let texts take the letters that their font lacks from installed fonts.

    Parameters
    ----------
    figure : Figure

    Returns
    -------
    str
        Letters that no font has; they are drawn as boxes.
    """
    texts = [text for text in figure.findobj(Text) if text.get_text()]
    letters = {letter for text in texts for letter in text.get_text() if not letter.isspace()}
    own = font_manager.findfont("DejaVu Sans")
    lacking = {letter for letter in letters if ord(letter) not in _letters(own)}
    if not lacking:
        return ""
    families = []
    for name, path in _fonts():
        lent = {letter for letter in lacking if ord(letter) in _letters(path)}
        if lent:
            families.append(name)
            lacking -= lent
    for text in texts:
        text.set_fontfamily(["DejaVu Sans", *families])
    shown = "".join(sorted(lacking))
    if lacking:
        log.warning(
            "no installed font has the letters %s, which are drawn as boxes; install one, such as "
            "Noto Sans CJK, Thai or Devanagari, and draw the figure again (--forcerun)",
            shown,
        )
    return shown


def _fonts() -> list[tuple[str, str]]:
    """Names and files of installed fonts, upright and of normal weight first, in a fixed order."""
    known = {font.fname for font in font_manager.fontManager.ttflist}
    for path in sorted(set(font_manager.findSystemFonts()) - known):  # newer than its cache
        try:
            font_manager.fontManager.addfont(path)
        except (OSError, RuntimeError, ValueError):
            continue
    fonts = {
        (font.style != "normal", str(font.weight) not in ("400", "normal"), font.name, font.fname)
        for font in font_manager.fontManager.ttflist
        if not font.name.startswith(SPARED) and os.path.exists(font.fname)
    }
    return [(name, path) for *_, name, path in sorted(fonts)]


@functools.cache
def _letters(path: str) -> frozenset[int]:
    try:
        return frozenset(font_manager.get_font(path).get_charmap())
    except (OSError, RuntimeError, ValueError):  # of a kind that matplotlib cannot draw
        return frozenset()
