from typing import Any

import pytest
import torch

from manifests.recipe import Recipe
from retrain.train import n_steps, sae_seed, train_sae

RECIPE = Recipe.model_validate(
    {
        "epochs": 40,
        "batch_size": 16,
        "learning_rate": 3e-3,
        "topk": {"k": 4, "auxiliary_k": 4},
        "jumprelu": {
            "bandwidth": 0.2,
            "threshold_init": 0.05,
            "target_l0": 6,
            "sparsity_coefficient": 0.5,
        },
        "gated": {"l1_coefficient": 0.02},
    }
)


@pytest.fixture(scope="module")
def x() -> torch.Tensor:
    """40 vectors, each a positive mixture of two of 12 directions, about a far mean."""
    generator = torch.Generator().manual_seed(4)
    directions = torch.randn(12, 16, generator=generator)
    mixture = torch.zeros(40, 12)
    for row in range(40):
        pair = torch.randperm(12, generator=generator)[:2]
        mixture[row, pair] = 1 + torch.rand(2, generator=generator)
    return 5 * mixture @ directions + 20


@pytest.mark.parametrize("architecture", ["topk", "jumprelu", "gated"])
def test_training_reconstructs_what_it_was_trained_on(architecture: Any, x: torch.Tensor) -> None:
    trained = train_sae(x, 48, RECIPE, RECIPE.of(architecture, ""), seed=1)
    first, last = trained.loss_curve[0], trained.loss_curve[-1]
    assert last[1] < 0.5 * first[1]
    # 3 batches (16, 16, 8) x 40 epochs.
    assert trained.steps == last[0] == 120
    assert len(trained.loss_curve) == 40
    assert (trained.threshold_init is None) == (architecture != "jumprelu")


def test_jumprelu_thresholds_leave_their_initial_value_and_l0_nears_its_target(
    x: torch.Tensor,
) -> None:
    trained = train_sae(x, 48, RECIPE, RECIPE.of("jumprelu", ""), seed=1)
    assert trained.threshold_init == pytest.approx(0.05 * trained.scale)
    moved = (trained.tensors["threshold"] - trained.threshold_init).abs()
    assert (moved > 0.1 * trained.threshold_init).float().mean() > 0.5
    assert trained.final_l0 == pytest.approx(6, abs=2)


@pytest.mark.parametrize("architecture", ["topk", "jumprelu", "gated"])
def test_equal_seeds_give_equal_bits_and_other_seeds_do_not(
    architecture: Any, x: torch.Tensor
) -> None:
    short = RECIPE.model_copy(update={"epochs": 3})
    runs = [
        train_sae(x, 48, short, RECIPE.of(architecture, ""), seed=seed).tensors
        for seed in (1, 1, 2)
    ]
    assert all(torch.equal(runs[0][name], runs[1][name]) for name in runs[0])
    assert not torch.equal(runs[0]["W_enc"], runs[2]["W_enc"])


def test_torchs_global_generator_is_neither_used_nor_changed(x: torch.Tensor) -> None:
    before = torch.random.get_rng_state()
    train_sae(x, 48, RECIPE.model_copy(update={"epochs": 1}), RECIPE.of("topk", ""), seed=1)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_every_sae_has_its_own_seed() -> None:
    assert sae_seed(1, "a") == sae_seed(1, "a")
    assert len({sae_seed(1, "a"), sae_seed(1, "b"), sae_seed(2, "a")}) == 3
    assert 0 <= sae_seed(1, "a") < 2**53


def test_the_last_batch_of_an_epoch_may_be_smaller() -> None:
    # ceil(40 / 16) = 3 batches, 40 epochs.
    assert n_steps(40, RECIPE) == 120
