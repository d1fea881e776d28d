"""Cascades of two and three models: what they save, at thresholds chosen on one split.

The model of the fewest multiply-adds comes first. It answers what its confidence reaches the
threshold for; else the next runs, and the mean of both probabilities answers, or the next alone.
The threshold is the cheapest whose accuracy on the images to select on is within a margin of the
last stage's. Where answers are to be used selectively (`target` "selective"), images go on whose
confidence lies in a window around the one from which on an answer is accepted.
"""

import logging
from itertools import product

import numpy as np
import pandas as pd

from workflow.lib.data.manifest import Manifest
from workflow.lib.ensembles import cascades as lib
from workflow.lib.ensembles.listed import JOIN
from workflow.lib.ensembles.logits import Logits
from workflow.lib.ensembles.recommend import LISTED, best_of_two, cost, mark_fronts
from workflow.lib.ensembles.whole import Combined, combine, read_alone
from workflow.lib.measures.statistics import paired_gain, wilson
from workflow.lib.measures.uncertainty import (
    COVERAGE,
    OF_CONFIDENCES,
    SCORES,
    confidence_scores,
    group_means,
    groups,
    jackknife,
    risk_by_coverage,
)
from workflow.lib.outputs.tables import read_table, write_table

log = logging.getLogger("uncorrelated")

POINTS = 200  # of a curve of risk
WIDTHS = np.linspace(0, 1, 21)  # of windows, as shares of the images
STEPS = 12  # thresholds of each of two stages
RISK = 6  # column of `confidence_scores`: risk at 80 % coverage

COLUMNS = ["kind", "models", "then", "target", "listed", "pareto", "rank", "thresholds",
           "selection_accuracy", "selection_macs", "exits", "macs", "ensemble_macs", "accuracy",
           "accuracy_low", "accuracy_high", "nll", "best_member", "gain", "gain_low", "gain_high",
           "against_ensemble", "against_ensemble_low", "against_ensemble_high",
           "risk_at_coverage", "ensemble_accuracy", "random_accuracy", "oracle_macs",
           "oracle_accuracy"]  # fmt: skip
RISKS = ["selected_by", "kind", "models", "combination", "coverage", "risk"]
SCORED = ["models", "kind", "name", "combination", "test", "score", "value", "low", "high",
          "converged"]  # fmt: skip
CURVE = ["kind", "models", "then", "target", "threshold", "exits", "macs", "accuracy", "nll",
         "risk_at_coverage", "chosen"]  # fmt: skip


