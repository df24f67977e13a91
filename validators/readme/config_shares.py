"""Shares of the dictionary that a card prints, against the number of latents of the configs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import islice

from validators.readme.amounts import Amount, amount_of, amounts
from validators.readme.card_tables import Table, tables
from validators.readme.card_text import CardText, Passage
from validators.readme.findings import Finding, Surroundings
from validators.readme.quantities import shown

_BOTH = re.compile(r"([\d,]{1,12}) \((\d{1,3}(?:\.\d{1,4})?) ?%\)")
_P = r"(\d{1,3}(?:\.\d{1,4})?) ?%"
_OF = r"of (?:the |its |all )?(?:latents|dictionary|features)\b"
_K_OF = re.compile(rf"\bk ?= ?(\d{{1,6}}) \((?:about )?{_P} {_OF}")
_THAT_IS = re.compile(rf"\b(?:that|which|this) is (?:about )?{_P} {_OF}")
_LEAVES = re.compile(
    r"(?<![\w.,])([\d,]{1,12}) latents\b(?: \([^()]{1,20}\))? (?:never|do not|did not|are)\b"
    r"[^.;]{1,40}?\b(?:leaves|leaving) ([\d,]{2,12})(?![\w%]|[.,]\d)"
)
_MOST_ROWS = 200
_MOST_COLUMNS = 24
_MOST_NUMBERS = 500


def lint_config_shares(card: CardText, known: Surroundings) -> Iterator[Finding]:
    """Columns of counts and their shares, and shares and remainders in sentences."""
    wide = {sae.sae_id: sae.d_sae for sae in known.saes}
    widths = {n for n in wide.values() if n}
    if not widths or None in wide.values():
        return
    for table in tables(card):
        if 2 < len(table.rows) <= _MOST_ROWS and len(table.header) <= _MOST_COLUMNS:
            yield from _columns(table, wide, widths)
    ks = [next(amounts(str(sae.k))) for sae in known.saes if sae.k]
    everywhere = [
        amount
        for passage in (
            card.prose
            if any(_THAT_IS.search(p.text.replace("\n", " ")) for p in card.prose)
            else ()
        )
        for amount in islice(amounts(passage.text), _MOST_NUMBERS)
    ]
    for passage in card.prose:
        yield from _sentences(passage, widths, [*ks, *everywhere])


def _columns(table: Table, wide: dict[str, int | None], widths: set[int]) -> Iterator[Finding]:
    """A column that is a share of d_sae in most rows, and not in the others."""
    of_rows = [_width(row, wide, widths) for row in table.rows]
    cells = [table.column(at) for at in range(len(table.header))]
    for at, column in enumerate(cells):
        both = [_BOTH.fullmatch(cell.strip("`* ")) for cell in column]
        if sum(map(bool, both)) > 2:
            parts = [amount_of(found[1]) if found else None for found in both]
            shares = [amount_of(found[2] + "%") if found else None for found in both]
            yield from _broken(table, of_rows, parts, shares) or ()
            continue
        shares = [amount_of(cell) for cell in column]
        if sum(share is not None and share.unit == "%" for share in shares) > 2:
            related = [
                broken
                for place, other in enumerate(cells)
                if place != at
                and (broken := _broken(table, of_rows, [*map(amount_of, other)], shares))
                is not None
            ]
            # Where one column explains every share, what another one nearly does means nothing.
            yield from min(related, key=len, default=[])


def _width(row: Passage, wide: dict[str, int | None], widths: set[int]) -> int | None:
    named = {n for cell in row.cells if (n := wide.get(cell.strip("`* ")))}
    if not named and len(widths) == 1:
        return next(iter(widths))
    return named.pop() if len(named) == 1 else None


def _broken(
    table: Table, of_rows: Sequence[int | None], parts: Sequence[Amount | None],
    shares: Sequence[Amount | None],
) -> list[Finding] | None:  # fmt: skip
    """The rows that do not hold; None where so few hold that nothing is a share of anything."""
    if any(part is not None and 0 < part.value < 1 for part in parts):
        # Less than one latent is no number of latents: an explained variance, say.
        return None
    broken, n_held = [], 0
    for row, n, part, share in zip(table.rows, of_rows, parts, shares, strict=True):
        if n is None or part is None or share is None or share.unit != "%" or part.unit:
            continue
        if share.may_be(100 * part.low / n, 100 * part.high / n):
            n_held += part.value > 0
        else:
            exact = shown(100 * part.value / n)
            what = f"{part.text} of {n} latents are {exact}%, and {share.text} is printed"
            broken.append(Finding(row.line, what, "warn", share.text))
    return broken if n_held >= 2 and 2 * len(broken) <= n_held else None


def _sentences(passage: Passage, widths: set[int], numbers: list[Amount]) -> Iterator[Finding]:
    text = passage.text.replace("\n", " ")

    def finding(found: re.Match[str], group: int, what: str) -> Finding:
        line = passage.line_of(found.start(group))
        return Finding(line, what, "warn", found[0])

    for found in _K_OF.finditer(text):
        share = next(amounts(found[2] + "%"))
        if not any(share.may_be(Decimal(100 * int(found[1])) / n) for n in widths):
            exact = shown(Decimal(100 * int(found[1])) / min(widths))
            what = f"{found[1]} of {min(widths)} latents are {exact}%, and {found[2]}% is printed"
            yield finding(found, 2, what)
    for found in _THAT_IS.finditer(text):
        share = next(amounts(found[1] + "%"))
        parts = [part for part in numbers if not part.unit]
        fits = any(
            share.may_be(100 * part.low / n, 100 * part.high / n) for part in parts for n in widths
        )
        if parts and not fits:
            listed = " or ".join(str(n) for n in sorted(widths)[:4])
            what = f"no number on the card is {found[1]}% of {listed} latents"
            yield finding(found, 1, what)
    for found in _LEAVES.finditer(text) if len(widths) == 1 else ():
        (n,) = widths
        rest = n - int(found[1].replace(",", ""))
        left = int(found[2].replace(",", ""))
        if rest > 0 and rest != left and 10 * abs(rest - left) <= rest:
            yield finding(found, 2, f"of {n} latents, {found[1]} leave {rest:,}, not {found[2]}")
