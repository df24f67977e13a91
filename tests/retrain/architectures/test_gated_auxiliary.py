"""Gated with an auxiliary loss that trains the decoder too, against its definition."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from sae_lens import GatedTrainingSAE, GatedTrainingSAEConfig
from torch import Tensor

from manifests.sae_recipes import GatedRecipe
from retrain.architectures.build import build_saes
from retrain.architectures.gated import GatedSae

N, D_IN, D_SAE, L1 = 12, 5, 16, 0.3
DTYPE = torch.float64
TRAINED = GatedRecipe(l1_coefficient=L1, auxiliary_decoder="trained")
FROZEN = GatedRecipe(l1_coefficient=L1)


def made(recipe: GatedRecipe, *, n_saes: int = 1, micro_batch: int = N) -> GatedSae:
    """SAEs with parameters that are nowhere special, in float64, with unit rows."""
    generator = torch.Generator().manual_seed(11)
    rows = torch.randn(n_saes, D_SAE, D_IN, generator=generator, dtype=DTYPE)
    rows /= rows.norm(dim=2, keepdim=True)
    sae = build_saes(recipe, rows, dead_after=2, micro_batch=micro_batch)
    assert isinstance(sae, GatedSae)
    for parameter in (sae.W_enc, *sae.small.values()):
        parameter += 0.2 * torch.randn(parameter.shape, generator=generator, dtype=DTYPE)
    return sae


def inputs(n_saes: int = 1) -> Tensor:
    return torch.randn(n_saes, N, D_IN, generator=torch.Generator().manual_seed(12), dtype=DTYPE)


def parameters(sae: GatedSae, index: int) -> dict[str, Tensor]:
    whole = {"W_enc": sae.W_enc, "W_dec": sae.W_dec, **sae.small}
    return {name: tensor[index].clone().requires_grad_() for name, tensor in whole.items()}


def definition(p: dict[str, Tensor], z: Tensor) -> Tensor:
    """Equation 8 of the paper, without its stop of gradients."""
    u = (z - p["b_dec"]) @ p["W_enc"].T
    gate = u + p["b_gate"]
    f = (gate > 0) * (u * p["r_mag"].exp() + p["b_mag"]).relu()
    by_gate = gate.relu() @ p["W_dec"] + p["b_dec"]
    squares = (z - f @ p["W_dec"] - p["b_dec"]).square() + (z - by_gate).square()
    return squares.sum(1).mean() + L1 * gate.relu().sum(1).mean()


def gradients(sae: GatedSae, result: Any, index: int) -> dict[str, Tensor]:
    whole = {
        "W_dec": result.rows.decoder(0, D_SAE, torch.empty_like(sae.W_dec)).clone(),
        "W_enc": result.rows.encoder(0, D_SAE, torch.empty_like(sae.W_enc)).clone(),
        **result.small,
    }
    return {name: tensor[index].clone() for name, tensor in whole.items()}


@pytest.mark.parametrize("n_saes", [1, 3])
def test_a_trained_auxiliary_decoder_gets_the_gradients_of_the_whole_loss(n_saes: int) -> None:
    sae, z = made(TRAINED, n_saes=n_saes), inputs(n_saes)
    result = sae.step(z, N)
    for index in range(n_saes):
        p = parameters(sae, index)
        loss = definition(p, z[index])
        wanted = dict(zip(p, torch.autograd.grad(loss, tuple(p.values())), strict=True))
        torch.testing.assert_close(result.loss[index], loss.detach())
        found = gradients(sae, result, index)
        assert found.keys() == wanted.keys()
        for name, gradient in wanted.items():
            torch.testing.assert_close(found[name], gradient)
        along = (wanted["W_dec"] * sae.W_dec[index]).sum(1)
        torch.testing.assert_close(result.radial[index], along)


def test_the_norm_of_the_gradients_has_the_cross_term_of_both_reconstructions() -> None:
    sae, z = made(TRAINED, n_saes=2), inputs(2)
    rows = sae.step(z, N).rows
    decoder = rows.decoder(0, D_SAE, torch.empty_like(sae.W_dec)).clone()
    encoder = rows.encoder(0, D_SAE, torch.empty_like(sae.W_enc)).clone()
    wanted = decoder.square().sum((1, 2)) + encoder.square().sum((1, 2))
    found = rows.squared_norm()
    assert found is not None
    torch.testing.assert_close(found, wanted)
    halved = rows.scaled(torch.tensor([0.5, 2.0], dtype=DTYPE))
    scratch = torch.empty_like(sae.W_dec)
    torch.testing.assert_close(halved.decoder(0, D_SAE, scratch)[0], 0.5 * decoder[0])
    torch.testing.assert_close(halved.decoder(3, 7, scratch[:, 3:7])[1], 2 * decoder[1, 3:7])
    torch.testing.assert_close(halved.encoder(0, D_SAE, scratch)[1], 2 * encoder[1])


def test_the_parts_of_a_batch_add_up_with_a_trained_auxiliary_decoder() -> None:
    """Parts of 5, 5 and 2 vectors: the last leaves the arrays of a part half used."""
    whole, parts, z = made(TRAINED), made(TRAINED, micro_batch=5), inputs()
    wanted = whole.step(z, N)
    sums: dict[str, Tensor] = {}
    radial = torch.zeros(1, D_SAE, dtype=DTYPE)
    for piece in (z[:, :5], z[:, 5:10], z[:, 10:]):
        result = parts.step(piece, N)
        radial += result.radial
        for name, tensor in gradients(parts, result, 0).items():
            sums[name] = sums.get(name, 0) + tensor
    torch.testing.assert_close(radial, wanted.radial)
    for name, tensor in gradients(whole, wanted, 0).items():
        torch.testing.assert_close(sums[name], tensor)


def test_both_auxiliary_decoders_have_the_loss_and_the_encoders_gradient_in_common() -> None:
    trained, frozen, z = made(TRAINED), made(FROZEN), inputs()
    one, other = trained.step(z, N), frozen.step(z, N)
    torch.testing.assert_close(one.loss, other.loss)
    mine, theirs = gradients(trained, one, 0), gradients(frozen, other, 0)
    differing = {name for name in mine if not torch.allclose(mine[name], theirs[name])}
    assert differing == {"W_dec", "b_dec"}


def test_a_trained_auxiliary_decoder_has_saelens_gradients_but_along_the_rows() -> None:
    """Its L1 term weighs latents by their rows' lengths, which moves unit rows along themselves."""
    sae, z = made(TRAINED), inputs()
    config = GatedTrainingSAEConfig(d_in=D_IN, d_sae=D_SAE, l1_coefficient=L1, dtype="float64")
    theirs = GatedTrainingSAE(config)
    with torch.no_grad():
        for name, tensor in parameters(sae, 0).items():
            getattr(theirs, name).copy_(tensor.T if name == "W_enc" else tensor)
    from sae_lens.saes.sae import TrainStepInput

    step = TrainStepInput(
        sae_in=z[0],
        coefficients={"l1": L1},
        dead_neuron_mask=None,
        n_training_steps=0,
        is_logging_step=False,
    )
    output = theirs.training_forward_pass(step)
    output.loss.backward()
    result = sae.step(z, N)
    torch.testing.assert_close(result.loss[0], output.loss.detach())
    for name, tensor in gradients(sae, result, 0).items():
        wanted = getattr(theirs, name).grad
        if name == "W_enc":
            wanted = wanted.T
        if name == "W_dec":
            rows = sae.W_dec[0]
            tensor = tensor - (tensor * rows).sum(1, keepdim=True) * rows
            wanted = wanted - (wanted * rows).sum(1, keepdim=True) * rows
        torch.testing.assert_close(tensor, wanted)


