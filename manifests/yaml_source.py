"""Reading YAML strictly, with the file, line and column of every key and value.

The scalars follow YAML 1.2's core schema (`no` is a string, `3e-4` a float). Refused: duplicate
keys, keys that are not strings, tags that would build objects, aliases whose expansion exceeds
`MAX_NODES`, nesting beyond `MAX_DEPTH`, several documents in one file.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from manifests.errors import ReleaseError
from manifests.nearest import nearest_file

MAX_NODES = 100_000
MAX_DEPTH = 40
MAX_BYTES = 4_000_000

KeyPath = tuple[str | int, ...]


class YamlProblem(ReleaseError):
    """A YAML file that cannot be read, with line and column."""

    exit_code = 2


@dataclass(frozen=True, order=True)
class Origin:
    """Where a value was written; `line` and `column` count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        """`file:line:column`, which editors and terminals make a link of."""
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True)
class SourcedData:
    """Plain data read from YAML; `origins` has the place of each value, keyed by its path."""

    data: Any
    origins: dict[KeyPath, Origin]

    def origin_of(self, path: KeyPath) -> Origin | None:
        """The place of the value at `path`, or of the nearest enclosing value that has one."""
        for end in range(len(path), -1, -1):
            if path[:end] in self.origins:
                return self.origins[path[:end]]
        return None


