"""A set of cells as a matrix: axes whose product is close to it, with inclusions and exclusions."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from release.importing.names import ARCHITECTURES, USUAL_CONDITIONS, Cell

AXES = ("layers", "architectures", "conditions", "variants")
_Point = tuple[Any, ...]


@dataclass(frozen=True)
class Box:
    """A product of values, one set per axis in the order of `AXES`."""

    values: tuple[frozenset[Any], ...]

    def cells(self) -> set[_Point]:
        """Its cells as tuples in the order of `AXES`."""
        return set(itertools.product(*self.values))


@dataclass(frozen=True)
class RecoveredMatrix:
    """The plain recipe's product `base`, and what is added to it and taken from it."""

    base: Box
    include: tuple[Box, ...]
    exclude: tuple[Box, ...]

    def axis(self, index: int) -> tuple[Any, ...]:
        """The values of one axis of the base, in the order that a manifest lists them."""
        return in_order(index, self.base.values[index])


def recover_matrix(cells: Collection[Cell]) -> RecoveredMatrix:
    """The matrix with the fewest inclusions and exclusions out of two ways to write it.

    Either the whole product of the values that occur, with what is missing excluded; or the
    largest full product, with the rest included. `cells` is not empty.
    """
    points = {(c.layer, c.architecture, c.condition, c.variant) for c in cells}
    plain = {point for point in points if point[3] == ""} or points
    whole = Box(tuple(frozenset(point[axis] for point in plain) for axis in range(4)))
    missing = whole.cells() - plain
    subtracted = RecoveredMatrix(whole, tuple(boxes(points - whole.cells())), tuple(boxes(missing)))
    largest = max(boxes(plain), key=lambda box: (len(box.cells()), _sort_key(box)))
    added = RecoveredMatrix(largest, tuple(boxes(points - largest.cells())), ())
    return min((subtracted, added), key=lambda each: len(each.include) + len(each.exclude))


def boxes(points: Collection[_Point]) -> list[Box]:
    """Few disjoint products that together are exactly these points.

    Cells that agree in all axes but one are merged, one axis after the other; of the 24 orders
    of the axes the one that leaves the fewest boxes is taken.
    """
    best: list[Box] | None = None
    for order in itertools.permutations(range(4)):
        merged = [Box(tuple(frozenset([value]) for value in point)) for point in points]
        for axis in order:
            merged = _merge(merged, axis)
        if best is None or len(merged) < len(best):
            best = merged
    return sorted(best or [], key=_sort_key)


def in_order(axis: int, values: Iterable[Any]) -> tuple[Any, ...]:
    """Values of one axis as a manifest lists them: layers rising, names in their usual order."""
    usual: tuple[Any, ...] = ((), ARCHITECTURES, USUAL_CONDITIONS, ("",))[axis]
    return tuple(
        sorted(values, key=lambda each: (usual.index(each) if each in usual else 99, each))
    )


def _merge(parts: Iterable[Box], axis: int) -> list[Box]:
    groups: dict[_Point, frozenset[Any]] = {}
    for box in parts:
        rest = box.values[:axis] + box.values[axis + 1 :]
        groups[rest] = groups.get(rest, frozenset()) | box.values[axis]
    return [Box((*rest[:axis], values, *rest[axis:])) for rest, values in groups.items()]


def _sort_key(box: Box) -> _Point:
    return tuple(
        tuple(map(str, in_order(axis, values))) if axis else in_order(axis, values)
        for axis, values in enumerate(box.values)
    )
