"""The card's section on training, from training.json and the manifest's recipe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cards import numbers
from cards.architectures import ARCHITECTURES, facts_of
from cards.escaping import Markdown
from cards.sources import Sources
from manifests.base_model import Precision


@dataclass(frozen=True)
class RecipeFacts:
    """The settings of one architecture, as (name in the manifest, value).

    `variant` is empty for the plain recipe.
    """

    label: str
    variant: str
    settings: tuple[tuple[str, Markdown], ...]


@dataclass(frozen=True)
class TrainedRow:
    """One row of the training table."""

    sae_id: str
    seed: int
    n_train: Markdown
    epochs: Markdown
    steps: Markdown
    batch_size: Markdown
    learning_rate: Markdown
    input_scale: Markdown
    duration: Markdown


@dataclass(frozen=True)
class TrainingFacts:
    """How the weights were made."""

    tool_version: str
    base_model_source: str
    base_model_digest: str
    base_model_precision: str
    input_scale: Literal["none", "unit_mean_norm"]
    environment: tuple[tuple[str, str], ...]
    duration: Markdown
    recipes: tuple[RecipeFacts, ...]
    schedule: tuple[tuple[str, Markdown], ...]
    optimiser: tuple[tuple[str, Markdown], ...]
    rows: tuple[TrainedRow, ...]


def training_facts(sources: Sources) -> TrainingFacts:
    """The facts; rows in the manifest's order, the environment in alphabetical order."""
    training = sources.training
    return TrainingFacts(
        tool_version=training.tool_version,
        base_model_source=training.base_model.source,
        base_model_digest=training.base_model.digest,
        base_model_precision=precision_text(training.base_model.precision),
        input_scale=sources.loaded.manifest.recipe.input_scale,
        environment=tuple(
            (name, value) for name, value in sorted(training.environment.items()) if value
        ),
        duration=numbers.duration(training.seconds_total),
        recipes=_recipes(sources),
        schedule=_schedule(sources),
        optimiser=_optimiser(sources),
        rows=tuple(_row(sources, spec.sae_id) for spec in sources.loaded.saes),
    )


def precision_text(precision: Precision) -> str:
    """A precision in words, such as `nf4 weights with double quantisation, computed in fp16`."""
    if precision.weights == precision.compute:
        return precision.weights
    double = " with double quantisation" if precision.double_quantization else ""
    return f"{precision.weights} weights{double}, computed in {precision.compute}"


def _recipes(sources: Sources) -> tuple[RecipeFacts, ...]:
    """Each recipe that an SAE was trained by, plain ones first."""
    manifest, specs = sources.loaded.manifest, sources.loaded.saes
    facts = []
    for variant in sorted({spec.variant for spec in specs}):
        of_variant = [spec for spec in specs if spec.variant == variant]
        for name in ARCHITECTURES:
            spec = next((spec for spec in of_variant if spec.architecture == name), None)
            if spec is None:
                continue
            values = manifest.recipe.of(name, variant).model_dump(mode="json", exclude_none=True)
            facts.append(
                RecipeFacts(
                    label=facts_of(manifest, spec).label,
                    variant=variant,
                    settings=tuple((key, _setting(value)) for key, value in values.items()),
                )
            )
    return tuple(facts)


def _schedule(sources: Sources) -> tuple[tuple[str, Markdown], ...]:
    """The shares of the steps that are not trained at the full rate or weight."""
    recipe = sources.loaded.manifest.recipe
    shares = (
        ("warmup", recipe.warmup),
        ("decay", recipe.decay),
        ("sparsity_warmup", recipe.sparsity_warmup),
    )
    return tuple((name, numbers.setting(share)) for name, share in shares if share)


def _optimiser(sources: Sources) -> tuple[tuple[str, Markdown], ...]:
    """What Adam and the limit of the gradient's norm were set to."""
    recipe = sources.loaded.manifest.recipe
    limit = recipe.max_gradient_norm
    return (
        ("adam_beta2", numbers.setting(recipe.adam_beta2)),
        ("max_gradient_norm", Markdown("none") if limit is None else numbers.setting(limit)),
    )


def _setting(value: float | str | list[int]) -> Markdown:
    if isinstance(value, list):
        return Markdown(", ".join(str(each) for each in value))
    # The strings of a recipe are choices that the manifest's model lists.
    return Markdown(value) if isinstance(value, str) else numbers.setting(value)


def _row(sources: Sources, sae_id: str) -> TrainedRow:
    trained = sources.training.saes[sae_id]
    return TrainedRow(
        sae_id=sae_id,
        seed=trained.seed,
        n_train=numbers.count(trained.n_train),
        epochs=numbers.count(trained.epochs),
        steps=numbers.count(trained.steps),
        batch_size=numbers.count(trained.batch_size),
        learning_rate=numbers.setting(trained.learning_rate),
        input_scale=numbers.significant(trained.input_scale),
        duration=numbers.duration(trained.seconds),
    )
