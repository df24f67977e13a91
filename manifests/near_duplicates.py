"""Completions that say the same thing twice, which would sit on both sides of a split."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable

from manifests.completions import Completion

SHINGLE_WORDS = 3
SIMILARITY = 0.8


def word_shingles(text: str) -> frozenset[tuple[str, ...]]:
    """The runs of 3 consecutive words of a text, or all its words as one run if it has fewer.

    Words are runs of letters, digits and underscores, ignoring case; punctuation is dropped.
    """
    words = re.findall(r"\w+", text.casefold())
    n_shingles = max(1, len(words) - SHINGLE_WORDS + 1)
    return frozenset(tuple(words[i : i + SHINGLE_WORDS]) for i in range(n_shingles))


def similarity(a: frozenset[tuple[str, ...]], b: frozenset[tuple[str, ...]]) -> float:
    """Jaccard similarity of two sets of shingles: shared / all, from 0 to 1."""
    return len(a & b) / len(a | b)


def without_near_duplicates(rows: Iterable[Completion]) -> tuple[Completion, ...]:
    """The rows, less each that repeats an earlier kept row of its scenario.

    A row repeats another if the Jaccard similarity of their completions' word shingles is at
    least 0.8; equal texts have similarity 1. Prompt and opening are not compared: they are equal
    within a scenario.
    """
    seen: dict[str, list[frozenset[tuple[str, ...]]]] = defaultdict(list)
    kept: list[Completion] = []
    for row in rows:
        shingles = word_shingles(row.completion)
        if any(similarity(shingles, other) >= SIMILARITY for other in seen[row.scenario]):
            continue
        seen[row.scenario].append(shingles)
        kept.append(row)
    return tuple(kept)
