"""Select ensembles of many models on some images, and score them on others, by keys alone.

Greedy ensembles start from a base and add at each step the model that raises accuracy most, once
each (without replacement) or several times; an ensemble ends when no model makes more images of the
selection right. What raises accuracy most is decided on the images to select on (protocol
`held-out`), or on those that are scored (`paper`), whose accuracies are then too good.

Beside them all single models, pairs and triples are compared on the images to select on, and those
that are listed are scored. So their accuracies are honest: the best of thousands of ensembles on
the images scored would seem better than it is.

Models are calibrated, and combined in every way of `COMBINATIONS`.
"""

import logging
from itertools import combinations, product

import numpy as np
import pandas as pd

from workflow.lib.data.manifest import Manifest
from workflow.lib.ensembles.combine import COMBINATIONS
from workflow.lib.ensembles.greedy import Candidates, Growth, grow
from workflow.lib.ensembles.logits import Logits, stream
from workflow.lib.ensembles.pairs import PairCounter
from workflow.lib.ensembles.recommend import COSTS, choose, cost
from workflow.lib.ensembles.score import Scorer
from workflow.lib.ensembles.triples import TripleCounter
from workflow.lib.measures.pairs import PairCounts
from workflow.lib.measures.statistics import paired_gain, wilson
from workflow.lib.outputs.tables import read_table, write_table
from workflow.lib.run.errors import InputError
from workflow.lib.run.progress import Progress

log = logging.getLogger("uncorrelated")

TRIPLES_OF = 100
"""Models whose triples are all compared; of more, those of the most likely ones."""


def selection(
    *,
    manifest: str,
    calibration: str,
    selected: list[str],
    scored: list[str],
    greedy: str,
    recommendations: str,
    models: list[str],
    splits: list[str],
    bases: list[str],
    pool: list[str],
    size: int,
    threads: int,
) -> None:
    """Write a table of greedy ensembles, and one of ensembles worth knowing.

    Parameters
    ----------
    manifest : str
    calibration : str
        Table of temperatures.
    selected, scored : list of str
        Outputs files on the split to select on and on the one to score, in the order of `models`.
        Of more than `TRIPLES_OF` models, triples are of those with the least negative
        log-likelihood on the former.
    greedy : str
        Table to write: a row a protocol, combination, replacement, base and step. Step 0 is the
        base alone; `model` is who comes in, but for the last if it is `refused`, since it raises
        nothing. `selection_accuracy` is that on the images of the protocol, `accuracy` that on the
        images scored with Wilson's 95 % interval, and `gain` what it is above the base's with
        Wald's interval of paired differences.
    recommendations : str
        Table to write: a row a combination and ensemble, singles first, then pairs and triples, the
        best first. All singles are in it, the best 50 pairs and triples, and what else is on a
        Pareto front (see `mark_fronts`). `gain` is what the accuracy is above that of the best
        member, which is the one best on the images to select on. `behind` is what it is below that
        of the first of its size, which it is `as_good` as unless the interval of paired differences
        tells them apart. `macs` (multiply-adds for one
        image) and `parameters` are the sums of the members', and `images_per_second` is that of
        members run one after the other, of the speeds at which their outputs were computed; each is
        empty if a member's is not known.
    models : list of str
        Keys of all models, in the order of the configuration.
    splits : list of str
        The split to select on, and the one to score.
    bases : list of str
        Keys of the models that greedy ensembles begin with; none for no greedy ensembles.
    pool : list of str
        Keys of the models to add; the earlier of equally good ones is added.
    size : int
        Members at most, the base included.
    threads : int

    Raises
    ------
    InputError
        If there is nothing to add to a base, or no room for it.
    """
    check(bases, pool, size)
    known = Manifest.read(manifest).splits
    to_select, to_score = (known[split] for split in splits)
    fits = read_table(calibration).set_index("model").loc[models]
    model_fits = fits["temperature"].to_numpy(), models
    likely = np.sort(fits["nll_after"].to_numpy().argsort(kind="stable")[:TRIPLES_OF]).tolist()
    if len(likely) < len(models):
        log.warning("of %d models, triples of the %d most likely", len(models), len(likely))
    places = [models.index(key) for key in bases], sorted(models.index(key) for key in pool)
    growing = *places, size, threads
    with Logits.open(scored, to_score, *model_fits) as scores:
        costs = np.array([cost(attributes) for attributes in scores.attributes])
        with Logits.open(selected, to_select, *model_fits) as logits:
            pairs = PairCounter(logits)
            triples = {name: TripleCounter(logits, name, likely) for name in COMBINATIONS}
            tasks = pairs, *triples.values()
            held_out = grow_all(read(logits, bases, threads, *tasks), *growing)
        counts = pairs.counts()[0]
        tables = [
            choose(*count_all(counts, own.counts(), likely, name), costs).assign(combination=name)
            for name, own in triples.items()
        ]
        listed = pd.concat(tables, ignore_index=True)
        grown = [(kind["combination"], growth.members) for kind, growth in held_out]
        chosen = list(zip(listed["combination"], listed["group"], strict=True))
        scorer = Scorer(scores, grown + chosen)
        paper = grow_all(read(scores, bases, threads, scorer), *growing)
    right = iter(scorer.right())
    held_out = [(kind, growth._replace(right=next(right))) for kind, growth in held_out]
    protocols = ("held-out", to_select, held_out), ("paper", to_score, paper)
    steps = [
        row
        for protocol, split, ensembles in protocols
        for kind, growth in ensembles
        for row in describe({"protocol": protocol} | kind, growth, len(split.labels), models)
    ]
    write_table(greedy, pd.DataFrame(steps, columns=None if steps else ["base"]))
    listed["selection_accuracy"] = listed.pop("correct") / len(to_select.labels)
    write_table(recommendations, recommend(listed, [own[-1] for own in right], models))


