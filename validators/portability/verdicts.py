"""From the numbers of an SAE at one precision to a verdict, with the number that decided it.

A regime is a setting in which somebody may want to use the SAE: the base model at some precision,
on another device, or another base model. What was not measured has no verdict but that.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from manifests.portability import OtherModel, PortabilityLimits

VerdictName = Literal[
    "works", "works with other latents", "retrain", "cannot be used", "not measured"
]


@dataclass(frozen=True)
class Number:
    """A measured number.

    Attributes:
        value: None where it is undefined.
        low: lower end of its 95% interval; None without one.
        high: upper end.
        reason: why `value` is None.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    reason: str = ""


@dataclass(frozen=True)
class AtPrecision:
    """One SAE at one precision, against the precision that it was trained at.

    Attributes:
        regime: the precision's label.
        n: vectors read at both precisions, those that are not finite included.
        n_not_finite: of these, the ones that are finite at the SAE's own precision and not here.
        explained_variance_drop: `(EV_a - EV_b) / EV_a`.
        alive_shift: `(alive_b - alive_a) / alive_a`.
        jaccard: mean Jaccard index of the active latents.
    """

    regime: str
    n: int
    n_not_finite: int
    explained_variance_drop: Number
    alive_shift: Number
    jaccard: Number


@dataclass(frozen=True)
class Verdict:
    """What is to be expected in one regime.

    Attributes:
        regime: a precision's label, or words.
        verdict: in a word or two.
        decided_by: the number that decided it; of a verdict `works`, the one nearest to its
            limit; None where nothing was measured.
        value: that number.
        limit: what it was held against.
        is_sure: whether the verdict is the same at both ends of the intervals; a number without
            one counts as known.
        sentence: all of it in words.
    """

    regime: str
    verdict: VerdictName
    decided_by: str | None
    value: float | None
    limit: float | None
    is_sure: bool
    sentence: str


@dataclass(frozen=True)
class _Criterion:
    """A number, its limit, and what passing the limit means; `used` is above 1 beyond it."""

    metric: str
    words: str
    number: Number
    limit: float
    beyond: VerdictName

    def used(self, value: float) -> float:
        """Share of what the limit allows that a value takes up."""
        if self.metric == "jaccard":
            return (1 - value) / (1 - self.limit)
        return (abs(value) if self.metric == "alive_shift" else value) / self.limit

    def used_between(self) -> tuple[float, float]:
        """`used` at the kinder and at the harder end of the interval."""
        number = self.number
        assert number.value is not None
        ends = [end for end in (number.value, number.low, number.high) if end is not None]
        shares = [self.used(end) for end in ends]
        return min(shares), max(shares)


def judge(numbers: AtPrecision, limits: PortabilityLimits) -> Verdict:
    """The verdict for one SAE at one precision that was measured.

    `retrain` where explained variance falls or the number of alive latents shifts beyond its limit;
    else `works with other latents` where the active sets overlap less than theirs; else `works`. A
    value at its limit is within it. Where vectors overflow, nothing else is asked. A number that is
    undefined leaves the regime not measured, unless another one is beyond a limit already.
    """
    if numbers.n_not_finite:
        return _overflowing(numbers)
    criteria = _criteria(numbers, limits)
    defined = [one for one in criteria if one.number.value is not None]
    shares = {one.metric: one.used(one.number.value or 0.0) for one in defined}
    reached = _reached(defined, shares)
    missing = [one for one in criteria if one.number.value is None]
    # Without the overlap, or with the overlap alone, a milder verdict would be a guess.
    if missing and reached != "retrain":
        return _undefined(numbers.regime, missing[0])
    among = [one for one in defined if one.beyond == reached] or defined
    decisive = max(among, key=lambda one: shares[one.metric])
    kind = {one.metric: one.used_between()[0] for one in defined}
    hard = {one.metric: one.used_between()[1] for one in defined}
    is_sure = _reached(defined, kind) == _reached(defined, hard)
    return Verdict(
        regime=numbers.regime,
        verdict=reached,
        decided_by=decisive.metric,
        value=decisive.number.value,
        limit=decisive.limit,
        is_sure=is_sure,
        sentence=_sentence(reached, decisive, numbers.n, is_sure),
    )


def not_measured(regime: str, reason: str) -> Verdict:
    """The entry of a regime that could not be run, with the reason, which ends without a stop."""
    return Verdict(
        regime=regime,
        verdict="not measured",
        decided_by=None,
        value=None,
        limit=None,
        is_sure=True,
        sentence=f"not measured: {reason}",
    )


