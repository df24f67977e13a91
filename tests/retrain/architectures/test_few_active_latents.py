"""Products over few active latents: the same step as with all of them, and when they are taken."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import retrain.architectures.latents
import retrain.architectures.sae
from manifests.sae_recipes import JumpreluRecipe, SaeRecipe, StandardRecipe
from retrain.architectures.build import build_saes
from retrain.architectures.dictionary import random_dictionary
from retrain.architectures.gradients import OuterProducts, StepResult
from retrain.architectures.latents import LatentProducts, SparseLatents
from retrain.architectures.sae import Sae
from retrain.training.side_by_side import SideBySide

N, D_IN, D_SAE = 12, 5, 16

LEARNED: dict[str, Any] = {"bandwidth": 0.6, "threshold_init": 0.2, "sparsity_coefficient": 0.7}
RECIPES: dict[str, SaeRecipe] = {
    "l0": JumpreluRecipe(sparsity="l0", **LEARNED),
    "l1": JumpreluRecipe(sparsity="l1", **LEARNED),
    "target": JumpreluRecipe(target_l0=3, **LEARNED),
    "gaussian": JumpreluRecipe(kernel="gaussian", sparsity="l0", **LEARNED),
    "legacy": JumpreluRecipe(threshold="fixed_at_zero", sparsity_coefficient=0.3),
    "standard": StandardRecipe(l1_coefficient=0.3),
}


def made(recipe: SaeRecipe, *, n_saes: int = 1, micro_batch: int = N) -> Sae:
    """SAEs with parameters that are nowhere special, in float64."""
    generator = torch.Generator().manual_seed(3)
    rows = torch.stack([random_dictionary(D_SAE, D_IN, generator) for _ in range(n_saes)])
    sae = build_saes(recipe, rows.double(), dead_after=2, micro_batch=micro_batch)
    sae.W_enc += 0.3 * torch.randn(sae.W_enc.shape, generator=generator, dtype=torch.float64)
    for parameter in sae.small.values():
        parameter += 0.1 * torch.rand(parameter.shape, generator=generator, dtype=torch.float64)
    return sae


def inputs(n: int = N, *, n_saes: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(4)
    return torch.randn(n_saes, n, D_IN, generator=generator, dtype=torch.float64)


def up_to(share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrain.architectures.sae, "SPARSE_SHARE", share)


def all_of(result: StepResult) -> dict[str, Tensor]:
    """Everything that a step gives; the dictionaries' gradients in two blocks of rows."""

    def blocks(gradient: Any) -> Tensor:
        ends = [(0, 7), (7, D_SAE)]
        scratch = torch.full((1, D_SAE, D_IN), float("nan"), dtype=torch.float64)
        return torch.cat([gradient(a, b, scratch[:, a:b]).clone() for a, b in ends], dim=1)

    return {
        "loss": result.loss,
        "active": result.active,
        "squared_error": result.squared_error,
        "radial": result.radial,
        "W_dec": blocks(result.rows.decoder),
        "W_enc": blocks(result.rows.encoder),
        **result.small,
    }


