"""A base model whose linear layers multiply in FP8 (E4M3), by torch's own scaled product.

Weights are rounded once to E4M3 with one float32 scale for each layer. Activations get a scale of
their own for each product, from their largest value, as dynamic quantisation does; sums are kept in
float32 and leave in the compute format. Embedding, norms and output head stay as they are, which
is what bitsandbytes leaves as well. Micikevicius et al. 2022 (arXiv:2209.05433) has the format.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Iterator

_FORMAT = torch.float8_e4m3fn
_LARGEST = torch.finfo(_FORMAT).max
# The tensor cores take both dimensions of a product in pieces of 16.
_PIECE = 16


class Fp8Linear(nn.Module):
    """A linear layer with weights [out, in] in E4M3, and one scale for all of them.

    Attributes:
        weight: E4M3, to be multiplied by `weight_scale`.
        weight_scale: float32, one number.
        bias: in the compute format; None where the layer has none.
    """

    weight_scale: torch.Tensor

    def __init__(self, linear: nn.Linear) -> None:
        """Round a layer's weights, on the device that they are on."""
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        rounded, scale = rounded_to_fp8(linear.weight.detach())
        self.weight = nn.Parameter(rounded, requires_grad=False)
        self.register_buffer("weight_scale", scale)
        self.bias = linear.bias

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Outputs [..., out] of inputs [..., in], in the inputs' format."""
        rows, scale = rounded_to_fp8(x.reshape(-1, self.in_features))
        product = nn.functional.scaled_mm(
            rows,
            self.weight.t(),
            scale_a=scale,
            scale_recipe_a=nn.functional.ScalingType.TensorWise,
            scale_b=self.weight_scale,
            scale_recipe_b=nn.functional.ScalingType.TensorWise,
            output_dtype=x.dtype,
        )
        if self.bias is not None:
            product = product + self.bias
        return product.reshape(*x.shape[:-1], self.out_features)


def rounded_to_fp8(values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Values as E4M3 and the float32 scale that decodes them; the largest has E4M3's largest."""
    exact = values.float()
    largest = exact.abs().max() if exact.numel() else exact.new_zeros(())
    scale = (largest / _LARGEST).clamp(min=torch.finfo(torch.float32).tiny)
    return (exact / scale).clamp(-_LARGEST, _LARGEST).to(_FORMAT), scale


def to_fp8(model: Any) -> int:
    """Put FP8 layers in the place of a model's linear ones, all but its output head.

    Layers whose dimensions are no multiples of 16 stay as they are, since the products need that.

    Args:
        model: of transformers, on the device that it is to run on.

    Returns:
        How many layers are FP8 now.
    """
    head = model.get_output_embeddings()
    places = list(_linear_layers(model, head))
    for parent, name, linear in places:
        setattr(parent, name, Fp8Linear(linear))
    return len(places)


def _linear_layers(
    model: nn.Module, head: nn.Module | None
) -> Iterator[tuple[Any, str, nn.Linear]]:
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.Linear) and _fits(child) and child is not head:
                yield parent, name, child


def _fits(linear: nn.Linear) -> bool:
    return linear.in_features % _PIECE == 0 and linear.out_features % _PIECE == 0
