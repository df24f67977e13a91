"""Rows of tables that name an SAE, against its config: layer, place, sizes, k, architecture."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal

from validators.readme.amounts import amount_of
from validators.readme.card_tables import Table, tables
from validators.readme.card_text import CardText
from validators.readme.findings import Finding, SaeFacts, Surroundings
from validators.readme.quantities import shown

_HOOK = re.compile(r"blocks\.\d{1,4}\.(?:\w{1,40}\.){0,4}hook_\w{1,40}")
_MODULE = re.compile(r"(?:[A-Za-z_]\w{0,40}\.){1,5}\d{1,4}(?:\.\w{1,40}){0,4}")
_K = re.compile(r"\bk ?= ?(\d{1,6})\b")
_NAMES = {
    "d_in": "d_in", "d_sae": "d_sae", "latents": "d_sae", "k": "k",
    "layer": "layer", "block": "layer",
}  # fmt: skip
_DIGITS = re.compile(r"\d+")
_OF_FILE = re.compile(r"size|file|disk|weights", re.IGNORECASE)
_KINDS = re.compile(r"\b(topk|jumprelu|gated|standard)\b", re.IGNORECASE)


def lint_config_rows(card: CardText, known: Surroundings) -> Iterator[Finding]:
    """Each cell of a row that begins with an SAE's id, as far as its column says what it is."""
    by_id = {sae.sae_id: sae for sae in known.saes}
    for table in tables(card):
        yield from _unknown(table, set(by_id))
        for row in table.rows:
            named = [by_id[cell.strip("`* ")] for cell in row.cells if cell.strip("`* ") in by_id]
            if len(named) == 1:
                for name, cell in zip(table.header, row.cells, strict=False):
                    plain = cell.strip("`* ")
                    what = _differs(name, plain, named[0]) or _size(name, plain, named[0])
                    if what:
                        said = f"{what}, in the row of {named[0].sae_id!r}"
                        yield Finding(row.line, said, "warn", cell)


def _unknown(table: Table, ids: set[str]) -> Iterator[Finding]:
    """In a column of ids one that no SAE has, though it is written as they are."""
    shapes = {_DIGITS.sub("#", each) for each in ids}
    for at in range(len(table.header)):
        cells = [cell.strip("`* ") for cell in table.column(at)]
        known = sum(cell in ids for cell in cells)
        for row, cell in zip(table.rows, cells, strict=True):
            is_like = re.search(r"[A-Za-z]", cell) and _DIGITS.sub("#", cell) in shapes
            if cell not in ids and is_like and known >= 2 and 3 * known >= 2 * len(cells):
                yield Finding(row.line, f"no SAE is called {cell!r}", "warn", cell)


def _size(name: str, cell: str, sae: SaeFacts) -> str | None:
    """Bytes of the row's SAE; where no type is named, those of half or twice the width do."""
    size = amount_of(cell)
    if size is None or size.unit != "bytes" or not sae.n_bytes or not _OF_FILE.search(name):
        return None
    typed = re.search(r"\b(?:fp|float|bf|bfloat)(?:16|32)\b", name, re.IGNORECASE)
    times = (1,) if typed and "32" in typed[0] and sae.n_parameters else (0.5, 1, 2)
    one = 4 * sae.n_parameters if times == (1,) and sae.n_parameters else sae.n_bytes
    if any(float(size.low) * 0.98 <= one * by <= float(size.high) * 1.02 for by in times):
        return None
    return f"{cell}, and by its config it takes {shown(Decimal(one) / 10**6, 1)} MB"


def _differs(name: str, cell: str, sae: SaeFacts) -> str | None:
    if _HOOK.fullmatch(cell) and sae.hook_name is not None:
        return _against(cell, sae.hook_name) if cell != sae.hook_name else None
    if _MODULE.fullmatch(cell) and not cell.startswith("blocks.") and sae.module_path is not None:
        return _against(cell, sae.module_path) if cell != sae.module_path else None
    if (k := _K.search(cell)) and sae.k is not None and int(k[1]) != sae.k:
        return f"k = {k[1]}, and its config has {sae.k}"
    # BatchTopK is saved as jumprelu.
    is_saved_otherwise = re.search(r"batch|matryoshka", cell, re.IGNORECASE)
    kinds = set() if is_saved_otherwise else {kind.lower() for kind in _KINDS.findall(cell)}
    if name.lower().startswith("arch") and len(kinds) == 1 and sae.architecture:
        (kind,) = kinds
        return None if kind == sae.architecture else _against(kind, sae.architecture)
    number = amount_of(cell)
    key = _NAMES.get(name.lower().strip("`"))
    if number is None or key is None or number.unit:
        return None
    expected = getattr(sae, key)
    if key == "k" and expected is None and sae.architecture in ("gated", "standard"):
        return f"k = {cell}, and {sae.architecture} SAEs have none"
    return None if expected in (None, int(number.value)) else _against(f"{name} {cell}", expected)


def _against(said: str, expected: object) -> str:
    return f"{said}, and its config has {expected}"
