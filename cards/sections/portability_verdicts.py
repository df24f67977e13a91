"""What the card says of an SAE at another precision in a word, with the number that decided."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import get_args

from cards import numbers
from cards.escaping import Markdown, markdown_text
from validators.report import RegimeVerdict, Shift

VERDICTS: tuple[str, ...] = get_args(RegimeVerdict.model_fields["verdict"].annotation)
# From the mildest to the hardest; of what was not measured nothing is known.
_SEVERITY = ("not measured", "works", "works with other latents", "retrain", "cannot be used")


def _whole(value: float) -> Markdown:
    return numbers.count(round(value))


_DECIDING: dict[str, tuple[str, Callable[[float], Markdown]]] = {
    "explained_variance_drop": ("EV drop", numbers.share),
    "alive_shift": ("alive", lambda value: numbers.difference(value, numbers.share)),
    "jaccard": ("Jaccard", numbers.fraction),
    "n_not_finite": ("vectors not finite", _whole),
}


@dataclass(frozen=True)
class VerdictRow:
    """One SAE, or the SAEs of one kind and layer: a cell for each precision."""

    subject: Markdown
    cells: tuple[Markdown, ...]


@dataclass(frozen=True)
class VerdictCount:
    """How many SAEs have each verdict at one precision, in the order of `VERDICTS`."""

    precision: str
    counts: tuple[Markdown, ...]


def verdict_cell(verdict: RegimeVerdict) -> Markdown:
    """`works (Jaccard 0.950)`: the verdict and the number that decided it, or why there is none."""
    if verdict.decided_by is None or verdict.value is None:
        return markdown_text(verdict.sentence)
    name, written = _DECIDING.get(verdict.decided_by, (verdict.decided_by, numbers.significant))
    unsure = "" if verdict.is_sure else ", not sure"
    emphasis = "" if verdict.verdict == "works" else "**"
    word = f"{emphasis}{markdown_text(verdict.verdict)}{emphasis}"
    return Markdown(f"{word} ({markdown_text(name)} {written(verdict.value)}{unsure})")


def verdicts_of(shifts: Sequence[Shift]) -> Markdown:
    """One verdict with its number; of several SAEs, how many have which."""
    if len(shifts) == 1:
        return verdict_cell(shifts[0].verdict)
    found = _count(shifts)
    return Markdown(
        ", ".join(
            f"{markdown_text(name)}: {n}" for name, n in zip(VERDICTS, found, strict=True) if n
        )
    )


def verdict_counts(precision: str, shifts: Iterable[Shift]) -> VerdictCount:
    """How many SAEs have each verdict at one precision."""
    return VerdictCount(precision, tuple(numbers.count(n) for n in _count([*shifts])))


def hardness(shift: Shift) -> tuple[int, float]:
    """A key that is largest for the SAE that fares worst: by verdict, then by low overlap."""
    jaccard = shift.metrics.get("jaccard")
    overlap = 1.0 if jaccard is None or jaccard.value is None else jaccard.value
    return _SEVERITY.index(shift.verdict.verdict), -overlap


def _count(shifts: Sequence[Shift]) -> list[int]:
    return [sum(shift.verdict.verdict == name for shift in shifts) for name in VERDICTS]
