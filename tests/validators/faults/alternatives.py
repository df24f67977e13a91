"""Faults of settings that cannot be seen in the weights."""

from __future__ import annotations

from typing import Any

import torch
from faults.damage import GATED, JUMPRELU, TOPK, Damage, Fault, cfg, tensor


def unfold_decoder_norms(d: Any) -> None:
    """Weights as SAELens' trainer has them: right only with rescale_acts_by_decoder_norm."""

    def unfold(tensors: dict[str, torch.Tensor]) -> None:
        d_sae = len(tensors["W_dec"])
        norms = torch.linspace(0.2, 5.0, d_sae)[torch.arange(d_sae) * 37 % d_sae]
        tensors["W_dec"] = tensors["W_dec"] * norms[:, None]
        tensors["W_enc"] = tensors["W_enc"] / norms
        tensors["b_enc"] = tensors["b_enc"] / norms

    d.edit_weights("topk", unfold)


def with_bias_of_decoder_only(factor: float) -> Damage:
    """The same latents without subtracting b_dec, and then b_dec times a factor."""

    def damage(d: Any) -> None:
        def change(tensors: dict[str, torch.Tensor]) -> None:
            tensors["b_enc"] = tensors["b_enc"] - tensors["b_dec"] @ tensors["W_enc"]
            tensors["b_dec"] = tensors["b_dec"] * factor

        d.edit_weights("topk", change)
        cfg("topk", apply_b_dec_to_input=False)(d)

    return damage


FAULTS = (
    Fault("N230", "b_dec_not_subtracted", cfg("topk", apply_b_dec_to_input=False), TOPK),
    Fault("N230", "b_dec_not_subtracted", cfg("gated", apply_b_dec_to_input=False), GATED),
    Fault("N230", "b_dec_not_subtracted", cfg("jumprelu", apply_b_dec_to_input=False), JUMPRELU),
    Fault("N232", "norms_not_folded", unfold_decoder_norms, TOPK),
    Fault("N235", "bias_zeroed", with_bias_of_decoder_only(0.0), TOPK),
    Fault("N235", "bias_of_another_place", with_bias_of_decoder_only(-1.0), TOPK),
    Fault("N236", "decoder_too_large", tensor("topk", "W_dec", lambda t: t * 2), TOPK),
    Fault("N236", "decoder_too_small", tensor("jumprelu", "W_dec", lambda t: t / 3), JUMPRELU),
    Fault("N233", "overshooting", tensor("topk", "W_enc", lambda t: t * 2.5), TOPK),
)
