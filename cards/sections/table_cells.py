"""Cells of the tables that `release measure` computes: a number with its spread, interval or p."""

from __future__ import annotations

from collections.abc import Callable

from cards import numbers
from cards.escaping import Markdown
from cards.sections.metrics import not_measured
from validators.report import Measurement

Written = Callable[[float], Markdown]

# A difference counts as found below this p-value.
SIGNIFICANCE = 0.05
# Where another cell of the row says why there is no number, or nobody asked for it.
DASH = Markdown("-")

_SPLITS = {"held_out": "held out", "train": "train"}


def plain(found: Measurement, form: Written) -> Markdown:
    """The value alone, or why there is none."""
    return not_measured(found.reason or "") if found.value is None else form(found.value)


def with_spread(found: Measurement, form: Written) -> Markdown:
    """`0.712 ± 0.031`: the value and the standard deviation over folds, halves or seeds."""
    text = plain(found, form)
    if found.value is None or found.spread is None:
        return text
    return Markdown(f"{text} ± {form(found.spread)}")


def with_interval(found: Measurement, form: Written) -> Markdown:
    """`0.712 (0.650-0.770)`: the value and its interval."""
    text = plain(found, form)
    if found.value is None or found.low is None or found.high is None:
        return text
    return Markdown(f"{text} ({numbers.interval(found.low, found.high, form)})")


def signed_with_interval(found: Measurement, form: Written) -> Markdown:
    """`+0.012 (-0.003 to +0.027)`: a difference with its interval."""
    return with_interval(found, lambda value: numbers.difference(value, form))


def against_chance(found: Measurement, chance: Measurement, form: Written) -> Markdown:
    """`0.72, chance 0.47-0.71`: the value and the range of it under permuted labels."""
    text = plain(found, form)
    return text if found.value is None else Markdown(f"{text}, chance {chance_range(chance, form)}")


def chance_range(chance: Measurement, form: Written) -> Markdown:
    """`0.47-0.71`: the interval of a statistic under permuted labels; its median without one."""
    if chance.value is None or chance.low is None or chance.high is None:
        return plain(chance, form)
    return numbers.interval(chance.low, chance.high, form)


def p_of(found: Measurement) -> Markdown:
    """The p-value; a dash where nothing was tested."""
    return DASH if found.p_value is None else numbers.p_value(found.p_value)


def sample_of(found: Measurement) -> Markdown:
    """What a number rests on, such as `189 held out`."""
    n = numbers.count(found.n)
    return n if found.split is None else Markdown(f"{n} {_SPLITS[found.split]}")


def is_found(found: Measurement) -> bool | None:
    """Whether a value is above 0 and its p-value below `SIGNIFICANCE`; None if not tested."""
    if found.value is None or found.p_value is None:
        return None
    return found.value > 0 and found.p_value < SIGNIFICANCE
