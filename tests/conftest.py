"""Which tests begin first where several processes share them (`pytest -n 2`), and their threads."""

import os

# Before anything imports NumPy or torch. Threads that wait for others sleep: by default they spin,
# and where two processes each take all cores, a training of seconds then takes minutes.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# A study is hundreds of processes; each would compile all that it imports.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

LONGEST = ("slurm", "imagenet", "reruns", "own_study", "study", "bad_input", "external",
           "mutations", "public", "benchmarks", "compare")  # fmt: skip
"""Files of tests/run, of minutes each: they begin first, or the last one runs alone."""


def pytest_collection_modifyitems(items):
    order = {f"tests/run/test_{name}.py": place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.nodeid.partition("::")[0], len(order)))
