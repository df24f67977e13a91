"""Whether a release may go out: its report is good, complete, and about these very bytes."""

from __future__ import annotations

from typing import get_args

from cards.stage import stale_files
from manifests.build_folder import SAE_CONFIG, SAE_WEIGHTS, BuildFolder
from manifests.errors import ReleaseError
from manifests.load import LoadedManifest
from release.release_files import ReleaseFile
from validators.portability.requirements import out_of_date, unmet_requirements
from validators.report import Report, Tier, read_report


class NotReady(ReleaseError):
    """A push is refused; lists every reason."""


class NotChecked(NotReady):
    """A push is refused only because something required was not checked."""

    exit_code = 3


def require_ready(
    loaded: LoadedManifest, build: BuildFolder, files: dict[str, ReleaseFile]
) -> None:
    """Refuse a release that was not checked, failed, or changed since.

    Raises:
        NotReady: a check failed or crashed, or the report or card is for other bytes.
        NotChecked: nothing failed, but a required check was skipped or a tier never ran.
        UnreadableReport: there is no readable report.
    """
    report = read_report(build.report_json)
    failures = [*_stale_report(loaded, report, files), *_failures(report)]
    failures += [f"{name} is not what rendering gives now" for name in stale_files(loaded, build)]
    gaps = _gaps(report)
    for unmet in unmet_requirements(loaded.manifest, report.portability):
        (failures if unmet.was_measured else gaps).append(f"portability: {unmet.sentence}")
    if report.portability is not None:
        sha256 = {path: file.sha256 for path, file in files.items()}
        failures += [
            f"portability: {reason}; measure it again with release portability"
            for reason in out_of_date(loaded, report.portability, sha256)
        ]
    if not failures and not gaps:
        return
    error_type = NotReady if failures else NotChecked
    raise error_type(
        "the release may not be pushed:\n" + "\n".join(f"  - {r}" for r in failures + gaps),
        where=loaded.manifest.repo_id,
        expected="every check passed on the very bytes that would be pushed",
        next_step=f"release run {loaded.path}",
    )


def _stale_report(
    loaded: LoadedManifest, report: Report, files: dict[str, ReleaseFile]
) -> list[str]:
    reasons = []
    if report.manifest_digest != loaded.digest:
        reasons.append("report.json was made for another state of the manifest")
    checked = report.checks.inputs if report.checks else {}
    for spec in loaded.saes:
        for name in (f"{spec.sae_id}/{SAE_CONFIG}", f"{spec.sae_id}/{SAE_WEIGHTS}"):
            if checked.get(name) != files[name].sha256:
                reasons.append(f"{name} is not the file that was checked")
    return reasons


def _failures(report: Report) -> list[str]:
    outcomes = report.checks.outcomes if report.checks else ()
    return [
        f"{outcome.code} {outcome.outcome} on {outcome.subject or 'the repository'}: "
        f"{outcome.found}"
        for outcome in outcomes
        if outcome.outcome in ("failed", "crashed")
    ]


def _gaps(report: Report) -> list[str]:
    if report.checks is None or not report.checks.outcomes:
        return ["nothing was checked"]
    tiers = set(get_args(Tier)) - set(report.checks.tiers)
    return [f"the tier {tier} was not run" for tier in sorted(tiers)] + [
        f"{outcome.code} was skipped on {outcome.subject or 'the repository'}: {outcome.found}"
        for outcome in report.checks.outcomes
        if outcome.outcome == "skipped" and outcome.required
    ]
