"""The batches of a unit: which vectors, in which order, scaled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from retrain.input_scale import InputScale
from retrain.jobs import Job, Unit
from retrain.vectors import Chosen, Vectors


def vectors_of(job: Job, vectors: Mapping[str, Vectors]) -> Vectors:
    """The vectors that one SAE is trained on."""
    whole = vectors[job.hook]
    return whole if job.rows is None else Chosen(whole, job.rows)


def order_of_batches(
    generator: torch.Generator, *, n_vectors: int, epochs: int, batch_size: int, skip: int = 0
) -> Iterator[Tensor]:
    """Row indices of one batch after the other: a new random order in every epoch.

    Args:
        generator: drawn from once for each epoch.
        n_vectors: vectors of an epoch.
        epochs: how often all are gone through.
        batch_size: of every batch but the last of an epoch, which has what is left.
        skip: batches that are left out at the start, drawn all the same.
    """
    per_epoch = -(-n_vectors // batch_size)
    for epoch in range(epochs):
        order = torch.randperm(n_vectors, generator=generator)
        for batch in range(per_epoch):
            if epoch * per_epoch + batch >= skip:
                yield order[batch * batch_size : (batch + 1) * batch_size]


class Inputs:
    """The scaled inputs of several SAEs with equally many vectors."""

    def __init__(
        self, sources: Sequence[Vectors], scales: Sequence[InputScale], unit: Unit
    ) -> None:
        """Read and scale all vectors if the unit says that they are to be resident."""
        self._sources, self._scales, self._device = sources, scales, unit.device
        self._resident = self._read() if unit.resident else None

    def _read(self) -> Tensor:
        """All scaled inputs [saes, n, d_in] on the device, a chunk at a time."""
        n_vectors, d_in = len(self._sources[0]), self._sources[0].d_in
        whole = torch.empty(len(self._sources), n_vectors, d_in, device=self._device)
        for index, (source, scale) in enumerate(zip(self._sources, self._scales, strict=True)):
            start = 0
            for chunk in source.chunks():
                place = whole[index, start : start + len(chunk)]
                scale.apply_in_place(place.copy_(chunk))
                start += len(chunk)
        return whole

    def batch(self, rows: Tensor) -> Tensor:
        """Scaled inputs [saes, vectors, d_in] on the device.

        Args:
            rows: for each SAE the rows of its vectors, [saes, vectors], int64 on the CPU.
        """
        if self._resident is None:
            taken = [
                scale.apply(source.take(own))
                for source, scale, own in zip(self._sources, self._scales, rows, strict=True)
            ]
            return torch.stack(taken).to(self._device)
        if len(rows) == 1:
            return self._resident[0].index_select(0, rows[0].to(self._device)).unsqueeze(0)
        own = torch.arange(len(rows), device=self._device).unsqueeze(1)
        return self._resident[own, rows.to(self._device)]
