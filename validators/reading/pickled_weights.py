"""What a pickle of tensors holds, found out without running anything that it asks for."""

from __future__ import annotations

import importlib.util
import io
import pickletools
import re
import warnings
import zipfile
from pathlib import Path
from typing import Any

from manifests.errors import MissingExtra, ReleaseError

MAX_PICKLE_BYTES = 2_000_000_000
_MOST_NAMED = 6
_FIRST_BYTES = 65_536


class PickleRefused(ReleaseError):
    """A pickle that holds more than tensors, or cannot be read as one."""

    exit_code = 1


def tensors_of(path: Path, *, where: str) -> dict[str, Any]:
    """The tensors of a pickled state dict by name, on the CPU.

    Nested dictionaries are flattened with dots. Everything that is no tensor is left out.

    Raises:
        PickleRefused: it wants to run code, is damaged, or would be larger than 2 GB in memory.
        MissingExtra: torch is not installed.
    """
    import torch

    return {
        name: value
        for name, value in _flat(load_weights_only(path, where=where))
        if isinstance(value, torch.Tensor)
    }


def load_weights_only(path: Path, *, where: str) -> Any:
    """What `torch.load(weights_only=True)` reads, on the CPU.

    Raises:
        PickleRefused: it wants to run code, is damaged, or would be larger than 2 GB in memory.
        MissingExtra: torch is not installed.
    """
    if importlib.util.find_spec("torch") is None:
        raise MissingExtra(needed_for="reading pickled weights", package="torch", extra="measure")
    import torch

    _refuse_a_bomb(path, where)
    try:
        with warnings.catch_warnings():
            # torch warns of pickle protocols that it may not read; then it raises as well.
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except MemoryError as error:
        raise PickleRefused("asks for more memory than there is", where=where) from error
    except Exception as error:
        raise PickleRefused(_reason(error, path), where=where, expected="tensors only") from error


def holdings_of(path: Path, *, where: str) -> str:
    """One phrase: the tensors' names and shapes, `W_enc (16, 64), b_dec (16,)`.

    Raises:
        PickleRefused: it wants to run code, is damaged, or would be larger than 2 GB in memory.
        MissingExtra: torch is not installed.
    """
    tensors = tensors_of(path, where=where)
    named = [f"{_printable(name)} {tuple(t.shape)}" for name, t in sorted(tensors.items())]
    rest = f" and {len(named) - _MOST_NAMED} more tensors" if len(named) > _MOST_NAMED else ""
    return ", ".join(named[:_MOST_NAMED]) + rest if named else "no tensors"


def _refuse_a_bomb(path: Path, where: str) -> None:
    """torch.save writes a zip without compression; one that grows when opened is not from it."""
    if not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise PickleRefused(f"is a damaged archive: {error}", where=where) from error
    if size > MAX_PICKLE_BYTES:
        raise PickleRefused(
            f"would be {size / 1e9:.1f} GB when unpacked", where=where, expected="at most 2 GB"
        )


def _reason(error: Exception, path: Path) -> str:
    """What torch refused, without its advice to trust the file."""
    text = " ".join(str(error).split())
    wanted = re.search(r"(?:unsupported GLOBAL|Unsupported global: GLOBAL) ([\w.]+)", text)
    name = wanted[1] if wanted else next(iter(_imports(path)), None)
    if name is not None:
        return f"wants to run {_printable(name)[:80]}, and was not opened"
    return "is no pickle of tensors that torch.load(weights_only=True) reads"


def _imports(path: Path) -> list[str]:
    """What a bare pickle imports, by its opcodes; nothing is executed, [] where they make no sense.

    Only the first bytes are looked at, since this is for naming what torch already refused.
    """
    found: list[str] = []
    texts: list[str] = []
    try:
        with path.open("rb") as stream:
            start = io.BytesIO(stream.read(_FIRST_BYTES))
        for opcode, argument, _ in pickletools.genops(start):
            if opcode.name == "GLOBAL":
                found.append(str(argument).replace(" ", "."))
            elif opcode.name == "STACK_GLOBAL":
                found.append(".".join(texts[-2:]))
            elif isinstance(argument, str):
                texts.append(argument)
    except ValueError:
        # Not a pickle from here on; what came before it still says something.
        return found
    return found


def _flat(value: Any, prefix: str = "", depth: int = 0) -> list[tuple[str, Any]]:
    if isinstance(value, dict) and depth < 4:
        return [
            pair
            for key, item in value.items()
            for pair in _flat(item, f"{prefix}.{key}" if prefix else str(key), depth + 1)
        ]
    return [(prefix or "value", value)]


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)
