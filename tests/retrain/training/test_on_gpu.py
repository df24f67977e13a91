"""What only a GPU can show: recorded graphs, and that they give the same bits twice."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from manifests.recipe import Recipe
from retrain.environment import repeatable
from retrain.jobs import Job, Unit
from retrain.training.train import train_unit
from retrain.vectors import InMemory

pytestmark = pytest.mark.gpu

RECIPE = Recipe.model_validate(
    {
        "epochs": 4,
        "batch_size": 64,
        "learning_rate": 1e-3,
        "topk": {"k": 8, "auxiliary_k": 8},
        "batchtopk": {"k": 8, "auxiliary_k": 8},
        "matryoshka_batchtopk": {"k": 8, "auxiliary_k": 8, "widths": [64]},
        "jumprelu": {
            "bandwidth": 0.2,
            "threshold_init": 0.05,
            "target_l0": 12,
            "sparsity_coefficient": 0.5,
        },
        "gated": {"l1_coefficient": 0.02},
        "standard": {"l1_coefficient": 0.02},
    }
)
KINDS = ["topk", "batchtopk", "matryoshka_batchtopk", "jumprelu", "gated", "standard"]


def vectors() -> dict[str, InMemory]:
    generator = torch.Generator().manual_seed(0)
    return {
        f"hook {i}": InMemory(3 * torch.randn(200, 64, generator=generator) + 5) for i in range(3)
    }


def unit_on(device: str, kind: Any, **changes: Any) -> Unit:
    jobs = tuple(
        Job(f"sae {i}", f"hook {i}", None, 256, RECIPE.of(kind, ""), seed=i) for i in range(3)
    )
    return replace(Unit(jobs, RECIPE, device, 64), **changes)


@pytest.mark.parametrize("kind", KINDS)
def test_a_gpu_learns_what_a_cpu_learns(kind: str) -> None:
    """3 full batches and one of 8 vectors in each epoch: two graphs are recorded."""
    with repeatable("cuda"):
        on_gpu = train_unit(unit_on("cuda", kind), vectors())
    on_cpu = train_unit(unit_on("cpu", kind), vectors())
    for one, other in zip(on_gpu, on_cpu, strict=True):
        for found, wanted in zip(one.loss_curve, other.loss_curve, strict=True):
            assert found == pytest.approx(wanted, rel=1e-2)


@pytest.mark.parametrize("kind", KINDS)
def test_a_gpu_gives_the_same_bits_twice(kind: str) -> None:
    with repeatable("cuda"):
        runs = [train_unit(unit_on("cuda", kind), vectors()) for _ in range(2)]
    for one, other in zip(*runs, strict=True):
        for name, tensor in one.tensors.items():
            assert torch.equal(tensor, other.tensors[name])


def test_streamed_vectors_give_the_bits_of_resident_ones() -> None:
    with repeatable("cuda"):
        resident = train_unit(unit_on("cuda", "topk"), vectors())
        streamed = train_unit(unit_on("cuda", "topk", resident=False), vectors())
    for one, other in zip(resident, streamed, strict=True):
        assert torch.equal(one.tensors["W_enc"], other.tensors["W_enc"])
