"""Neuronpedia's name of an SAE: `model/layer-set__part`, such as `gemma-2-2b/5-gemmascope-res-65k`.

Neuronpedia gives a model its id, and keeps one SAE for each layer of a set; what else tells SAEs of
a layer apart follows after two underscores. The ids here follow that form. They lead to a page once
Neuronpedia has imported the SAEs under them.
"""

from __future__ import annotations

import re

from manifests.hooks import HookSite
from manifests.matrix import SaeSpec
from manifests.model import Manifest

_SITES: dict[HookSite, str] = {"resid_post": "res"}
_OTHERS = re.compile(r"[^a-z0-9._-]+")
_SEPARATOR = re.compile(r"_{2,}")


def neuronpedia_id(manifest: Manifest, spec: SaeSpec, *, model: str | None = None) -> str:
    """The id of one SAE; no two SAEs of a manifest have the same.

    Args:
        manifest: whose repository's name is the set's.
        spec: the SAE.
        model: Neuronpedia's id of the base model; when not given, the name on the Hub in lower
            case, which is Neuronpedia's own for some models and not for others.
    """
    np_model = _slug(model or manifest.base_model.id.rpartition("/")[2])
    kind = f"{spec.architecture}-{spec.variant}" if spec.variant else spec.architecture
    parts = (
        manifest.repo_id.rpartition("/")[2],
        _SITES[manifest.saes.site],
        width_in_words(spec.d_sae),
    )
    set_slug = "-".join(_slug(part) for part in parts)
    return f"{np_model}/{spec.layer}-{set_slug}__{_slug(kind)}-{_slug(spec.condition)}"


def width_in_words(d_sae: int) -> str:
    """A number of latents as names have it: 2304 is 2k, 16384 is 16k, 1048576 is 1m."""
    if d_sae >= 1_000_000:
        return f"{d_sae // 1_000_000}m"
    return f"{d_sae // 1_000}k" if d_sae >= 1_000 else str(d_sae)


def _slug(text: str) -> str:
    """Lower case; runs of other characters than letters, digits and `._-` become one hyphen."""
    return _SEPARATOR.sub("_", _OTHERS.sub("-", text.lower())).strip("-")
