"""What a step leaves for the optimiser.

The gradients of the two dictionaries are as large as the dictionaries, and are read once. They are
therefore not kept: the optimiser asks for some rows of them at a time, which on a CPU stay in its
caches until the rows are updated.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Protocol

import torch
from torch import Tensor

from retrain.architectures.products import multiply


class RowGradients(Protocol):
    """Gradients of the decoder's and the encoder's rows, [saes, rows, d_in]."""

    def decoder(self, first: int, last: int, out: Tensor) -> Tensor:
        """Those of latents first to last - 1; scratch space, which may be `out`."""

    def encoder(self, first: int, last: int, out: Tensor) -> Tensor:
        """Those of latents first to last - 1; scratch space, which may be `out`."""

    def squared_norm(self) -> Tensor | None:
        """Sum of the squares of both gradients, [saes]; None where making them is as quick."""

    def scaled(self, factors: Tensor) -> RowGradients:
        """The gradients of each SAE times its factor, [saes]."""


@dataclass(frozen=True)
class OuterProducts:
    """Gradients as products over the batch: latents x upstream, and pre-activations x input.

    d W_dec = latents^T upstream             latents, d_pre [saes, vectors, d_sae]
    d W_enc = d_pre^T inputs                 upstream, inputs [saes, vectors, d_in]

    W_enc is held with one row per latent, as W_dec is.
    """

    latents: Tensor
    upstream: Tensor
    d_pre: Tensor
    inputs: Tensor

    def decoder(self, first: int, last: int, out: Tensor) -> Tensor:
        """See `RowGradients`."""
        return multiply(self.latents[:, :, first:last].mT, self.upstream, out=out)

    def encoder(self, first: int, last: int, out: Tensor) -> Tensor:
        """See `RowGradients`."""
        return multiply(self.d_pre[:, :, first:last].mT, self.inputs, out=out)

    def squared_norm(self) -> Tensor:
        """See `RowGradients`."""
        decoder = product_squared_norm(self.latents, self.upstream)
        return decoder + product_squared_norm(self.d_pre, self.inputs)

    def scaled(self, factors: Tensor) -> OuterProducts:
        """See `RowGradients`."""
        factors = factors[:, None, None]
        return replace(self, upstream=self.upstream * factors, d_pre=self.d_pre * factors)


@dataclass(frozen=True)
class Accumulated:
    """Gradients summed over the parts of a batch, [saes, d_sae, d_in] each, held whole."""

    d_dec: Tensor
    d_enc: Tensor

    def add(self, rows: RowGradients, block: Tensor) -> None:
        """Add the gradients of another part; `block` [saes, rows, d_in] is scratch space."""
        d_sae, step = self.d_dec.shape[1], block.shape[1]
        for first in range(0, d_sae, step):
            last = min(first + step, d_sae)
            scratch = block[:, : last - first]
            self.d_dec[:, first:last] += rows.decoder(first, last, scratch)
            self.d_enc[:, first:last] += rows.encoder(first, last, scratch)

    def clear(self) -> None:
        """Begin a new batch."""
        self.d_dec.zero_()
        self.d_enc.zero_()

    def decoder(self, first: int, last: int, out: Tensor) -> Tensor:  # noqa: ARG002
        """See `RowGradients`."""
        return self.d_dec[:, first:last]

    def encoder(self, first: int, last: int, out: Tensor) -> Tensor:  # noqa: ARG002
        """See `RowGradients`."""
        return self.d_enc[:, first:last]

    def squared_norm(self) -> Tensor:
        """See `RowGradients`."""
        return per_sae(self.d_dec) + per_sae(self.d_enc)

    def scaled(self, factors: Tensor) -> Accumulated:
        """See `RowGradients`; in place, since these are as large as the dictionaries."""
        self.d_dec.mul_(factors[:, None, None])
        self.d_enc.mul_(factors[:, None, None])
        return self


@dataclass(frozen=True)
class StepResult:
    """The outcome of one batch or part of one, each number [saes].

    loss: what is minimised, over the vectors of the whole batch.
    active: active latents, summed over the vectors.
    squared_error, power: ||z - z_hat||^2 and ||z||^2, summed over the vectors.
    rows: gradients of the dictionaries; small: those of every other parameter, by name.
    radial: [saes, d_sae], the part of each decoder row's gradient along the row. With g the
        gradient of z_hat, (d W_dec)_i . (W_dec)_i = sum over the batch of f_i (g . (W_dec)_i), and
        the second factor is d f_i.
    """

    loss: Tensor
    active: Tensor
    squared_error: Tensor
    power: Tensor
    rows: RowGradients
    radial: Tensor
    small: dict[str, Tensor] = field(default_factory=dict)


def product_squared_norm(a: Tensor, b: Tensor) -> Tensor:
    """||a^T b||^2 of each SAE, for [saes, vectors, m] and [saes, vectors, n]: [saes].

    (a a^T) . (b b^T), elementwise: two small products over pairs of vectors in place of the large
    one.
    """
    return (torch.bmm(a, a.mT) * torch.bmm(b, b.mT)).sum(dim=(1, 2))


def over_batch(a: Tensor, b: Tensor) -> Tensor:
    """Sum of a b over the vectors, for [saes, vectors, d_sae]: [saes, d_sae]."""
    return (a * b).sum(dim=1)


def per_sae(values: Tensor) -> Tensor:
    """Sum of squares of [saes, ...] by SAE: [saes]."""
    flat = values.flatten(1)
    norms: Tensor = torch.linalg.vector_norm(flat, dim=1)
    return norms.square()
