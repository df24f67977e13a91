"""The card's section on training, from training.json: how these very weights were made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cards import numbers
from cards.escaping import Markdown
from cards.sources import Sources
from validators.training_record import TrainingRecord


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
    input_scale: Literal["none", "unit_mean_norm"]
    environment: tuple[tuple[str, str], ...]
    duration: Markdown
    rows: tuple[TrainedRow, ...]


def training_facts(sources: Sources) -> TrainingFacts | None:
    """The facts; None where nobody recorded it.

    Rows stand in the manifest's order, the environment in alphabetical order.
    """
    training = sources.training
    if training is None:
        return None
    return TrainingFacts(
        tool_version=training.tool_version,
        base_model_source=training.base_model.source,
        base_model_digest=training.base_model.digest,
        input_scale=sources.loaded.manifest.recipe.input_scale,
        environment=tuple(
            (name, value) for name, value in sorted(training.environment.items()) if value
        ),
        duration=numbers.duration(training.seconds_total),
        rows=tuple(_row(training, spec.sae_id) for spec in sources.loaded.saes),
    )


def _row(training: TrainingRecord, sae_id: str) -> TrainedRow:
    trained = training.saes[sae_id]
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
