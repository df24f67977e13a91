"""Damage of cfg.json."""

from __future__ import annotations

from typing import Any

import torch
from injection import (
    Damage,
    Injection,
    Row,
    configures,
    edits,
    only,
    sets,
    states,
)
from release_copy import Cfg, ReleaseCopy, Target

_SHAPES = Row("shapes and sizes", "W002 L101 C003")
_ARCHITECTURE = Row("architecture", "C003 C004 C005 C017 C018 C023 L101 W001")
_K = Row("k", "C006 C007 N205 N202")
_LEGACY = Row("flat or legacy config", "C002 C003 C010 C013 C016 L101 L102")
_NORMALISED = Row("normalisation", "C008")
_DTYPE = Row("dtype", "C009 W003 L101 L104")
_LEAKS = Row("paths and device", "C012 C020 C022")
_METADATA = Row("metadata", "C002 C011 C015 C024 H001 H002 H101 H103 L102")
_SWITCHES = Row("switches of the config", "N204 N230 N231 N232 N235 N236", changes_function=True)

_TOPK = only("topk", "abstopk")


def _without(*keys: str) -> Damage:
    def change(cfg: Cfg) -> None:
        for key in keys:
            cfg.pop(key, None)

    return configures(change)


def _metadata_without(*keys: str) -> Damage:
    def change(cfg: Cfg) -> None:
        for key in keys:
            cfg["metadata"].pop(key, None)

    return configures(change)


def _scaled_k(change: Any) -> Damage:
    return configures(lambda cfg: cfg.update(k=change(cfg["k"])))


def _flat(cfg: Cfg, *, keep_version: bool) -> None:
    metadata = cfg.pop("metadata")
    if not keep_version:
        metadata.pop("sae_lens_version", None)
        metadata.pop("sae_lens_training_version", None)
    cfg.update(metadata)


def _before_version_6(cfg: Cfg) -> None:
    """What SAELens wrote before version 6: TopK was `standard` with an activation function."""
    _flat(cfg, keep_version=False)
    if "k" in cfg:
        cfg.update(
            architecture="standard",
            activation_fn_str="topk",
            activation_fn_kwargs={"k": cfg.pop("k")},
        )


def _cast(dtype: torch.dtype, *names: str) -> Damage:
    def change(tensors: dict[str, torch.Tensor], _: Target) -> None:
        tensors.update({n: t.to(dtype) for n, t in tensors.items() if not names or n in names})

    return edits(change)


def _quantised(tensors: dict[str, torch.Tensor], _: Target) -> None:
    w_dec = tensors["W_dec"].float()
    tensors["W_dec"] = (w_dec / w_dec.abs().max() * 127).round().to(torch.int8)


def _rounded(dtype: torch.dtype) -> Damage:
    def change(tensors: dict[str, torch.Tensor], _: Target) -> None:
        tensors.update({name: t.to(dtype).to(t.dtype) for name, t in tensors.items()})

    return edits(change)


def _square(copy: ReleaseCopy, target: Target) -> None:
    """As many latents as dimensions, the rest cut off, and W_enc lying the wrong way round."""
    n = target.d_in

    def cut(tensors: dict[str, torch.Tensor]) -> None:
        for name, tensor in tensors.items():
            if tensor.shape[0] == target.d_sae:
                tensors[name] = tensor[:n]
        tensors["W_enc"] = tensors["W_enc"][:, :n].T

    copy.edit_tensors(target.sae_id, cut)
    copy.edit_cfg(target.sae_id, lambda cfg: cfg.update(d_sae=n))


