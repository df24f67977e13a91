"""What a base model's weights take, counted on the model as it is loaded.

transformers' `get_memory_footprint` leaves out the scales of quantised weights, which makes nf4
with and without double quantisation equal; here everything that decoding a weight takes is counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from manifests.errors import ReleaseError
from validators.metrics.undefined import UndefinedMetric

if TYPE_CHECKING:
    import torch

_BITS = 8
_FLOATS = {"float32": "fp32", "float16": "fp16", "bfloat16": "bf16"}


class UnknownStorage(ReleaseError):
    """A parameter is stored in a way whose number of weights cannot be told."""


@dataclass(frozen=True)
class Stored:
    """What the parameters of one kind take.

    Attributes:
        kind: such as `nf4-dq linear`, `int8 linear`, `fp16 embedding`, `fp32 other`.
        is_quantised: whether the weights need scales to be decoded.
        n_parameters: weights as the model's definition counts them, not as they are packed.
        weight_bytes: the packed weights.
        scale_bytes: block or row scales, and the scales' own scales after double quantisation;
            they grow with the number of weights.
        constant_bytes: code tables and the scales' offset, of one size for each layer.
    """

    kind: str
    is_quantised: bool
    n_parameters: int
    weight_bytes: int
    scale_bytes: int
    constant_bytes: int

    @property
    def n_bytes(self) -> int:
        """All of it."""
        return self.weight_bytes + self.scale_bytes + self.constant_bytes

    @property
    def bits_per_parameter(self) -> float:
        """Weights and scales, without the constants: 4.5 for nf4 in blocks of 64."""
        return _BITS * (self.weight_bytes + self.scale_bytes) / self.n_parameters


@dataclass(frozen=True)
class EffectiveBits:
    """What a model's weights take.

    Attributes:
        kinds: the parameters, by kind; tied ones count once, where they come first.
        buffer_bytes: tensors that are no parameters, such as the rotary frequencies.
    """

    kinds: tuple[Stored, ...]
    buffer_bytes: int

    @property
    def n_parameters(self) -> int:
        """Of the whole model."""
        return sum(kind.n_parameters for kind in self.kinds)

    @property
    def n_bytes(self) -> int:
        """Of the whole model, buffers included."""
        return sum(kind.n_bytes for kind in self.kinds) + self.buffer_bytes

    def whole(self) -> float:
        """Bits for each parameter of the whole model: all bytes but the buffers'.

        Raises:
            UndefinedMetric: the model has no parameters.
        """
        if self.n_parameters == 0:
            raise UndefinedMetric("the model has no parameters")
        return _BITS * (self.n_bytes - self.buffer_bytes) / self.n_parameters

    def quantised(self) -> float:
        """Bits for each parameter of the quantised layers alone: weights and scales.

        Raises:
            UndefinedMetric: no layer is quantised.
        """
        kinds = [kind for kind in self.kinds if kind.is_quantised]
        if not kinds:
            raise UndefinedMetric("no layer of the model is quantised")
        held = sum(kind.weight_bytes + kind.scale_bytes for kind in kinds)
        return _BITS * held / sum(kind.n_parameters for kind in kinds)


def effective_bits(model: torch.nn.Module) -> EffectiveBits:
    """Count what every parameter and buffer of a loaded model takes.

    To be called before the model has run: on a CPU with AVX512-BF16, bitsandbytes packs 4-bit
    weights anew at their first use, with bf16 scales in place of float32 or doubly quantised ones.
    After that, what stands in memory then is counted.

    Args:
        model: as transformers loaded it; unquantised, by bitsandbytes, or with FP8 layers.

    Raises:
        UnknownStorage: a parameter is neither of a floating type nor bitsandbytes'.
    """
    kinds: dict[str, Stored] = {}
    seen: set[tuple[str, int]] = set()
    for name, module, parameter in _parameters(model):
        if _identity(parameter) in seen:
            continue
        seen.add(_identity(parameter))
        found = _stored(name, module, parameter)
        before = kinds.get(found.kind)
        kinds[found.kind] = found if before is None else _sum(before, found)
    buffers = {_identity(buffer): buffer.nbytes for buffer in model.buffers()}
    return EffectiveBits(kinds=tuple(kinds.values()), buffer_bytes=sum(buffers.values()))


def _parameters(
    model: torch.nn.Module,
) -> Iterator[tuple[str, torch.nn.Module, torch.Tensor]]:
    for path, module in model.named_modules():
        for name, parameter in module.named_parameters(recurse=False):
            yield f"{path}.{name}" if path else name, module, parameter


def _identity(tensor: torch.Tensor) -> tuple[str, int]:
    """Equal for tensors that share their memory; tensors without any are told apart as objects."""
    pointer = tensor.data_ptr() if tensor.device.type != "meta" else 0
    return (str(tensor.device), pointer) if pointer else ("object", id(tensor))


def _stored(name: str, module: Any, parameter: Any) -> Stored:
    role = _role(module, name)
    state = getattr(parameter, "quant_state", None)
    if state is None and name.endswith("weight"):
        state = getattr(module, "quant_state", None)
    if state is not None:
        return _four_bits(state, parameter, role)
    dtype = str(parameter.dtype).removeprefix("torch.")
    if dtype == "int8":
        return _eight_bits(name, module, parameter, role)
    if dtype.startswith("float8"):
        return _fp8(name, module, parameter)
    if not parameter.is_floating_point():
        raise UnknownStorage(
            f"its numbers are stored as {dtype}, by a method that is not known here",
            where=name,
            expected="floating-point weights, or int8, fp4 or nf4 of bitsandbytes",
        )
    return Stored(
        kind=f"{_FLOATS.get(dtype, dtype)} {role}",
        is_quantised=False,
        n_parameters=parameter.numel(),
        weight_bytes=parameter.nbytes,
        scale_bytes=0,
        constant_bytes=0,
    )


def _four_bits(state: Any, parameter: Any, role: str) -> Stored:
    """Params4bit of bitsandbytes: two weights in a byte, `quant_state` beside them."""
    scales, constants = state.absmax.nbytes, _nbytes(state.code)
    # The attribute is deleted, not emptied, when a CPU packs the weights anew.
    nested = getattr(state, "state2", None)
    if nested is not None:
        scales += nested.absmax.nbytes
        constants += _nbytes(nested.code) + _nbytes(state.offset)
    return Stored(
        kind=f"{state.quant_type}{'-dq' if nested is not None else ''} {role}",
        is_quantised=True,
        n_parameters=state.shape.numel(),
        weight_bytes=parameter.nbytes,
        scale_bytes=scales,
        constant_bytes=constants,
    )


def _eight_bits(name: str, module: Any, parameter: Any, role: str) -> Stored:
    """Int8Params of bitsandbytes: one scale for each row, which the first use moves away."""
    scales = getattr(parameter, "SCB", None)
    if scales is None:
        scales = getattr(getattr(module, "state", None), "SCB", None)
    if scales is None:
        raise UnknownStorage(
            "its numbers are int8 without scales",
            where=name,
            expected="int8 of bitsandbytes, with one scale for each row",
        )
    return Stored(
        kind=f"int8 {role}",
        is_quantised=True,
        n_parameters=parameter.numel(),
        weight_bytes=parameter.nbytes,
        scale_bytes=scales.nbytes,
        constant_bytes=0,
    )


def _fp8(name: str, module: Any, parameter: Any) -> Stored:
    """`fp8.Fp8Linear`: one float32 scale for each layer, which is a buffer and counts as that."""
    if getattr(module, "weight_scale", None) is None:
        raise UnknownStorage(
            "its numbers are FP8 without a scale",
            where=name,
            expected="FP8 layers of sae-release, with one scale each",
        )
    return Stored(
        kind="fp8 linear",
        is_quantised=True,
        n_parameters=parameter.numel(),
        weight_bytes=parameter.nbytes,
        scale_bytes=0,
        constant_bytes=0,
    )


def _role(module: Any, name: str) -> str:
    import torch

    if not name.endswith("weight"):
        return "other"
    if isinstance(module, torch.nn.Embedding):
        return "embedding"
    return "linear" if isinstance(module, torch.nn.Linear) else "other"


def _nbytes(tensor: torch.Tensor | None) -> int:
    return 0 if tensor is None else int(tensor.nbytes)


def _sum(first: Stored, second: Stored) -> Stored:
    return Stored(
        kind=first.kind,
        is_quantised=first.is_quantised,
        n_parameters=first.n_parameters + second.n_parameters,
        weight_bytes=first.weight_bytes + second.weight_bytes,
        scale_bytes=first.scale_bytes + second.scale_bytes,
        constant_bytes=first.constant_bytes + second.constant_bytes,
    )
