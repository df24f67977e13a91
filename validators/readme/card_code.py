"""What the code blocks of a repository's README ask for: SAEs, files, imports, and risky habits."""

from __future__ import annotations

import ast
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

from manifests.build_folder import SAE_CONFIG, SAE_WEIGHTS
from validators.readme.snippet_values import (
    UNKNOWN,
    LocalCopy,
    Names,
    calls_in_order,
    file_in_repo,
    function_name,
)
from validators.readme.snippets import MAX_README_BYTES, README, PythonBlock, python_blocks
from validators.subjects import RepositorySubject

_FROM_HUB = ("from_pretrained", "from_pretrained_with_cfg_and_sparsity")
_FROM_DISK = ("load_from_disk", "load_from_pretrained")
_SAE_CLASSES = ("SAE", "Transcoder")
_OPENERS = ("load_file", "safe_open", "open", "load")
_FILES_OF_AN_SAE = (SAE_CONFIG, SAE_WEIGHTS)
# Packages whose names are checked at the load tier; others may be the reader's own.
_MOST_ROUNDS = 200
_KNOWN_PACKAGES = ("sae_lens", "huggingface_hub", "safetensors", "transformers", "torch")


@dataclass(frozen=True)
class SaeLoad:
    """The arguments of `SAE.from_pretrained`, all literal.

    Attributes:
        release: a repository's id, or a name in SAELens' own list.
        sae_id: the SAE's folder.
        options: keyword arguments besides these and the device, which is always the CPU.
    """

    release: str
    sae_id: str
    options: tuple[tuple[str, str | bool], ...] = ()

    def as_json(self) -> dict[str, Any]:
        """As the loading program takes it."""
        options = {**dict(self.options), "device": "cpu"}
        return {"release": self.release, "sae_id": self.sae_id, "options": options}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> SaeLoad:
        """The inverse of `as_json`."""
        options = tuple((k, v) for k, v in value["options"].items() if k != "device")
        return cls(value["release"], value["sae_id"], options)


@dataclass(frozen=True)
class Asked:
    """One call whose arguments could be told.

    Attributes:
        line: of README.md, from 1.
        kind: an SAE's folder, a file, or only the repository.
        repo_id: the repository it names; None: a path on the reader's disk.
        path: of the folder or file, in the repository or on the disk.
        load: what `SAE.from_pretrained` is called with; None for other calls.
        named_on: the line on which the path is written, where that is another one.
    """

    line: int
    kind: Literal["sae", "file", "repository"]
    repo_id: str | None
    path: str
    load: SaeLoad | None = None
    named_on: int | None = None


@dataclass(frozen=True)
class Risk:
    """A call that works today and may not do what its reader thinks."""

    line: int
    what: str
    instead: str


@dataclass(frozen=True)
class CardCode:
    """What the blocks hold together.

    Attributes:
        blocks: the Python blocks, in order.
        asked: what they ask for.
        risks: what R003 warns of.
        imports: line, module and name (None for `import module`) of imports from known packages.
        builds_from_config: lines of `SAE.from_dict(...)`.
    """

    blocks: tuple[PythonBlock, ...] = ()
    asked: tuple[Asked, ...] = ()
    risks: tuple[Risk, ...] = ()
    imports: tuple[tuple[int, str, str | None], ...] = ()
    builds_from_config: tuple[int, ...] = ()


_KNOWN: weakref.WeakKeyDictionary[RepositorySubject, CardCode] = weakref.WeakKeyDictionary()


def card_code(subject: RepositorySubject) -> CardCode:
    """The code of the repository's README; empty where it has none.

    Raises:
        UnreadableFile: README.md is too long, or not UTF-8.
    """
    if subject not in _KNOWN:
        if README not in subject.repository.files:
            return CardCode()
        text = subject.repository.read_text(README, max_bytes=MAX_README_BYTES)
        _KNOWN[subject] = code_of(python_blocks(text))
    return _KNOWN[subject]


def code_of(blocks: tuple[PythonBlock, ...]) -> CardCode:
    """What the blocks hold; each may use the names that those before it assigned."""
    names = Names()
    asked: list[Asked] = []
    risks: list[Risk] = []
    imports: list[tuple[int, str, str | None]] = []
    from_config: list[int] = []
    written: dict[str, int] = {}
    for block in blocks:
        if block.tree is None:
            continue
        written |= _literals(block)
        for call in calls_in_order(block.tree, names):
            line = block.line + call.lineno - 1
            for one in _asked(call, names, line):
                own = {n.id for n in ast.walk(call) if isinstance(n, ast.Name)}
                at = next((written[n] for n in own if names.values.get(n) == one.path
                           and n in written), None)  # fmt: skip
                texts = (n for n in ast.walk(call) if isinstance(n, ast.Constant))
                given = (block.line + n.lineno - 1 for n in texts if n.value == one.path)
                at = at or next(given, None)
                asked.append(replace(one, named_on=at))
            risks += _risky_call(call, names, line)
            if function_name(call) == "from_dict" and _is_sae_class(call):
                from_config.append(line)
        asked += _in_loops(block, names)
        risks += _unpacked(block)
        imports += _imports(block)
    return CardCode(
        blocks=blocks,
        asked=tuple(asked),
        risks=tuple(sorted(risks, key=lambda risk: risk.line)),
        imports=tuple(imports),
        builds_from_config=tuple(from_config),
    )