def beyond_precision(
    own_precision: str, d_in: int, device: str, others: Iterable[OtherModel]
) -> tuple[Verdict, ...]:
    """The regimes that no run on this machine with this base model can settle.

    The own precision on another device, and other base models; of those, one of another width
    needs no measurement to be refused.

    Args:
        own_precision: label of the precision that the SAE was trained at.
        d_in: the SAE's width.
        device: what this run used, in words, such as `cpu` or the GPU's name.
        others: the manifest's `portability.other_models`.
    """
    elsewhere = not_measured(
        f"{own_precision} on another device", f"this run had one device, {device}"
    )
    return (elsewhere, *(_other_model(model, d_in) for model in others))


def unmet(verdicts: Sequence[Verdict], required: Iterable[str]) -> tuple[Verdict, ...]:
    """The entry of every required regime whose verdict is not `works`, in the order required.

    Args:
        verdicts: of one SAE.
        required: labels; one without a verdict counts as not measured.
    """
    by_regime = {one.regime: one for one in verdicts}
    found = (
        by_regime.get(label) or not_measured(label, "it was not among the precisions of this run")
        for label in dict.fromkeys(required)
    )
    return tuple(one for one in found if one.verdict != "works")


def _criteria(numbers: AtPrecision, limits: PortabilityLimits) -> tuple[_Criterion, ...]:
    return (
        _Criterion(
            metric="explained_variance_drop",
            words="explained variance changes by {change:+z.1%} of its value at the SAE's own "
            "precision (it may fall by {limit:.0%})",
            number=numbers.explained_variance_drop,
            limit=limits.max_explained_variance_drop,
            beyond="retrain",
        ),
        _Criterion(
            metric="alive_shift",
            words="the number of alive latents changes by {value:+z.1%} (it may by {limit:.0%}, up "
            "or down)",
            number=numbers.alive_shift,
            limit=limits.max_alive_shift,
            beyond="retrain",
        ),
        _Criterion(
            metric="jaccard",
            words="the active latents overlap with a mean Jaccard index of {value:.3f} (at least "
            "{limit:g})",
            number=numbers.jaccard,
            limit=limits.min_overlap,
            beyond="works with other latents",
        ),
    )


def _reached(criteria: Sequence[_Criterion], shares: dict[str, float]) -> VerdictName:
    """The hardest verdict that the shares of the limits lead to."""
    # A float's rounding must not put a value at the limit beyond it.
    beyond = {one.beyond for one in criteria if shares[one.metric] > 1 + 1e-9}
    if "retrain" in beyond:
        return "retrain"
    return "works with other latents" if beyond else "works"


def _sentence(verdict: VerdictName, decisive: _Criterion, n: int, is_sure: bool) -> str:
    assert decisive.number.value is not None
    value = decisive.number.value
    words = decisive.words.format(value=value, change=-value, limit=decisive.limit)
    nearest = "nearest to its limit: " if verdict == "works" else ""
    doubt = "" if is_sure else "; within the 95% intervals the verdict could be another"
    return f"{verdict}: {nearest}{words}, n = {n}{doubt}"


def _undefined(regime: str, missing: _Criterion) -> Verdict:
    return Verdict(
        regime=regime,
        verdict="not measured",
        decided_by=missing.metric,
        value=None,
        limit=missing.limit,
        is_sure=True,
        sentence=f"not measured: {missing.metric} is undefined, "
        f"{missing.number.reason or 'no reason given'}",
    )


def _overflowing(numbers: AtPrecision) -> Verdict:
    return Verdict(
        regime=numbers.regime,
        verdict="cannot be used",
        decided_by="n_not_finite",
        value=float(numbers.n_not_finite),
        limit=0.0,
        is_sure=True,
        sentence=f"cannot be used: {numbers.n_not_finite} of {numbers.n} vectors are not finite "
        "at this precision, and the SAE makes nothing of those",
    )


def _other_model(model: OtherModel, d_in: int) -> Verdict:
    regime = f"{model.id} ({model.relation})"
    if model.d_model is None:
        return not_measured(regime, "another base model, whose width is not known")
    if model.d_model == d_in:
        return not_measured(
            regime,
            f"another base model; the SAE fits its width of {d_in}, which says nothing about "
            "whether its latents mean anything there",
        )
    return Verdict(
        regime=regime,
        verdict="cannot be used",
        decided_by="d_in",
        value=float(model.d_model),
        limit=float(d_in),
        is_sure=True,
        sentence=f"cannot be used: its residual stream has {model.d_model} dimensions and the SAE "
        f"reads {d_in}",
    )
