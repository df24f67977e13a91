"""The stage `measure`: the section `tables` of a report, from a manifest's own build."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from manifests.build_folder import SAE_CONFIG, SAE_WEIGHTS, BuildFolder
from manifests.digests import file_sha256, json_sha256
from manifests.errors import ReleaseError
from manifests.load import LoadedManifest
from manifests.progress import Progress
from manifests.tool_version import tool_version
from validators.claim import local_claim
from validators.environment import environment
from validators.evidence.completions import CompletionEvidence
from validators.inputs import data_digests, repository_digests
from validators.measuring.comparisons import compared, peak, peak_layer
from validators.measuring.contrasts import contrasts
from validators.measuring.kept_results import KeptResults
from validators.measuring.labelled import labelled
from validators.measuring.layers import measured_layers
from validators.measuring.saes import Retrained, measured_saes
from validators.measuring.settings import TABLES_VERSION, Settings
from validators.measuring.steering import steering_tables
from validators.options import DEFAULTS, ValidateOptions
from validators.reading.local_repository import LocalRepository
from validators.report import Digests, Report, Tables, former_report
from validators.subjects import RepositorySubject

_MEASURE = "manifest:measure"
_BASE_MODEL = "base_model"
_BASE_MODEL_DIGEST = "base_model_digest"


class NothingToMeasure(ReleaseError):
    """The manifest's data has no labels, so none of the tables can be computed."""

    exit_code = 3


@dataclass(frozen=True)
class MeasuredBuild:
    """The report, and how many SAEs and layers were computed anew."""

    report: Report
    n_made: int


def measure_build(
    loaded: LoadedManifest,
    build: BuildFolder,
    *,
    options: ValidateOptions = DEFAULTS,
    retrained: Retrained | None = None,
    progress: Progress,
) -> MeasuredBuild:
    """Compute every table for a manifest's build, and write them into its `report.json`.

    What was computed of an SAE is kept under `work/measured/`, named by all that it depends on, so
    a further SAE costs what that one costs. The other sections of the report stay as they are.
    With `options.only` nothing is written.

    Args:
        loaded: the manifest; its `measure` are the settings.
        build: where the SAEs lie.
        options: `only`, `base_model` and `keep_vectors` are heeded.
        retrained: SAEs of the same recipe and another seed, by seed.
        progress: told how far it is.

    Raises:
        NothingToMeasure: there are no labelled completions.
        NoSuchRepository: nothing was built yet.
        NoEvidence: the data or the base model cannot be read.
    """
    subject = RepositorySubject(
        LocalRepository(build.repository),
        local_claim(loaded),
        options=options,
        progress=progress,
    )
    seeds = retrained or {}
    report = _former_or_empty(build, loaded)
    inputs, versions = _inputs(loaded, subject, seeds), _environment(options)
    if not options.only and _is_current(report.tables, inputs, versions):
        progress.note("measure: report.json has the tables of these files; kept")
        return MeasuredBuild(report, 0)
    kept = KeptResults(build.work / "measured")
    tables = _tables(subject, loaded, kept, seeds, inputs, progress)
    base = subject.evidence.base
    facts = {_BASE_MODEL: base.source, _BASE_MODEL_DIGEST: base.digest}
    tables = tables.model_copy(update={"environment": versions | facts})
    report = report.model_copy(update={"tables": tables})
    if not options.only:
        report.write(build.report_json)
        kept.remove_unused()
    return MeasuredBuild(report, kept.n_made)


def _tables(
    subject: RepositorySubject,
    loaded: LoadedManifest,
    kept: KeptResults,
    retrained: Retrained,
    inputs: Digests,
    progress: Progress,
) -> Tables:
    """Every table of the SAEs that are asked for."""
    evidence = subject.evidence
    if not isinstance(evidence, CompletionEvidence):
        raise NothingToMeasure(
            "the data is text without labels",
            where=str(loaded.path),
            expected="labelled completions, which probes and effect sizes need",
            next_step="release validate measures reconstruction, on text as well",
        )
    settings = Settings(loaded.manifest, evidence.base.digest, inputs)
    rows = labelled(evidence, subject.saes, settings.measure)
    layers = measured_layers(subject, evidence, rows, settings, kept, progress)
    saes = measured_saes(subject, evidence, rows, settings, kept, retrained, progress)
    counts = Counter(row.label for row in rows.rows)
    return Tables(
        inputs=inputs,
        environment={},
        labels={label: counts[label] for label in sorted(counts)},
        n_groups=len(set(rows.groups.tolist())),
        layers={name: layer.metrics for name, layer in layers.items()},
        peak_layer=peak_layer(layers),
        peak=peak(layers),
        saes=compared(layers, saes, rows, settings),
        contrasts=contrasts([sae.judged for sae in saes.values()]),
        steering=steering_tables(subject, evidence, rows, saes, settings, kept, progress),
    )


def _inputs(loaded: LoadedManifest, subject: RepositorySubject, retrained: Retrained) -> Digests:
    """SHA-256 of every file that the tables rest on, and of the manifest's settings."""
    asked = {sae.sae_id for sae in subject.saes}
    own = {
        path: digest
        for path, digest in repository_digests(subject).items()
        if path.rpartition("/")[0] in asked
    }
    of_seeds = {
        f"seeds/{seed}/{sae_id}/{name}": file_sha256(folder / sae_id / name)
        for seed, folder in retrained.items()
        for sae_id in sorted(asked)
        for name in (SAE_CONFIG, SAE_WEIGHTS)
        if (folder / sae_id / name).is_file()
    }
    settings = {_MEASURE: json_sha256(loaded.manifest.measure.model_dump(mode="json"))}
    return own | of_seeds | data_digests(loaded) | settings


def _environment(options: ValidateOptions) -> dict[str, str]:
    asked = options.base_model
    return {
        **environment(),
        "tables": str(TABLES_VERSION),
        "base_model_asked": "as the manifest states" if asked is None else Path(asked).name,
    }


def _is_current(tables: Tables | None, inputs: Digests, versions: dict[str, str]) -> bool:
    return (
        tables is not None
        and tables.inputs == inputs
        and versions.items() <= tables.environment.items()
    )


def _former_or_empty(build: BuildFolder, loaded: LoadedManifest) -> Report:
    """The report that is there, whose other sections stay; else an empty one."""
    return former_report(build.report_json) or Report(
        tool_version=tool_version(),
        repo_id=loaded.manifest.repo_id,
        manifest_digest=loaded.digest,
        evidence_digest=loaded.evidence_digest,
    )
