"""dictionary_learning: `trainer_0/{ae.pt, config.json}`.

By its `dictionary.py` and `trainers/`, where W is a Linear's weight, [out, in]:

AutoEncoder: ReLU((x - bias) @ W_e.T + b_e), reconstruction f @ W_d.T + bias.
AutoEncoderNew: ReLU(x @ W_e.T + b_e), reconstruction f @ W_d.T + b_d.
AutoEncoderTopK: top-k(ReLU((x - b_dec) @ W_e.T + b_e)).
BatchTopKSAE: f = ReLU((x - b_dec) @ W_e.T + b_e), and f where f > threshold, else 0.
GatedAutoEncoder: 1[x_e + gate_bias > 0] * ReLU(exp(r_mag) * x_e + mag_bias) * n, with
  x_e = (x - decoder_bias) @ W_e.T and n the norms of the decoder's columns.
JumpReluAutoEncoder: ReLU(p) * 1[p > threshold] * n with p = x @ W_enc + b_enc.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from validators.mending.conversion_source import Converted, NotConverted, Source, Weights
from validators.mending.norms import fold_decoder_norms, has_unit_norms, shapes_fit

_LINEAR = {"encoder.weight": "W_enc", "decoder.weight": "W_dec", "encoder.bias": "b_enc"}
# What a trainer's buffers are called; none of them changes the latents.
_BUFFERS = frozenset({"k", "threshold"})


def from_dictionary_learning(source: Source) -> Converted:
    """A dictionary as the SAELens architecture that computes the same latents.

    Raises:
        NotConverted: its class is none of those above, or its tensors are others.
    """
    trainer = source.config("config.json", required=False).get("trainer")
    trainer = trainer if isinstance(trainer, dict) else {}
    weights = source.weights()
    name = trainer.get("dict_class") or _class_by_tensors(weights)
    make = _CLASSES.get(name) if isinstance(name, str) else None
    if make is None:
        raise NotConverted(
            "F006", f"dict_class is {name!r}", "SAELens has no architecture that is the same"
        )
    cfg, made, how = make(weights, trainer)
    converted = source.converted(cfg, _metadata(source, trainer), made, how)
    if "dict_class" not in trainer:
        draft = converted.draft
        lead = replace(draft.mends[-1], why=f"taken for {name} by its tensors; {how}")
        converted = replace(converted, draft=replace(draft, mends=(*draft.mends[:-1], lead)))
    return converted


_Made = tuple[dict[str, Any], Weights, str]


def _plain(weights: Weights, trainer: dict[str, Any]) -> _Made:  # noqa: ARG001
    bias = "bias" if "bias" in weights.names else "b_dec"
    made = _linear(weights, {bias: "b_dec"})
    return (
        {"architecture": "standard", "apply_b_dec_to_input": True},
        made,
        "Linear weights transposed; bias is b_dec, subtracted from the input",
    )


def _april(weights: Weights, trainer: dict[str, Any]) -> _Made:  # noqa: ARG001
    made = _linear(weights, {"decoder.bias": "b_dec"})
    return (
        {"architecture": "standard", "apply_b_dec_to_input": False},
        made,
        "Linear weights transposed; this class does not subtract the bias from the input",
    )


def _topk(weights: Weights, trainer: dict[str, Any]) -> _Made:
    made = _linear(weights, {"b_dec": "b_dec"}, ignore=_BUFFERS)
    has_k = "k" in weights.names and weights.tensors["k"].size == 1
    stored = int(np.ravel(weights.tensors["k"])[0]) if has_k else None
    stated = trainer.get("k")
    if stored is not None and stated is not None and stored != stated:
        raise NotConverted("C006", f"k is {stored} in ae.pt, {stated} in config.json", "which?")
    k = stored if stored is not None else stated
    cfg = {"architecture": "topk", "apply_b_dec_to_input": True}
    return (
        cfg if k is None else {**cfg, "k": k},
        made,
        "Linear weights transposed; its threshold is not used where latents are ranked",
    )


def _batch_topk(weights: Weights, trainer: dict[str, Any]) -> _Made:  # noqa: ARG001
    threshold = weights.tensors.get("threshold")
    is_set = threshold is not None and threshold.size == 1
    value = float(np.ravel(threshold)[0]) if threshold is not None and is_set else -1.0
    if value < 0:
        raise NotConverted(
            "F006", "BatchTopK has no threshold yet", "without one it needs the whole batch"
        )
    made = _linear(weights, {"b_dec": "b_dec"}, ignore=_BUFFERS)
    n_latents = made.tensors["W_dec"].shape[0]
    with_threshold = Weights(
        {**made.tensors, "threshold": np.full(n_latents, value, dtype=np.float32)},
        {**made.dtypes, "threshold": "F32"},
    )
    return (
        {"architecture": "jumprelu", "apply_b_dec_to_input": True},
        with_threshold,
        f"Linear weights transposed; its one threshold {value:.6g} for every latent",
    )


def _gated(weights: Weights, trainer: dict[str, Any]) -> _Made:  # noqa: ARG001
    names = {
        "encoder.weight": "W_enc", "decoder.weight": "W_dec", "gate_bias": "b_gate",
        "mag_bias": "b_mag", "r_mag": "r_mag", "decoder_bias": "b_dec",
    }  # fmt: skip
    made = _renamed(weights, names, transposed={"encoder.weight", "decoder.weight"})
    return (
        {"architecture": "gated", "apply_b_dec_to_input": True},
        *_with_norms_folded(made),
    )


def _jumprelu(weights: Weights, trainer: dict[str, Any]) -> _Made:  # noqa: ARG001
    names = {name: name for name in ("W_enc", "W_dec", "b_enc", "b_dec", "threshold")}
    made = _renamed(weights, names, transposed=set())
    return (
        {"architecture": "jumprelu", "apply_b_dec_to_input": False},
        *_with_norms_folded(made),
    )


_CLASSES: dict[str, Callable[[Weights, dict[str, Any]], _Made]] = {
    "AutoEncoder": _plain,
    "AutoEncoderNew": _april,
    "AutoEncoderTopK": _topk,
    "BatchTopKSAE": _batch_topk,
    "GatedAutoEncoder": _gated,
    "JumpReluAutoEncoder": _jumprelu,
    "MatryoshkaBatchTopKSAE": _batch_topk,
}


def _class_by_tensors(weights: Weights) -> str | None:
    """The class of an ae.pt without a config; None where the tensors leave it open."""
    names = weights.names
    if {"gate_bias", "mag_bias", "r_mag"} <= names:
        return "GatedAutoEncoder"
    if {"W_enc", "W_dec", "threshold"} <= names and weights.tensors["threshold"].ndim == 1:
        return "JumpReluAutoEncoder"
    if "bias" in names and "b_dec" not in names:
        return "AutoEncoder"
    if "decoder.bias" in names:
        return "AutoEncoderNew"
    # With k and a threshold it is a TopK or a BatchTopK SAE, whose latents differ.
    return None


def _linear(
    weights: Weights, biases: dict[str, str], *, ignore: frozenset[str] = frozenset()
) -> Weights:
    kept = Weights({n: t for n, t in weights.tensors.items() if n not in ignore}, weights.dtypes)
    if "W_enc" in kept.names:
        # The Matryoshka trainers keep plain parameters, the right way round.
        names = {"W_enc": "W_enc", "W_dec": "W_dec", "b_enc": "b_enc", **biases}
        return _renamed(kept, names, transposed=set())
    return _renamed(kept, {**_LINEAR, **biases}, transposed={"encoder.weight", "decoder.weight"})


def _renamed(weights: Weights, names: dict[str, str], *, transposed: set[str]) -> Weights:
    if weights.names != names.keys():
        apart = ", ".join(sorted(weights.names ^ names.keys()))
        raise NotConverted("F006", f"ae.pt: {apart} missing or not known", "its class has others")
    tensors = {
        new: weights.tensors[old].T if old in transposed else weights.tensors[old]
        for old, new in names.items()
    }
    return Weights(tensors, {new: weights.dtypes[old] for old, new in names.items()})


def _with_norms_folded(made: Weights) -> tuple[Weights, str]:
    """Latents in this project's unit, which has the decoder's norms in it."""
    if not shapes_fit(made.tensors):
        raise NotConverted("W002", "the tensors' sizes do not agree", "no fold is possible")
    if has_unit_norms(made.tensors["W_dec"], made.dtype_for("W_dec")):
        return made, "the decoder's norms are 1, so that latents have the same unit"
    dtypes = {name: "F64" if d == "F64" else "F32" for name, d in made.dtypes.items()}
    return (
        Weights(fold_decoder_norms(made.tensors), dtypes),
        "folded the decoder's norms, which are part of this class' latents",
    )


def _metadata(source: Source, trainer: dict[str, Any]) -> dict[str, Any]:
    buffer = source.config("config.json", required=False).get("buffer")
    layer = trainer.get("layer")
    submodule = trainer.get("submodule_name")
    is_residual = isinstance(layer, int) and str(submodule or "resid").startswith("resid")
    return {
        "model_name": trainer.get("lm_name"),
        "hook_name": f"blocks.{layer}.hook_resid_post" if is_residual else None,
        "submodule_name": submodule,
        "context_size": buffer.get("ctx_len") if isinstance(buffer, dict) else None,
        "training_architecture": "batchtopk"
        if "BatchTopK" in str(trainer.get("dict_class"))
        else None,
        "dict_class": trainer.get("dict_class"),
    }