def cascades(
    *,
    manifest: str,
    calibration: str,
    recommended: str,
    selected: list[str],
    scored: list[str],
    table: str,
    curves: str,
    risks: str,
    scores: str,
    models: list[str],
    splits: list[str],
    threads: int,
) -> None:
    """Write a table of cascades, and one of the curves of those that are listed.

    Parameters
    ----------
    manifest : str
    calibration : str
        Table of temperatures.
    recommended : str
        What `selection` found: its triples are tried as cascades of three.
    selected, scored : list of str
        Outputs files on the split to select on and on the one to score, in the order of `models`.
    table : str
        Table to write: all cascades of two, by `models` in the order in which they run, each with
        `then`, who answers at the last stage; and the best of three. `exits` is the share that the
        first model answers, `macs` the mean number of multiply-adds for an image of the split that
        is scored. The listed ones are the best 50 and those on the Pareto front of `selection_macs`
        and `selection_accuracy`; they have intervals, their `gain` over the best single model of
        them on the images to select on, the difference from their ensemble, and what exits as often
        but at random, or only where nothing is lost, would reach.
    curves : str
        Table to write: every threshold of the listed cascades.
    risks, scores : str
        Tables to write: risk by coverage of the best cascade of two by the images to select on, and
        its scores, as `scores` writes them of ensembles.
    models : list of str
    splits : list of str
        The split to select on, and the one to score.
    threads : int
    """
    known = Manifest.read(manifest).splits
    to_select, to_score = (known[split] for split in splits)
    fits = read_table(calibration).set_index("model")["temperature"][models].to_numpy()
    with (
        Logits.open(selected, to_select, fits, models) as before,
        Logits.open(scored, to_score, fits, models) as after,
    ):
        macs = np.array([cost(attributes)[0] for attributes in after.attributes])
        unknown = [key for key, own in zip(models, macs, strict=True) if np.isnan(own)]
        if unknown:
            log.warning(
                "no cascades with %s, whose multiply-adds are not known: give `macs` beside their "
                "`logits`", ", ".join(unknown),
            )  # fmt: skip
        known_cost = np.flatnonzero(~np.isnan(macs))
        order = known_cost[np.argsort(macs[known_cost], kind="stable")].tolist()
        pairs = [(a, b) for place, a in enumerate(order) for b in order[place + 1 :]]
        if not pairs:
            write_table(table, pd.DataFrame(columns=COLUMNS))
            write_table(curves, pd.DataFrame(columns=CURVE))
            write_table(risks, pd.DataFrame(columns=RISKS))
            write_table(scores, pd.DataFrame(columns=SCORED))
            return
        study = _Study(models, macs, before, after, threads)
        two, lines = study.twos(pairs)
        triples = read_table(recommended).query("size == 3")["models"].drop_duplicates()
        place = {key: number for number, key in enumerate(models)}
        found = [tuple(place[key] for key in own.split(JOIN)) for own in triples]
        found = [tuple(sorted(own, key=order.index)) for own in found if set(own) <= set(order)]
        three, more = study.threes(list(dict.fromkeys(found))[:LISTED])
        rows = pd.concat([two, three], ignore_index=True)
        rows["pareto"] = False
        own = rows.index[rows["listed"] & (rows["target"] == "accuracy")]
        good = rows.loc[own, "selection_accuracy"].to_numpy()
        rows.loc[own, "pareto"] = mark_fronts(good, rows.loc[own, "selection_macs"].to_numpy())
        curve, scored_best = study.best_cascade(rows)
    write_table(risks, curve.reindex(columns=RISKS))
    write_table(scores, scored_best.reindex(columns=SCORED).assign(test=splits[1]))
    rows = rows.sort_values(
        ["target", "listed", "selection_accuracy"], ascending=[True, False, False], kind="stable"
    )
    rows["rank"] = rows.groupby("target").cumcount() + 1
    write_table(table, rows.reindex(columns=COLUMNS))
    write_table(curves, pd.concat([lines, more], ignore_index=True).reindex(columns=CURVE))


