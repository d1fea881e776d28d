"""Which tests go together where several processes share them (`pytest -n 2`)."""

import pytest

SHARING = ("bad_input", "external", "reruns", "study")
"""Files of tests/run whose tests use the same finished studies."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            """Keep a file's tests in one process, and those of all files that share a study."""
            file = nodeid.partition("::")[0]
            return "sharing" if file in {f"tests/run/test_{name}.py" for name in SHARING} else file

    return Scheduling(config, log)
