"""Numbers of bytes, each with the name of what takes them."""

from __future__ import annotations

import math
from dataclasses import dataclass

GB = 10**9
MB = 10**6


@dataclass(frozen=True)
class Term:
    """One thing that takes memory."""

    name: str
    size_bytes: int


@dataclass(frozen=True)
class Need:
    """What is held at the same time."""

    terms: tuple[Term, ...]

    @property
    def size_bytes(self) -> int:
        """The sum of the terms."""
        return sum(term.size_bytes for term in self.terms)

    def of(self, name: str) -> int:
        """The bytes of one term; 0 for one that is not there."""
        return sum(term.size_bytes for term in self.terms if term.name == name)

    def __str__(self) -> str:
        """Such as `0.62 GB = 0.50 process + 0.09 vectors + 0.03 rest`, the largest first."""
        ordered = sorted(self.terms, key=lambda term: -term.size_bytes)
        named = [term for term in ordered if term.size_bytes >= MB]
        rest = self.size_bytes - sum(term.size_bytes for term in named)
        parts = [f"{_gb(term.size_bytes)} {term.name}" for term in named]
        parts += [f"{_gb(rest)} rest"] if rest >= MB else []
        return f"{_gb(self.size_bytes)} GB = {' + '.join(parts)}"


def _gb(size_bytes: int) -> str:
    """At least two digits that say something: 4.05, 0.031."""
    value = size_bytes / GB
    return f"{value:.2f}" if value >= 0.1 else f"{value:.2g}"


def shown_bytes(size_bytes: int) -> str:
    """Such as `812 kB`, `43 MB` or `1.6 GB`; 10^9 bytes are a GB."""
    if size_bytes < MB:
        return f"{size_bytes / 1000:.0f} kB"
    if size_bytes < 0.1 * GB:
        return f"{size_bytes / MB:.0f} MB"
    return f"{size_bytes / GB:.1f} GB"


def enough_bytes(size_bytes: int) -> str:
    """As `shown_bytes`, rounded up, so that a budget of what is shown suffices."""
    unit, name = (GB, "GB") if size_bytes >= 0.1 * GB else (MB, "MB")
    return f"{math.ceil(100 * size_bytes / unit) / 100:.2f} {name}"
