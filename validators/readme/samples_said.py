"""Numbers of samples and what is said of them: majority, folds, two losses, means and sums."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from itertools import combinations, islice

from validators.readme.amounts import COUNT, Amount, amount_of, amounts, count_of
from validators.readme.card_tables import Table, tables
from validators.readme.card_text import CardText
from validators.readme.findings import Finding, Said
from validators.readme.quantities import shown

_N = r"(\d{1,3}(?:,\d{3})+|\d{1,9})"
_D = r"(\d{1,3}\.\d{1,6})"
_MAJORITY = re.compile(
    r"\b(?:[Mm]ajority (?:class|baseline|rate|share)|[Aa]lways (?:answering|predicting) \S{2,20})"
    r"(?: therefore| thus)? (?:is|has|scores|gives|would be)(?: therefore| thus)? "
    r"(\d{1,3}(?:\.\d{1,3})?) ?%"
)
_PLAIN = re.compile(r"(?<![\w.,/-])(\d{1,3}(?:,\d{3})+|\d{1,6})(?![\w%]|[.,]\d)")
_FOLDS = re.compile(rf"\b({COUNT}) folds of {_N} ([a-z]{{3,20}}s)\b")
_TWO_LOSSES = re.compile(
    rf"(?<![\w.]){_D} (?:nats )?(?:without|before)\b[^.;()\d]{{0,40}}, "
    rf"{_D} (?:nats )?(?:with|after)\b[^.;()\d]{{0,30}} ?\(([+\u2212-]\d{{1,3}}\.\d{{1,6}})"
)
_MEAN = re.compile(
    rf"\b(?:[Mm]ean|[Aa]verage) ([A-Za-z][A-Za-z0-9]{{0,12}})\b(?: over| of| across)(?: the| all)* "
    rf"({COUNT}) [a-z]{{3,12}}s(?: is| was|:| =) {_D}(?![\w%]|[.,]\d)"
)
_OVER = re.compile(
    rf"\b[Oo]ver (?:the |all |these )+({COUNT}) [a-z]{{3,12}}s,? the mean "
    rf"([A-Za-z][A-Za-z0-9 ]{{0,30}}?)(?: is| was) {_D}(?![\w%]|[.,]\d)"
    rf"(?: and the mean ([A-Za-z][A-Za-z0-9 ]{{0,30}}?)(?: is| was|) {_D}(?![\w%]|[.,]\d))?"
)
_AVERAGED = re.compile(
    r"\b[Aa]veraged over [a-z]{3,12}s, ([A-Z][A-Za-z0-9]{0,12}) is "
    r"((?:\d{1,4}\.\d{1,4}(?:, | and )){1,9}\d{1,4}\.\d{1,4}) for ([a-z]{3,12})s "
    r"((?:\d{1,3}(?:, | and )){1,9}\d{1,3})\b"
)
_TOGETHER = re.compile(
    rf"\b({COUNT}) SAEs\b[^.;]{{0,40}}? have ([\d,]{{1,9}}) ([a-z]{{3,12}})\b[^.;\d]{{0,20}}? "
    r"(?:between them|together|in total|combined)\b"
)
_MOST = 200
_MOST_SAID = 20
# Small numbers add up by chance.
_FEWEST = 20
_MOST_ROWS = 24


def lint_samples_said(card: CardText) -> Iterator[Finding]:
    """Statements that follow from numbers of the same paragraph, or of a column with that name."""
    read = [table for table in tables(card) if 1 < len(table.rows) <= _MOST_ROWS]
    for passage in card.prose:
        if passage.kind != "paragraph":
            continue
        text = passage.text.replace("\n", " ")
        for offset, what, excerpt in (
            *_majority(text), *_folds(text), *_losses(text), *_means(text, read),
            *_over(text, read), *_averaged(text, read), *_together(text, read),
        ):  # fmt: skip
            yield Finding(passage.line_of(offset), what, "warn", excerpt)


def _majority(text: str) -> Iterator[Said]:
    """The larger of two parts: wherever the paragraph gives a whole and two that add up to it."""
    for found in islice(_MAJORITY.finditer(text), _MOST_SAID):
        numbers = [count_of(n) for n in islice(_PLAIN.findall(text), _MOST)]
        whole = set(numbers)
        pairs = {
            (max(a, b), a + b) for a, b in combinations(dict.fromkeys(numbers), 2)
            if a + b in whole and min(a, b) >= _FEWEST
        }  # fmt: skip
        share = next(amounts(found[1] + "%"))
        shares = [Decimal(100 * part) / n for part, n in sorted(pairs)]
        if shares and not any(share.may_be(each) for each in shares):
            part, n = max(pairs, key=lambda pair: pair[1])
            what = (
                f"{part} of {n} are {shown(Decimal(100 * part) / n)}%, and {found[1]}% is printed"
            )
            yield found.start(1), what, found[0]


def _folds(text: str) -> Iterator[Said]:
    for found in islice(_FOLDS.finditer(text), _MOST_SAID):
        n_folds, each = count_of(found[1]), count_of(found[2])
        wholes = re.findall(rf"(?<![\w.,]){_N} {found[3]}\b", text)
        others = {count_of(n) for n in wholes} - {each}
        if len(others) == 1 and n_folds:
            (n,) = others
            product = n_folds * each
            if abs(n - product) >= n_folds and product < 2 * n and n < 2 * product:
                what = f"{n_folds} folds of {each} are {product}, and there are {n}"
                yield found.start(), f"{what} {found[3]}", found[0]


def _losses(text: str) -> Iterator[Said]:
    for found in _TWO_LOSSES.finditer(text):
        first, second, stated = (next(amounts(found[n])) for n in (1, 2, 3))
        if not stated.may_be(second.low - first.high, second.high - first.low):
            exact = shown(second.value - first.value, 6)
            yield found.start(3), f"{found[1]} to {found[2]} is {exact}, not {found[3]}", found[0]


def _columns(read: list[Table], name: str) -> Iterator[tuple[Table, list[Amount]]]:
    """Columns whose name begins with a word and that are numbers throughout."""
    for table in read:
        for at, header in enumerate(table.header):
            if re.match(rf"{re.escape(name)}\b", header.strip("`* "), re.IGNORECASE):
                cells = [amount_of(cell) for cell in table.column(at)]
                values = [cell for cell in cells if cell is not None and not cell.unit]
                if len(values) == len(table.rows):
                    yield table, values


def _is_mean(stated: Amount, values: list[Amount]) -> bool:
    n = len(values)
    low = sum((v.low for v in values), Decimal(0)) / n
    return stated.may_be(low, sum((v.high for v in values), Decimal(0)) / n)


def _mean(values: list[Amount]) -> Decimal:
    return sum((v.value for v in values), Decimal(0)) / len(values)


def _means(text: str, read: list[Table]) -> Iterator[Said]:
    for found in _MEAN.finditer(text):
        n, stated = count_of(found[2]), next(amounts(found[3]))
        columns = [values for _, values in _columns(read, found[1]) if len(values) == n]
        if columns and not any(_is_mean(stated, values) for values in columns):
            exact = shown(_mean(columns[0]), stated.decimals + 1)
            yield found.start(3), f"{found[0]!r}, and the table's mean is {exact}", found[0]


def _over(text: str, read: list[Table]) -> Iterator[Said]:
    """`Over the twelve layers the mean L0 is A and the mean explained variance B`."""
    for found in _OVER.finditer(text):
        n = count_of(found[1])
        for name, said in ((2, 3), (4, 5)):
            if not found[name]:
                continue
            stated = next(amounts(found[said]))
            columns = [each for each in _columns(read, found[name]) if len(each[1]) == n]
            if columns and not any(_is_mean(stated, values) for _, values in columns):
                table, values = columns[0]
                exact = shown(_mean(values), stated.decimals + 1)
                lines = f"lines {table.rows[0].line}-{table.rows[-1].line}"
                what = f"{stated.text} for the mean {found[name]}, which is {exact} by {lines}"
                yield found.start(said), what, found[0]


def _averaged(text: str, read: list[Table]) -> Iterator[Said]:
    """`Averaged over seeds, L0 is A, B and C for layers 3, 6 and 9`: groups of rows."""
    for found in _AVERAGED.finditer(text):
        stated, groups = [*amounts(found[2])], re.findall(r"\d+", found[4])
        if len(stated) != len(groups):
            continue
        for table, values in _columns(read, found[1]):
            names = [name.strip("`* ").lower() for name in table.header]
            if found[3] not in names:
                continue
            labels = [cell.strip("`* ") for cell in table.column(names.index(found[3]))]
            of_group = [
                [v for label, v in zip(labels, values, strict=True) if label == group]
                for group in groups
            ]
            if not all(len(each) > 1 for each in of_group):
                continue
            for mean, group, each in zip(stated, groups, of_group, strict=True):
                if not _is_mean(mean, each):
                    exact = shown(_mean(each), mean.decimals + 1)
                    what = f"{mean.text} for {found[3]} {group}, and the rows' mean is {exact}"
                    yield found.start(2), what, found[0]


def _together(text: str, read: list[Table]) -> Iterator[Said]:
    """`the two SAEs have 844 dead latents between them`: the sum of two rows, whichever."""
    for found in islice(_TOGETHER.finditer(text), _MOST_SAID):
        n, total = count_of(found[1]), count_of(found[2])
        columns = [[int(v.value) for v in values] for _, values in _columns(read, found[3])
                   if not any(v.decimals for v in values)]  # fmt: skip
        columns = [values for values in columns if 1 < n <= min(3, len(values))]
        if columns and not any(sum(c) == total for v in columns for c in combinations(v, n)):
            what = f"{found[2]} {found[3]}, and no {n} rows of {found[3]!r} add up to it"
            yield found.start(2), what, found[0]
