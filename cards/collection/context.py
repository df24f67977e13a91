"""What the templates of a collection's card may print; they choose words and compute nothing."""

from __future__ import annotations

from dataclasses import dataclass

from cards.collection.caveats import Caveats, caveats
from cards.collection.front_matter import collection_front_matter
from cards.collection.measured import Measured, measured
from cards.collection.members import MemberFacts, member_facts
from cards.collection.sources import CollectionSources, MemberSources
from cards.collection.totals import Totals, totals
from cards.escaping import Markdown
from manifests.card_texts import Uses
from manifests.facts import Citation
from manifests.hooks import lens_hook_name


@dataclass(frozen=True)
class LoadingExample:
    """One SAE of one member, by which the card shows how to load any."""

    repo_id: str
    sae_id: str


@dataclass(frozen=True)
class HookExample:
    """How a layer's number becomes the name of the place that its SAEs read."""

    layer: int
    hook_name: str


@dataclass(frozen=True)
class Study:
    """What the members have in common beside their SAEs; None and empty: not known."""

    context: tuple[str, ...]
    citations: tuple[Citation, ...]
    code: str | None
    license: str | None


@dataclass(frozen=True)
class SourceDigests:
    """Hex SHA-256 of a member's resolved manifest, report and training record, where used."""

    repo_id: str
    manifest: str
    report: str | None
    training: str | None


@dataclass(frozen=True)
class CollectionProvenance:
    """By what the card can be traced back."""

    tool_version: str
    collection_digest: str
    members: tuple[SourceDigests, ...]


@dataclass(frozen=True)
class CollectionContext:
    """Everything on the card of a collection."""

    front_matter: Markdown
    title: str
    summary: str | None
    repo_id: str
    members: tuple[MemberFacts, ...]
    totals: Totals
    measured: Measured
    caveats: Caveats
    study: Study
    uses: Uses
    hook: HookExample | None
    example: LoadingExample | None
    provenance: CollectionProvenance


def collection_context(sources: CollectionSources) -> CollectionContext:
    """The context of one card; equal sources give an equal context.

    Raises:
        MissingMetric: a member's report lacks a number that the card prints.
        UnknownLicense: the Hub does not know the collection's license id.
    """
    stated = sources.loaded.collection
    return CollectionContext(
        front_matter=collection_front_matter(sources.loaded),
        title=stated.title,
        summary=stated.summary,
        repo_id=stated.repo_id,
        members=member_facts(sources),
        totals=totals(sources.loaded),
        measured=measured(sources),
        caveats=caveats(sources.loaded),
        study=Study(stated.context, stated.citations, stated.code, stated.license),
        uses=stated.uses,
        hook=_hook(sources),
        example=_example(sources),
        provenance=CollectionProvenance(
            tool_version=sources.tool_version,
            collection_digest=sources.loaded.digest,
            members=tuple(source_digests(member) for member in sources.members if member.built),
        ),
    )


def source_digests(member: MemberSources) -> SourceDigests:
    """Of a member that has a manifest."""
    assert member.built is not None
    return SourceDigests(
        repo_id=member.counted.repo_id,
        manifest=member.built.loaded.digest,
        report=member.built.report_digest,
        training=member.built.training_digest,
    )


def _hook(sources: CollectionSources) -> HookExample | None:
    for member in sources.members:
        if member.built:
            layer = member.built.loaded.saes[0].layer
            return HookExample(layer, lens_hook_name(member.built.loaded.manifest.saes.site, layer))
    return None


def _example(sources: CollectionSources) -> LoadingExample | None:
    """The first SAE of a measured member, else of one whose weights are SAELens' files."""
    loadable = [
        member.built
        for member in sorted(sources.members, key=lambda member: not member.is_measured)
        if member.built and _is_loadable(member)
    ]
    if not loadable:
        return None
    first = loadable[0].loaded
    return LoadingExample(first.manifest.repo_id, first.saes[0].sae_id)


def _is_loadable(member: MemberSources) -> bool:
    """Whether its repository has a cfg.json for each SAE; a pickle made elsewhere has none yet."""
    assert member.built is not None
    weights = member.built.loaded.manifest.weights
    return member.is_measured or weights is None or weights.format == "safetensors"
