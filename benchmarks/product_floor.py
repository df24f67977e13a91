"""The dense float32 products that a training step cannot avoid, with outputs that are there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.step_contenders import Timed, step_by_step

if TYPE_CHECKING:
    from torch import Tensor

# Of n vectors: what is multiplied, and what it is.
PRODUCTS = {
    "z W_enc": "pre-activations",
    "f W_dec": "reconstruction",
    "g W_dec^T": "gradient of the latents",
    "f^T g": "gradient of W_dec",
    "z^T d": "gradient of W_enc",
}
GATED_PRODUCTS = {
    "p W_dec": "Gated: reconstruction through the gate",
    "g' W_dec^T": "Gated: gradient of the gate",
}


@dataclass(frozen=True)
class _Product:
    left: Tensor
    right: Tensor
    out: Tensor


def floor(d_in: int, d_sae: int, batch: int, *, is_gated: bool) -> Timed:
    """Times of all the products one after another; W_enc lies in the faster of both ways."""
    import torch

    products = _products(d_in, d_sae, batch, is_gated=is_gated, rows_are_latents=False)
    others = _products(d_in, d_sae, batch, is_gated=is_gated, rows_are_latents=True)

    def step(chosen: list[_Product]) -> None:
        for product in chosen:
            torch.mm(product.left, product.right, out=product.out)

    first = step_by_step(lambda: step(products))
    second = step_by_step(lambda: step(others))
    return first if min(first(5)) <= min(second(5)) else second


def _products(
    d_in: int, d_sae: int, batch: int, *, is_gated: bool, rows_are_latents: bool
) -> list[_Product]:
    import torch

    generator = torch.Generator().manual_seed(0)

    def made(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    z, g = made(batch, d_in), made(batch, d_in)
    f, d = made(batch, d_sae), made(batch, d_sae)
    W_dec = made(d_sae, d_in)
    pre, back, z_hat = made(batch, d_sae), made(batch, d_sae), made(batch, d_in)
    if rows_are_latents:
        W_enc, d_enc = made(d_sae, d_in), made(d_sae, d_in)
        encoder = [_Product(z, W_enc.T, pre), _Product(d.T, z, d_enc)]
    else:
        W_enc, d_enc = made(d_in, d_sae), made(d_in, d_sae)
        encoder = [_Product(z, W_enc, pre), _Product(z.T, d, d_enc)]
    products = [
        encoder[0],
        _Product(f, W_dec, z_hat),
        _Product(g, W_dec.T, back),
        _Product(f.T, g, made(d_sae, d_in)),
        encoder[1],
    ]
    if is_gated:
        products += [_Product(f, W_dec, made(batch, d_in)), _Product(g, W_dec.T, back)]
    return products
