"""The tables of every SAE: run once on the labelled completions, kept, and read again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from manifests.matrix import SaeSpec
from manifests.progress import Progress, Silent
from validators.evaluation import BATCH
from validators.evidence.activations import Vectors
from validators.evidence.completions import CompletionEvidence
from validators.measuring.contrasts import Judged
from validators.measuring.kept_results import KeptResults, Result
from validators.measuring.labelled import Labelled, OwnerMeans, ordinary_vectors
from validators.measuring.probing import arrays_of, probe_measurements, probe_of, probed, unprobed
from validators.measuring.sae_results import effects, seed_metrics, split_metrics, top_features
from validators.measuring.settings import Settings
from validators.metrics.bootstrap import squared_errors, squares_about_mean
from validators.metrics.linear_probe import Probe
from validators.metrics.paired_differences import PerVector
from validators.metrics.reconstruction import cosines
from validators.metrics.undefined import UndefinedMetric
from validators.report import SaeTables
from validators.subjects import RepositorySubject, SaeSubject

# By seed, the folder of SAEs that were trained from it.
Retrained = Mapping[int, Path]


@dataclass(frozen=True)
class MeasuredSae:
    """One SAE's tables, and what comparisons with others need.

    Attributes:
        tables: as the report prints them, without comparisons.
        probe: None where the tables say why there is none.
        judged: what it makes of the held-out vectors of all labels.
        top_latent: with the largest |d| on the training vectors; None where none has a d.
    """

    tables: SaeTables
    probe: Probe | None
    judged: Judged
    top_latent: int | None


@dataclass(frozen=True)
class _Run:
    """Latents [n, d_sae] of the labelled completions, and of each held-out vector some numbers."""

    latents: Vectors
    held_out: PerVector
    groups: NDArray[np.int64]


def measured_saes(
    subject: RepositorySubject,
    evidence: CompletionEvidence,
    rows: Labelled,
    settings: Settings,
    kept: KeptResults,
    retrained: Retrained,
    progress: Progress,
) -> dict[str, MeasuredSae]:
    """Measure every SAE that the manifest names, one in memory at a time.

    Raises:
        NoEvidence: the base model or the data cannot be read.
        ReleaseError: an SAE cannot be loaded.
    """
    saes = [sae for sae in subject.saes if sae.spec is not None]
    measured = {}
    with progress.task("measuring SAEs", total=len(saes)) as task:
        for sae in saes:
            depends_on = {
                **settings.shared(),
                "rows": rows.digest,
                "hook": sae.claimed.hf_hook_name,
                "files": settings.digests_of(sae.sae_id),
                "stability": settings.measure.stability.model_dump(mode="json"),
            }

            def make(sae: SaeSubject = sae) -> Result:
                return _measured(evidence, sae, rows, settings, retrained)

            result = kept.get(depends_on, make)
            measured[sae.sae_id] = _read(result, sae.claimed)
            task.advance()
    return measured


def _measured(
    evidence: CompletionEvidence,
    sae: SaeSubject,
    rows: Labelled,
    settings: Settings,
    retrained: Retrained,
) -> Result:
    vectors, owners = ordinary_vectors(evidence, sae, rows.rows)
    run = _run(sae, vectors, owners, rows)
    arrays: dict[str, NDArray[np.generic]] = {
        "squared_error": run.held_out.squared_error,
        "squares_about_mean": run.held_out.squares_about_mean,
        "l0": run.held_out.l0,
        "cosine": run.held_out.cosine,
        "groups": run.groups,
    }
    try:
        probe = probed(run.latents, rows, settings)
    except UndefinedMetric as error:
        metrics = unprobed(error)
    else:
        metrics = probe_measurements(probe)
        arrays |= arrays_of(probe)
    found = effects(run.latents, rows, settings)
    halves, verdicts = split_metrics(run.latents, rows, settings)
    metrics |= found.metrics | halves
    others = [
        other
        for folder in retrained.values()
        if (folder / sae.sae_id).is_dir()
        for other in [_of_another_seed(sae, folder)]
    ]
    if others:
        latents = [run.latents, *(_run(other, vectors, owners, rows).latents for other in others)]
        decoders = [np.asarray(one.tensors["W_dec"]) for one in (sae, *others)]
        seeds, verdict = seed_metrics(latents, decoders, rows, settings.measure.stability)
        metrics |= seeds
        verdicts |= verdict
    if found.top_latent is not None:
        arrays["top_latent"] = np.array(found.top_latent)
    tables = SaeTables(
        metrics=metrics,
        features=top_features(run.latents, rows, settings),
        verdicts=verdicts,
    )
    sae.release_memory()
    return Result(tables.model_dump_json(), arrays)


def _run(sae: SaeSubject, vectors: Vectors, owners: NDArray[np.int64], rows: Labelled) -> _Run:
    """Run an SAE over the vectors [m, d_in] of the labelled completions."""
    from validators.manual.path_agreement import run_saelens

    is_held_out = rows.is_held_out[owners]
    latents = OwnerMeans(owners, len(rows))
    counts, errors, angles = [], [], []
    for start in range(0, len(vectors), BATCH):
        batch = slice(start, start + BATCH)
        x, chosen = vectors[batch], is_held_out[batch]
        values, x_hat = run_saelens(sae.saelens, x, sae.manual.decodes_latents_alone)
        latents.add(values)
        counts.append(np.count_nonzero(values[chosen], axis=1))
        errors.append(squared_errors(x[chosen], x_hat[chosen]))
        angles.append(cosines(x[chosen], x_hat[chosen]))
    return _Run(
        latents=latents.means(),
        held_out=PerVector(
            squared_error=np.concatenate(errors),
            squares_about_mean=squares_about_mean(vectors[is_held_out]),
            l0=np.concatenate(counts).astype(np.int64),
            cosine=np.concatenate(angles),
        ),
        groups=rows.groups[owners][is_held_out],
    )


def _of_another_seed(sae: SaeSubject, folder: Path) -> SaeSubject:
    from validators.reading.local_repository import LocalRepository

    parent = RepositorySubject(LocalRepository(folder), sae.parent.claim, progress=Silent())
    return SaeSubject(parent, sae.sae_id)


def _read(result: Result, spec: SaeSpec) -> MeasuredSae:
    arrays = result.arrays
    run = PerVector(
        squared_error=arrays["squared_error"],
        squares_about_mean=arrays["squares_about_mean"],
        l0=arrays["l0"],
        cosine=arrays["cosine"],
    )
    top = arrays.get("top_latent")
    return MeasuredSae(
        tables=SaeTables.model_validate_json(result.text),
        probe=probe_of(arrays),
        judged=Judged(spec=spec, run=run, groups=arrays["groups"]),
        top_latent=None if top is None else int(top),
    )
