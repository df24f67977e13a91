"""The stage `portability`: every SAE of a release under several precisions of its base model."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from manifests.build_folder import SAE_CONFIG, SAE_WEIGHTS, BuildFolder
from manifests.digests import file_sha256
from manifests.errors import UsageError
from manifests.load import LoadedManifest
from manifests.progress import Progress
from manifests.tool_version import tool_version
from validators.base_models.named_precisions import (
    NamedPrecision,
    named_precision,
    named_precisions,
    precision_label,
    why_unavailable,
)
from validators.claim import Claim, local_claim
from validators.environment import environment
from validators.inputs import data_digests, repository_digests
from validators.measuring.kept_results import KeptResults
from validators.metrics.precision_shift import ActivationRange
from validators.metrics.undefined import UndefinedMetric
from validators.options import DEFAULTS, ValidateOptions
from validators.portability.claimed_sizes import check_claimed_size
from validators.portability.comparing import shifts_of
from validators.portability.precision_run import MeasuredFiles, PrecisionRun, run_at
from validators.portability.requirements import SETTINGS, settings_digest
from validators.portability.shifts import as_entry
from validators.portability.trained_elsewhere import train_test_matrix
from validators.portability.verdicts import beyond_precision, not_measured
from validators.reading.local_repository import LocalRepository
from validators.report import (
    ClaimedSizeFinding,
    Digests,
    LoadedPrecision,
    Measurement,
    Portability,
    Report,
    Shift,
    former_report,
)
from validators.subjects import RepositorySubject

PORTABILITY_VERSION = 1


def measure_portability(
    loaded: LoadedManifest,
    build: BuildFolder,
    *,
    precisions: Sequence[str] = (),
    options: ValidateOptions = DEFAULTS,
    retrained: Mapping[str, Path] | None = None,
    progress: Progress,
) -> Report:
    """Run a build's SAEs on their base model at several precisions, and write `report.json`.

    The base model is loaded once for each precision, one after another; the held-out data goes
    through each. What was read is kept, so that a further precision costs what that one costs. With
    `options.only` nothing is written.

    Args:
        loaded: the manifest; its `portability` has limits and default precisions.
        build: where the SAEs lie.
        precisions: names such as `nf4-dq:fp16`; none: those of the manifest.
        options: `only`, `base_model`, `device` and `keep_vectors` are heeded.
        retrained: by precision's label, a folder of SAEs that were trained at it; with any, each
            is tested at every precision.
        progress: told how far it is.

    Raises:
        UsageError: a precision has no such name, or the SAEs' own cannot be run here.
        NoSuchRepository: nothing was built yet.
        NoEvidence: the data or the base model cannot be read.
    """
    run = _Run(loaded, build, options, progress)
    section = run.section(precisions or loaded.manifest.portability.precisions, retrained or {})
    report = run.former().model_copy(update={"portability": section})
    if not options.only:
        report.write(build.report_json)
        run.kept.remove_unused()
    return report


class _Run:
    """One call of the stage."""

    def __init__(
        self,
        loaded: LoadedManifest,
        build: BuildFolder,
        options: ValidateOptions,
        progress: Progress,
    ) -> None:
        self.loaded, self.build, self.options, self.progress = loaded, build, options, progress
        self.repository = LocalRepository(build.repository)
        self.claim: Claim = local_claim(loaded)
        self.kept = KeptResults(build.work / "portability")
        self.subject = RepositorySubject(
            self.repository, self.claim, options=options, progress=progress
        )
        self.saes = tuple(sae for sae in self.subject.saes if sae.spec is not None)
        self.own = loaded.manifest.base_model.precision
        asked = {sae.sae_id for sae in self.saes}
        files: dict[str, Digests] = {sae_id: {} for sae_id in asked}
        for path, digest in repository_digests(self.subject).items():
            folder = path.rpartition("/")[0]
            if folder in asked:
                files[folder][path] = digest
        self.files = MeasuredFiles(data_digests(loaded), files)

    def section(self, names: Sequence[str], retrained: Mapping[str, Path]) -> Portability:
        """Everything that can be measured here, and what cannot with the reason."""
        asked = named_precisions(names, trained_at=self.own)
        own = named_precision(precision_label(self.own), trained_at=self.own)
        device = self.options.device
        refused = why_unavailable(own, device)
        if refused is not None:
            raise UsageError(
                f"the SAEs were trained at {own.label}, which cannot be run here: {refused}",
                where="base_model.precision",
                expected="a machine that runs it, since all others are held against it",
            )
        every = (own, *(one for one in asked if one.label != own.label))
        unavailable = {one.label: why_unavailable(one, device) for one in every}
        runs = {
            one.label: self._run(one, is_reference=one is own)
            for one in every
            if unavailable[one.label] is None
        }
        return Portability(
            inputs=self._inputs(retrained),
            environment=self._environment(runs[own.label]),
            trained_at=own.label,
            precisions={
                one.label: _loaded(one, runs.get(one.label), unavailable[one.label])
                for one in every
            },
            saes=self._shifts(runs, own.label, unavailable),
            elsewhere=tuple(
                as_entry(verdict)
                for verdict in beyond_precision(
                    own.label,
                    self.loaded.manifest.base_model.d_model,
                    device,
                    self.loaded.manifest.portability.other_models,
                )
            ),
            claimed=self._claimed(runs),
            retrained=train_test_matrix(self.saes, runs, retrained, self.progress),
        )

    def former(self) -> Report:
        """The report that is there, whose other sections stay; else an empty one."""
        return former_report(self.build.report_json) or Report(
            tool_version=tool_version(),
            repo_id=self.loaded.manifest.repo_id,
            manifest_digest=self.loaded.digest,
            evidence_digest=self.loaded.evidence_digest,
        )

    def _run(self, one: NamedPrecision, *, is_reference: bool) -> PrecisionRun:
        options, folder = self.options, self.options.keep_vectors
        if folder is not None and not is_reference:
            # One folder keeps the vectors of one capture.
            own_folder = folder / one.label.replace(":", "-")
            options = dataclasses.replace(options, keep_vectors=own_folder)
        return run_at(
            one,
            self.repository,
            self.claim,
            options=options,
            files=self.files,
            kept=self.kept,
            is_reference=is_reference,
            progress=self.progress,
        )

    def _shifts(
        self,
        runs: Mapping[str, PrecisionRun],
        own: str,
        unavailable: Mapping[str, str | None],
    ) -> dict[str, dict[str, Shift]]:
        shifts: dict[str, dict[str, Shift]] = {}
        with self.progress.task("comparing precisions", total=len(self.saes)) as task:
            for sae in self.saes:
                found = shifts_of(sae, runs, own, inputs=self.files.of(sae.sae_id), kept=self.kept)
                shifts[sae.sae_id] = found | {
                    label: Shift(metrics={}, verdict=as_entry(not_measured(label, reason)))
                    for label, reason in unavailable.items()
                    if reason is not None
                }
                sae.release_memory()
                task.advance()
        return shifts

    def _claimed(self, runs: Mapping[str, PrecisionRun]) -> tuple[ClaimedSizeFinding, ...]:
        """What the manifest says of sizes, for the precisions that were run."""
        found = []
        for claim in self.loaded.manifest.portability.claimed:
            label = named_precision(claim.precision, trained_at=self.own).label
            if label not in runs:
                continue
            try:
                findings = check_claimed_size(claim, runs[label].size)
            except UndefinedMetric as error:
                found.append(ClaimedSizeFinding(precision=label, holds=False, sentence=error.what))
                continue
            found += [
                ClaimedSizeFinding(precision=label, holds=one.holds, sentence=one.sentence)
                for one in findings
            ]
        return tuple(found)

    def _inputs(self, retrained: Mapping[str, Path]) -> Digests:
        own = {path: sha for files in self.files.saes.values() for path, sha in files.items()}
        others = {
            f"precisions/{label}/{sae_id}/{name}": file_sha256(folder / sae_id / name)
            for label, folder in retrained.items()
            for sae_id in sorted(self.files.saes)
            for name in (SAE_CONFIG, SAE_WEIGHTS)
            if (folder / sae_id / name).is_file()
        }
        settings = settings_digest(self.loaded.manifest)
        return own | others | self.files.data | {SETTINGS: settings}

    def _environment(self, reference: PrecisionRun) -> dict[str, str]:
        return {
            **environment(),
            "bitsandbytes": _bitsandbytes(),
            "portability": str(PORTABILITY_VERSION),
            "device": self.options.device,
            "base_model": reference.base_source,
            "base_model_digest": reference.base_digest,
        }


def _loaded(
    named: NamedPrecision, run: PrecisionRun | None, refused: str | None
) -> LoadedPrecision:
    """The size of the weights at one precision, and how large the activations are."""
    weights, _, compute = named.label.partition(":")
    facts = {"weights": weights, "compute": compute or weights}
    if run is None:
        return LoadedPrecision(**facts, refused=refused)
    seen = ActivationRange()
    for vectors in run.held_out.vectors.values():
        seen.add(vectors)
    size = run.size
    return LoadedPrecision(
        **facts,
        metrics={
            "bits_per_parameter": Measurement(value=size.whole(), n=size.n_parameters, unit="bits"),
            "bits_per_quantised_parameter": _quantised(run),
            "weights_bytes": Measurement(value=size.n_bytes, n=size.n_parameters, unit="bytes"),
            "largest_activation": _range(seen.largest, seen.n, "activation"),
            "share_of_fp16_range": _range(seen.share_of_fp16, seen.n, ""),
            "vectors_not_finite": Measurement(
                value=seen.n_not_finite, n=seen.n, split="held_out", unit="vectors"
            ),
        },
    )


def _quantised(run: PrecisionRun) -> Measurement:
    n = sum(kind.n_parameters for kind in run.size.kinds if kind.is_quantised)
    try:
        return Measurement(value=run.size.quantised(), n=n, unit="bits")
    except UndefinedMetric as error:
        return Measurement(value=None, n=n, unit="bits", reason=error.what)


def _range(compute: Callable[[], float], n: int, unit: str) -> Measurement:
    try:
        return Measurement(value=compute(), n=n, split="held_out", unit=unit)
    except UndefinedMetric as error:
        return Measurement(value=None, n=n, split="held_out", unit=unit, reason=error.what)


def _bitsandbytes() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("bitsandbytes")
    except PackageNotFoundError:
        return "not installed"
