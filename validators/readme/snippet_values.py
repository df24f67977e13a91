"""What the arguments in a snippet are, as far as that can be told without running it.

Known are strings, paths, numbers, names assigned once to such, f-strings, sums and tuples of them,
and what the Hub's client returns for a file or a snapshot. All else is unknown.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field

_MAX_DEPTH = 20
_MAX_CHARACTERS = 2_000
_PATH_CLASSES = ("Path", "PurePath", "PosixPath", "PurePosixPath", "str")


@dataclass(frozen=True)
class Unknown:
    """A value that only running the snippet would tell."""


@dataclass(frozen=True)
class LocalCopy:
    """A path below the local copy of a repository on the Hub."""

    repo_id: str
    path: str


Value = str | int | float | bool | None | Unknown | LocalCopy
UNKNOWN = Unknown()


@dataclass
class Names:
    """The names that a card's blocks have assigned so far, in reading order."""

    values: dict[str, Value] = field(default_factory=dict)

    def assign(self, target: ast.expr, value: ast.expr | None) -> None:
        """Follow `target = value`; None: a value that is not known."""
        if isinstance(target, ast.Name):
            self.values[target.id] = self.value_of(value) if value is not None else UNKNOWN
        elif isinstance(target, ast.Tuple | ast.List):
            given: list[ast.expr | None] = [None] * len(target.elts)
            if isinstance(value, ast.Tuple | ast.List) and len(value.elts) == len(target.elts):
                given = [*value.elts]
            # Evaluated first, since `a, b = b, a` reads both before it assigns either.
            known = [self.value_of(each) if each is not None else UNKNOWN for each in given]
            for each, result in zip(target.elts, known, strict=True):
                if isinstance(each, ast.Name):
                    self.values[each.id] = result

    def value_of(self, node: ast.expr | None, depth: int = 0) -> Value:
        """The value of an expression; `UNKNOWN` where it cannot be told."""
        if node is None or depth > _MAX_DEPTH:
            return UNKNOWN
        match node:
            case ast.Constant(value=str() | int() | float() | None as value):
                return value
            case ast.Name(id=name):
                return self.values.get(name, UNKNOWN)
            case ast.JoinedStr(values=parts):
                return _joined([self._part(part, depth) for part in parts], "")
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                both = [self.value_of(left, depth + 1), self.value_of(right, depth + 1)]
                return _joined(both, "") if _all_text(both) else UNKNOWN
            case ast.BinOp(left=left, op=ast.Div(), right=right):
                both = [self.value_of(left, depth + 1), self.value_of(right, depth + 1)]
                return _joined(both, "/") if _all_text(both) else UNKNOWN
            case ast.Attribute(value=inner, attr="parent"):
                return _parent(self.value_of(inner, depth + 1))
            case ast.Call():
                return self._called(node, depth)
        return UNKNOWN

    def _part(self, part: ast.expr, depth: int) -> Value:
        if isinstance(part, ast.FormattedValue):
            plain = part.format_spec is None and part.conversion == -1
            return self.value_of(part.value, depth + 1) if plain else UNKNOWN
        return self.value_of(part, depth + 1)

    def _called(self, call: ast.Call, depth: int) -> Value:
        name = function_name(call)
        if name in _PATH_CLASSES and len(call.args) == 1:
            value = self.value_of(call.args[0], depth + 1)
            return value if _all_text([value]) else UNKNOWN
        if name in ("join", "joinpath") and isinstance(call.func, ast.Attribute):
            start = [] if name == "join" else [call.func.value]
            if name == "join" and not _is_os_path(call.func.value):
                return UNKNOWN  # text.join(...)
            parts = [self.value_of(each, depth + 1) for each in (*start, *call.args)]
            return _joined(parts, "/") if _all_text(parts) else UNKNOWN
        if name == "dirname" and len(call.args) == 1:
            return _parent(self.value_of(call.args[0], depth + 1))
        if name in ("snapshot_download", "hf_hub_download"):
            return self._downloaded(call, name)
        return UNKNOWN

    def _downloaded(self, call: ast.Call, name: str) -> Value:
        repo_id = self.argument(call, 0, "repo_id")
        if not isinstance(repo_id, str) or self.argument(call, None, "local_dir") is not None:
            return UNKNOWN
        if name == "snapshot_download":
            return LocalCopy(repo_id, "")
        path = file_in_repo(self, call)
        return LocalCopy(repo_id, path) if path is not None else UNKNOWN

    def argument(self, call: ast.Call, position: int | None, keyword: str) -> Value:
        """An argument of a call; None where it is not given (or is None)."""
        for given in call.keywords:
            if given.arg == keyword:
                return self.value_of(given.value)
        if any(given.arg is None for given in call.keywords):
            return UNKNOWN  # **options
        if position is None or len(call.args) <= position:
            return None
        if any(isinstance(each, ast.Starred) for each in call.args[: position + 1]):
            return UNKNOWN
        return self.value_of(call.args[position])


