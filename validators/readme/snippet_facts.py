"""What a snippet takes for granted of the SAEs that it loads: sizes, hooks, layers, tensors.

Read, not run. An attribute of `cfg` is known where the SAE was loaded by an id that is known.
"""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Iterator

from validators.readme.card_code import CardCode
from validators.readme.findings import SaeFacts
from validators.readme.snippet_names import name_faults
from validators.readme.snippet_places import place_faults
from validators.readme.snippets import PythonBlock

_NO_MODULE = {
    "saelens": "sae_lens", "transformerlens": "transformer_lens",
    "huggingfacehub": "huggingface_hub", "hf_hub": "huggingface_hub",
}  # fmt: skip
# Names that are in a module of the package, and not in the package itself.
_ELSEWHERE = {
    ("safetensors", name): "safetensors.torch" for name in ("load_file", "save_file", "load_model")
}
_COMMENT = re.compile(r"(\w+)\.cfg\.(d_in|d_sae|k|metadata\.hook_name)\)\s*#\s*([\w.]{1,60})\s*$")
_TWO = re.compile(
    r"print\((\w+)\.cfg\.(d_in|d_sae|k), (\w+)\.cfg\.(d_in|d_sae|k)\)\s*#\s*"
    r"(\d{1,7}),? (\d{1,7})\s*$"
)
_LISTS = ("layers", "h", "blocks")


def snippet_faults(code: CardCode, saes: tuple[SaeFacts, ...]) -> Iterator[tuple[int, str]]:
    """Line and words of each thing that the snippets assume and that is otherwise."""
    blocks = code.blocks
    asked = {one.line: one.path.strip("/") for one in code.asked if one.kind == "sae"}
    by_id = {sae.sae_id: sae for sae in saes}
    loaded: dict[str, SaeFacts] = {}
    bound = _bound(blocks)
    for block in blocks:
        if block.tree is None:
            continue
        _loads(block, asked, by_id, loaded)
        yield from _imports(block)
        yield from _asserts(block, loaded)
        yield from _comments(block, loaded)
        yield from _cached(block)
        yield from place_faults(block, loaded)
        yield from _products(block)
        yield from _hooked(block, saes)
        yield from _unread(block, bound)
    yield from name_faults(blocks, bound, saes)


def _loads(
    block: PythonBlock, asked: dict[int, str], by_id: dict[str, SaeFacts],
    loaded: dict[str, SaeFacts],
) -> None:  # fmt: skip
    """Which SAE each name holds, where `SAE.from_pretrained` names one that is there."""
    assert block.tree is not None
    for node in ast.walk(block.tree):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call() as call):
                sae_id = asked.get(block.line + call.lineno - 1, "")
                loaded.pop(name, None)
                if sae_id in by_id:
                    loaded[name] = by_id[sae_id]


def _value(node: ast.expr, loaded: dict[str, SaeFacts]) -> int | str | None:
    match node:
        case ast.Constant(value=int() | str() as value) if not isinstance(value, bool):
            return value
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            both = _value(left, loaded), _value(right, loaded)
            return (
                both[0] * both[1] if isinstance(both[0], int) and isinstance(both[1], int) else None
            )
        case ast.Attribute(value=ast.Attribute(value=ast.Name(id=name), attr="cfg"), attr=key):
            if name in loaded and key in ("d_in", "d_sae", "k"):
                found: int | None = getattr(loaded[name], key)
                return found
        case ast.Attribute(
            value=ast.Attribute(
                value=ast.Attribute(value=ast.Name(id=name), attr="cfg"), attr="metadata"
            ),
            attr="hook_name",
        ):
            return loaded[name].hook_name if name in loaded else None
    return None


def _asserts(block: PythonBlock, loaded: dict[str, SaeFacts]) -> Iterator[tuple[int, str]]:
    assert block.tree is not None
    for node in ast.walk(block.tree):
        if not isinstance(node, ast.Assert) or not isinstance(node.test, ast.Compare):
            continue
        sides = [node.test.left, *node.test.comparators]
        for operator, left, right in zip(node.test.ops, sides, sides[1:], strict=False):
            values = _value(left, loaded), _value(right, loaded)
            if isinstance(operator, ast.Eq) and None not in values and values[0] != values[1]:
                what = f"{ast.unparse(left)} is {values[0]}, and {ast.unparse(right)} {values[1]}"
                yield block.line + node.lineno - 1, f"the assertion fails: {what}"


def _comments(block: PythonBlock, loaded: dict[str, SaeFacts]) -> Iterator[tuple[int, str]]:
    for at, text in enumerate(block.code.splitlines()):
        both = _TWO.search(text)
        for name, key, said in ((1, 2, 5), (3, 4, 6)) if both else ():
            assert both is not None
            value = getattr(loaded.get(both[name]), both[key], None)
            if value is not None and value != int(both[said]):
                yield block.line + at, f"the comment says {both[said]}, and the config has {value}"
        found = _COMMENT.search(text)
        if not found or found[1] not in loaded:
            continue
        value = getattr(loaded[found[1]], found[2].rpartition(".")[2])
        if value is not None and str(value) != found[3]:
            yield block.line + at, f"the comment says {found[3]}, and the config has {value}"


