"""The texts that a card is read for: limitations, uses, what the data is and how it was labelled.

Of a paragraph with a finding in it, the sentences are carried in which nothing was found and that
do not hang on one in which something was. A paragraph that opens with a claim is left out as a
whole, and so are uses: what remained of them might say the opposite.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from release.importing.card_faults import ATTRIBUTION, SCOPE, Fault, Faults
from release.importing.card_lines import CardLine, Paragraph
from release.importing.printable import one_line
from release.importing.standing_sentences import HANGS, SENTENCE_END, is_spoiled, standing

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
_LEAD = re.compile(
    r"(?P<lead>[^.:!?\n]{3,90}?)(?:\s*\((?P<aside>[^()]{1,60})\))?\s?(?P<mark>[.:])\s+(?=\S)"
)
_BOLD_LEAD = re.compile(
    r"\s*\*\*(?P<lead>[^*\n]{3,120})\*\*\s*(?:\((?P<aside>[^()]{1,60})\)\s?(?=[:.\u2014\u2013]))?"
    r"(?P<mark>[:.\u2014\u2013-]?)\s*"
)
_ASIDE = re.compile(r"\s*\((?P<aside>[^()]{1,60})\)$")
_DATE = re.compile(
    r"\b(?:19|20)\d\d-\d\d(?:-\d\d)?\b"
    r"|\b(?:\d{1,2} )?(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]{0,6}\.?"
    r"(?: \d{1,2},)? (?:19|20)\d\d\b"
)
_ABOUT_OTHERS = re.compile(r"portab|transfer|other (?:base )?models?\b", re.IGNORECASE)
_OTHER_MODEL = re.compile(
    r"(?P<name>(?:[\w.-]{1,60}/)?(?:[A-Za-z][\w.]{0,30}-){0,4}[A-Za-z]?\d{1,4}(?:\.\d{1,3})?[BM]"
    r"(?:-[A-Za-z]\w{0,20}){0,3})(?:\s?\((?P<what>[^()]{3,80})\))?\s?:\s+(?P<said>\S.*)"
)
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
        opening = _lead(paragraph)
        lead, text = opening.words, opening.text
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
            said = standing(paragraph, said, faults) if spoiled else said
            if len(said) > _OPENING:
                context.append(_capital(one_line(said, at_most=_MAX_CHARACTERS)))
            continue
        other = _OTHER_MODEL.fullmatch(paragraph.text) if is_bullet else None
        if other and _ABOUT_OTHERS.search(section):
            left_out += faults.on(paragraph.numbers)
            caveats += _of_another_model(paragraph, other, faults)
            continue
        is_limit = bool(_LIMITS.search(section)) or bool(lead and _LIMITS.search(lead))
        if not (use or is_limit) or paragraph.numbers & rows:
            continue
        spoiled = faults.on(paragraph.numbers)
        is_of_scope = bool(spoiled) and all(fault.mended == SCOPE for fault in spoiled)
        if spoiled:
            left_out += spoiled
            if not use and (opening.is_label or is_of_scope):
                caveats += _rest_of_caveat(paragraph, opening, faults)
        elif use:
            said = text if opens else paragraph.text
            said = _capital(one_line(said, at_most=_MAX_CHARACTERS))
            (no if use == "no" else yes).append(said)
        else:
            caveats += _caveat(paragraph, lead, text)
    description = _sentence(paragraphs, faults, _is_about_sampling)
    return StatedTexts(
        caveats=tuple(_merged(caveats[: 2 * MAX_TEXTS]))[:MAX_TEXTS],
        uses=StatedUses(measures, not_measured, tuple(yes)[:MAX_TEXTS], tuple(no)[:MAX_TEXTS]),
        description=description,
        label_rule=_sentence(paragraphs, faults, _is_about_labels),
        label_precision=_sentence(paragraphs, faults, _is_about_their_precision),
        context=tuple(_without(context, description))[:MAX_TEXTS],
        left_out=tuple(dict.fromkeys(left_out)),
    )


@dataclass(frozen=True)
class _Lead:
    """The first words of a paragraph, in bold or up to the first stop, and what comes after them.

    Of a bracket behind them only a date stays; `end` is where what stays ends in the paragraph.
    `is_label`: no full stop ends them, so they name what follows and claim nothing.
    """

    words: str
    text: str
    end: int = 0
    is_label: bool = True


def _lead(paragraph: Paragraph) -> _Lead:
    written = paragraph.raw if paragraph.raw[:2] == "**" else paragraph.raw.lstrip("-*+• ")
    raw = _BOLD_LEAD.match(written)
    if raw:
        lead = raw["lead"].strip(" .:")
        start = paragraph.text.find(lead)
        inside = _ASIDE.search(lead)
        words = lead[: inside.start()] if inside else lead
        aside = inside["aside"] if inside else raw["aside"]
        dated = _dated(words, aside)
        until = start + len(lead)
        if raw["aside"]:
            until = paragraph.text.find(raw["aside"], until) + len(raw["aside"])
        text = paragraph.text[until:].lstrip(" ).:\u2014\u2013-")
        is_label = not raw["lead"].rstrip().endswith(".") and raw["mark"] != "."
        return _Lead(dated, text, start + len(words) if dated == words else until, is_label)
    found = _LEAD.match(paragraph.text)
    if found and not _NOTES.match(found["lead"]):
        words = found["lead"].strip()
        dated = _dated(words, found["aside"])
        end = found.end("lead" if dated == words else "aside")
        return _Lead(dated, paragraph.text[found.end() :], end, found["mark"] == ":")
    return _Lead("", paragraph.text)


def _dated(words: str, aside: str | None) -> str:
    date = _DATE.search(aside or "")
    return f"{words} ({date[0]})" if date else words


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


def _rest_of_caveat(paragraph: Paragraph, opening: _Lead, faults: Faults) -> Iterator[StatedText]:
    title = opening.words or _PLEASE.sub("", paragraph.section)
    if opening.end and is_spoiled(paragraph, 0, opening.end, faults):
        return
    rest = standing(paragraph, opening.text, faults)
    if len(title) > 3 and len(rest) > _SHORT:
        line = paragraph.lines[0].number
        text = one_line(_capital(rest), at_most=_MAX_CHARACTERS)
        yield StatedText(one_line(title, at_most=120), text, line)


def _of_another_model(
    paragraph: Paragraph, item: re.Match[str], faults: Faults
) -> Iterator[StatedText]:
    """An item of a list on transfer that begins with a model's name."""
    name = f"{item['name']} ({item['what']})" if item["what"] else item["name"]
    said = standing(paragraph, item["said"], faults)
    if len(said) > _SHORT and not is_spoiled(paragraph, 0, item.start("said"), faults):
        title = one_line(f"On another model, {name}", at_most=120)
        text = one_line(_capital(said), at_most=_MAX_CHARACTERS)
        yield StatedText(title, text, paragraph.lines[0].number)


def _without(texts: list[str], said: str | None) -> Iterator[str]:
    """The texts without a sentence that stands elsewhere, unless the next one hangs on it."""
    for text in texts:
        before, found, after = text.partition(said) if said else (text, "", "")
        rest = " ".join(f"{before.strip()} {after.strip()}".split())
        if not found or HANGS.match(after.strip()):
            yield text
        elif len(rest) > _OPENING:
            yield rest


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
        for sentence in SENTENCE_END.split(paragraph.text[:4_000]):
            start = paragraph.text.find(sentence, at)
            at = start + len(sentence)
            found = faults.about(paragraph.numbers, paragraph.text, start, at)
            is_spoiled = any(fault.mended in (None, ATTRIBUTION) for fault in found)
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
    return is_whole and "completions" in sentence.lower() and bool(_SAMPLED.search(sentence))
