"""The plan against what torch really allocates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from manifests.recipe import Recipe
from retrain.jobs import Job, Unit
from retrain.planning.memory import WHOLE_BATCH, WORKING_ARRAYS, Group, training_need
from retrain.training.train import train_unit
from retrain.vectors import InMemory

D_IN, D_SAE, BATCH, N_VECTORS = 256, 1024, 256, 640
RECIPES: dict[str, dict[str, Any]] = {
    "topk": {"k": 16},
    "jumprelu": {
        "kernel": "gaussian",
        "bandwidth": 0.2,
        "threshold_init": 0.02,
        "target_l0": 32,
        "sparsity_coefficient": 0.03,
    },
    "gated": {"l1_coefficient": 0.1},
    "batchtopk": {"k": 16},
    "matryoshka_batchtopk": {"k": 16, "widths": [128, 512]},
    "standard": {"l1_coefficient": 0.1},
}


def peak_bytes(work: Callable[[], object]) -> int:
    """The most that torch held on the CPU at one time, of what `work` allocated."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        work()
    kineto = profiled.profiler.kineto_results  # type: ignore[union-attr]
    changes = [
        (event.start_ns(), event.nbytes())
        for event in kineto.events()
        if event.name() == "[memory]"
    ]
    held = peak = 0
    for _, change in sorted(changes, key=lambda pair: pair[0]):
        held += change
        peak = max(peak, held)
    return peak


def test_the_measurement_sees_a_known_peak() -> None:
    def work() -> None:
        first = torch.zeros(250_000)
        second = first + 1
        del first
        torch.zeros(250_000).add_(second)

    # Arrays of 250,000 * 4 bytes, two of them at a time.
    assert peak_bytes(work) == pytest.approx(2_000_000, rel=0.01)


@pytest.mark.parametrize("resident", [True, False])
@pytest.mark.parametrize(
    ("architecture", "micro_batch"),
    [
        (architecture, micro_batch)
        for architecture in sorted(WORKING_ARRAYS)
        for micro_batch in (BATCH, BATCH // 4)
        if micro_batch == BATCH or architecture not in WHOLE_BATCH
    ],
)
def test_training_takes_less_than_planned_and_more_than_a_third(
    architecture: Any, resident: bool, micro_batch: int
) -> None:
    recipe = Recipe.model_validate(
        {
            "epochs": 2,
            "batch_size": BATCH,
            "learning_rate": 1e-3,
            architecture: RECIPES[architecture],
        }
    )
    job = Job("a", "hook", None, D_SAE, recipe.of(architecture, ""), 1)
    unit = Unit((job,), recipe, "cpu", micro_batch, resident)
    generator = torch.Generator().manual_seed(0)
    vectors = {"hook": InMemory(torch.randn(N_VECTORS, D_IN, generator=generator))}
    measured = peak_bytes(lambda: train_unit(unit, vectors))
    need = training_need(
        Group(architecture, D_IN, D_SAE, 1, BATCH, N_VECTORS),
        n_together=1,
        micro_batch=micro_batch,
        resident=resident,
        is_cuda=False,
    )
    planned = need.size_bytes - need.of("process")
    assert planned / 3 < measured <= planned, need
