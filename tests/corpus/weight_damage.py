"""Ways to change tensors of an SAE, for the lists of injections."""

from __future__ import annotations

from collections.abc import Callable

import torch
from injection import Damage, edits
from release_copy import Target, Tensors

# Checks that look at values, and those that wrong values reach on activations.
VALUES = "W104 W105 W106 W107 W108 W109 W110 W112"
BEHAVIOUR = "N202 N203 N204 N206 N207 N208 N209 N230 N231 N232 N234 N235 N236"


def _latent(where: str, target: Target) -> int:
    return {"first": 0, "middle": target.d_sae // 2, "last": target.d_sae - 1}[where]


def one_value(name: str, where: str, value: float) -> Damage:
    """One value of a tensor, of the first, middle or last of its rows."""

    def change(tensors: Tensors, target: Target) -> None:
        flat = tensors[name].view(-1)
        at = {"first": 0, "middle": len(flat) // 2, "last": len(flat) - 1}[where]
        flat[at] = value

    return edits(change)


def whole(name: str, change: Callable[[torch.Tensor], torch.Tensor]) -> Damage:
    return edits(lambda tensors, _: tensors.update({name: change(tensors[name])}))


def drawn(name: str, change: Callable[[torch.Tensor, torch.Generator], torch.Tensor]) -> Damage:
    return edits(lambda t, target: t.update({name: change(t[name], target.generator)}))


def some(share: float, n: int, generator: torch.Generator) -> torch.Tensor:
    """Numbers of `share` of n latents, at least two."""
    return torch.randperm(n, generator=generator)[: max(2, round(share * n))]


def some_rows(share: float, change: Callable[[torch.Tensor], torch.Tensor]) -> Damage:
    """Change some rows of W_dec."""

    def damage(w_dec: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        chosen = some(share, len(w_dec), generator)
        w_dec[chosen] = change(w_dec[chosen])
        return w_dec

    return drawn("W_dec", damage)


def one_row(where: str, change: Callable[[torch.Tensor], torch.Tensor]) -> Damage:
    def damage(tensors: Tensors, target: Target) -> None:
        at = _latent(where, target)
        tensors["W_dec"][at] = change(tensors["W_dec"][at])

    return edits(damage)


def permuted(share: float, *names: str) -> Damage:
    """Give some latents each other's place in these tensors, and in no other."""

    def damage(tensors: Tensors, target: Target) -> None:
        chosen = some(share, target.d_sae, target.generator)
        for name in names:
            tensor = tensors[name]
            by_latent = tensor.T if name == "W_enc" else tensor
            by_latent[chosen] = by_latent[chosen.roll(1)].clone()

    return edits(damage)


def random_like(tensor: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    drawn = torch.randn(tensor.shape, generator=generator) * tensor.float().std()
    return drawn.to(tensor.dtype)