def file_in_repo(names: Names, call: ast.Call) -> str | None:
    """path_in_repo that `hf_hub_download` is asked for; None where it cannot be told."""
    filename = names.argument(call, 1, "filename")
    subfolder = names.argument(call, None, "subfolder")
    if not isinstance(filename, str) or not (subfolder is None or isinstance(subfolder, str)):
        return None
    return f"{subfolder}/{filename}" if subfolder else filename


def function_name(call: ast.Call) -> str:
    """The last part of what is called: `load` for `torch.load(...)`; empty for anything else."""
    match call.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def calls_in_order(tree: ast.Module, names: Names) -> Iterator[ast.Call]:
    """Every call, in reading order; `names` holds at each what was assigned before it.

    Loops are gone through once, with their variable unknown; what is assigned within a function
    stays inside.
    """
    yield from _calls_of_body(tree.body, names)


def _calls_of_body(body: list[ast.stmt], names: Names) -> Iterator[ast.Call]:
    for statement in body:
        match statement:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                arguments = statement.args
                taken = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
                inside = Names({**names.values, **{each.arg: UNKNOWN for each in taken}})
                yield from _calls_of_body(statement.body, inside)
                continue
            case ast.ClassDef():
                yield from _calls_of_body(statement.body, Names({**names.values}))
                continue
        blocks = [
            value
            for name in ("body", "orelse", "finalbody")
            if isinstance(value := getattr(statement, name, None), list)
        ]
        yield from _calls_of_expressions(statement)
        _assign(statement, names)
        for block in blocks:
            yield from _calls_of_body(block, names)
        for handler in getattr(statement, "handlers", []):
            yield from _calls_of_body(handler.body, names)
        for case_ in getattr(statement, "cases", []):
            yield from _calls_of_body(case_.body, names)


def _calls_of_expressions(statement: ast.stmt) -> Iterator[ast.Call]:
    """Calls in a statement's own expressions, not in the statements inside it; outermost last."""
    inner: list[ast.AST] = [
        child
        for child in ast.iter_child_nodes(statement)
        if not isinstance(child, ast.stmt | ast.excepthandler | ast.match_case)
    ]
    found = [node for child in inner for node in ast.walk(child) if isinstance(node, ast.Call)]
    yield from sorted(found, key=lambda call: (call.lineno, call.col_offset))


def _assign(statement: ast.stmt, names: Names) -> None:
    match statement:
        case ast.Assign(targets=targets, value=value):
            for target in targets:
                names.assign(target, value)
        case ast.AnnAssign(target=target, value=value):
            names.assign(target, value)
        case ast.AugAssign(target=target) | ast.For(target=target) | ast.AsyncFor(target=target):
            names.assign(target, None)
        case ast.With(items=items) | ast.AsyncWith(items=items):
            for item in items:
                if item.optional_vars is not None:
                    names.assign(item.optional_vars, None)


def _is_os_path(node: ast.expr) -> bool:
    return (isinstance(node, ast.Attribute) and node.attr == "path") or (
        isinstance(node, ast.Name) and node.id == "path"
    )


def _all_text(values: list[Value]) -> bool:
    return all(isinstance(value, str | LocalCopy) for value in values)


def _joined(values: list[Value], between: str) -> Value:
    """Text put together; a local copy may only come first, as the folder it stands for."""
    repo_id: str | None = None
    text = ""
    for place, value in enumerate(values):
        if isinstance(value, Unknown) or (isinstance(value, LocalCopy) and place > 0):
            return UNKNOWN
        if isinstance(value, LocalCopy):
            repo_id, text = value.repo_id, value.path
            continue
        text = f"{text}{between if text else ''}{value}"
        if len(text) > _MAX_CHARACTERS:
            return UNKNOWN
    return text if repo_id is None else LocalCopy(repo_id, text.strip("/"))


def _parent(value: Value) -> Value:
    if isinstance(value, LocalCopy):
        return LocalCopy(value.repo_id, value.path.rpartition("/")[0])
    return value.rpartition("/")[0] if isinstance(value, str) else UNKNOWN
