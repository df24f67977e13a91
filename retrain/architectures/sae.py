"""What all architectures share: two dictionaries, their biases, and the chain rule between them.

    pre   = (z - b_dec) W_enc + b_enc                    [saes, vectors, d_sae]
    f     = the latents, which each architecture makes of pre
    z_hat = f W_dec + b_dec                              [saes, vectors, d_in]
    L     = ||z - z_hat||^2, mean over the batch, + what the architecture adds

    g       = dL / d z_hat = 2 (z_hat - z) / n           n: vectors of the batch
    d f     = g W_dec^T                                  d W_dec = f^T g
    d pre   = what the architecture makes of d f         d W_enc = (z - b_dec)^T d pre
    d b_enc = sum of d pre                               d b_dec = sum of g - W_enc (sum of d pre)

The gradients are written out, not traced: a step then is these five products and little else, it
can be recorded as one graph of a GPU, and a reader can hold it beside the paper. Tests compare
each architecture with automatic differentiation of its own definition.

Several SAEs of one shape are trained side by side; every array has them as its first dimension.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from retrain.architectures.gradients import (
    OuterProducts,
    RowGradients,
    StepResult,
    over_batch,
    per_sae,
)
from retrain.architectures.latents import LatentProducts, SparseLatents
from retrain.architectures.products import multiply
from retrain.input_scale import InputScale

# Share of active latents up to which the products of `DenseSae` are taken over these alone. Both
# ways were as quick at about 0.2 (576 -> 2304) and 0.15 (2048 -> 8192), batch 128, one core.
SPARSE_SHARE = 0.125


class Sae(ABC):
    """SAEs in training, in the units of the scaled input.

    Attributes:
        W_enc: encoder rows [saes, d_sae, d_in]; SAELens' W_enc is [d_in, d_sae].
        W_dec: decoder rows [saes, d_sae, d_in], each of length 1.
        b_dec: [saes, d_in].
        small: every other parameter, by name, with b_dec.
    """

    def __init__(self, dictionary: Tensor, *, micro_batch: int) -> None:
        """Start from dictionaries [saes, d_sae, d_in] of unit rows; the encoder is the same.

        Args:
            dictionary: where it lies is where everything else will.
            micro_batch: most vectors of one call; working arrays are made for so many.
        """
        n_saes, self.d_sae, d_in = dictionary.shape
        self.W_dec = dictionary.clone()
        self.W_enc = dictionary.clone()
        self.b_dec = dictionary.new_zeros(n_saes, d_in)
        self.small: dict[str, Tensor] = {"b_dec": self.b_dec}
        self._pre = dictionary.new_empty(n_saes, micro_batch, self.d_sae)
        self._back = dictionary.new_empty(n_saes, micro_batch, self.d_sae)
        self._centred = dictionary.new_empty(n_saes, micro_batch, d_in)
        self._error = dictionary.new_empty(n_saes, micro_batch, d_in)
        # The weight of a sparsity term grows with this from 0 to 1; a tensor, so that a recorded
        # graph reads its present value.
        self.sparsity_scale = dictionary.new_ones(())

    @property
    def b_enc(self) -> Tensor:
        """The encoder's bias [saes, d_sae], for the architectures that have one."""
        return self.small["b_enc"]

    def add_small(self, **parameters: Tensor) -> None:
        """Register parameters besides the dictionaries and b_dec."""
        self.small |= parameters

    def prepare(self, parts: list[Tensor]) -> None:  # noqa: B027 - most need nothing
        """Learn from a whole batch what its parts need; called only when it is cut into parts."""

    @abstractmethod
    def step(self, z: Tensor, n_batch: int) -> StepResult:
        """Loss and gradients of a batch, or of one part of it.

        Args:
            z: scaled inputs [saes, vectors, d_in].
            n_batch: vectors of the whole batch, by which losses are divided.
        """

    @abstractmethod
    def encode(self, z: Tensor) -> Tensor:
        """Latents [saes, vectors, d_sae] at inference, of scaled inputs."""

    def decode(self, latents: Tensor) -> Tensor:
        """Scaled reconstruction [saes, vectors, d_in]."""
        return torch.baddbmm(self.b_dec.unsqueeze(1), latents, self.W_dec)

    def after_step(self) -> None:  # noqa: B027 - most have none
        """Restore constraints other than the decoder's unit rows."""

    def state(self) -> dict[str, Tensor]:
        """What a checkpoint keeps besides the parameters and the optimiser's moments."""
        return {}

    def exported(self, sae: int, scale: InputScale) -> dict[str, Tensor]:
        """The tensors SAELens expects of one of the SAEs, for raw activations."""
        return {
            "W_enc": self.W_enc[sae].mT.contiguous(),
            "W_dec": self.W_dec[sae],
            "b_dec": scale.fold_b_dec(self.b_dec[sae]),
        }

    def pre_activations(self, z: Tensor, b_enc: Tensor | None) -> Tensor:
        """(z - b_dec) W_enc + b_enc, kept for the step: [saes, vectors, d_sae]."""
        n = z.shape[1]
        torch.sub(z, self.b_dec.unsqueeze(1), out=self._centred[:, :n])
        return multiply(self._centred[:, :n], self.W_enc.mT, out=self._pre[:, :n], bias=b_enc)

    def reconstruction_gradient(
        self, z: Tensor, latents: Tensor | SparseLatents, n_batch: int
    ) -> Tensor:
        """G = 2 (z_hat - z) / n_batch, [saes, vectors, d_in]."""
        error = self._error[:, : z.shape[1]]
        if isinstance(latents, SparseLatents):
            upstream = latents.decode(self.W_dec, self.b_dec, error)
        else:
            upstream = multiply(latents, self.W_dec, out=error, bias=self.b_dec)
        return upstream.sub_(z).mul_(2 / n_batch)

    def through_decoder(self, upstream: Tensor) -> Tensor:
        """G W_dec^T: the gradient of the latents, [saes, vectors, d_sae]."""
        return multiply(upstream, self.W_dec.mT, out=self._back[:, : upstream.shape[1]])

    def bias_gradients(self, upstream: Tensor, d_pre: Tensor) -> tuple[Tensor, Tensor]:
        """Gradients of what is added to pre [saes, d_sae], and of b_dec [saes, d_in]."""
        d_bias = d_pre.sum(dim=1)
        through_encoder = torch.bmm(d_bias.unsqueeze(1), self.W_enc).squeeze(1)
        return d_bias, upstream.sum(dim=1) - through_encoder


