"""Folding the norms of the decoder's rows, and the scale of the inputs, into the weights.

With n_i = ||W_dec[i]||, an SAE that applies its activation to n_i * pre_i and divides the latent by
n_i again is the same as one with W_enc[:, i] * n_i, b_enc[i] * n_i and W_dec[i] / n_i.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from validators.mending.draft import Array, Context, Draft, with_keys, without_keys
from validators.saelens.format import AUTOENCODERS, TOPK

# How far a norm may be from 1 by rounding alone: float32 training, and 8 bits of mantissa.
_TOLERANCE = {"F64": 1e-4, "F32": 1e-3}
_COARSE_TOLERANCE = 1e-2
_OVER_LATENTS = ("b_enc", "b_gate", "b_mag", "threshold")


def has_unit_norms(W_dec: Array, dtype: str) -> bool:
    """Whether every row of W_dec [d_sae, d_in] has norm 1, within the rounding of its dtype."""
    norms = np.linalg.norm(W_dec.astype(np.float64), axis=1)
    return bool(np.all(np.abs(norms - 1) <= _TOLERANCE.get(dtype, _COARSE_TOLERANCE)))


def shapes_fit(tensors: Mapping[str, Array]) -> bool:
    """Whether W_dec [d_sae, d_in], W_enc and all biases and thresholds have sizes that agree."""
    W_dec, W_enc = tensors.get("W_dec"), tensors.get("W_enc")
    if W_dec is None or W_enc is None or W_dec.ndim != 2 or W_enc.shape != W_dec.shape[::-1]:
        return False
    d_sae, d_in = W_dec.shape
    return all(
        name not in tensors or tensors[name].shape == (d_in if name == "b_dec" else d_sae,)
        for name in (*_OVER_LATENTS, "r_mag", "b_dec")
    )


def fold_decoder_norms(tensors: Mapping[str, Array]) -> dict[str, Array]:
    """W_enc, b_enc and threshold times the decoder's norms, W_dec divided by them, in float32.

    Latents come out in the new unit, n_i times the old; reconstructions stay as they are. A row of
    zeros keeps its scale. float64 stays float64.
    """
    norms = np.linalg.norm(tensors["W_dec"].astype(np.float64), axis=1)
    norms[norms == 0] = 1.0
    folded = dict(tensors)
    for name in ("W_enc", *_OVER_LATENTS):
        if name in tensors:
            folded[name] = _like(tensors[name].astype(np.float64) * norms, tensors[name])
    W_dec = tensors["W_dec"]
    folded["W_dec"] = _like(W_dec.astype(np.float64) / norms[:, None], W_dec)
    return folded


def fold_input_scale(tensors: Mapping[str, Array], scale: float) -> dict[str, Array]:
    """Weights for inputs as they are, of weights for inputs times `scale`; latents are the same.

    W_enc * scale, W_dec / scale, b_dec / scale; as SAELens' `fold_activation_norm_scaling_factor`.
    """
    folded = dict(tensors)
    for name, factor in (("W_enc", scale), ("W_dec", 1 / scale), ("b_dec", 1 / scale)):
        folded[name] = _like(tensors[name].astype(np.float64) * factor, tensors[name])
    return folded


def fold_rescaling(draft: Draft, context: Context) -> Draft:  # noqa: ARG001
    """Fold the decoder's norms where the config asks for them to be applied at run time."""
    flag = draft.cfg.get("rescale_acts_by_decoder_norm")
    if flag is not True or draft.architecture not in AUTOENCODERS:
        return draft
    if not shapes_fit(draft.tensors):
        return draft
    if has_unit_norms(draft.tensors["W_dec"], draft.main_dtype):
        if draft.architecture in TOPK:
            # SAELens itself keeps the flag on weights that it has folded.
            return draft
        return draft.mended(
            "C017",
            "took out rescale_acts_by_decoder_norm",
            f"{draft.architecture} has no such switch, and the decoder's norms are 1",
            cfg=without_keys(draft.cfg, "rescale_acts_by_decoder_norm"),
        )
    if draft.architecture in TOPK:
        cfg = with_keys(draft.cfg, rescale_acts_by_decoder_norm=False)
        why = "the latents are those that SAELens gives with the flag, for readers without it too"
    else:
        cfg = without_keys(draft.cfg, "rescale_acts_by_decoder_norm")
        why = f"SAELens has no such flag for {draft.architecture}; reconstructions are unchanged"
    return draft.mended(
        "W104" if draft.architecture in TOPK else "C017",
        "folded the decoder's norms into encoder, biases and thresholds, so that latents are in "
        "units of unit decoder rows",
        why,
        cfg=cfg,
        tensors=fold_decoder_norms(draft.tensors),
        dtypes=draft.wider_dtypes(),
    )


def fold_scaling(draft: Draft, context: Context) -> Draft:
    """Fold a recorded input scale into weights that SAELens would feed unscaled inputs."""
    found = draft.cfg.get("normalize_activations")
    if found == "none" or not isinstance(found, str):
        return draft
    if found != "expected_average_only_in":
        return draft.leave(
            "C008",
            f"normalize_activations is {found!r:.60}",
            "it depends on each vector, or on statistics that the repository does not hold",
        )
    scale = context.scaling_factor
    if scale is None:
        return draft.leave(
            "C008",
            "normalize_activations is 'expected_average_only_in', which does nothing after loading",
            "the scaling factor is not recorded: there is no activation_scaler.json beside the "
            "weights",
        )
    if not {"W_enc", "W_dec", "b_dec"} <= draft.tensors.keys():
        return draft.leave("C008", f"normalize_activations is {found!r}", "weights are missing")
    return draft.mended(
        "C008",
        f"folded the input scale {scale:.6g} into W_enc, W_dec and b_dec",
        "by activation_scaler.json; the latents are those of scaled inputs",
        cfg=with_keys(draft.cfg, normalize_activations="none"),
        tensors=fold_input_scale(draft.tensors, scale),
        dtypes=draft.wider_dtypes(),
    )


def _like(values: npt.NDArray[np.float64], stored: Array) -> Array:
    return values if stored.dtype == np.float64 else values.astype(np.float32)
