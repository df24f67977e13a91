"""All that a card states beyond its matrix: numbers, texts, references, and what is wrong in it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from manifests.hooks import BLOCKS_PATH
from release.importing.base_config import BaseModelFacts
from release.importing.card_faults import Faults, find_faults
from release.importing.card_lines import (
    MAX_CHARACTERS,
    Paragraph,
    card_lines,
    has_markup,
    paragraphs,
)
from release.importing.decided import DecidedCard
from release.importing.names import Cell
from release.importing.stated_numbers import StatedNumber, stated_numbers
from release.importing.stated_references import (
    FindPaper,
    StatedReferences,
    arxiv_ids,
    stated_references,
)
from release.importing.stated_texts import StatedTexts, stated_texts
from validators.readme.card_text import CardText, read_card
from validators.readme.depths import layers_of_model
from validators.readme.findings import SaeFacts, Surroundings

_AT_ZERO = re.compile(
    r"\bthresholds?\b[^.\n]{0,60}?(?:=|\bis|\bat|\bof|\bto|\bremain\w*|\bstay\w*) ?(?:exactly )?"
    r"(?:0(?!\.?\d)|zero)",
    re.IGNORECASE,
)
_JUMPRELU = re.compile(r"jump[- ]?relu", re.IGNORECASE)
_LEARNED = re.compile(r"\bSTE\b|straight-through", re.IGNORECASE)
_GAUSSIAN = re.compile(r"\bgaussian[- ]kernel\b", re.IGNORECASE)
_LABELS = ("deceptive", "honest")
_BEGINNING = 40
_TEMPERATURE = re.compile(r"\btemperature(?: ?[=:] ?| of | )(\d(?:\.\d{1,3})?)(?![\d.]\d)")
_PARAMETERS = re.compile(r"(?<![\w.])(\d{1,4}(?:\.\d{1,3})? ?[BM])[ -]param(?:eter)?s?\b")
_NULL = re.compile(
    r"\bnull (?:distribution|baseline)\b|\bpermut\w+|\brandom (?:latents|features)\b", re.I
)


@dataclass(frozen=True)
class Stated:
    """What one card states.

    `zero_threshold_line` is where it says that JumpReLU thresholds stayed at 0; `has_gaussian_ste`
    that an estimator with a Gaussian kernel trained some. `labels` are those it speaks of, and
    `n_layers` is its number of blocks of the base model, where it has one, `n_parameters` that of
    its parameters as it is written, such as 1.88B; `has_null` that it speaks of chance,
    permutations or a null distribution; `temperature` is that of sampling.
    """

    numbers: tuple[StatedNumber, ...] = ()
    texts: StatedTexts = field(default_factory=StatedTexts)
    references: StatedReferences = field(default_factory=StatedReferences)
    faults: Faults = field(default_factory=Faults)
    zero_threshold_line: int | None = None
    has_gaussian_ste: bool = False
    labels: tuple[str, ...] = ()
    n_layers: int | None = None
    n_parameters: str | None = None
    has_null: bool = False
    temperature: float | None = None
    decided: DecidedCard = field(default_factory=lambda: DecidedCard(""))

    @property
    def n_completions(self) -> int | None:
        """The one number of training completions that it gives."""
        counts = {each.value for each in self.numbers if each.metric == "n_completions"}
        return int(counts.pop()) if len(counts) == 1 else None


def read_stated(
    decided: DecidedCard,
    *,
    cells: Mapping[str, Cell],
    base_model_id: str | None,
    base_model: BaseModelFacts | None,
    saes: tuple[SaeFacts, ...],
    files: tuple[str, ...],
    n_saes: int,
    d_sae: int | None,
    find_paper: FindPaper,
) -> Stated:
    """Read a card, holding it against itself and against what is known besides.

    Args:
        decided: README.md, and what people decided about it before.
        cells: the SAEs by id.
        base_model_id: its id on the Hub; None where that is not known.
        base_model: what is known of it; None where nothing is.
        saes: what the configs say; empty where one cannot be read.
        files: paths in the repository.
        n_saes: folders that hold an SAE.
        d_sae: latents of an SAE; None where that is not known.
        find_paper: a work that is known by its arXiv id.
    """
    card = read_card(decided.text[:MAX_CHARACTERS])
    model_type = base_model.model_type if base_model else None
    papers = {arxiv: paper for arxiv in arxiv_ids(card) if (paper := find_paper(arxiv))}
    faults = find_faults(
        card,
        Surroundings(
            n_layers=base_model.n_layers if base_model else None,
            blocks_path=BLOCKS_PATH.get(model_type) if model_type else None,
            model_type=model_type,
            n_saes=n_saes,
            hook_names=tuple(dict.fromkeys(sae.hook_name for sae in saes if sae.hook_name)),
            saes=saes,
            files=frozenset(files),
            papers={arxiv: (paper.title, paper.authors) for arxiv, paper in papers.items()},
        ),
        decided.left_out,
    )
    lines = card_lines(card)
    parts = tuple(paragraphs(lines, has_markup=has_markup(card)))
    return Stated(
        numbers=stated_numbers(lines, parts, faults, cells, d_sae=d_sae),
        texts=stated_texts(lines, parts, faults),
        references=stated_references(card, lines, faults, find_paper=papers.get),
        faults=faults,
        zero_threshold_line=_zero_threshold(parts),
        has_gaussian_ste=any(
            _GAUSSIAN.search(part.text) and _LEARNED.search(part.text) for part in parts
        ),
        labels=_labels(card),
        n_layers=layers_of_model(card, Surroundings()),
        n_parameters=_parameters(parts, faults, base_model_id),
        temperature=_temperature(parts, faults),
        has_null=any(_NULL.search(part.text) for part in parts),
        decided=decided,
    )


def _zero_threshold(parts: tuple[Paragraph, ...]) -> int | None:
    """The line of a paragraph on JumpReLU that says so; whom it includes is another question."""
    said = [part for part in parts if _JUMPRELU.search(part.text) and _AT_ZERO.search(part.text)]
    # One that begins with it is about it; others may only mention it.
    said.sort(key=lambda part: _JUMPRELU.search(part.text[:_BEGINNING]) is None)
    return said[0].lines[0].number if said else None


def _temperature(parts: tuple[Paragraph, ...], faults: Faults) -> float | None:
    """The one temperature that sentences without a finding name."""
    found = {
        float(match[1])
        for part in parts
        for match in _TEMPERATURE.finditer(part.text)
        if not any(faults.spoils(number, part.text, *match.span()) for number in part.numbers)
    }
    return found.pop() if len(found) == 1 and min(found) > 0 else None


def _parameters(
    parts: tuple[Paragraph, ...], faults: Faults, base_model_id: str | None
) -> str | None:
    """The one number of parameters that stands in paragraphs which name the base model."""
    found = {
        match[1].replace(" ", "")
        for part in parts
        if base_model_id and base_model_id in part.text
        for match in _PARAMETERS.finditer(part.text)
        if not any(faults.spoils(number, part.text, *match.span()) for number in part.numbers)
    }
    return found.pop() if len(found) == 1 else None


def _labels(card: CardText) -> tuple[str, ...]:
    text = "\n".join(passage.text for passage in card.prose).lower()
    return tuple(label for label in _LABELS if re.search(rf"\b{label}\b", text))
