"""What people decided about a card before: words of it that a manifest of the repository corrects.

A check finds what follows from the card itself. What takes knowledge from elsewhere stands in the
`corrections` of a manifest's `resolutions`, and an import of the same repository goes by them. They
are found by their words, since lines of a page move.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from manifests.facts import Correction, PageResolution
from manifests.progress import Silent
from release.importing.findings import Finding
from release.importing.printable import one_line
from release.validation import manifest_for
from validators.readme.card_text import visible

_MARKS = r"[*`\\]{0,3}"
_BETWEEN = r"[\s*_`>\\]{1,40}"


@dataclass(frozen=True)
class Decisions:
    """The resolutions of a manifest, its caveats by title; `source` is the name of its file."""

    source: str
    resolutions: tuple[PageResolution, ...]
    caveats: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Place:
    """Where a correction's words begin on the card; `words` as a reader sees them there."""

    correction: Correction
    line: int
    words: str


@dataclass(frozen=True)
class Decided:
    """One resolution with the places of its words on the card, and the words that are not there.

    `caveat` is the text of the caveat that says so, where the resolution names one.
    """

    resolution: PageResolution
    places: tuple[Place, ...]
    missing: tuple[str, ...]
    caveat: str | None = None

    @property
    def lines(self) -> tuple[int, ...]:
        """The lines of README.md that it is about, each once."""
        return tuple(sorted({place.line for place in self.places}))


@dataclass(frozen=True)
class DecidedCard:
    """A card's text with what is true `instead` in it, and what was decided about it.

    Lines have the numbers that they have on the card.
    """

    text: str
    source: str = ""
    decided: tuple[Decided, ...] = ()

    @property
    def left_out(self) -> tuple[Place, ...]:
        """The places of words in whose stead there is nothing to say."""
        return tuple(
            place
            for each in self.decided
            for place in each.places
            if place.correction.instead is None
        )


def registered_decisions(repo_id: str, *, manifests: Path) -> Decisions | None:
    """What the manifest in a folder that describes a repository decided; None where there is none.

    One that cannot be read is passed over.
    """
    known = manifest_for(repo_id, manifests, Silent())
    if known is None:
        return None
    caveats = {caveat.title: caveat.text for caveat in known.manifest.caveats}
    return Decisions(known.path.name, known.manifest.resolutions, caveats)


def decide(text: str, decisions: Decisions | None) -> DecidedCard:
    """Find the words that were decided about, and put in their place what is to stand there."""
    if decisions is None:
        return DecidedCard(text)
    found = []
    for resolution in decisions.resolutions:
        places: list[Place] = []
        missing: list[str] = []
        for correction in resolution.corrections:
            at = list(_pattern(correction.words).finditer(text))
            places += (
                Place(correction, text.count("\n", 0, match.start()) + 1, _as_read(match[0]))
                for match in at
            )
            if not at:
                missing.append(correction.words)
        caveat = decisions.caveats.get(resolution.caveat) if resolution.caveat else None
        found.append(Decided(resolution, tuple(places), tuple(missing), caveat))
    for each in found:
        for correction in each.resolution.corrections:
            if correction.instead is not None:
                text = _replaced(text, correction.words, correction.instead)
    return DecidedCard(text, decisions.source, tuple(found))


def decided_findings(card: DecidedCard) -> Iterator[Finding]:
    """What was decided, and what of it could not be found on the card."""
    placed = [each for each in card.decided if each.places]
    if placed:
        yield Finding(
            "note",
            "README.md",
            f"has words that {len(placed)} of the resolutions of {card.source} correct",
            "none of them on the new card; the draft's `resolutions` name each",
        )
    for each in card.decided:
        for words in each.missing:
            yield Finding(
                "warn",
                card.source,
                f"corrects words that the card does not have: {one_line(words, at_most=90)!r}",
                "the page's own words; see whether it says the same in others",
            )
    n_without = sum(not each.resolution.corrections for each in card.decided)
    if n_without:
        yield Finding(
            "note",
            card.source,
            f"{n_without} of its {len(card.decided)} resolutions name no words of the page",
            "`corrections`, where no check finds what they are about",
        )


def _pattern(words: str) -> re.Pattern[str]:
    """The words with any spaces between them, and Markdown's marks anywhere."""
    parts = (_MARKS.join(re.escape(letter) for letter in part) for part in words.split())
    before = r"(?<!\w)" if words[:1].isalnum() else ""
    after = r"(?!\w)" if words[-1:].isalnum() else ""
    return re.compile(before + _BETWEEN.join(parts) + after)


def _replaced(text: str, words: str, instead: str) -> str:
    """The text with other words, and as many line breaks, so that no line moves."""

    def other(match: re.Match[str]) -> str:
        n_breaks = match[0].count("\n")
        parts = instead.split()
        head, rest = parts[: len(parts) - n_breaks], parts[len(parts) - n_breaks :]
        if not head:
            return instead + "\n" * n_breaks
        return "\n".join([" ".join(head), *rest])

    return _pattern(words).sub(other, text)


def _as_read(written: str) -> str:
    return " ".join(visible(written).split())
