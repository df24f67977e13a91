"""Vectors of one hook, memory-mapped from the shards that they lie in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from retrain.vectors import CHUNK

# NumPy has no bfloat16; its bits are kept in this type, and nothing else is.
_BFLOAT16_BITS = np.dtype(np.uint16)


def shard_array(vectors: Tensor) -> NDArray[Any]:
    """[n, d_in] as a shard keeps it: float16 and bfloat16 as they are, all else in float32."""
    if vectors.dtype == torch.bfloat16:
        return vectors.contiguous().view(torch.uint16).numpy()
    if vectors.dtype == torch.float16:
        return vectors.contiguous().numpy()
    return vectors.float().contiguous().numpy()


@dataclass(frozen=True, eq=False)
class StoredVectors:
    """Vectors on disk, an implementation of `retrain.vectors.Vectors`.

    Reading rows touches those rows alone. The files stay mapped until `close`, which has to
    precede deleting them on Windows. Pickled, it is the paths; maps are opened anew.

    Attributes:
        files: one .npy file [vectors, d_in] for each shard.
        starts: [shards + 1], the first vector of each shard, and their number at the end.
        order: [vectors] int64; vector i is the `order[i]`-th of the files.
        d_in: numbers of one vector.
    """

    files: tuple[Path, ...]
    starts: NDArray[np.int64]
    order: NDArray[np.int64]
    d_in: int
    _maps: dict[int, NDArray[Any]] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.order)

    def take(self, rows: Tensor) -> Tensor:
        """The vectors at `rows` (int64, on the CPU) in that order: [rows, d_in] float32."""
        places = self.order[rows.numpy()]
        shards = np.searchsorted(self.starts, places, side="right") - 1
        touched = np.unique(shards).tolist()
        if len(touched) == 1:
            return _as_float32(self._map(touched[0])[places - self.starts[touched[0]]])
        found: NDArray[Any] | None = None
        for shard in touched:
            wanted = np.flatnonzero(shards == shard)
            own = self._map(shard)[places[wanted] - self.starts[shard]]
            if found is None:
                found = np.empty((len(places), self.d_in), dtype=own.dtype)
            found[wanted] = own
        return torch.empty((0, self.d_in)) if found is None else _as_float32(found)

    def chunks(self, size: int = CHUNK) -> Iterator[Tensor]:
        """All vectors in order, [at most size, d_in] float32 at a time."""
        for start in range(0, len(self), size):
            yield self.take(torch.arange(start, min(start + size, len(self))))

    def close(self) -> None:
        """Unmap the files; reading maps them again."""
        self._maps.clear()

    def _map(self, shard: int) -> NDArray[Any]:
        found = self._maps.get(shard)
        if found is None:
            # A plain view: NumPy indexes its own arrays faster than those of a subclass.
            found = np.load(self.files[shard], mmap_mode="r", allow_pickle=False).view(np.ndarray)
            self._maps[shard] = found
        return found

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_maps": {}}


def _as_float32(array: NDArray[Any]) -> Tensor:
    """A copy of rows of a shard."""
    own = np.ascontiguousarray(array)
    if own.dtype == _BFLOAT16_BITS:
        return torch.from_numpy(own).view(torch.bfloat16).float()
    return torch.from_numpy(own).float()