INJECTIONS: tuple[Injection, ...] = (
    _SHAPES(
        "d_sae off by one",
        "subtle",
        configures(lambda c: c.update(d_sae=c["d_sae"] - 1)),
        tier="static",
    ),
    _SHAPES(
        "d_in and d_sae exchanged",
        "gross",
        configures(lambda c: c.update(d_in=c["d_sae"], d_sae=c["d_in"])),
        tier="static",
    ),
    _SHAPES(
        "W_enc transposed", "gross", edits(lambda t, _: t.update(W_enc=t["W_enc"].T)), tier="static"
    ),
    _SHAPES(
        "both matrices transposed",
        "gross",
        edits(lambda t, _: t.update(W_enc=t["W_enc"].T, W_dec=t["W_dec"].T)),
        tier="static",
    ),
    _SHAPES(
        "W_dec a row short",
        "subtle",
        edits(lambda t, _: t.update(W_dec=t["W_dec"][:-1])),
        tier="static",
    ),
    _SHAPES(
        "a bias with a second axis",
        "subtle",
        edits(lambda t, _: t.update(b_dec=t["b_dec"][None])),
        tier="static",
    ),
    _SHAPES("square, with W_enc transposed", "medium", _square, codes="W105"),
    _SHAPES(
        "d_in is a string",
        "medium",
        configures(lambda c: c.update(d_in=str(c["d_in"]))),
        tier="static",
    ),
    _ARCHITECTURE("no architecture", "medium", _without("architecture"), tier="static"),
    _ARCHITECTURE(
        "capital letters",
        "medium",
        configures(lambda c: c.update(architecture=c["architecture"].title())),
        tier="static",
    ),
    _ARCHITECTURE(
        "one that exists only in training", "medium", sets(architecture="batchtopk"), tier="static"
    ),
    _ARCHITECTURE("one that nobody knows", "gross", sets(architecture="crosscoder"), tier="static"),
    _ARCHITECTURE(
        "standard over TopK weights",
        "subtle",
        configures(lambda c: (c.update(architecture="standard"), c.pop("k"))),
        tier="static",
        fits=_TOPK,
        codes="N204 N207 N208",
    ),
    _ARCHITECTURE(
        "topk over standard or jumprelu weights",
        "medium",
        sets(architecture="topk", k=8),
        tier="static",
        fits=only("jumprelu", "gated"),
    ),
    _ARCHITECTURE(
        "abstopk over TopK weights",
        "subtle",
        sets(architecture="abstopk"),
        tier="activations",
        fits=only("topk"),
        codes="N204",
    ),
    _ARCHITECTURE(
        "standard over jumprelu weights",
        "medium",
        sets(architecture="standard"),
        tier="static",
        fits=only("jumprelu"),
    ),
    _K("k missing", "medium", _without("k"), tier="static", fits=_TOPK),
    _K(
        "k called top_k",
        "medium",
        configures(lambda c: c.update(top_k=c.pop("k"))),
        tier="static",
        fits=_TOPK,
        codes="C010",
    ),
    _K(
        "k in activation_fn_kwargs",
        "medium",
        configures(lambda c: c.update(activation_fn_kwargs={"k": c.pop("k")})),
        tier="static",
        fits=_TOPK,
        codes="C010",
    ),
    _K("k is a string", "medium", _scaled_k(str), tier="static", fits=_TOPK),
    _K("k is a float", "medium", _scaled_k(float), tier="static", fits=_TOPK),
    _K("k is zero", "gross", sets(k=0), tier="static", fits=_TOPK),
    _K(
        "k above d_sae",
        "gross",
        configures(lambda c: c.update(k=c["d_sae"] + 1)),
        tier="static",
        fits=_TOPK,
    ),
    _K(
        "k one too many",
        "subtle",
        _scaled_k(lambda k: k + 1),
        tier="static",
        fits=_TOPK,
        knowable="by manifest",
    ),
    _K(
        "k twice as large",
        "medium",
        _scaled_k(lambda k: 2 * k),
        tier="static",
        fits=_TOPK,
        knowable="by manifest",
    ),
    _K(
        "k a quarter",
        "gross",
        _scaled_k(lambda k: max(1, k // 4)),
        tier="static",
        fits=_TOPK,
        knowable="by manifest",
    ),
    _LEGACY("flat, of an older version", "gross", configures(_before_version_6), tier="static"),
    _LEGACY(
        "flat, though it says version 6",
        "gross",
        configures(lambda c: _flat(c, keep_version=True)),
        tier="static",
    ),
    _LEGACY("metadata is null", "medium", sets(metadata=None), tier="static"),
    _LEGACY("metadata is empty", "medium", sets(metadata={}), tier="static"),
    _LEGACY(
        "nested, but no version", "subtle", _metadata_without("sae_lens_version"), tier="static"
    ),
    _LEGACY("nested, of version 5", "subtle", states(sae_lens_version="5.10.2"), tier="static"),
    _LEGACY("activation_fn tanh-relu", "subtle", sets(activation_fn="tanh-relu"), tier="static"),
    _LEGACY(
        "hook_point at the top level",
        "subtle",
        sets(hook_point="blocks.3.hook_resid_pre"),
        tier="static",
    ),
    _LEGACY("a scaling factor left over", "subtle", sets(scaling_factor=0.31), tier="static"),
    _LEGACY("no dtype", "medium", _without("dtype"), tier="static"),
    _LEGACY("no apply_b_dec_to_input", "medium", _without("apply_b_dec_to_input"), tier="static"),
    _LEGACY("no normalize_activations", "subtle", _without("normalize_activations"), tier="static"),
    _NORMALISED(
        "layer_norm",
        "medium",
        sets(normalize_activations="layer_norm"),
        tier="activations",
        codes="N204 N230 N231 N236",
    ),
    _NORMALISED(
        "constant_norm_rescale",
        "medium",
        sets(normalize_activations="constant_norm_rescale"),
        tier="activations",
        codes="N204 N230 N231 N236",
    ),
    _NORMALISED(
        "expected_average_only_in",
        "medium",
        sets(normalize_activations="expected_average_only_in"),
        tier="static",
    ),
    _NORMALISED(
        "covariance_whitening",
        "medium",
        sets(normalize_activations="covariance_whitening"),
        tier="static",
    ),
    _NORMALISED("null", "subtle", sets(normalize_activations=None), tier="static"),
    _DTYPE(
        "float32 weights, config says bfloat16", "subtle", sets(dtype="bfloat16"), tier="static"
    ),
    _DTYPE("float16 weights, config as before", "medium", _cast(torch.float16), tier="static"),
    _DTYPE("one tensor in float16", "subtle", _cast(torch.float16, "b_dec"), tier="static"),
    _DTYPE("float64 weights, config as before", "medium", _cast(torch.float64), tier="static"),
    _DTYPE("decoder in int8, without a scale", "gross", edits(_quantised), tier="static"),
    _DTYPE("a name that SAELens lacks", "medium", sets(dtype="fp32"), tier="static"),
    _DTYPE(
        "values of float16 in a float32 file",
        "subtle",
        _rounded(torch.float16),
        knowable="never",
    ),
    _DTYPE(
        "values of bfloat16 in a float32 file",
        "subtle",
        _rounded(torch.bfloat16),
        knowable="never",
    ),
    _LEAKS(
        "a home folder", "medium", states(dataset_path="/home/jane/deception/data"), tier="static"
    ),
    _LEAKS(
        "a Windows profile", "medium", states(dataset_path="C:\\Users\\jane\\data"), tier="static"
    ),
    _LEAKS(
        "a home folder deep inside",
        "subtle",
        states(model_from_pretrained_kwargs={"cache": ["x", {"dir": "/Users/jane/cache"}]}),
        tier="static",
    ),
    _LEAKS(
        "a file URL", "subtle", states(dataset_path="file:///home/jane/data.jsonl"), tier="static"
    ),
    _LEAKS("a tilde path", "subtle", states(dataset_path="~/data/deception.jsonl"), tier="static"),
    _LEAKS(
        "a graphics card",
        "subtle",
        sets(device="cuda:0"),
        tier="static",
    ),
    _METADATA(
        "no hook at all", "gross", _metadata_without("hook_name", "hf_hook_name"), tier="static"
    ),
    _METADATA(
        "no model",
        "medium",
        _metadata_without("model_name"),
        tier="static",
    ),
    _METADATA(
        "the model of another family",
        "gross",
        states(model_name="openai-community/gpt2"),
        tier="static",
        knowable="by manifest",
        codes="H100 H200 H201",
    ),
    _METADATA(
        "the model before instruction tuning",
        "subtle",
        configures(
            lambda c: c["metadata"].update(model_name=f"{c['metadata'].get('model_name')}-base")
        ),
        tier="static",
        knowable="by manifest",
    ),
    _METADATA("hook_name is a number", "medium", states(hook_name=12), tier="static"),
    _SWITCHES(
        "apply_b_dec_to_input turned over",
        "medium",
        configures(lambda c: c.update(apply_b_dec_to_input=not c["apply_b_dec_to_input"])),
        tier="activations",
    ),
    _SWITCHES(
        "rescale_acts_by_decoder_norm turned over",
        "medium",
        configures(
            lambda c: c.update(
                rescale_acts_by_decoder_norm=not c.get("rescale_acts_by_decoder_norm", False)
            )
        ),
        tier="activations",
        fits=_TOPK,
    ),
    _SWITCHES(
        "apply_b_dec_to_input is a string",
        "subtle",
        sets(apply_b_dec_to_input="true"),
        tier="static",
        codes="C003",
    ),
    _SWITCHES(
        "reshape_activations hook_z",
        "medium",
        sets(reshape_activations="hook_z"),
        tier="static",
        codes="C019 H007 L101 N201",
    ),
)
