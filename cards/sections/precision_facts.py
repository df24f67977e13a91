"""At which precision the base model runs, in words and as the code that loads it so."""

from __future__ import annotations

from dataclasses import dataclass

from cards.escaping import Markdown
from cards.sources import Sources
from manifests.base_model import Precision

TORCH_DTYPES = {"fp32": "torch.float32", "fp16": "torch.float16", "bf16": "torch.bfloat16"}


@dataclass(frozen=True)
class PrecisionFacts:
    """`dtype` is an expression of torch; `quantisation` holds bitsandbytes' settings, as source.

    `is_recorded`: the training record says so; else the manifest does, and with `is_assumed` only
    for want of a source.
    """

    text: str
    dtype: Markdown
    quantisation: tuple[tuple[Markdown, Markdown], ...]
    is_recorded: bool
    is_assumed: bool


def precision_facts(sources: Sources) -> PrecisionFacts:
    """The precision of the training record, else the manifest's."""
    stated = sources.loaded.manifest.base_model.precision
    recorded = None if sources.training is None else sources.training.base_model.precision
    precision = recorded or stated
    return PrecisionFacts(
        text=precision_text(precision),
        dtype=Markdown(TORCH_DTYPES[precision.compute]),
        quantisation=tuple((Markdown(key), Markdown(value)) for key, value in _settings(precision)),
        is_recorded=recorded is not None,
        is_assumed=recorded is None and "base_model.precision" in sources.loaded.manifest.assumed,
    )


def precision_text(precision: Precision) -> str:
    """A precision in words, such as `nf4 weights with double quantisation, computed in fp16`."""
    if precision.weights == precision.compute:
        return precision.weights
    double = " with double quantisation" if precision.double_quantization else ""
    return f"{precision.weights} weights{double}, computed in {precision.compute}"


def _settings(precision: Precision) -> list[tuple[str, str]]:
    """The arguments of BitsAndBytesConfig; none for unquantised weights."""
    if precision.weights == "int8":
        return [("load_in_8bit", "True")]
    if precision.weights not in ("fp4", "nf4"):
        return []
    return [
        ("load_in_4bit", "True"),
        ("bnb_4bit_quant_type", f'"{precision.weights}"'),
        ("bnb_4bit_use_double_quant", str(precision.double_quantization)),
        ("bnb_4bit_compute_dtype", TORCH_DTYPES[precision.compute]),
    ]
