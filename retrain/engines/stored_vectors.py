"""Activation vectors as one array, the form in which they travel to other machines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from retrain.vectors import CHUNK, InMemory, Vectors


@dataclass(frozen=True, eq=False)
class StoredVectors:
    """Vectors [n, d_in], float32, in memory that may be shared and read-only.

    Everything handed out is a copy in torch's own memory: torch would write into read-only memory,
    and products over memory that is aligned otherwise can differ in their last bits.
    """

    values: NDArray[np.float32]

    @property
    def d_in(self) -> int:
        """Numbers of one vector."""
        return int(self.values.shape[1])

    def __len__(self) -> int:
        return len(self.values)

    def take(self, rows: Tensor) -> Tensor:
        """The vectors at `rows`."""
        return _copied(self.values[rows.numpy()])

    def chunks(self, size: int = CHUNK) -> Iterator[Tensor]:
        """All vectors in order."""
        for start in range(0, len(self), size):
            yield _copied(self.values[start : start + size])


def _copied(values: NDArray[np.float32]) -> Tensor:
    tensor = torch.empty(values.shape)
    tensor.numpy()[...] = values
    return tensor


def as_array(vectors: Vectors) -> NDArray[np.float32]:
    """The vectors as one array [n, d_in]; the memory of vectors that are in memory already."""
    if isinstance(vectors, InMemory):
        return vectors.values.numpy()
    array = np.empty((len(vectors), vectors.d_in), dtype=np.float32)
    start = 0
    for chunk in vectors.chunks():
        array[start : start + len(chunk)] = chunk.numpy()
        start += len(chunk)
    assert start == len(array)
    return array
