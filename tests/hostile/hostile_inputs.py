"""Hostile repositories: what the corpus keeps as files, and what is too large or odd to be kept.

A file `corpus/PLACE/CODE-what_it_is.input` stands for a good repository whose file PLACE was
replaced by it; CODE is the check that must not pass. Inputs that git cannot hold (sizes, links,
pipes, names) are made by the functions below.
"""

from __future__ import annotations

import json
import os
import pickle
import socket
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

CORPUS = Path(__file__).parent / "corpus"
SAE = "tiny_topk"
CANARY = "SAE_RELEASE_HOSTILE_CANARY"

# Where in the repository a file of each folder of the corpus goes.
PLACES = {
    "cfg.json": f"{SAE}/cfg.json",
    "sae_weights.safetensors": f"{SAE}/sae_weights.safetensors",
    "training.json": "training.json",
    "manifest.json": "manifest.json",
    "README.md": "README.md",
}

# What stands for a repository that is refused as a whole, and for one that is still good.
REFUSED = "REFUSED"
HARMLESS = "HARMLESS"


@dataclass(frozen=True)
class Hostile:
    """One hostile repository: `make` damages a good one; `code` is what notices it."""

    code: str
    name: str
    make: Callable[[Path], None]

    def __str__(self) -> str:
        return f"{self.code}-{self.name}"


def kept() -> Iterator[Hostile]:
    for place, target in PLACES.items():
        for path in sorted((CORPUS / place).iterdir()):
            code, _, name = path.stem.partition("-")
            yield Hostile(code, f"{place}-{name}", _copy(path, target))


def _copy(path: Path, target: str) -> Callable[[Path], None]:
    return lambda root: _write(target, path.read_bytes())(root)


def _write(target: str, content: bytes | Callable[[], bytes]) -> Callable[[Path], None]:
    def make(root: Path) -> None:
        path = root.joinpath(*target.split("/"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content() if callable(content) else content)

    return make


def header_file(header: bytes, *, length: int | None = None, data: bytes = b"") -> bytes:
    n = len(header) if length is None else length
    return n.to_bytes(8, "little") + header + data


def _million_keys() -> bytes:
    return b"{" + b",".join(b'"%d":0' % n for n in range(600_000)) + b"}"


def _million_tensors() -> bytes:
    entry = b'"%07d":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}'
    return header_file(b"{" + b",".join(entry % n for n in range(160_000)) + b"}")


def _ten_thousand_and_one_tensors() -> bytes:
    entry = b'"%d":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}'
    return header_file(b"{" + b",".join(entry % n for n in range(10_001)) + b"}")


def _long_header_of_a_sparse_file(root: Path) -> None:
    path = root / SAE / "sae_weights.safetensors"
    with path.open("wb") as stream:
        stream.write((99_000_000).to_bytes(8, "little") + b"{")
        stream.truncate(200_000_000)


def _sparse_file_beyond_every_hub(root: Path) -> None:
    if sys.platform == "win32":
        pytest.skip("NTFS would set the bytes aside")
    try:
        os.truncate(root / SAE / "sae_weights.safetensors", 600_000_000_000)
    except OSError:
        pytest.skip("this file system holds no file of 600 GB")


class _RunsCode:
    """Unpickled, it writes the file that the environment variable CANARY names."""

    def __reduce__(self) -> tuple[Any, ...]:
        code = f"import os, pathlib; pathlib.Path(os.environ[{CANARY!r}]).write_text('pickle ran')"
        return exec, (code,)


def _pickle_under_another_name(root: Path) -> None:
    (root / SAE / "sae_weights.safetensors").write_bytes(pickle.dumps(_RunsCode()))


def _pickles_beside(root: Path) -> None:
    for name in ("ae.pt", "sae.pkl", "pytorch_model.bin", "trainer_0/ae.pt", "optimizer.pt"):
        _write(f"{SAE}/{name}", pickle.dumps(_RunsCode()))(root)


def _only_pickles(root: Path) -> None:
    for path in (root / SAE).iterdir():
        path.unlink()
    _write("layer_3/ae.pt", pickle.dumps(_RunsCode()))(root)
    _write("layer_3/config.json", b'{"trainer": {"activation_dim": 16, "dict_size": 64}}')(root)


def _torch_archive(root: Path, name: str) -> None:
    """An archive as torch.save writes it, whose pickle runs code."""
    path = root.joinpath(*name.split("/"))
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(_RunsCode()))
        archive.writestr("archive/version", "3\n")


