"""Which tests go together where several processes share them (`pytest -n 2 --dist loadgroup`)."""

import pytest

SHARED = {"finished", "finished_folder_study"}


def pytest_collection_modifyitems(items):
    """Keep the tests of a file in one process, and all that use the finished small studies."""
    for item in items:
        group = "small" if SHARED & set(item.fixturenames) else str(item.path)
        item.add_marker(pytest.mark.xdist_group(group))