@dataclass(frozen=True)
class Active:
    """A batch's latents and a mask of 0 and 1, [saes, vectors, d_sae]; active ones, [saes]."""

    latents: Tensor
    mask: Tensor
    count: Tensor


class DenseSae(Sae):
    """An SAE with b_enc whose latents are an elementwise function of pre.

    Where few of them are active, one SAE on a CPU takes three of its five products over these
    alone: z_hat and both dictionaries' gradients. The gradient of the latents stays whole, since
    thresholds learn from inactive latents near them. What is computed is the same either way.
    """

    def __init__(self, dictionary: Tensor, *, micro_batch: int) -> None:
        super().__init__(dictionary, micro_batch=micro_batch)
        self._can_be_sparse = len(dictionary) == 1 and not dictionary.is_cuda
        self.add_small(b_enc=dictionary.new_zeros(dictionary.shape[:2]))
        self._latents = torch.empty_like(self._pre)
        self._mask = torch.empty_like(self._pre)

    @abstractmethod
    def bounds(self) -> Tensor | float:
        """A latent is active where pre is above this: one number, or [saes, 1, d_sae]."""

    @abstractmethod
    def back(self, pre: Tensor, active: Active, d_latents: Tensor, n_batch: int) -> Tensor:
        """D pre, written over `d_latents`, which holds d f of the squared error.

        Gradients of further parameters are left in `self.further`.
        """

    @abstractmethod
    def penalty(self, active: Active, n_batch: int) -> Tensor:
        """What is added to the squared error, [saes]."""

    def activate(self, pre: Tensor) -> Active:
        """Pre where it is above the bounds, else 0."""
        n, bounds = pre.shape[1], self.bounds()
        # A mask of numbers: products and sums with it need no conversion.
        mask = torch.gt(pre, bounds, out=self._mask[:, :n])
        latents = torch.mul(pre, mask, out=self._latents[:, :n])
        return Active(latents, mask, mask.sum(dim=(1, 2)))

    def _few(self, active: Active) -> SparseLatents | None:
        """The active latents alone; None where they are many or dense products are as quick."""
        if not self._can_be_sparse or float(active.count) > SPARSE_SHARE * active.mask.numel():
            return None
        return SparseLatents.where(active.mask, active.latents)

    def step(self, z: Tensor, n_batch: int) -> StepResult:
        """See `Sae.step`."""
        self.further: dict[str, Tensor] = {}
        pre = self.pre_activations(z, self.b_enc)
        active = self.activate(pre)
        few = self._few(active)
        upstream = self.reconstruction_gradient(z, few or active.latents, n_batch)
        squared_error = per_sae(upstream) * (n_batch / 2) ** 2
        d_latents = self.through_decoder(upstream)
        radial = over_batch(active.latents, d_latents)
        d_pre = self.back(pre, active, d_latents, n_batch)
        d_b_enc, d_b_dec = self.bias_gradients(upstream, d_pre)
        centred = self._centred[:, : z.shape[1]]
        rows: RowGradients = OuterProducts(active.latents, upstream, d_pre, centred)
        if few is not None:
            rows = LatentProducts(((few, upstream),), (few.taken_from(d_pre),), centred)
        return StepResult(
            loss=squared_error / n_batch + self.penalty(active, n_batch),
            active=active.count,
            squared_error=squared_error,
            power=per_sae(z),
            rows=rows,
            radial=radial,
            small={"b_enc": d_b_enc, "b_dec": d_b_dec, **self.further},
        )

    def encode(self, z: Tensor) -> Tensor:
        """Latents at inference: those of training."""
        centred = z - self.b_dec.unsqueeze(1)
        pre = torch.baddbmm(self.b_enc.unsqueeze(1), centred, self.W_enc.mT)
        latents: Tensor = pre * (pre > self.bounds())
        return latents

    def exported(self, sae: int, scale: InputScale) -> dict[str, Tensor]:
        """W_enc, b_enc, W_dec, b_dec for raw activations."""
        return {
            **super().exported(sae, scale),
            "b_enc": scale.fold_latent_units(self.b_enc[sae]),
        }
