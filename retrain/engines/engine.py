"""What every engine does: train units somewhere, and hand the results back as they come."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from retrain.jobs import StepReport, Unit
    from retrain.training.train import Trained
    from retrain.vectors import Vectors

    Report = Callable[[Unit, StepReport], None]
    Result = tuple[Unit, tuple[Trained, ...]]
    # As `retrain.training.train.train_unit`, with its keywords `on_step` and `checkpoint`.
    TrainUnit = Callable[..., tuple[Trained, ...]]


class Engine(Protocol):
    """Where units of training are computed."""

    def run(
        self, units: Sequence[Unit], vectors: Mapping[str, Vectors], report: Report
    ) -> Iterator[Result]:
        """Train every unit once and yield it with its SAEs, in the order in which they are ready.

        The weights do not depend on the engine: the same unit, vectors, kind of processor,
        versions and number of threads give the same bits everywhere.

        Args:
            units: what to train; the units that are yielded are these very objects.
            vectors: by hook name; those that the units' jobs name are needed, others are not read.
            report: called in this process with the reports of each unit in rising order of their
                step, all of them before the unit's result is yielded.

        Raises:
            ReleaseError: a unit cannot be trained; what was yielded before stays good.
        """


def trainer(given: TrainUnit | None) -> TrainUnit:
    """What trains a unit: what was given, else the project's own trainer, imported now."""
    if given is not None:
        return given
    from retrain.training.train import train_unit

    return train_unit
