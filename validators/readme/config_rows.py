"""Rows of tables that name an SAE, against its config: layer, place, sizes, k, architecture."""

from __future__ import annotations

import re
from collections.abc import Iterator

from validators.readme.amounts import amount_of
from validators.readme.card_tables import tables
from validators.readme.card_text import CardText
from validators.readme.findings import Finding, SaeFacts, Surroundings

_HOOK = re.compile(r"blocks\.\d{1,4}\.(?:\w{1,40}\.){0,4}hook_\w{1,40}")
_MODULE = re.compile(r"(?:[A-Za-z_]\w{0,40}\.){1,5}\d{1,4}(?:\.\w{1,40}){0,4}")
_K = re.compile(r"\bk ?= ?(\d{1,6})\b")
_NAMES = {
    "d_in": "d_in", "d_sae": "d_sae", "latents": "d_sae", "k": "k",
    "layer": "layer", "block": "layer",
}  # fmt: skip
_KINDS = re.compile(r"\b(topk|jumprelu|gated|standard)\b", re.IGNORECASE)


def lint_config_rows(card: CardText, known: Surroundings) -> Iterator[Finding]:
    """Each cell of a row that begins with an SAE's id, as far as its column says what it is."""
    by_id = {sae.sae_id: sae for sae in known.saes}
    for table in tables(card):
        for row in table.rows:
            named = [by_id[cell.strip("`* ")] for cell in row.cells if cell.strip("`* ") in by_id]
            if len(named) == 1:
                for name, cell in zip(table.header, row.cells, strict=False):
                    what = _differs(name, cell.strip("`* "), named[0])
                    if what:
                        said = f"{what}, in the row of {named[0].sae_id!r}"
                        yield Finding(row.line, said, "warn", cell)


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
