"""Each repository of a collection: its base model, its matrix of SAEs, what is not known of it."""

from __future__ import annotations

from dataclasses import dataclass

from cards import numbers
from cards.collection.sources import CollectionSources, MemberSources
from cards.escaping import Markdown
from cards.sections.architectures import kinds_of
from manifests.collection import CountedMember
from manifests.load import LoadedManifest


@dataclass(frozen=True)
class BaseModelFacts:
    """The frozen model of a member; None where no source states it."""

    id: str
    revision: str | None
    model_type: str | None
    n_layers: Markdown | None
    d_model: Markdown | None
    n_parameters: Markdown | None


@dataclass(frozen=True)
class ConditionFacts:
    """A training condition, and the number of its completions by the member's page."""

    name: str
    n_reported: Markdown | None


@dataclass(frozen=True)
class MatrixFacts:
    """What a member's manifest gives.

    `product` has the lengths of the three axes where they multiply to the number of SAEs: it is
    then without variants, additions and omissions.
    """

    layers: tuple[int, ...]
    architectures: tuple[str, ...]
    conditions: tuple[ConditionFacts, ...]
    product: tuple[int, int, int] | None
    d_sae: Markdown
    assumed: tuple[str, ...]
    n_reported: int
    has_license: bool
    has_pooling: bool
    has_split: bool
    has_data: bool
    has_pinned_weights: bool


@dataclass(frozen=True)
class MemberFacts:
    """One repository; `n_saes` follows from `matrix`, `n_reported` is what its own page states."""

    repo_id: str
    base_model: BaseModelFacts
    n_saes: Markdown | None
    n_reported: Markdown | None
    n_variants: Markdown | None
    source: str | None
    is_disputed: bool
    matrix: MatrixFacts | None
    is_measured: bool


def member_facts(sources: CollectionSources) -> tuple[MemberFacts, ...]:
    """All members in the collection's order."""
    return tuple(_member(member) for member in sources.members)


def _member(member: MemberSources) -> MemberFacts:
    counted, loaded = member.counted, member.counted.loaded
    return MemberFacts(
        repo_id=counted.repo_id,
        base_model=_base_model(counted),
        n_saes=_count(counted.n_saes) if counted.is_derived else None,
        n_reported=_count(counted.reported_n_saes),
        n_variants=_count(counted.n_variants),
        source=counted.source,
        is_disputed=counted.is_disputed,
        matrix=None if loaded is None else _matrix(loaded),
        is_measured=member.is_measured,
    )


def _base_model(counted: CountedMember) -> BaseModelFacts:
    """As the manifest has it, which may say more than the register does."""
    found = counted.loaded.manifest.base_model if counted.loaded else counted.registered
    return BaseModelFacts(
        id=found.id,
        revision=found.revision,
        model_type=found.model_type,
        n_layers=_count(found.n_layers),
        d_model=_count(found.d_model),
        n_parameters=_count(found.n_parameters),
    )


def _matrix(loaded: LoadedManifest) -> MatrixFacts:
    manifest, specs = loaded.manifest, loaded.saes
    layers = tuple(sorted({spec.layer for spec in specs}))
    stated = manifest.data.conditions
    used = {spec.condition for spec in specs}
    conditions = tuple(name for name in stated if name in used)
    axes = (len(layers), len({spec.architecture for spec in specs}), len(conditions))
    return MatrixFacts(
        layers=layers,
        architectures=tuple(kind.label for kind in kinds_of(manifest, specs)),
        conditions=tuple(ConditionFacts(name, _count(stated[name].n)) for name in conditions),
        product=axes if axes[0] * axes[1] * axes[2] == len(specs) else None,
        d_sae=numbers.count(manifest.base_model.d_model * manifest.saes.expansion),
        assumed=tuple(manifest.assumed),
        n_reported=len(manifest.reported),
        has_license=manifest.license is not None,
        has_pooling=manifest.data.pooling is not None,
        has_split=manifest.data.held_out is not None,
        has_data=manifest.data.file is not None or manifest.data.dataset is not None,
        has_pinned_weights=manifest.weights is None or manifest.weights.revision is not None,
    )


def _count(value: int | None) -> Markdown | None:
    return None if value is None else numbers.count(value)
