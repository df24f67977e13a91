"""Every architecture's written-out gradients against automatic differentiation of its definition.

The definitions here are plain formulas of the papers, with torch's autograd; they share no code
with the trainer.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from manifests.sae_recipes import (
    BatchTopkRecipe,
    GatedRecipe,
    JumpreluRecipe,
    MatryoshkaRecipe,
    SaeRecipe,
    StandardRecipe,
    TopkRecipe,
)
from retrain.architectures.build import build_saes
from retrain.architectures.sae import Sae
from retrain.architectures.topk import TopkSae

N, D_IN, D_SAE = 12, 5, 16
DTYPE = torch.float64

TOPK = TopkRecipe(k=4, auxiliary_coefficient=0.25, auxiliary_k=3)
RECIPES: dict[str, SaeRecipe] = {
    "topk": TOPK,
    "batchtopk": BatchTopkRecipe(k=4, auxiliary_coefficient=0.25, auxiliary_k=3),
    "matryoshka": MatryoshkaRecipe(k=4, auxiliary_coefficient=0.25, auxiliary_k=3, widths=(3, 8)),
    "standard": StandardRecipe(l1_coefficient=0.3),
    "gated": GatedRecipe(l1_coefficient=0.3),
    "jumprelu_l0": JumpreluRecipe(
        bandwidth=0.6, threshold_init=0.2, sparsity="l0", sparsity_coefficient=0.7
    ),
    "jumprelu_l1": JumpreluRecipe(
        bandwidth=0.6, threshold_init=0.2, sparsity="l1", sparsity_coefficient=0.7
    ),
    "jumprelu_target": JumpreluRecipe(
        bandwidth=0.6, threshold_init=0.2, target_l0=3, sparsity_coefficient=0.7
    ),
    "jumprelu_gaussian": JumpreluRecipe(
        kernel="gaussian",
        bandwidth=0.6,
        threshold_init=0.2,
        sparsity="l0",
        sparsity_coefficient=0.7,
    ),
    "legacy": JumpreluRecipe(threshold="fixed_at_zero", sparsity_coefficient=0.3),
}


def made(recipe: SaeRecipe, *, n_saes: int = 1, micro_batch: int = N) -> Sae:
    """SAEs with parameters that are nowhere special, in float64."""
    generator = torch.Generator().manual_seed(3)
    rows = torch.randn(n_saes, D_SAE, D_IN, generator=generator, dtype=DTYPE)
    sae = build_saes(
        recipe, rows / rows.norm(dim=2, keepdim=True), dead_after=2, micro_batch=micro_batch
    )
    sae.W_enc += 0.3 * torch.randn(n_saes, D_SAE, D_IN, generator=generator, dtype=DTYPE)
    for name, parameter in sae.small.items():
        noise = torch.randn(parameter.shape, generator=generator, dtype=DTYPE)
        parameter += 0.1 * (noise.abs() if name == "threshold" else noise)
    return sae


def inputs(n_saes: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(4)
    return torch.randn(n_saes, N, D_IN, generator=generator, dtype=DTYPE)


class PaperStep(torch.autograd.Function):
    """H(pre - theta) with the pseudo-derivative -(1 / eps) K((pre - theta) / eps) in theta."""

    @staticmethod
    def forward(ctx: Any, pre: Tensor, theta: Tensor, eps: float, kernel: str) -> Tensor:
        ctx.save_for_backward(pre, theta)
        ctx.eps, ctx.kernel = eps, kernel
        return (pre > theta).to(pre)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor, None, None]:
        pre, theta = ctx.saved_tensors
        u = (pre - theta) / ctx.eps
        if ctx.kernel == "rectangle":
            k = (u.abs() < 0.5).to(u)
        else:
            k = torch.distributions.Normal(0.0, 1.0).log_prob(u).exp().to(u)
        return None, (-k / ctx.eps * grad).sum(0), None, None


class PaperJump(torch.autograd.Function):
    """pre H(pre - theta) with the pseudo-derivative -(theta / eps) K((pre - theta) / eps)."""

    @staticmethod
    def forward(ctx: Any, pre: Tensor, theta: Tensor, eps: float, kernel: str) -> Tensor:
        ctx.save_for_backward(pre, theta)
        ctx.eps, ctx.kernel = eps, kernel
        return pre * (pre > theta)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None, None]:
        pre, theta = ctx.saved_tensors
        u = (pre - theta) / ctx.eps
        if ctx.kernel == "rectangle":
            k = (u.abs() < 0.5).to(u)
        else:
            k = torch.distributions.Normal(0.0, 1.0).log_prob(u).exp().to(u)
        return grad * (pre > theta), (-theta * k / ctx.eps * grad).sum(0), None, None


def topk_latents(pre: Tensor, k: int) -> Tensor:
    kept = pre.topk(k, dim=1).indices
    return torch.zeros_like(pre).scatter(1, kept, pre.gather(1, kept)).relu()


def batch_topk_latents(pre: Tensor, k: int) -> Tensor:
    flat = pre.flatten()
    kept = flat.topk(k * len(pre)).indices
    return torch.zeros_like(flat).scatter(0, kept, flat[kept]).relu().view_as(pre)


def auxiliary(p: dict[str, Tensor], pre: Tensor, error: Tensor, dead: Tensor, r: Any) -> Tensor:
    """alpha min(1, dead / k_aux) ||e - e_hat||^2, mean over the batch."""
    if not bool(dead.any()):
        return torch.zeros((), dtype=DTYPE)
    latents = topk_latents(pre.masked_fill(~dead, float("-inf")), r.auxiliary_k)
    share = min(1.0, int(dead.sum()) / r.auxiliary_k)
    miss = (error.detach() - latents @ p["W_dec"]).square().sum(1).mean()
    return r.auxiliary_coefficient * share * miss


def definition(recipe: SaeRecipe, p: dict[str, Tensor], z: Tensor, dead: Tensor) -> Tensor:
    """The loss of one SAE by its paper's formula."""
    pre = (z - p["b_dec"]) @ p["W_enc"].T + p.get("b_enc", torch.zeros((), dtype=DTYPE))

    def miss(latents: Tensor, width: int = D_SAE) -> Tensor:
        z_hat = latents[:, :width] @ p["W_dec"][:width] + p["b_dec"]
        return (z - z_hat).square().sum(1).mean()

    match recipe:
        case MatryoshkaRecipe():
            f = batch_topk_latents(pre, recipe.k)
            error = z - f @ p["W_dec"] - p["b_dec"]
            nested = miss(f, 3) + miss(f, 8) + miss(f)
            return nested + auxiliary(p, pre, error, dead, recipe)
        case TopkRecipe():
            own = batch_topk_latents if isinstance(recipe, BatchTopkRecipe) else topk_latents
            f = own(pre, recipe.k)
            error = z - f @ p["W_dec"] - p["b_dec"]
            return miss(f) + auxiliary(p, pre, error, dead, recipe)
        case StandardRecipe():
            f = pre.relu()
            return miss(f) + recipe.l1_coefficient * f.sum(1).mean()
        case GatedRecipe():
            gate = pre + p["b_gate"]
            f = (gate > 0) * (pre * p["r_mag"].exp() + p["b_mag"]).relu()
            frozen = gate.relu() @ p["W_dec"].detach() + p["b_dec"].detach()
            sparse = recipe.l1_coefficient * gate.relu().sum(1).mean()
            return miss(f) + sparse + (z - frozen).square().sum(1).mean()
        case JumpreluRecipe(threshold="fixed_at_zero"):
            f = pre.relu()
            return miss(f) + (recipe.sparsity_coefficient or 0) * f.sum(1).mean()
        case JumpreluRecipe():
            own = recipe.learned()
            f = PaperJump.apply(pre, p["threshold"], own.bandwidth, own.kernel)
            step = PaperStep.apply(pre.detach(), p["threshold"], own.bandwidth, own.kernel)
            l0 = step.sum(1).mean()
            match own.sparsity:
                case "l1":
                    term = f.sum(1).mean()
                case "l0":
                    term = l0
                case "target_l0":
                    term = (l0 / own.target_l0 - 1).square()
            return miss(f) + own.sparsity_coefficient * term
    raise AssertionError(recipe)


