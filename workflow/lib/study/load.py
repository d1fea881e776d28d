"""A study from its files: read strictly, checked as a whole, and completed.

What configuring it took is kept in results/<study>/study.json: the complete study, and how its
public networks want their images, so that neither jobs nor later runs need look that up again.
"""

import csv
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from snakemake.exceptions import WorkflowError

from workflow.lib.models.hub import LOCAL
from workflow.lib.run.errors import InputError
from workflow.lib.run.files import read_sealed, replacing
from workflow.lib.run.fingerprint import dependencies
from workflow.lib.study import networks
from workflow.lib.study.checks import LISTS, find_mistakes
from workflow.lib.study.complete import complete, complete_published
from workflow.lib.study.completed import PublishedStudy, Study
from workflow.lib.study.model import PublishedFile, StudyFile
from workflow.lib.study.parse import Mistake, dotted, nearest, parse

LOOK_UP = "workflow/lib/models/preprocessing.py"
LARGEST = 100_000  # entries of a file, aliases written out
FAST = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, where it was built
TEXT_TAGS = ("tag:yaml.org,2002:str", "tag:yaml.org,2002:merge")


class ConfigurationError(WorkflowError):
    """Everything that is wrong with a configuration, one mistake a line.

    Attributes
    ----------
    mistakes : list of str
    """

    def __init__(self, mistakes: Iterable[str]):
        self.mistakes = list(dict.fromkeys(mistakes))
        super().__init__("\n".join(self.mistakes))


def load(
    config: Mapping, files: Iterable[str | os.PathLike], *, in_job: bool = False
) -> Study | PublishedStudy:
    """Check and complete a study and the published studies alongside it.

    Parameters
    ----------
    config : mapping
        The study as Snakemake merged it from its files and the command line.
    files : iterable of path
        Those files, relative to the working directory.
    in_job : bool
        Whether this is a job's process, for which study.json says how public networks want their
        images. For another, it says so as long as looking it up would do the same: the code and the
        packages are those of then, and the network is not of a folder. What is not there is looked
        up.

    Returns
    -------
    Study or PublishedStudy

    Raises
    ------
    ConfigurationError
        With every mistake of every file.
    """
    _recall(config, in_job)
    paths = [os.path.relpath(file) for file in files]
    name, mistakes = " + ".join(paths) or "configuration", []
    for file in paths:
        _try_to_read(file, mistakes)  # Snakemake has read it already, blind to repeated keys
    try:
        values = _plain(config)
    except RecursionError:
        mistakes = mistakes or [f"{name}: something stands in itself, by an alias of YAML"]
        raise ConfigurationError(mistakes) from None
    mistakes += _messages(_only_mistakes(values), name)
    sources = [(name, _reduced(values)), *_alongside(values, mistakes)]
    parsed, named = [], {}
    for file, values in sources:
        study, found = _parse_and_check(values)
        parsed.append(study)
        mistakes += _messages(found, file)
        own = str(values.get("study", file))
        if own in named:
            mistakes.append(f'{file}: study: the name "{own}" is also that of {named[own]}')
        named[own] = file
    study = parsed[0]
    others = [other for other in parsed[1:] if isinstance(other, PublishedFile)]
    if not mistakes and isinstance(study, StudyFile):
        mistakes += _messages(_alongside_mistakes(study, others), name)
    if mistakes:
        raise ConfigurationError(mistakes)
    if isinstance(study, PublishedFile):
        return complete_published(study)
    return complete(study, complete_published(others[0]) if others else None)


def check(values: Mapping, file: str) -> list[str]:
    """Find everything that is wrong with a study, as `read` gives it; `file` is for messages."""
    return _messages(_parse_and_check(values)[1], file)


def _parse_and_check(values: Mapping) -> tuple[StudyFile | PublishedFile, list[Mistake]]:
    study, mistakes = parse(values)
    wrong = [path for path, _ in mistakes]
    return study, mistakes + [each for each in find_mistakes(study) if each[0] not in wrong]


def _messages(mistakes: Iterable[Mistake], file: str) -> list[str]:
    return list(dict.fromkeys(f"{file}: {dotted(path)}: {text}" for path, text in mistakes))


