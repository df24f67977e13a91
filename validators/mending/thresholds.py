"""Thresholds that are superfluous, stored as logarithms, or given once for all latents."""

from __future__ import annotations

import numpy as np

from validators.mending.draft import Context, Draft
from validators.mending.norms import fold_decoder_norms, has_unit_norms, shapes_fit
from validators.saelens.format import TENSOR_SHAPES, TRAINING_ONLY_ARCHITECTURES

# exp(-30) is 1e-13: what lies lower is no logarithm of a threshold that training reaches.
_LOWEST_LOGARITHM = -30.0
# Logarithms of thresholds up to 0.37. Closer to zero, a threshold that lost its sign looks alike.
_HIGHEST_MEDIAN = -1.0
# Keys of a BatchTopK config that say nothing about inference.
_TRAINING_KEYS = frozenset(
    {
        "aux_loss_coefficient", "decoder_init_norm", "k", "rescale_acts_by_decoder_norm",
        "topk_threshold_lr", "use_sparse_activations",
    }
)  # fmt: skip


def drop_superfluous_tensors(draft: Draft, context: Context) -> Draft:  # noqa: ARG001
    """Take out tensors that the architecture does not have, and that change nothing.

    These are a `threshold` beside TopK weights, a `b_enc` of zeros beside gated ones and a
    `scaling_factor` of ones.
    """
    architecture = draft.architecture or ""
    scaling = draft.tensors.get("scaling_factor")
    if scaling is not None:
        if np.all(scaling == 1):
            draft = _without(draft, "scaling_factor", "it is 1 everywhere")
        else:
            draft = draft.leave(
                "W001",
                "the weights hold a scaling_factor that is not 1",
                "SAELens 6 has no fine-tuned scaling, and no fold keeps the latents",
            )
    if architecture == "topk":
        for name in sorted({"threshold", "log_threshold"} & draft.tensors.keys()):
            draft = _without(draft, name, "a TopK SAE selects by rank, and SAELens refuses it")
    b_enc = draft.tensors.get("b_enc")
    if architecture == "gated" and b_enc is not None:
        if np.all(b_enc == 0):
            return _without(draft, "b_enc", "it is 0, and a gated SAE has b_gate and b_mag")
        return draft.leave(
            "W001",
            "gated weights hold a b_enc that is not 0",
            "whether it belongs to the gate or to the magnitude cannot be told",
        )
    return draft


def as_inference_sae(draft: Draft, context: Context) -> Draft:  # noqa: ARG001
    """Make the JumpReLU SAE of a BatchTopK checkpoint, as SAELens' `save_inference_model` does.

    Its threshold is one number, in units of the pre-activation times the decoder's norm where
    the config rescales by that norm; those norms are folded into the weights.
    """
    if draft.architecture not in TRAINING_ONLY_ARCHITECTURES:
        return draft
    name = next((n for n in ("topk_threshold", "threshold") if n in draft.tensors), None)
    weights = {n: t for n, t in draft.tensors.items() if n in ("W_enc", "W_dec", "b_enc", "b_dec")}
    if (
        name is None
        or len(weights) < 4
        or not shapes_fit(weights)
        or draft.tensors[name].size != 1
        or float(draft.tensors[name].max()) <= 0
    ):
        return draft.leave(
            "C004",
            f"architecture is {draft.architecture!r}, which exists only while training",
            "the weights hold no threshold above 0 that would make it a jumprelu",
        )
    rescales = draft.cfg.get("rescale_acts_by_decoder_norm")
    if rescales is None and not has_unit_norms(draft.tensors["W_dec"], draft.main_dtype):
        return draft.leave(
            "C004",
            f"architecture is {draft.architecture!r}, without rescale_acts_by_decoder_norm",
            "whether the threshold is in units of the decoder's norms cannot be told",
        )
    value = float(np.ravel(draft.tensors[name])[0])
    threshold = np.full(draft.tensors["b_enc"].size, value, dtype=np.float32)
    tensors = {n: t for n, t in draft.tensors.items() if n != name} | {"threshold": threshold}
    dtypes = {**draft.dtypes, "threshold": "F32"}
    if rescales:
        # The threshold is in units of the rescaled pre-activation already.
        tensors = {**tensors, **fold_decoder_norms(weights)}
        dtypes = {**draft.wider_dtypes(), "threshold": "F32"}
    training = draft.cfg.keys() & _TRAINING_KEYS
    metadata = {
        **draft.metadata,
        "training_architecture": draft.architecture,
        **{key: draft.cfg[key] for key in sorted(training)},
    }
    cfg = {key: value for key, value in draft.cfg.items() if key not in training}
    return draft.mended(
        "C004",
        f"{draft.architecture!r} is written as 'jumprelu' with the threshold {value:.6g}",
        "this is what SAELens saves of it for inference",
        cfg={**cfg, "architecture": "jumprelu", "metadata": metadata},
        tensors=tensors,
        dtypes=dtypes,
    )


