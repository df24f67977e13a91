"""Small cases worked by hand, and what the exported tensors compute in SAELens."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from sae_lens import SAE
from torch import Tensor

from manifests.recipe import Recipe
from manifests.sae_recipes import (
    BatchTopkRecipe,
    GatedRecipe,
    JumpreluRecipe,
    MatryoshkaRecipe,
    TopkRecipe,
)
from retrain.architectures.build import build_saes
from retrain.architectures.gated import GatedSae
from retrain.architectures.sae import Sae
from retrain.architectures.topk import TopkSae
from retrain.input_scale import InputScale
from retrain.jobs import Job, Unit
from retrain.training.train import train_unit
from retrain.vectors import InMemory


def axes(recipe: Any, d: int = 3, n: int = 1) -> Any:
    """An SAE whose dictionary is the axes: pre is the input."""
    return build_saes(recipe, torch.eye(d).unsqueeze(0), dead_after=1, micro_batch=n)


def rows_of(result: Any, d: int = 3) -> tuple[Tensor, Tensor]:
    decoder = result.rows.decoder(0, d, torch.empty(1, d, d)).clone()
    return decoder[0], result.rows.encoder(0, d, torch.empty(1, d, d))[0]


def test_topk_keeps_the_largest_and_rectifies() -> None:
    sae = axes(TopkRecipe(k=2, auxiliary_coefficient=0), d=4, n=2)
    z = torch.tensor([[[3.0, -1.0, 2.0, 5.0], [-4.0, -3.0, -2.0, 1.0]]])
    expected = [[3.0, 0.0, 0.0, 5.0], [0.0, 0.0, 0.0, 1.0]]
    assert sae.encode(z)[0].tolist() == expected
    # The second vector has one positive entry among its two largest: 3 active in all.
    assert sae.step(z, 2).active.tolist() == [3.0]


def test_topk_loss_and_gradients_of_one_vector() -> None:
    sae = axes(TopkRecipe(k=1, auxiliary_coefficient=0), d=2)
    result = sae.step(torch.tensor([[[2.0, 1.0]]]), 1)
    # pre = (2, 1), so f = (2, 0), z_hat = (2, 0), z_hat - z = (0, -1), loss = 1.
    assert result.loss.tolist() == [1.0]
    # g = 2 (0, -1) = (0, -2); d W_dec[0] = f_0 g = (0, -4); d f_0 = g . W_dec[0] = 0.
    decoder, encoder = rows_of(result, 2)
    assert decoder.tolist() == [[0.0, -4.0], [0.0, 0.0]]
    assert encoder.tolist() == [[0.0, 0.0], [0.0, 0.0]]
    assert result.small["b_dec"].tolist() == [[0.0, -2.0]]


def test_the_auxiliary_loss_trains_dead_latents_alone() -> None:
    sae = axes(TopkRecipe(k=1, auxiliary_coefficient=0.5, auxiliary_k=1))
    assert isinstance(sae, TopkSae)
    sae.silent[:] = torch.tensor([[0, 1, 1]])
    sae.W_dec[0, 1] = torch.tensor([0.0, 0.0, 1.0])
    result = sae.step(torch.tensor([[[4.0, 1.0, 0.0]]]), 1)
    # f = (4, 0, 0), e = z - z_hat = (0, 1, 0). Of the dead latents 1 and 2 the larger
    # pre-activation is 1, of latent 1, which decodes to e_hat = (0, 0, 1).
    # ||e - e_hat||^2 = 2, half of it is added to ||e||^2 = 1.
    assert result.loss.tolist() == [2.0]
    # g = 2 (z_hat - z) = (0, -2, 0): d W_dec[0] = 4 g. For the dead latent
    # 0.5 * 2 (e_hat - e) = (0, -1, 1): d W_dec[1] = 1 (0, -1, 1).
    decoder, encoder = rows_of(result)
    assert decoder.tolist() == [[0.0, -8.0, 0.0], [0.0, -1.0, 1.0], [0.0, 0.0, 0.0]]
    # d f_1 = (0, -1, 1) . (0, 0, 1) = 1, times the input (4, 1, 0); d f_0 = 0.
    assert encoder.tolist() == [[0.0, 0.0, 0.0], [4.0, 1.0, 0.0], [0.0, 0.0, 0.0]]


def test_a_latent_is_dead_after_so_many_silent_batches() -> None:
    sae = build_saes(
        TopkRecipe(k=1, auxiliary_k=1), torch.eye(2).unsqueeze(0), dead_after=2, micro_batch=1
    )
    assert isinstance(sae, TopkSae)
    losses = []
    for _ in range(3):
        losses.append(float(sae.step(torch.tensor([[[2.0, 1.0]]]), 1).loss))
        sae.after_step()
    # Latent 1 is silent in batches 1 and 2; in batch 3 it is dead, and e_hat = e adds nothing.
    assert sae.silent.tolist() == [[0, 3]]
    assert losses == [1.0, 1.0, 1.0]
    sae.W_dec[0, 1] = torch.tensor([1.0, 0.0])
    # Now e_hat = (1, 0), e = (0, 1): 2 / 32 is added.
    assert float(sae.step(torch.tensor([[[2.0, 1.0]]]), 1).loss) == pytest.approx(1.0625)


def test_batchtopk_lets_vectors_share_their_latents_unevenly() -> None:
    sae = axes(BatchTopkRecipe(k=1, auxiliary_coefficient=0, threshold_rate=0.5), n=2)
    z = torch.tensor([[[5.0, 4.0, 0.0], [1.0, 2.0, 3.0]]])
    result = sae.step(z, 2)
    # The 2 largest of 6 are 5 and 4, both of the first vector. The second is not reconstructed:
    # (1 + 4 + 9) / 2 = 7.
    assert result.active.tolist() == [2.0]
    assert result.loss.tolist() == pytest.approx([7.0])
    assert sae.threshold.tolist() == [4.0]
    sae.step(torch.tensor([[[6.0, 0.0, 0.0], [0.0, 2.0, 0.0]]]), 2)
    # Half of the way from 4 to 2.
    assert sae.threshold.tolist() == [3.0]
    assert sae.encode(z)[0].tolist() == [[5.0, 4.0, 0.0], [0.0, 0.0, 0.0]]


def test_a_batch_without_active_latents_leaves_the_threshold_alone() -> None:
    sae = axes(BatchTopkRecipe(k=1, auxiliary_coefficient=0), n=1)
    sae.step(torch.tensor([[[-1.0, -2.0, -3.0]]]), 1)
    assert sae.exported(0, InputScale(torch.zeros(3), 1.0))["threshold"].tolist() == [0.0] * 3
    sae.step(torch.tensor([[[7.0, -2.0, -3.0]]]), 1)
    sae.step(torch.tensor([[[-1.0, -2.0, -3.0]]]), 1)
    assert sae.threshold.tolist() == [7.0]


def test_matryoshka_adds_the_loss_of_every_inner_dictionary() -> None:
    sae = axes(MatryoshkaRecipe(k=3, widths=(1, 2), auxiliary_coefficient=0))
    result = sae.step(torch.tensor([[[1.0, 2.0, 3.0]]]), 1)
    # Inner dictionaries reconstruct (1, 0, 0), (1, 2, 0) and all: 4 + 9, 9, 0.
    assert result.loss.tolist() == [22.0]
    assert result.squared_error.tolist() == [0.0]
    # g_1 = (0, -4, -6), g_2 = (0, 0, -6), g_3 = 0. Latent 0 is in all: 1 (0, -4, -12).
    decoder, _ = rows_of(result)
    assert decoder.tolist() == [[0.0, -4.0, -12.0], [0.0, 0.0, -12.0], [0.0, 0.0, 0.0]]


def test_jumprelus_pseudo_derivatives() -> None:
    sae = axes(
        JumpreluRecipe(bandwidth=1.0, threshold_init=2.0, sparsity="l0", sparsity_coefficient=3.0)
    )
    result = sae.step(torch.tensor([[[2.25, 1.75, 9.0]]]), 1)
    # f = (2.25, 0, 9); the error is z_hat - z = (0, -1.75, 0); loss = 3.0625 + 3 * 2.
    assert result.loss.tolist() == [9.0625]
    assert result.active.tolist() == [2.0]
    # Both 2.25 and 1.75 lie within 1/2 of theta = 2. d f = g W_dec^T = (0, -3.5, 0).
    # d theta_0 = -(2 * 0 + 3) / 1; d theta_1 = -(2 * -3.5 + 3) = 4; latent 2 is far away.
    assert result.small["threshold"].tolist() == [[-3.0, 4.0, 0.0]]
    # The encoder learns through f alone: latent 1 is not active.
    _, encoder = rows_of(result)
    assert encoder.tolist() == [[0.0] * 3] * 3


def test_jumprelus_thresholds_never_fall_below_zero() -> None:
    sae = axes(
        JumpreluRecipe(bandwidth=1.0, threshold_init=2.0, sparsity="l0", sparsity_coefficient=3.0)
    )
    sae.threshold[0, 1] = -0.5
    sae.after_step()
    assert sae.threshold.tolist() == [[2.0, 0.0, 2.0]]


def test_gateds_frozen_term_sends_nothing_to_the_decoder() -> None:
    sae = axes(GatedRecipe(l1_coefficient=0.5), d=2)
    assert isinstance(sae, GatedSae)
    sae.b_mag[0] = torch.tensor([1.0, 0.0])
    result = sae.step(torch.tensor([[[2.0, -1.0]]]), 1)
    # pi = (2, -1), mag = (3, 0), f = (3, 0): z_hat - z = (1, 1), 2 of loss. The frozen
    # reconstruction is (2, 0): (0, 1), 1 of loss. L1: 0.5 * 2.
    assert result.loss.tolist() == [4.0]
    # g = (2, 2): d W_dec[0] = 3 g. Only f's own reconstruction counts.
    decoder, encoder = rows_of(result, 2)
    assert decoder.tolist() == [[6.0, 6.0], [0.0, 0.0]]
    assert result.small["b_dec"].tolist() == [[2.0 - 2.5, 2.0]]
    # d mag_0 = 2; d pi_0 = 2 (0, 1) . (1, 0) + 0.5 = 0.5; d u_0 = 2.5 times the input.
    assert encoder.tolist() == [[5.0, -2.5], [0.0, 0.0]]
    assert result.small["b_gate"].tolist() == [[0.5, 0.0]]
    assert result.small["b_mag"].tolist() == [[2.0, 0.0]]
    assert result.small["r_mag"].tolist() == [[4.0, 0.0]]


RECIPE = Recipe.model_validate(
    {
        "epochs": 15,
        "batch_size": 16,
        "learning_rate": 3e-3,
        "topk": {"k": 4},
        "batchtopk": {"k": 4},
        "matryoshka_batchtopk": {"k": 4, "widths": [12, 24]},
        "jumprelu": {
            "bandwidth": 0.2,
            "threshold_init": 0.05,
            "target_l0": 6,
            "sparsity_coefficient": 0.5,
        },
        "gated": {"l1_coefficient": 0.02},
        "standard": {"l1_coefficient": 0.02},
        "variants": {"legacy": {"jumprelu": {"threshold": "fixed_at_zero"}}},
    }
)
SAVED = {"batchtopk": "jumprelu", "matryoshka_batchtopk": "jumprelu"}


@pytest.mark.parametrize(
    ("architecture", "variant"),
    [
        ("topk", ""),
        ("batchtopk", ""),
        ("matryoshka_batchtopk", ""),
        ("jumprelu", ""),
        ("jumprelu", "legacy"),
        ("gated", ""),
        ("standard", ""),
    ],
)
def test_saelens_computes_from_the_export_what_the_trainer_computes(
    architecture: Any, variant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Latents `scale` times the trainer's, and the same reconstruction, in raw units.

    float32 on inputs of size 40: sums of 16 products round at about 1e-5 of them.
    """
    import retrain.training.train

    generator = torch.Generator().manual_seed(6)
    x = 4 * torch.randn(64, 16, generator=generator) + 20
    kept: list[tuple[Sae, InputScale]] = []
    real = retrain.training.train._Training.trained

    def keeping(self: Any) -> Any:
        kept.append((self.saes.sae, self.scales[0]))
        return real(self)

    monkeypatch.setattr(retrain.training.train._Training, "trained", keeping)
    job = Job("one", "hook", None, 48, RECIPE.of(architecture, variant), 3)
    (trained,) = train_unit(Unit((job,), RECIPE, "cpu", 16), {"hook": InMemory(x)})
    config = {
        "architecture": SAVED.get(architecture, architecture),
        "d_in": 16,
        "d_sae": 48,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": True,
        "normalize_activations": "none",
        "reshape_activations": "none",
        "metadata": {},
    }
    if architecture == "topk":
        config |= {"k": 4, "rescale_acts_by_decoder_norm": False}
    loaded = SAE.from_dict(config)
    loaded.load_state_dict(trained.tensors)
    ((own, scale),) = kept
    z = scale.apply(x).unsqueeze(0)
    latents = own.encode(z)
    assert 0 < float((latents > 0).sum(2).float().mean()) < 48
    encoded = loaded.encode(x)
    torch.testing.assert_close(encoded, latents[0] * scale.scale, rtol=1e-4, atol=1e-3)
    raw = own.decode(latents)[0] * scale.scale + scale.centre
    torch.testing.assert_close(loaded.decode(encoded), raw, rtol=1e-4, atol=1e-3)
