"""Every command that the documents tell people to type is one that works.

Commands are found in blocks and in the text. Those of make and Snakemake are planned, in a checkout
with a study `mine`; those that need data which is not there are parsed; of others, what they name
must exist.
"""

import re
import shlex
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml
from snakemake.cli import parse_args

from tests.run.conftest import SMALL, Checkout

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    path
    for folder in (".", "docs", "results", "resources", "studies", "envs", "benchmarks", "profiles")
    for path in (ROOT / folder).glob("*.md" if folder != "docs" else "**/*.md")
)
BLOCK = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
SHELLS = ("bash", "sh", "shell", "console")
CHECKED = ("make", "snakemake", "python", "pytest")
"""Programs whose commands are checked."""
KNOWN = {
    *CHECKED,
    "git",
    "rsync",
    "hf",
    "sinfo",
    "squeue",
    "sacct",
    "scancel",
    "tail",
    "cd",
    ".",
    "tmux",
    "source",
    "pip",
    "ssh",
    "scp",
    "ls",
    "unzip",
    "tar",
    "curl",
    "export",
    "apt-get",
    "ln",
    "mkdir",
}
"""Programs that a block of a shell may begin its lines with."""
DATA = ("imagenet", "VOCdevkit")
"""Words of configurations whose data people bring; their commands are only parsed."""


def commands(path):
    """Find the commands of a document, each on one line."""
    text = path.read_text(encoding="utf-8")
    found = []
    for language, block in BLOCK.findall(text):
        for line in block.replace("\\\n", " ").splitlines():
            line = line.strip().removeprefix("$ ")
            if not line or line.startswith("#"):
                continue
            program = line.partition(" ")[0]
            assert language not in SHELLS or program in KNOWN, f"{path.name}: what is `{line}`?"
            if program in CHECKED and language in ("", *SHELLS):
                found.append(line)
    for span in re.findall(r"`([^`]+)`", BLOCK.sub("", text)):
        line = " ".join(span.split())
        if line.partition(" ")[0] in CHECKED and " " in line and "…" not in line:
            found.append(line)
    return found


COMMANDS = sorted({(path.name, line) for path in DOCUMENTS for line in commands(path)})


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """The code, with a study `mine`."""
    checkout = Checkout.new(tmp_path_factory.mktemp("documents"))
    study = (checkout.path / SMALL).read_text()
    assert study.count("study: small") == 1
    mine = study.replace("study: small", "study: mine")
    (checkout.path / "studies/mine.yaml").write_text(mine)
    return checkout


def words_of(line):
    line = re.sub(r"<(study|name|model)>", "mine", line)
    return shlex.split(line, comments=True)


def test_commands_are_found():
    lines = [line for _, line in COMMANDS]
    assert any(line.startswith("make run") for line in lines)
    assert any(line.startswith("snakemake ") and " -- " in line for line in lines)


@pytest.mark.parametrize(("document", "line"), COMMANDS)
def test_a_command_works(document, line, checkout):
    program, *arguments = words_of(line)
    if program == "make":
        done = run(checkout, "make", "-n", *arguments)
        assert done.returncode == 0, done.stdout
    elif program == "snakemake":
        _, options = parse_args(arguments)
        files = [str(file) for file in options.configfile or []]
        assert all(file.endswith((".yaml", ".yml")) for file in files), f"{files} of `{line}`"
        assert all((checkout.path / file).is_file() for file in files), f"{files} of `{line}`"
        parsed_only = "--unlock" in arguments or any(word in line for word in DATA)
        if not parsed_only:
            done = run(checkout, sys.executable, "-m", "snakemake", *planned(arguments))
            assert done.returncode == 0, done.stdout
    elif program == "python" and arguments[0] == "-m":
        assert find_spec(arguments[1].partition(".")[0]) or (ROOT / arguments[1]).exists()
    else:
        script = next((word for word in arguments if "/" in word), None)
        assert script is None or (ROOT / script.partition("::")[0]).exists(), f"no {script}"


def planned(arguments):
    """Arguments that only plan; those of a cluster are of no account here."""
    cores = [] if "--cores" in arguments else ["--cores", "1"]
    return ["--dry-run", "--quiet", "all", *cores, *arguments]


def run(checkout, *command):
    return subprocess.run(
        command, cwd=checkout.path, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_blocks_of_yaml_can_be_read(path):
    for language, block in BLOCK.findall(path.read_text(encoding="utf-8")):
        if language == "yaml":
            assert yaml.safe_load(block)


def test_no_target_stands_where_it_is_read_as_a_configuration():
    suffixes = (".py", ".smk", ".md", ".yaml", ".j2", ".rst")
    for path in [*DOCUMENTS, *(p for p in (ROOT / "workflow").rglob("*") if p.suffix in suffixes)]:
        text = re.sub(r'["\s]+f?"?', " ", path.read_text(encoding="utf-8"))
        wrong = re.search(r"--configfile (?:[\w./<>-]+\.yaml |<\w+> )+results/", text)
        assert not wrong, f"{path}: put `--` before the target of `{wrong.group()}`"