# libyaml parses several times faster; a platform without it gets the same nodes from Python.
_SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _CoreSchemaLoader(_SafeLoader):  # type: ignore[misc]
    """SafeLoader with the implicit types of YAML 1.2's core schema only."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012


_CoreSchemaLoader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)
_CoreSchemaLoader.add_implicit_resolver(
    "tag:yaml.org,2002:null", re.compile(r"^(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""]
)
_CoreSchemaLoader.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(r"^[-+]?[0-9]+$"), list("-+0123456789")
)
_CoreSchemaLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$"),
    list("-+.0123456789"),
)

_STR = "tag:yaml.org,2002:str"
_INT = "tag:yaml.org,2002:int"
_FLOAT = "tag:yaml.org,2002:float"
_BOOL = "tag:yaml.org,2002:bool"
_NULL = "tag:yaml.org,2002:null"


def _meant(path: Path) -> str | None:
    near = None if path.exists() else nearest_file(path, (".yaml", ".yml"))
    return f"did you mean {near.as_posix()}?" if near else None


def _where_manifests_are() -> str:
    """What somebody does whose path is like no file: look at the list, or first go where it is."""
    if Path("manifests").is_dir():
        return "`release show --all` lists the manifests of ./manifests"
    return "this folder has no ./manifests: go to the project's folder, or give the whole path"


def _mend(text: str, line: int) -> str:
    """How the line that YAML stumbled over is mended; `line` counts from 0."""
    written = text.splitlines()[line] if line < len(text.splitlines()) else ""
    if "\t" in written[: len(written) - len(written.lstrip())]:
        return "indent with spaces; YAML takes no tab there"
    if written.startswith("---"):
        return "take the line '---' out, or make two files"
    return (
        "look there and just above: a line indented otherwise than its neighbours, a bracket or a "
        "quote left open, or a text with ': ' in it, which needs quotes"
    )


def read_yaml(path: Path, *, shown_as: str | None = None) -> SourcedData:
    """Read one YAML document from a file.

    Args:
        path: the file.
        shown_as: the name of the file in origins and errors; its path when not given.

    Raises:
        YamlProblem: the file is missing, too large, not UTF-8, not YAML, or uses a refused form.
    """
    name = shown_as or str(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise YamlProblem(
            f"cannot be read: {error.strerror or error}",
            where=name,
            expected="a YAML file",
            next_step=_meant(path) or _where_manifests_are(),
        ) from error
    if len(content) > MAX_BYTES:
        raise YamlProblem(
            f"is {len(content)} bytes long", where=name, expected=f"at most {MAX_BYTES} bytes"
        )
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise YamlProblem(
            f"is not UTF-8 (byte {error.start})", where=name, expected="UTF-8 text"
        ) from error
    return parse_yaml(text, shown_as=name)


def parse_yaml(text: str, *, shown_as: str) -> SourcedData:
    """Parse one YAML document; the same rules and errors as `read_yaml`."""
    try:
        _refuse_excess(text, shown_as)
        node = _CoreSchemaLoader(text).get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{shown_as}:{mark.line + 1}:{mark.column + 1}" if mark else shown_as
        raise YamlProblem(
            f"is not valid YAML: {error.problem or error.context}",
            where=place,
            expected="one YAML document",
            next_step=_mend(text, mark.line) if mark else None,
        ) from error
    except yaml.YAMLError as error:
        raise YamlProblem(f"is not valid YAML: {error}", where=shown_as) from error
    except RecursionError as error:
        raise YamlProblem("is nested too deeply", where=shown_as) from error
    if node is None:
        raise YamlProblem("is empty", where=shown_as, expected="a mapping of keys to values")
    builder = _Builder(shown_as)
    data = builder.build(node, (), depth=0)
    return SourcedData(data=data, origins=builder.origins)


def _refuse_excess(text: str, shown_as: str) -> None:
    """Refuse depth and number of nodes from the events, which need no memory and no recursion.

    libyaml's composer recurses in C, where deep nesting ends the process without an error, and
    builds near a kilobyte for two bytes of text.
    """
    loader = _CoreSchemaLoader(text)
    count = depth = 0
    while loader.check_event():
        event = loader.get_event()
        # Keys are nodes too, but no values.
        count += isinstance(event, yaml.NodeEvent)
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if count > 2 * MAX_NODES or depth > MAX_DEPTH + 1:
            what = (
                f"is nested more than {MAX_DEPTH} levels deep"
                if depth > MAX_DEPTH + 1
                else f"holds more than {2 * MAX_NODES} keys and values"
            )
            raise YamlProblem(
                what,
                where=f"{shown_as}:{event.start_mark.line + 1}:{event.start_mark.column + 1}",
                expected="a file that a person can read",
            )


class _Builder:
    """Turns YAML nodes into plain data, recording where each value was written."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.origins: dict[KeyPath, Origin] = {}
        self.count = 0

    def origin(self, node: yaml.Node) -> Origin:
        mark = node.start_mark
        return Origin(self.file, mark.line + 1, mark.column + 1)

    def build(self, node: yaml.Node, path: KeyPath, *, depth: int) -> Any:
        self.count += 1
        if self.count > MAX_NODES:
            raise YamlProblem(
                f"expands to more than {MAX_NODES} values",
                where=str(self.origin(node)),
                expected="a file without aliases that multiply",
            )
        if depth > MAX_DEPTH:
            raise YamlProblem(
                f"is nested more than {MAX_DEPTH} levels deep", where=str(self.origin(node))
            )
        self.origins.setdefault(path, self.origin(node))
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path, depth)
        if isinstance(node, yaml.SequenceNode):
            self._only(node, "tag:yaml.org,2002:seq")
            return [
                self.build(item, (*path, index), depth=depth + 1)
                for index, item in enumerate(node.value)
            ]
        return self._scalar(node)

    def _mapping(self, node: yaml.MappingNode, path: KeyPath, depth: int) -> dict[str, Any]:
        self._only(node, "tag:yaml.org,2002:map")
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag != _STR:
                raise YamlProblem(
                    f"has a key that is not a string: {getattr(key_node, 'value', '?')!r:.60}",
                    where=str(self.origin(key_node)),
                    expected="quote it to make it a string",
                )
            key = key_node.value
            if key in result:
                first = self.origins[(*path, key)]
                raise YamlProblem(
                    f"states the key {key!r:.80} twice (first in line {first.line})",
                    where=str(self.origin(key_node)),
                    expected="each key once",
                )
            self.origins[(*path, key)] = self.origin(key_node)
            result[key] = self.build(value_node, (*path, key), depth=depth + 1)
        return result

    def _scalar(self, node: yaml.Node) -> Any:
        text = str(node.value)
        match node.tag:
            case t if t == _STR:
                return text
            case t if t == _INT:
                return self._integer(node, text)
            case t if t == _FLOAT:
                return self._float(node, text)
            case t if t == _BOOL:
                return text.lower() == "true"
            case t if t == _NULL:
                return None
        self._only(node, _STR)
        raise AssertionError("unreachable: an unknown tag was refused above")

    def _integer(self, node: yaml.Node, text: str) -> int:
        if len(text) > 30:
            raise YamlProblem(
                f"has an integer of {len(text)} digits",
                where=str(self.origin(node)),
                expected="at most 30 digits",
            )
        return int(text)

    def _float(self, node: yaml.Node, text: str) -> float:
        value = float(text)
        if math.isinf(value):
            raise YamlProblem(
                f"has a number that no float holds: {text:.40}",
                where=str(self.origin(node)),
                expected="a number below 1.8e308",
            )
        return value

    def _only(self, node: yaml.Node, tag: str) -> None:
        if node.tag != tag:
            raise YamlProblem(
                f"carries the tag {node.tag!r:.80}, which would build an object",
                where=str(self.origin(node)),
                expected="plain strings, numbers, booleans, lists and mappings",
            )
