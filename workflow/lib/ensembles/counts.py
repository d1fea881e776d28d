"""The file of counts of pairs at several temperatures. Only this module knows its layout."""

import os
from collections.abc import Mapping, Sequence

from workflow.lib.measures.pairs import PairCounts
from workflow.lib.outputs.arrays import read_arrays, write_arrays


def write_counts(
    path: str | os.PathLike, models: Sequence[str], counts: Mapping[str, PairCounts]
) -> None:
    """Write counts of the same models, by a name of the temperatures, as .npz."""
    first = next(iter(counts.values()))
    gained = [
        [list(kind.values()) for kind in (own.converted, own.rescued)] for own in counts.values()
    ]  # (temperatures, 2, combinations, models, models)
    write_arrays(
        path,
        models=list(models),
        combinations=list(first.converted),
        temperatures=list(counts),
        examples=first.examples,
        both_right=first.both_right,
        gained=gained,
    )


def read_counts(path: str | os.PathLike) -> tuple[list[str], dict[str, PairCounts]]:
    """Read models, and counts by a name of the temperatures."""
    found = read_arrays(path)
    both_right, combinations = found["both_right"], found["combinations"].tolist()
    alone = int(found["examples"]), both_right.diagonal(), both_right
    counts = {
        name: PairCounts(*alone, *(dict(zip(combinations, g, strict=True)) for g in gained))
        for name, gained in zip(found["temperatures"].tolist(), found["gained"], strict=True)
    }
    return found["models"].tolist(), counts
