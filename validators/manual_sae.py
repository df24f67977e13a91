"""An SAE from its two files by plain arithmetic, independent of SAELens and of the trainer.

Computed in float32 in the order the formulas are written, because a latent that lies within
rounding of its threshold jumps by the whole threshold: higher precision would disagree with every
float32 implementation on such latents, and say nothing about the weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from manifests.errors import ReleaseError

if TYPE_CHECKING:
    from torch import Tensor


class UnknownToManualPath(ReleaseError):
    """A config that the manual path has no formula for; it never guesses."""

    exit_code = 1


@dataclass(frozen=True)
class ManualSae:
    """Weights in float32 and the facts of the config that change the arithmetic."""

    architecture: str
    tensors: Mapping[str, Tensor]
    k: int | None
    subtracts_b_dec: bool
    rescales_by_decoder_norm: bool

    @property
    def d_sae(self) -> int:
        """Number of latents."""
        return int(self.tensors["W_dec"].shape[0])

    def encode(self, x: Tensor) -> Tensor:
        """Latents [vectors, d_sae] of activations x [vectors, d_in]."""
        w = self.tensors
        x = x.float()
        if self.subtracts_b_dec:
            x = x - w["b_dec"]
        if self.architecture == "gated":
            return _gated(x, w)
        pre = x @ w["W_enc"] + w["b_enc"]
        if self.rescales_by_decoder_norm:
            pre = pre * w["W_dec"].norm(dim=1)
        if self.architecture == "topk":
            assert self.k is not None
            return _topk(pre, self.k)
        if self.architecture == "jumprelu":
            return pre.clamp(min=0) * (pre > w["threshold"])
        return pre.clamp(min=0)

    def decode(self, latents: Tensor) -> Tensor:
        """Reconstructions [vectors, d_in] of latents [vectors, d_sae]."""
        w = self.tensors
        if self.rescales_by_decoder_norm:
            latents = latents / w["W_dec"].norm(dim=1)
        return latents @ w["W_dec"] + w["b_dec"]


def manual_sae(cfg: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> ManualSae:
    """Build the manual path from a parsed cfg.json and the stored tensors.

    Raises:
        UnknownToManualPath: the architecture, or a setting that changes the arithmetic, is none
            that this module has a formula for.
    """
    architecture = cfg.get("architecture")
    if architecture not in ("gated", "jumprelu", "standard", "topk"):
        raise UnknownToManualPath(
            f"there is no formula for the architecture {architecture!r}",
            expected="gated, jumprelu, standard or topk",
        )
    for key, known in (("normalize_activations", "none"), ("reshape_activations", "none")):
        if cfg.get(key, known) != known:
            raise UnknownToManualPath(
                f"there is no formula for {key}: {cfg[key]!r}",
                expected=f"{known!r}, with any scaling folded into the weights",
            )
    subtracts = cfg.get("apply_b_dec_to_input")
    rescales = cfg.get("rescale_acts_by_decoder_norm", False)
    if not isinstance(subtracts, bool) or not isinstance(rescales, bool):
        raise UnknownToManualPath(
            "apply_b_dec_to_input or rescale_acts_by_decoder_norm is not true or false"
        )
    if rescales and architecture != "topk":
        raise UnknownToManualPath(
            f"rescale_acts_by_decoder_norm means nothing for {architecture}", expected="topk"
        )
    k = cfg.get("k") if architecture == "topk" else None
    if architecture == "topk" and (not isinstance(k, int) or isinstance(k, bool) or k < 1):
        raise UnknownToManualPath(f"k is {k!r}", expected="a positive integer in cfg.json")
    return ManualSae(
        architecture=architecture,
        tensors={name: tensor.float() for name, tensor in tensors.items()},
        k=k,
        subtracts_b_dec=subtracts,
        rescales_by_decoder_norm=rescales,
    )


def _topk(pre: Tensor, k: int) -> Tensor:
    """The k largest pre-activations of each vector, rectified; Gao et al. 2024, equation 3."""
    values, indices = pre.topk(k, dim=1)
    return pre.new_zeros(pre.shape).scatter(1, indices, values.clamp(min=0))


def _gated(x: Tensor, w: Mapping[str, Tensor]) -> Tensor:
    """1[gate > 0] * ReLU(magnitude); Rajamanoharan et al. 2024 (2404.16014), equations 6 and 7."""
    gate = x @ w["W_enc"] + w["b_gate"]
    magnitude = x @ (w["W_enc"] * w["r_mag"].exp()) + w["b_mag"]
    return magnitude.clamp(min=0) * (gate > 0)
