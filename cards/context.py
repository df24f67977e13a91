"""What the templates may print: frozen values, each computed here or in the modules beside.

Templates choose words and order; they compute nothing. A number reaches them as `Markdown`, written
by `cards.numbers`, or as an int that names something (a layer, a seed).
"""

from __future__ import annotations

from dataclasses import dataclass

from cards.escaping import Markdown
from cards.figures.figure import Figure
from cards.figures.kinds import KINDS, figures_of
from cards.front_matter import front_matter
from cards.numbers import percent
from cards.sections.architectures import ArchitectureFacts, facts_of, kinds_of
from cards.sections.citations import citations
from cards.sections.claims import Findings, findings
from cards.sections.data_facts import DataFacts, data_facts
from cards.sections.expected_portability import ExpectedPortability, expected_portability
from cards.sections.limitations import Limitations, limitations
from cards.sections.loading_facts import LoadingFacts, loading_facts
from cards.sections.loss_facts import LossFacts, loss_facts
from cards.sections.portability import PortabilityFacts, portability_facts
from cards.sections.precision_facts import PrecisionFacts, precision_facts
from cards.sections.recipe_facts import StatedTraining, stated_training
from cards.sections.reported_facts import ReportedArea, reported_facts
from cards.sections.results import Results, results
from cards.sections.sparsity_facts import SparsityFacts, sparsity_facts
from cards.sections.tables import TablesFacts, tables_facts
from cards.sections.training_facts import TrainingFacts, training_facts
from cards.sources import Sources
from manifests.base_model import BaseModelSpec
from manifests.card_texts import CardTemplate, Uses
from manifests.hooks import depth_percent, hf_hook_name, lens_hook_name


@dataclass(frozen=True)
class LayerFacts:
    """One layer that has SAEs, in both hook notations; `depth` is the share of blocks passed."""

    layer: int
    depth: Markdown
    hook_name: str
    hf_hook_name: str
    n_saes: int


@dataclass(frozen=True)
class Contents:
    """How many SAEs there are and of which kinds; `l0_meanings` by the kinds that share one.

    `relu` are those whose JumpReLU file holds a ReLU.
    """

    n_saes: int
    layers: tuple[LayerFacts, ...]
    architectures: tuple[ArchitectureFacts, ...]
    l0_meanings: tuple[tuple[str, Markdown], ...]
    variants: tuple[str, ...]
    relu: tuple[str, ...]
    d_in: int
    d_sae: int
    expansion: int


@dataclass(frozen=True)
class FigureLink:
    """Where a figure lies, and what it shows in words."""

    path: Markdown
    alt: str


@dataclass(frozen=True)
class Provenance:
    """By what the card can be traced back: hex SHA-256 digests, None without the file; versions."""

    tool_version: str
    manifest_digest: str
    report_digest: str | None
    training_digest: str | None


@dataclass(frozen=True)
class CardContext:
    """Everything on a card.

    `results` is None where nothing was measured, `training` where nobody recorded it, `figures` by
    kind, None where the report has no numbers for one; `stated` is what the manifest says of the
    training.
    """

    front_matter: Markdown
    title: str
    summary: str
    repo_id: str
    base_model: BaseModelSpec
    contents: Contents
    is_single: bool
    uses: Uses
    context: tuple[str, ...]
    data: DataFacts
    precision: PrecisionFacts
    stated: StatedTraining
    training: TrainingFacts | None
    results: Results | None
    reported: tuple[ReportedArea, ...]
    losses: LossFacts | None
    sparsity: SparsityFacts | None
    tables: TablesFacts | None
    portability: PortabilityFacts | None
    expected_portability: ExpectedPortability | None
    findings: Findings
    loading: LoadingFacts
    limitations: Limitations
    n_resolutions: int
    license: str | None
    collection: str | None
    code: str | None
    citations: tuple[Markdown, ...]
    figures: dict[str, FigureLink | None]
    provenance: Provenance


def card_context(sources: Sources, figures: dict[str, Figure | None] | None = None) -> CardContext:
    """The context of one card; equal sources give an equal context.

    Args:
        sources: what the card is made from.
        figures: those of the sources, where the caller has them already.

    Raises:
        MissingMetric: the report lacks a number that the card prints.
        ClaimNotHeld: the report does not bear out a claim of the manifest.
        UnknownLicense: the Hub does not know the manifest's license id.
    """
    manifest = sources.loaded.manifest
    return CardContext(
        front_matter=front_matter(sources),
        title=manifest.title,
        summary=manifest.summary,
        repo_id=manifest.repo_id,
        base_model=manifest.base_model,
        contents=_contents(sources),
        is_single=template_of(sources) == "single_sae",
        uses=manifest.uses,
        context=manifest.context,
        data=data_facts(sources),
        precision=precision_facts(sources),
        stated=stated_training(sources),
        training=training_facts(sources),
        results=results(sources),
        reported=reported_facts(sources),
        losses=loss_facts(sources),
        sparsity=sparsity_facts(sources),
        tables=tables_facts(sources),
        portability=portability_facts(sources),
        expected_portability=expected_portability(sources),
        findings=findings(sources),
        loading=loading_facts(sources),
        limitations=limitations(sources),
        n_resolutions=len(manifest.resolutions),
        license=manifest.license,
        collection=manifest.collection,
        code=manifest.code,
        citations=citations(sources),
        figures={
            name: None if figure is None else FigureLink(Markdown(figure.path_in_repo), figure.alt)
            for name, figure in (figures or measured_figures(sources)).items()
        },
        provenance=Provenance(
            tool_version=sources.tool_version,
            manifest_digest=sources.loaded.digest,
            report_digest=sources.report_digest,
            training_digest=sources.training_digest,
        ),
    )


def template_of(sources: Sources) -> CardTemplate:
    """The template that the manifest chooses, else the one for its number of SAEs."""
    chosen = sources.loaded.manifest.card.template
    return chosen or ("single_sae" if len(sources.loaded.saes) == 1 else "multi_sae")


def measured_figures(sources: Sources) -> dict[str, Figure | None]:
    """By kind, the figure that the sources have numbers for; None of each without measurements."""
    return figures_of(sources) if sources.has_measurements else dict.fromkeys(KINDS)


def _contents(sources: Sources) -> Contents:
    specs, manifest = sources.loaded.saes, sources.loaded.manifest
    base_model = manifest.base_model
    layers = sorted({spec.layer for spec in specs})
    kinds = kinds_of(manifest, specs)
    return Contents(
        n_saes=len(specs),
        layers=tuple(
            LayerFacts(
                layer=layer,
                depth=percent(depth_percent(layer, base_model.n_layers)),
                hook_name=lens_hook_name(manifest.saes.site, layer),
                hf_hook_name=hf_hook_name(base_model.model_type, layer),
                n_saes=sum(spec.layer == layer for spec in specs),
            )
            for layer in layers
        ),
        architectures=kinds,
        l0_meanings=tuple(
            (", ".join(kind.label for kind in kinds if kind.l0 == meaning), meaning)
            for meaning in dict.fromkeys(kind.l0 for kind in kinds)
        ),
        variants=tuple(sorted({spec.variant for spec in specs if spec.variant})),
        relu=tuple(spec.sae_id for spec in specs if facts_of(manifest, spec).is_relu),
        d_in=base_model.d_model,
        d_sae=base_model.d_model * manifest.saes.expansion,
        expansion=manifest.saes.expansion,
    )
