"""What a probe finds in the raw activations of each layer that has SAEs."""

from __future__ import annotations

import json
from dataclasses import dataclass

from manifests.progress import Progress
from validators.evidence.completions import CompletionEvidence
from validators.measuring.kept_results import KeptResults, Result
from validators.measuring.labelled import Labelled, mean_by_owner, ordinary_vectors
from validators.measuring.probing import arrays_of, probe_measurements, probe_of, probed, unprobed
from validators.measuring.settings import Settings
from validators.metrics.linear_probe import Probe
from validators.metrics.undefined import UndefinedMetric
from validators.report import Measurement
from validators.subjects import RepositorySubject, SaeSubject


@dataclass(frozen=True)
class MeasuredLayer:
    """The raw probe of one layer; `probe` is None where `metrics` say why there is none."""

    metrics: dict[str, Measurement]
    probe: Probe | None


def measured_layers(
    subject: RepositorySubject,
    evidence: CompletionEvidence,
    rows: Labelled,
    settings: Settings,
    kept: KeptResults,
    progress: Progress,
) -> dict[str, MeasuredLayer]:
    """The raw probe of every layer, by the layer's number, in the order of the layers.

    Raises:
        NoEvidence: the base model or the data cannot be read.
    """
    by_layer: dict[int, SaeSubject] = {}
    for sae in subject.saes:
        if sae.spec is not None:
            by_layer.setdefault(sae.spec.layer, sae)
    layers = {}
    with progress.task("probing raw activations", total=len(by_layer)) as task:
        for layer, sae in sorted(by_layer.items()):
            depends_on = {
                **settings.shared(),
                "rows": rows.digest,
                "hook": sae.claimed.hf_hook_name,
            }

            def make(sae: SaeSubject = sae) -> Result:
                return _probed(evidence, sae, rows, settings)

            result = kept.get(depends_on, make)
            metrics = json.loads(result.text)
            layers[str(layer)] = MeasuredLayer(
                metrics={name: Measurement(**value) for name, value in metrics.items()},
                probe=probe_of(result.arrays),
            )
            task.advance()
    return layers


def _probed(
    evidence: CompletionEvidence, sae: SaeSubject, rows: Labelled, settings: Settings
) -> Result:
    vectors, owners = ordinary_vectors(evidence, sae, rows.rows)
    try:
        probe = probed(mean_by_owner(vectors, owners, len(rows)), rows, settings)
    except UndefinedMetric as error:
        metrics, arrays = unprobed(error), {}
    else:
        metrics, arrays = probe_measurements(probe), arrays_of(probe)
    text = {name: found.model_dump(mode="json") for name, found in metrics.items()}
    return Result(json.dumps(text), arrays)
