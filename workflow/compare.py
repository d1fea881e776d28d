"""Compare any number of files of logits, without images and without a configuration.

    make compare A=a.npz B=b.npz LABELS=labels.csv

or, from Python,

    from workflow.compare import compare
    found = compare({"a": "a.npz", "b": "b.npz"}, "labels.csv")
    print(found)            # which to combine, which is different, how sure
    found.pairs             # tables, as results/compare has them

It writes a study, results/<name>/compare.yaml, and runs that study's jobs in this process, one
after the other: those that the answer needs first. `snakemake --configfile
results/<name>/compare.yaml` is the same study; edit a copy of that file for more.
"""

import argparse
import importlib
import logging
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from workflow.lib.data import labels as labels_of
from workflow.lib.outputs import external, formats
from workflow.lib.outputs.answers import HEADINGS
from workflow.lib.outputs.tables import read_table
from workflow.lib.run.errors import InputError
from workflow.lib.run.lock import lock_results
from workflow.lib.run.script import arguments_of
from workflow.lib.show.findings import told_findings
from workflow.lib.study.fields import slug
from workflow.lib.study.load import ConfigurationError, load, read, record

ROOT = Path(__file__).resolve().parents[1]
STUDY = "compare.yaml"
LEAST = 20  # images, of which some are held out
MOST = 10_000  # held-out images
SHARE = 5  # one of so many images is held out
ANSWER = "findings"  # the rule whose results are the answer
SUFFIXES = (".npz", ".npy", ".h5", ".hdf5", ".csv")
CALLED = re.compile(r"run_script\((\w+), snakemake\)")
"""What a script calls, when Snakemake runs it."""

USAGE = "make compare A=a.npz B=b.npz LABELS=labels.csv"


@dataclass(frozen=True)
class Comparison:
    """What was found; printed, it is the answer.

    Attributes
    ----------
    folder : Path
        Results of the study.
    models, pairs, recommendations, novelty, findings : DataFrame
        See results/README.md. Of answers alone there are no recommendations: the frame is empty.
    """

    folder: Path
    models: pd.DataFrame
    pairs: pd.DataFrame
    recommendations: pd.DataFrame
    novelty: pd.DataFrame
    findings: pd.DataFrame

    def __str__(self) -> str:
        return told_findings(self.folder).strip()


def compare(
    files: Mapping[str, str | os.PathLike],
    labels: str | os.PathLike,
    *,
    classes: str | os.PathLike | None = None,
    name: str = "compare",
    report: bool = True,
    say: Callable[[str], object] | None = None,
) -> Comparison:
    """Compare and combine models by their logits on the same images.

    Parameters
    ----------
    files : mapping of str to path
        File of each model, by its name; the first one is the base. As
        `workflow.lib.outputs.external` reads them: `.npz`, `.h5`, `.npy` or `.csv`, with `ids` or
        with rows in the order of `labels`. Or all are answers alone, `.csv` files as
        `workflow.lib.outputs.answers` reads them.
    labels : path
        CSV file with the columns `id` and `label`, a class by name or by index from 0; and perhaps
        `split`, which says what is `calibration` and what is `test`. Otherwise a fifth of the
        images is held out for calibration, drawn in equal shares of each class.
    classes : path, optional
        File of the names of the classes in the order of the columns of logits.
    name : str
        Results go to results/<name>. An earlier comparison of that name is replaced.
    report : bool
        Whether to draw the figures and write the report, too.
    say : callable, optional
        Takes each line that a terminal is to show.

    Returns
    -------
    Comparison

    Raises
    ------
    InputError
        If files are missing or wrong.
    """
    say = say or (lambda line: None)
    with _in(ROOT):
        folder = Path("results", name)
        _clear(folder)
        try:
            file = write_study(files, labels, classes, name, folder)
            jobs = _Jobs(file)
        except ConfigurationError as error:
            raise InputError(str(error)) from error
        with _logged(folder / "logs/compare.log"):
            jobs.run(until=ANSWER, say=say)
            say(told_findings(folder).strip())
            if report:
                say("Drawing the report …")
                jobs.run(say=lambda line: None)
                say(f"Report: {folder}/report.html")
        names = ("models", "pairs", "recommendations", "novelty", "findings")
        paths = {key: folder / f"{key}.tsv" for key in names}
        tables = {
            key: read_table(path) if path.exists() else pd.DataFrame()
            for key, path in paths.items()
        }
        return Comparison(ROOT / folder, **tables)