def test_a_trained_auxiliary_decoder_by_hand() -> None:
    dictionary = torch.eye(2).unsqueeze(0)
    recipe = GatedRecipe(l1_coefficient=0.5, auxiliary_decoder="trained")
    sae = build_saes(recipe, dictionary, dead_after=1, micro_batch=1)
    assert isinstance(sae, GatedSae)
    sae.b_mag[0] = torch.tensor([1.0, 0.0])
    result = sae.step(torch.tensor([[[2.0, -1.0]]]), 1)
    # pi = (2, -1), f = (3, 0): z_hat - z = (1, 1), so g = (2, 2). The gate alone decodes to (2, 0),
    # (0, 1) from z: g_frozen = (0, 2).
    # d W_dec[0] = 3 g + 2 g_frozen = (6, 10), of which 6 lies along the row (1, 0).
    decoder = result.rows.decoder(0, 2, torch.empty(1, 2, 2))
    assert decoder.tolist() == [[[6.0, 10.0], [0.0, 0.0]]]
    assert result.radial.tolist() == [[6.0, 0.0]]
    # d u_0 = 2 + 0.5; d b_dec = g + g_frozen - d u W_enc = (2, 2) + (0, 2) - (2.5, 0).
    assert result.small["b_dec"].tolist() == [[-0.5, 4.0]]
