"""What a user types behind `make` is passed on as it is, and never run."""

import shutil
import subprocess

import pytest

from tests.run.conftest import ROOT

PYTHON = """#!/bin/sh
for text in "$@"; do printf '%s\\0' "$text"; done > "$(dirname "$0")/arguments"
"""
NASTY = [
    'x"; touch pwned; "',
    "$(touch pwned)",
    "$(shell touch pwned)",
    "`touch pwned`",
    "x' ; touch pwned '",
    "$$(touch pwned)",
    "a\ntouch pwned",
    "--help",
    "x # y",
    "${HOME}",
    "a  b",
    "\\",
    "$(warning x)",
]


@pytest.mark.skipif(not shutil.which("make"), reason="needs make")
@pytest.mark.parametrize("text", NASTY)
@pytest.mark.parametrize("variable", ["NAME", "IMAGES", "MODELS"])
def test_no_text_of_the_users_is_run(tmp_path, variable, text):
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "envs").mkdir()
    (tmp_path / ".venv/bin").mkdir(parents=True)
    for name in ("envs/requirements.txt", "envs/development.txt", ".venv/made"):
        (tmp_path / name).touch()
    (tmp_path / ".venv/bin/python").write_text(PYTHON)
    (tmp_path / ".venv/bin/python").chmod(0o755)
    given = {"NAME": "n", "IMAGES": "i", "MODELS": "m1 m2"} | {variable: text}
    command = ["make", "study", *(f"{name}={value}" for name, value in given.items())]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    assert not list(tmp_path.rglob("pwned"))
    arguments = (tmp_path / ".venv/bin/arguments").read_text().split("\0")
    assert arguments[2:-1] == [
        f"--name={given['NAME']}",
        f"--images={given['IMAGES']}",
        "--",
        given["MODELS"],
    ]
