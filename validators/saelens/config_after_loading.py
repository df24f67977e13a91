"""What of cfg.json is left in the config that SAELens holds after loading.

SAELens takes over what its config class of the architecture knows, and the nested metadata as it
stands. A config without `sae_lens_version` is taken for one of before 6.0: a few keys are renamed,
17 of them become the metadata, and all else is dropped without a word.

Source: sae_lens 6.54.12, `loading/pretrained_sae_loaders.py` (handle_config_defaulting,
handle_pre_6_0_config, LLM_METADATA_KEYS) and `saes/sae.py` (SAEConfig.from_dict, SAEMetadata).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from validators.saelens.format import canonical_dtype

# What an older flat config says of the model and the place, by its name there.
_METADATA_OF_FLAT_CONFIGS = {
    "model_name": "model_name",
    "hook_name": "hook_name",
    "hook_point": "hook_name",
    "hook_head_index": "hook_head_index",
    "hook_point_head_index": "hook_head_index",
    "hook_name_out": "hook_name_out",
    "hook_head_index_out": "hook_head_index_out",
    "hf_hook_name": "hf_hook_name",
    "hf_hook_name_out": "hf_hook_name_out",
    "model_class_name": "model_class_name",
    "model_from_pretrained_kwargs": "model_from_pretrained_kwargs",
    "prepend_bos": "prepend_bos",
    "exclude_special_tokens": "exclude_special_tokens",
    "neuronpedia_id": "neuronpedia_id",
    "context_size": "context_size",
    "seqpos_slice": "seqpos_slice",
    "dataset_path": "dataset_path",
}
# `device` is the reader's choice; `dtype` has a check of its own; `metadata` is compared by key.
_COMPARED_ELSEWHERE = ("device", "dtype", "metadata")
# Older spellings that SAELens turns into the value on the right.
_SAME_NORMALIZATION = {None: "none", False: "none", True: "expected_average_only_in"}
_ABSENT = object()


@dataclass(frozen=True)
class Change:
    """A key of cfg.json that does not say the same after loading."""

    key: str
    stated: Any
    after: Any
    is_gone: bool

    def __str__(self) -> str:
        """`key is gone` or `key is VALUE`."""
        return f"{self.key} is gone" if self.is_gone else f"{self.key} is {self.after!r:.60}"


def changes(cfg: Mapping[str, Any], loaded: Any) -> tuple[Change, ...]:
    """What loading dropped or changed, metadata first, in the order of cfg.json.

    Args:
        cfg: cfg.json as it stands.
        loaded: `sae.cfg` of the SAE that SAELens made of it.
    """
    kept_metadata = vars(loaded.metadata)
    nested = cfg.get("metadata")
    found: list[Change | None] = []
    if isinstance(nested, dict):
        found += [
            _compare(f"metadata.{key}", value, kept_metadata.get(key, _ABSENT))
            for key, value in nested.items()
        ]
    else:
        found += [
            _compare(key, cfg[key], kept_metadata.get(kept_as, _ABSENT))
            for key, kept_as in _METADATA_OF_FLAT_CONFIGS.items()
            if key in cfg
        ]
    found += _top_level(cfg, loaded)
    return tuple(change for change in found if change is not None)


def _top_level(cfg: Mapping[str, Any], loaded: Any) -> Iterator[Change | None]:
    known = loaded.to_dict()
    for key, stated in cfg.items():
        if key not in known or key in _COMPARED_ELSEWHERE:
            continue
        after = known[key]
        if key == "architecture" and _is_older_topk(cfg, stated, after):
            continue
        if key == "normalize_activations" and isinstance(stated, bool | None):
            stated = _SAME_NORMALIZATION[stated]
        yield _compare(key, stated, after)


def _is_older_topk(cfg: Mapping[str, Any], stated: Any, after: Any) -> bool:
    """Before 6.0 a TopK SAE was a standard one with `activation_fn_str: topk`."""
    spelled = cfg.get("activation_fn_str", cfg.get("activation_fn"))
    return (stated, after, spelled) == ("standard", "topk", "topk")


def _compare(key: str, stated: Any, after: Any) -> Change | None:
    if after is _ABSENT:
        # None is what SAELens answers for any metadata that is not there.
        return None if stated is None else Change(key, stated, None, is_gone=True)
    same = stated == after and isinstance(stated, bool) == isinstance(after, bool)
    return None if same else Change(key, stated, after, is_gone=False)


def same_dtype(stated: Any, after: Any) -> bool:
    """Whether cfg.json and a torch dtype mean the same one."""
    return canonical_dtype(str(stated)) == canonical_dtype(str(after))
