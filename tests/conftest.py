"""Which tests go together where several processes share them (`pytest -n 2`), and their threads."""

import os

import pytest

# Before anything imports NumPy or torch. Threads that wait for others sleep: by default they spin,
# and where two processes each take all cores, a training of seconds then takes minutes.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

SHARING = ("bad_input", "external", "mutations", "reruns", "study")
"""Files of tests/run whose tests use the same finished studies."""

LONGEST = ("slurm", "own_study", "imagenet")
"""Other files of tests/run, of minutes each. All begin first, or the last one runs alone."""


def pytest_collection_modifyitems(items):
    order = {f"tests/run/test_{name}.py": place for place, name in enumerate((*SHARING, *LONGEST))}
    items.sort(key=lambda item: order.get(item.nodeid.partition("::")[0], len(order)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            """Keep a file's tests in one process, and those of all files that share a study."""
            file = nodeid.partition("::")[0]
            return "sharing" if file in {f"tests/run/test_{name}.py" for name in SHARING} else file

    config.option.loadscopereorder = False  # in the order given, not those of most tests first
    return Scheduling(config, log)
