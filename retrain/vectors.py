"""Activation vectors to train on: in memory, or on disk and larger than memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

CHUNK = 4096


class Vectors(Protocol):
    """The activations of one hook: `len` vectors of `d_in` numbers, in a fixed order."""

    @property
    def d_in(self) -> int:
        """Numbers of one vector."""

    def __len__(self) -> int:
        """Number of vectors."""

    def take(self, rows: Tensor) -> Tensor:
        """The vectors at `rows` (int64, on the CPU) in that order: [rows, d_in] float32, CPU."""

    def chunks(self, size: int = CHUNK) -> Iterator[Tensor]:
        """All vectors in order, [at most size, d_in] float32 on the CPU at a time."""


@dataclass(frozen=True, eq=False)
class InMemory:
    """Vectors held in a tensor [n, d_in], float32 on the CPU."""

    values: Tensor

    @property
    def d_in(self) -> int:
        """Numbers of one vector."""
        return int(self.values.shape[1])

    def __len__(self) -> int:
        return len(self.values)

    def take(self, rows: Tensor) -> Tensor:
        """The vectors at `rows`."""
        return self.values[rows]

    def chunks(self, size: int = CHUNK) -> Iterator[Tensor]:
        """All vectors in order."""
        for start in range(0, len(self), size):
            yield self.values[start : start + size]


@dataclass(frozen=True, eq=False)
class Chosen:
    """Some rows [n] (int64) of other vectors, such as those of one training condition."""

    of: Vectors
    rows: Tensor

    @property
    def d_in(self) -> int:
        """Numbers of one vector."""
        return self.of.d_in

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, rows: Tensor) -> Tensor:
        """The vectors at `rows` of the chosen ones."""
        return self.of.take(self.rows[rows])

    def chunks(self, size: int = CHUNK) -> Iterator[Tensor]:
        """All chosen vectors in order."""
        for start in range(0, len(self), size):
            yield self.of.take(self.rows[start : start + size])
