"""One bar for all SAEs of a repository."""

from __future__ import annotations

from typing import Any

from retrain.jobs import StepReport, Unit
from retrain.training_display import TrainingDisplay, status_text, total_steps


class Counting:
    """A task that keeps what it is told."""

    def __init__(self) -> None:
        self.done, self.said = 0.0, list[str]()

    def advance(self, amount: float = 1) -> None:
        self.done += amount

    def status(self, text: str) -> None:
        self.said.append(text)


def unit(project: Any, *, first: int, n: int) -> Unit:
    from retrain.jobs import Job

    loaded = project.load()
    recipe = loaded.manifest.recipe
    jobs = tuple(
        Job(spec.sae_id, spec.hf_hook_name, None, spec.d_sae, recipe.topk, 0)
        for spec in loaded.saes[first : first + n]
    )
    return Unit(jobs, recipe, "cpu", 8)


def report(unit: Unit, step: int) -> StepReport:
    return StepReport(unit.jobs[0].sae_id, len(unit.jobs), step, 100, 0.3125, 64.0, 0.8125)


def test_steps_of_saes_trained_together_count_for_each(project: Any) -> None:
    task = Counting()
    display = TrainingDisplay(task)
    three, one = unit(project, first=0, n=3), unit(project, first=3, n=1)
    assert total_steps([(three, 100), (one, 50)]) == 350
    display.report(three, report(three, 10))
    display.report(one, report(one, 20))
    display.report(three, report(three, 30))
    # 30 steps of 3 SAEs and 20 of one.
    assert task.done == 110
    display.finished(three, 100)
    display.finished(one, 50)
    assert task.done == 350


def test_a_unit_that_starts_again_is_counted_once(project: Any) -> None:
    task = Counting()
    display = TrainingDisplay(task)
    one = unit(project, first=0, n=1)
    for step in (40, 10, 50):
        display.report(one, report(one, step))
    assert task.done == 50


def test_a_unit_that_reports_nothing_is_counted_when_it_is_done(project: Any) -> None:
    task = Counting()
    TrainingDisplay(task).finished(unit(project, first=0, n=2), 100)
    assert task.done == 200


def test_loss_l0_and_explained_variance_come_first() -> None:
    told = status_text(StepReport("topk_L9", 1, 10, 100, 0.3125, 64.04, 0.8125))
    assert told == "loss 0.312, L0 64.0, explained variance 0.812, topk_L9"
    told = status_text(StepReport("topk_L9", 18, 10, 100, 0.00003, 64.04, -0.5))
    assert told == "loss 3e-05, L0 64.0, explained variance -0.500, topk_L9 and 17 more"