def _asked(call: ast.Call, names: Names, line: int) -> Iterator[Asked]:
    name = function_name(call)
    if name in _FROM_HUB and _is_sae_class(call):
        release, sae_id = names.argument(call, 0, "release"), names.argument(call, 1, "sae_id")
        if isinstance(release, str) and isinstance(sae_id, str):
            load = SaeLoad(release, sae_id, _options(call, names))
            yield Asked(line, "sae", release, sae_id, load)
    elif name in _FROM_DISK and _is_sae_class(call):
        path = names.argument(call, 0, "path")
        if isinstance(path, LocalCopy):
            yield Asked(line, "sae", path.repo_id, path.path or ".")
        elif isinstance(path, str):
            yield Asked(line, "sae", None, path)
    elif name in ("hf_hub_download", "hf_hub_url", "snapshot_download"):
        repo_id = names.argument(call, 0, "repo_id")
        of_models = names.argument(call, None, "repo_type") in (None, "model")
        if not isinstance(repo_id, str) or not of_models:
            return
        path = None if name == "snapshot_download" else file_in_repo(names, call)
        if path is None:
            yield Asked(line, "repository", repo_id, "")
        else:
            yield Asked(line, "file", repo_id, path)
    elif name in _OPENERS and call.args:
        path = names.value_of(call.args[0])
        if isinstance(path, LocalCopy) and path.path.rpartition("/")[2] in _FILES_OF_AN_SAE:
            yield Asked(line, "file", path.repo_id, path.path)
        elif isinstance(path, str) and path.rpartition("/")[2] in _FILES_OF_AN_SAE:
            yield Asked(line, "file", None, path)


def _literals(block: PythonBlock) -> dict[str, int]:
    """The line on which a name is given a text."""
    assert block.tree is not None
    found = {}
    for node in ast.walk(block.tree):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=str())):
                found[name] = block.line + node.lineno - 1
    return found


def _in_loops(block: PythonBlock, names: Names) -> Iterator[Asked]:
    """What is loaded for each value of a loop over literals; `load` is left open."""
    assert block.tree is not None
    for node in ast.walk(block.tree):
        match node:
            case ast.ListComp(generators=[loop]) | ast.DictComp(generators=[loop]):
                target, over = loop.target, loop.iter
            case ast.For(target=target, iter=over):
                pass
            case _:
                continue
        if not isinstance(target, ast.Name) or not isinstance(over, ast.Tuple | ast.List):
            continue
        calls = [each for each in ast.walk(node) if isinstance(each, ast.Call)]
        for value in over.elts[:_MOST_ROUNDS]:
            inside = Names({**names.values, target.id: names.value_of(value)})
            for call in calls:
                line = block.line + call.lineno - 1
                if target.id not in {n.id for n in ast.walk(call) if isinstance(n, ast.Name)}:
                    continue
                for asked in _asked(call, inside, line):
                    over_line = block.line + value.lineno - 1
                    yield replace(asked, line=line, load=None, named_on=over_line)


def _options(call: ast.Call, names: Names) -> tuple[tuple[str, str | bool], ...]:
    """The options that change what is loaded; SAELens has no others of a plain type."""
    found = ((key, names.argument(call, None, key)) for key in ("dtype", "fold_W_dec_norm"))
    return tuple((key, value) for key, value in found if isinstance(value, str | bool))


def _risky_call(call: ast.Call, names: Names, line: int) -> Iterator[Risk]:
    name = function_name(call)
    owner = call.func.value if isinstance(call.func, ast.Attribute) else None
    owner_name = owner.id if isinstance(owner, ast.Name) else ""
    if name == "load_state_dict" and names.argument(call, 1, "strict") is False:
        yield Risk(
            line, "load_state_dict(strict=False) keeps whatever is missing at its initial value",
            "leave strict=False out",
        )  # fmt: skip
    elif name == "load" and owner_name == "torch":
        if names.argument(call, None, "weights_only") in (True, UNKNOWN):
            return
        yield Risk(
            line, "torch.load without weights_only=True may run code from the file",
            "publish safetensors, or pass weights_only=True",
        )  # fmt: skip
    elif name in ("load", "loads") and owner_name in ("pickle", "joblib", "dill", "cloudpickle"):
        yield Risk(line, f"{owner_name}.{name} runs code from the file", "publish safetensors")


def _unpacked(block: PythonBlock) -> Iterator[Risk]:
    """`sae, cfg, sparsity = SAE.from_pretrained(...)`: SAELens 6 bears with it by `__iter__`."""
    assert block.tree is not None
    for node in ast.walk(block.tree):
        if (
            isinstance(node, ast.Assign)
            and isinstance(node.value, ast.Call)
            and any(isinstance(target, ast.Tuple | ast.List) for target in node.targets)
            and function_name(node.value) in ("from_pretrained", *_FROM_DISK)
            and _is_sae_class(node.value)
        ):
            yield Risk(
                block.line + node.lineno - 1,
                "SAE.from_pretrained returns one SAE; taking it apart is deprecated",
                "sae = SAE.from_pretrained(...)",
            )


def _imports(block: PythonBlock) -> Iterator[tuple[int, str, str | None]]:
    assert block.tree is not None
    named: list[tuple[str, str | None]]
    for node in ast.walk(block.tree):
        if isinstance(node, ast.Import):
            named = [(alias.name, None) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            named = [(node.module, a.name if a.name != "*" else None) for a in node.names]
        else:
            continue
        for module, name in named:
            if module.partition(".")[0] in _KNOWN_PACKAGES:
                yield block.line + node.lineno - 1, module, name


def _is_sae_class(call: ast.Call) -> bool:
    owner = call.func.value if isinstance(call.func, ast.Attribute) else None
    match owner:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name.endswith(_SAE_CLASSES)
    return False
