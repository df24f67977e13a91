"""A probe that is fitted on some vectors and judged on others, as of another precision."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from validators.metrics.undefined import UndefinedMetric

_ALPHAS = tuple(float(alpha) for alpha in np.logspace(-1, 5, 7))


def transferred_accuracies(
    x: NDArray[np.floating[Any]],
    y: NDArray[np.bool_],
    tests: tuple[tuple[NDArray[np.floating[Any]], NDArray[np.bool_]], ...],
) -> tuple[float, ...]:
    """Balanced accuracy on each test set of one ridge probe that is fitted once, no unit.

    scikit-learn's RidgeClassifierCV on standardised columns with classes weighted to be equal; the
    penalty is chosen by leave-one-out among seven, on the fitted vectors alone.

    Args:
        x: [n, d] vectors or latents to fit on.
        y: [n] their labels.
        tests: pairs of vectors [m, d] and labels [m].

    Raises:
        UndefinedMetric: one of the label sets holds one class only, or a number is not finite.
    """
    from sklearn.linear_model import RidgeClassifierCV
    from sklearn.metrics import balanced_accuracy_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    for labels in (y, *(own for _, own in tests)):
        if len(labels) == 0 or labels.all() or not labels.any():
            raise UndefinedMetric("all vectors of a part have one label, so nothing is told apart")
    if not all(np.isfinite(part).all() for part in (x, *(own for own, _ in tests))):
        raise UndefinedMetric("a latent is not finite")
    varies = x.max(axis=0) > x.min(axis=0)
    if not varies.any():
        raise UndefinedMetric("no latent varies over the vectors that the probe is fitted on")
    probe = make_pipeline(
        StandardScaler(), RidgeClassifierCV(alphas=_ALPHAS, class_weight="balanced")
    )
    probe.fit(x[:, varies].astype(np.float64), y)
    return tuple(
        float(balanced_accuracy_score(labels, probe.predict(own[:, varies].astype(np.float64))))
        for own, labels in tests
    )
