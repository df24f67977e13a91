"""Names, widths and modules in snippets that cannot be: called without an import, or of another."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from validators.readme.findings import SaeFacts
from validators.readme.snippets import PythonBlock

# What snippets call, and where it comes from; nobody has these names of his own.
_FROM = {
    "load_file": "safetensors.torch", "safe_open": "safetensors",
    "hf_hub_download": "huggingface_hub", "snapshot_download": "huggingface_hub",
    "AutoModel": "transformers", "AutoModelForCausalLM": "transformers",
    "AutoTokenizer": "transformers", "HookedTransformer": "transformer_lens", "SAE": "sae_lens",
}  # fmt: skip
# Modules that snippets use by their name, and how they are imported.
_MODULES = {"torch": "import torch", "np": "import numpy as np", "json": "import json"}
_RANDOM = ("randn", "rand", "zeros", "ones")
_LISTS = ("layers", "h")
_MODEL = re.compile(r"(?:\w{1,20}_)?(?:model|lm|llm)|hf")
_PATH = re.compile(r"(?:.*\.)?(\w+)\.\d{1,4}(?:\.|$)")


def name_faults(
    blocks: tuple[PythonBlock, ...], bound: set[str], saes: tuple[SaeFacts, ...]
) -> Iterator[tuple[int, str]]:
    """Line and words of each; nothing where a block cannot be parsed, which may bind anything."""
    parsed = [(block, [*ast.walk(block.tree)]) for block in blocks if block.tree is not None]
    every = [node for _, nodes in parsed for node in nodes]
    has_star = any(
        isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names)
        for node in every
    )
    read = {n.id for n in every if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
    for block, nodes in parsed:
        found = [*_widths(nodes, saes), *_lists(nodes, saes)]
        # A block without imports is a fragment of something that the reader has.
        has_imports = any(isinstance(node, ast.Import | ast.ImportFrom) for node in nodes)
        if len(parsed) == len(blocks) and not has_star and has_imports:
            found += _unbound(nodes, read, bound)
        for line, what in found:
            yield block.line - 1 + line, what


def _unbound(nodes: list[ast.AST], read: set[str], bound: set[str]) -> Iterator[tuple[int, str]]:
    unread = [*_models(nodes, read)]
    seen: set[str] = set()
    for node in nodes:
        match node:
            case ast.Attribute(value=ast.Name(id=name, ctx=ast.Load())) if (
                name in _MODULES and name not in bound | seen
            ):
                seen.add(name)
                yield node.lineno, f"{name!r} is imported nowhere: it takes `{_MODULES[name]}`"
            case ast.Call(func=ast.Name(id=name)) if name not in bound | seen:
                seen.add(name)
                if name in _FROM:
                    yield node.lineno, f"{name!r} is imported nowhere: it is in {_FROM[name]}"
                elif len(unread) == 1 and _MODEL.fullmatch(name):
                    what = f"{name!r} is assigned nowhere, and {unread[0]!r} is never read"
                    yield node.lineno, what
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="from_pretrained")) if (
                name in _FROM and name not in bound | seen
            ):
                seen.add(name)
                yield node.lineno, f"{name!r} is imported nowhere: it is in {_FROM[name]}"


def _models(nodes: list[ast.AST], read: set[str]) -> Iterator[str]:
    """Models that a block loads and that nothing reads."""
    for node in nodes:
        match node:
            case ast.Assign(
                targets=[ast.Name(id=name)],
                value=ast.Call(
                    func=ast.Attribute(value=ast.Name(id=loader), attr="from_pretrained")
                ),
            ) if name not in read and ("Model" in loader or "Transformer" in loader):
                yield name


def _widths(nodes: list[ast.AST], saes: tuple[SaeFacts, ...]) -> Iterator[tuple[int, str]]:
    """`x = torch.randn(4, 768)`, which is multiplied by W_enc of another width."""
    widths = {sae.d_in for sae in saes}
    made: dict[str, list[tuple[int, int]]] = {}
    for node in nodes:
        match node:
            case ast.Assign(
                targets=[ast.Name(id=name)],
                value=ast.Call(
                    func=ast.Attribute(attr=maker), args=[*_, ast.Constant(value=int(n))]
                ),
            ) if maker in _RANDOM:
                made.setdefault(name, []).append((n, node.lineno))
            case ast.Assign(targets=[ast.Name(id=name)]):
                made.setdefault(name, []).append((0, node.lineno))
    for node in nodes:
        match node:
            case ast.BinOp(
                left=left,
                op=ast.MatMult(),
                right=ast.Subscript(slice=ast.Constant(value="W_enc"))
                | ast.Attribute(attr="W_enc"),
            ):
                names = {each.id for each in ast.walk(left) if isinstance(each, ast.Name)}
                for name in sorted(names):
                    values = made.get(name, [])
                    if widths and None not in widths and len(values) == 1 and values[0][0]:
                        n, line = values[0]
                        if n not in widths:
                            listed = ", ".join(str(w) for w in sorted(w for w in widths if w))
                            yield line, f"{name} is {n} wide, and W_enc takes {listed}"


def _lists(nodes: list[ast.AST], saes: tuple[SaeFacts, ...]) -> Iterator[tuple[int, str]]:
    """`lm.transformer.h[3].mlp.register_forward_hook`, where the configs have model.layers."""
    paths = [_PATH.match(sae.module_path or "") for sae in saes]
    named = {found[1] for found in paths if found}
    if len(named) != 1 or None in paths or not named <= {*_LISTS}:
        return
    for node in nodes:
        if not (isinstance(node, ast.Attribute) and node.attr == "register_forward_hook"):
            continue
        inner: ast.expr = node.value
        while isinstance(inner, ast.Attribute):
            inner = inner.value
        match inner:
            case ast.Subscript(value=ast.Attribute(attr=attr)) if attr in {*_LISTS} - named:
                what = f"{ast.unparse(inner)}, and the configs have {saes[0].module_path}"
                yield node.lineno, what
