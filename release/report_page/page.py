"""What the page of one repository says, and its line in the overview."""

from __future__ import annotations

import re
from dataclasses import dataclass

from cards import numbers
from cards.sections.reported_facts import AREAS, reported_value
from manifests.facts import Reported
from release.report_page.details import Detail, details_of
from release.report_page.figures import CardFigure
from release.report_page.findings import Findings, findings_of
from release.report_page.hub_state import HubState
from release.report_page.notice import Notice
from release.report_page.origins import Origins, origins_of
from release.report_page.plot_data import plot_data
from release.report_page.rows import SaeTable, sae_table
from release.report_page.sources import PageSource
from validators.presenting.closing import closing_sentence

_REPO_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)


@dataclass(frozen=True)
class Decision:
    """What the checks come to.

    `kind` is as of an outcome, or `unknown`; `word` is for a table, `sentence` for the page.
    """

    kind: str
    word: str
    sentence: str


@dataclass(frozen=True)
class ReportedNumber:
    """A number that was read elsewhere, as its source gives it."""

    name: str
    metric: str
    value: str
    n: str
    source: str


@dataclass(frozen=True)
class RepositoryPage:
    """One repository; `file` is the page's name in the folder `repositories/`.

    `n_measured` is the number of SAEs whose explained variance is known.
    """

    file: str
    title: str
    repo_id: str
    summary: str
    base_model: str
    hub: HubState
    hub_url: str
    decision: Decision
    table: SaeTable
    n_measured: int
    details: tuple[Detail, ...]
    findings: Findings | None
    figures: tuple[CardFigure, ...]
    origins: Origins
    reported: tuple[ReportedNumber, ...]
    notices: tuple[Notice, ...]
    plot_data: dict[str, object]

    @property
    def n_saes(self) -> int:
        """How many SAEs the table has."""
        return len(self.table.rows)

    @property
    def last_release(self) -> str:
        """The newest release that the Hub names, or that there is none, or that nobody asked."""
        if self.hub.release:
            return self.hub.release
        return "none" if self.hub.head or self.hub.word == "absent" else "not known"


def repository_page(source: PageSource, hub: HubState, file: str) -> RepositoryPage:
    """Put a page together; nothing is read for it any more."""
    manifest = source.claim.manifest if source.claim else None
    table = sae_table(source)
    checks = source.report.checks if source.report else None
    return RepositoryPage(
        file=file,
        title=manifest.title if manifest else source.repo_id or source.name,
        repo_id=source.repo_id or source.name,
        summary=manifest.summary if manifest else "",
        base_model=manifest.base_model.id if manifest else "not stated",
        hub=hub,
        hub_url=_hub_url(source.repo_id, hub),
        decision=_decision(source),
        table=table,
        n_measured=sum(row.explained_variance.value is not None for row in table.rows),
        details=details_of(source, table),
        findings=findings_of(checks) if checks is not None and checks.outcomes else None,
        figures=source.figures,
        origins=origins_of(source),
        reported=tuple(_reported(fact) for fact in manifest.reported) if manifest else (),
        notices=source.notices,
        plot_data=plot_data(table),
    )


def _decision(source: PageSource) -> Decision:
    report = source.report
    if report is None:
        return Decision(
            "unknown", "not checked", "Nothing was checked or measured here: there is no report."
        )
    sentence = closing_sentence(report, next_command="use it").removesuffix("; next: use it")
    if report.checks is None or not report.checks.outcomes:
        return Decision("unknown", "not checked", sentence)
    word, kind = {
        0: ("passed", "passed"),
        1: ("failed", "failed"),
        3: ("incomplete", "skipped"),
    }[report.checks.exit_code]
    if word == "passed" and report.checks.count("warned"):
        kind = "warned"
    return Decision(kind, word, sentence)


def _hub_url(repo_id: str | None, hub: HubState) -> str:
    """The repository's address, where a Hub said that there is one; else empty."""
    if repo_id is None or not _REPO_ID.fullmatch(repo_id):
        return ""
    is_there = hub.head is not None and (hub.endpoint or "").startswith(("https://", "http://"))
    return f"{hub.endpoint}/{repo_id}" if is_there else ""


def _reported(fact: Reported) -> ReportedNumber:
    words = {name: words for area in AREAS.values() for name, words in area.items()}
    return ReportedNumber(
        name=fact.name,
        metric=words.get(fact.metric, fact.metric),
        value=str(reported_value(fact)),
        n=str(numbers.count(fact.n)) if fact.n is not None else "not reported",
        source=fact.source,
    )
