"""The engine of one machine: units one after another in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from retrain.engines.engine import trainer

if TYPE_CHECKING:
    from retrain.engines.engine import Report, Result, TrainUnit
    from retrain.jobs import Unit
    from retrain.vectors import Vectors


@dataclass(frozen=True)
class LocalEngine:
    """Trains in this process, in the order given.

    Attributes:
        checkpoint_of: the file in which an interrupted unit continues; None: it starts again.
        train: what trains a unit; None: `retrain.training.train.train_unit`.
    """

    checkpoint_of: Callable[[Unit], Path | None] | None = None
    train: TrainUnit | None = None

    def run(
        self, units: Sequence[Unit], vectors: Mapping[str, Vectors], report: Report
    ) -> Iterator[Result]:
        """Train the units; see `Engine.run`."""
        from retrain.environment import repeatable

        train = trainer(self.train)
        for unit in units:
            checkpoint = self.checkpoint_of(unit) if self.checkpoint_of is not None else None
            with repeatable(unit.device):
                trained = train(unit, vectors, on_step=partial(report, unit), checkpoint=checkpoint)
            yield unit, trained
            # Not held while the next unit is trained.
            del trained
