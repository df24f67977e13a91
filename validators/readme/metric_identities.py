"""Metrics that follow from one another, metrics that are bounded, and orders that hold always."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from itertools import islice

from validators.readme.amounts import Amount, amount_of, amounts, leading_amount
from validators.readme.card_tables import Table, tables
from validators.readme.card_text import CardText
from validators.readme.findings import Finding
from validators.readme.quantities import shown

# None of these is above 1.
_BOUNDED = re.compile(
    r"\b(?:explained variance|EV|AUROC|Jaccard|cosine(?: similarity)?|CE loss score)\b",
    re.IGNORECASE,
)
_EV = re.compile(r"(?:fraction of )?(?:explained variance|variance explained)\b", re.IGNORECASE)
_FVU = re.compile(r"(?:FVU\b|fraction of variance unexplained|unexplained variance)", re.I)
_SCORE = re.compile(
    r"(?:CE|cross-entropy)(?: loss)? (?:score|recovered)|loss recovered", re.IGNORECASE
)
_COSTS = re.compile(r"\bSAE (?:costs|adds) (?:about )?(\d{1,3}\.\d{1,6}) nats\b")
_CE = re.compile(r"(?:CE|cross-entropy)\b", re.IGNORECASE)
_CLEAN = re.compile(r"\b(?:clean|original|without SAE|base(?:line)?)\b", re.IGNORECASE)
_SPLICED = re.compile(r"\b(?:splic\w*|with SAE|SAE in|reconstruct\w*)\b", re.IGNORECASE)
_ABLATED = re.compile(r"\b(?:zero|ablat\w*)\b", re.IGNORECASE)
_SMALLEST = re.compile(
    r"\b(?:smallest|minimum|least|min)\b(?: is|:| =|) (\d{1,9}(?:\.\d{1,9})?)", re.I
)
_MEDIAN = re.compile(r"\bmedians?\b(?: is|:| =|) (\d{1,9}(?:\.\d{1,9})?)", re.IGNORECASE)
_LARGEST = re.compile(
    r"\b(?:largest|maximum|max)\b(?: is|:| =|) (\d{1,9}(?:\.\d{1,9})?)", re.IGNORECASE
)
_V = r"(\d{1,9}(?:\.\d{1,9})?)"
_MEAN_WITHIN = re.compile(
    rf"\bmean(?: is|:| =| of|) {_V}(?![\w%])(?:[^.;]|\.\S){{0,60}}?"
    rf"\b(?:minimum|smallest|min)(?: is|:| =|) {_V}(?:,| and) (?:the )?"
    rf"(?:maximum|largest|max)(?: is|:| =|) {_V}"
)
_BETWEEN = re.compile(r"\bbetween\s(\d{1,9}(?:\.\d{1,9})?)\sand\s(\d{1,9}(?:\.\d{1,9})?)")
_ALL_ZERO = re.compile(
    r"\bthresholds?\b[^.;:]{0,60}?(?<!above )(?<!not )(?<!over )\b(?:is|are|be)? ?"
    r"(?<!above )(?<!than )(?<!from )(?<!over )(?<!at )zero(?= everywhere\b|,|:|;|\.| as )",
    re.IGNORECASE,
)
_OF_EXTREME = re.compile(
    r"(lowest|smallest|minimum|highest|largest|maximum) (.{2,80})", re.IGNORECASE
)
_MOST_NAMES = 60
_FEWEST_DIGITS = 3


def lint_metric_identities(card: CardText) -> Iterator[Finding]:
    """FVU and EV, the loss score and its losses, values above 1, minimum, median and maximum."""
    for table in tables(card):
        yield from _identities(table, card)
        yield from _named_extremes(table)
        yield from _bounded(table)
    for passage in card.prose:
        if passage.kind == "paragraph":
            yield from _ordered(passage.line, passage.text)
    yield from _said_twice(card)
    yield from _lost_point(card)


def _by_name(table: Table) -> list[tuple[str, int, Amount]]:
    if not table.is_of_keys:
        return []
    found = ((row.cells[0], row.line, leading_amount(row.cells[1])) for row in table.rows)
    return [(name.strip("`* "), line, value) for name, line, value in found if value is not None]


def _costs(table: Table, card: CardText, clean: Amount, spliced: Amount) -> Iterator[Finding]:
    """`The SAE costs 0.109 nats`, below a table: the loss with it less the loss without."""
    last = table.rows[-1].line
    titles = (p.line for p in card.passages if p.kind == "heading" and p.line > last)
    end = min(titles, default=last + len(card.lines))
    for sentence in card.sentences:
        if not last < sentence.line < end:
            continue
        for found in _COSTS.finditer(sentence.text.replace("\n", " ")):
            stated = next(amounts(found[1]))
            if not stated.may_be(spliced.low - clean.high, spliced.high - clean.low):
                exact = shown(spliced.value - clean.value, 6)
                what = f"{found[0]!r}, and {spliced.text} - {clean.text} is {exact}"
                yield Finding(sentence.line_of(found.start(1)), what, "warn", found[0])


def _named_extremes(table: Table) -> Iterator[Finding]:
    """Rows `lowest A` and `highest A`."""
    named = {}
    for row in table.rows:
        found = _OF_EXTREME.match(row.cells[0].strip("`* "))
        value = leading_amount(row.cells[1]) if found and len(row.cells) > 1 else None
        if found and value is not None:
            is_low = found[1].lower() in ("lowest", "smallest", "minimum")
            named[is_low, found[2]] = row.line, value
    for (is_low, name), (line, low) in named.items():
        other = named.get((False, name)) if is_low else None
        if other and low.unit == other[1].unit and low.low > other[1].high:
            what = f"{low.text} for the lowest {name}, and the highest (line {other[0]}) is "
            yield Finding(line, f"{what}{other[1].text}", "warn", low.text)


def _identities(table: Table, card: CardText) -> Iterator[Finding]:
    named = _by_name(table)
    evs = [(line, value) for name, line, value in named if _EV.match(name)]
    fvus = [(line, value) for name, line, value in named if _FVU.match(name)]
    if len(evs) == len(fvus) == 1:
        (line, ev), (other, fvu) = evs[0], fvus[0]
        low, high = (_share(ev)[0] + _share(fvu)[0], _share(ev)[1] + _share(fvu)[1])
        if not low <= 1 <= high:
            what = f"{fvu.text} unexplained and {ev.text} explained (line {line}) are not 1"
            yield Finding(other, what, "fail", fvu.text)
    losses = [(n, value) for n, _, value in named if _CE.match(n) and not _SCORE.match(n)]
    parts = [
        [value for name, value in losses if pattern.search(name)]
        for pattern in (_CLEAN, _SPLICED, _ABLATED)
    ]
    if all(len(part) == 1 for part in parts[:2]):
        yield from _costs(table, card, parts[0][0], parts[1][0])
    scores = [(line, value) for name, line, value in named if _SCORE.match(name)]
    if len(scores) == 1 and all(len(part) == 1 for part in parts):
        clean, spliced, ablated = (part[0] for part in parts)
        line, score = scores[0]
        rise = ablated.low - clean.high
        if rise <= 0:
            return
        exact = (ablated.value - spliced.value) / (ablated.value - clean.value)
        low = (ablated.low - spliced.high) / (ablated.low - clean.low)
        high = (ablated.high - spliced.low) / (ablated.high - clean.high)
        if not (_share(score)[0] <= high and low <= _share(score)[1]) or _is_far(score, exact):
            what = (
                f"{score.text}, and ({ablated.text} - {spliced.text}) / ({ablated.text} - "
                f"{clean.text}) is {shown(exact, 4)}"
            )
            yield Finding(line, what, "warn", score.text)


def _share(value: Amount) -> tuple[Decimal, Decimal]:
    by = 100 if value.unit == "%" else 1
    return value.low / by, value.high / by


def _is_far(score: Amount, exact: Decimal) -> bool:
    """Whether the score was computed from other losses than the printed ones, or is a slip."""
    low, high = _share(score)
    return not low - Decimal("0.004") <= exact <= high + Decimal("0.004")


def _bounded(table: Table) -> Iterator[Finding]:
    caption = table.caption.rpartition("\n")[2] if not table.caption.endswith(".") else ""
    for at in range(1, len(table.header)):
        cells = [amount_of(cell) for cell in table.column(at)]
        if not (_BOUNDED.search(table.header[at]) or _BOUNDED.match(caption)):
            continue
        plain = [cell for cell in cells if cell is not None and not cell.unit]
        above = [cell for cell in plain if cell.value > 1]
        if not above or 2 * len(above) >= len(plain):
            continue
        for row, cell in zip(table.rows, cells, strict=True):
            if cell is not None and cell in above:
                what = f"{cell.text} of something that is at most 1 in the other rows"
                yield Finding(row.line, what, "fail", cell.text)


def _ordered(line: int, text: str) -> Iterator[Finding]:
    low, mid, high = (p.search(text) for p in (_SMALLEST, _MEDIAN, _LARGEST))
    for first, second in ((low, mid), (mid, high), (low, high)):
        if first and second and Decimal(first[1].rstrip(".")) > Decimal(second[1].rstrip(".")):
            at = line + text.count("\n", 0, first.start())
            what = f"{' '.join(first[0].split())!r} is above {' '.join(second[0].split())!r}"
            yield Finding(at, f"{what} on line {line + text.count(chr(10), 0, second.start())}",
                          "warn", first[0])  # fmt: skip
            break
    plain = text.replace("\n", " ")
    for found in _MEAN_WITHIN.finditer(plain):
        mean, least, most = (Decimal(found[n].rstrip(".")) for n in (1, 2, 3))
        if not least <= mean <= most:
            where, last = (line + text.count("\n", 0, found.start(n)) for n in (1, 2))
            what = f"a mean of {mean} (line {where}) does not lie within {least} and {most}"
            yield Finding(last, what, "warn", found[0])
    zero = _ALL_ZERO.search(plain)
    positive = next(
        (m for p in (_SMALLEST, _MEDIAN, _BETWEEN) for m in p.finditer(plain)
         if Decimal(m[1].rstrip(".")) > 0), None,
    )  # fmt: skip
    if zero and positive:
        at = line + text.count("\n", 0, zero.end())
        what = f"thresholds are zero, and {' '.join(positive[0].split())!r} beside it"
        yield Finding(at, what, "warn", zero[0][-20:])


def _lost_point(card: CardText) -> Iterator[Finding]:
    """`L0 of 126.4`, and 1264 in the row L0: the same digits with the point elsewhere."""
    named = [each for table in tables(card) for each in _by_name(table)]
    for name, line, value in named[:_MOST_NAMES]:
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9]{1,20}", name):
            continue
        pattern = re.compile(rf"\b{name} (?:of|is) (?=\d)")
        for sentence in card.sentences:
            for found in pattern.finditer(sentence.text):
                other = next(amounts(sentence.text[found.end() :]), None)
                if other is None or other.start or other.unit != value.unit:
                    continue
                digits = _digits(other)
                is_long = len(digits) >= _FEWEST_DIGITS and digits == _digits(value)
                if is_long and other.value != value.value:
                    what = f"{found[0]}{other.text}, and {value.text} on line {line}"
                    yield Finding(sentence.line_of(found.start()), what, "warn", other.text)


def _digits(amount: Amount) -> str:
    """Its digits, without those that only say where the point is."""
    return re.sub(r"\D", "", amount.text).strip("0")


def _said_twice(card: CardText) -> Iterator[Finding]:
    """`CE loss score 0.9875` above, and another value in the table's row of that name."""
    n_rows: dict[str, int] = {}
    values: dict[str, tuple[int, Amount]] = {}
    for table in tables(card):
        for name, line, value in _by_name(table):
            n_rows[name] = n_rows.get(name, 0) + 1
            values[name] = line, value
    for name, (line, value) in islice(values.items(), _MOST_NAMES):
        if n_rows[name] > 1 or len(name.split()) < 2 or not re.fullmatch(r"[A-Za-z ]+", name):
            continue
        pattern = re.compile(rf"\b{re.escape(name)}(?: is| of|:)? (?=\d)", re.IGNORECASE)
        for sentence in card.sentences:
            for found in pattern.finditer(sentence.text):
                other = next(amounts(sentence.text[found.end() :]), None)
                if other is None or other.start:
                    continue
                if sentence.line_of(found.start()) == line:
                    continue
                (low, high), (start, end) = _share(value), _share(other)
                if not (low <= end and start <= high):
                    what = f"{found[0].strip()} {other.text}, and {value.text} on line {line}"
                    yield Finding(sentence.line_of(found.start()), what, "warn", other.text)
