"""What the SAEs' own configs say, for a repository that no manifest describes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from manifests.build_folder import SAE_CONFIG
from manifests.matrix import MAX_SAES
from manifests.progress import Silent
from validators.places.address import layer_of
from validators.reading.repository import Repository, UnreadableFile
from validators.subjects import RepositorySubject, SaeSubject

_HOOKS = ("hook_name", "hf_hook_name")
# What a stranger's config may state for a width: more than any SAE has.
_MOST_LATENTS = 10**12


@dataclass(frozen=True)
class StatedSae:
    """One SAE by its cfg.json: the architecture that it is saved as, its hook and its width."""

    architecture: str | None = None
    layer: int | None = None
    hook_name: str = ""
    d_sae: int | None = None


def stated_saes(repository: Repository) -> Mapping[str, StatedSae]:
    """Every folder with an SAE in it, by name; a config that cannot be read states nothing.

    Raises:
        HubUnavailable: the Hub refused one of the configs.
    """
    subject = RepositorySubject(repository, None, progress=Silent())
    saes = subject.saes[:MAX_SAES]
    repository.prefetch(
        path for sae in saes if (path := sae.path_of(SAE_CONFIG)) in repository.files
    )
    return {sae.sae_id: _stated(sae) for sae in saes}


def _stated(sae: SaeSubject) -> StatedSae:
    named = [name for key in _HOOKS if isinstance(name := sae.hook_metadata.get(key), str)]
    layers = ((name, layer) for name in named if (layer := layer_of(name)) is not None)
    hook_name, layer = next(layers, (named[0] if named else "", None))
    try:
        d_sae = sae.cfg.get("d_sae")
    except UnreadableFile:
        d_sae = None
    is_width = type(d_sae) is int and 0 < d_sae <= _MOST_LATENTS
    return StatedSae(sae.architecture, layer, hook_name, d_sae if is_width else None)
