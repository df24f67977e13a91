"""Columns and lists of what a repository holds, by its configs: hooks, SAEs a layer, L0, files."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterator

from validators.readme.amounts import amount_of
from validators.readme.card_tables import Table, tables
from validators.readme.card_text import CardText
from validators.readme.findings import Finding, Surroundings

_HOOK = re.compile(r"blocks\.\d{1,4}\.(?:\w{1,40}\.){0,4}hook_\w{1,40}")
_LAYER = re.compile(r"L?(\d{1,3})")
_L0 = re.compile(r"(?:mean )?L0\b", re.IGNORECASE)
_IN_FOLDER = re.compile(r"`([\w.-]{2,120})/(?:cfg\.json|sae_weights\.safetensors)`")
_LIKE = 0.75


def lint_config_columns(card: CardText, known: Surroundings) -> Iterator[Finding]:
    """Cells and paths that no config and no folder bears out."""
    if not known.saes:
        return
    for table in tables(card):
        for at in range(len(table.header)):
            yield from _hooks(table, at, known)
        yield from _per_layer(table, known)
        yield from _l0(table, known)
    yield from _folders(card, known)


def _hooks(table: Table, at: int, known: Surroundings) -> Iterator[Finding]:
    """One that no SAE has, in a column whose others are the configs'."""
    names = {sae.hook_name for sae in known.saes}
    cells = [cell.strip("`* ") for cell in table.column(at)]
    ids = {sae.sae_id for sae in known.saes}
    n_known = sum(cell in names for cell in cells)
    if None in names or 2 * n_known < len(cells) or n_known < 2:
        return
    for row, cell in zip(table.rows, cells, strict=True):
        # A row that names its SAE is held against that one's config.
        is_named = any(each.strip("`* ") in ids for each in row.cells)
        if _HOOK.fullmatch(cell) and cell not in names and not is_named:
            yield Finding(row.line, f"{cell}, and no config has it", "warn", cell)


def _per_layer(table: Table, known: Surroundings) -> Iterator[Finding]:
    """A column `SAEs` beside the layers."""
    names = [name.strip("`* ").lower() for name in table.header]
    counts = Counter(sae.layer for sae in known.saes)
    if names[0] not in ("layer", "block") or names.count("saes") != 1 or None in counts:
        return
    rows = [
        (row, int(label[1]), n)
        for row, cell in zip(table.rows, table.column(names.index("saes")), strict=True)
        if (label := _LAYER.fullmatch(row.cells[0].strip("`* "))) and (n := amount_of(cell))
    ]
    wrong = [(row, layer, n) for row, layer, n in rows if int(n.value) != counts[layer]]
    if {layer for _, layer, _ in rows} <= set(counts) and 2 * len(wrong) < len(rows):
        for row, layer, n in wrong:
            what = f"{n.text} SAEs of layer {layer}, and {counts[layer]} folders hold one"
            yield Finding(row.line, what, "warn", n.text)


def _l0(table: Table, known: Surroundings) -> Iterator[Finding]:
    """No more latents can be active than k, or than there are."""
    by_id = {sae.sae_id: sae for sae in known.saes}
    for row in table.rows:
        named = [by_id[c.strip("`* ")] for c in row.cells if c.strip("`* ") in by_id]
        if len(named) != 1:
            continue
        (sae,) = named
        most, who = sae.d_sae, "latents"
        if sae.architecture == "topk" and sae.k is not None:
            most, who = sae.k, "for k"
        for name, cell in zip(table.header, row.cells, strict=False):
            value = amount_of(cell) if _L0.fullmatch(name.strip("`* ")) else None
            if value and not value.unit and most is not None and value.low > most:
                what = f"L0 {cell} in the row of {sae.sae_id!r}, which has {most} {who}"
                yield Finding(row.line, what, "fail", cell)


def _folders(card: CardText, known: Surroundings) -> Iterator[Finding]:
    """`ID/cfg.json` of a folder that is not here, though its name is nearly that of one."""
    ids = [sae.sae_id for sae in known.saes]
    folders = {path.rpartition("/")[0].rpartition("/")[2] for path in known.files} | {*ids}
    for passage in card.passages:
        if passage.kind == "code":
            continue
        for at, line in enumerate(passage.raw.split("\n")):
            for found in _IN_FOLDER.finditer(line):
                near = difflib.get_close_matches(found[1], ids, 1, _LIKE)
                if found[1] not in folders and near:
                    what = f"no folder {found[1]!r} (the nearest is {near[0]!r})"
                    yield Finding(passage.line + at, what, "warn", found[0])
