"""How arrays that belong together are written and read back."""

import io
import os

import numpy as np

from workflow.lib.run.errors import InputError
from workflow.lib.run.files import AGAIN, read_sealed, replacing


def write_arrays(path: str | os.PathLike, **arrays: object) -> None:
    """Write arrays by name as .npz, whole or not at all, with a digest beside the file."""
    with replacing(path, sealed=True) as part:
        np.savez(part, **arrays)


def read_arrays(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Read arrays by name; raises InputError if they are not those that were written."""
    content = io.BytesIO(read_sealed(path))
    try:
        with np.load(content) as file:
            return dict(file)
    except Exception as error:  # of NumPy and of zip files, of many kinds
        raise InputError(f"cannot read {path}: {error}; {AGAIN}") from error
