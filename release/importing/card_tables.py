"""Rows of a card's tables as a label and values; tables that lost their bars are read as well."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from release.importing.card_lines import CardLine
from release.importing.metric_words import metrics_in

_TWO_COLUMNS = re.compile(
    r"(?:metric|parameter|property|setting|field|quantity)s? {1,4}(?:values?|results?|settings?)",
    re.IGNORECASE,
)
_LABEL = re.compile(
    r"hardware|gpu|training time|epochs|batch size|learning rate|expansion(?: factor)?|activations"
    r"|training conditions|(?:llm )?classifier|optimi[sz]er|base model|license",
    re.IGNORECASE,
)
_CELL = r"[-+]?\d{1,9}(?:\.\d{1,9})?%?(?: ?(?:±|\+/-) ?\d{1,6}(?:\.\d{1,9})?)?"
_MOST_COLUMNS, _MOST_ROWS = 8, 100


@dataclass(frozen=True)
class TableRow:
    """One row: `values` under `columns`, which are as many; `line` is its line in README.md."""

    line: CardLine
    label: str
    values: tuple[str, ...]
    columns: tuple[str, ...]
    first_column: str


def table_rows(lines: tuple[CardLine, ...]) -> Iterator[TableRow]:
    """The rows of all tables, headers left out."""
    for at, line in enumerate(lines):
        if line.kind == "row" and line.header and len(line.cells) == len(line.header) > 1:
            yield TableRow(line, line.cells[0], line.cells[1:], line.header[1:], line.header[0])
        elif line.kind == "text" and _TWO_COLUMNS.fullmatch(line.text):
            yield from _two_columns(lines[at : at + _MOST_ROWS])
        elif line.kind == "text":
            yield from _numeric(lines[at : at + _MOST_ROWS])


def _two_columns(lines: tuple[CardLine, ...]) -> Iterator[TableRow]:
    first, _, second = lines[0].text.partition(" ")
    for line in _following(lines):
        if (known := _LABEL.match(line.text)) and line.text[known.end() :].startswith(" "):
            label = known[0]
        else:
            words = line.text.split(" ")
            begin = next((i for i, w in enumerate(words) if re.search(r"\d", w)), 0)
            label = " ".join(words[:begin])
        if not label:
            return
        value = line.text[len(label) :].strip()
        yield TableRow(line, label, (value,), (second.strip(),), first)


def _numeric(lines: tuple[CardLine, ...]) -> Iterator[TableRow]:
    """A line that names metrics, over lines that end in as many numbers."""
    columns = metrics_in(lines[0].text)
    if not 0 < len(columns) <= _MOST_COLUMNS or re.search(r"\d{2}|[.:=]|\d$", lines[0].text):
        return
    pattern = re.compile(rf"(?P<label>\S.{{0,80}}?)(?P<values>(?: {_CELL}){{{len(columns)}}})")
    rows = []
    for line in _following(lines):
        found = pattern.fullmatch(line.text)
        if not found:
            break
        rows.append((line, found))
    first = lines[0].text[: lines[0].text.find(columns[0])].strip() if rows else ""
    for line, found in rows if len(rows) > 1 else ():
        values = tuple(re.findall(_CELL, found["values"]))
        if len(values) == len(columns):
            yield TableRow(line, found["label"], values, columns, first)


def _following(lines: tuple[CardLine, ...]) -> Iterator[CardLine]:
    """The text lines right below the first one."""
    for before, line in pairwise(lines):
        if line.kind != "text" or line.number != before.number + 1:
            return
        yield line
