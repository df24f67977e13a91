"""Which SAEs tell the labels apart better than the raw activations do."""

from __future__ import annotations

from collections.abc import Mapping

from validators.measuring.labelled import Labelled
from validators.measuring.layers import MeasuredLayer
from validators.measuring.saes import MeasuredSae
from validators.measuring.settings import Settings
from validators.metrics.linear_probe import Probe, peak_p_value
from validators.metrics.paired_tests import Comparison, compare_probes, holm
from validators.metrics.undefined import UndefinedMetric
from validators.report import Measurement, SaeTables

_NO_RAW = "there is no probe on the raw activations to compare with"
_NO_OWN = "there is no probe on the SAE's latents"


def peak_layer(layers: Mapping[str, MeasuredLayer]) -> str | None:
    """The layer whose raw probe is best, the first of equal ones; None where none has a probe."""
    probes = _probes(layers)
    return max(probes, key=lambda name: probes[name].tested) if probes else None


def peak(layers: Mapping[str, MeasuredLayer]) -> Measurement | None:
    """What the best layer's probe reaches, against the best of the same layers by chance."""
    probes = _probes(layers)
    if not probes:
        return None
    best = max(probes.values(), key=lambda probe: probe.tested)
    p_value = peak_p_value(list(probes.values()))
    return Measurement(value=best.tested, n=best.n, p_value=p_value)


def _probes(layers: Mapping[str, MeasuredLayer]) -> dict[str, Probe]:
    return {name: layer.probe for name, layer in layers.items() if layer.probe is not None}


def compared(
    layers: Mapping[str, MeasuredLayer],
    saes: Mapping[str, MeasuredSae],
    rows: Labelled,
    settings: Settings,
) -> dict[str, SaeTables]:
    """The tables of each SAE with its differences to its own layer and to the peak.

    The p-values of all SAEs are adjusted together, for each of the two questions.
    """
    best = peak_layer(layers)
    of_peak = None if best is None else layers[best].probe
    of_layer = {sae_id: layers[str(sae.judged.spec.layer)].probe for sae_id, sae in saes.items()}
    beats = {
        "beats_layer": _differences(saes, of_layer, rows, settings),
        "beats_peak": _differences(saes, dict.fromkeys(saes, of_peak), rows, settings),
    }
    return {
        sae_id: sae.tables.model_copy(
            update={
                "metrics": sae.tables.metrics
                | {name: found[sae_id] for name, found in beats.items()}
            }
        )
        for sae_id, sae in saes.items()
    }


def _differences(
    saes: Mapping[str, MeasuredSae],
    raw: Mapping[str, Probe | None],
    rows: Labelled,
    settings: Settings,
) -> dict[str, Measurement]:
    """Balanced accuracy of each SAE's probe minus that of a raw one, with Holm's correction."""
    found: dict[str, Comparison] = {}
    reasons: dict[str, str] = {}
    for sae_id, sae in saes.items():
        own, other = sae.probe, raw[sae_id]
        if own is None or other is None:
            reasons[sae_id] = _NO_OWN if own is None else _NO_RAW
            continue
        try:
            found[sae_id] = compare_probes(
                other, own, rows.y, rows.groups, seed=settings.measure.seed
            )
        except UndefinedMetric as error:
            reasons[sae_id] = error.what
    corrected = dict(zip(found, holm([one.p_value for one in found.values()]), strict=True))
    undefined = {
        sae_id: Measurement(value=None, n=len(rows), reason=reason)
        for sae_id, reason in reasons.items()
    }
    return undefined | {
        sae_id: Measurement(
            value=one.difference.value,
            n=len(rows),
            low=one.difference.low,
            high=one.difference.high,
            p_value=corrected[sae_id],
        )
        for sae_id, one in found.items()
    }
