"""A build from weights that were published before: fetched, mended, and placed to be checked."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from manifests.build_folder import SAE_CONFIG, SAE_WEIGHTS, BuildFolder
from manifests.digests import file_sha256
from manifests.load import LoadedManifest, load_manifest
from manifests.progress import Progress
from release.adopted import is_adopted, required_tiers
from release.hub_connection import HubConnection
from release.mending import mend_copy
from release.targets import ManifestTarget, Target
from release.validation import Found
from validators.presenting.tally import counted
from validators.reading.hub_repository import HubRepository
from validators.reading.local_repository import LocalRepository
from validators.reading.repository import Repository

if TYPE_CHECKING:
    from validators.mending.mend import Mended


@dataclass(frozen=True)
class Adopted:
    """A build made of published weights.

    Attributes:
        found: the build, to be checked.
        mended: what was mended and what was left.
        n_kept: SAEs whose weights have the bytes that were published.
        n_weights: SAEs of the manifest.
    """

    found: Found
    mended: Mended
    n_kept: int
    n_weights: int

    @property
    def told(self) -> str:
        """One line on the weights."""
        n_weights = counted(self.n_weights, "SAE")
        return f"the weights of {self.n_kept} of {n_weights} are kept as they were"


def adoption_of(target: Target, builds: Path) -> Adoption | None:
    """The adoption that a target stands for; None where its weights are not adopted.

    Args:
        target: what the command line names.
        builds: where builds lie.
    """
    if not isinstance(target, ManifestTarget):
        return None
    loaded = load_manifest(target.path)
    build = BuildFolder(builds / loaded.name)
    return Adoption(loaded, build) if is_adopted(loaded, build) else None


@dataclass(frozen=True)
class Adoption:
    """The build of an adopted release, before it is made."""

    loaded: LoadedManifest
    build: BuildFolder

    def published(self, connection: HubConnection) -> Found:
        """The commit that the manifest's `weights` name.

        Raises:
            HubUnavailable: the Hub does not answer, or has no such commit.
        """
        source = self.loaded.manifest.weights
        assert source is not None
        repository = HubRepository(
            source.repo_id,
            revision=source.revision,
            endpoint=connection.endpoint,
            token=connection.token or False,
        )
        return self._found(repository, None)

    def place(self, published: Found, *, progress: Progress) -> Adopted:
        """Put mended copies of the manifest's SAEs into the build.

        Whatever else the repository holds stays where it is. A card and a report in the build stay
        until they are made anew.

        Args:
            published: what `published` found.
            progress: told how far it is.

        Raises:
            HubUnavailable: the Hub stopped answering.
        """
        copy = self.build.work / "mended"
        # What a killed run left behind may lack files.
        shutil.rmtree(copy, ignore_errors=True)
        _, mended = mend_copy(published, copy, progress=progress)
        same = [
            file_sha256(copy / path) == file_sha256(published.repository.fetch(path))
            for path in self._paths(SAE_WEIGHTS)
            if path in published.repository.files and (copy / path).is_file()
        ]
        paths = [*self._paths(SAE_CONFIG), *self._paths(SAE_WEIGHTS)]
        # A file that the copy lacks is named by the checks.
        for path in [path for path in paths if (copy / path).is_file()]:
            place = self.build.repository / path
            place.parent.mkdir(parents=True, exist_ok=True)
            (copy / path).replace(place)
        shutil.rmtree(copy, ignore_errors=True)
        return Adopted(
            found=self._found(LocalRepository(self.build.repository), self.build),
            mended=replace(mended, out=self.build.repository),
            n_kept=sum(same),
            n_weights=len(self.loaded.saes),
        )

    def _found(self, repository: Repository, build: BuildFolder | None) -> Found:
        tier = required_tiers(self.loaded, self.build)[-1]
        return Found(repository, self.loaded, build, tier, self.loaded.name)

    def _paths(self, name: str) -> list[str]:
        return [f"{spec.sae_id}/{name}" for spec in self.loaded.saes]
