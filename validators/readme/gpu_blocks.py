"""Which code blocks name a GPU as the device that they run on."""

from __future__ import annotations

import ast
import re

_GPU = re.compile(r"cuda(:\d+)?")


def names_gpu(tree: ast.Module) -> bool:
    """Whether a block names a GPU and does not ask first whether there is one.

    A GPU is named by the text `"cuda"` or `"cuda:0"`, by a call of `.cuda()`, or by a number in
    `device_map`. A block that calls `is_available` chooses for itself and runs anywhere.
    """
    nodes = list(ast.walk(tree))
    if any(isinstance(n, ast.Attribute) and n.attr == "is_available" for n in nodes):
        return False
    return any(_is_gpu(node) for node in nodes)


def _is_gpu(node: ast.AST) -> bool:
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str) and _GPU.fullmatch(node.value) is not None
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Attribute) and node.func.attr == "cuda"
    if isinstance(node, ast.keyword) and node.arg == "device_map":
        values = node.value.values if isinstance(node.value, ast.Dict) else [node.value]
        return any(isinstance(v, ast.Constant) and type(v.value) is int for v in values)
    return False
