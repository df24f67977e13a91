"""What a card and a push are made of, brought from the Hub into a build folder.

A fresh clone has manifests and no weights. This is how it gets those that the manifest names: the
staged ones of `weights`, else the published ones, each with the report and the training record that
lie beside them. Of what rendering and pushing make, only that is fetched which they keep where it
still holds: figures, what came of the card's code, provenance and signature. A report of other
facts is no source for a card, and is left out with what hangs on it.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from manifests.build_folder import SAE_CONFIG, SAE_WEIGHTS, BuildFolder
from manifests.errors import ReleaseError
from manifests.load import LoadedManifest
from manifests.progress import Progress
from release.hub_connection import HubConnection, hub_errors_explained
from release.provenance.model_signature import SIGNATURE
from release.provenance.statement import PROVENANCE
from release.validation import refuse_large_download
from validators.reading.hub_repository import HubRepository
from validators.report import UnreadableReport, read_report

_REPORT, _TRAINING = "report.json", "training.json"
_DOCUMENTS = (_REPORT, _TRAINING, "card.json")
_FIGURES = "figures"


class NothingToFetch(ReleaseError):
    """Neither the staged weights nor the repository that a manifest names hold anything of it."""

    exit_code = 3


@dataclass(frozen=True)
class Source:
    """Where a manifest's release lies on the Hub; `revision` None: the head."""

    repo_id: str
    revision: str | None

    def __str__(self) -> str:
        """As TARGET is written."""
        return f"{self.repo_id}@{self.revision}" if self.revision else self.repo_id


@dataclass(frozen=True)
class Fetched:
    """What was brought: from which commit, and how many files of how many bytes."""

    source: Source
    oid: str
    n_files: int
    size_bytes: int


def source_of(loaded: LoadedManifest, *, published: bool) -> Source:
    """Where to fetch a manifest's release from: what is staged, else what is published.

    A card alone is renewed beside `published` weights, whatever is staged.
    """
    staged = loaded.manifest.weights
    if staged is None or published:
        return Source(loaded.manifest.repo_id, None)
    return Source(staged.repo_id, staged.revision)


def is_on_hub(loaded: LoadedManifest, connection: HubConnection, *, published: bool) -> bool:
    """Whether the Hub shows the repository that the release would be fetched from.

    Raises:
        HubUnavailable: the Hub does not answer.
    """
    source = source_of(loaded, published=published)
    with hub_errors_explained(f"looking for {source.repo_id}", connection):
        return connection.api().repo_exists(source.repo_id)


def fetch_release(
    loaded: LoadedManifest,
    build: BuildFolder,
    connection: HubConnection,
    *,
    published: bool,
    cards_only: bool,
    is_large_wanted: bool,
    progress: Progress,
) -> Fetched:
    """Bring a manifest's SAEs, report, training record and figures into its build folder.

    The folder has its name once every file is there, so a fetch that broke off leaves nothing. One
    that is there already keeps its other files.

    Args:
        loaded: the manifest.
        build: its build folder, which holds nothing that was made or measured (`is_unmade`).
        connection: the Hub.
        published: take what is published, whatever is staged.
        cards_only: leave out the SAEs; implies `published`.
        is_large_wanted: whether more than 2 GB of weights may be downloaded.
        progress: told how far it is.

    Raises:
        NothingToFetch: nothing of the manifest lies there.
        HubUnavailable: the Hub does not answer, or has no such repository or revision.
        UsageError: more than 2 GB would be downloaded.
    """
    source = source_of(loaded, published=published or cards_only)
    repository = HubRepository(
        source.repo_id,
        revision=source.revision,
        endpoint=connection.endpoint,
        token=connection.token or False,
    )
    if not (cards_only or is_large_wanted):
        refuse_large_download(repository, only=tuple(spec.sae_id for spec in loaded.saes))
    wanted = list(_wanted(loaded, repository, cards_only=cards_only))
    if not wanted:
        raise NothingToFetch(
            f"holds none of the {len(loaded.saes)} SAEs, and no report",
            where=repository.location,
            expected=f"what {loaded.path} describes",
            next_step=(
                f"release retrain {loaded.path}, or name the staged weights under `weights`"
                if loaded.manifest.weights is None or published or cards_only
                else f"release validate {loaded.path} --fix, which converts what others made"
            ),
        )
    started = build.root / "repository.fetching"
    shutil.rmtree(started, ignore_errors=True)
    with progress.task(f"fetching {source}", total=len(wanted)) as task:
        for path in wanted:
            place = started.joinpath(*PurePosixPath(path).parts)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(repository.fetch(path), place)
            task.advance()
    if why := _report_is_of_something_else(loaded, started):
        progress.note(f"the report of {source} {why}; it is left out, and nothing is measured yet")
        for path in [*wanted]:
            if _hangs_on_the_report(path, cards_only=cards_only):
                started.joinpath(*PurePosixPath(path).parts).unlink()
                wanted.remove(path)
    started.mkdir(parents=True, exist_ok=True)
    _place(started, build.repository)
    size_bytes = sum(repository.size_of(path) for path in wanted)
    return Fetched(source, repository.oid, len(wanted), size_bytes)


def is_unmade(build: BuildFolder) -> bool:
    """Whether a build holds nothing but what rendering writes: no SAE, record or report."""
    if build.report_json.is_file() or build.training_json.is_file():
        return False
    return not any(build.repository.glob(f"*/{SAE_WEIGHTS}"))


def _place(fetched: Path, repository: Path) -> None:
    if not repository.is_dir():
        fetched.replace(repository)
        return
    files = [path for path in sorted(fetched.rglob("*")) if path.is_file()]
    # A build without a report is fetched again, so the report comes last.
    for path in sorted(files, key=lambda path: path.name == _REPORT):
        place = repository / path.relative_to(fetched)
        place.parent.mkdir(parents=True, exist_ok=True)
        path.replace(place)
    shutil.rmtree(fetched)


def _report_is_of_something_else(loaded: LoadedManifest, folder: Path) -> str | None:
    """Why the report that was fetched says nothing of this manifest; None if it does, or is not."""
    path = folder / _REPORT
    if not path.is_file():
        return None
    try:
        report = read_report(path)
    except UnreadableReport as error:
        return error.what
    if report.evidence_digest == loaded.evidence_digest or report.manifest_digest == loaded.digest:
        return None
    return "was made for other facts than the manifest states"


def _hangs_on_the_report(path: str, *, cards_only: bool) -> bool:
    """Whether a file is of no use without the report: a training record is, beside its SAEs."""
    if path == _TRAINING:
        return cards_only
    return path in _DOCUMENTS or path.startswith(f"{_FIGURES}/")


def _wanted(
    loaded: LoadedManifest, repository: HubRepository, *, cards_only: bool
) -> Iterator[str]:
    """The files to fetch, by path_in_repo; what the repository lacks is for the checks to name."""
    names = set(_DOCUMENTS)
    if not cards_only:
        names |= {PROVENANCE, SIGNATURE}
        for spec in loaded.saes:
            names |= {f"{spec.sae_id}/{SAE_CONFIG}", f"{spec.sae_id}/{SAE_WEIGHTS}"}
    for path in repository.files:
        if path in names or PurePosixPath(path).parts[:-1] == (_FIGURES,):
            yield path
