"""Sentences on a table of their section: extremes, counts of rows, splits, sums of times."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from html import unescape

from validators.readme.amounts import COUNT, amount_of, count_of
from validators.readme.card_tables import Table, tables
from validators.readme.card_text import CardText
from validators.readme.findings import Finding, Said

_LARGEST = r"largest|highest|greatest|maximum|peak|best|most"
_SMALLEST = r"smallest|lowest|least|minimum|worst|fewest"
_EXTREME = re.compile(
    rf"\b(?:{_LARGEST}|{_SMALLEST})\b(?:[^.;\d]|(?<=[A-Za-z])\d){{0,60}}?"
    r"(?<![\w.])(\d{1,4}\.\d{1,6} ?%?),? (?:at|in|of) (?:layer |block |L)(\d{1,3})\b"
)
_EVERYWHERE = re.compile(
    r"\b[Ll]ayer (\d{1,3}) is the (?:worst|best|lowest|highest|hardest|easiest) "
    r"(?:at|in|for|on|with) (?:every|all|each|both)\b"
)
_P_BELOW = re.compile(
    rf"\bp (?:below|under|<|less than) (0?\.\d{{1,4}}) in ({COUNT}) of ({COUNT}) SAEs\b"
)
_OF_SAES = re.compile(rf"\b(?:by|for|in) ({COUNT}) of (?:the |all )?({COUNT}) SAEs\b")
_NEGATED = re.compile(
    r"\b(?:no|not|none|never|without|fails?|neither|less|below|fewer|worse|except|un\w+)\b", re.I
)
_SPLIT = re.compile(r"\bsplit (?:is|was|of)? ?(\d{1,2})/(\d{1,2})\b")
_TOOK = re.compile(
    r"\b[Aa]ll (?:\w{1,10} )?SAEs together took (?:(\d{1,3}) h(?:ours?)? ?)?"
    r"(?:(\d{1,3}) min(?:utes)? ?)?(?:(\d{1,2}(?:\.\d)?) s(?:econds)?)?(?=[,.;]| on\b)"
)
_SECONDS = re.compile(r"(?:(\d{1,3}) h ?)?(?:(\d{1,3}) min ?)?(?:(\d{1,4}(?:\.\d{1,2})?) s)?")
_ALL_EXPLAIN = re.compile(
    rf"\b[Aa]ll (?:of the )?({COUNT})(?: SAEs)? explain (more|less) than "
    r"(\d{1,3}(?:\.\d{1,2})?) ?% of the variance\b"
)
_EXPLAINED = re.compile(r"(?:EV|explained variance|(FVU|fraction of variance unexplained))", re.I)
_LABEL = re.compile(r"(?:L|layer )?(\d{1,3})", re.IGNORECASE)
_P_VALUE = re.compile(r"[<\u2264]? ?(0?\.\d{1,8}|1(?:\.0{1,8})?|0)")
_MOST_ROWS = 200


def lint_sentences_on_tables(card: CardText) -> Iterator[Finding]:
    """Each such sentence against the tables above it in its section."""
    read = [table for table in tables(card) if 1 < len(table.rows) <= _MOST_ROWS]
    title = ""
    for passage in card.passages:
        if passage.kind == "heading":
            title = passage.text.strip()
        if passage.kind != "paragraph" or not read:
            continue
        section = [t for t in read if t.section == title]
        above = [t for t in section if t.rows[0].line < passage.line]
        for sentence in passage.sentences:
            text = sentence.text.replace("\n", " ")
            for offset, what, excerpt in (
                *_extremes(text, above), *_p_values(text, above), *_yes(text, above),
                *_split(text, above), *_took(text, above), *_bound(text, above),
            ):  # fmt: skip
                yield Finding(sentence.line_of(offset), what, "warn", excerpt)


def _layers(table: Table) -> dict[int, int]:
    """The row of each layer; empty where the rows are no layers, one each."""
    labels = [_LABEL.fullmatch(row.cells[0].strip("`* ")) for row in table.rows]
    rows = {int(label[1]): at for at, label in enumerate(labels) if label}
    is_by_layer = "layer" in table.header[0].lower() and len(rows) > 1
    return rows if is_by_layer and len(rows) == sum(map(bool, labels)) else {}


def _columns(table: Table) -> Iterator[dict[int, Decimal]]:
    """The values of each column that is numbers throughout, by layer."""
    rows = _layers(table)
    for at in range(1, len(table.header) if rows else 0):
        cells = {layer: amount_of(table.column(at)[row]) for layer, row in rows.items()}
        values = {layer: cell.value for layer, cell in cells.items() if cell is not None}
        if len(values) == len(rows):
            yield values


def _extremes(text: str, above: list[Table]) -> Iterator[Said]:
    for found in _EXTREME.finditer(text):
        value = amount_of(found[1])
        columns = [column for table in above for column in _columns(table)]
        holding = [
            c for c in columns if value and value.value in (max(c.values()), min(c.values()))
        ]
        at = {layer for c in columns for layer, v in c.items() if value and v == value.value}
        if len(holding) == 1 and int(found[2]) not in at and int(found[2]) in holding[0]:
            listed = ", ".join(str(layer) for layer in sorted(at))
            yield found.start(2), f"{found[1]} at layer {found[2]}, and it is of {listed}", found[0]
    for found in _EVERYWHERE.finditer(text):
        named = int(found[1])
        by_table = [[*_columns(table)] for table in above]
        fitting = [each for each in by_table if len(each) > 1 and all(named in c for c in each)]
        ends = [
            all(c[named] == max(c.values()) for c in each)
            or all(c[named] == min(c.values()) for c in each)
            for each in fitting
        ]
        if ends and not any(ends):
            what = f"{found[0]!r}, and it is at the end of no table's columns"
            yield found.start(), what, found[0]


def _p_values(text: str, above: list[Table]) -> Iterator[Said]:
    """`a p below 0.05 in 11 of 12 SAEs`, against the columns of p."""
    for found in _P_BELOW.finditer(text):
        bound, n, n_rows = Decimal(found[1]), count_of(found[2]), count_of(found[3])
        counts = set()
        for table in above:
            for at, name in enumerate(table.header):
                cells = [_P_VALUE.fullmatch(unescape(c).strip("`* ")) for c in table.column(at)]
                is_p = re.match(r"p\b", name.strip("`* ")) is not None
                if is_p and len(cells) == n_rows and all(cells):
                    counts.add(sum(Decimal(c[1]) < bound or c[0][0] == "<" for c in cells if c))
        if counts and n not in counts:
            listed = " or ".join(str(count) for count in sorted(counts))
            yield found.start(), f"{found[0]!r}, and the table has {listed}", found[0]


def _yes(text: str, above: list[Table]) -> Iterator[Said]:
    """`explained by 12 of 12 SAEs`, where a column that shares a name with the sentence is yes."""
    if _NEGATED.search(text):
        return
    for found in _OF_SAES.finditer(text):
        for table in above[-1:]:
            for at, name in enumerate(table.header):
                cells = [cell.strip("`* ").lower() for cell in table.column(at)]
                named = [
                    w for w in re.findall(r"\b[A-Z]{2,}\w*", name) if re.search(rf"\b{w}\b", text)
                ]
                if set(cells) <= {"yes", "no"} and len(cells) == count_of(found[2]) and named:
                    n_yes = cells.count("yes")
                    if n_yes != count_of(found[1]):
                        what = f"{found[0]!r}, and {n_yes} rows of {name!r} say yes"
                        yield found.start(), what, found[0]


def _split(text: str, above: list[Table]) -> Iterator[Said]:
    """`The split is 80/20`, where a table has the columns train and test."""
    for found in _SPLIT.finditer(text):
        parts = {int(found[1]), int(found[2])}
        for table in above if int(found[1]) + int(found[2]) == 100 else ():
            names = [name.strip("`* ").lower() for name in table.header]
            if names.count("train") != 1 or names.count("test") != 1:
                continue
            train, test = (table.column(names.index(name)) for name in ("train", "test"))
            pairs = [
                (a.value, b.value)
                for x, y in zip(train, test, strict=True)
                if (a := amount_of(x)) and (b := amount_of(y)) and a.value + b.value > 0
            ]
            shares = {round(100 * a / (a + b)) for a, b in pairs}
            if shares and all({share, 100 - share} != parts for share in shares):
                listed = ", ".join(f"{share}/{100 - share}" for share in sorted(shares))
                yield found.start(), f"{found[0]!r}, and the table has {listed}", found[0]


def _took(text: str, above: list[Table]) -> Iterator[Said]:
    for found in _TOOK.finditer(text):
        stated = _seconds(found)
        for table in above:
            for at, name in enumerate(table.header):
                cells = [_SECONDS.fullmatch(cell.strip("`* ")) for cell in table.column(at)]
                if name.strip("`* ").lower() != "time" or not all(c and c[0] for c in cells):
                    continue
                total = sum((_seconds(cell) for cell in cells if cell), Decimal(0))
                # Each row may have been rounded to a whole unit.
                if stated and abs(total - stated) > max(Decimal(len(cells)), total / 20):
                    what = f"{found[0]!r}, and the times of the table are {total} s together"
                    yield found.start(), what, found[0]


def _bound(text: str, above: list[Table]) -> Iterator[Said]:
    """`All three explain more than 70% of the variance`."""
    for found in _ALL_EXPLAIN.finditer(text):
        for table in above:
            for at, name in enumerate(table.header):
                kind = _EXPLAINED.fullmatch(name.strip("`* "))
                cells = [amount_of(cell) for cell in table.column(at)]
                if kind is None or len(cells) != count_of(found[1]):
                    continue
                sign = 1 if found[2] == "more" else -1
                for row, cell in zip(table.rows, cells, strict=True):
                    if cell is None:
                        continue
                    share = cell.value if cell.unit == "%" else 100 * cell.value
                    share = 100 - share if kind[1] else share
                    if sign * (share - Decimal(found[3])) < 0:
                        what = f"{found[0]!r}, and line {row.line} has {name} {cell.text}"
                        yield found.start(), what, found[0]


def _seconds(found: re.Match[str]) -> Decimal:
    hours, minutes, seconds = (Decimal(found[n] or 0) for n in (1, 2, 3))
    return 3600 * hours + 60 * minutes + seconds
