"""What a card concludes from its tables: which kind is ahead, by how much, and where."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from itertools import pairwise

from validators.readme.amounts import COUNT, Amount, amount_of, amounts, count_of, leading_amount
from validators.readme.card_tables import Table, tables
from validators.readme.card_text import CardText, Statement
from validators.readme.findings import Finding, Said
from validators.readme.quantities import shown

_KINDS = ("topk", "jumprelu", "gated", "standard", "batchtopk")
_KIND = r"(TopK|JumpReLU|Gated|Standard|BatchTopK)"
_AHEAD = re.compile(
    rf"\b{_KIND}(?: SAEs)? (?:is|are) (ahead|better|higher|behind|worse|lower) in all ({COUNT}) "
    r"(?:cells|cases|rows)(?:,? by (\d\.\d{1,6}) to (\d\.\d{1,6})(?![\d%]))?"
)
_MORE = re.compile(
    rf"\b{_KIND} SAEs? (?:explains? )?(0\.\d{{2,6}}) (more|less)\b(?!\s+than\b)"
    rf"(?:(?:[^.;]|\.\d){{0,80}}?,? at [a-z]+ \d{{1,3}} it explains (0\.\d{{2,6}}) (more|less))?"
)
_TREND = re.compile(
    r"\b(?:explained variance|EV|accuracy|AUROC|FVU|L0) "
    r"(falls|drops|declines|decreases|goes down|rises|grows|increases|climbs|goes up) "
    r"with (?:the )?(?:depth|layer)s?\b",
    re.IGNORECASE,
)
_RISES = ("ris", "grow", "incr", "climb", "goes up")
_MOST_AT = re.compile(
    r"\b(?:loses|loss|costs|worse)\b[^.;\d]{0,40}? most at (?:layer |L)(\d{1,3})\b"
)
_HELPS_AT = re.compile(
    rf"\b(?:helps|gains|improves|better|ahead)\b[^.;\d]{{0,20}}? "
    rf"(?:at|in|on) (?:(all)|({COUNT}) of)(?: the)? ({COUNT}) layers\b"
)
_EV = re.compile(r"\b(?:EV|explained variance)\b", re.IGNORECASE)
_LABEL = re.compile(r"(?:L|layer )?(\d{1,3})", re.IGNORECASE)
_MOST_SENTENCES = 200


def lint_comparisons(card: CardText) -> Iterator[Finding]:
    """Each such sentence against the tables before it, in its section."""
    read = tables(card)
    patterns = (_AHEAD, _MORE, _TREND, _MOST_AT, _HELPS_AT)
    compared = [
        sentence
        for sentence in (card.sentences if read else ())
        if any(pattern.search(sentence.text.replace("\n", " ")) for pattern in patterns)
    ]
    for sentence in compared[:_MOST_SENTENCES]:
        plain = Statement(sentence.line, sentence.text.replace("\n", " "))
        before = [t for t in read if t.rows and t.rows[0].line < sentence.line]
        section = [t for t in before if t.section == _section(card, sentence.line)]
        for line, what, excerpt in (
            *_ahead(plain, before), *_more(plain, read), *_trend(plain, section),
            *_where(plain, section), *_helps(plain, section),
        ):  # fmt: skip
            yield Finding(sentence.line_of(line), what, "warn", excerpt)


def _section(card: CardText, line: int) -> str:
    titles = [p.text.strip() for p in card.passages if p.kind == "heading" and p.line <= line]
    return titles[-1] if titles else ""


def _ahead(sentence: Statement, before: list[Table]) -> Iterator[Said]:
    """Two tables of one shape, whose captions name a kind each."""
    found = _AHEAD.search(sentence.text)
    if not found:
        return
    named = [(kind, table) for table in before if (kind := _kind(table.caption)) is not None]
    pairs = [(a, b) for a, b in pairwise(named) if a[1].header == b[1].header and a[0] != b[0]]
    if not pairs:
        return
    (first, a), (second, b) = pairs[-1]
    own, other = (a, b) if first == found[1].lower() else (b, a)
    if found[1].lower() not in (first, second):
        return
    differences = [x.value - y.value for x, y in _cells(own, other)]
    sign = 1 if found[2] in ("ahead", "better", "higher") else -1
    if not differences or len(differences) != count_of(found[3]):
        return
    if any(sign * difference <= 0 for difference in differences):
        n = sum(sign * difference <= 0 for difference in differences)
        lines = f"lines {own.rows[0].line} and {other.rows[0].line} on"
        yield found.start(), f"{found[0]!r:.80}, and in {n} it is not ({lines})", found[0]
    elif found[4]:
        low, high = (min(map(abs, differences)), max(map(abs, differences)))
        if (Decimal(found[4]), Decimal(found[5])) != (low, high):
            stated = f"by {found[4]} to {found[5]}"
            yield found.start(), f"{stated}, and the cells differ by {low} to {high}", found[0]


def _kind(text: str) -> str | None:
    named = {kind for kind in _KINDS if re.search(rf"\b{kind}\b", text[-200:], re.IGNORECASE)}
    return named.pop() if len(named) == 1 else None


def _cells(own: Table, other: Table) -> Iterator[tuple[Amount, Amount]]:
    for row, beside in zip(own.rows, other.rows, strict=False):
        for a, b in zip(row.cells[1:], beside.cells[1:], strict=False):
            x, y = leading_amount(a), leading_amount(b)
            if x and y:
                yield x, y


def _more(sentence: Statement, read: tuple[Table, ...]) -> Iterator[Said]:
    """`Gated SAEs explain 0.013 more`: two values of explained variance are so far apart."""
    for found in _MORE.finditer(sentence.text):
        if "varian" not in sentence.text and "explain" not in found[0]:
            continue
        values = [*_explained(read)]
        pairs = [
            (a, b)
            for kind, group, a in values
            for other, beside, b in values
            if group == beside and kind == found[1].lower() != other
        ]
        for stated, way in ((found[2], found[3]), (found[4], found[5])):
            if not stated or not pairs:
                continue
            by = next(amounts(stated))
            sign = 1 if way == "more" else -1
            gaps = [(sign * (a.low - b.high), sign * (a.high - b.low)) for a, b in pairs]
            if not any(by.may_be(min(gap), max(gap)) for gap in gaps):
                nearest = min((sign * (a.value - b.value) for a, b in pairs),
                              key=lambda gap: abs(gap - by.value))  # fmt: skip
                what = f"{found[1]} {stated} {way}: no two values are; the nearest are "
                at = found.start(2 if stated is found[2] else 4)
                yield at, f"{what}{shown(nearest, 6)}", stated


def _explained(read: tuple[Table, ...]) -> Iterator[tuple[str, str, Amount]]:
    """Explained variances whose kind the row or the column says, and what they are compared in.

    Of columns those of one row are, of rows those of one table.
    """
    for n, table in enumerate(read):
        for at, name in enumerate(table.header):
            if not _EV.search(name):
                continue
            for row in table.rows:
                value = amount_of(row.cells[at]) if at < len(row.cells) else None
                beside = " ".join(cell for c, cell in enumerate(row.cells) if c != at)
                kind = _kind(name) or _kind(beside)
                if value is not None and kind is not None:
                    yield kind, f"{n} {row.line if _kind(name) else ''}", value


def _layers(table: Table) -> list[int] | None:
    """The layers of its rows, in order; None where the rows are no layers."""
    labels = [_LABEL.fullmatch(row.cells[0].strip("`* ")) for row in table.rows]
    named = "layer" in table.header[0].lower()
    layers = [int(label[1]) for label in labels if label]
    return layers if named and len(layers) > 1 and layers == sorted(layers) else None


def _trend(sentence: Statement, section: list[Table]) -> Iterator[Said]:
    found = _TREND.search(sentence.text)
    if not found:
        return
    rises = found[1].lower().startswith(_RISES)
    for table in section:
        if _layers(table) is None:
            continue
        columns = [
            [amount_of(cell) for cell, row in zip(table.column(at), table.rows, strict=True)
             if _LABEL.fullmatch(row.cells[0].strip("`* "))]
            for at in range(1, len(table.header))
        ]  # fmt: skip
        plain = [
            [cell.value for cell in column if cell] for column in columns
            if all(cell and not cell.text.startswith(("+", "-", "\u2212")) for cell in column)
        ]  # fmt: skip
        contrary = [v for v in plain if all((b < a) == rises and a != b for a, b in pairwise(v))]
        if plain and len(contrary) == len(plain):
            way = "falls" if rises else "rises"
            line = table.rows[0].line
            what = f"{found[0]!r}, and every column from line {line} on {way} from row to row"
            yield found.start(), what, found[0]
            return


def _signed(table: Table) -> Iterator[dict[int, Decimal]]:
    """Columns of differences, by layer."""
    for at in range(1, len(table.header)):
        by_layer = {}
        for row in table.rows:
            label = _LABEL.fullmatch(row.cells[0].strip("`* "))
            value = amount_of(row.cells[at]) if label and at < len(row.cells) else None
            if label and value is not None:
                by_layer[int(label[1])] = value
        texts = [value.text[:1] for value in by_layer.values() if value.value]
        if len(by_layer) > 1 and texts and all(text in "+-\u2212" for text in texts):
            yield {layer: value.value for layer, value in by_layer.items()}


def _where(sentence: Statement, section: list[Table]) -> Iterator[Said]:
    found = _MOST_AT.search(sentence.text)
    columns = [column for table in section if _layers(table) for column in _signed(table)]
    if not found or not columns:
        return
    lowest = {min(column, key=lambda layer: column[layer]) for column in columns}
    if int(found[1]) not in lowest:
        listed = ", ".join(str(layer) for layer in sorted(lowest))
        yield found.start(), f"{found[0]!r:.80}, and the largest losses are at {listed}", found[0]


def _helps(sentence: Statement, section: list[Table]) -> Iterator[Said]:
    found = _HELPS_AT.search(sentence.text)
    columns = [column for table in section if _layers(table) for column in _signed(table)]
    if not found:
        return
    n_layers = count_of(found[3])
    stated = n_layers if found[1] else count_of(found[2])
    fitting = [column for column in columns if len(column) == n_layers]
    counts = {sum(value > 0 for value in column.values()) for column in fitting}
    if counts and stated not in counts:
        listed = ", ".join(str(count) for count in sorted(counts))
        yield found.start(), f"{found[0]!r:.80}, and {listed} of the rows have a gain", found[0]
