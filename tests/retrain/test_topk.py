import pytest
import torch

from manifests.recipe import TopkRecipe
from retrain.topk import TopkSae, relu_top_k


def recipe(**changes: object) -> TopkRecipe:
    return TopkRecipe.model_validate({"k": 1, "auxiliary_coefficient": 0.0, **changes})


def test_the_k_largest_entries_stay_and_negative_ones_become_zero() -> None:
    pre = torch.tensor([[3.0, -1.0, 2.0, 5.0], [-4.0, -3.0, -2.0, 1.0]])
    expected = torch.tensor([[3.0, 0.0, 0.0, 5.0], [0.0, 0.0, 0.0, 1.0]])
    assert torch.equal(relu_top_k(pre, 2), expected)


def test_loss_and_gradients_of_one_vector_match_the_hand_calculation() -> None:
    sae = TopkSae(torch.eye(2), recipe(), dead_after_steps=1)
    result = sae.step_loss(torch.tensor([[2.0, 1.0]]))
    result.loss.backward()
    # pre = (2, 1), so f = (2, 0), z_hat = (2, 0), error z_hat - z = (0, -1), loss = 1.
    assert result.loss.item() == 1.0
    assert result.l0.item() == 1.0
    # d loss / d z_hat = 2 (0, -1) = (0, -2); d W_dec[0] = f_0 (0, -2) = (0, -4).
    assert torch.equal(sae.W_dec.grad, torch.tensor([[0.0, -4.0], [0.0, 0.0]]))
    # d f_0 = (0, -2) . W_dec[0] = 0, so the encoder gets none, and b_dec only the decoder's part.
    assert torch.equal(sae.W_enc.grad, torch.zeros(2, 2))
    assert torch.equal(sae.b_dec.grad, torch.tensor([0.0, -2.0]))


def test_gradients_agree_with_finite_differences_while_the_active_set_stays() -> None:
    generator = torch.Generator().manual_seed(0)
    dictionary = torch.randn(6, 4, generator=generator, dtype=torch.float64)
    sae = TopkSae(dictionary, recipe(k=2), dead_after_steps=1)
    z = torch.randn(3, 4, generator=generator, dtype=torch.float64)
    sae.step_loss(z).loss.backward()
    for parameter in sae.parameters():
        flat = parameter.data.view(-1)
        for index in range(0, flat.numel(), 5):
            start = flat[index].item()
            flat[index] = start + 1e-6
            above = sae.step_loss(z).loss.item()
            flat[index] = start - 1e-6
            below = sae.step_loss(z).loss.item()
            flat[index] = start
            slope = (above - below) / 2e-6
            assert parameter.grad.view(-1)[index].item() == pytest.approx(slope, abs=1e-6)


def test_the_auxiliary_loss_trains_dead_latents_alone() -> None:
    sae = TopkSae(
        torch.eye(3), recipe(auxiliary_coefficient=0.5, auxiliary_k=1), dead_after_steps=1
    )
    result = sae.step_loss(torch.tensor([[2.0, 1.0, 0.0]]))
    result.loss.backward()
    # f = (2, 0, 0), e = (0, 1, 0). Dead: latents 1 and 2; the larger pre-activation is 1, of
    # latent 1, so e_hat = (0, 1, 0) and the auxiliary loss is 0: the loss is ||e||^2 = 1.
    assert result.loss.item() == 1.0
    error = torch.tensor([[0.0, 3.0, 0.0]])
    auxiliary = sae.auxiliary_loss(torch.tensor([[9.0, 1.0, 0.0]]), error, sae.steps_silent >= 1)
    # e_hat = 1 * (0, 1, 0), so ||(0, 3, 0) - (0, 1, 0)||^2 = 4, and d W_dec[1] = 2 (0, -2, 0).
    assert auxiliary is not None
    assert auxiliary.item() == 4.0
    sae.W_dec.grad = None
    auxiliary.backward()
    assert torch.equal(sae.W_dec.grad, torch.tensor([[0.0, 0, 0], [0, -4, 0], [0, 0, 0]]))


def test_there_is_no_auxiliary_loss_while_too_few_latents_are_dead() -> None:
    sae = TopkSae(
        torch.eye(3), recipe(auxiliary_coefficient=0.5, auxiliary_k=2), dead_after_steps=2
    )
    pre, error = torch.ones(1, 3), torch.ones(1, 3)
    assert sae.auxiliary_loss(pre, error, torch.tensor([True, False, False])) is None