def _archive_that_unpacks_a_thousandfold(root: Path) -> None:
    with zipfile.ZipFile(root / SAE / "ae.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("archive/data.pkl", "w", force_zip64=True) as stream:
            for _ in range(64):
                stream.write(bytes(1 << 20))
        archive.writestr("archive/version", "3\n")


def _code_that_loaders_could_run(root: Path) -> None:
    code = f"import os, pathlib\npathlib.Path(os.environ[{CANARY!r}]).write_text('module ran')\n"
    for name in ("modeling_sae", "safetensors", "sitecustomize", "conftest", "__init__", "json"):
        for folder in ("", f"{SAE}/"):
            _write(f"{folder}{name}.py", code.encode())(root)
    config = {"model_type": "x", "auto_map": {"AutoModel": "modeling_sae.Model"}}
    _write("config.json", json.dumps(config).encode())(root)
    text = f"# SAEs\n\n```python\n{code}```\n\n```bash\ntouch ${CANARY}\n```\n"
    _write("README.md", text.encode())(root)


def _link(link: str, target: str, *, is_folder: bool = False) -> Callable[[Path], None]:
    def make(root: Path) -> None:
        place = root / link
        place.unlink(missing_ok=True)
        try:
            place.symlink_to(target, target_is_directory=is_folder)
        except OSError:
            pytest.skip("this machine does not let tests make links")

    return make


def _chain_of_links(root: Path) -> None:
    for n in range(60):
        _link(f"link{n}", f"link{n + 1}")(root)


def _pipe(name: str) -> Callable[[Path], None]:
    def make(root: Path) -> None:
        if not hasattr(os, "mkfifo"):
            pytest.skip("this system has no named pipes in folders")
        (root / name).unlink(missing_ok=True)
        os.mkfifo(root / name)

    return make


def _socket(root: Path) -> None:
    if not hasattr(socket, "AF_UNIX"):
        pytest.skip("this system has no sockets in folders")
    before = Path.cwd()
    # The address of a socket has at most 107 bytes.
    os.chdir(root)
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind("README.md")
    finally:
        os.chdir(before)


def _named(name: str | bytes) -> Callable[[Path], None]:
    def make(root: Path) -> None:
        encoded = name if isinstance(name, bytes) else os.fsencode(name)
        try:
            with open(os.path.join(os.fsencode(root), encoded), "wb") as stream:  # noqa: PTH118, PTH123
                stream.write(b"x")
        except OSError:
            pytest.skip("this system has no such names")

    return make


def _sae_folder_named(name: str) -> Callable[[Path], None]:
    def make(root: Path) -> None:
        try:
            (root / SAE).rename(root / name)
        except OSError:
            pytest.skip("this system has no such names")

    return make


def _twice_in_another_case(root: Path) -> None:
    target = root / SAE.upper()
    if target.exists():
        pytest.skip("this file system takes both cases for one name")
    target.mkdir()
    for path in (root / SAE).iterdir():
        (target / path.name).write_bytes(path.read_bytes())


def _private(root: Path) -> None:
    (root / "secret").mkdir()
    (root / "secret").chmod(0)
    if os.access(root / "secret", os.R_OK):
        (root / "secret").chmod(0o700)
        pytest.skip("this user may read everything")


def _folders_deep(n: int) -> Callable[[Path], None]:
    return lambda root: root.joinpath(*["d"] * n).mkdir(parents=True)


_CFG, _WEIGHTS = PLACES["cfg.json"], PLACES["sae_weights.safetensors"]
_8_MB = 7_999_998

MADE: tuple[Hostile, ...] = (
    Hostile("F005", "header_of_a_million_tensors", _write(_WEIGHTS, _million_tensors)),
    Hostile("F005", "header_of_10001_tensors", _write(_WEIGHTS, _ten_thousand_and_one_tensors)),
    Hostile("F005", "header_of_99_MB_in_a_sparse_file", _long_header_of_a_sparse_file),
    Hostile(
        "F005", "header_of_9_MB_of_brackets",
        _write(_WEIGHTS, lambda: header_file(b'{"a":' + b"[" * 9_000_000)),
    ),
    Hostile(
        "W001", "header_of_9_MB_of_spaces",
        _write(_WEIGHTS, lambda: header_file(b"{}" + b" " * 9_000_000)),
    ),
    Hostile("F031", "file_of_600_GB", _sparse_file_beyond_every_hub),
    Hostile("C001", "8_MB_of_brackets", _write(_CFG, lambda: b"[" * _8_MB)),
    Hostile("C001", "8_MB_of_objects", _write(_CFG, lambda: b'{"a":' * (_8_MB // 5))),
    Hostile("C001", "million_keys", _write(_CFG, _million_keys)),
    Hostile("C001", "same_key_a_million_times", _write(_CFG, lambda: b"{" + b'"a":1,' * 1_300_000)),
    Hostile("C001", "8_MB_of_backslashes", _write(_CFG, lambda: b'"' + b"\\" * (_8_MB - 1))),
    Hostile("C001", "8_MB_of_digits", _write(_CFG, lambda: b'{"k": ' + b"9" * 7_000_000 + b"}")),
    Hostile("C001", "9_MB", _write(_CFG, lambda: b'{"a": "' + b"a" * 9_000_000 + b'"}')),
    Hostile("F006", "pickles_with_code", _pickles_beside),
    Hostile("F006", "only_pickles_with_code", _only_pickles),
    Hostile("F005", "pickle_named_safetensors", _pickle_under_another_name),
    Hostile("F005", "archive_named_safetensors", lambda root: _torch_archive(root, _WEIGHTS)),
    Hostile("F006", "archive_with_code", lambda root: _torch_archive(root, f"{SAE}/ae.pt")),
    Hostile("F006", "archive_of_64_MB_in_80_kB", _archive_that_unpacks_a_thousandfold),
    Hostile(HARMLESS, "code_that_loaders_could_run", _code_that_loaders_could_run),
    Hostile("F007", "link_to_a_system_file", _link("README.md", "/etc/passwd")),
    Hostile("F007", "link_to_an_endless_device", _link(_CFG, "/dev/zero")),
    Hostile("F007", "link_to_itself", _link("a", "a")),
    Hostile("F007", "link_to_its_own_folder", _link("a", ".", is_folder=True)),
    Hostile("F007", "link_to_the_folder_above", _link("a", "..", is_folder=True)),
    Hostile("F007", "chain_of_60_links", _chain_of_links),
    Hostile("F007", "weights_are_a_link_out", _link(_WEIGHTS, "/etc/hostname")),
    Hostile("F031", "config_is_a_pipe", _pipe(_CFG)),
    Hostile("F031", "weights_are_a_pipe", _pipe(_WEIGHTS)),
    Hostile("F031", "manifest_is_a_pipe", _pipe("manifest.json")),
    Hostile("F031", "training_record_is_a_pipe", _pipe("training.json")),
    Hostile("F031", "card_is_a_socket", _socket),
    Hostile("F031", "folder_of_another_user", _private),
    Hostile("F031", "folders_300_deep", _folders_deep(300)),
    Hostile("F031", "line_break_in_a_name", _named("x\nPASSED: 99 checks passed")),
    Hostile("F031", "terminal_escape_in_a_name", _named("x\x1b[2J\x1b[1;1HPASSED")),
    Hostile("F031", "name_that_is_no_text", _named(b"\xff\xfe.json")),
    Hostile("F031", "line_separator_in_a_name", _named("x\u2028PASSED")),
    Hostile("F031", "sae_folder_with_a_line_break", _sae_folder_named("topk\nPASSED")),
    Hostile("F007", "name_of_the_folder_above_on_windows", _named("..\\..\\evil.bat")),
    Hostile("F007", "name_of_a_drive_on_windows", _named("C:evil.bat")),
    Hostile("S002", "name_reserved_on_windows", _named("aux.json")),
    Hostile("S002", "dot_at_the_end_of_a_name", _named("weights.")),
    Hostile("S002", "name_that_runs_backwards", _named("weights\u202etxt.exe")),
    Hostile("F030", "two_saes_apart_only_in_case", _twice_in_another_case),
    Hostile(REFUSED, "manifest_of_8_MB_of_brackets", _write("manifest.json", lambda: b"[" * _8_MB)),
    Hostile(REFUSED, "manifest_of_a_million_keys", _write("manifest.json", _million_keys)),
    Hostile(
        HARMLESS, "training_record_of_20_MB",
        _write("training.json", lambda: b"[" * 20_000_000),
    ),
    Hostile("R001", "card_of_5_MB_in_a_line", _write("README.md", lambda: b"[(|*`_-" * 750_000)),
    Hostile(
        HARMLESS, "front_matter_of_a_million_brackets",
        _write("README.md", lambda: b"---\na: " + b"[" * 900_000 + b"\n---\n"),
    ),
)  # fmt: skip

EVERY: tuple[Hostile, ...] = (*kept(), *MADE)
