"""Arrays of images are filled row by row, and tell of any row that is not as it was written."""

import numpy as np
import pytest

from workflow.lib.data.arrays import Array, Writer
from workflow.lib.run.errors import InputError
from workflow.lib.run.proofs import prove

ROWS = np.random.default_rng(0).integers(0, 256, (50, 3, 5, 7), dtype=np.uint8)
ROWS[20] = 0
HEAD, STRIDE = 128, 105


@pytest.fixture
def path(tmp_path):
    with Writer(tmp_path / "a.npy", ROWS.shape) as file:
        for row in ROWS:
            file.append(row)
    return tmp_path / "a.npy"


def test_any_reader_of_npy_finds_the_array(path):
    np.testing.assert_array_equal(np.load(path), ROWS)
    np.testing.assert_array_equal(np.load(path, mmap_mode="r"), ROWS)
    array = Array(path)
    assert len(array) == array.sound() == 50
    np.testing.assert_array_equal(array[np.array([3, 1])], ROWS[[3, 1]])
    np.testing.assert_array_equal(np.concatenate([array[b] for b in array.blocks()]), ROWS)


@pytest.mark.parametrize("place", [0, 6, 60, HEAD, HEAD + 20 * STRIDE, HEAD + 50 * STRIDE, -1])
def test_any_flipped_bit_is_told(path, place):
    content = bytearray(path.read_bytes())
    for bit in range(8):
        spoilt = content.copy()
        spoilt[place] ^= 1 << bit
        path.write_bytes(spoilt)
        with pytest.raises(InputError, match=r"a.npy.*delete it and run again"):
            Array(path)[np.arange(50)]
        with pytest.raises(InputError, match=r"a.npy.*delete it and run again"):
            Array(path).read(0, np.empty_like(ROWS))


@pytest.mark.parametrize("left", [0, 60, HEAD, HEAD + 30 * STRIDE, HEAD + 50 * STRIDE + 8, -1])
def test_a_cut_file_is_told(path, left):
    path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(InputError, match=r"a.npy.*delete it and run again"):
        Array(path)


def test_a_damaged_row_is_written_again_and_all_that_follow(path):
    with open(path, "r+b") as file:
        file.seek(HEAD + 30 * STRIDE + 50)
        file.write(bytes(20))
    with Writer(path, ROWS.shape) as file:
        assert file.done == 30
        for row in ROWS[30:]:
            file.append(row)
    np.testing.assert_array_equal(Array(path)[:], ROWS)
    assert Writer(path, (50, 5, 3, 7)).done == 0


@pytest.mark.parametrize("shape", [(4, 7), (4, 8), (3, 1), (0, 5)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.int64])
def test_any_change_of_a_row_changes_its_proof_alone(shape, dtype):
    values = np.random.default_rng(0).integers(1, 100, shape).astype(dtype)
    proofs = prove(values)
    assert proofs.shape == (len(values),)
    assert (proofs != 0).all()
    for row, column in np.ndindex(shape):
        other = values.copy()
        other[row, column] += 1
        assert np.flatnonzero(prove(other) != proofs).tolist() == [row]
