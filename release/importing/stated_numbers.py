"""The result numbers of a card: from its tables, its lists and some forms of sentences."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Literal

from manifests.facts import ReportedMetric
from release.importing.card_faults import DIGITS, FEW_VECTORS, Faults
from release.importing.card_lines import CardLine, Paragraph
from release.importing.card_tables import TableRow, table_rows
from release.importing.metric_words import COUNTS, metric_just_before, metric_of
from release.importing.names import Cell
from release.importing.printable import one_line

MAX_NUMBERS = 200
_NUMBER = r"[-+]?\d{1,9}(?:,\d{3}){0,3}(?:\.\d{1,20})?"
_VALUE = re.compile(
    rf"(?P<about>[~≈]|about )?(?P<number>{_NUMBER})"
    r"(?:\s?(?:±|\+/-)\s?(?P<spread>\d{1,6}\.\d{1,20}))?"
    r"(?:\s?/\s?(?P<out_of>\d{1,7}))?\s?(?P<unit>%|s\b|seconds\b)?(?!\s?[\u2013\u2014-]\s?\d|[\d\w]|[.,]\d)"
)
_NAMED = re.compile(
    r"(?P<label>cos\([^()\n]{1,80}\)|[A-Za-z@][\w' ()@>/.±-]{0,70}?)\s?[=:]\s?(?=[~≈]?[-+]?\d)"
)
_CONTEXT = re.compile(r"(?P<key>[A-Za-z_]{1,20}) ?= ?(?P<value>\d{1,9})\b[:,]")
_FRACTION = re.compile(
    r"(?<![\w./])(\d{1,6})(?:/| of )(\d{1,6})(?![\w/.]\d) (?P<what>[^.;(]{3,90})"
)
_SPLIT_REST = re.compile(r"\(\d{1,6} [a-z]{2,30}(?:, \d{1,6} [a-z]{2,30}){0,5}\)")
_RANGE = re.compile(
    r"(?P<label>[A-Z]\w{2,20}) \((?P<low>\d{1,3}(?:\.\d{1,4})?)\s?[\u2013-]\s?"
    r"(?P<high>\d{1,3}(?:\.\d{1,4})?)%\)"
)
_RAW = re.compile(
    r"\bL(?P<layer>\d{1,3}) raw (?:baseline|accuracy|balanced accuracy) (?:of|=|is) (?=[~≈]?\d)"
)
_AT_LAYER = re.compile(r"\bL(?P<layer>\d{1,3}) \((?=[~≈]?\d{1,3}(?:\.\d{1,4})?%\))")
_LAYER = re.compile(r"\bL(\d{1,3})\b")
_SPLIT = re.compile(r"\b(?:split|held[- ]out|pool|validation|test set|n ?= ?\d)", re.IGNORECASE)
_P_VALUE = re.compile(r"(?<![A-Za-z])p ?(?P<sign>[<>]) ?(?P<value>0?\.\d{1,6})")
_NEAR = 40
# What is left of numbers that were printed with all their digits.
_DECIMALS, _SMALL = 3, 0.01
_OF_VECTORS = ("explained_variance", "l0", "mse", "alive_latents")
_AGREED = re.compile(r"\bagreed? with\b[^.]{0,80}?\b(?:on|in) (?=[~≈]?\d{1,3}%)")


@dataclass(frozen=True)
class StatedNumber:
    """One result number, as an entry of `reported`; `line` is where it stands in README.md."""

    name: str
    metric: ReportedMetric
    value: float
    line: int
    approximate: bool = False
    unit: str = ""
    bound: Literal["below", "above"] | None = None
    plus_minus: float | None = None
    n: int | None = None
    out_of: int | None = None
    split: str | None = None
    layer: int | None = None
    sae_id: str | None = None

    def as_reported(self) -> dict[str, Any]:
        """The keys of an entry that have a value, in the order of the model."""
        value = int(self.value) if self.unit == "count" else self.value
        keys = {
            "name": self.name,
            "metric": self.metric,
            "value": value,
            "approximate": self.approximate or None,
            "bound": self.bound,
            "plus_minus": self.plus_minus,
            "unit": self.unit or None,
            "n": self.n,
            "out_of": self.out_of,
            "split": self.split,
            "layer": self.layer,
            "sae_id": self.sae_id,
            "source": f"README.md line {self.line}",
        }
        return {key: value for key, value in keys.items() if value is not None}


@dataclass(frozen=True)
class _Reader:
    faults: Faults
    cells: Mapping[str, Cell]

    def number(
        self, label: str, metric: ReportedMetric, text: str, at: int, numbers: Iterable[int]
    ) -> StatedNumber | None:
        """The number that begins at a place of a text; None where there is none to carry."""
        found = _VALUE.match(text, at)
        lines = tuple(numbers)
        if found is None or any(self.faults.spoils(n, text, *found.span()) for n in lines):
            return None
        value = float(found["number"].replace(",", ""))
        out_of = int(found["out_of"]) if found["out_of"] else None
        if out_of is not None and not (0 <= value <= out_of and value.is_integer()):
            return None
        line = lines[0]
        out_of = None if out_of in self.faults.wrong_totals else out_of
        if any(self.faults.is_mended(n, DIGITS) for n in lines):
            value = round(value, _DECIMALS) if abs(value) >= _SMALL else float(f"{value:.3g}")
        is_count = metric in COUNTS and value.is_integer() and not found["unit"]
        unit = {"seconds": "s", None: "count" if is_count else ""}.get(
            found["unit"], found["unit"] or ""
        )
        stated = StatedNumber(
            name=one_line(label, at_most=110),
            metric=metric,
            value=value,
            line=line,
            approximate=bool(found["about"]),
            unit=unit,
            plus_minus=float(found["spread"]) if found["spread"] else None,
            out_of=out_of,
        )
        return self._of_an_sae(stated, text[found.end() : found.end() + 160])

    def _of_an_sae(self, stated: StatedNumber, rest: str) -> StatedNumber:
        """With the SAE that stands in brackets right behind the number, where there is one."""
        words = re.match(r"\s{0,2}(?:\(|for )([^()=;.]{3,120})", rest)
        if not words:
            return stated
        for sae_id, cell in self.cells.items():
            by_parts = {cell.architecture, f"l{cell.layer}", cell.condition}
            said = set(words[1].lower().replace(")", " ").replace(",", " ").split())
            if sae_id == words[1].strip() or (not cell.variant and by_parts <= said):
                return replace(stated, sae_id=sae_id, layer=cell.layer)
        return stated


def stated_numbers(
    lines: tuple[CardLine, ...],
    paragraphs: tuple[Paragraph, ...],
    faults: Faults,
    cells: Mapping[str, Cell],
    *,
    d_sae: int | None,
) -> tuple[StatedNumber, ...]:
    """Every result number that is carried, in the order of the card, each with a name of its own.

    Args:
        lines: the card.
        paragraphs: the same, joined.
        faults: what the checks found on it, and what is left out for that.
        cells: the SAEs by id, to recognise the one that a number is of.
        d_sae: of how many latents some are alive; None where that is not known.
    """
    reader = _Reader(faults, cells)
    rows = tuple(table_rows(lines))
    found = [*islice(_from_rows(reader, rows), MAX_NUMBERS)]
    in_tables = {row.line.number for row in rows}
    for paragraph in paragraphs:
        if len(found) >= MAX_NUMBERS:
            break
        if paragraph.numbers & in_tables:
            continue
        for number in islice(_from_text(reader, paragraph), MAX_NUMBERS):
            is_known = any(_same(number, other) for other in found)
            if not (is_known and paragraph.lines[0].kind != "bullet"):
                found.append(number)
    places = {line.number: at for at, line in enumerate(lines)}
    found = [_with_split(number, lines, places[number.line]) for number in found[:MAX_NUMBERS]]
    found = [*_with_vectors(found, lines, faults, d_sae)]
    found.sort(key=lambda number: number.line)
    return tuple(_with_own_names(found))


def _from_rows(reader: _Reader, rows: Iterable[TableRow]) -> Iterator[StatedNumber]:
    rows = tuple(rows)
    peak = next((m for row in rows if row.label.lower() == "peak layer"
                 and (m := _LAYER.match(row.values[0]))), None)  # fmt: skip
    for row in rows:
        text = row.line.text if row.line.kind == "text" else " ".join(row.line.cells)
        at = len(row.label)
        for column, value in zip(row.columns, row.values, strict=True):
            at = text.find(value, at)
            own = metric_of(row.label) if len(row.columns) == 1 else None
            metric = own or metric_of(column)
            if metric is not None and at >= 0:
                by_label = own is not None or metric_of(row.label) == metric
                label = row.label if by_label else f"{column}, {row.first_column} {row.label}"
                number = reader.number(label, metric, text, at, (row.line.number,))
                if number is not None:
                    is_peak = peak and row.label.lower().startswith("peak balanced accuracy")
                    yield replace(number, layer=int(peak[1])) if peak and is_peak else number
            at = max(at, 0) + len(value)


def _from_text(reader: _Reader, paragraph: Paragraph) -> Iterator[StatedNumber]:
    text, numbers = paragraph.text, paragraph.numbers

    def number(label: str, metric: ReportedMetric, at: int) -> StatedNumber | None:
        line = _line_at(paragraph, at)
        return reader.number(label, metric, text, at, (line, *sorted(numbers - {line})))

    beginning = _CONTEXT.match(text)
    context = f"{beginning['key']} {beginning['value']}: " if beginning else ""
    before: tuple[str, ReportedMetric] | None = None
    for named in _NAMED.finditer(text):
        label = named["label"]
        label = label[label.rfind("(") + 1 :] if label.count("(") > label.count(")") else label
        label = label.rpartition(". ")[2].strip()
        versus = re.fullmatch(r"(?:vs\.?|versus|against) (.+)", label)
        opens = named.start() == 0 and paragraph.lines[0].kind == "bullet"
        # In a sentence, a word that stands far before the sign is of something else.
        metric = metric_just_before(label if opens else label[-_NEAR:])
        if metric is None and versus and before:
            label, metric = f"{versus[1]}, beside {before[0]}", before[1]
        if metric is not None:
            before = label, metric
            if (found := number(f"{context}{label}", metric, named.end())) is not None:
                yield found
    for part in _FRACTION.finditer(text):
        what = part["what"].strip(" )(")
        about = metric_of(what)
        if about is None and "conditions" in what and "STE" in text:
            about, what = "conditions_in_which_ste_beats_topk", "STE conditions"
        if about in COUNTS:
            # (0 collapses, 1 inconclusive): how the rest of the total splits.
            rest = _SPLIT_REST.match(text, part.end())
            fraction = number(f"{what} {rest[0]}" if rest else what, about, part.start())
            if fraction is not None:
                yield replace(fraction, out_of=int(part[2]), unit="count")
    yield from _of_layers(number, text)


def _of_layers(number: Any, text: str) -> Iterator[StatedNumber]:
    for raw in _RAW.finditer(text):
        found = number(f"raw accuracy at L{raw['layer']}", "unspecified_accuracy", raw.end())
        if found is not None:
            yield replace(found, layer=int(raw["layer"]))
    for at_layer in _AT_LAYER.finditer(text):
        label = f"accuracy at L{at_layer['layer']}"
        found = number(label, "unspecified_accuracy", at_layer.end())
        if found is not None:
            yield replace(found, layer=int(at_layer["layer"]))
    for part in _RANGE.finditer(text):
        # The nearest one before it.
        layer = next(reversed([*_LAYER.finditer(text[: part.start()][-200:])]), None)
        for which in ("low", "high"):
            found = number(
                f"{'lowest' if which == 'low' else 'highest'} {part['label']}"
                + (f" at L{layer[1]}" if layer else ""),
                "unspecified_accuracy",
                part.start(which),
            )
            if found is None and which == "low":
                found = _low_end(number, part, layer)
            if found is not None:
                yield replace(found, unit="%", layer=int(layer[1]) if layer else None)
    for p_value in _P_VALUE.finditer(text):
        found = number(_what_was_tested(text, p_value.start()), "p_value", p_value.start("value"))
        if found is not None:
            yield replace(found, bound="below" if p_value["sign"] == "<" else "above")
    for agreed in _AGREED.finditer(text):
        found = number("agreement with the labels", "agreement", agreed.end())
        if found is not None:
            yield found


def _what_was_tested(text: str, at: int) -> str:
    """What a p-value is of: the words before it in its brackets, else how its sentence begins."""
    sentence = text[max(text.rfind(". ", 0, at), text.rfind(": ", 0, at)) + 1 : at].strip()
    opened = sentence.rfind("(")
    if opened > sentence.rfind(")"):
        return f"p-value, {sentence[opened + 1 :].strip()}".strip(", ")
    return f"p-value, {sentence.partition('(')[0].strip()}".strip(", ")


def _low_end(number: Any, part: re.Match[str], layer: re.Match[str] | None) -> StatedNumber | None:
    """The lower end of a range, which is no number of its own by `_VALUE`."""
    upper: StatedNumber | None = number(
        f"lowest {part['label']}" + (f" at L{layer[1]}" if layer else ""),
        "unspecified_accuracy",
        part.start("high"),
    )
    return None if upper is None else replace(upper, value=float(part["low"]))


def _same(number: StatedNumber, other: StatedNumber) -> bool:
    kinds = {number.metric, other.metric}
    accuracies = {"unspecified_accuracy", "balanced_accuracy"}
    return (
        (len(kinds) == 1 or kinds <= accuracies)
        and number.value == other.value
        and number.out_of == other.out_of
    )


def _line_at(paragraph: Paragraph, at: int) -> int:
    for line in paragraph.lines:
        at -= len(line.text) + 1
        if at < 0:
            return line.number
    return paragraph.lines[-1].number


def _with_split(number: StatedNumber, lines: tuple[CardLine, ...], at: int) -> StatedNumber:
    """With the line right above its table or list that says on what the numbers were taken."""
    section = lines[at].section
    for line in reversed(lines[max(0, at - 24) : at]):
        if line.section != section or line.kind in ("heading", "code"):
            return number
        is_short = line.kind == "text" and len(line.text) <= 160
        if is_short and line.text.endswith((":", ".")):
            if not _SPLIT.search(line.text):
                return number
            return replace(number, split=one_line(line.text.rstrip(":."), at_most=160))
    return number


def _with_vectors(
    found: list[StatedNumber], lines: tuple[CardLine, ...], faults: Faults, d_sae: int | None
) -> Iterator[StatedNumber]:
    """The numbers of a section as those of the training vectors, where a check found one to be."""
    sections = {line.number: line.section for line in lines}
    of_training = {
        sections.get(number.line) for number in found if faults.is_mended(number.line, FEW_VECTORS)
    }
    counts = {each.value for each in found if each.metric == "n_completions"}
    n = int(counts.pop()) if len(counts) == 1 else None
    for number in found:
        is_one = number.metric in _OF_VECTORS and sections.get(number.line) in of_training
        if not is_one:
            yield number
            continue
        out_of = number.out_of or (d_sae if number.metric == "alive_latents" else None)
        split = number.split or "training vectors"
        yield replace(number, n=n, split=split, out_of=out_of)


def _with_own_names(numbers: Iterable[StatedNumber]) -> Iterator[StatedNumber]:
    taken: set[str] = set()
    for number in numbers:
        name = number.name
        if name in taken:
            name = f"{name}, line {number.line}"
        for again in range(2, MAX_NUMBERS):
            if name not in taken:
                break
            name = f"{number.name}, line {number.line}, {again}"
        taken.add(name)
        yield replace(number, name=name)