@pytest.mark.parametrize("name", RECIPES)
def test_a_step_over_few_latents_is_the_step_over_all(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The dense step is held against automatic differentiation in test_gradients."""
    up_to(0.0, monkeypatch)
    dense = made(RECIPES[name]).step(inputs(), N)
    assert isinstance(dense.rows, OuterProducts)
    wanted = all_of(dense)
    up_to(1.0, monkeypatch)
    sparse = made(RECIPES[name]).step(inputs(), N)
    assert isinstance(sparse.rows, LatentProducts)
    found = all_of(sparse)
    assert found.keys() == wanted.keys()
    assert 0 < float(wanted["active"]) < N * D_SAE
    for key, value in wanted.items():
        assert float(value.abs().max()) > 0, key
        torch.testing.assert_close(found[key], value, msg=lambda m, k=key: f"{k}: {m}")


def axes(n_saes: int = 1) -> Sae:
    """16 latents along the axes, active above 1."""
    recipe = JumpreluRecipe(
        bandwidth=0.5, threshold_init=1.0, sparsity="l0", sparsity_coefficient=0.1
    )
    dictionary = torch.eye(16).expand(n_saes, 16, 16)
    return build_saes(recipe, dictionary, dead_after=2, micro_batch=2)


@pytest.mark.parametrize(("n_active", "rows"), [(4, LatentProducts), (5, OuterProducts)])
def test_an_eighth_of_active_latents_are_few(n_active: int, rows: type) -> None:
    """4 of 2 x 16 are an eighth; how they share the vectors does not matter."""
    z = torch.zeros(1, 2, 16)
    z[0, 0, : n_active - 1] = 2.0
    z[0, 1, 3] = 2.0
    result = axes().step(z, 2)
    assert result.active.tolist() == [n_active]
    assert isinstance(result.rows, rows)


def test_saes_side_by_side_keep_dense_products() -> None:
    z = torch.zeros(2, 2, 16)
    z[:, :, 3] = 2.0
    assert isinstance(axes(2).step(z, 2).rows, OuterProducts)


def test_a_batch_without_an_active_latent_has_gradients_of_zero() -> None:
    sae = axes()
    z = torch.zeros(1, 2, 16)
    z[0, 0, 5] = 0.9
    result = sae.step(z, 2)
    assert isinstance(result.rows, LatentProducts)
    # z_hat = 0: 0.81 over 2 vectors.
    assert result.loss.tolist() == pytest.approx([0.405])
    nowhere = torch.full((1, 16, 16), float("nan"))
    assert not result.rows.decoder(0, 16, nowhere.clone()).any()
    assert not result.rows.encoder(0, 16, nowhere.clone()).any()
    # 0.9 lies within 1/4 of theta: d theta = -(theta g_5 + lambda / n) / eps with g_5 = -0.9.
    assert float(result.small["threshold"][0, 5]) == pytest.approx(-(-0.9 + 0.05) / 0.5)


def test_the_parts_of_a_batch_may_differ_in_how_they_are_computed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One part lies at the origin, where few latents are active; the other is as it comes."""
    recipe = RECIPES["target"]
    z = inputs()
    z[:, 8:] *= 0.02
    up_to(0.0, monkeypatch)
    wanted = all_of(made(recipe).step(z, N))
    up_to(0.2, monkeypatch)
    sae = made(recipe, micro_batch=8)
    pieces = [z[:, :8], z[:, 8:]]
    sae.prepare(pieces)
    kinds, sums = [], dict.fromkeys(wanted, torch.zeros(()))
    for piece in pieces:
        result = sae.step(piece, N)
        kinds.append(type(result.rows))
        sums = {key: sums[key] + value for key, value in all_of(result).items()}
    assert kinds == [OuterProducts, LatentProducts]
    for key, value in wanted.items():
        torch.testing.assert_close(sums[key], value, msg=lambda m, k=key: f"{k}: {m}")


@pytest.mark.parametrize("max_gradient_norm", [None, 0.5])
@pytest.mark.parametrize("micro_batch", [N, 5])
def test_both_ways_train_the_same_weights(
    micro_batch: int, max_gradient_norm: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """30 steps in float64, where sums in another order differ by 1e-15 each."""
    weights = []
    for share in (0.0, 1.0, 1.0):
        up_to(share, monkeypatch)
        sae = made(RECIPES["target"], micro_batch=micro_batch)
        saes = SideBySide(
            sae, batch_size=N, micro_batch=micro_batch, max_gradient_norm=max_gradient_norm
        )
        before = sae.W_dec.clone()
        for number in range(30):
            z = inputs(N).roll(number, dims=1) * (1 + 0.1 * number)
            saes.step(z, learning_rate=1e-2, sparsity_scale=1.0)
        assert not torch.allclose(sae.W_dec, before, atol=1e-2)
        weights.append({name: tensor.clone() for name, tensor in saes.state().items()})
    dense, sparse, again = weights
    for name, tensor in dense.items():
        torch.testing.assert_close(sparse[name], tensor, rtol=1e-8, atol=1e-9)
        assert torch.equal(sparse[name], again[name])


@pytest.mark.parametrize("piece_bytes", [1, 3 * D_IN * 8, 2**20])
@pytest.mark.parametrize("onto", [False, True])
def test_transposed_products_are_made_in_pieces(
    piece_bytes: int, onto: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pieces of one row, of three, and of all rows; latents 2 to 12 of 16."""
    monkeypatch.setattr(retrain.architectures.latents, "PIECE_BYTES", piece_bytes)
    generator = torch.Generator().manual_seed(5)
    values = torch.randn(1, N, D_SAE, generator=generator, dtype=torch.float64)
    mask = (torch.rand(1, N, D_SAE, generator=generator) < 0.2).double()
    mask[:, :, 6] = 0
    x = inputs()
    held = 3.0 if onto else float("nan")
    out = torch.full((1, 11, D_IN), held, dtype=torch.float64)
    found = SparseLatents.where(mask, values).transposed_product(x, 2, 13, out, onto=onto)
    wanted = (values * mask)[0, :, 2:13].T @ x[0] + (3.0 if onto else 0.0)
    torch.testing.assert_close(found[0], wanted)


def test_other_values_of_the_same_latents_come_in_their_order() -> None:
    mask = torch.tensor([[[0.0, 1.0, 1.0], [0.0, 0.0, 0.0], [1.0, 0.0, 1.0]]])
    values = torch.arange(9.0).reshape(1, 3, 3)
    chosen = SparseLatents.where(mask, values)
    assert chosen.values.tolist() == [1.0, 2.0, 6.0, 8.0]
    assert chosen.latents.tolist() == [1, 2, 0, 2]
    assert chosen.vectors.tolist() == [0, 0, 2, 2]
    assert chosen.ends.tolist() == [0, 2, 2, 4]
    other = chosen.taken_from(10 * values)
    assert other.values.tolist() == [10.0, 20.0, 60.0, 80.0]
    # Latent 0: 60; latent 1: 10; latent 2: 20 + 80.
    assert other.sums().tolist() == [[60.0, 10.0, 100.0]]