def expected(sae: Sae, recipe: SaeRecipe, z: Tensor, index: int = 0) -> tuple[Tensor, Any]:
    """Loss and gradients of one of the SAEs, by automatic differentiation."""
    parameters = {"W_enc": sae.W_enc, "W_dec": sae.W_dec, **sae.small}
    p = {name: t[index].clone().requires_grad_() for name, t in parameters.items()}
    dead = torch.zeros(D_SAE, dtype=torch.bool)
    if isinstance(sae, TopkSae):
        dead = sae.silent[index] >= sae.dead_after
    loss = definition(recipe, p, z[index], dead)
    loss.backward()
    return loss.detach(), {name: t.grad for name, t in p.items()}


def gradients_of(sae: Sae, result: Any, index: int) -> dict[str, Tensor]:
    scratch = torch.empty_like(sae.W_dec)
    whole = {
        "W_dec": result.rows.decoder(0, D_SAE, scratch).clone(),
        "W_enc": result.rows.encoder(0, D_SAE, torch.empty_like(scratch)).clone(),
        **result.small,
    }
    return {name: tensor[index] for name, tensor in whole.items()}


def assert_agrees(sae: Sae, recipe: SaeRecipe, z: Tensor, result: Any) -> None:
    for index in range(len(z)):
        loss, gradients = expected(sae, recipe, z, index)
        found = gradients_of(sae, result, index)
        torch.testing.assert_close(result.loss[index], loss)
        assert found.keys() == gradients.keys()
        along = (gradients["W_dec"] * sae.W_dec[index]).sum(1)
        torch.testing.assert_close(result.radial[index], along)
        for name, gradient in gradients.items():
            torch.testing.assert_close(found[name], gradient, msg=lambda m, n=name: f"{n}: {m}")
            assert float(gradient.abs().max()) > 0


