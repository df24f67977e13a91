"""The whole way of one manifest, from training to the push. Each stage skips what is done."""

from __future__ import annotations

from dataclasses import dataclass

from cards.stage import render
from manifests.build_folder import BuildFolder
from manifests.errors import ReleaseError
from manifests.load import LoadedManifest
from manifests.progress import Progress
from release.hub_connection import HubConnection
from release.measuring import measure_release
from release.publishing.push import PushOptions, Receipt, push
from release.served_copy import HubServing
from release.training_options import TrainingOptions, train
from validators.options import ValidateOptions
from validators.report import Report
from validators.stage import validate_build


class ChecksFailed(ReleaseError):
    """The pipeline stops before the card, since a check failed."""


@dataclass(frozen=True)
class Released:
    """What a run of the whole pipeline ended with."""

    report: Report
    receipt: Receipt


def make_and_check(
    loaded: LoadedManifest,
    build: BuildFolder,
    connection: HubConnection,
    *,
    training: TrainingOptions,
    progress: Progress,
) -> Report:
    """Train what is missing, check everything and compute the tables, up to the report.

    The tables are computed where the data has labels and no check failed.
    """
    progress.note("== retrain: the SAEs from the manifest")
    train(loaded, build, training, progress=progress)
    progress.note("== validate: every check, and what each SAE does to its base model")
    options = ValidateOptions(
        base_model=training.base_model,
        hub=HubServing(connection),
        keep_vectors=build.vectors,
    )
    report = validate_build(loaded, build, tier="activations", options=options, progress=progress)
    has_failed = report.checks is None or report.checks.count("failed", "crashed")
    if has_failed or loaded.manifest.data.text is not None:
        return report
    progress.note("== measure: the tables of the card")
    measured = measure_release(
        loaded,
        build,
        base_model=training.base_model,
        device=training.device,
        progress=progress,
    )
    return measured.report


def publish(
    loaded: LoadedManifest,
    build: BuildFolder,
    report: Report,
    connection: HubConnection,
    *,
    public: bool,
    base_model: str | None = None,
    progress: Progress,
) -> Released:
    """Render the card from a good report, run its code, push, and read back.

    `base_model` is what the card's code runs on, as `push` takes it.

    Raises:
        ChecksFailed: the report has a failure; no card is rendered and nothing is sent.
    """
    n_failed = report.checks.count("failed", "crashed") if report.checks else 0
    if n_failed:
        raise ChecksFailed(
            f"{n_failed} checks failed, so nothing was pushed",
            where=loaded.manifest.repo_id,
            expected="a release without failures",
            next_step="mend what the failures above name, then run the same command again",
        )
    progress.note("== render: the card")
    render(loaded, build, progress=progress)
    progress.note("== push: the card's code, then one commit, then everything read back")
    options = PushOptions(public=public, base_model=base_model)
    receipt = push(loaded, build, connection, options=options, progress=progress)
    return Released(report, receipt)
