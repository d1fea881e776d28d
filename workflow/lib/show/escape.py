"""Texts of the user's in the markup of others: Markdown, LaTeX, and matplotlib's labels.

What else there is: matplotlib's mathematics is switched off (`text.parse_math` in `style.RC`), HTML
is escaped by the template of the page, and names of files that Snakemake would read as patterns
are refused (`workflow.lib.data.files`).
"""

import re

LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "–": "--",
    "±": r"$\pm$",
    "†": r"$^\dagger$",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "[": "{[}",  # at the start of a row it would be an argument of the line break before
} | {character: "\\" + character for character in "&%$#_{}"}


def markdown(text: str) -> str:
    """Write text that GitHub's Markdown shows as it is, in one line."""
    return re.sub(r"([\\`*_|<~$\[\]]|&(?=#|\w+;))", r"\\\1", " ".join(text.split()))


def latex(text: str) -> str:
    """Write text that LaTeX shows as it is, in one line."""
    return "".join(LATEX.get(character, character) for character in " ".join(text.split()))


def label(text: str) -> str:
    """Write a label that matplotlib's legends show: they leave out what begins with `_`."""
    return f"\N{ZERO WIDTH SPACE}{text}" if text.startswith("_") else text
