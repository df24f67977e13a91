"""The optimiser by blocks of rows, against torch's own Adam."""

from __future__ import annotations

from itertools import chain

import pytest
import torch
from torch import Tensor

import retrain.training.adam
from manifests.recipe import Recipe
from manifests.sae_recipes import (
    GatedRecipe,
    MatryoshkaRecipe,
    SaeRecipe,
    StandardRecipe,
    TopkRecipe,
)
from retrain.architectures.build import build_saes
from retrain.architectures.sae import Sae
from retrain.training.adam import RowAdam, renormalise
from retrain.training.batches import order_of_batches
from retrain.training.schedule import learning_rate, sparsity_scale
from retrain.training.side_by_side import SideBySide

D_IN, D_SAE, N = 4, 10, 8


def standard_sae() -> Sae:
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(1, D_SAE, D_IN, generator=generator)
    return build_saes(
        StandardRecipe(l1_coefficient=0.1),
        rows / rows.norm(dim=2, keepdim=True),
        dead_after=1,
        micro_batch=N,
    )


def batches(count: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(1, N, D_IN, generator=generator) for _ in range(count)]


def test_it_is_torchs_adam_on_the_gradient_without_its_radial_part() -> None:
    """Ten steps beside torch.optim.Adam and automatic differentiation."""
    sae = standard_sae()
    p = {
        name: tensor[0].clone().requires_grad_()
        for name, tensor in {"W_enc": sae.W_enc, "W_dec": sae.W_dec, **sae.small}.items()
    }
    reference = torch.optim.Adam(p.values(), lr=1e-2, betas=(0.9, 0.99))
    trained = SideBySide(sae, batch_size=N, micro_batch=N, beta2=0.99)
    for z in batches(10):
        trained.step(z, learning_rate=1e-2, sparsity_scale=1.0)
        f = ((z[0] - p["b_dec"]) @ p["W_enc"].T + p["b_enc"]).relu()
        error = z[0] - f @ p["W_dec"] - p["b_dec"]
        loss = error.square().sum(1).mean() + 0.1 * f.sum(1).mean()
        reference.zero_grad()
        loss.backward()
        with torch.no_grad():
            rows, gradient = p["W_dec"], p["W_dec"].grad
            gradient -= (gradient * rows).sum(1, keepdim=True) * rows
            reference.step()
            rows /= rows.norm(dim=1, keepdim=True)
    for name, wanted in p.items():
        found = getattr(sae, name)[0]
        torch.testing.assert_close(found, wanted.detach(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("block_bytes", [1, 3 * 4 * D_IN, 10**6])
def test_the_size_of_blocks_changes_nothing(
    block_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocks of 1 row, of 3 with one left over, and all 10."""
    whole = SideBySide(standard_sae(), batch_size=N, micro_batch=N)
    monkeypatch.setattr(retrain.training.adam, "BLOCK_BYTES", block_bytes)
    blocks = SideBySide(standard_sae(), batch_size=N, micro_batch=N)
    assert blocks.optimiser.block_rows == {1: 1, 48: 3, 10**6: 10}[block_bytes]
    for z in batches(5):
        whole.step(z, learning_rate=1e-2, sparsity_scale=1.0)
        blocks.step(z, learning_rate=1e-2, sparsity_scale=1.0)
    torch.testing.assert_close(blocks.sae.W_dec, whole.sae.W_dec)
    torch.testing.assert_close(blocks.sae.W_enc, whole.sae.W_enc)


def standard_reference(p: dict[str, Tensor], z: Tensor) -> Tensor:
    f = ((z[0] - p["b_dec"]) @ p["W_enc"].T + p["b_enc"]).relu()
    error = z[0] - f @ p["W_dec"] - p["b_dec"]
    return error.square().sum(1).mean() + 0.1 * f.sum(1).mean()


@pytest.mark.parametrize("block_bytes", [48, 10**6])
@pytest.mark.parametrize("micro_batch", [3, N])
def test_the_norm_is_limited_as_torch_limits_it(
    block_bytes: int, micro_batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside torch.nn.utils.clip_grad_norm_; gradients here have norms of 5 to 28."""
    monkeypatch.setattr(retrain.training.adam, "BLOCK_BYTES", block_bytes)
    sae = standard_sae()
    p = {
        name: tensor[0].clone().requires_grad_()
        for name, tensor in {"W_enc": sae.W_enc, "W_dec": sae.W_dec, **sae.small}.items()
    }
    reference = torch.optim.Adam(p.values(), lr=1e-2)
    limited = SideBySide(sae, batch_size=N, micro_batch=micro_batch, max_gradient_norm=8.0)
    norms = []
    for z in batches(10):
        limited.step(z, learning_rate=1e-2, sparsity_scale=1.0)
        reference.zero_grad()
        standard_reference(p, z).backward()
        with torch.no_grad():
            rows, gradient = p["W_dec"], p["W_dec"].grad
            gradient -= (gradient * rows).sum(1, keepdim=True) * rows
            norms.append(float(torch.nn.utils.clip_grad_norm_(p.values(), 8.0)))
            reference.step()
            rows /= rows.norm(dim=1, keepdim=True)
    assert min(norms) < 8 < max(norms)
    for name, wanted in p.items():
        torch.testing.assert_close(getattr(sae, name)[0], wanted.detach(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "recipe",
    [
        TopkRecipe(k=3, auxiliary_k=2),
        MatryoshkaRecipe(k=3, widths=(4,), auxiliary_k=2),
        GatedRecipe(l1_coefficient=0.1),
    ],
)
@pytest.mark.parametrize("n_saes", [1, 2])
def test_each_sae_has_its_own_norm_however_it_is_computed(
    recipe: SaeRecipe, n_saes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first step moves every parameter by the learning rate; the moments show the norm."""
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(n_saes, D_SAE, D_IN, generator=generator)
    rows /= rows.norm(dim=2, keepdim=True)
    z = torch.randn(n_saes, N, D_IN, generator=generator)
    z[0] *= 5
    for block_bytes in (48, 10**6):
        monkeypatch.setattr(retrain.training.adam, "BLOCK_BYTES", block_bytes)
        saes = SideBySide(
            build_saes(recipe, rows, dead_after=1, micro_batch=N),
            batch_size=N,
            micro_batch=N,
            max_gradient_norm=0.5,
        )
        saes.step(z, learning_rate=1e-2, sparsity_scale=1.0)
        state = saes.optimiser.state()
        first = [t for name, t in state.items() if name.endswith("first_moment")]
        for sae in range(n_saes):
            # A first moment is a tenth of the gradient.
            norm = sum(float((10 * moment[sae]).square().sum()) for moment in first) ** 0.5
            assert norm == pytest.approx(0.5, rel=1e-3)


def test_the_state_names_every_moment_and_every_count() -> None:
    names = RowAdam(standard_sae()).state().keys()
    for parameter in ("W_enc", "W_dec", "b_dec", "b_enc"):
        assert {f"{parameter}.first_moment", f"{parameter}.second_moment"} <= names
        assert f"{parameter}.steps.0" in names


def test_rows_are_scaled_to_length_1() -> None:
    rows = torch.tensor([[3.0, 4.0], [0.0, -2.0]])
    renormalise(rows)
    torch.testing.assert_close(rows, torch.tensor([[0.6, 0.8], [0.0, -1.0]]))


def recipe(**changes: float) -> Recipe:
    content = {"epochs": 1, "batch_size": 4, "learning_rate": 1.0}
    return Recipe.model_validate({**content, **changes})


def test_the_learning_rate_grows_stays_and_falls() -> None:
    """Of 10 steps 4 grow by a quarter each, and the last 5 fall by a fifth each."""
    rates = [learning_rate(step, 10, recipe(warmup=0.4, decay=0.5)) for step in range(10)]
    assert rates == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1, 0.8, 0.6, 0.4, 0.2])
    assert {learning_rate(step, 10, recipe()) for step in range(10)} == {1.0}


def test_the_weight_of_a_sparsity_term_grows_to_1() -> None:
    scales = [sparsity_scale(step, 10, recipe(sparsity_warmup=0.5)) for step in range(10)]
    assert scales == pytest.approx([0.2, 0.4, 0.6, 0.8, 1, 1, 1, 1, 1, 1])
    assert sparsity_scale(0, 10, recipe()) == 1.0


def order(**options: int) -> list[list[int]]:
    generator = torch.Generator().manual_seed(0)
    settings = {"n_vectors": 7, "epochs": 3, "batch_size": 3, **options}
    return [rows.tolist() for rows in order_of_batches(generator, **settings)]


def test_every_epoch_goes_through_all_vectors_in_another_order() -> None:
    batches_ = order()
    assert [len(rows) for rows in batches_] == [3, 3, 1] * 3
    epochs = [list(chain(*batches_[start : start + 3])) for start in (0, 3, 6)]
    assert all(sorted(epoch) == list(range(7)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]


@pytest.mark.parametrize("skip", [1, 3, 4, 8])
def test_skipped_batches_are_drawn_all_the_same(skip: int) -> None:
    assert order(skip=skip) == order()[skip:]
