"""One SAE on the same held-out vectors at two precisions of its base model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from manifests.measure import Measure
from manifests.portability import PortabilityLimits
from validators.evaluation import BATCH
from validators.evidence.activations import Vectors
from validators.evidence.claimed_data import Part
from validators.evidence.evidence import outlying
from validators.manual.path_agreement import run_saelens
from validators.measuring.labelled import OwnerMeans
from validators.metrics.bootstrap import (
    Estimate,
    explained_variance_interval,
    squared_errors,
    squares_about_mean,
)
from validators.metrics.effect_size import cohens_d
from validators.metrics.latent_overlap import LatentOverlap, mean_of_defined
from validators.metrics.precision_shift import explained_variance_drop, residual_shift
from validators.metrics.probe_transfer import transferred_accuracies
from validators.metrics.undefined import UndefinedMetric
from validators.portability.verdicts import AtPrecision, Number, Verdict, judge
from validators.report import Measurement, RegimeVerdict, Shift
from validators.subjects import SaeSubject

_SPLIT = "held_out"


@dataclass(frozen=True)
class Chosen:
    """The vectors of one SAE at one precision.

    Attributes:
        x: [n, d_in], row by row those of every other precision.
        groups: [n] the document or scenario of each.
        owners: [n] which completion each is of, counted among those that are there.
        y: [completions] whether each has the positive label; empty without two labels.
    """

    x: Vectors
    groups: NDArray[np.int64]
    owners: NDArray[np.int64]
    y: NDArray[np.bool_]


def chosen_vectors(
    part: Part,
    x: Vectors,
    keep: NDArray[np.bool_],
    measure: Measure,
) -> Chosen:
    """The rows to keep of a part's vectors x [n_all, d_in], and the labels of their completions."""
    owners = part.owners[keep]
    present, position = np.unique(owners, return_inverse=True)
    labels = [part.rows[row].label for row in present] if part.rows else []
    is_told = {measure.positive, measure.negative} == set(labels)
    return Chosen(
        x=x[keep],
        groups=part.groups[keep],
        owners=position.astype(np.int64),
        y=np.array([label == measure.positive for label in labels if is_told], dtype=np.bool_),
    )


def rows_of(part: Part, x: Vectors, labels: frozenset[str]) -> NDArray[np.bool_]:
    """[n] which vectors x [n, d_in] of a part an SAE is judged on: its labels', of usual norm."""
    keep = part.of_labels(labels)
    keep[keep] &= ~outlying(x[keep])
    return keep


@dataclass(frozen=True)
class _Ran:
    """Latents and reconstruction errors of one SAE on chosen vectors."""

    latents: Vectors
    errors: NDArray[np.float64]


