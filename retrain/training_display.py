"""One bar for all SAEs of a repository, fed by what their units report."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from manifests.progress import Task

if TYPE_CHECKING:
    from retrain.jobs import StepReport, Unit


class TrainingDisplay:
    """Counts steps of SAEs: a unit of 18 SAEs that is 10 steps further counts 180.

    Units may report in any order, several at a time; a unit that starts again after its machine
    was lost is counted once.
    """

    def __init__(self, task: Task) -> None:
        """Show on a task whose total is that of `total_steps`."""
        self._task = task
        self._furthest: dict[str, int] = {}

    def report(self, unit: Unit, report: StepReport) -> None:
        """Show where one unit is; the callback that engines take."""
        name = unit.jobs[0].sae_id
        before = self._furthest.get(name, 0)
        self._task.status(status_text(report))
        if report.step > before:
            self._furthest[name] = report.step
            self._task.advance((report.step - before) * len(unit.jobs))

    def finished(self, unit: Unit, n_steps: int) -> None:
        """Count the rest of a unit that is done, reported or not."""
        name = unit.jobs[0].sae_id
        rest = n_steps - self._furthest.get(name, 0)
        self._furthest[name] = n_steps
        if rest > 0:
            self._task.advance(rest * len(unit.jobs))


def total_steps(units: Iterable[tuple[Unit, int]]) -> int:
    """The total of a display: for each unit, with its number of steps, steps x SAEs."""
    return sum(n_steps * len(unit.jobs) for unit, n_steps in units)


def status_text(report: StepReport) -> str:
    """Such as `loss 0.312, L0 64.0, explained variance 0.810, topk_L9_mixed and 17 more`."""
    more = f" and {report.n_saes - 1} more" if report.n_saes > 1 else ""
    return (
        f"loss {report.loss:.3g}, L0 {report.l0:.1f}, "
        f"explained variance {report.explained_variance:.3f}, {report.sae_id}{more}"
    )
