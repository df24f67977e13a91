"""Configs from before SAELens 6: flat ones are nested, older keys are said the present way.

The renamings are those of SAELens 6.54.12 (`handle_pre_6_0_config`). It keeps only 17 keys and
throws the others away; here every other key is kept in `metadata`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from validators.mending.draft import Context, Draft, with_keys
from validators.saelens.config import ARCHITECTURE_KEYS, PLACE_KEYS, SHARED_KEYS, TRAINING_KEYS
from validators.saelens.config_values import nearest
from validators.saelens.format import (
    INFERENCE_ARCHITECTURES,
    SUPERSEDED_KEYS,
    TRAINING_ONLY_ARCHITECTURES,
)

# The version whose nested format is written.
FORMAT_VERSION = "6.54.12"
_CURRENT_VERSION = re.compile(r"(?:[6-9]|\d{2,})\.")

# Keys that belong at the top level of the config of some architecture, while training too.
_TOP_LEVEL_KEYS = SHARED_KEYS.union(*ARCHITECTURE_KEYS.values(), *TRAINING_KEYS.values()) - {
    "sae_lens_version"
}
# At the top level they mark a flat config. The version alone does not: SAELens reads it in both.
_MISPLACED_KEYS = (PLACE_KEYS | {"hook_layer", "hook_point_layer"}) - {"sae_lens_version"}
_RENAMED = {"hook_point": "hook_name", "hook_point_head_index": "hook_head_index"}
_ACTIVATION_KEYS = ("activation_fn", "activation_fn_str")
# Superseded keys that other mends read first, and then take out themselves.
READ_LATER = frozenset({*_ACTIVATION_KEYS, "activation_fn_kwargs", "top_k"})


def nest_flat_config(draft: Draft, context: Context) -> Draft:  # noqa: ARG001
    """Move what belongs into `metadata` there, and rename the older keys."""
    cfg = dict(draft.cfg)
    metadata = cfg.get("metadata")
    if metadata is not None and not isinstance(metadata, dict):
        return draft.leave(
            "C002", f"metadata is {metadata!r:.40}", "it is no object, and what it says is unclear"
        )
    flat = sorted((_MISPLACED_KEYS | _RENAMED.keys()) & cfg.keys())
    is_old = version_of(draft) is None
    if metadata and not flat and not is_old:
        return draft
    misspelt = misspelt_keys(cfg)
    for key, meant in misspelt.items():
        draft = draft.leave("C014", f"{key} may be meant for {meant}", "it is not certain")
    moved = {
        key: value
        for key, value in cfg.items()
        if key not in _TOP_LEVEL_KEYS | READ_LATER and key not in misspelt
    }
    if metadata and not is_old:
        # In a current config only the misplaced keys move; what else stands there stays.
        moved = {key: moved[key] for key in flat}
    nested = dict(metadata or {})
    for key, value in moved.items():
        name = _RENAMED.get(key, key)
        if name in nested and nested[name] != value:
            return draft.leave(
                "C002",
                f"{key} is {value!r:.60} at the top level and {nested[name]!r:.60} in metadata",
                "two values for one thing; which is right cannot be told",
            )
        nested[name] = value
    current = {key: value for key, value in cfg.items() if key not in moved and key != "metadata"}
    old = nested.get("sae_lens_version")
    if is_old:
        if old is not None:
            nested["original_sae_lens_version"] = old
        nested["sae_lens_version"] = FORMAT_VERSION
        if "hook_z" in str(nested.get("hook_name")):
            current.setdefault("reshape_activations", "hook_z")
    current["metadata"] = nested
    if cfg.get("metadata") == nested:
        return draft
    if moved or not metadata:
        names = ", ".join(sorted(moved)) or "nothing"
        return draft.mended(
            "C013" if metadata and not flat else "C016" if metadata else "C002",
            f"moved {names} into metadata, with sae_lens_version {nested.get('sae_lens_version')}",
            "SAELens 6 reads them there and only there",
            cfg=current,
        )
    return draft.mended(
        "C013",
        f"stated sae_lens_version {FORMAT_VERSION} in metadata",
        "without it SAELens takes the config for an older format, and throws metadata away",
        cfg=current,
    )


def name_the_architecture(draft: Draft, context: Context) -> Draft:
    """State the architecture in SAELens' spelling; where it is missing, from what implies it.

    Evidence, in this order: the manifest, the older activation key, tensors that only one
    architecture has. Four plain tensors alone imply nothing.
    """
    activation = _activation_of(draft)
    stated = draft.cfg.get("architecture")
    if stated is None:
        return _with_implied_architecture(draft, context, activation)
    if not isinstance(stated, str):
        return draft.leave("C004", f"architecture is {stated!r:.40}", "it is not text")
    name = _spelled(stated)
    if name is None:
        return draft.leave("C004", f"architecture is {stated!r:.60}", "SAELens has no such class")
    if name != stated:
        draft = draft.mended(
            "C004",
            f"architecture {stated!r} is written {name!r}",
            "SAELens knows it in this spelling only",
            cfg=with_keys(draft.cfg, architecture=name),
        )
    if name == "standard" and activation == "topk" and "threshold" not in draft.tensors:
        return draft.mended(
            "C010",
            "architecture 'standard' with activation 'topk' is written 'topk'",
            "SAELens from before 6 stored TopK SAEs so; SAELens 6 would apply a ReLU",
            cfg=with_keys(draft.cfg, architecture="topk"),
        )
    return draft


def drop_activation_keys(draft: Draft, context: Context) -> Draft:  # noqa: ARG001
    """Take out the older activation keys, where the architecture says all that they say."""
    present = [key for key in (*_ACTIVATION_KEYS, "activation_fn_kwargs") if key in draft.cfg]
    if not present:
        return draft
    activation = _activation_of(draft)
    implied = {"topk": ("topk",), "standard": ("relu",), "jumprelu": ("relu", "jumprelu"),
               "gated": ("relu",)}  # fmt: skip
    if activation not in (None, *implied.get(draft.architecture or "", ("relu", "topk"))):
        return draft.leave(
            "C010",
            f"the activation is {activation!r}, the architecture {draft.architecture!r}",
            "SAELens 6 has no such pair; which of the two was trained cannot be told",
        )
    if draft.architecture is None or (draft.architecture == "topk" and "k" not in draft.cfg):
        return draft
    cfg = dict(draft.cfg)
    kwargs = cfg.get("activation_fn_kwargs")
    rest = {k: v for k, v in kwargs.items() if k != "k"} if isinstance(kwargs, dict) else kwargs
    for key in present:
        del cfg[key]
    if rest:
        cfg["metadata"] = {**draft.metadata, "activation_fn_kwargs": rest}
    return draft.mended(
        "C010",
        f"took out {', '.join(present)}",
        f"the architecture {draft.architecture!r} says it, and SAELens 6 ignores these keys",
        cfg=cfg,
    )


def state_switches(draft: Draft, context: Context) -> Draft:  # noqa: ARG001
    """State what SAELens would fill in, and say in the present way what older keys said."""
    cfg = dict(draft.cfg)
    done: list[str] = []
    # What a misspelt key says is not overridden by what SAELens takes for the missing one.
    meant = set(misspelt_keys(cfg).values())
    normalisation = cfg.get("normalize_activations")
    if "normalize_activations" in meant:
        pass
    elif normalisation is None or normalisation is False:
        cfg["normalize_activations"] = "none"
        done.append("normalize_activations 'none'")
    elif normalisation is True:
        cfg["normalize_activations"] = "expected_average_only_in"
        done.append("normalize_activations 'expected_average_only_in'")
    if "apply_b_dec_to_input" not in cfg.keys() | meant:
        cfg["apply_b_dec_to_input"] = "transcoder" not in (draft.architecture or "")
        done.append(f"apply_b_dec_to_input {str(cfg['apply_b_dec_to_input']).lower()}")
    if not done:
        return draft
    return draft.mended(
        "C003",
        f"stated {' and '.join(done)}",
        "it is what SAELens takes where the key is missing or of the older form",
        cfg=cfg,
    )


def version_of(draft: Draft) -> str | None:
    """The SAELens version, 6 or later, that the config states; None for an older format."""
    for version in (draft.cfg.get("sae_lens_version"), draft.metadata.get("sae_lens_version")):
        if isinstance(version, str) and version:
            return version if _CURRENT_VERSION.match(version) else None
    return None


def misspelt_keys(cfg: Mapping[str, Any]) -> dict[str, str]:
    """Top-level keys that SAELens does not know and that nearly are one which is missing."""
    known = _TOP_LEVEL_KEYS | PLACE_KEYS | _MISPLACED_KEYS | _RENAMED.keys() | READ_LATER
    absent = _TOP_LEVEL_KEYS - cfg.keys()
    near = {key: nearest(key, absent) for key in cfg.keys() - known - SUPERSEDED_KEYS.keys()}
    return {key: meant for key, meant in sorted(near.items()) if meant is not None}


def _with_implied_architecture(draft: Draft, context: Context, activation: str | None) -> Draft:
    tensors = draft.tensors.keys()
    by_tensors = None
    if tensors & {"b_gate", "r_mag"}:
        by_tensors = "gated"
    elif tensors & {"threshold", "log_threshold"} and activation != "topk" and "k" not in draft.cfg:
        by_tensors = "jumprelu"
    by_activation = {"topk": "topk", "relu": "standard"}.get(activation or "")
    claimed: str | None = None
    if context.spec is not None:
        # A checkpoint of the trainer still has the architecture that exists only while training.
        is_checkpoint = "topk_threshold" in tensors
        claimed = context.spec.architecture if is_checkpoint else context.spec.saved_architecture
    if claimed is not None and by_tensors in (None, claimed):
        name, why = claimed, f"{context.source} says so"
    elif by_tensors:
        name, why = by_tensors, "only this architecture has these tensors"
    elif by_activation:
        name, why = by_activation, f"the older key says the activation is {activation!r}"
    elif "k" in draft.cfg or "top_k" in draft.cfg:
        name, why = "topk", "the config states k"
    else:
        return draft.leave(
            "C003",
            "architecture is missing",
            "neither the tensors nor another key imply it; SAELens would take 'standard'",
        )
    return draft.mended(
        "C003", f"stated architecture {name!r}", why, cfg=with_keys(draft.cfg, architecture=name)
    )


def _activation_of(draft: Draft) -> str | None:
    for key in _ACTIVATION_KEYS:
        value: Any = draft.cfg.get(key)
        if isinstance(value, str):
            return value.lower()
    return None


def _spelled(name: str) -> str | None:
    known = {*INFERENCE_ARCHITECTURES, *TRAINING_ONLY_ARCHITECTURES}
    if name in known:
        return name
    bare = re.sub(r"[\s_-]", "", name.lower())
    return next((one for one in sorted(known) if one.replace("_", "") == bare), None)
