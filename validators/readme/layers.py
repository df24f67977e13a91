"""What a card says of layers: numbers against a monotone rise, and a peak that has no SAE."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from validators.readme.card_text import CardText
from validators.readme.findings import Finding
from validators.readme.quantities import Printed, printed

_P = r"([~\u2248]?\d{1,3}(?:\.\d{1,4})?) ?%"
_MONOTONE = re.compile(
    rf"\b(rises?|increases?|grows?|climbs?|falls?|declines?|decreases?|drops?) "
    rf"(?:continuously|monotonically|steadily|strictly) from L(\d{{1,3}}) ?\({_P}\) "
    rf"(?:through|to|until|up to|down to) L(\d{{1,3}}) ?\({_P}\)"
)
_RAW_OF_LAYER = re.compile(
    rf"\bL(\d{{1,3}}) raw (?:baseline|accuracy|balanced accuracy|probe(?: accuracy)?) "
    rf"(?:of|=|is) {_P}"
)
_PEAK = re.compile(r"\b[Pp]eak layer\b[ |:]{1,4}(?:is )?L(\d{1,3})\b")
_LIST = re.compile(r"\b[Ll]ayers:? ?\(?((?:L\d{1,3}(?:,\s?(?:and )?|\s?and\s)?){2,200})\)?(?! ?%)")
_RISING = ("ris", "incr", "grow", "climb")


@dataclass(frozen=True)
class _Run:
    """A number that only rises, or only falls, between two layers."""

    line: int
    first: int
    last: int
    at_first: Printed
    at_last: Printed
    rises: bool


def lint_layers(card: CardText) -> Iterator[Finding]:
    """Numbers of a layer against what the card says of all layers; peaks without an SAE."""
    runs = [run for sentence in card.sentences for run in _runs(sentence.line, sentence.text)]
    for sentence in card.sentences:
        for found in _RAW_OF_LAYER.finditer(sentence.text):
            line = sentence.line_of(found.start())
            for run in runs:
                yield from _against(run, line, found)
    yield from _peaks(card)


def _runs(line: int, text: str) -> Iterator[_Run]:
    for found in _MONOTONE.finditer(text.replace("\n", " ")):
        yield _Run(
            line=line + text.count("\n", 0, found.start()),
            first=int(found[2]),
            last=int(found[4]),
            at_first=printed(found[3]),
            at_last=printed(found[5]),
            rises=found[1].startswith(_RISING),
        )


def _against(run: _Run, line: int, found: re.Match[str]) -> Iterator[Finding]:
    layer, value = int(found[1]), printed(found[2])
    if not run.first < layer < run.last:
        return
    low, high = (run.at_first, run.at_last) if run.rises else (run.at_last, run.at_first)
    # Strictly between: a number that equals the end as printed is no longer a rise to it.
    if value.low < low.low or value.high >= high.high:
        move = "rises" if run.rises else "falls"
        yield Finding(
            line,
            f"L{layer} has {value.text}%, and line {run.line} says that it {move} from "
            f"{run.at_first.text}% at L{run.first} to {run.at_last.text}% at L{run.last}",
            "fail" if value.low > high.high or value.high < low.low else "warn",
            found[0],
        )


def _peaks(card: CardText) -> Iterator[Finding]:
    listed = {
        int(number)
        for sentence in card.sentences
        for found in _LIST.finditer(sentence.text)
        for number in re.findall(r"\d+", found[1])
    }
    for sentence in card.sentences if listed else ():
        for found in _PEAK.finditer(sentence.text):
            if int(found[1]) not in listed:
                layers = ", ".join(f"L{layer}" for layer in sorted(listed)[:12])
                what = f"the peak is at L{found[1]}, and the SAEs are of {layers}"
                yield Finding(sentence.line_of(found.start()), what, "warn", found[0])
