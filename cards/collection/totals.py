"""How many SAEs a collection has: computed, reported, and how the two come to differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cards import numbers
from cards.escaping import Markdown
from manifests.collection import LoadedCollection, ReportedTotal

# A sum that a reported total equals: of the counts on this card, or of those that the
# repositories' own pages state; whole, or without the SAEs that are known to be variants.
Sum = Literal["counts", "counts_without_variants", "pages", "pages_without_variants"]


@dataclass(frozen=True)
class TotalFacts:
    """A total that a page gives, beside what is counted here; `equals` is arithmetic alone."""

    name: str
    n_saes: Markdown
    n_models: Markdown | None
    source: str
    difference: Markdown
    equals: Sum | None


@dataclass(frozen=True)
class Explanation:
    """What earlier pages say of the totals, and how that is resolved, both as the YAML has it."""

    found: str
    resolved: str


@dataclass(frozen=True)
class Totals:
    """The sums over the members; `uncounted` are those of which nobody gives a number."""

    n_members: int
    n_with_manifest: int
    n_reported_only: int
    n_derived: int
    n_reported: int
    n_known: int
    n_variants: Markdown
    variants_unknown: tuple[str, ...]
    uncounted: tuple[str, ...]
    reported: tuple[TotalFacts, ...]
    explanations: tuple[Explanation, ...]


def totals(loaded: LoadedCollection) -> Totals:
    """The sums, and every reported total held against them."""
    members = loaded.members
    return Totals(
        n_members=len(members),
        n_with_manifest=sum(member.is_derived for member in members),
        n_reported_only=sum(
            not member.is_derived and member.n_saes is not None for member in members
        ),
        n_derived=loaded.n_derived,
        n_reported=loaded.n_known - loaded.n_derived,
        n_known=loaded.n_known,
        n_variants=numbers.count(loaded.n_known_variants),
        variants_unknown=tuple(
            member.repo_id
            for member in members
            if member.n_saes is not None and member.n_variants is None
        ),
        uncounted=tuple(member.repo_id for member in loaded.uncounted),
        reported=tuple(_total(loaded, total) for total in loaded.collection.reported_totals),
        explanations=tuple(
            Explanation(each.found, each.resolved)
            for each in loaded.collection.resolutions
            if each.about_totals
        ),
    )


def _total(loaded: LoadedCollection, total: ReportedTotal) -> TotalFacts:
    return TotalFacts(
        name=total.name,
        n_saes=numbers.count(total.n_saes),
        n_models=None if total.n_models is None else numbers.count(total.n_models),
        source=total.source,
        difference=numbers.difference(loaded.unaccounted(total), lambda n: Markdown(f"{n:,.0f}")),
        equals=_equal_sum(loaded, total.n_saes),
    )


def _equal_sum(loaded: LoadedCollection, n_saes: int) -> Sum | None:
    """The first sum that a number equals; a sum that lacks a member's count equals nothing."""
    counts = None if loaded.uncounted else loaded.n_known
    sums: tuple[tuple[Sum, Sum, int | None], ...] = (
        ("counts", "counts_without_variants", counts),
        ("pages", "pages_without_variants", loaded.n_on_pages),
    )
    for whole, without_variants, value in sums:
        if value is None:
            continue
        if n_saes == value:
            return whole
        if n_saes == value - loaded.n_known_variants:
            return without_variants
    return None
