"""Latents of which few are active, in two forms with the same operations.

`DenseLatents` holds them all, zeros included, and computes full products; it serves any device and
several SAEs at once. `SparseLatents` holds the active ones only, of one SAE on a CPU, where a
product with k of d_sae latents costs k / d_sae of the full one.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from retrain.architectures.gradients import over_batch
from retrain.architectures.products import multiply

# `embedding_bag` makes a new array for its result. One of a whole dictionary is given back to the
# system and asked for again in every step, which costs several times what the sums do.
PIECE_BYTES = 2**20


class DecodedLatents(Protocol):
    """Latents as the gradient of the decoder needs them."""

    def transposed_product(
        self, x: Tensor, first: int, last: int, out: Tensor, *, onto: bool = False
    ) -> Tensor:
        """Columns first to last - 1, transposed, times x [saes, vectors, d_in].

        The result may lie in `out`; with `onto` it is added to what `out` holds.
        """


class Latents(DecodedLatents, Protocol):
    """Values of latents over a batch, [saes, vectors, d_sae], zero where none is active."""

    def decode(self, W_dec: Tensor, bias: Tensor | None, out: Tensor) -> Tensor:
        """Their product with W_dec [saes, d_sae, d_in] + bias: [saes, vectors, d_in], in `out`."""

    def gradient(self, upstream: Tensor, W_dec: Tensor) -> Latents:
        """Upstream [saes, vectors, d_in] times W_dec^T, where a latent is active."""

    def sums(self) -> Tensor:
        """Sum over the vectors: [saes, d_sae]."""

    def fired(self) -> Tensor:
        """Whether a latent is active on any vector: [saes, d_sae]."""

    def scaled(self, factors: Tensor) -> Latents:
        """The values of each SAE times its factor, [saes]."""

    def times(self, other: Any) -> Tensor:
        """Products with other values of the same latents, summed over the vectors."""

    def n_active(self) -> Tensor:
        """Active latents, summed over the vectors: [saes]."""

    def smallest(self) -> Tensor:
        """The smallest active value of each SAE, infinite where there is none: [saes]."""


@dataclass(frozen=True)
class DenseLatents:
    """All values, and 1 where a latent is active, else 0; [saes, vectors, d_sae] each."""

    values: Tensor
    mask: Tensor

    def decode(self, W_dec: Tensor, bias: Tensor | None, out: Tensor) -> Tensor:
        """See `Latents`."""
        return multiply(self.values, W_dec, out=out, bias=bias)

    def gradient(self, upstream: Tensor, W_dec: Tensor) -> DenseLatents:
        """See `Latents`."""
        back = multiply(upstream, W_dec.mT, out=torch.empty_like(self.values))
        return DenseLatents(back.mul_(self.mask), self.mask)

    def transposed_product(
        self, x: Tensor, first: int, last: int, out: Tensor, *, onto: bool = False
    ) -> Tensor:
        """See `Latents`."""
        return multiply(self.values[:, :, first:last].mT, x, out=out, onto=onto)

    def scaled(self, factors: Tensor) -> DenseLatents:
        """See `Latents`."""
        return replace(self, values=self.values * factors[:, None, None])

    def sums(self) -> Tensor:
        """See `Latents`."""
        return self.values.sum(dim=1)

    def times(self, other: DenseLatents) -> Tensor:
        """See `Latents`."""
        return over_batch(self.values, other.values)

    def fired(self) -> Tensor:
        """See `Latents`."""
        return self.mask.amax(dim=1) > 0

    def n_active(self) -> Tensor:
        """See `Latents`."""
        return self.mask.sum(dim=(1, 2))

    def smallest(self) -> Tensor:
        """See `Latents`."""
        return self.values.masked_fill(self.mask == 0, float("inf")).amin(dim=(1, 2))


@dataclass(frozen=True)
class SparseLatents:
    """Chosen latents of one SAE, vector by vector; active are those above 0.

    Attributes:
        values, latents, vectors: [chosen], value, index of the latent and of the vector.
        ends: [vectors + 1]; those of vector v stand at ends[v] to ends[v + 1] - 1.
        d_sae: number of latents.
        like: others of the same chosen latents, whose order by latent serves these too.
    """

    values: Tensor
    latents: Tensor
    vectors: Tensor
    ends: Tensor
    d_sae: int
    like: SparseLatents | None = None

    @classmethod
    def where(cls, mask: Tensor, values: Tensor) -> SparseLatents:
        """The values [1, vectors, d_sae] of one SAE, chosen where the mask is not 0."""
        _, n, d_sae = mask.shape
        # Of a mask, numpy finds them several times faster than torch does.
        places = torch.from_numpy(np.flatnonzero(mask.to(torch.bool).numpy()))
        vectors = torch.div(places, d_sae, rounding_mode="floor")
        ends = torch.searchsorted(places, torch.arange(0, (n + 1) * d_sae, d_sae))
        return cls(values.take(places), places - vectors * d_sae, vectors, ends, d_sae)

    def taken_from(self, values: Tensor) -> SparseLatents:
        """Other values [1, vectors, d_sae] of the same chosen latents."""
        return self._with(values.take(self.vectors * self.d_sae + self.latents))

    def _with(self, values: Tensor) -> SparseLatents:
        return replace(self, values=values, like=self.like or self)

    def decode(self, W_dec: Tensor, bias: Tensor | None, out: Tensor) -> Tensor:
        """See `Latents`."""
        product = embedding_bag(
            self.latents, W_dec[0], self.ends[:-1], mode="sum", per_sample_weights=self.values
        )
        return torch.add(product, 0 if bias is None else bias[0], out=out[0]).unsqueeze(0)

    def gradient(self, upstream: Tensor, W_dec: Tensor) -> SparseLatents:
        """See `Latents`."""
        with warnings.catch_warnings():
            # "in beta state": the one product of it that is used here has a test of its own.
            warnings.filterwarnings("ignore", message="Sparse CSR tensor support", append=False)
            pattern = torch.sparse_csr_tensor(
                self.ends,
                self.latents,
                torch.zeros_like(self.values),
                (len(self.ends) - 1, self.d_sae),
                check_invariants=False,
            )
        back = torch.sparse.sampled_addmm(pattern, upstream[0], W_dec[0].mT, beta=0.0)
        return self._with(back.values().mul_(self.values > 0))

    def transposed_product(
        self, x: Tensor, first: int, last: int, out: Tensor, *, onto: bool = False
    ) -> Tensor:
        """See `Latents`."""
        order, starts = (self.like or self)._by_latent
        begin, end = int(starts[first]), int(starts[last])
        chosen = order[begin:end]
        vectors, values = self.vectors[chosen], self.values[chosen]
        starts = starts[first : last + 1] - begin
        rows = max(1, PIECE_BYTES // (x.shape[2] * x.element_size()))
        for piece in range(0, last - first, rows):
            bounds = starts[piece : piece + rows + 1]
            own = slice(int(bounds[0]), int(bounds[-1]))
            product = embedding_bag(
                vectors[own],
                x[0],
                bounds[:-1] - bounds[0],
                mode="sum",
                per_sample_weights=values[own],
            )
            place = out[0, piece : piece + rows]
            if onto:
                place += product
            else:
                place.copy_(product)
        return out

    @cached_property
    def _by_latent(self) -> tuple[Tensor, Tensor]:
        """Places ordered by latent, and where each latent starts among them, [d_sae + 1]."""
        order = torch.argsort(self.latents, stable=True)
        starts = torch.zeros(self.d_sae + 1, dtype=torch.int64)
        torch.cumsum(torch.bincount(self.latents, minlength=self.d_sae), dim=0, out=starts[1:])
        return order, starts

    def scaled(self, factors: Tensor) -> SparseLatents:
        """See `Latents`."""
        return self._with(self.values * factors)

    def sums(self) -> Tensor:
        """See `Latents`."""
        return self._by_latent_sum(self.values)

    def times(self, other: SparseLatents) -> Tensor:
        """See `Latents`; of the same chosen latents."""
        return self._by_latent_sum(self.values * other.values)

    def _by_latent_sum(self, values: Tensor) -> Tensor:
        sums = values.new_zeros(self.d_sae)
        return sums.index_add_(0, self.latents, values).unsqueeze(0)

    def fired(self) -> Tensor:
        """See `Latents`."""
        return self._by_latent_sum((self.values > 0).to(self.values)) > 0

    def n_active(self) -> Tensor:
        """See `Latents`."""
        return (self.values > 0).sum().to(self.values).unsqueeze(0)

    def smallest(self) -> Tensor:
        """See `Latents`."""
        return self.values.masked_fill(self.values <= 0, float("inf")).amin().unsqueeze(0)


@dataclass(frozen=True)
class LatentProducts:
    """Gradients of both dictionaries out of few active latents; see `RowGradients`.

    Attributes:
        decoder_terms: latents, and the gradient [saes, vectors, d_in] of what they decode to.
        encoder_terms: gradients of the pre-activations.
        inputs: centred inputs [saes, vectors, d_in].
    """

    decoder_terms: tuple[tuple[DecodedLatents, Tensor], ...]
    encoder_terms: tuple[Latents, ...]
    inputs: Tensor

    def decoder(self, first: int, last: int, out: Tensor) -> Tensor:
        """See `RowGradients`."""
        (latents, upstream), *more = self.decoder_terms
        total = latents.transposed_product(upstream, first, last, out)
        for latents, upstream in more:
            total = latents.transposed_product(upstream, first, last, total, onto=True)
        return total

    def encoder(self, first: int, last: int, out: Tensor) -> Tensor:
        """See `RowGradients`."""
        d_pre, *more = self.encoder_terms
        total = d_pre.transposed_product(self.inputs, first, last, out)
        for d_pre in more:
            total = d_pre.transposed_product(self.inputs, first, last, total, onto=True)
        return total

    def squared_norm(self) -> None:
        """See `RowGradients`; over few active entries, making them is quick."""
        return

    def scaled(self, factors: Tensor) -> LatentProducts:
        """See `RowGradients`."""
        return LatentProducts(
            tuple((one, up * factors[:, None, None]) for one, up in self.decoder_terms),
            tuple(d_pre.scaled(factors) for d_pre in self.encoder_terms),
            self.inputs,
        )