def _try_to_read(file: str, mistakes: list[str]) -> dict | None:
    try:
        return read(file)
    except ConfigurationError as error:
        mistakes += error.mistakes
        return None


def _alongside(values: Mapping, mistakes: list[str]) -> Iterator[tuple[str, dict]]:
    """Read the published studies alongside a study."""
    named = values.get("alongside")
    for file in named if isinstance(named, list) else []:
        other = _try_to_read(file, mistakes) if isinstance(file, str) else None
        if other and "published" in other:
            yield file, other
        elif other:
            text = "not a published study, so it cannot stand alongside another"
            mistakes.append(f"{file}: {text}")


def _only_mistakes(study: Mapping) -> Iterator[Mistake]:
    only, models = study.get("only"), study.get("models")
    if isinstance(only, list) and isinstance(models, dict):
        for place, key in enumerate(only):
            if isinstance(key, str) and key not in models:
                yield ("only", place), f'there is no model "{key}"{nearest(key, models)}'


def _reduced(study: Mapping) -> Mapping:
    """Keep only the models that `only` names, the base and teachers, and what they start from.

    Analyses lose the models that are left out; pairs and updates with one of them are lost.
    """
    only, models = study.get("only"), study.get("models")
    if not isinstance(only, list) or not isinstance(models, dict):
        return study
    sections = [study.get(key, {}) for key in ("pretraining", *dict(LISTS))]
    if not all(isinstance(each, dict) for each in (*sections, *models.values())):
        return study
    kept = [key for key, own in models.items() if key in only or own.get("category") == "base"]
    for key in kept:  # grows: a teacher may have a teacher
        teacher = models[key].get("teacher")
        if isinstance(teacher, str) and teacher in models and teacher not in kept:
            kept.append(teacher)
    study = {**study, "models": {key: own for key, own in models.items() if key in kept}}
    gone = models.keys() - study["models"].keys()
    used = [own.get("from") for own in study["models"].values()]
    if "pretraining" in study:
        sources = study["pretraining"].items()
        study["pretraining"] = {key: own for key, own in sources if key in used}

    def loses(keys: object) -> bool:
        return isinstance(keys, list) and bool(gone & {*map(str, keys)})

    for name in ("pairs", "updates"):
        if isinstance(study.get(name), list):
            study[name] = [pair for pair in study[name] if not loses(pair)]
    if loses(study.get("bases")):
        study["bases"] = [key for key in study["bases"] if key not in gone]
    if isinstance(study.get("ensembles"), dict):
        study["ensembles"] = {k: own for k, own in study["ensembles"].items() if not loses(own)}
    for section, name in LISTS:
        keys = study.get(section, {}).get(name)
        if loses(keys):
            rest = {other: own for other, own in study[section].items() if other != name}
            left = [key for key in keys if key not in gone]
            study[section] = rest | ({name: left} if left else {})
    return study


def _alongside_mistakes(study: StudyFile, others: Sequence[PublishedFile]) -> Iterator[Mistake]:
    """Find too many published studies, and models that are to stand beside a row of none."""
    if len(others) > 1:
        yield ("alongside", 1), "only one published study can stand alongside; leave it out"
    rows = {row for other in others for row in _published_rows(other.published.table)}
    for key, own in study.models.items():
        place, row = ("models", key, "paper"), own.paper
        if row is not None and not others:
            text = "there is no published study to compare with; name its file under alongside"
            yield place, text
        elif row is not None and rows and row not in rows:
            yield place, f'no published study has a model "{row}"{nearest(row, rows)}'


def _published_rows(path: str) -> list[str]:
    """Read the names of the models in a published table; a table that is no such is its job's."""
    try:
        with open(path, newline="", encoding="utf-8") as file:
            return [row["model"] for row in csv.DictReader(file)]
    except (OSError, KeyError, ValueError, csv.Error):
        return []


# Reading YAML.


