"""What the SAEs' own configs say, for a repository that no manifest describes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from manifests.build_folder import SAE_CONFIG
from manifests.matrix import MAX_SAES
from manifests.progress import Silent
from validators.places.address import layer_of
from validators.reading.repository import Repository
from validators.subjects import RepositorySubject

_HOOKS = ("hook_name", "hf_hook_name")


@dataclass(frozen=True)
class StatedSae:
    """One SAE by its cfg.json: the architecture that it is saved as, and the layer of its hook."""

    architecture: str | None
    layer: int | None


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
    found = {}
    for sae in saes:
        named = (sae.hook_metadata.get(key) for key in _HOOKS)
        layers = (layer_of(name) for name in named)
        found[sae.sae_id] = StatedSae(
            sae.architecture, next((layer for layer in layers if layer is not None), None)
        )
    return found
