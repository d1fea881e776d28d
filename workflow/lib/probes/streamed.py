"""Features that stay on disk and are read in blocks."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from workflow.lib.run.progress import ahead

MEMORY = 8 * 2**30  # bytes that a fit may take on a CPU; on a GPU it is most of what is free
BLOCK = 2**24  # features read at a time
LOGITS = 2**28  # in memory at a time


@dataclass(frozen=True)
class Streamed:
    """Columns of matrices side by side that stay on disk, to be read in blocks of rows.

    As of a tensor, `streamed[rows]` and `streamed[:, columns]` are a part of it.

    Attributes
    ----------
    parts : sequence of array_like of float32, shape (all examples, dimensions)
        Such as datasets of HDF5 or memory maps.
    device : torch.device
        Where blocks go.
    rows, columns : ndarray of int64, optional
        Which are taken, rows in ascending order; by default all.
    """

    parts: Sequence
    device: torch.device
    rows: np.ndarray | None = None
    columns: np.ndarray | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Examples and dimensions."""
        examples = len(self.parts[0]) if self.rows is None else len(self.rows)
        width = sum(part.shape[1] for part in self.parts)
        return examples, width if self.columns is None else len(self.columns)

    def __getitem__(self, key: Tensor | tuple[slice, np.ndarray]) -> "Streamed":
        if isinstance(key, tuple):
            columns = np.asarray(key[1])
            return replace(self, columns=columns if self.columns is None else self.columns[columns])
        rows = np.sort(key.cpu().numpy())
        return replace(self, rows=rows if self.rows is None else self.rows[rows])

    def blocks(self) -> Iterator[tuple[slice, Tensor]]:
        """Read all of it in order, the next block while the caller works on one.

        Yields
        ------
        rows : slice
        values : Tensor of float32, shape (rows, dimensions)
        """
        step = max(1, BLOCK // sum(part.shape[1] for part in self.parts))
        spans = [(row, row + step) for row in range(0, len(self.parts[0]), step)]
        done = 0
        for values in ahead(lambda span: self._read(*span), spans):
            yield slice(done, done + len(values)), values.to(self.device, non_blocking=True)
            done += len(values)

    def _read(self, start: int, stop: int) -> Tensor:
        values = np.concatenate([part[start:stop] for part in self.parts], axis=1)
        if self.rows is not None:
            first, last = np.searchsorted(self.rows, (start, stop))
            values = values[self.rows[first:last] - start]
        if self.columns is not None:
            values = values[:, self.columns]
        tensor = torch.from_numpy(values)
        return tensor.pin_memory() if self.device.type == "cuda" else tensor

    def in_memory(self, classes: int = 0, share: float = 1.0) -> "Tensor | Streamed":
        """Give all of it as one tensor of float32 if a fit of it fits the memory, else itself.

        Parameters
        ----------
        classes : int
            What is to be fitted; 0 for the features alone.
        share : float
            Of the memory that they may take.
        """
        examples, dimensions = self.shape
        # The features themselves and, for a fit, without those held out, and standardised in
        # float64 and float32, or with a basis; logits and residuals.
        needed = (20 + 16 * (examples < dimensions) if classes else 4) * examples * dimensions
        needed += 3 * 8 * min(examples * classes, LOGITS)
        free = MEMORY
        if self.device.type == "cuda":
            unused = torch.cuda.memory_reserved(self.device)  # kept by torch of what was freed
            unused -= torch.cuda.memory_allocated(self.device)
            free = 0.9 * (torch.cuda.mem_get_info(self.device)[0] + unused)
        if needed > share * free:
            return self
        values = torch.empty(self.shape, dtype=torch.float32, device=self.device)
        for rows, block in self.blocks():
            values[rows] = block
        return values
