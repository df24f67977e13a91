"""From a TARGET to what is known of one repository: claim, report, training record, figures.

A page shows what there is. What is missing, damaged, or of other weights becomes a notice on the
page and stops nothing: a person who looks at the page has to see it most of all then.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from cards.sources import read_sources
from manifests.build_folder import BuildFolder
from manifests.digests import bytes_sha256, file_sha256
from manifests.errors import ReleaseError
from manifests.load import LoadedManifest, load_manifest
from release.published_files import MAX_BYTES, REPORT, published_report, published_training
from release.report_page.configs import StatedSae, stated_saes
from release.report_page.figures import CardFigure, figures_of_build, published_figures
from release.report_page.hub_state import HubState, no_answer
from release.report_page.notice import Notice, notice_of, shown_path
from validators.claim import Claim, local_claim, published_claim
from validators.reading.hub_repository import HubRepository
from validators.reading.local_repository import LocalRepository
from validators.reading.repository import HubUnavailable, Repository
from validators.report import Report, read_report
from validators.training_record import TrainingRecord, read_training_record

if TYPE_CHECKING:
    from release.hub_connection import HubConnection

PROVENANCE = "provenance.intoto.json"
SIGNATURE = "model.sig"
_MAX_RECEIPT_BYTES = 10_000_000
_Value = TypeVar("_Value")


@dataclass(frozen=True)
class PageSource:
    """What a page is made of; None is what there is none of.

    Attributes:
        name: a short name, from which the page's file gets its own.
        origin: where it was read, without a path of the machine.
        repo_id: `owner/name`.
        report_digest: hex SHA-256 of the report's bytes.
        stated: what the configs of SAEs say, where no manifest says it.
        statement: `provenance.intoto.json`, as it was read: the word of whoever wrote it.
        is_signed: whether there is a signature, which nobody verified for this page.
        receipt: what the last push from this machine left on the Hub.
        hub: the state against the Hub, where reading it told that.
    """

    name: str
    origin: str
    repo_id: str | None
    claim: Claim | None = None
    report: Report | None = None
    training: TrainingRecord | None = None
    report_digest: str | None = None
    figures: tuple[CardFigure, ...] = ()
    stated: Mapping[str, StatedSae] = field(default_factory=dict)
    statement: Any = None
    is_signed: bool = False
    receipt: Any = None
    notices: tuple[Notice, ...] = ()
    hub: HubState | None = None


@dataclass
class _Notices:
    """Reads what may be damaged, and remembers why it could not be read."""

    found: list[Notice] = field(default_factory=list)

    def attempt(
        self, doing: str, read: Callable[[], _Value | None], *, of_one_file: bool = True
    ) -> _Value | None:
        """What `read` gives; None, and a notice, where it cannot.

        Args:
            doing: what is not on the page then; it names the file, where there is but one.
            read: reads.
            of_one_file: False: the notice has to name the file that could not be read.

        Raises:
            HubUnavailable: the Hub does not answer, which says nothing of the file.
        """
        try:
            return read()
        except HubUnavailable:
            raise
        except ReleaseError as error:
            file = Path(error.where or "")
            is_named = of_one_file or not file.is_file()
            self.found.append(notice_of(error, doing, of="" if is_named else file.name))
            return None


def source_of_manifest(path: Path, build_root: Path) -> tuple[PageSource, LoadedManifest]:
    """A manifest and its build on this machine, where there is one.

    Raises:
        ReleaseError: the manifest cannot be read.
    """
    loaded = load_manifest(path)
    build = BuildFolder(build_root / loaded.name)
    notices = _Notices()
    figures: tuple[CardFigure, ...] = ()
    sources = notices.attempt(
        "No card can be made of the build",
        lambda: read_sources(loaded, build),
        of_one_file=False,
    )
    if sources is not None:
        report, training = sources.report, sources.training
        figures, left_out = figures_of_build(sources, build.repository)
        notices.found += left_out
    else:
        report = _if_there(build.report_json, read_report, notices)
        training = _if_there(build.training_json, read_training_record, notices)
    if report is None and not notices.found:
        notices.found.append(
            Notice(
                "Nothing is checked or measured yet: there is no report of these SAEs here. "
                "What is shown is what the manifest says.",
                f"release validate {shown_path(path)}",
            )
        )
    source = PageSource(
        name=loaded.name,
        origin=f"manifest {loaded.path.name}",
        repo_id=loaded.manifest.repo_id,
        claim=local_claim(loaded),
        report=report,
        training=training,
        report_digest=file_sha256(build.report_json) if report is not None else None,
        figures=figures,
        statement=_json_of(build.repository / PROVENANCE),
        is_signed=(build.repository / SIGNATURE).is_file(),
        receipt=_json_of(build.work / "receipt.json"),
        notices=tuple(notices.found),
    )
    return source, loaded


def source_of_folder(folder: Path) -> PageSource:
    """A folder that holds a repository, or only its report.

    Raises:
        ReleaseError: there is no such folder, or too much in it.
    """
    repository = LocalRepository(folder)
    name = folder.resolve().name or "repository"
    return _source_of(repository, name=name, origin=f"folder {name}")


def source_of_hub(
    repo_id: str, revision: str | None, connection: HubConnection, cache: Path
) -> PageSource:
    """What a repository on the Hub publishes about itself; one that gives no answer has a page too.

    Args:
        repo_id: `owner/name`.
        revision: commit, tag or branch; None: the head.
        connection: the Hub.
        cache: an empty folder for downloads: the client answers from an old one without a word
            when a Hub fails.
    """
    name = f"{repo_id}@{revision[:12]}" if revision else repo_id
    try:
        repository = HubRepository(
            repo_id,
            revision=revision,
            endpoint=connection.endpoint,
            token=connection.token or False,
            cache_dir=cache,
        )
        at = HubState("read there", head=repository.oid, endpoint=connection.endpoint)
        return _source_of(
            repository,
            name=name,
            origin=f"Hub, commit {repository.oid[:12]}",
            repo_id=repo_id,
            hub=at,
        )
    except HubUnavailable as error:
        return PageSource(
            name=name,
            origin="Hub",
            repo_id=repo_id,
            notices=(notice_of(error, "The repository could not be read"),),
            hub=no_answer(error, connection),
        )


def with_published_report(
    source: PageSource, head: str, connection: HubConnection, cache: Path
) -> PageSource:
    """A manifest without a report on this machine, shown by the report that its repository has.

    The page is then of the published release, by its own manifest; where none is published, the
    manifest of this machine stays. A repository without a report changes nothing.
    """
    assert source.repo_id is not None
    published = source_of_hub(source.repo_id, head, connection, cache)
    if published.report is None:
        return source
    return replace(
        published,
        name=source.name,
        claim=published.claim or source.claim,
        receipt=source.receipt,
        hub=None,
    )


def source_of_report(file: Path) -> PageSource:
    """A report that `release validate --format json` wrote, without anything beside it.

    Raises:
        UnreadableReport: it is no report.
    """
    report = read_report(file)
    return PageSource(
        name=file.stem if report.repo_id is None else report.repo_id,
        origin=f"saved report {file.name}",
        repo_id=report.repo_id,
        report=report,
        report_digest=file_sha256(file),
    )


def _source_of(
    repository: Repository,
    *,
    name: str,
    origin: str,
    repo_id: str | None = None,
    hub: HubState | None = None,
) -> PageSource:
    notices = _Notices()
    report = notices.attempt("report.json is not shown", lambda: published_report(repository))
    claim = notices.attempt("manifest.json is not shown", lambda: published_claim(repository))
    training = notices.attempt("training.json is not shown", lambda: published_training(repository))
    figures = notices.attempt("The figures are not shown", lambda: published_figures(repository))
    statement = notices.attempt(f"{PROVENANCE} is not shown", lambda: _statement_of(repository))
    if REPORT not in repository.files:
        notices.found.append(
            Notice(
                "There is no report: nothing says what was checked or measured.",
                "release validate TARGET --format json -o report.json, and "
                "release report report.json",
            )
        )
    return PageSource(
        name=name,
        origin=origin,
        repo_id=repo_id or (report.repo_id if report else None),
        claim=claim,
        report=report,
        training=training,
        report_digest=_digest_of(repository) if report is not None else None,
        figures=figures or (),
        stated=stated_saes(repository) if claim is None else {},
        statement=statement,
        is_signed=SIGNATURE in repository.files,
        notices=tuple(notices.found),
        hub=hub,
    )


def _digest_of(repository: Repository) -> str:
    return bytes_sha256(repository.read_range(REPORT, 0, MAX_BYTES))


def _statement_of(repository: Repository) -> Any:
    return repository.read_json(PROVENANCE) if PROVENANCE in repository.files else None


def _if_there(path: Path, read: Callable[[Path], _Value], notices: _Notices) -> _Value | None:
    return (
        notices.attempt(f"{path.name} is not shown", lambda: read(path)) if path.exists() else None
    )


def _json_of(path: Path) -> Any:
    """A JSON file of this tool's own making; None where it is missing or damaged."""
    try:
        if path.stat().st_size > _MAX_RECEIPT_BYTES:
            return None
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
