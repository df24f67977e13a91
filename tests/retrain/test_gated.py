import pytest
import torch

from manifests.recipe import GatedRecipe
from retrain.gated import GatedSae

RECIPE = GatedRecipe(l1_coefficient=0.5)


def test_the_three_terms_add_up_to_the_hand_calculation() -> None:
    sae = GatedSae(torch.eye(2), RECIPE)
    sae.b_gate.data.copy_(torch.tensor([1.0, -2.0]))
    result = sae.step_loss(torch.tensor([[2.0, 1.0]]))
    # u = (2, 1), pi_gate = (3, -1), mag = (2, 1), f = (2, 0): error ||(0, 1)||^2 = 1.
    # L1: 0.5 * 3 = 1.5. Frozen: ReLU(pi_gate) = (3, 0), ||(2, 1) - (3, 0)||^2 = 2. Sum 4.5.
    assert result.loss.item() == pytest.approx(4.5)
    assert result.l0.item() == 1.0


def test_the_auxiliary_term_does_not_train_the_decoder() -> None:
    sae = GatedSae(torch.eye(2), RECIPE)
    sae.b_gate.data.copy_(torch.tensor([1.0, -2.0]))
    sae.step_loss(torch.tensor([[2.0, 1.0]])).loss.backward()
    # From the reconstruction alone: d z_hat = 2 (z_hat - z) = (0, -2), d W_dec[0] = 2 (0, -2).
    assert torch.equal(sae.W_dec.grad, torch.tensor([[0.0, -4.0], [0.0, 0.0]]))
    # d b_gate: L1 0.5, frozen 2 (3 - 2) = 2, through the open gate only: (2.5, 0).
    assert sae.b_gate.grad.tolist() == [2.5, 0.0]


def test_the_magnitude_path_is_the_gate_times_exp_r_mag() -> None:
    sae = GatedSae(torch.eye(2), RECIPE)
    sae.r_mag.data.copy_(torch.tensor([2.0, 0.0]).log1p())
    sae.b_mag.data.copy_(torch.tensor([0.5, -4.0]))
    # u = (2, 1): mag = (2 * 3 + 0.5, ReLU(1 - 4)) = (6.5, 0).
    assert sae.encode(torch.tensor([[2.0, 1.0]])).tolist() == [[6.5, 0.0]]


def test_gradients_agree_with_finite_differences_while_the_gates_stay() -> None:
    generator = torch.Generator().manual_seed(1)
    sae = GatedSae(torch.randn(5, 3, generator=generator, dtype=torch.float64), RECIPE)
    # Random directions are no fixed point of symmetry, so that no term cancels.
    sae.b_mag.data.copy_(torch.rand(5, generator=generator, dtype=torch.float64))
    z = torch.randn(4, 3, generator=generator, dtype=torch.float64)
    sae.step_loss(z).loss.backward()
    for parameter in (sae.W_enc, sae.b_gate, sae.r_mag, sae.b_mag):
        flat = parameter.data.view(-1)
        for index in range(flat.numel()):
            start = flat[index].item()
            flat[index] = start + 1e-6
            above = sae.step_loss(z).loss.item()
            flat[index] = start - 1e-6
            below = sae.step_loss(z).loss.item()
            flat[index] = start
            slope = (above - below) / 2e-6
            assert parameter.grad.view(-1)[index].item() == pytest.approx(slope, abs=1e-5)
