"""Each benchmark at toy size: it ends, and it measured work that was done, by its own checks."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.slurm import plan

ROOT = Path(__file__).resolve().parents[2]
TOYS = {
    "accelerator": "--toy",
    "corruptions": "--images 20",
    "extract": "--models test_resnet --images 4 --tiny-images 16 --batch 4 --rounds 2 --memory 16",
    "greedy": "--models 4 --examples 200 --classes 10 --steps 2",
    "pairwise": "--models 4 --examples 200 --classes 10",
    "probe": "--examples 300 --dimensions 8 --classes 3",
    "scale": "--models 5 --examples 200 --calibration 80 --classes 12",
    "train": "--size 32 --batch 2 --steps 2 --workers 1",
}
MEASURED = {
    "accelerator": "linear heads, float64: done",
    "corruptions": "the same in another order: yes",
    "extract": "largest difference between their logits 0.0e+00",
    "greedy": "the same path",
    "pairwise": "pairs that differ from the dense answer: 0",
    "probe": "to the loss of the probe",
    "scale": "10 pairs, accuracies up to",
    "train": "from the files",
}
"""What each says at its end of what both sides found, or did."""


@pytest.mark.parametrize("name", TOYS)
def test_it_runs_and_prints_what_it_measured(name):
    command = [sys.executable, f"benchmarks/{name}.py", *TOYS[name].split()]
    limited = os.environ | {"OMP_NUM_THREADS": "1"}
    run = subprocess.run(command, cwd=ROOT, env=limited, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert MEASURED[name] in run.stdout


def test_a_study_of_many_models_is_planned(tmp_path, capsys):
    plan(tmp_path / "plan", 20)
    assert "20 models planned in" in capsys.readouterr().out
