"""The metadata of a card: what the Hub shows, counts and filters by."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from validators.readme.card_text import CardText
from validators.readme.findings import Finding

_LIBRARY = "saelens"
# What people write for it; the Hub knows only the one above.
_SLIPS = ("sae_lens", "sae-lens", "sae lens")
_TITLES = ("license", "licence")


_UNDER = re.compile(
    r"\b(?:SAEs?|autoencoders|files|weights|repository)\b[^.;]{0,40}? (?:licen[cs]ed|released"
    r"|published|subject to|are under|is under)\b[^.;]{0,30}?"
    r"\b(Apache(?:[- ]License)?[ ,-]{1,2}(?:Version )?2\.0|MIT(?= Licen[cs]e|\b)|Gemma Terms"
    r"|Llama \d(?:\.\d)? Community Licen[cs]e)"
)


_BEGINS = re.compile(
    r"(Apache(?:[- ]License)?[ ,-]{1,2}(?:Version )?2\.0|MIT)(?=[.,;]| [Ll]icen[cs]e\b|$)"
)


def lint_front_matter(card: CardText) -> Iterator[Finding]:
    """Licence, base model and its relation, library and tags: there, and spelled as known."""
    if card.metadata_error:
        yield Finding(1, f"the front matter is no YAML mapping: {card.metadata_error:.120}", "fail")
        return
    if card.metadata is None:
        what = "no front matter: neither license, base_model, library_name nor tags"
        yield Finding(1, what, "warn")
        return
    missing = [
        key for key in ("license", "base_model", "library_name") if not card.metadata.get(key)
    ]
    if missing:
        end = card.metadata_lines.get("", 1)
        what = f"the front matter (lines 1-{end}) has no {', '.join(missing)}"
        yield Finding(1, what, "warn")
    yield from _licence(card, card.metadata.get("license"))
    library = card.metadata.get("library_name")
    if isinstance(library, str) and library != _LIBRARY:
        is_slip = library.lower() == _LIBRARY or library.lower() in _SLIPS
        if is_slip:
            what = f"library_name is {library!r:.40}, and the Hub knows {_LIBRARY!r}"
            line = card.metadata_lines.get("library_name", 1)
            yield Finding(line, what, "warn", library)
    if card.metadata.get("base_model") and not card.metadata.get("base_model_relation"):
        what = "no base_model_relation: the Hub shows the SAEs as a finetuned model"
        yield Finding(1, what, "note")
    if not card.metadata.get("tags"):
        yield Finding(1, "the front matter has no tags", "note")


def _licence(card: CardText, stated: object) -> Iterator[Finding]:
    """What the text says that the SAEs are under, where the metadata name another one."""
    if not isinstance(stated, str) or stated.lower() == "other":
        return
    yield from _own_section(card, stated)
    for sentence in card.sentences:
        for found in _UNDER.finditer(sentence.text.replace("\n", " ")):
            if _id_of(found[1]) != stated.lower():
                line = card.metadata_lines.get("license", 1)
                said = sentence.line_of(found.start(1))
                what = f"license is {stated:.40}, and line {said} has {found[1]!r}"
                yield Finding(line, what, "warn", stated)


def _own_section(card: CardText, stated: str) -> Iterator[Finding]:
    """What stands first below a heading that is `License` and nothing else."""
    for title, passage in pairwise(card.passages):
        is_title = title.kind == "heading" and title.text.strip("# ").lower() in _TITLES
        found = _BEGINS.match(passage.text) if is_title and passage.kind == "paragraph" else None
        if found and _id_of(found[1]) != stated.lower():
            line = card.metadata_lines.get("license", 1)
            what = f"{found[1]}, and line {line} has license: {stated:.40}"
            yield Finding(passage.line, what, "warn", found[1])


def _id_of(name: str) -> str:
    """The Hub's id of a licence."""
    if name.startswith("Llama"):
        return "llama" + name.split()[1]
    return {"A": "apache-2.0", "M": "mit", "G": "gemma"}[name[0]]
