"""A linear probe's numbers as measurements, and as arrays that can be kept and compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from validators.evidence.activations import Vectors
from validators.measuring.labelled import Labelled
from validators.measuring.settings import Settings
from validators.metrics.folds import grouped_folds
from validators.metrics.linear_probe import Probe, linear_probe
from validators.metrics.undefined import UndefinedMetric
from validators.report import Measurement

_PREFIX = "probe_"
UNIT = "completions"
# Of a balanced accuracy, whatever the classes' sizes.
_CHANCE = 0.5
_OUT_OF_FOLD = "undefined in every fold: none holds both classes"


def probed(x: Vectors, rows: Labelled, settings: Settings) -> Probe:
    """The probe on vectors or latents x [n, d] of the labelled completions.

    Raises:
        UndefinedMetric: see `grouped_folds` and `linear_probe`.
    """
    measure = settings.measure
    folds = grouped_folds(rows.y, rows.groups, n_folds=measure.folds, seed=measure.seed)
    return linear_probe(
        x, rows.y, rows.groups, folds, seed=measure.seed, n_permutations=measure.permutations
    )


def probe_measurements(probe: Probe) -> dict[str, Measurement]:
    """The probe's part of a table."""
    return {
        "probe_balanced_accuracy": Measurement(
            value=probe.balanced_accuracy,
            n=probe.n,
            spread=probe.spread,
            # The one of the two that was tested has it.
            p_value=probe.p_value if probe.auroc is None else None,
        ),
        "probe_auroc": Measurement(
            value=probe.auroc,
            n=probe.n,
            spread=probe.auroc_spread,
            p_value=None if probe.auroc is None else probe.p_value,
            reason=_OUT_OF_FOLD if probe.auroc is None else None,
        ),
        "probe_chance": Measurement(
            value=_CHANCE,
            n=len(probe.null),
            unit="permutations",
            low=probe.chance_low,
            high=probe.chance_high,
        ),
        "majority_share": Measurement(value=probe.majority_share, n=probe.n),
    }


def unprobed(error: UndefinedMetric) -> dict[str, Measurement]:
    """The same where there is no probe."""
    names = ("probe_balanced_accuracy", "probe_auroc", "probe_chance", "majority_share")
    return {name: Measurement(value=None, n=0, reason=error.what) for name in names}


def arrays_of(probe: Probe) -> dict[str, NDArray[Any]]:
    """Every field of a probe as an array, for `numpy.savez`."""
    fields = {name: value for name, value in vars(probe).items() if value is not None}
    return {_PREFIX + name: np.asarray(value) for name, value in fields.items()}


def probe_of(arrays: Mapping[str, NDArray[Any]]) -> Probe | None:
    """The inverse of `arrays_of`; None where there is none among the arrays."""
    fields: dict[str, Any] = {
        name.removeprefix(_PREFIX): array
        for name, array in arrays.items()
        if name.startswith(_PREFIX)
    }
    if not fields:
        return None
    plain = {name: value.item() for name, value in fields.items() if value.ndim == 0}
    missing = dict.fromkeys(("spread", "auroc", "auroc_spread"))
    strengths = tuple(float(value) for value in fields.pop("strengths"))
    return Probe(**{**missing, **fields, **plain, "strengths": strengths})
