"""Arrays on disk that prove what they hold: .npy files with a proof of each row behind the array.

Any other reader of .npy finds the array alone.
"""

import io
import math
import os
from pathlib import Path

import numpy as np

from workflow.lib.data.proofs import prove
from workflow.lib.run.errors import InputError
from workflow.lib.run.files import AGAIN

BLOCK = 2**24  # bytes read at a time


class Array:
    """An array of uint8 on disk, whose rows are checked when they are first read.

    Without proofs, as other programs write .npy, it is taken as it is.

    Raises
    ------
    InputError
        If it cannot be read, or is damaged; also when rows are read.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = path
        try:
            self.array = np.load(path, mmap_mode="r", allow_pickle=False)
            self.shape, self.dtype = self.array.shape, self.array.dtype
            size, end = os.path.getsize(path), self.array.offset + self.array.nbytes
            kept = np.fromfile(path, "<u8", offset=end)
        except Exception as error:  # of NumPy, of many kinds
            why = " ".join(str(error).split())
            raise InputError(f"cannot read {path}: {why}; {AGAIN}") from error
        self.proofs = kept if size > end else None
        self.known = np.zeros(len(self.array), bool)  # rows that were checked
        whole = size in (end, end + 8 * len(self.array))
        if self.dtype != np.uint8 or self.array.flags.fnc or not whole:
            raise InputError(
                f"{path} holds {self.dtype} of shape {self.shape} in {size} bytes, which are no "
                f"whole images; {AGAIN}"
            )

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        return self._checked(np.asarray(self.array[rows]), rows)

    def read(self, first: int, pixels: np.ndarray) -> None:
        """Fill `pixels` with rows from `first` on.

        Through a file and not the map, whose pages would count as memory of this process: the more,
        the more rows there are.
        """
        with open(self.path, "rb") as file:
            file.seek(self.array.offset + first * pixels[0].nbytes)
            if file.readinto(pixels) != pixels.nbytes:
                raise InputError(f"{self.path} ends too early; {AGAIN}")
        self._checked(pixels, slice(first, first + len(pixels)))

    def blocks(self) -> list[slice]:
        """Cut all rows into stretches of moderate size."""
        step = max(1, BLOCK // max(1, math.prod(self.shape[1:])))
        return [slice(row, row + step) for row in range(0, len(self), step)]

    def sound(self) -> int:
        """Count the first rows that are as they were written."""
        if self.proofs is None:
            return 0
        for block in self.blocks():
            wrong = prove(self.array[block]) != self.proofs[block]
            if wrong.any():
                return block.start + int(wrong.argmax())
        return len(self)

    def _checked(self, values: np.ndarray, rows: slice | np.ndarray) -> np.ndarray:
        if self.proofs is not None and not self.known[rows].all():
            if (prove(values) != self.proofs[rows]).any():
                raise InputError(f"{self.path} is damaged; {AGAIN}")
            self.known[rows] = True
        return values


class Writer:
    """A file of an array that is filled row by row, and resumed where it was left.

    Parameters
    ----------
    path
        A file that is there holds rows of an array of this shape.
    shape : tuple of int

    Attributes
    ----------
    done : int
        First rows that are there, each proved.
    """

    def __init__(self, path: Path, shape: tuple[int, ...]):
        head = io.BytesIO()
        layout = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(head, layout)
        self.path, self.head = path, head.getvalue()
        self.start, self.stride = len(self.head), math.prod(shape[1:])
        self.proofs = self.start + shape[0] * self.stride
        self.size = self.proofs + 8 * shape[0]
        self.done = 0
        if path.exists() and path.stat().st_size == self.size:
            with open(path, "rb") as file:
                same = file.read(self.start) == self.head
            self.done = Array(path).sound() if same else 0

    def append(self, row: np.ndarray) -> None:
        """Write the next row, then its proof."""
        self.file.seek(self.start + self.done * self.stride)
        self.file.write(np.ascontiguousarray(row))
        self.file.seek(self.proofs + 8 * self.done)
        self.file.write(prove(row[None]))
        self.done += 1

    def __enter__(self) -> "Writer":
        if not self.done:
            self.path.unlink(missing_ok=True)  # it may be a published array's second name
        self.file = open(self.path, "r+b" if self.done else "wb")
        if not self.done:
            self.file.write(self.head)
            self.file.truncate(self.size)  # what is not written is zero, which proves no row
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()
