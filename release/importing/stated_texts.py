"""The texts that a card is read for: limitations, uses, what the data is and how it was labelled.

A paragraph with a finding in it is left out as a whole: what remained of it might say the opposite.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from release.importing.card_faults import SCOPE, Fault, Faults
from release.importing.card_lines import CardLine, Paragraph
from release.importing.printable import one_line

MAX_TEXTS = 30
_MAX_CHARACTERS = 1_500
_SHORT, _OPENING = 20, 60
_LIMITS = re.compile(r"\b(?:limitations?|caveats?)\b", re.IGNORECASE)
_USES = re.compile(
    r"(?P<no>not recommended|out[- ]of[- ]scope|misuse)|(?:recommended|intended|direct) uses?\b",
    re.IGNORECASE,
)
_MEASURES = re.compile(
    r"what (?:this|these|the) SAEs? (?:actually |really )?(?P<no>do(?:es)? not )?"
    r"(?:discriminates?|measures?|detects?)",
    re.IGNORECASE,
)
_LEAD = re.compile(r"(?P<lead>[^.:!?\n]{3,90}?)(?:\s*\([^()]{1,60}\))?\s?[.:]\s+(?=\S)")
_BOLD_LEAD = re.compile(r"\s*\*\*(?P<lead>[^*\n]{3,120})\*\*\s*[:.\u2014\u2013-]?\s*")
_NOTES = re.compile(r"note\b|code\b|see\b", re.IGNORECASE)
_LABELLED = re.compile(
    r"\b(?:classified|labell?ed|assigned|judged) (?:\w{1,20} )?(?:by|with|when)\b"
    r"|\bkeyword (?:match|rule)",
    re.IGNORECASE,
)
_AGREES = re.compile(
    r"\b(?:judges?|raters?|annotators?|readers?|labels?|models?)\b[^.]{0,60}\bagreed? with\b"
    r"|\blabels? were (?:right|wrong|correct)\b",
    re.IGNORECASE,
)
_CONTEXT = re.compile(
    r"\bcontext\b|\bbackground\b|\bwhere (?:this|these) SAEs? (?:sits?|fits?)", re.I
)
_CONTEXT_LEAD = re.compile(r"(?:architecture|background)(?: note)?", re.IGNORECASE)
_PLEASE = re.compile(r"\s*[(\u2014\u2013-]+\s*please read\b.*", re.IGNORECASE)
_SAMPLED = re.compile(r"\bsampl(?:ed|ing)\b", re.IGNORECASE)
_DATA_SECTION = re.compile(r"training (?:distribution|data)|data(?:set)?", re.IGNORECASE)
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z\"(])")


@dataclass(frozen=True)
class StatedText:
    """A paragraph under a short title; `line` is where it begins in README.md."""

    title: str
    text: str
    line: int


@dataclass(frozen=True)
class StatedUses:
    """What the labels tell apart, what the SAEs are recommended for and what advised against."""

    measures: str | None = None
    does_not_measure: str | None = None
    recommended: tuple[str, ...] = ()
    not_recommended: tuple[str, ...] = ()


@dataclass(frozen=True)
class StatedTexts:
    """The texts of one card, without those that a check has found something in.

    `left_out` are the findings on texts that would have been carried.
    """

    caveats: tuple[StatedText, ...] = ()
    uses: StatedUses = StatedUses()
    description: str | None = None
    label_rule: str | None = None
    label_precision: str | None = None
    context: tuple[str, ...] = ()
    left_out: tuple[Fault, ...] = ()


def stated_texts(
    lines: tuple[CardLine, ...], paragraphs: tuple[Paragraph, ...], faults: Faults
) -> StatedTexts:
    """Read the texts of a card."""
    caveats: list[StatedText] = []
    left_out: list[Fault] = []
    yes: list[str] = []
    no: list[str] = []
    rows = {line.number for line in lines if line.kind == "row"}
    measures: str | None = None
    not_measured: str | None = None
    context: list[str] = []
    section, use, by_lead = "", "", False
    for paragraph in paragraphs:
        is_bullet = paragraph.lines[0].kind == "bullet"
        if paragraph.section != section:
            section, by_lead = paragraph.section, False
            found = _USES.search(section)
            use = "" if found is None else "no" if found["no"] else "yes"
        lead, text = _lead(paragraph)
        opens = _USES.match(lead or paragraph.text)
        if opens and not is_bullet:
            use, by_lead = "no" if opens["no"] else "yes", True
            if not lead or len(text) < _SHORT:
                continue
        elif by_lead and not is_bullet:
            # What a lead opened ends with its paragraph and the list below it.
            use = ""
        says_what = _MEASURES.fullmatch(lead) if not is_bullet and len(text) > _SHORT else None
        if says_what and not faults.on(paragraph.numbers):
            body = _capital(one_line(text, at_most=_MAX_CHARACTERS))
            if says_what["no"]:
                not_measured = not_measured or body
            else:
                measures = measures or body
            continue
        if _CONTEXT_LEAD.fullmatch(lead) or (_CONTEXT.search(section) and not is_bullet):
            spoiled = faults.on(paragraph.numbers)
            left_out += spoiled
            said = text if _CONTEXT_LEAD.fullmatch(lead) else paragraph.text
            if not spoiled and len(said) > _OPENING:
                context.append(_capital(one_line(said, at_most=_MAX_CHARACTERS)))
            continue
        is_limit = bool(_LIMITS.search(section)) or bool(lead and _LIMITS.search(lead))
        if not (use or is_limit) or paragraph.numbers & rows:
            continue
        spoiled = faults.on(paragraph.numbers)
        if spoiled and all(fault.mended == SCOPE for fault in spoiled):
            left_out += spoiled
            rest = " ".join(_unspoiled(paragraph, text, faults))
            caveats += _caveat(paragraph, lead, rest) if lead else ()
        elif spoiled:
            left_out += spoiled
        elif use:
            said = text if opens else paragraph.text
            said = _capital(one_line(said, at_most=_MAX_CHARACTERS))
            (no if use == "no" else yes).append(said)
        else:
            caveats += _caveat(paragraph, lead, text)
    return StatedTexts(
        caveats=tuple(_merged(caveats[: 2 * MAX_TEXTS]))[:MAX_TEXTS],
        uses=StatedUses(measures, not_measured, tuple(yes)[:MAX_TEXTS], tuple(no)[:MAX_TEXTS]),
        description=_sentence(paragraphs, faults, _is_about_sampling),
        label_rule=_sentence(paragraphs, faults, _is_about_labels),
        label_precision=_sentence(paragraphs, faults, _is_about_their_precision),
        context=tuple(context)[:MAX_TEXTS],
        left_out=tuple(dict.fromkeys(left_out)),
    )


def _lead(paragraph: Paragraph) -> tuple[str, str]:
    """The first words in bold, or up to the first stop, and what comes after them."""
    written = paragraph.raw if paragraph.raw[:2] == "**" else paragraph.raw.lstrip("-*+• ")
    raw = _BOLD_LEAD.match(written)
    if raw:
        lead = raw["lead"].strip(" .:")
        start = paragraph.text.find(lead)
        return lead, paragraph.text[start + len(lead) :].lstrip(" .:\u2014\u2013-")
    found = _LEAD.match(paragraph.text)
    if found and not _NOTES.match(found["lead"]):
        return found["lead"].strip(), paragraph.text[found.end() :]
    return "", paragraph.text


def _caveat(paragraph: Paragraph, lead: str, text: str) -> Iterator[StatedText]:
    line = paragraph.lines[0].number
    has_lead = len(lead) > 3 and len(text) > _SHORT
    title = lead if has_lead else _PLEASE.sub("", paragraph.section)
    body = text if has_lead else paragraph.text
    # A few words under the section's own title are the opening of a list, or a stray line.
    if title and len(body) > (_SHORT if has_lead else _OPENING):
        yield StatedText(
            one_line(title, at_most=120), one_line(body, at_most=_MAX_CHARACTERS), line
        )


def _unspoiled(paragraph: Paragraph, text: str, faults: Faults) -> Iterator[str]:
    """The sentences of a text in which nothing was found."""
    excerpts = [fault.excerpt for fault in faults.on(paragraph.numbers)]
    for sentence in _SENTENCE_END.split(text):
        words = sentence.rstrip(" .!?")
        if not any(excerpt in words or words in excerpt for excerpt in excerpts):
            yield sentence


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _merged(caveats: list[StatedText]) -> Iterator[StatedText]:
    """Paragraphs of one title as one text."""
    by_title: dict[str, StatedText] = {}
    for caveat in caveats:
        before = by_title.get(caveat.title)
        joined = f"{before.text} {caveat.text}" if before else caveat.text
        by_title[caveat.title] = StatedText(
            caveat.title, one_line(joined, at_most=_MAX_CHARACTERS), caveat.line
        )
    yield from by_title.values()


def _sentence(paragraphs: tuple[Paragraph, ...], faults: Faults, fits: object) -> str | None:
    """The first sentence of a kind in which nothing was found."""
    for paragraph in paragraphs:
        at = 0
        for sentence in _SENTENCE_END.split(paragraph.text[:4_000]):
            start = paragraph.text.find(sentence, at)
            at = start + len(sentence)
            is_spoiled = any(
                faults.spoils(number, paragraph.text, start, at) for number in paragraph.numbers
            )
            if len(sentence) > 40 and not is_spoiled and fits(paragraph, sentence):  # type: ignore[operator]
                return one_line(sentence, at_most=600)
    return None


def _is_about_labels(paragraph: Paragraph, sentence: str) -> bool:
    del paragraph
    return bool(_LABELLED.search(sentence)) and not sentence.rstrip().endswith(":")


def _is_about_their_precision(paragraph: Paragraph, sentence: str) -> bool:
    del paragraph
    return bool(_AGREES.search(sentence))


def _is_about_sampling(paragraph: Paragraph, sentence: str) -> bool:
    if _DATA_SECTION.fullmatch(paragraph.section.strip(" :")):
        return True
    is_whole = not sentence.rstrip().endswith(":")
    return is_whole and "completions" in sentence and bool(_SAMPLED.search(sentence))