@pytest.mark.parametrize("name", RECIPES)
def test_loss_and_gradients_are_those_of_the_definition(name: str) -> None:
    sae, z = made(RECIPES[name]), inputs()
    assert_agrees(sae, RECIPES[name], z, sae.step(z, N))


@pytest.mark.parametrize("name", RECIPES)
def test_saes_side_by_side_each_have_their_own_gradients(name: str) -> None:
    sae, z = made(RECIPES[name], n_saes=3), inputs(3)
    assert_agrees(sae, RECIPES[name], z, sae.step(z, N))


@pytest.mark.parametrize("n_saes", [1, 2])
@pytest.mark.parametrize("n_dead", [2, 7])
@pytest.mark.parametrize("name", ["topk", "batchtopk", "matryoshka"])
def test_the_auxiliary_loss_reaches_dead_latents(name: str, n_dead: int, n_saes: int) -> None:
    """2 of 3 wanted latents are dead: the loss counts 2/3; of 7, the 3 largest are taken."""
    sae, z = made(RECIPES[name], n_saes=n_saes), inputs(n_saes)
    assert isinstance(sae, TopkSae)
    sae.silent[:, :n_dead] = 2
    assert_agrees(sae, RECIPES[name], z, sae.step(z, N))


@pytest.mark.parametrize("name", [n for n in RECIPES if n not in ("batchtopk", "matryoshka")])
def test_the_parts_of_a_batch_add_up_to_the_whole(name: str) -> None:
    whole, parts, z = made(RECIPES[name]), made(RECIPES[name], micro_batch=5), inputs()
    wanted = whole.step(z, N)
    pieces = [z[:, :5], z[:, 5:10], z[:, 10:]]
    parts.prepare(pieces)
    results = []
    for piece in pieces:
        result = parts.step(piece, N)
        results.append((result.loss, gradients_of(parts, result, 0)))
    torch.testing.assert_close(sum(loss for loss, _ in results), wanted.loss)
    for key, gradient in gradients_of(whole, wanted, 0).items():
        torch.testing.assert_close(sum(g[key] for _, g in results), gradient)


@pytest.mark.parametrize("name", RECIPES)
def test_the_reconstruction_gradient_is_that_of_finite_differences(name: str) -> None:
    """In W_dec the loss is smooth: every coordinate is moved by 1e-6 both ways."""
    sae, z = made(RECIPES[name]), inputs()
    gradient = gradients_of(sae, sae.step(z, N), 0)["W_dec"].clone()
    if name == "gated":
        # The frozen term depends on W_dec but sends it no gradient: its part is taken off.
        p = {n: t[0] for n, t in {"W_enc": sae.W_enc, "W_dec": sae.W_dec, **sae.small}.items()}
        gate = ((z[0] - p["b_dec"]) @ p["W_enc"].T + p["b_gate"]).relu()
        frozen_error = gate @ p["W_dec"] + p["b_dec"] - z[0]
        gradient += gate.T @ frozen_error * 2 / N
    for row, column in [(0, 0), (3, 4), (9, 2), (15, 1)]:
        losses = []
        for move in (1e-6, -1e-6):
            sae.W_dec[0, row, column] += move
            losses.append(float(sae.step(z, N).loss))
            sae.W_dec[0, row, column] -= move
        slope = (losses[0] - losses[1]) / 2e-6
        assert slope == pytest.approx(float(gradient[row, column]), rel=1e-4, abs=1e-7)


def test_sparse_and_dense_latents_give_the_same_step() -> None:
    """One SAE on a CPU takes the sparse way, two of them the dense one."""
    alone, together = made(TOPK), made(TOPK, n_saes=2)
    for name, tensor in {"W_enc": alone.W_enc, "W_dec": alone.W_dec, **alone.small}.items():
        {"W_enc": together.W_enc, "W_dec": together.W_dec, **together.small}[name][0] = tensor[0]
    z = inputs(2)
    one, both = alone.step(z[:1], N), together.step(z, N)
    torch.testing.assert_close(one.loss[0], both.loss[0])
    for key, gradient in gradients_of(alone, one, 0).items():
        torch.testing.assert_close(gradient, gradients_of(together, both, 0)[key])
