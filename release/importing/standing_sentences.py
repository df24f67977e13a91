"""What stands of a paragraph in which something was found: the sentences that need no other."""

from __future__ import annotations

import re

from release.importing.card_faults import ATTRIBUTION, SCOPE, Fault, Faults
from release.importing.card_lines import Paragraph

SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z\"(])")

# Words with which a sentence goes on from the one before it.
HANGS = re.compile(
    r"(?:(?:this|these|those|that|such) (?!SAEs?\b|repositor|card\b|model\b)|this\b|it\b|its\b"
    r"|they\b|their\b|both\b|neither\b|however|but\b|and\b|or\b|so\b|thus\b|hence\b|therefore"
    r"|consequently|also\b|moreover|furthermore|additionally|in addition|instead|otherwise"
    r"|(?:combined|together|along) with|(?:in|by) contrast|conversely|nevertheless|nonetheless"
    r"|still\b|yet\b|then\b|here\b|there\b|the (?:same|former|latter|others?|rest|remaining)\b"
    r"|similarly|likewise|accordingly|as a result|for (?:example|instance)|in other words|again\b"
    r"|that is\b|which\b|notably|indeed|even\b|only\b|because\b|since\b)",
    re.IGNORECASE,
)
_JUMPRELU = re.compile(r"jump[- ]?relu", re.IGNORECASE)
_OTHER_KIND = re.compile(r"jump[- ]?relu|top-?k|gated|matryoshka", re.IGNORECASE)
_ALL_SAES = re.compile(r"\b(?P<all>(?:all|every|each)(?: [\w-]{1,20}){0,2}? )(?=SAEs?\b)", re.I)
_SOURCE = re.compile(r"\s{0,2}\([^()]{0,120}(?:arXiv|et al)[^()]{0,120}\)")
_NAMES_SOURCE = re.compile(r"arXiv|\bet al\b")


def is_spoiled(paragraph: Paragraph, start: int, end: int, faults: Faults) -> bool:
    """Whether anything was found in these characters of a paragraph's text."""
    return bool(faults.about(paragraph.numbers, paragraph.text, start, end))


def standing(paragraph: Paragraph, text: str, faults: Faults) -> str:
    """The sentences of a text in which nothing was found and that stand without the others.

    Args:
        paragraph: with a finding in it.
        text: the end of the paragraph's text, behind what opens it.
        faults: what was found on the card.
    """
    at = len(paragraph.text) - len(text)
    kept, is_kept = [], True
    for sentence in SENTENCE_END.split(text):
        start = paragraph.text.find(sentence, at)
        at = start + len(sentence)
        found = faults.about(paragraph.numbers, paragraph.text, start, at)
        said = _mended_sentence(sentence, found, paragraph.text) if found else sentence
        is_kept = bool(said) and (is_kept or not HANGS.match(sentence))
        if is_kept:
            kept.append(said)
    return " ".join(kept)


def _mended_sentence(sentence: str, found: tuple[Fault, ...], paragraph: str) -> str:
    """What remains of a sentence with findings in it; empty where they are not mended by words.

    A threshold said of all SAEs is said of the JumpReLU ones, where the paragraph is about these; a
    source that says something else is cut out with its bracket.
    """
    if not {fault.mended for fault in found} <= {SCOPE, ATTRIBUTION}:
        return ""
    if any(fault.mended == ATTRIBUTION for fault in found):
        sentence = _SOURCE.sub("", sentence)
        if _NAMES_SOURCE.search(sentence):
            return ""
    if any(fault.mended == SCOPE for fault in found):
        is_about_one = _JUMPRELU.search(paragraph) and not _OTHER_KIND.search(sentence)
        sentence, n_named = _ALL_SAES.subn(r"\g<all>JumpReLU ", sentence, count=1)
        return sentence if is_about_one and n_named else ""
    return sentence
