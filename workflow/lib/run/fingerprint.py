"""What a rule's code means: so that a rule reruns when its code changes, and only then.

Snakemake does not follow imports. A rule that takes `fingerprint(<rule>)` as a parameter depends on
its script, on every module of this project that the script imports, directly or not, and on the
pinned version of every package that these import; not on comments, docstrings, layout, or dates,
and not on `workflow/lib/run`: how a job reports, resumes and writes its files changes no number.
"""

import ast
import atexit
import contextlib
import functools
import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path

from workflow.lib.run.files import replacing

ROOT = Path(__file__).resolve().parents[3]
PINS = "envs/requirements.txt"
MEMORY = ".snakemake/fingerprints.json"
OWN = Path(__file__).read_bytes()
FLOOR = Path("workflow/lib/run")
# Packages whose import is named otherwise than their distribution.
DISTRIBUTIONS = {
    "PIL": {"pillow"},
    "pydantic_core": {"pydantic"},
    "open_clip": {"open_clip_torch", "torchvision"},
    "sklearn": {"scikit-learn"},
    "timm": {"timm", "torchvision"},
    "yaml": {"PyYAML"},
}


def fingerprint(rule: str) -> Callable[[object], list[str]]:
    """Make a parameter of a rule: what the code of `workflow/scripts/<rule>.py` depends on.

    It is a function of wildcards, which it ignores, so that Snakemake asks only for rules that have
    jobs: a job's own process parses all rules, too.
    """
    known = functools.cache(dependencies)
    return lambda wildcards: list(known(f"workflow/scripts/{rule}.py"))


def dependencies(script: str, root: Path = ROOT) -> list[str]:
    """List what a script's code depends on.

    Parameters
    ----------
    script : str
        Path of the script, relative to `root`.
    root : Path
        The folder that holds the `workflow` package and the pins.

    Returns
    -------
    list of str
        `<module>@<hash>` for the script and each module of the project in its import closure, and
        `<package>==<version>` for each pinned package imported there; sorted.
    """
    pins = _pins(root)
    seen, todo, packages = {}, [Path(script)], set()
    while todo:
        path = todo.pop()
        if path in seen:
            continue
        seen[path], imports = _module(root, path)
        for name in imports:
            module = _locate(root, name)
            if module and module.parent != FLOOR:
                todo.append(module)
            elif not module:
                top = name.partition(".")[0]
                packages |= DISTRIBUTIONS.get(top, {top})
    return sorted(
        [f"{path.as_posix()}@{digest}" for path, digest in seen.items()]
        + [f"{package}=={pins[package]}" for package in packages if package in pins]
    )


@functools.cache
def _pins(root: Path) -> dict[str, str]:
    return dict(re.findall(r"^([\w.-]+)==(\S+)", (root / PINS).read_text(), re.MULTILINE))


@functools.cache
def _locate(root: Path, name: str) -> Path | None:
    """Path of the project's module that a dotted name means; None for a name from elsewhere.

    `workflow.lib.ensembles.pairs.PairCounter` is found as `workflow/lib/ensembles/pairs.py`.
    """
    parts = name.split(".")
    if parts[0] != "workflow":
        return None
    for length in range(len(parts), 1, -1):
        path = Path(*parts[:length]).with_suffix(".py")
        if (root / path).is_file():
            return path
    return None


@functools.cache
def _module(root: Path, path: Path) -> tuple[str, list[str]]:
    """Hash of a module's meaning, and the dotted names that it imports.

    They are remembered from one run to the next, by what the module's file and this one hold.
    """
    source, known = (root / path).read_bytes(), _known(root / MEMORY)
    key = hashlib.sha256(OWN + source).hexdigest()
    if key not in known:
        known[key] = _read(source, path)
    digest, imports = known[key]
    return digest, imports


@functools.cache
def _known(memory: Path) -> dict[str, tuple[str, list[str]]]:
    """What was found of modules before; what is found from now on is written as Python ends."""
    try:
        known = json.loads(memory.read_bytes())
    except (OSError, ValueError):
        known = {}
    before = len(known)

    def write() -> None:
        if len(known) > before and memory.parent.is_dir():
            with contextlib.suppress(OSError), replacing(memory) as temporary:
                temporary.write_text(json.dumps(known))

    atexit.register(write)
    return known


def _read(source: bytes, path: Path) -> tuple[str, list[str]]:
    tree = ast.parse(source, filename=str(path))
    imports = []
    todo: list[ast.AST] = [tree]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
            continue
        todo += ast.iter_child_nodes(node)
        if isinstance(node, ast.Import):
            imports += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                raise ValueError(f"{path}:{node.lineno}: write the import with its full name")
            imports += [f"{node.module}.{alias.name}" for alias in node.names]
    words: list[str] = []
    _spell(tree, words)
    return hashlib.sha256("\0".join(words).encode()).hexdigest()[:16], imports


def _spell(node: ast.AST | list | object, words: list[str]) -> None:
    """Spell out a syntax tree in a way that all versions of Python agree on.

    Empty fields are left out, because versions add some; so are strings that stand as statements,
    which are docstrings or do nothing.
    """
    if isinstance(node, ast.Expr) and isinstance(getattr(node.value, "value", None), str):
        return
    if isinstance(node, ast.AST):
        words.append(f"({type(node).__name__}")
        for field in node._fields:
            value = getattr(node, field, None)
            if value is not None and value != [] and field not in ("ctx", "kind", "type_comment"):
                words.append(field)
                _spell(value, words)
        words.append(")")
    elif isinstance(node, list):
        words.append("[")
        for item in node:
            _spell(item, words)
        words.append("]")
    else:
        words.append(repr(node))
