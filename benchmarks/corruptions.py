"""Measure what it takes to corrupt images, by kind, in seconds of one core.

    python benchmarks/corruptions.py

The images are Fashion-MNIST's test images, 28 x 28 pixels, decoded beforehand. Each kind is made at
its highest severity, and the first images once more in another order: they must be the same.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from workflow.lib.data.corruptions import CORRUPTIONS, SEVERITIES, Corrupted
from workflow.lib.data.kinds import Decoder

AGAIN = 100


def main() -> None:
    """Print a line a kind."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--mode", choices=("L", "RGB"), default="L")
    arguments = parser.parse_args()
    decode = Decoder("fashion-mnist", "resources/fashion-mnist", arguments.mode)
    images = {f"test/{i:05d}": decode(f"test/{i:05d}") for i in range(arguments.images)}
    same = True
    print(f"kind            seconds of a core for {len(images)} images, {arguments.mode}")
    for kind in CORRUPTIONS:
        corrupt = Corrupted(images.__getitem__, kind, SEVERITIES)
        begin = time.process_time()
        made = [corrupt(example) for example in images]
        print(f"{kind:15} {time.process_time() - begin:.2f}", flush=True)
        first = list(zip(images, made, strict=True))[AGAIN::-1]
        same &= all(np.array_equal(corrupt(example), image) for example, image in first)
    print(f"the same in another order: {'yes' if same else 'no'}")


if __name__ == "__main__":
    main()
