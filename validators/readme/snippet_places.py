"""Where a snippet reads what it gives to an SAE: the hidden state, the hook in a cache."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from validators.readme.findings import SaeFacts
from validators.readme.snippets import PythonBlock

_KIND = re.compile(r"blocks\.(\d{1,4})\.((?:\w{1,40}\.){0,3}hook_\w{1,40})")
_CALLS = ("encode", "forward")


def place_faults(block: PythonBlock, loaded: dict[str, SaeFacts]) -> Iterator[tuple[int, str]]:
    """Line and words of each; nothing unless the block gives something to one loaded SAE."""
    assert block.tree is not None
    nodes = [*ast.walk(block.tree)]
    own = {
        node.id for node in nodes
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id in loaded
    }  # fmt: skip
    used = {name for node in nodes if (name := _encodes(node)) in loaded}
    if len(own) != 1 or used != own:
        return
    sae = loaded[own.pop()]
    yield from ((block.line - 1 + line, what) for line, what in _hidden(nodes, sae))
    yield from ((block.line - 1 + line, what) for line, what in _cached(nodes, sae))


def _encodes(node: ast.AST) -> str:
    """The name of what `sae.encode(x)` or `sae(x)` calls."""
    match node:
        case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=attr)) if attr in _CALLS:
            return name
        case ast.Call(func=ast.Name(id=name)):
            return name
    return ""


def _hidden(nodes: list[ast.AST], sae: SaeFacts) -> Iterator[tuple[int, str]]:
    """`.hidden_states[19]` for an SAE of block 19, whose output is entry 20."""
    kind = _KIND.fullmatch(sae.hook_name or "")
    if kind is None or kind[2] not in ("hook_resid_post", "hook_resid_pre"):
        return
    entry = int(kind[1]) + (kind[2] == "hook_resid_post")
    found = [
        (node.lineno, index)
        for node in nodes
        if isinstance(node, ast.Subscript) and (index := _entry(node)) is not None and index > 0
    ]
    # Several entries are compared with one another.
    if len(found) == 1 and found[0][1] != entry:
        line, index = found[0]
        what = f"hidden_states[{index}], and the SAE reads {sae.hook_name}, which is entry {entry}"
        yield line, f"{what} (0 is the embedding)"


def _entry(node: ast.Subscript) -> int | None:
    match node:
        case ast.Subscript(
            value=ast.Attribute(attr="hidden_states") | ast.Name(id="hidden_states"),
            slice=ast.Constant(value=int(index)),
        ):
            return index
    return None


def _cached(nodes: list[ast.AST], sae: SaeFacts) -> Iterator[tuple[int, str]]:
    """`cache["blocks.11.hook_mlp_out"]` alone, for an SAE of another place."""
    read = [
        (node.lineno, node.slice.value)
        for node in nodes
        if isinstance(node, ast.Subscript)
        and isinstance(node.slice, ast.Constant)
        and isinstance(node.slice.value, str)
        and _KIND.fullmatch(node.slice.value)
    ]
    named = {name for _, name in read}
    if sae.hook_name and len(named) == 1 and sae.hook_name not in named:
        line, name = read[0]
        yield line, f"{name!r} is read, and the SAE is of {sae.hook_name}"
