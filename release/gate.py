"""Whether a release may go out: its report is good, complete, and about these very bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cards.block_results import BlockResults, BlockRun
from cards.stage import README, stale_files
from manifests.build_folder import SAE_CONFIG, SAE_WEIGHTS, BuildFolder
from manifests.errors import ReleaseError
from manifests.load import LoadedManifest
from manifests.progress import Silent
from release.adopted import is_adopted, required_tiers
from release.doctor.installation import installation
from validators.options import ValidateOptions
from validators.portability.requirements import out_of_date, unmet_requirements
from validators.reading.local_repository import LocalRepository
from validators.reading.repository import Repository
from validators.report import Report, Tier, read_report
from validators.selection import Selection
from validators.stage import validate

_OF_THE_PAGE = "R"


class NotReady(ReleaseError):
    """A push is refused; lists every reason.

    `reasons` has them one by one.
    """

    def __init__(
        self,
        what: str,
        *,
        reasons: Sequence[str] = (),
        where: str | None = None,
        expected: str | None = None,
        next_step: str | None = None,
    ) -> None:
        """As `ReleaseError`; without reasons, `what` is the only one."""
        super().__init__(what, where=where, expected=expected, next_step=next_step)
        self.reasons = tuple(reasons) or (what,)


class NotChecked(NotReady):
    """A push is refused only because something required was not checked."""

    exit_code = 3


def require_ready(
    loaded: LoadedManifest,
    build: BuildFolder,
    sha256: Mapping[str, str],
    *,
    page: Repository | None = None,
) -> None:
    """Refuse a release that was not checked, failed, or changed since.

    Every tier must have run; of an adopted release without data, all but the activations.

    Args:
        loaded: the manifest.
        build: its build folder.
        sha256: of the release's files, by path_in_repo.
        page: the card among the release's files, where these are not all in the build.

    Raises:
        NotReady: a check failed or crashed, or the report or card is for other bytes.
        NotChecked: nothing failed, but a required check was skipped or a tier never ran.
        UnreadableReport: there is no readable report.
    """
    report = read_report(build.report_json)
    stale = [f"{name} is not what rendering gives now" for name in stale_files(loaded, build)]
    failures = [*_stale_report(loaded, report, sha256), *_failures(report), *stale]
    failures += _failures(_page_report(loaded, page or LocalRepository(build.repository)))
    gaps = _gaps(report, required_tiers(loaded, build))
    for unmet in unmet_requirements(loaded.manifest, report.portability):
        (failures if unmet.was_measured else gaps).append(f"portability: {unmet.sentence}")
    if report.portability is not None:
        failures += [
            f"portability: {reason}; measure it again with release portability"
            for reason in out_of_date(loaded, report.portability, sha256)
        ]
    next_step = f"release run {loaded.path}"
    if stale == failures and not gaps:
        next_step = f"release render {loaded.path}, then push again"
    elif is_adopted(loaded, build):
        next_step = f"release validate {loaded.path}, then: release render {loaded.path}"
    _refuse(
        loaded,
        "the release may not be pushed",
        failures,
        gaps,
        expected="every check passed on the very bytes that would be pushed",
        next_step=next_step,
    )


def require_blocks(loaded: LoadedManifest, results: BlockResults) -> None:
    """Refuse a release whose card has code that does not run.

    Args:
        loaded: the manifest.
        results: of the README.md that would be pushed.

    Raises:
        NotReady: a block failed.
        NotChecked: none failed, but one lacks a package or a repository and was not run.
    """
    failures = [_of_block(run) for run in results.failed]
    gaps = [f"{_of_block(run)} (not run)" for run in results.unchecked]
    _refuse(
        loaded,
        "the card's code does not run",
        failures,
        gaps,
        expected="every Python block of README.md to run, one after the other, as it is printed",
        next_step=(
            f"mend the partial that prints it, then: release render {loaded.path}"
            if failures
            else f"install what is missing: {installation().add_extra('measure')}"
            if any(run.lacks == "package" for run in results.unchecked)
            else "name only the release and its base model in the card's code"
        ),
    )


def _refuse(
    loaded: LoadedManifest,
    what: str,
    failures: Sequence[str],
    gaps: Sequence[str],
    *,
    expected: str,
    next_step: str,
) -> None:
    """Raise with every reason, if there is one.

    Raises:
        NotReady: there are failures.
        NotChecked: there are only gaps.
    """
    reasons = [*failures, *gaps]
    if not reasons:
        return
    raise (NotReady if failures else NotChecked)(
        "\n".join([f"{what}:", *(f"  - {reason}" for reason in reasons)]),
        reasons=reasons,
        where=loaded.manifest.repo_id,
        expected=expected,
        next_step=next_step,
    )


def _of_block(run: BlockRun) -> str:
    begins = f" (block at line {run.line})" if run.error_line not in (0, run.line) else ""
    return f"{README}, line {run.error_line or run.line}{begins}: {run.error}"


def _stale_report(loaded: LoadedManifest, report: Report, sha256: Mapping[str, str]) -> list[str]:
    reasons = []
    # A wording that was mended since leaves all that was checked as it was.
    if loaded.digest != report.manifest_digest and loaded.evidence_digest != report.evidence_digest:
        reasons.append("report.json was made for another state of the manifest")
    checked = report.checks.inputs if report.checks else {}
    for spec in loaded.saes:
        for name in (f"{spec.sae_id}/{SAE_CONFIG}", f"{spec.sae_id}/{SAE_WEIGHTS}"):
            if name not in sha256:
                reasons.append(f"{name} is not on the Hub")
            elif checked.get(name) != sha256[name]:
                reasons.append(f"{name} is not the file that was checked")
    return reasons


def _page_report(loaded: LoadedManifest, page: Repository) -> Report:
    """What the checks of a card say of the page that lies there.

    A report is older than the card that is made from it, so it cannot say this.
    """
    options = ValidateOptions(selection=Selection(select=(_OF_THE_PAGE,)))
    return validate(page, manifest=loaded, tier="static", options=options, progress=Silent())


def _failures(report: Report) -> list[str]:
    outcomes = report.checks.outcomes if report.checks else ()
    return [
        f"{outcome.code} {outcome.outcome} on {outcome.subject or 'the repository'}: "
        f"{outcome.found}"
        for outcome in outcomes
        if outcome.outcome in ("failed", "crashed")
    ]


def _gaps(report: Report, tiers: tuple[Tier, ...]) -> list[str]:
    if report.checks is None or not report.checks.outcomes:
        return ["nothing was checked"]
    not_run = set(tiers) - set(report.checks.tiers)
    return [f"the tier {tier} was not run" for tier in sorted(not_run)] + [
        f"{outcome.code} was skipped on {outcome.subject or 'the repository'}: {outcome.found}"
        for outcome in report.checks.outcomes
        if outcome.outcome == "skipped" and outcome.required
    ]