def read(path: str | os.PathLike) -> dict:
    """Read a YAML file, refusing what a plain reader would drop in silence.

    Returns
    -------
    dict
        Of plain types. Numbers such as `1e-3` are text, as YAML 1.1 has them.

    Raises
    ------
    ConfigurationError
        If the file cannot be read, is no mapping, or gives a key twice.
    """
    try:
        loader, root = _compose(Path(path).read_bytes())
        if root and _size(root, {}) > LARGEST:
            text = f"its aliases stand for more than {LARGEST} entries; write out what is meant"
            raise ConfigurationError([f"{path}: {text}"])
        mistakes = list(_misread_keys(root)) if root else []
        content = loader.construct_document(root) if root else None
    except OSError as error:
        raise ConfigurationError([f"{path}: cannot be read: {error.strerror}"]) from None
    except yaml.MarkedYAMLError as error:
        mark, what = error.problem_mark or error.context_mark, error.problem or error.context
        line = f"line {mark.line + 1}: " if mark else ""
        raise ConfigurationError([f"{path}: {line}not valid YAML: {what}"]) from None
    except yaml.YAMLError as error:
        raise ConfigurationError([f"{path}: not valid YAML: {error}".replace("\n", " ")]) from None
    if not isinstance(content, dict):
        raise ConfigurationError([f"{path}: must hold keys and values"])
    if mistakes:
        raise ConfigurationError(f"{path}: line {line}: {text}" for line, text in mistakes)
    return _plain(content)


def _compose(text: bytes) -> tuple[Any, yaml.Node | None]:
    """Parse YAML: its loader and the root. What is wrong is said in the words of the slow one."""
    try:
        loader = FAST(text)
        return loader, loader.get_single_node()
    except yaml.YAMLError:
        loader = yaml.SafeLoader(text)
        return loader, loader.get_single_node()


def _size(node: yaml.Node, known: dict[int, int]) -> int:
    """Count a node's entries as if its aliases were written out, without doing so."""
    if id(node) not in known:
        known[id(node)] = 0  # of one that stands in itself
        items = node.value if isinstance(node, yaml.CollectionNode) else []
        parts = [part for item in items for part in (item if isinstance(item, tuple) else [item])]
        known[id(node)] = 1 + sum(_size(part, known) for part in parts)
    return known[id(node)]


def _misread_keys(
    node: yaml.Node, path: tuple = (), above: tuple = ()
) -> Iterator[tuple[int, str]]:
    """Find keys given twice or not read as text, and what stands in itself, with their lines."""
    if node in above:
        text = "holds an alias of what it stands in; write out what is meant"
        yield node.start_mark.line + 1, f"{dotted(path)}: {text}"
        return
    above = (*above, node)
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _misread_keys(item, path, above)
    if isinstance(node, yaml.MappingNode):
        lines = {}
        for key, value in node.value:
            name, line = str(key.value), key.start_mark.line + 1
            here = dotted((*path, name))
            if name in lines:
                yield line, f"{here}: the key is given twice, first in line {lines[name]}"
            elif key.tag not in TEXT_TAGS:
                yield line, f'{here}: YAML does not read this key as text; write "{name}"'
            lines.setdefault(name, line)
            yield from _misread_keys(value, (*path, name), above)


def _plain(value: Any) -> Any:
    """Copy into dicts, lists and scalars."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value if isinstance(value, str | int | float | None) else str(value)


# Keeping what was found.


def record(study: Study | PublishedStudy) -> None:
    """Write results/<study>/study.json, if it would change. Call it as a run starts its jobs."""
    path = _place(study.name)
    values = study.settings
    if isinstance(study, Study):
        values["preprocessing"] = study.preprocessing
        values["preprocessing_by"] = dependencies(LOOK_UP)
    text = json.dumps(values, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    if not path.is_file() or path.read_bytes() != text.encode():
        with replacing(path, sealed=True) as part:
            part.write_text(text, encoding="utf-8")


def _recall(config: Mapping, in_job: bool) -> None:
    try:
        known = json.loads(read_sealed(_place(config["study"])))
        images = dict(known["preprocessing"])
        if not in_job:
            current = known["preprocessing_by"] == dependencies(LOOK_UP)
            images = {key: own for key, own in images.items() if current and LOCAL not in key}
        networks.FOUND.update(images)
    except (InputError, KeyError, TypeError, ValueError):
        return  # it is looked up again


def _place(name: object) -> Path:
    return Path("results", str(name), "study.json")
