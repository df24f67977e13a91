"""The manifest: what one SAE repository on the Hub claims, stated once.

Frozen pydantic models that refuse unknown keys. Field descriptions go into the JSON Schema that
editors show. Counts, ids and hook names are not fields: they are derived (see `matrix`, `hooks`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self

from pydantic import (
    Field,
    FiniteFloat,
    PositiveFloat,
    PositiveInt,
    StringConstraints,
    model_validator,
)

from manifests.base_model import BaseModelSpec
from manifests.card_texts import CardChoices, Uses
from manifests.data import Data
from manifests.digests import json_sha256
from manifests.facts import Accept, Citation, Claim, PageResolution, Reported
from manifests.fields import HttpsUrl, Identifier, RepoId, Strict, Text
from manifests.hooks import HookSite
from manifests.hub_settings import HubSettings
from manifests.measure import Measure
from manifests.portability import Portability
from manifests.recipe import Recipe
from manifests.sae_recipes import Architecture, MatryoshkaRecipe

ComputeCapability = Annotated[str, StringConstraints(pattern=r"^\d+\.\d$")]


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


class Machine(Strict):
    """A machine that SAEs were trained on; what is null is not known."""

    device: Text
    memory_gb: PositiveFloat | None = None
    compute_capability: ComputeCapability | None = None
    system: Text | None = None
    software: Text | None = None


class Target(Strict):
    """The machine that `release retrain` plans for."""

    device: Literal["cpu", "cuda"] = "cpu"
    memory_gb: PositiveFloat | None = Field(
        None,
        description="Budget in 10^9 bytes that training keeps to: of the GPU, or of the process "
        "on a CPU; null: what the device has.",
    )
    compute_capability: ComputeCapability | None = Field(
        None, description="CUDA only; below 8.0 there is no bf16."
    )
    flavor: Identifier | None = Field(
        None, description="Hugging Face Jobs' name of the machine, for `--engine hf-jobs`."
    )


class Hardware(Strict):
    """Where the weights were made, and where they are to be made again."""

    ran_on: Machine | None = Field(None, description="Null when it is not known.")
    target: Target = Field(default_factory=lambda: Target.model_validate({}))


class WeightsSource(Strict):
    """Where weights that were made elsewhere are staged or published."""

    repo_id: RepoId
    revision: Text | None = Field(None, description="Commit, tag or branch; null: its head.")
    format: Literal["safetensors", "pickle"] = "safetensors"


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


# Of a reported fact, what no claim can rest on.
_BESIDE_A_REPORTED_VALUE: Any = dict.fromkeys(
    ("metric", "approximate", "unit", "n", "split", "layer", "sae_id", "source", "date"), True
)
# What only the card prints, and the settings of the tables, which state by themselves what they
# were made with. Claims and acceptances decide what checks find, so they are not here.
_PROSE: Any = {
    "title": True,
    "summary": True,
    "license": True,
    "language": True,
    "tags": True,
    "caveats": True,
    "uses": True,
    "context": True,
    "card": True,
    "citations": True,
    "collection": True,
    "code": True,
    "reported": {"__all__": _BESIDE_A_REPORTED_VALUE},
    "resolutions": True,
    "assumed": True,
    "hardware": {"ran_on": True},
    "measure": True,
    "portability": True,
    "data": dict.fromkeys(
        ("description", "label_rule", "label_precision", "scenarios", "temperature"), True
    ),
}


class Manifest(Strict):
    """Everything that one SAE repository claims."""

    schema_version: Literal[1]
    repo_id: RepoId = Field(description="The Hub repository that the manifest describes.")
    title: Text
    summary: Text = Field(description="One paragraph for the top of the card.")
    license: Identifier | None = Field(
        None, description="License id as the Hub writes it; null when none is known."
    )
    language: tuple[Identifier, ...] = ("en",)
    tags: tuple[Text, ...] = ()
    base_model: BaseModelSpec
    saes: SaeMatrix
    recipe: Recipe
    data: Data
    hardware: Hardware = Field(default_factory=lambda: Hardware.model_validate({}))
    weights: WeightsSource | None = Field(
        None, description="Weights made elsewhere; null when `release retrain` makes them."
    )
    limits: Limits = Field(default_factory=lambda: Limits.model_validate({}))
    measure: Measure = Field(
        default_factory=lambda: Measure.model_validate({}),
        description="Settings of the tables that `release measure` computes.",
    )
    portability: Portability = Field(
        default_factory=lambda: Portability.model_validate({}),
        description="Settings of `release portability`, and what a push requires of it.",
    )
    citations: tuple[Citation, ...] = ()
    collection: RepoId | None = Field(None, description="The study collection it belongs to.")
    hub: HubSettings | None = Field(
        None, description="Settings of the repository on the Hub; what is left out stays as it is."
    )
    code: HttpsUrl | None = Field(None, description="Source repository of the original study.")
    reported: tuple[Reported, ...] = ()
    claims: tuple[Claim, ...] = ()
    accept: tuple[Accept, ...] = ()
    caveats: tuple[Caveat, ...] = ()
    uses: Uses = Field(
        default_factory=lambda: Uses.model_validate({}),
        description="What the SAEs tell apart, and what they are good for.",
    )
    context: tuple[Text, ...] = Field(
        (), description="Paragraphs on the study that the repository belongs to."
    )
    card: CardChoices = Field(default_factory=lambda: CardChoices.model_validate({}))
    resolutions: tuple[PageResolution, ...] = Field(
        (), description="Contradictions of earlier pages, and what this manifest states instead."
    )
    assumed: dict[Text, Text] = Field(
        default_factory=dict,
        description="By key, such as `recipe.seed`: values that no source states, and why.",
    )

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        problems = list(_disagreements(self))
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def digest(self) -> str:
        """Hex SHA-256 of the resolved manifest, the name later stages record it by."""
        return json_sha256(self.resolved())

    def evidence_digest(self) -> str:
        """Hex SHA-256 of what weights, checks and measurements depend on: all but the prose.

        A wording can be mended on every card without training or measuring anything again.
        """
        facts = self.model_dump(mode="json", exclude={**_PROSE, "hub": True})
        # Where weights lie says nothing of what they are; a report names them by their digests.
        facts["weights"] = None
        return json_sha256(facts)

    def resolved(self) -> dict[str, Any]:
        """The manifest with every default filled in, as JSON values: what a release is made from.

        Without the settings of the repository, so that changing one makes no card stale.
        """
        return self.model_dump(mode="json", exclude={"hub"})


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
    conditions = {*matrix.conditions, *(c for p in matrix.include for c in p.conditions or ())}
    for condition in sorted(conditions):
        if condition not in manifest.data.conditions:
            problems.append(f"saes.conditions names {condition!r}, which data.conditions lacks")
    for architecture, variant in sorted(_kinds(matrix)):
        if variant and variant not in manifest.recipe.variants:
            problems.append(f"saes names the variant {variant!r}, which recipe.variants lacks")
            continue
        try:
            manifest.recipe.of(architecture, variant)
        except KeyError:
            problems.append(f"saes.architectures names {architecture}, which recipe lacks")
    d_sae = matrix.expansion * manifest.base_model.d_model
    problems.extend(_too_many_latents(manifest, d_sae))
    titles = {caveat.title for caveat in manifest.caveats}
    for resolution in manifest.resolutions:
        if resolution.caveat is not None and resolution.caveat not in titles:
            problems.append(
                f"resolutions names the caveat {resolution.caveat!r}, which is not there"
            )
    names = [fact.name for fact in manifest.reported]
    for name in sorted({name for name in names if names.count(name) > 1}):
        problems.append(f"reported has the name {name!r} twice")
    problems.extend(
        f"assumed names {key!r}, which the manifest lacks"
        for key in manifest.assumed
        if not _has_value(manifest, key)
    )
    return problems


def _too_many_latents(manifest: Manifest, d_sae: int) -> Iterator[str]:
    """Each k and inner width that the number of latents leaves no room for."""
    recipe = manifest.recipe
    parts = {"recipe": recipe} | {f"recipe.variants.{n}": v for n, v in recipe.variants.items()}
    for where, part in parts.items():
        for name in ("topk", "batchtopk", "matryoshka_batchtopk"):
            own = getattr(part, name)
            sizes = {} if own is None else {"k": own.k}
            if isinstance(own, MatryoshkaRecipe):
                sizes["widths"] = own.widths[-1]
            for key, size in sizes.items():
                if size >= d_sae:
                    yield f"{where}.{name}.{key} is {size}, but there are only {d_sae} latents"


def _has_value(manifest: Manifest, key: str) -> bool:
    """Whether a dotted key, such as `recipe.topk.k`, leads to a value that is not null."""
    value: Any = manifest
    for part in key.split("."):
        is_named = isinstance(value, dict) or part in getattr(type(value), "model_fields", {})
        value = value.get(part) if isinstance(value, dict) else is_named and getattr(value, part)
        if not is_named or value is None:
            return False
    return True


def _kinds(matrix: SaeMatrix) -> set[tuple[Architecture, str]]:
    """Every pair of architecture and variant that the matrix and its inclusions name."""
    whole = MatrixEntry.model_validate({})
    return {
        (architecture, variant)
        for part in (whole, *matrix.include)
        for architecture in part.architectures or matrix.architectures
        for variant in part.variants or matrix.variants
    }
