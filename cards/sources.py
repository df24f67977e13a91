"""The files a card is made of, read together and held against each other.

A card never mixes a report with weights it did not look at: the report must be of what the manifest
claims, and it must have measured the very files that the training record names, in each of its
sections. Without a training record the weights are somebody else's, and the report alone names
them. Without both, the card says what the manifest says, and that nothing was measured.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from cards.made_files import MadeFiles
from cards.overrides import read_overrides
from cards.sections import portability_sources, table_sources
from manifests.build_folder import SAE_CONFIG, SAE_WEIGHTS, BuildFolder
from manifests.digests import file_sha256
from manifests.errors import ReleaseError
from manifests.load import LoadedManifest
from manifests.tool_version import tool_version
from validators.report import Checks, Measurements, Portability, Report, Tables, read_report
from validators.training_record import TrainingRecord, read_training_record


class SourcesDisagree(ReleaseError):
    """Manifest, report and training record do not describe the same weights; all differences."""


@dataclass(frozen=True)
class Sources:
    """What a card is rendered from; equal sources give equal bytes.

    The digests are hex SHA-256 of the bytes of `report.json` and `training.json`, None without the
    file; `overrides` are the user's own partials (`cards.overrides`). There is no training record
    without a report.
    """

    loaded: LoadedManifest
    report: Report | None
    training: TrainingRecord | None
    report_digest: str | None
    training_digest: str | None
    tool_version: str
    overrides: dict[str, str] = field(default_factory=dict)

    @property
    def has_measurements(self) -> bool:
        """Whether SAEs were measured; a report of checks alone measured none."""
        return self.report is not None and self.report.measurements is not None

    @property
    def measurements(self) -> Measurements:
        """The report's section; only where `has_measurements`."""
        assert self.report is not None and self.report.measurements is not None
        return self.report.measurements

    @property
    def checks(self) -> Checks | None:
        """The report's section; None without a report."""
        return None if self.report is None else self.report.checks

    @property
    def tables(self) -> Tables | None:
        """The report's section; None where there is none."""
        return None if self.report is None else self.report.tables

    @property
    def portability(self) -> Portability | None:
        """The report's section; None where there is none."""
        return None if self.report is None else self.report.portability

    @property
    def made(self) -> MadeFiles | None:
        """The SAEs' files by digest, as the nearest source to their making has them."""
        if self.training is not None:
            by_sae = {sae_id: trained.files for sae_id, trained in self.training.saes.items()}
            return MadeFiles("training.json", by_sae)
        if self.report is None:
            return None
        section = self.report.measurements or self.report.checks
        inputs = section.inputs if section else {}
        return MadeFiles(
            "report.json",
            {
                spec.sae_id: {
                    name: inputs[path]
                    for name in (SAE_CONFIG, SAE_WEIGHTS)
                    if (path := f"{spec.sae_id}/{name}") in inputs
                }
                for spec in self.loaded.saes
            },
        )

    def n_vectors(self, condition: str) -> dict[str, int] | None:
        """Vectors of a condition by split (train, held_out); None where they were not counted."""
        return self.measurements.n_vectors.get(condition) if self.has_measurements else None


def read_sources(loaded: LoadedManifest, build: BuildFolder) -> Sources:
    """Read the report and the training record of a build, where there are any.

    Raises:
        UnreadableReport: `report.json` is damaged, or missing beside a training record.
        UnreadableTrainingRecord: `training.json` is damaged.
        SourcesDisagree: they do not belong to this manifest or to each other.
        BadOverride: a partial beside the manifest stands for none of ours.
    """
    has_training = build.training_json.exists()
    # Weights that were made here are measured before anything is said of them.
    has_report = build.report_json.exists() or has_training
    return agreeing(
        Sources(
            loaded=loaded,
            report=read_report(build.report_json) if has_report else None,
            training=read_training_record(build.training_json) if has_training else None,
            report_digest=file_sha256(build.report_json) if has_report else None,
            training_digest=file_sha256(build.training_json) if has_training else None,
            tool_version=tool_version(),
            overrides=read_overrides(loaded),
        )
    )


def agreeing(sources: Sources) -> Sources:
    """The sources, when they agree.

    Raises:
        SourcesDisagree: they do not; every difference is listed.
    """
    made = sources.made
    if sources.report is None or made is None:
        return sources
    problems = [*_missing_sections(sources, sources.report)] or [
        *_different_saes(sources),
        *_different_files(sources, made),
        *_different_counts(sources),
    ]
    loaded = sources.loaded
    by_command = {
        "release validate MANIFEST": problems,
        table_sources.MADE_BY: [*table_sources.different_tables(loaded, made, sources.tables)],
        portability_sources.MADE_BY: [
            *portability_sources.different_portability(loaded, made, sources.portability)
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


def _missing_sections(sources: Sources, report: Report) -> Iterator[str]:
    # A report holds as long as what it rests on is the same: of another wording it says the same.
    is_of_this = report.manifest_digest == sources.loaded.digest or (
        report.evidence_digest == sources.loaded.evidence_digest
    )
    if not is_of_this:
        yield (
            f"the report is of the manifest {report.manifest_digest}, "
            f"the manifest now is {sources.loaded.digest}"
        )
    # Weights of somebody else may be checked without data to measure them on.
    needed = ("checks",) if sources.training is None else ("checks", "measurements")
    for section in needed:
        if getattr(report, section) is None:
            yield f"the report has no section {section}"


def _different_saes(sources: Sources) -> Iterator[str]:
    wanted = {spec.sae_id for spec in sources.loaded.saes}
    found_in = {}
    if sources.has_measurements:
        found_in["report.json"] = set(sources.measurements.saes)
    if sources.training is not None:
        found_in["training.json"] = set(sources.training.saes)
    for name, found in found_in.items():
        for sae_id in sorted(wanted - found):
            yield f"{name} lacks the SAE {sae_id}"
        for sae_id in sorted(found - wanted):
            yield f"{name} has the SAE {sae_id}, which the manifest does not name"


def _different_files(sources: Sources, made: MadeFiles) -> Iterator[str]:
    inputs = sources.measurements.inputs if sources.has_measurements else {}
    for sae_id, files in sorted(made.by_sae.items()):
        for name in (SAE_CONFIG, SAE_WEIGHTS):
            digest, measured = files.get(name), inputs.get(f"{sae_id}/{name}")
            if digest is None:
                yield f"{made.named_by} has no digest of {sae_id}/{name}"
            elif sources.training is None:
                continue
            elif measured is None:
                yield f"the measurements name no digest of {sae_id}/{name}"
            elif measured != digest:
                yield (
                    f"the measurements are of {sae_id}/{name} with the digest {measured}, "
                    f"training.json has {digest}"
                )


def _different_counts(sources: Sources) -> Iterator[str]:
    if sources.training is None:
        return
    for condition in sorted({spec.condition for spec in sources.loaded.saes}):
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
