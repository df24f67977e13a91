"""k of a TopK SAE: found where it was misplaced or mistyped, never guessed."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from manifests.sae_recipes import TopkRecipe
from validators.mending.draft import Context, Draft, with_keys, without_keys
from validators.saelens.format import TOPK

_INTEGER = re.compile(r"[0-9]{1,9}")


def state_k(draft: Draft, context: Context) -> Draft:
    """Write k as an integer at the top level of the config.

    It is taken from the config itself, else from `activation_fn_kwargs`, `top_k`, `metadata.k`, a
    tensor `k`, or the manifest; where these disagree, and the manifest does not say, it stays.
    """
    if draft.architecture not in TOPK:
        return draft
    stated, claimed = draft.cfg.get("k"), _claimed_k(draft, context)
    kwargs = draft.cfg.get("activation_fn_kwargs")
    elsewhere = {
        "activation_fn_kwargs.k": kwargs.get("k") if isinstance(kwargs, dict) else None,
        "top_k": draft.cfg.get("top_k"),
        "metadata.top_k": draft.metadata.get("top_k"),
        "metadata.k": draft.metadata.get("k"),
        "the tensor k": _k_tensor(draft),
    }
    sources = {"k": stated, **elsewhere}
    known = {name: k for name, value in sources.items() if (k := _as_integer(value)) is not None}
    if not known and claimed is None:
        found = "k is missing" if stated is None else f"k is {stated!r:.40}"
        return draft.leave("C006", found, "nothing says what it was; SAELens would take 100")
    values = set(known.values())
    if claimed is not None and known and claimed not in values:
        listed = ", ".join(f"{name} {k}" for name, k in known.items())
        return draft.leave(
            "C007", f"{listed}, by {context.source} {claimed}", "one of the two is wrong"
        )
    if claimed is None and len(values) > 1:
        listed = ", ".join(f"{name} {k}" for name, k in known.items())
        return draft.leave("C006", f"k stands there with two values: {listed}", "which is right?")
    k = claimed if claimed is not None else next(iter(values))
    d_sae = draft.cfg.get("d_sae")
    if k < 1 or (isinstance(d_sae, int) and k > d_sae):
        return draft.leave("C006", f"k is {k}", f"it is not from 1 to d_sae = {d_sae}")
    cfg = with_keys(without_keys(draft.cfg, "top_k"), k=k)
    if type(stated) is int and stated == k and "top_k" not in draft.cfg:
        return draft
    source = next((name for name, value in known.items() if value == k), context.source)
    return draft.mended(
        "C006" if stated != k or type(stated) is not int else "C010",
        f"stated k = {k} at the top level",
        f"by {source}; SAELens reads it there, as an integer, and takes 100 without it",
        cfg=cfg,
    )


def drop_k_tensor(draft: Draft, context: Context) -> Draft:  # noqa: ARG001
    """Take out the buffer `k` that dictionary_learning keeps beside the weights."""
    k = _k_tensor(draft)
    if k is None or draft.cfg.get("k", k) != k:
        return draft
    tensors = {name: values for name, values in draft.tensors.items() if name != "k"}
    return draft.mended(
        "W001", "took the tensor k out of the weights", "k stands in the config", tensors=tensors
    )


def _k_tensor(draft: Draft) -> int | None:
    values = draft.tensors.get("k")
    if values is None or values.size != 1:
        return None
    return _as_integer(float(np.ravel(values)[0]))


def _as_integer(value: Any) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and _INTEGER.fullmatch(value.strip()):
        return int(value)
    return None


def _claimed_k(draft: Draft, context: Context) -> int | None:
    if context.claim is None or context.spec is None:
        return None
    if context.spec.architecture != draft.architecture:
        return None
    recipe = context.claim.manifest.recipe.of(context.spec.architecture, context.spec.variant)
    return recipe.k if isinstance(recipe, TopkRecipe) else None