def _imports(block: PythonBlock) -> Iterator[tuple[int, str]]:
    assert block.tree is not None
    for node in ast.walk(block.tree):
        line = block.line + getattr(node, "lineno", 1) - 1
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            if right := _NO_MODULE.get(node.module.partition(".")[0]):
                yield line, f"no module is called {node.module!r}: it is {right!r}"
            for alias in node.names:
                if where := _ELSEWHERE.get((node.module, alias.name)):
                    yield line, f"{alias.name} is in {where}, not in {node.module}"
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if right := _NO_MODULE.get(alias.name.partition(".")[0]):
                    yield line, f"no module is called {alias.name!r}: it is {right!r}"


def _cached(block: PythonBlock) -> Iterator[tuple[int, str]]:
    """`run_with_cache(names_filter="A")`, and `cache["B"]`, which is not in it."""
    assert block.tree is not None
    caches: dict[str, tuple[int, str]] = {}
    for node in ast.walk(block.tree):
        match node:
            case ast.Assign(
                targets=[ast.Tuple(elts=[_, ast.Name(id=name)])], value=ast.Call() as c
            ):
                for given in c.keywords:
                    if given.arg == "names_filter" and isinstance(given.value, ast.Constant):
                        caches[name] = given.value.lineno, str(given.value.value)
    for node in ast.walk(block.tree):
        match node:
            case ast.Subscript(value=ast.Name(id=name), slice=ast.Constant(value=str(key))):
                line, kept = caches.get(name, (0, key))
                if kept != key and "hook_" in kept:
                    line += block.line - 1
                    what = f"{name}[{key!r}], and line {line} keeps {kept!r} alone"
                    yield block.line + node.lineno - 1, what


def _tensor(node: ast.expr) -> str:
    """`W_enc` for `weights["W_enc"]`, `sae.W_enc` and `W_enc`; empty for anything else."""
    match node:
        case ast.Subscript(slice=ast.Constant(value=str(key))):
            return key
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name
    return ""


def _products(block: PythonBlock) -> Iterator[tuple[int, str]]:
    """`x @ W_dec + b_enc` and `f @ W_enc + b_dec`: shapes that do not add up."""
    assert block.tree is not None
    for node in ast.walk(block.tree):
        match node:
            case ast.BinOp(
                left=ast.BinOp(op=ast.MatMult(), right=matrix), op=ast.Add(), right=bias
            ):
                pair = _tensor(matrix), _tensor(bias)
                if pair in (("W_dec", "b_enc"), ("W_enc", "b_dec")):
                    what = f"{pair[1]} is added to a product with {pair[0]}, of another width"
                    yield block.line + node.lineno - 1, what


def _hooked(block: PythonBlock, saes: tuple[SaeFacts, ...]) -> Iterator[tuple[int, str]]:
    """`model.layers[19].register_forward_hook`, where no SAE is of layer 19."""
    layers = {sae.layer for sae in saes}
    assert block.tree is not None
    for node in ast.walk(block.tree):
        match node:
            case ast.Attribute(
                value=ast.Subscript(
                    value=ast.Attribute(attr=attr), slice=ast.Constant(value=int(layer))
                ),
                attr="register_forward_hook",
            ) if attr in _LISTS and layers and None not in layers and layer not in layers:
                listed = ", ".join(str(each) for each in sorted(n for n in layers if n is not None))
                yield block.line + node.lineno - 1, f"{attr}[{layer}], and the SAEs are of {listed}"


def _unread(block: PythonBlock, bound: set[str]) -> Iterator[tuple[int, str]]:
    """In one function a name that nothing assigns, and beside it one that nothing reads."""
    assert block.tree is not None
    for function in ast.walk(block.tree):
        if not isinstance(function, ast.FunctionDef):
            continue
        names = [node for node in ast.walk(function) if isinstance(node, ast.Name)]
        stored = {n.id for n in names if isinstance(n.ctx, ast.Store)}
        read = {n.id for n in names if isinstance(n.ctx, ast.Load)}
        unread = sorted(name for name in stored - read if not name.startswith("_"))
        for node in names:
            if isinstance(node.ctx, ast.Load) and node.id not in bound and unread:
                what = f"{node.id!r} is assigned nowhere, and {unread[0]!r} "
                at = next(n.lineno for n in names if n.id == unread[0])
                line = block.line + at - 1
                yield block.line + node.lineno - 1, f"{what}on line {line} is never read"


def _bound(blocks: tuple[PythonBlock, ...]) -> set[str]:
    bound = {*dir(builtins)}
    for tree in (block.tree for block in blocks if block.tree is not None):
        for node in ast.walk(tree):
            match node:
                case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name):
                    bound.add(name)
                case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                    bound.add(name)
                case ast.alias(name=name, asname=other):
                    bound.add(other or name.partition(".")[0])
                case ast.ExceptHandler(name=str(name)):
                    bound.add(name)
    return bound