class ShiftMeter:
    """One SAE at the precision that it was trained at; other precisions are held against that."""

    def __init__(
        self,
        sae: SaeSubject,
        reference: Chosen,
        labelled: Chosen,
        train: Chosen | None,
        limits: PortabilityLimits,
    ) -> None:
        """Run the SAE on the reference's vectors.

        Args:
            sae: the SAE.
            reference: held-out vectors at the precision that it was trained at.
            labelled: likewise, those of both labels; the same object where these are the same.
            train: training vectors of both labels at that precision, to fit a probe on; None
                without labels.
            limits: what decides a verdict.
        """
        self._sae, self._reference, self._limits = sae, reference, limits
        self._labelled, self._train = labelled, train
        self._own = self._run(reference.x)
        self._own_labelled = self._own if labelled is reference else self._run(labelled.x)
        self._train_latents = None if train is None else self._pooled(train, self._run(train.x))

    def at(self, label: str, other: Chosen, labelled: Chosen, *, is_own: bool) -> Shift:
        """The SAE at one precision.

        Args:
            label: the precision's name.
            other: the same held-out vectors there.
            labelled: likewise, those of both labels.
            is_own: whether it is the precision that the SAE was trained at.
        """
        reference, n = self._reference, len(self._reference.x)
        moved = residual_shift(reference.x, other.x)
        finite = moved.is_finite
        there = self._run(other.x) if not is_own else self._own
        groups = reference.groups[finite]
        overlap = LatentOverlap(self._own.latents.shape[1])
        for start in range(0, n, BATCH):
            rows = np.flatnonzero(finite[start : start + BATCH]) + start
            overlap.add(self._own.latents[rows], there.latents[rows])
        own_sums = (self._own.errors[finite], squares_about_mean(reference.x[finite]))
        sums = (there.errors[finite], squares_about_mean(other.x[finite]))
        n_finite = int(finite.sum())

        def estimate(compute: Callable[[], Estimate], unit: str = "") -> Measurement:
            return estimated(compute, n_finite, unit)

        def plain(compute: Callable[[], float], unit: str = "") -> Measurement:
            return _plain(compute, n_finite, unit)

        metrics: dict[str, Measurement] = {
            "residual_error": estimate(lambda: moved.relative_error(reference.groups)),
            "residual_error_about_mean": estimate(
                lambda: moved.relative_error_about_mean(reference.groups)
            ),
            "explained_variance": estimate(lambda: explained_variance_interval(*sums, groups)),
            "explained_variance_drop": estimate(
                lambda: explained_variance_drop(own_sums, sums, groups)
            ),
            "l0": plain(
                lambda: _mean(np.count_nonzero(there.latents[finite], axis=1)),
                "latents per vector",
            ),
            "alive": plain(lambda: float(overlap.alive[1]), "latents"),
            "alive_shift": plain(overlap.alive_shift),
            "jaccard": estimate(lambda: mean_of_defined(overlap.jaccard_of_vectors(), groups)),
            "found_again": estimate(
                lambda: mean_of_defined(overlap.found_again_of_vectors(), groups)
            ),
            "identical_share": estimate(
                lambda: mean_of_defined(overlap.identical_of_vectors(), groups)
            ),
            "latent_correlation": _correlation(overlap),
            **self._of_labels(labelled, there if labelled is other else self._run(labelled.x)),
        }
        verdict = judge(
            AtPrecision(
                regime=label,
                n=n,
                n_not_finite=moved.n_not_finite,
                explained_variance_drop=_number(metrics["explained_variance_drop"]),
                alive_shift=_number(metrics["alive_shift"]),
                jaccard=_number(metrics["jaccard"]),
            ),
            self._limits,
        )
        return Shift(metrics=metrics, verdict=as_entry(verdict))

    def _of_labels(self, other: Chosen, there: _Ran) -> dict[str, Measurement]:
        """What the labels of completions show: d and a probe from one precision to the other."""
        names = ("d_max", "d_of_own_best", "probe_own", "probe_transferred")
        n, train = len(self._labelled.y), self._train
        reason = None
        if n == 0 or train is None or self._train_latents is None:
            reason = "the vectors have no two labels to tell apart"
        elif not np.isfinite(other.x).all():
            reason = "a vector is not finite at this precision"
        if reason is not None:
            return {
                name: Measurement(value=None, n=n, split=_SPLIT, reason=reason) for name in names
            }
        assert train is not None and self._train_latents is not None
        own = self._pooled(self._labelled, self._own_labelled)
        moved, y = self._pooled(other, there), self._labelled.y

        def largest() -> float:
            return float(np.nanmax(np.abs(_defined_d(moved, y))))

        def of_own_best() -> float:
            best = int(np.nanargmax(np.abs(_defined_d(own, y))))
            found = float(cohens_d(moved, y)[best])
            if np.isnan(found):
                raise UndefinedMetric(f"latent {best} does not vary within a class here")
            return found

        try:
            at_own, at_other = transferred_accuracies(
                self._train_latents, train.y, ((own, y), (moved, y))
            )
        except UndefinedMetric as error:
            probes = {
                name: Measurement(value=None, n=n, split=_SPLIT, reason=error.what)
                for name in names[2:]
            }
        else:
            probes = {
                "probe_own": Measurement(value=at_own, n=n, split=_SPLIT),
                "probe_transferred": Measurement(value=at_other, n=n, split=_SPLIT),
            }
        return {
            "d_max": _plain(largest, n),
            "d_of_own_best": _plain(of_own_best, n),
            **probes,
        }

    def _run(self, x: Vectors) -> _Ran:
        latents, errors = [], []
        for start in range(0, len(x), BATCH):
            batch = np.nan_to_num(x[start : start + BATCH], posinf=0, neginf=0)
            values, x_hat = run_saelens(
                self._sae.saelens, batch, self._sae.manual.decodes_latents_alone
            )
            latents.append(values)
            errors.append(squared_errors(batch, x_hat))
        return _Ran(np.concatenate(latents), np.concatenate(errors))

    @staticmethod
    def _pooled(chosen: Chosen, ran: _Ran) -> Vectors:
        """Latents [completions, d_sae], the mean of each completion's vectors."""
        means = OwnerMeans(chosen.owners, int(chosen.owners.max()) + 1)
        means.add(ran.latents)
        return means.means()


def as_entry(verdict: Verdict) -> RegimeVerdict:
    """A verdict as the report holds it."""
    return RegimeVerdict(**vars(verdict))


def _defined_d(latents: Vectors, y: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Cohen's d by latent, at least one of them defined."""
    d = cohens_d(latents, y)
    if np.isnan(d).all():
        raise UndefinedMetric("no latent varies within a class, so none has a Cohen's d")
    return d


def _mean(counts: NDArray[np.int64]) -> float:
    if len(counts) == 0:
        raise UndefinedMetric("no vector is finite at both precisions")
    return float(counts.mean())


def _correlation(overlap: LatentOverlap) -> Measurement:
    """Median over latents; `low` and `high` would be of latents, not of the median."""
    unit = "latents that vary at both"
    try:
        found = overlap.correlations()
    except UndefinedMetric as error:
        return Measurement(value=None, n=0, split=_SPLIT, unit=unit, reason=error.what)
    return Measurement(value=found.median, n=found.n_latents, split=_SPLIT, unit=unit)


def _plain(compute: Callable[[], float], n: int, unit: str = "") -> Measurement:
    try:
        value = compute()
    except UndefinedMetric as error:
        return Measurement(value=None, n=n, split=_SPLIT, unit=unit, reason=error.what)
    return Measurement(value=value, n=n, split=_SPLIT, unit=unit)


def estimated(compute: Callable[[], Estimate], n: int, unit: str = "") -> Measurement:
    """A held-out number with its interval; without a value where the metric is undefined."""
    try:
        found = compute()
    except UndefinedMetric as error:
        return Measurement(value=None, n=n, split=_SPLIT, unit=unit, reason=error.what)
    return Measurement(
        value=found.value, n=n, split=_SPLIT, unit=unit, low=found.low, high=found.high
    )


def _number(found: Measurement) -> Number:
    return Number(found.value, found.low, found.high, found.reason or "")
