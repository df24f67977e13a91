"""What a card says of other precisions before they were tried: which, by which limits, and how."""

from __future__ import annotations

from dataclasses import dataclass

from cards import numbers
from cards.escaping import Markdown
from cards.sources import Sources
from manifests.portability import ClaimedSize, OtherModel
from validators.base_models.named_precisions import named_precisions, precision_label


@dataclass(frozen=True)
class Regime:
    """A setting in which the SAEs could be used, and what is known of it."""

    setting: str
    expectation: str


@dataclass(frozen=True)
class Claimed:
    """What a source says that the weights take, not held against a loaded model."""

    precision: str
    said: Markdown
    source: str | None


@dataclass(frozen=True)
class ExpectedPortability:
    """The settings, all of them without a measurement, and the limits that a verdict would take.

    `trained_at` is only assumed with `is_assumed`.
    """

    trained_at: str
    is_assumed: bool
    regimes: tuple[Regime, ...]
    drop: Markdown
    alive: Markdown
    overlap: Markdown
    claimed: tuple[Claimed, ...]


def expected_portability(sources: Sources) -> ExpectedPortability | None:
    """The settings that the manifest would try; None where the report has the numbers."""
    if sources.portability is not None:
        return None
    manifest = sources.loaded.manifest
    settings = manifest.portability
    precision = manifest.base_model.precision
    own = precision_label(precision)
    named = named_precisions(settings.precisions, trained_at=precision)
    d_model = manifest.base_model.d_model
    return ExpectedPortability(
        trained_at=own,
        is_assumed="base_model.precision" in manifest.assumed,
        regimes=(
            *(Regime(each.label, "not measured") for each in named if each.label != own),
            *(_other(model, d_model) for model in settings.other_models),
        ),
        drop=numbers.share(settings.limits.max_explained_variance_drop),
        alive=numbers.share(settings.limits.max_alive_shift),
        overlap=numbers.setting(settings.limits.min_overlap),
        claimed=tuple(_claimed(size) for size in settings.claimed),
    )


def _other(model: OtherModel, d_model: int) -> Regime:
    setting = f"{model.id} ({model.relation})"
    if model.d_model is not None and model.d_model != d_model:
        return Regime(
            setting,
            f"cannot be used: its residual stream has {model.d_model} dimensions, not {d_model}",
        )
    return Regime(setting, "not measured")


def _claimed(size: ClaimedSize) -> Claimed:
    parts = []
    if size.effective_bits is not None:
        of = "quantised parameter" if size.of == "quantised" else "parameter"
        parts.append(f"{numbers.setting(size.effective_bits)} bits for each {of}")
    if size.memory_gb is not None:
        parts.append(f"{numbers.setting(size.memory_gb)} GB in all")
    return Claimed(size.precision, Markdown(", ".join(parts)), size.source)
