"""How the SAEs are trained by the manifest: recipes, schedule, optimiser, and what is assumed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cards import numbers
from cards.escaping import Markdown, markdown_text
from cards.sections.architectures import ARCHITECTURES, facts_of
from cards.sources import Sources
from manifests.model import Machine, Manifest

Settings = tuple[tuple[str, Markdown], ...]


@dataclass(frozen=True)
class RecipeFacts:
    """The settings of one architecture, as (name in the manifest, value).

    `variant` is empty for the plain recipe.
    """

    label: str
    variant: str
    settings: Settings


@dataclass(frozen=True)
class AssumedFact:
    """A value that no source states: its key in the manifest, the value, and why this one."""

    key: str
    value: Markdown
    why: str


@dataclass(frozen=True)
class StatedTraining:
    """What the manifest says of the training; `machine` is None where nobody says on which."""

    common: Settings
    recipes: tuple[RecipeFacts, ...]
    schedule: Settings
    optimiser: Settings
    machine: Settings | None
    assumed: tuple[AssumedFact, ...]


def stated_training(sources: Sources) -> StatedTraining:
    """The facts; recipes with plain ones first, assumptions in the manifest's order."""
    manifest = sources.loaded.manifest
    recipe, ran_on = manifest.recipe, manifest.hardware.ran_on
    return StatedTraining(
        common=(
            ("epochs", numbers.count(recipe.epochs)),
            ("batch_size", numbers.count(recipe.batch_size)),
            ("learning_rate", numbers.setting(recipe.learning_rate)),
            ("seed", Markdown(str(recipe.seed))),
            ("input_scale", Markdown(recipe.input_scale)),
        ),
        recipes=_recipes(sources),
        schedule=_schedule(manifest),
        optimiser=_optimiser(manifest),
        machine=None if ran_on is None else _machine(ran_on),
        assumed=tuple(
            AssumedFact(key, _value_at(manifest, key), why) for key, why in manifest.assumed.items()
        ),
    )


def _machine(machine: Machine) -> Settings:
    facts = [("device", markdown_text(machine.device))]
    if machine.memory_gb is not None:
        facts.append(("memory", Markdown(f"{numbers.setting(machine.memory_gb)} GB")))
    if machine.compute_capability is not None:
        facts.append(("compute capability", Markdown(machine.compute_capability)))
    for name, text in (("system", machine.system), ("software", machine.software)):
        if text is not None:
            facts.append((name, markdown_text(text)))
    return tuple(facts)


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


def _schedule(manifest: Manifest) -> Settings:
    """The shares of the steps that are not trained at the full rate or weight."""
    recipe = manifest.recipe
    shares = (
        ("warmup", recipe.warmup),
        ("decay", recipe.decay),
        ("sparsity_warmup", recipe.sparsity_warmup),
    )
    return tuple((name, numbers.setting(share)) for name, share in shares if share)


def _optimiser(manifest: Manifest) -> Settings:
    """What Adam and the limit of the gradient's norm were set to."""
    recipe = manifest.recipe
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


def _value_at(manifest: Manifest, key: str) -> Markdown:
    """What stands under a dotted key, which the manifest's model has found to be there."""
    value: Any = manifest.resolved()
    for part in key.split("."):
        value = value[part]
    return _written(value)


def _written(value: Any) -> Markdown:
    match value:
        case dict():
            parts = (f"{markdown_text(key)} {_written(each)}" for key, each in value.items())
            return Markdown(", ".join(parts))
        case list():
            return Markdown(", ".join(_written(each) for each in value) or "none")
        case bool() | None:
            return Markdown({True: "yes", False: "no", None: "none"}[value])
        case int():
            # A seed is a name and not a quantity: no commas.
            return Markdown(str(value))
        case float():
            return numbers.setting(value)
        case _:
            return markdown_text(str(value))