def check(bases: list[str], pool: list[str], size: int) -> None:
    """Refuse greedy ensembles that can't grow; without bases there are none."""
    if bases and not pool:
        raise InputError("greedy.pool names no model; name at least one to add")
    for base in bases:
        if set(pool) == {base}:
            raise InputError(
                f"greedy.pool holds only '{base}', which greedy.bases names too: without "
                f"replacement there is nothing to add to it; name another model in greedy.pool"
            )
    if bases and size < 2:
        raise InputError(f"greedy.size is {size}: a base and one more member make 2")


def read(logits: Logits, bases: list[str], threads: int, *tasks) -> Candidates | None:
    """Stream logits to the tasks, and to candidates of greedy ensembles if there are bases."""
    candidates = Candidates(logits) if bases else None
    progress = Progress(logits.shape[1], "images")
    greedy = [candidates] if candidates else []
    stream(logits, *tasks, *greedy, threads=threads, progress=progress.advance)
    return candidates


def grow_all(
    candidates: Candidates | None, bases: list[int], pool: list[int], size: int, threads: int
) -> list[tuple[dict, Growth]]:
    """Grow an ensemble for each combination, way of replacement and base."""
    if candidates is None:
        return []
    progress = Progress(len(COMBINATIONS) * 2 * len(bases), "ensembles grown")
    found = []
    for combination, replacement, base in product(COMBINATIONS, (False, True), bases):
        kind = {"combination": combination, "replacement": replacement}
        found.append((kind, grow(candidates, base, pool, size=size, threads=threads, **kind)))
        progress.advance(1)
    return found


def describe(kind: dict, growth: Growth, examples: int, models: list[str]) -> list[dict]:
    """Give a row a step of an ensemble, of its kind, selected on so many examples."""
    base, last = models[growth.members[0]], len(growth.members) - 1
    return [
        kind
        | {"base": base, "step": step, "model": models[model], "selection_accuracy": n / examples}
        | score(right, growth.right[0])
        | {"refused": growth.refused and step == last}
        for step, (model, n, right) in enumerate(
            zip(growth.members, growth.correct, growth.right, strict=True)
        )
    ]


def score(right: np.ndarray, reference: np.ndarray) -> dict[str, float]:
    """Accuracy, and its gain over a reference, with their intervals."""
    low, high = wilson(right.sum(), len(right))
    gain, gain_low, gain_high = paired_gain(right, reference)
    return {
        "accuracy": right.mean(), "accuracy_low": float(low), "accuracy_high": float(high),
        "gain": gain, "gain_low": gain_low, "gain_high": gain_high,
    }  # fmt: skip


def count_all(
    counts: PairCounts, triples: np.ndarray, likely: list[int], combination: str
) -> tuple[list[tuple[int, ...]], np.ndarray]:
    """Numbers of the members of every single model, pair and triple, and what each gets right.

    Triples are of the models `likely`, by whose places their counts stand.
    """
    pairs = counts.both_right + counts.converted[combination] + counts.rescued[combination]
    numbers = range(len(counts.correct))
    groups = [group for size in (1, 2) for group in combinations(numbers, size)]
    tables = {1: counts.correct, 2: pairs}
    correct = [tables[len(group)][group] for group in groups]
    places = np.array([*combinations(range(len(likely)), 3)], np.int64).reshape(-1, 3)
    groups += combinations(likely, 3)
    return groups, np.concatenate([correct, triples[tuple(places.T)]]).astype(np.int64)


def recommend(listed: pd.DataFrame, right: list[np.ndarray], models: list[str]) -> pd.DataFrame:
    """Give the rows of ensembles worth knowing, of what `choose` listed and each gets right."""
    alone = {
        (kind, group[0]): own
        for kind, group, own in zip(listed["combination"], listed["group"], right, strict=True)
        if len(group) == 1
    }
    first = {
        (kind, size): own
        for kind, size, rank, own in zip(
            listed["combination"], listed["size"], listed["rank"], right, strict=True
        )
        if rank == 1
    }
    rows = []
    for row, own in zip(listed.to_dict("records"), right, strict=True):
        best = alone[row["combination"], row["best"]]
        scored = score(own, best)
        accuracy = {name: value for name, value in scored.items() if name.startswith("accuracy")}
        rows.append(
            {name: row[name] for name in ("combination", "rank", "size")}
            | {"models": " + ".join(models[place] for place in row["group"])}
            | {"selection_accuracy": row["selection_accuracy"]}
            | accuracy
            | {"best_member": models[row["best"]], "best_member_accuracy": best.mean()}
            | scored
            | behind(own, first[row["combination"], row["size"]])
            | {"macs": row["macs"], "parameters": row["parameters"]}
            | {"images_per_second": 1 / row["seconds"]}
            | {front: row[front] for front in COSTS.values()}
        )
    return pd.DataFrame(rows).astype({"macs": "Int64", "parameters": "Int64"})


def behind(right: np.ndarray, first: np.ndarray) -> dict[str, object]:
    """How far an ensemble is behind the first of its size, and whether that can be told at all."""
    below, low, high = paired_gain(first, right)
    return {"behind": below, "behind_low": low, "behind_high": high, "as_good": bool(low <= 0)}


if "snakemake" in globals():
    from workflow.lib.run.script import run_script

    run_script(selection, snakemake)
