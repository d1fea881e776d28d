"""Arrays come back as they were written, or are refused."""

import numpy as np
import pytest

from workflow.lib.outputs.arrays import read_arrays, write_arrays
from workflow.lib.run.errors import InputError


def test_arrays_survive_by_name(tmp_path):
    written = {"models": np.array(["50", "b"]), "top": np.arange(6, dtype=np.uint16).reshape(2, 3)}
    write_arrays(tmp_path / "a.npz", **written)
    back = read_arrays(tmp_path / "a.npz")
    assert list(back) == list(written)
    for name, values in written.items():
        assert back[name].dtype == values.dtype
        np.testing.assert_array_equal(back[name], values)


def test_what_was_altered_or_is_missing_is_refused(tmp_path):
    path = tmp_path / "a.npz"
    with pytest.raises(InputError, match="there is no file"):
        read_arrays(path)
    write_arrays(path, top=np.arange(3))
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(InputError, match="was altered or damaged"):
        read_arrays(path)
