"""What the configs of a repository say of its SAEs, as far as a card may speak of it."""

from __future__ import annotations

import math
import re
from typing import Any

from validators.reading.repository import UnreadableFile
from validators.readme.findings import SaeFacts
from validators.saelens.format import TENSOR_SHAPES, UnknownSize, expected_shapes
from validators.subjects import RepositorySubject

_LAYER = re.compile(r"\bblocks\.(\d{1,4})\.")
_BYTES = {"float32": 4, "float64": 8, "float16": 2, "bfloat16": 2}
_MOST = 5_000


def sae_facts(subject: RepositorySubject) -> tuple[SaeFacts, ...]:
    """One entry for each SAE; none at all unless every config can be read.

    With a config missing, "no SAE has this" would be said of SAEs that nobody has looked at.
    """
    if len(subject.sae_folders) != len(subject.saes) or len(subject.saes) > _MOST:
        return ()
    found = []
    for sae in subject.saes:
        try:
            cfg = sae.cfg
        except UnreadableFile:
            return ()  # C001 says so
        found.append(_facts(sae.sae_id, cfg, dict(sae.hook_metadata)))
    return tuple(found)


def _facts(sae_id: str, cfg: dict[str, Any], metadata: dict[str, Any]) -> SaeFacts:
    hook_name = _text(metadata.get("hook_name", cfg.get("hook_name")))
    layer = _LAYER.search(hook_name or "")
    return SaeFacts(
        sae_id=sae_id,
        architecture=_text(cfg.get("architecture")),
        d_in=_count(cfg.get("d_in")),
        d_sae=_count(cfg.get("d_sae")),
        k=_count(cfg.get("k")),
        hook_name=hook_name,
        module_path=_text(metadata.get("hf_hook_name")),
        layer=int(layer[1]) if layer else None,
        model_name=_text(metadata.get("model_name", cfg.get("model_name"))),
        n_bytes=_n_bytes(cfg),
        n_parameters=_n_parameters(cfg),
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _count(value: object) -> int | None:
    is_count = isinstance(value, int) and not isinstance(value, bool) and value > 0
    return value if is_count and isinstance(value, int) else None


def _n_bytes(cfg: dict[str, Any]) -> int | None:
    width = _BYTES.get(str(cfg.get("dtype", "")).removeprefix("torch."))
    n = _n_parameters(cfg)
    return None if width is None or n is None else width * n


def _n_parameters(cfg: dict[str, Any]) -> int | None:
    architecture = cfg.get("architecture")
    if not isinstance(architecture, str) or architecture not in TENSOR_SHAPES:
        return None
    try:
        return sum(math.prod(shape) for shape in expected_shapes(cfg).values())
    except UnknownSize:
        return None