class _Study:
    """The logits of both splits, and what running each model costs."""

    def __init__(
        self, models: list[str], macs: np.ndarray, before: Logits, after: Logits, threads: int
    ):
        self.models, self.macs, self.threads = models, macs, threads
        self.before, self.after = before, after
        self.first = read_alone(before, threads=threads)
        self.grid = lib.thresholds_of(self.first.log_confidence)
        self.best = self.first.right.sum(axis=1)  # by which the best member is told

    def name(self, members: tuple[int, ...]) -> str:
        return JOIN.join(self.models[m] for m in members)

    def twos(self, pairs: list[tuple[int, int]]) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Cascades of all pairs, cheapest first."""
        options = {"threads": self.threads}
        found = [
            lib.curves(lib.count_cascades(own, pairs, self.grid, **options))
            for own in (self.before, self.after)
        ]
        alone, both = self.macs[[a for a, _ in pairs]], self.macs[[b for _, b in pairs]]
        costs = [alone[:, None, None] + (1 - own.exits) * both[:, None, None] for own in found]
        chosen = lib.choose(found[0].accuracy, costs[0])  # (pairs, 2)
        p, k = (axis.ravel() for axis in np.indices(chosen.shape))
        at = p, k, chosen.ravel()
        rows = pd.DataFrame(
            {
                "kind": "pair",
                "models": [self.name(pairs[i]) for i in p],
                "then": [lib.THEN[i] for i in k],
                "target": "accuracy",
                "thresholds": self.grid[[pairs[i][0] for i in p], at[2]],
                "selection_accuracy": found[0].accuracy[at],
                "selection_macs": costs[0][at],
                "exits": found[1].exits[at],
                "macs": costs[1][at],
                "ensemble_macs": (alone + both)[p],
                "accuracy": found[1].accuracy[at],
                "nll": found[1].nll[at],
                "ensemble_accuracy": found[1].accuracy[p, k, -1],
            }
        )
        pays = self.pays([pairs[i] for i in p], rows["selection_accuracy"], rows["selection_macs"])
        # What never exits, or always, is no cascade.
        real = (rows["exits"] > 0) & (rows["exits"] < 1) & pays
        good = rows["selection_accuracy"].where(real, -1.0).to_numpy()
        rank = np.argsort(np.argsort(-good, kind="stable"), kind="stable")
        front = mark_fronts(good, rows["selection_macs"].where(real).to_numpy())
        rows["listed"] = real & ((rank < LISTED) | front)
        listed = np.flatnonzero(rows["listed"])
        lines, selective = self.detail(rows, listed, pairs, p, k, found[1], costs[1], chosen)
        rows = pd.concat([rows, selective], ignore_index=True)
        return rows, lines

    def detail(self, rows, listed, pairs, p, k, curves, costs, chosen):
        """Curves, intervals and bounds of the listed cascades, and their windows."""
        groups = list(dict.fromkeys(pairs[p[i]] for i in listed))
        joined = [self.combined(own, groups) for own in (self.before, self.after)]
        last = joined[1].alone
        lines, windows = [], []
        for i in listed.tolist():
            members, then = pairs[p[i]], lib.THEN[k[i]]
            a, b = members
            e = groups.index(members)
            after = stage_of(joined[1], e, b, then)
            stages = lib.stages_of(last, members, [after])
            stage, _ = lib.run(stages, self.macs[list(members)], [rows.at[i, "thresholds"]])
            right = np.where(stage == 0, stages.right[0], stages.right[1])
            self.judge(rows, i, right, members, last.right, stages.right[-1])
            ends = (self.macs[a], self.macs[b])
            reached = float(stages.right[0].mean()), float(stages.right[1].mean())
            _, rows.loc[i, "random_accuracy"] = lib.random_exit(ends, reached, rows.at[i, "exits"])
            spent, best = lib.oracle_exit(stages.right[0], stages.right[1], ends)
            rows.loc[i, ["oracle_macs", "oracle_accuracy"]] = spent, best
            lines.append(
                pd.DataFrame(
                    {
                        "kind": "pair",
                        "models": rows.at[i, "models"],
                        "then": then,
                        "target": "accuracy",
                        "threshold": self.grid[a],
                        "exits": curves.exits[p[i], k[i]],
                        "macs": costs[p[i], k[i]],
                        "accuracy": curves.accuracy[p[i], k[i]],
                        "nll": curves.nll[p[i], k[i]],
                        "chosen": np.arange(self.grid.shape[1]) == chosen[p[i], k[i]],
                    }
                )
            )
            before = lib.stages_of(joined[0].alone, members, [stage_of(joined[0], e, b, then)])
            row, line = self.windows(before, stages, members, then)
            windows.append(row)
            lines.append(line)
        return pd.concat(lines, ignore_index=True) if lines else pd.DataFrame(), pd.DataFrame(
            windows
        )

    def windows(self, before: lib.Stages, after: lib.Stages, members, then: str):
        """The narrowest window whose risk at 80 % coverage is near the ensemble's."""
        a, b = (float(self.macs[m]) for m in members)
        edges = lib.window(before.log_confidence[0], COVERAGE, WIDTHS)
        scores = []
        for stages in (before, after):
            own = []
            for low, high in edges:
                inside = (stages.log_confidence[0] >= low) & (stages.log_confidence[0] < high)
                right = np.where(inside, stages.right[1], stages.right[0])
                sure = np.where(inside, stages.log_confidence[1], stages.log_confidence[0])
                nll = np.where(inside, stages.nll[1], stages.nll[0]).mean()
                own.append(
                    (1 - inside.mean(), a + inside.mean() * b, right.mean(), nll,
                     confidence_scores(sure, right)[0, RISK])
                )  # fmt: skip
            scores.append(np.array(own))
        enough = scores[0][:, 4] <= scores[0][-1, 4] + lib.MARGIN
        at = int(enough.argmax())  # the narrowest: the last, all images, is always enough
        exits, macs, accuracy, nll, risk = scores[1].T
        name = self.name(members)
        shared = {"kind": "pair", "models": name, "then": then, "target": "selective"}
        low, high = np.exp(edges[at])
        row = shared | {
            "listed": 0 < at < len(WIDTHS) - 1,
            "thresholds": f"{low:.6g} {high:.6g}",
            "selection_accuracy": scores[0][at, 2],
            "selection_macs": scores[0][at, 1],
            "exits": exits[at], "macs": macs[at], "ensemble_macs": a + b,
            "accuracy": accuracy[at], "nll": nll[at], "ensemble_accuracy": accuracy[-1],
            "risk_at_coverage": risk[at],
        }  # fmt: skip
        line = pd.DataFrame(
            shared
            | {"threshold": WIDTHS, "exits": exits, "macs": macs, "accuracy": accuracy, "nll": nll,
               "risk_at_coverage": risk, "chosen": np.arange(len(WIDTHS)) == at}
        )  # fmt: skip
        return row, line

    def threes(self, groups: list[tuple[int, ...]]) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Cascades of three, cheapest first, at the best pair of thresholds of a grid."""
        if not groups:
            return pd.DataFrame(), pd.DataFrame()
        ensembles = [*(own[:2] for own in groups), *groups]
        joined = [self.combined(own, ensembles) for own in (self.before, self.after)]
        rows, lines = [], []
        for e, members in enumerate(groups):
            costs = self.macs[list(members)]
            before, after = (
                lib.stages_of(
                    own.alone, members, [stage_of(own, e), stage_of(own, e + len(groups))]
                )
                for own in joined
            )
            grids = [
                np.quantile(np.exp(sure), np.linspace(0, 1, STEPS))
                for sure in before.log_confidence[:2]
            ]
            found = []
            for thresholds in product(*grids):
                stage, spent = lib.run(before, costs, thresholds)
                right = before.right[stage, np.arange(len(stage))].mean()
                found.append((spent, right, *thresholds))
            spent, reached, *_ = np.array(found).T
            enough = reached >= before.right[2].mean() - lib.MARGIN - 1e-12
            if not enough.any():
                continue
            at = int(np.where(enough, spent, np.inf).argmin())
            thresholds = found[at][2:]
            if not self.pays([members], [reached[at]], [spent[at]])[0]:
                continue
            front = mark_fronts(reached, spent) | (np.arange(len(spent)) == at)
            for i in np.flatnonzero(front).tolist():
                stage, cost_then = lib.run(after, costs, found[i][2:])
                here = stage, np.arange(len(stage))
                lines.append(
                    {"kind": "triple", "models": self.name(members), "then": "ensemble",
                     "target": "accuracy", "threshold": found[i][2], "exits": (stage == 0).mean(),
                     "macs": cost_then, "accuracy": after.right[here].mean(),
                     "nll": after.nll[here].mean(), "chosen": i == at}
                )  # fmt: skip
            stage, cost_then = lib.run(after, costs, thresholds)
            here = stage, np.arange(len(stage))
            row = pd.DataFrame(
                [{"kind": "triple", "models": self.name(members), "then": "ensemble",
                  "target": "accuracy", "listed": True,
                  "thresholds": " ".join(f"{t:.6g}" for t in thresholds),
                  "selection_accuracy": reached[at], "selection_macs": spent[at],
                  "exits": (stage == 0).mean(), "macs": cost_then, "ensemble_macs": costs.sum(),
                  "accuracy": after.right[here].mean(), "nll": after.nll[here].mean(),
                  "ensemble_accuracy": after.right[2].mean()}]
            )  # fmt: skip
            self.judge(row, 0, after.right[here], members, joined[1].alone.right, after.right[2])
            rows.append(row)
        lines = pd.DataFrame(lines)
        if len(lines):
            lines = lines.sort_values(["models", "macs"], kind="stable")
        return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(), lines

    def best_cascade(self, rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Risk by coverage, and scores, of the best cascade of two."""
        best = best_of_two(rows)
        if best is None:
            return pd.DataFrame(), pd.DataFrame()
        members = tuple(self.models.index(key) for key in best["models"].split(JOIN))
        joined = self.combined(self.after, [members])
        alone, last = joined.alone, members[1]
        stages = lib.stages_of(alone, members, [stage_of(joined, 0, last, best["then"])])
        stage, _ = lib.run(stages, self.macs[list(members)], [float(best["thresholds"])])
        here = stage, np.arange(len(stage))
        briers = alone.losses[last, 1] if best["then"] == "larger" else joined.losses[0, 0, 1]
        brier = np.where(stage == 0, alone.losses[members[0], 1], briers)
        sure, right = stages.log_confidence[here], stages.right[here]
        group = groups(len(right))
        found = dict(zip(OF_CONFIDENCES, confidence_scores(sure, right, group).T, strict=True))
        found |= {"nll": group_means(stages.nll[here], group), "brier": group_means(brier, group)}
        shared = {"models": best["models"], "kind": "cascade", "combination": "cascade"}
        scores = []
        for name in SCORES:
            low, high = jackknife(found[name])
            if name == "accuracy":
                low, high = wilson(right.sum(), len(right))
            value = {"score": name, "value": found[name][0], "low": float(low), "high": float(high)}
            scores.append(shared | value | {"converged": True})
        risk = risk_by_coverage(sure, right)
        counts = np.unique(np.linspace(1, len(risk), POINTS).round().astype(int))
        curve = {"coverage": counts / len(risk), "risk": risk[counts - 1]}
        return pd.DataFrame(shared | curve), pd.DataFrame(scores)

    def pays(self, groups, accuracy, macs) -> np.ndarray:
        """Whether no member alone is as accurate for as little, on the images to select on."""
        alone = self.first.right.mean(axis=1)
        return np.array(
            [
                not any(alone[m] >= reached - 1e-12 and self.macs[m] <= spent for m in own)
                for own, reached, spent in zip(groups, accuracy, macs, strict=True)
            ],
            dtype=bool,
        )

    def judge(self, rows, i: int, right, members, alone, ensemble) -> None:
        """Put intervals beside a cascade's accuracy: its own, and those of paired differences."""
        low, high = wilson(right.sum(), len(right))
        best = max(members, key=self.best.__getitem__)
        rows.loc[i, ["accuracy_low", "accuracy_high"]] = float(low), float(high)
        rows.loc[i, "best_member"] = self.models[best]
        for name, reference in (("gain", alone[best]), ("against_ensemble", ensemble)):
            rows.loc[i, [name, f"{name}_low", f"{name}_high"]] = paired_gain(right, reference)

    def combined(self, logits: Logits, groups: list[tuple[int, ...]]) -> Combined:
        """Combine ensembles of all models' logits, each image its own group."""
        examples = logits.shape[1]
        weights = [np.ones(len(own)) for own in groups]
        return combine(logits, groups, weights, np.arange(examples), examples, threads=self.threads)


def stage_of(joined: Combined, e: int, last: int | None = None, then: str = "ensemble") -> tuple:
    """Who is right, how sure, and the loss: of an ensemble, or of its last member alone."""
    if then == "larger":
        alone = joined.alone
        return alone.right[last], alone.log_confidence[last], alone.losses[last, 0]
    return joined.right[e, 0], joined.log_confidence[e, 0], joined.losses[e, 0, 0]


if "snakemake" in globals():
    from workflow.lib.run.script import run_script

    run_script(cascades, snakemake)