def write_thresholds_as_values(draft: Draft, context: Context) -> Draft:  # noqa: ARG001
    """Give every latent of a JumpReLU SAE its threshold, as the value itself."""
    if "threshold" not in TENSOR_SHAPES.get(draft.architecture or "", {}):
        return draft
    draft = _from_log_tensor(draft)
    threshold = draft.tensors.get("threshold")
    if threshold is None:
        return draft
    wanted = _wanted(draft)
    if threshold.size == 1 and wanted and threshold.shape != wanted:
        full = np.full(wanted, np.ravel(threshold)[0], dtype=threshold.dtype)
        draft = draft.mended(
            "W002",
            f"threshold of shape {threshold.shape} is written for all {full.size} latents",
            "one threshold holds for all of them; SAELens wants one each",
            tensors={**draft.tensors, "threshold": full},
        )
        threshold = full
    if threshold.size == 0 or not bool(np.all(threshold < 0)):
        return draft
    lowest, median = float(threshold.min()), float(np.median(threshold))
    if lowest < _LOWEST_LOGARITHM or median > _HIGHEST_MEDIAN:
        return draft.leave(
            "W102",
            f"all thresholds are negative, from {lowest:.4g} to {float(threshold.max()):.4g}",
            "they may be logarithms or have lost their sign",
        )
    return _with_exponentials(draft, "threshold", "W102", "all of them are negative")


def _from_log_tensor(draft: Draft) -> Draft:
    name = next(
        (n for n in ("log_threshold", "log_jumprelu_threshold") if n in draft.tensors), None
    )
    if name is None:
        return draft
    known = draft.tensors.get("threshold")
    if known is None:
        return _with_exponentials(draft, name, "W001", "SAELens' inference class reads the value")
    if known.shape == draft.tensors[name].shape and np.allclose(
        known, np.exp(draft.tensors[name]), rtol=0.02
    ):
        return _without(draft, name, "threshold holds its exponential already")
    return draft.leave(
        "W001", f"threshold is not the exponential of {name}", "which of the two was used?"
    )


def _with_exponentials(draft: Draft, name: str, code: str, why: str) -> Draft:
    is_double = draft.main_dtype == "F64"
    threshold = np.exp(draft.tensors[name].astype(np.float64))
    threshold = threshold if is_double else threshold.astype(np.float32)
    tensors = {n: t for n, t in draft.tensors.items() if n != name}
    return draft.mended(
        code,
        f"threshold = exp({name})",
        why,
        tensors={**tensors, "threshold": threshold},
        dtypes={**draft.dtypes, "threshold": "F64" if is_double else "F32"},
    )


def _without(draft: Draft, name: str, why: str) -> Draft:
    tensors = {n: t for n, t in draft.tensors.items() if n != name}
    return draft.mended("W001", f"took the tensor {name} out of the weights", why, tensors=tensors)


def _wanted(draft: Draft) -> tuple[int, ...]:
    """The shape of a bias over latents; the config's d_sae may be any number."""
    b_enc = draft.tensors.get("b_enc")
    return b_enc.shape if b_enc is not None and b_enc.ndim == 1 else ()
