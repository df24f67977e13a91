"""C002, C010, C013, C016: configs in the format that SAELens had before version 6."""

from __future__ import annotations

import re
from typing import Any

from validators.check import Passed, Problem, Verdict, sae_check
from validators.saelens.config import PLACE_KEYS
from validators.saelens.format import SUPERSEDED_KEYS, TOPK
from validators.subjects import SaeSubject

_MIGRATE = "`release validate TARGET --fix` writes the config as SAELens 6 does"
_SIX = re.compile(r"(?:[6-9]|\d{2,})\.")
# SAELens looks for the version in both places.
_READ_AT_TOP = {"sae_lens_version"}
# Losing these changes nothing that anybody computes with the SAE.
_FOR_READERS = {"dataset_path", "neuronpedia_id", "sae_lens_training_version"}


@sae_check("C002", "metadata is nested, as SAELens 6 writes it", tier="static", requires=("C001",))
def metadata_is_nested(sae: SaeSubject) -> Verdict:
    """SAELens 6 reads the hook, the base model and the context from `metadata` and only there.

    In a flat config these keys are dropped without a word when it is loaded with `from_dict`, or
    when it also states `sae_lens_version` 6; the SAE then does not know where it belongs.

    Example: `{"architecture": "topk", ..., "hook_name": "blocks.8.hook_resid_post"}`.

    To mend it: move `model_name`, `hook_name` and `hf_hook_name` into `"metadata": {...}`.
    """
    metadata = sae.cfg.get("metadata")
    if isinstance(metadata, dict) and metadata:
        return Passed(f"{len(metadata)} keys")
    found = "no metadata" if "metadata" not in sae.cfg else f"metadata {metadata!r:.40}"
    flat = sorted(PLACE_KEYS & sae.cfg.keys())
    beside = f", and {', '.join(flat[:5])} at the top level" if flat else ""
    return Problem(
        f"cfg.json has {found}{beside}{_what_becomes_of(sae)}",
        "a nested object with model_name, hook_name and hf_hook_name, as SAELens 6 writes it",
        f"move those keys into metadata: {_MIGRATE}",
    )


@sae_check("C010", "no superseded key is left", tier="static", requires=("C001",))
def no_superseded_key(sae: SaeSubject) -> Verdict:
    """Keys of older formats are dropped without a word, and with them what they said.

    One that says the same as the current keys is a warning: it misleads nobody yet, and whoever
    edits the config later may take it for the one that counts.

    Example: `"activation_fn": "tanh-relu"`: SAELens 6 applies a ReLU.

    To mend it: say it the way the current format does, and take the old key out.
    """
    found = sorted(SUPERSEDED_KEYS.keys() & sae.cfg.keys())
    if not found:
        return Passed()
    stated = ", ".join(f"{key} {sae.cfg[key]!r:.40}" for key in found)
    return Problem(
        f"cfg.json has {stated}, which SAELens 6 ignores",
        "; ".join(f"{key}: {SUPERSEDED_KEYS[key]}" for key in found),
        f"take the keys out: {_MIGRATE}",
        severity="warn" if all(_says_the_same(key, sae.cfg) for key in found) else None,
    )


@sae_check("C013", "the config says which SAELens format it is", tier="static", requires=("C002",))
def format_version_is_stated(sae: SaeSubject) -> Verdict:
    """Without `sae_lens_version`, SAELens takes the config for one from before version 6.

    It then throws the nested metadata away, so the loaded SAE has no hook, and lets
    `activation_fn_kwargs` override k. Nothing warns.

    Example: `"metadata": {"hook_name": "blocks.8.hook_resid_post"}` and no version anywhere.

    To mend it: write the version that saved the SAE, 6.0.0 or later, as
    `metadata.sae_lens_version`.
    """
    found = sae.cfg.get("sae_lens_version") or sae.metadata.get("sae_lens_version")
    if isinstance(found, str) and _SIX.match(found):
        return Passed(found)
    return Problem(
        f"sae_lens_version is {found!r:.40}",
        "6.0.0 or later, in metadata; else SAELens reads the config as an older format",
        'state "sae_lens_version" in metadata, as SAELens 6 does',
    )


@sae_check("C016", "no key of metadata stands at the top level", tier="static",
           requires=("C002",))  # fmt: skip
def nothing_of_metadata_is_at_the_top(sae: SaeSubject) -> Verdict:
    """Beside a nested `metadata`, SAELens drops `hook_name` and its like from the top level.

    What only stands there is lost when the SAE is loaded; what stands in both places can differ,
    and a reader of the file does not know which of them counts.

    Example: `"hook_name": "blocks.8.hook_resid_post"` beside `"metadata": {"model_name": "gpt2"}`.

    To mend it: move the key into `metadata`, or take it out where it stands there already.
    """
    metadata = sae.metadata
    twice = sorted((PLACE_KEYS & sae.cfg.keys()) - _READ_AT_TOP)
    if not twice:
        return Passed()
    lost = [
        key
        for key in twice
        if sae.cfg[key] is not None
        and (key not in metadata or metadata[key] != sae.cfg[key])
        and key not in _FOR_READERS
    ]
    said = [
        f"{key} {sae.cfg[key]!r:.60}"
        + (f" (metadata has {metadata[key]!r:.60})" if key in metadata else "")
        for key in lost or twice
    ]
    return Problem(
        f"at the top level, where SAELens drops it: {', '.join(said)}",
        "these keys in metadata, and only there",
        "move them into metadata",
        severity=None if lost else "warn",
    )


def _what_becomes_of(sae: SaeSubject) -> str:
    """What SAELens does with a config that has no metadata to speak of."""
    if "metadata" in sae.cfg and not isinstance(sae.cfg["metadata"], dict):
        return "; SAELens cannot load it"
    version = sae.cfg.get("sae_lens_version")
    if isinstance(version, str) and _SIX.match(version):
        return f"; with sae_lens_version {version!r:.20} SAELens drops the hook"
    return "; `from_dict` drops the hook, only `load_from_disk` keeps it"


def _says_the_same(key: str, cfg: dict[str, Any]) -> bool:
    """Whether a superseded key and the keys that count now agree."""
    value, metadata = cfg[key], cfg.get("metadata")
    is_topk = cfg.get("architecture") in TOPK
    if value is None:
        return True
    if key in ("activation_fn", "activation_fn_str"):
        return bool(value == ("topk" if is_topk else "relu"))
    if key == "activation_fn_kwargs":
        return value == {} or (is_topk and value == {"k": cfg.get("k")})
    if key == "top_k":
        return is_topk and bool(value == cfg.get("k"))
    if key == "hook_point":
        return isinstance(metadata, dict) and bool(value == metadata.get("hook_name"))
    return False
