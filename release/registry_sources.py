"""From a TARGET to its registry entry: the manifest, the report and the bytes that it stands on."""

from __future__ import annotations

from pathlib import Path

from manifests.build_folder import SAE_CONFIG, SAE_WEIGHTS
from manifests.errors import ReleaseError, UsageError
from manifests.progress import Progress
from release.hub_connection import HubConnection
from release.published_files import published_report
from release.saelens_registry import RegistryEntry, registry_entry
from release.targets import Target
from release.validation import find
from validators.claim import local_claim, published_claim


class IncompleteRepository(ReleaseError):
    """A repository without the files of an SAE that its manifest names."""


def entry_of(
    target: Target,
    connection: HubConnection,
    *,
    manifests: Path,
    build_root: Path,
    neuronpedia_model: str | None,
    progress: Progress,
) -> RegistryEntry:
    """Describe what a target names, by the manifest beside its weights where one lies there.

    Raises:
        UsageError: nothing says which SAEs the repository is to hold.
        IncompleteRepository: it lacks files of some of them.
        HubUnavailable: the Hub does not answer, or has no such repository.
        UnreadableFile: the published manifest or report is damaged or of another format.
    """
    found = find(target, connection, manifests=manifests, build_root=build_root, progress=progress)
    repository = found.repository
    # A local build is of the manifest as it stands; a legacy repository has none of its own.
    claim = None if found.build is not None else published_claim(repository)
    if claim is None and found.loaded is not None:
        claim = local_claim(found.loaded)
    if claim is None:
        raise UsageError(
            "holds no manifest.json, and no manifest here describes it",
            where=repository.location,
            expected="a repository that this tool published, or a manifest for it",
            next_step=f"release import {repository.name}",
        )
    saes = tuple(claim.saes.values())
    names = [f"{spec.sae_id}/{name}" for spec in saes for name in (SAE_CONFIG, SAE_WEIGHTS)]
    missing = [name for name in names if name not in repository.files]
    if missing:
        raise IncompleteRepository(
            f"lacks {len(missing)} files that the manifest names, such as {missing[0]}",
            where=repository.location,
            expected="the files of every SAE, since users of SAELens load what the registry lists",
            next_step="make them with `release retrain`, or take the SAEs out of the manifest",
        )
    repository.prefetch(name for name in names if name.endswith(SAE_CONFIG))
    report = published_report(repository)
    sha256 = {name: repository.sha256(name) for name in names} if report else {}
    return registry_entry(claim.manifest, saes, report, sha256, neuronpedia_model=neuronpedia_model)
