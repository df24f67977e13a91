"""Numbers in a sentence that follow from the numbers beside them, in words and in digits."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from itertools import islice

from validators.readme.amounts import COUNT, PLAIN, Amount, amounts, count_of, leading_amount
from validators.readme.card_tables import Table, tables
from validators.readme.card_text import CardText, Passage
from validators.readme.findings import Finding
from validators.readme.quantities import shown
from validators.readme.samples_said import lint_samples_said

_N = r"(\d{1,3}(?:,\d{3})+|\d{1,9})"
_P = r"([~\u2248]?\d{1,3}(?:\.\d{1,4})?) ?%"
_FACTORS = rf"({_N}(?: ?[x\u00d7*] ?{_N}){{1,3}})"
_PRODUCT = re.compile(
    rf"(?<![\w.,/])({_N})(?:(?: latents| features)? \({_FACTORS}\)"
    rf"|,? i\.e\.,? {_FACTORS}(?![\w]|[.,]\d| ?[x\u00d7*+] ?\d))"
)
_ORDINAL = re.compile(rf"\b(\d{{1,3}})(?:st|nd|rd|th) of (\d{{1,3}}) \({_P}")
_OF_N = re.compile(rf"\b[Oo]f (?:the |all )?({COUNT}) [A-Za-z][\w-]{{0,20}},? ({COUNT}) \({_P}\)")
_OF_THEM = re.compile(rf"({PLAIN}) of (?:them|these|those) \({_P}\)")
_THE_OTHER = re.compile(rf"\b(?:[Tt]he other|the remaining|the rest,) {_N}\b(?! (?:of|%))")
_LEAVES = re.compile(rf"\b(?:leaves|leaving)\s{_N}\b")
_TWO_PARTS = re.compile(
    rf"(?<![\w.,/-]){_N} (\w{{3,20}}(?: [a-z]{{3,20}}){{0,2}})[,:] "
    rf"{_N} (\w{{3,20}}) and {_N} (\w{{3,20}})\b"
)
_PART_OF = re.compile(rf"(?<![\w.,/-]){_N} of {_N}\b")
_FROM_TO = re.compile(
    r"([+\u2212-]?\d{1,3}\.\d{1,6})(?: for [\w-]{1,30})? "
    r"\((\d{1,3}\.\d{1,6}) to (\d{1,3}\.\d{1,6})\)"
)
_LOWER = re.compile(
    r"\b([A-Z][\w-]{1,20}) (\d{1,3}\.\d{1,6}),? that is (\d{1,3}\.\d{1,6}) "
    r"(lower|less|below|higher|more|above)\b"
)
_SAVES = re.compile(
    rf"\b(?:saves?|saving|smaller by|reduces? [\w ]{{1,30}} by|cuts [\w ]{{1,30}} by) {_P}"
)
_WHICH_IS = re.compile(
    rf"({PLAIN}) [\w-]{{1,12}},? (?:which|that) is {_P} of (?:the )?"
    r"([a-z][a-z ]{3,40}?)(?=[.,;:]|$)"
)
_AT_LAYER = re.compile(
    r"\b(?:(?:at|of|for|in) (?:L|layer |block )(\d{1,3}) \(([+\u2212-]?\d{1,3}\.\d{1,6}%?)\)"
    r"|layer (\d{1,3})(?:,| at|:) (\d{1,3}\.\d{1,4}%))"
)
_EACH_AXIS = re.compile(rf"\b({COUNT}) (?:SAEs )?(?:belong )?(?:to|for|at|per) each (\w{{4,20}})\b")
_GRID = re.compile(r"\b\d{1,4} [a-z]{3,20}s(?:,? ?[x\u00d7*] ?\d{1,4} [a-z]{3,20}s){1,4}")
_MOST_VALUES = 200
_MOST_SHARES = 40
_REACH = 1_000


def lint_prose_sums(card: CardText) -> Iterator[Finding]:
    """Products, shares, remainders and differences whose terms stand in the same passage."""
    read = tables(card)
    by_end = {table.rows[-1].line: table for table in read if table.rows}
    for at, passage in enumerate(card.prose):
        # What a paragraph speaks of may stand in the table above it.
        above = [by_end[line] for line in range(passage.line - 4, passage.line + 1)
                 if line in by_end]  # fmt: skip
        text = passage.text.replace("\n", " ")
        before = card.prose[at - 1].text if at else ""
        yield from _in_passage(passage, text)
        if passage.kind != "paragraph":
            continue
        yield from _remainders(passage, text, above)
        yield from _shares(passage, text, before, above, read)
    yield from _differences(card)
    yield from _at_layers(card, read)
    yield from lint_samples_said(card)


def _int(text: str) -> int:
    return int(re.sub(r"\D", "", text))


def _in_passage(passage: Passage, text: str) -> Iterator[Finding]:
    for found in _PRODUCT.finditer(text):
        said = next(group for group in (found[3], found[6]) if group)
        factors = [_int(part) for part in re.findall(_N, said)]
        product = 1
        for factor in factors:
            product *= factor
        if product != _int(found[1]) and _int(found[1]) not in factors:
            what = f"{said} is {product}, and {found[1]} stands before it"
            yield Finding(passage.line_of(found.start()), what, "fail", found[0])
    for pattern in (_ORDINAL, _OF_N):
        for found in pattern.finditer(text):
            a, b = count_of(found[1]), count_of(found[2])
            k, n = (a, b) if pattern is _ORDINAL else (b, a)
            share = next(amounts(found[3] + "%"))
            if n and k <= n and not share.may_be(Decimal(100 * k) / n):
                what = f"{k} of {n} are {shown(Decimal(100 * k) / n)}%, and {found[3]}% is printed"
                yield Finding(passage.line_of(found.start()), what, "fail", found[0])
    for found in _TWO_PARTS.finditer(text):
        whole, first, second = _int(found[1]), _int(found[3]), _int(found[5])
        total = first + second
        if total != whole and max(first, second) < whole and 5 * abs(total - whole) <= whole:
            what = f"{found[3]} and {found[5]} are {total}, not {found[1]}"
            yield Finding(passage.line_of(found.start()), what, "warn", found[0])
    if grid := _GRID.search(text):
        axes = {
            name.removesuffix("s"): int(n)
            for n, name in re.findall(r"(\d{1,4}) ([a-z]{3,20}s)", grid[0])
        }
        whole = 1
        for n in axes.values():
            whole *= n
        for found in _EACH_AXIS.finditer(text):
            size = axes.get(found[2])
            if size and count_of(found[1]) * size != whole:
                what = f"{found[0]!r}, and {grid[0]} are {whole // size} for each {found[2]}"
                yield Finding(passage.line_of(found.start()), what, "warn", found[0])


def _near(text: str, found: re.Match[str]) -> str:
    return text[max(0, found.start() - _REACH) : found.start()]


def _remainders(passage: Passage, text: str, above: list[Table]) -> Iterator[Finding]:
    """`the other N` and `leaves N` after `k of n`; there the whole less the part is N."""
    beside = text + " " + " ".join(" ".join(row.cells) for t in above for row in t.rows)
    rests = {_int(b) - _int(a) for a, b in _PART_OF.findall(beside)}
    for found in islice(_OF_THEM.finditer(text), _MOST_SHARES):
        part = next(amounts(found[1])).value
        before = [a.value for a in amounts(_near(text, found)) if a.value > part]
        rests |= {int(value - part) for value in before}
    for pattern in (_THE_OTHER, _LEAVES):
        for found in pattern.finditer(text):
            n = _int(found[1])
            near = [rest for rest in rests if 5 * abs(rest - n) <= n and n >= 100]
            if near and n not in rests:
                what = f"{' '.join(found[0].split())!r}, and what is left is {near[0]:,}"
                yield Finding(passage.line_of(found.start(1)), what, "warn", found[0])


def _shares(
    passage: Passage, text: str, before: str, above: list[Table], read: tuple[Table, ...]
) -> Iterator[Finding]:
    for found in islice(_OF_THEM.finditer(text), _MOST_SHARES):
        part, share = next(amounts(found[1])), next(amounts(found[2] + "%"))
        wholes = [a.value for a in amounts(f"{before[-_REACH:]} {_near(text, found)}")
                  if a.value >= part.value > 0]  # fmt: skip
        if wholes and not any(share.may_be(100 * part.value / whole) for whole in wholes):
            exact = shown(100 * part.value / wholes[-1])
            what = f"{part.text} of {wholes[-1]:,} are {exact}%, and {share.text} is printed"
            yield Finding(passage.line_of(found.start()), what, "warn", found[0])
    for found in _SAVES.finditer(text):
        share = next(amounts(found[1] + "%"))
        cells = [cell for t in above for cell in t.rows[-1].cells]
        sizes = [a for part in (text, *cells) for a in amounts(part) if a.unit == "bytes"]
        pairs = [(a, b) for a in sizes for b in sizes if a.value < b.value]
        if pairs and not any(_saved(share, a, b) for a, b in pairs):
            what = f"{found[0]!r}, and no two sizes beside it are {found[1]}% apart"
            yield Finding(passage.line_of(found.start()), what, "warn", found[0])
    for found in _WHICH_IS.finditer(text):
        part, share = next(amounts(found[1])), next(amounts(found[2] + "%"))
        words = set(found[3].lower().split())
        named = [
            (row.line, value)
            for table in read
            if table.is_of_keys
            for row in table.rows
            if words <= set(re.findall(r"[a-z]+", row.cells[0].lower()))
            and (value := leading_amount(row.cells[1])) is not None
        ]
        if len(named) == 1 and named[0][1].low > 0:
            line, whole = named[0]
            low, high = 100 * part.low / whole.high, 100 * part.high / whole.low
            if not share.may_be(low, high):
                exact = shown(100 * part.value / whole.value)
                what = f"{part.text} of {whole.text} (line {line}) are {exact}%"
                yield Finding(passage.line_of(found.start(2)), f"{what}, not {share.text}",
                              "warn", found[0])  # fmt: skip


def _saved(share: Amount, small: Amount, large: Amount) -> bool:
    low, high = 100 - 100 * small.high / large.low, 100 - 100 * small.low / large.high
    return share.may_be(low, high)


def _differences(card: CardText) -> Iterator[Finding]:
    values: dict[str, list[Amount]] = {}
    named = re.compile(r"\b([A-Z][\w-]{1,20}) (\d{1,3}(?:\.\d{1,6})?%?)(?![\w]|[.,]\d)")
    for passage in card.prose:
        for found in named.finditer(passage.text):
            value = next(amounts(found[2]))
            values.setdefault(found[1], []).append(value)
    for passage in card.prose:
        text = passage.text.replace("\n", " ")
        for found in _FROM_TO.finditer(text):
            stated, a, b = (next(amounts(found[n])) for n in (1, 2, 3))
            low, high = b.low - a.high, b.high - a.low
            both = sorted((abs(low), abs(high)))
            if not stated.may_be(low, high) and not stated.may_be(*both):
                what = f"{found[2]} to {found[3]} is {shown(abs(b.value - a.value), 6)}"
                yield Finding(passage.line_of(found.start()), f"{what}, not {found[1]}",
                              "warn", found[0])  # fmt: skip
        for found in _LOWER.finditer(text):
            here, by = next(amounts(found[2])), next(amounts(found[3]))
            sign = 1 if found[4] in ("lower", "less", "below") else -1
            low, high = sorted((here.low + sign * by.low, here.high + sign * by.high))
            low, high = min(low, here.low + sign * by.high), max(high, here.high + sign * by.high)
            others = [v for v in values.get(found[1], [])[:_MOST_VALUES] if v.value != here.value]
            fits = any(
                low <= (v.high / 100 if v.unit else v.high)
                and (v.low / 100 if v.unit else v.low) <= high
                for v in others
            )
            if others and not fits:
                exact = shown(here.value + sign * by.value, 6)
                what = f"{found[0]!r}: no {found[1]} on the card is {exact}"
                yield Finding(passage.line_of(found.start()), what, "warn", found[0])


def _at_layers(card: CardText, read: tuple[Table, ...]) -> Iterator[Finding]:
    """`least at L5 (+0.009)`, where a table has that number for another layer alone."""
    where: dict[str, set[tuple[int, int]]] = {}
    for table in read:
        for row in table.rows:
            label = re.fullmatch(r"(?:L|layer )?(\d{1,3})", row.cells[0].strip("`* "), re.I)
            if label:
                for cell in row.cells[1:]:
                    where.setdefault(_sign(cell), set()).add((int(label[1]), row.line))
    for passage in card.prose:
        if passage.kind == "row":
            continue
        for found in _AT_LAYER.finditer(passage.text.replace("\n", " ")):
            at, said = (found[1], found[2]) if found[1] else (found[3], found[4])
            places = where.get(_sign(said), set())
            if len(places) == 1:
                ((layer, line),) = places
                if layer != int(at):
                    what = f"{found[0]!r}, and {said} is of layer {layer} on line {line}"
                    yield Finding(passage.line_of(found.start()), what, "warn", found[0])


def _sign(cell: str) -> str:
    return cell.strip("`* ").replace("\u2212", "-").replace(" %", "%")
