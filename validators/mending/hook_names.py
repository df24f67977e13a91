"""The SAE's place in both notations, where one of them, or the manifest, gives the other."""

from __future__ import annotations

import re
from typing import Any

from manifests.hooks import BLOCKS_PATH, lens_hook_name
from manifests.matrix import SaeSpec
from validators.mending.draft import Context, Draft, with_keys

_BLOCKS = "|".join(re.escape(path) for path in sorted(set(BLOCKS_PATH.values()), reverse=True))
_MODULE = re.compile(rf"(?P<module>(?:{_BLOCKS})\.(?P<layer>\d+))")
# Half of each notation: a module of transformers with the site of TransformerLens.
_MIXED = re.compile(rf"(?P<module>(?:{_BLOCKS})\.(?P<layer>\d+))\.hook_resid_post")
_LENS = re.compile(r"blocks\.(?P<layer>\d+)\.hook_resid_post")
_LAST_LAYER = re.compile(r"[\w.]*\.(?P<layer>\d+)")
_ANY_LENS = re.compile(r"blocks\.\d+\.\w[\w.]*")

# With this class, SAELens hooks a module of transformers and names it so.
_BY_MODULE_PATH = "AutoModelForCausalLM"


def name_the_place(draft: Draft, context: Context) -> Draft:
    """Write `metadata.hook_name` and `metadata.hf_hook_name` for a residual stream.

    The module's path is known from a name that already has it, or from the base model's type in
    the manifest; a layer alone does not say what the model's blocks are called.
    """
    if draft.architecture and "transcoder" in draft.architecture:
        return draft
    if context.spec is not None:
        return _named_by_the_manifest(draft, context, context.spec)
    lens, hf = draft.metadata.get("hook_name"), draft.metadata.get("hf_hook_name")
    is_named = _is_lens(lens) or (
        _is_path(lens) and draft.metadata.get("model_class_name") == _BY_MODULE_PATH
    )
    if is_named and (_is_path(hf) or (hf is None and context.claim is None)):
        return draft
    layers = _layers_of(lens, hf)
    if len(layers) != 1:
        if lens is None and hf is None:
            return draft
        return draft.leave(
            "H002" if _is_lens(lens) else "H001",
            f"hook_name is {lens!r:.60}, hf_hook_name {hf!r:.60}",
            "which module that is depends on the model",
        )
    (layer,) = layers
    module, why = _module_of(lens, hf), "both notations name the output of this block"
    if module is None and context.claim is not None:
        blocks = BLOCKS_PATH.get(context.claim.manifest.base_model.model_type)
        module = f"{blocks}.{layer}" if blocks else None
        why = f"{context.source} says what the base model's blocks are called"
    names = {"hook_name": lens_hook_name("resid_post", layer)}
    if module is None:
        return _written(draft, names, why).leave(
            "H002",
            f"metadata.hf_hook_name is {hf!r:.60}",
            "what the blocks of the base model are called depends on its type, which only a "
            "manifest states",
        )
    return _written(draft, {**names, "hf_hook_name": module}, why)


def _named_by_the_manifest(draft: Draft, context: Context, spec: SaeSpec) -> Draft:
    """Both names as the manifest has them, unless the config names another place."""
    lens, hf = draft.metadata.get("hook_name"), draft.metadata.get("hf_hook_name")
    last = _LAST_LAYER.fullmatch(hf) if isinstance(hf, str) else None
    stated = _layers_of(lens, hf) | ({int(last["layer"])} if last else set())
    if not stated <= {spec.layer} or (_is_lens(lens) and _LENS.fullmatch(str(lens)) is None):
        return draft.leave(
            "H004",
            f"the config names {lens!r:.60} and {hf!r:.60}",
            f"{context.source} says {spec.hook_name} and {spec.hf_hook_name}",
        )
    names = {"hook_name": spec.hook_name, "hf_hook_name": spec.hf_hook_name}
    return _written(draft, names, f"{context.source} says so")


def name_the_base_model(draft: Draft, context: Context) -> Draft:
    """Write `metadata.model_name` from the manifest, where the config has none."""
    if (
        context.spec is None
        or context.claim is None
        or not isinstance(draft.cfg.get("metadata"), dict)
    ):
        return draft
    wanted, found = context.claim.manifest.base_model.id, draft.metadata.get("model_name")
    if found == wanted:
        return draft
    if found is not None:
        return draft.leave(
            "C011", f"model_name is {found!r:.80}, by {context.source} {wanted!r}",
            "one of the two is wrong",
        )  # fmt: skip
    return draft.mended(
        "C011",
        f"stated model_name {wanted!r}",
        f"{context.source} says so",
        cfg=with_keys(draft.cfg, metadata={**draft.metadata, "model_name": wanted}),
    )


def _written(draft: Draft, names: dict[str, str], why: str) -> Draft:
    wrong = [key for key, name in names.items() if draft.metadata.get(key) != name]
    if not wrong:
        return draft
    return draft.mended(
        "H001" if "hook_name" in wrong else "H002",
        ", ".join(f"wrote {key} {names[key]}" for key in wrong),
        why,
        cfg=with_keys(draft.cfg, metadata={**draft.metadata, **names}),
    )


def _layers_of(lens: Any, hf: Any) -> set[int]:
    """Every layer that the names state."""
    return {
        int(match["layer"])
        for name in (lens, hf)
        if isinstance(name, str)
        for pattern in (_LENS, _MODULE, _MIXED)
        if (match := pattern.fullmatch(name))
    }


def _module_of(lens: Any, hf: Any) -> str | None:
    for name in (hf, lens):
        if isinstance(name, str) and (match := _MODULE.fullmatch(name) or _MIXED.fullmatch(name)):
            return match["module"]
    return None


def _is_lens(name: Any) -> bool:
    return isinstance(name, str) and _ANY_LENS.fullmatch(name) is not None


def _is_path(name: Any) -> bool:
    return isinstance(name, str) and "hook_" not in name and "." in name and name[:7] != "blocks."
