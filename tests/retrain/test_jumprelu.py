import math

import pytest
import torch

from manifests.recipe import JumpreluRecipe
from retrain.jumprelu import JumpreluSae, jump_and_count, kernel_value


def recipe(**changes: object) -> JumpreluRecipe:
    values = {
        "bandwidth": 0.5,
        "threshold_init": 1.0,
        "target_l0": 1.0,
        "sparsity_coefficient": 0.25,
    }
    return JumpreluRecipe.model_validate({**values, **changes})


def test_an_entry_at_its_threshold_is_off_and_one_above_keeps_its_value() -> None:
    pre = torch.tensor([[1.0, 1.1, 0.9, -3.0]])
    latents, counts = jump_and_count(pre, torch.ones(4), bandwidth=0.5, kernel="rectangle")
    assert torch.equal(latents, torch.tensor([[0.0, 1.1, 0.0, 0.0]]))
    assert counts.tolist() == [1.0]


def test_the_pseudo_derivatives_of_the_rectangle_match_the_hand_calculation() -> None:
    pre = torch.tensor([[1.125, 3.0], [0.875, 0.0]], requires_grad=True)
    threshold = torch.tensor([1.0, 2.0], requires_grad=True)
    latents, counts = jump_and_count(pre, threshold, bandwidth=0.5, kernel="rectangle")
    (latents * torch.tensor([[2.0, 5.0], [3.0, 7.0]])).sum().backward(retain_graph=True)
    # (pre - theta) / eps = (0.25, 2; -0.25, -4): K = (1, 0; 1, 0).
    # d theta_0 = -(theta_0 / eps) (1 * 2 + 1 * 3) = -(1 / 0.5) * 5 = -10; d theta_1 = 0.
    assert threshold.grad.tolist() == [-10.0, 0.0]
    # Only active entries pass the gradient to pre: (2, 5; 0, 0).
    assert pre.grad.tolist() == [[2.0, 5.0], [0.0, 0.0]]
    threshold.grad = None
    (counts * torch.tensor([2.0, 4.0])).sum().backward()
    # d theta_0 = -(1 / eps) (1 * 2 + 1 * 4) = -12.
    assert threshold.grad.tolist() == [-12.0, 0.0]


def test_the_gaussian_kernel_is_the_standard_normal_density() -> None:
    value = kernel_value(torch.tensor([0.0, 1.0]), "gaussian")
    assert value[0].item() == pytest.approx(1 / math.sqrt(2 * math.pi))
    assert value[1].item() == pytest.approx(math.exp(-0.5) / math.sqrt(2 * math.pi))


@pytest.mark.parametrize("kernel", ["rectangle", "gaussian"])
def test_kernels_have_unit_area(kernel: str) -> None:
    u = torch.linspace(-8, 8, 16001, dtype=torch.float64)
    area = kernel_value(u, kernel).sum().item() * 0.001
    # The rectangle's edges fall on grid points, which are left out: an error of one cell.
    assert area == pytest.approx(1.0, abs=0.002)


def test_the_loss_is_the_error_plus_the_quadratic_distance_from_the_target() -> None:
    sae = JumpreluSae(torch.eye(3), recipe(target_l0=1.0, sparsity_coefficient=0.25))
    result = sae.step_loss(torch.tensor([[2.0, 3.0, 0.5], [0.0, 4.0, 1.5]]))
    # Above 1: (2, 3) and (4, 1.5), so L0 = 2; errors 0.5^2 and 0, mean 0.125;
    # sparsity 0.25 * (2 / 1 - 1)^2 = 0.25. Loss 0.375.
    assert result.l0.item() == 2.0
    assert result.loss.item() == pytest.approx(0.375)


def test_too_many_active_latents_push_thresholds_up_and_too_few_pull_them_down() -> None:
    for target, sign in ((1.0, -1), (4.0, 1)):
        sae = JumpreluSae(torch.eye(2), recipe(target_l0=target, sparsity_coefficient=10.0))
        sae.step_loss(torch.tensor([[1.1, 1.1]])).loss.backward()
        # Adam goes against the gradient: a negative one raises the threshold.
        assert torch.equal(sae.threshold.grad.sign(), torch.full((2,), float(sign)))


def test_a_threshold_never_falls_below_zero() -> None:
    sae = JumpreluSae(torch.eye(2), recipe())
    sae.threshold.data.copy_(torch.tensor([-0.5, 0.5]))
    sae.after_step()
    assert sae.threshold.tolist() == [0.0, 0.5]
