"""The three files a card is made of, read together and held against each other.

A card never mixes a report with weights it did not look at: the report must be of this manifest,
and it must have measured the very files that the training record names, in each of its sections.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from cards import portability_sources, table_sources
from cards.overrides import read_overrides
from manifests.build_folder import SAE_CONFIG, SAE_WEIGHTS, BuildFolder
from manifests.digests import file_sha256
from manifests.errors import ReleaseError
from manifests.load import LoadedManifest
from manifests.tool_version import tool_version
from validators.report import Checks, Measurements, Report, read_report
from validators.training_record import TrainingRecord, read_training_record


class SourcesDisagree(ReleaseError):
    """Manifest, report and training record do not describe the same weights; all differences."""


@dataclass(frozen=True)
class Sources:
    """What a card is rendered from; equal sources give equal bytes.

    The digests are hex SHA-256 of the bytes of `report.json` and `training.json`; `overrides` are
    the user's own partials (`cards.overrides`).
    """

    loaded: LoadedManifest
    report: Report
    training: TrainingRecord
    report_digest: str
    training_digest: str
    tool_version: str
    overrides: dict[str, str] = field(default_factory=dict)

    @property
    def measurements(self) -> Measurements:
        """The report's section, which `agreeing` has found to be there."""
        assert self.report.measurements is not None
        return self.report.measurements

    @property
    def checks(self) -> Checks:
        """The report's section, which `agreeing` has found to be there."""
        assert self.report.checks is not None
        return self.report.checks


def read_sources(loaded: LoadedManifest, build: BuildFolder) -> Sources:
    """Read the report and the training record of a build.

    Raises:
        UnreadableReport: `report.json` is missing or damaged.
        UnreadableTrainingRecord: `training.json` is missing or damaged.
        SourcesDisagree: they do not belong to this manifest or to each other.
        BadOverride: a partial beside the manifest stands for none of ours.
    """
    return agreeing(
        Sources(
            loaded=loaded,
            report=read_report(build.report_json),
            training=read_training_record(build.training_json),
            report_digest=file_sha256(build.report_json),
            training_digest=file_sha256(build.training_json),
            tool_version=tool_version(),
            overrides=read_overrides(loaded),
        )
    )


def agreeing(sources: Sources) -> Sources:
    """The sources, when they agree.

    Raises:
        SourcesDisagree: they do not; every difference is listed.
    """
    problems = [*_missing_sections(sources)] or [
        *_different_saes(sources),
        *_different_files(sources),
        *_different_counts(sources),
    ]
    loaded, training, report = sources.loaded, sources.training, sources.report
    by_command = {
        "release validate MANIFEST": problems,
        table_sources.MADE_BY: [*table_sources.different_tables(loaded, training, report.tables)],
        portability_sources.MADE_BY: [
            *portability_sources.different_portability(loaded, training, report.portability)
        ],
    }
    if any(by_command.values()):
        raise SourcesDisagree(
            "; ".join(problem for each in by_command.values() for problem in each),
            where=f"{sources.loaded.name}: report.json, training.json",
            expected="a report of this manifest, measured on the weights that training.json names",
            next_step=", then ".join(name for name, each in by_command.items() if each),
        )
    return sources


def _missing_sections(sources: Sources) -> Iterator[str]:
    report = sources.report
    if report.manifest_digest != sources.loaded.digest:
        yield (
            f"the report is of the manifest {report.manifest_digest}, "
            f"the manifest now is {sources.loaded.digest}"
        )
    for section in ("checks", "measurements"):
        if getattr(report, section) is None:
            yield f"the report has no section {section}"


def _different_saes(sources: Sources) -> Iterator[str]:
    wanted = {spec.sae_id for spec in sources.loaded.saes}
    for name, found in (
        ("report.json", set(sources.measurements.saes)),
        ("training.json", set(sources.training.saes)),
    ):
        for sae_id in sorted(wanted - found):
            yield f"{name} lacks the SAE {sae_id}"
        for sae_id in sorted(found - wanted):
            yield f"{name} has the SAE {sae_id}, which the manifest does not name"


def _different_files(sources: Sources) -> Iterator[str]:
    for sae_id, trained in sorted(sources.training.saes.items()):
        for name in (SAE_CONFIG, SAE_WEIGHTS):
            made = trained.files.get(name)
            measured = sources.measurements.inputs.get(f"{sae_id}/{name}")
            if made is None:
                yield f"training.json has no digest of {sae_id}/{name}"
            elif measured is None:
                yield f"the measurements name no digest of {sae_id}/{name}"
            elif measured != made:
                yield (
                    f"the measurements are of {sae_id}/{name} with the digest {measured}, "
                    f"training.json has {made}"
                )


def _different_counts(sources: Sources) -> Iterator[str]:
    for condition in sorted(_conditions(sources.loaded)):
        counts = sources.training.data.n_vectors.get(condition)
        if counts is None:
            yield f"training.json has no numbers of vectors for the condition {condition}"
            continue
        measured = sources.measurements.n_vectors.get(condition, {})
        for split, trained in (("train", counts.train), ("held_out", counts.held_out)):
            if measured.get(split) != trained:
                yield (
                    f"the condition {condition} has {trained} vectors in the split {split} by "
                    f"training.json, {measured.get(split)} by report.json"
                )


def _conditions(loaded: LoadedManifest) -> set[str]:
    return {spec.condition for spec in loaded.saes}