def write_study(
    files: Mapping[str, str | os.PathLike],
    labels: str | os.PathLike,
    classes: str | os.PathLike | None,
    name: str,
    folder: Path,
) -> Path:
    """Write the study of a comparison, and files with ids beside it where they have none.

    Returns
    -------
    Path
        The configuration file.

    Raises
    ------
    InputError
        If there are fewer than two files, or they do not fit the labels.
    """
    if len(files) < 2:
        raise InputError(f"give two files of logits or more, and the labels: {USAGE}")
    for model, path in files.items():
        if Path(path).suffix not in SUFFIXES:
            raise InputError(f"{model}: {path} must end in {', '.join(SUFFIXES)}")
        if not Path(path).is_file():
            raise InputError(f"{model}: there is no file {path}")
    names, splits = labels_of.read(str(labels), {}, str(classes) if classes else None)
    named = {str(name) for name in names}
    ids = [row["id"] for _, row in labels_of.rows_of(str(labels), labels_of.COLUMNS)]
    if len(ids) < LEAST:
        raise InputError(f"{labels} has {len(ids)} images; {LEAST} or more are needed")
    answers = [model for model, path in files.items() if _holds_answers(path)]
    if answers and len(answers) < len(files):
        other = next(model for model in files if model not in answers)
        raise InputError(
            f"{answers[0]} has answers alone and {other} logits; bring answers of all, or logits"
        )
    widths = {model: _columns(path) for model, path in files.items() if model not in answers}
    if classes is None and named == {str(index) for index in range(len(names))}:
        # Numbers are indices; the last classes may have no image.
        names = [str(index) for index in range(max([len(names), *widths.values()]))]
    for model, width in widths.items():
        if width != len(names):
            raise InputError(
                f"{model}: {files[model]} has {width:,} columns, but there are {len(names):,} "
                f"classes; name all classes, in the order of the columns, in a file, one a line, "
                f"and give it as CLASSES"
            )
    dataset: dict[str, Any] = {"kind": "labels", "path": str(labels)}
    folder.mkdir(parents=True, exist_ok=True)
    if "calibration" not in splits and not answers:
        held_out = min(MOST, len(ids) // SHARE)
        dataset["splits"] = {"calibration": held_out, "test": "rest"}
    order = folder / "classes.txt"
    order.write_text("".join(f"{each}\n" for each in names), encoding="utf-8")
    dataset["classes"] = str(order)
    models = {}
    for place, (model, path) in enumerate(files.items()):
        key = _key(model)
        if key in models:
            raise InputError(f"{model}: another file has the same name; give each its own")
        models[key] = {"name": model, "category": "arch" if place else "base"}
        if answers:
            models[key]["answers"] = str(path)
        else:
            source = _with_ids(path, names, ids, folder / "logits" / f"{key}.npz")
            models[key]["logits"] = str(source)
    study = {"study": name, "title": " and ".join(files) if len(files) < 4 else name,
             "dataset": dataset, "band": [0, 1], "models": models}  # fmt: skip
    file = folder / STUDY
    text = yaml.safe_dump(study, sort_keys=False, allow_unicode=True)
    file.write_text(f"# Written by `make compare`.\n{text}", encoding="utf-8")
    load(read(file), [file])  # says all that is wrong
    return file


class _Jobs:
    """The jobs of a study, to run in this process; of Snakemake 9.27, whose plan they are."""

    def __init__(self, file: Path):
        # Snakemake is slow to import, and takes over logging.
        from snakemake import api
        from snakemake.settings.enums import Quietness

        with _quiet(), api.SnakemakeApi(api.OutputSettings(quiet={Quietness.ALL})) as snakemake:
            config = api.ConfigSettings(configfiles=[file])
            cores = api.ResourceSettings(cores=os.cpu_count() or 1)
            planned = snakemake.workflow(cores, config, snakefile=Path("Snakefile"))
            planned.dag(api.DAGSettings(force_incomplete=True))
            workflow = planned._workflow
            workflow._prepare_dag(forceall=False, ignore_incomplete=True, lock_warn_only=True)
            workflow._build_dag()
            self.study, self.dag = workflow.globals["STUDY"], workflow.dag
            levels = self.dag.toposorted(set(self.dag.needrun_jobs()))
            self.left = [job for level in levels for job in level if job.rule.script]
            for job in self.left:
                job.params  # noqa: B018  (are computed while the workflow is open)
        lock_results([f"results/{self.study.name}"])
        record(self.study)

    def run(self, say: Callable[[str], object], until: str | None = None) -> None:
        """Run the jobs that a rule's needs, and itself; or all that are left."""
        wanted = self.left if until is None else self._before(until)
        for number, job in enumerate(wanted, 1):
            start = time.monotonic()
            script = Path(job.rule.basedir, job.rule.script).resolve().relative_to(ROOT)
            module = importlib.import_module(".".join(script.with_suffix("").parts))
            called = CALLED.search(script.read_text(encoding="utf-8"))
            function = getattr(module, called.group(1) if called else script.stem)
            for path in job.output:
                Path(path).parent.mkdir(parents=True, exist_ok=True)
            function(**arguments_of(function, job))
            what = " ".join([job.rule.name, *map(str, job.wildcards)])
            say(f"[{number}/{len(wanted)}] {what}, {time.monotonic() - start:.1f} s")
        self.left = [job for job in self.left if job not in wanted]

    def _before(self, rule: str) -> list:
        last = [job for job in self.left if job.rule.name == rule]
        needed, todo = set(last), [*last]
        while todo:
            for job in self.dag.dependencies[todo.pop()]:
                if job not in needed:
                    needed.add(job)
                    todo.append(job)
        return [job for job in self.left if job in needed]


def _clear(folder: Path) -> None:
    """Remove an earlier comparison, and nothing else."""
    if not folder.exists():
        return
    if not (folder / STUDY).is_file():
        raise InputError(f"{folder} holds the results of another study; choose another NAME")
    shutil.rmtree(folder)


def _key(name: str) -> str:
    key = slug(name)
    if not key:
        raise InputError(f"'{name}' has no letter or digit; give the model another name")
    return key


def _holds_answers(path: str | os.PathLike) -> bool:
    """Whether a file is a table of answers, by its headings."""
    if Path(path).suffix != ".csv":
        return False
    heads = {head.strip() for head in pd.read_csv(path, nrows=0).columns}
    return any(ids in heads and heads & {*own} for ids, own, _ in HEADINGS)


def _columns(path: str | os.PathLike) -> int:
    """Count the classes that a file has logits of."""
    if Path(path).suffix == ".csv":
        heads = pd.read_csv(path, nrows=0).columns
        return len([head for head in heads if head not in formats.ID])
    _, columns, _ = formats.shape_of(path, None)
    assert columns is not None  # but of tables
    return columns


def _with_ids(
    path: str | os.PathLike, names: Sequence[str], ids: list[str], copy: Path
) -> str | os.PathLike:
    """Give a file that names its images: itself, or a copy with the ids of the labels."""
    with external.opened(path, names) as file:
        if file.ids is not None:
            return path
        if len(file.logits) != len(ids):
            raise InputError(
                f"{path} names no images and has {len(file.logits):,} rows, but the labels have "
                f"{len(ids):,}; bring as many, in the same order, or an array `ids`"
            )
        copy.parent.mkdir(parents=True, exist_ok=True)
        np.savez(copy, logits=file.logits[:], ids=np.array(ids))
    return copy


@contextmanager
def _in(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what planning says off the terminal, but for what goes wrong."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


@contextmanager
def _logged(path: Path) -> Iterator[None]:
    """Send what jobs log to a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    log = logging.getLogger("uncorrelated")
    handler = logging.FileHandler(path)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    level, passes = log.level, log.propagate
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
    warnings = logging.getLogger("py.warnings")
    logging.captureWarnings(True)
    warnings.addHandler(handler)
    warnings.propagate = False
    try:
        yield
    finally:
        logging.captureWarnings(False)
        warnings.removeHandler(handler)
        warnings.propagate = True
        log.removeHandler(handler)
        handler.close()
        log.setLevel(level)
        log.propagate = passes


def main() -> None:
    """Read the command line, compare, and print the answer."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("files", nargs="*", help="<name>=<file> of each model, the base first")
    parser.add_argument("--labels", default="", help="CSV file with the columns id and label")
    parser.add_argument("--classes", help="file of the names of the classes, in order")
    parser.add_argument("--name", help="results go to results/<name>; by default, compare")
    arguments = parser.parse_args()
    files = dict(each.partition("=")[::2] for each in arguments.files)
    # make gives the names of its variables, and the files through the environment.
    files |= {name: os.environ[name] for name in os.environ.get("COMPARED", "").split()}
    here = Path.cwd()
    try:
        if not arguments.labels:
            raise InputError(f"give the labels, too: {USAGE}")
        compare(
            {name: here / path for name, path in files.items()},
            here / arguments.labels,
            classes=here / arguments.classes if arguments.classes else None,
            name=arguments.name or "compare",
            say=lambda line: print(line, flush=True),
        )
    except InputError as error:
        sys.exit(f"Error: {error}")


if __name__ == "__main__":
    main()
