"""Everything that only a GPU can show, in one command that ends within ten minutes.

    python benchmarks/accelerator.py | tee accelerator.txt

It needs the packages of envs/requirements.txt, with a build of torch for the GPU, and pytest; no
network. It runs, one after the other and each with a limit of time:

1. the tests that a machine without a GPU skips, a full memory of the GPU among them;
2. extraction against the bare forward pass, in float32 and bfloat16, from decoded arrays and from
   JPEG files beside timm's own loop;
3. training of a ResNet-50 from files, and of the base of the small study;
4. linear heads by L-BFGS at 100,000 x 2,048 x 1,000 in float32 and float64 against scikit-learn;
5. two extractions at once on one GPU.

Put what it prints, with the machine and the date, into benchmarks/README.md.
"""

import argparse
import importlib.metadata
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TESTS = ["tests/lib/models", "tests/lib/probes", "tests/scripts/test_extract.py"]
PACKAGES = ["torch", "torchvision", "timm", "open_clip_torch", "numpy", "h5py", "scikit-learn"]

EXTRACT = ["benchmarks/extract.py", "--rounds", "3", "--memory", "2048"]
PROBE = ["benchmarks/probe.py", "--examples", "100000", "--classes", "1000", "--threads", "16",
         "--device", "cuda", "--iterations", "60"]  # fmt: skip
SMALL = ["-m", "snakemake", "--cores", "4", "--configfile", "tests/run/small.yaml", "--forcerun",
         "train", "--", "results/small/models/base/checkpoint.safetensors"]  # fmt: skip

STEPS = [
    ("tests on a GPU", 120, [["-m", "pytest", "-q", "-n", "0", "-k", "gpu", *TESTS]]),
    ("extraction, float32", 100, [EXTRACT]),
    ("extraction, bfloat16", 100, [[*EXTRACT, "--precision", "bfloat16"]]),
    ("training from files", 60, [["benchmarks/train.py", "--steps", "20"]]),
    ("training of the small study's base", 60, [SMALL]),
    ("linear heads, float32", 90, [[*PROBE, "--precision", "float32"]]),
    ("linear heads, float64", 90, [[*PROBE, "--precision", "float64"]]),
    (
        "two extractions at once",
        60,
        2 * [[*EXTRACT[:-2], "--models", "resnet50", "--memory", "64"]],
    ),
]
TOYS = {  # to see on any machine that the steps run
    "extraction, float32": "--models test_resnet --images 4 --tiny-images 16 --batch 4 --rounds 1 "
    "--memory 16",
    "linear heads, float64": "--examples 300 --dimensions 8 --classes 3 --device cpu",
}


def run(commands: list[list[str]], limit: float) -> str:
    """Run commands at once, print what each says, and tell how it ended."""
    start = time.monotonic()
    running = [
        subprocess.Popen([sys.executable, *command], cwd=ROOT, text=True, stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT)
        for command in commands
    ]  # fmt: skip
    ended = []
    for process in running:
        try:
            said, _ = process.communicate(timeout=max(1, limit - (time.monotonic() - start)))
            ended.append("done" if process.returncode == 0 else f"FAILED ({process.returncode})")
        except subprocess.TimeoutExpired:
            process.kill()
            said, _ = process.communicate()
            ended.append(f"STOPPED after {limit:.0f} s")
        print(said.rstrip()[-4000:], flush=True)
    return f"{', '.join(ended)} in {time.monotonic() - start:.1f} s"


def machine() -> None:
    """Print what the figures are of."""
    print(f"{platform.platform()}, Python {platform.python_version()}")
    for package in PACKAGES:
        try:
            print(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            print(f"{package} is missing: install envs/requirements.txt")
    if shutil.which("nvidia-smi"):
        query = ["--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
        print(subprocess.run(["nvidia-smi", *query], capture_output=True, text=True).stdout.strip())


def main() -> None:
    """Run all steps, whether or not one fails."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--toy", action="store_true", help="a few steps at toy size, on any machine"
    )
    toy = parser.parse_args().toy
    machine()
    results = {}
    for title, limit, commands in STEPS:
        if toy:
            if title not in TOYS:
                continue
            commands = [[commands[0][0], *TOYS[title].split()]]
        print(f"\n== {title}", flush=True)
        results[title] = run(commands, limit)
        print(f"== {title}: {results[title]}", flush=True)
    print("\n" + "\n".join(f"{title}: {result}" for title, result in results.items()))
    sys.exit(any("done" not in result for result in results.values()))


if __name__ == "__main__":
    main()
