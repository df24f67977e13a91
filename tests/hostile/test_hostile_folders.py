"""A folder that changes while it is read, holds too much, or multiplies: one clear error each."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from manifests import matrix as matrix_module
from manifests.errors import ReleaseError
from manifests.matrix import MatrixProblem
from manifests.model import SaeMatrix
from validators.reading import local_repository
from validators.reading.local_repository import LocalRepository, TooManyFiles
from validators.reading.repository import UnreadableFile
from validators.reading.safetensors_header import MalformedSafetensors


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "cfg.json").write_text('{"k": 4}', encoding="utf-8")
    (tmp_path / "w.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    return tmp_path


@pytest.mark.parametrize("read", ["read_json", "sha256", "fetch", "read_header"])
def test_a_file_that_disappears_is_named(folder: Path, read: str) -> None:
    repository = LocalRepository(folder)
    (folder / "cfg.json").unlink()
    with pytest.raises(UnreadableFile, match="does not exist") as caught:
        getattr(repository, read)("cfg.json")
    assert caught.value.where == "cfg.json"


def test_a_file_that_shrinks_or_grows_is_read_within_its_bounds(folder: Path) -> None:
    repository = LocalRepository(folder)
    (folder / "w.safetensors").write_bytes((2).to_bytes(8, "little") + b"{")
    with pytest.raises(MalformedSafetensors, match="cut within its header"):
        repository.read_header("w.safetensors")
    (folder / "w.safetensors").write_bytes(b"")
    with pytest.raises(MalformedSafetensors, match="bytes long"):
        repository.read_header("w.safetensors")
    (folder / "cfg.json").write_bytes(b'"' + b"a" * 9_000_000 + b'"')
    with pytest.raises(UnreadableFile, match="longer than the 8 bytes it was listed with"):
        repository.read_json("cfg.json")


def test_a_read_of_more_than_the_file_holds_takes_no_more_memory(folder: Path) -> None:
    repository = LocalRepository(folder)
    assert repository.read_range("cfg.json", 3, 1 << 60) == b'": 4}'
    assert repository.read_range("cfg.json", 1 << 60, 10) == b""


def test_a_file_that_becomes_a_pipe_or_a_link_is_not_opened(folder: Path) -> None:
    if not hasattr(os, "mkfifo"):
        pytest.skip("this system has no named pipes in folders")
    repository = LocalRepository(folder)
    (folder / "cfg.json").unlink()
    os.mkfifo(folder / "cfg.json")
    with pytest.raises(UnreadableFile, match="does not exist"):
        repository.read_json("cfg.json")
    with pytest.raises(OSError, match="no longer a plain file"):
        local_repository._opened(folder / "cfg.json")
    (folder / "cfg.json").unlink()
    (folder / "cfg.json").symlink_to("/etc/passwd")
    with pytest.raises(UnreadableFile, match="leads out of the repository"):
        repository.read_json("cfg.json")


@pytest.mark.parametrize("read", ["read_json", "sha256"])
def test_a_file_that_the_system_refuses_is_named(
    folder: Path, read: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> int:
        raise PermissionError(13, "Permission denied")

    repository = LocalRepository(folder)
    monkeypatch.setattr(local_repository.os, "open", refuse)
    with pytest.raises(UnreadableFile, match="cannot be read: Permission denied") as caught:
        getattr(repository, read)("cfg.json")
    assert caught.value.next_step


def test_what_was_refused_once_is_not_parsed_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "cfg.json").write_bytes(b"[" * 1_000)
    repository = LocalRepository(folder)
    reads: list[str] = []
    real = repository.read_text
    monkeypatch.setattr(repository, "read_text", lambda path: reads.append(path) or real(path))
    for _ in range(20):
        with pytest.raises(UnreadableFile, match="nested too deeply"):
            repository.read_json("cfg.json")
    assert reads == ["cfg.json"]


def test_a_folder_of_too_many_files_is_left_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_repository, "MAX_ENTRIES", 20)
    for n in range(30):
        (tmp_path / f"{n}.txt").write_bytes(b"")
    with pytest.raises(TooManyFiles, match="more than 20 files") as caught:
        LocalRepository(tmp_path)
    assert caught.value.exit_code == 2
    assert caught.value.next_step


def matrix(**changes: Any) -> SaeMatrix:
    stated = {
        "id": "{architecture}_L{layer}_{condition}",
        "layers": [0, 1],
        "architectures": ["topk"],
        "conditions": ["mixed"],
        "expansion": 2,
    }
    return TypeAdapter(SaeMatrix).validate_python(stated | changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"layers": list(range(10_001))},
        # 3000 layers x 4 conditions = 12,000.
        {"layers": list(range(3_000)), "conditions": ["a", "b", "c", "d"]},
        {"include": [{"layers": list(range(2_000))}] * 6},
        # 9,000 SAEs, each held against 2,000 exclusions: 18 million comparisons.
        {"layers": list(range(9_000)), "exclude": [{"layers": [10_000 + n]} for n in range(2_000)]},
    ],
    ids=["layers", "product", "included", "excluded"],
)
def test_a_matrix_that_multiplies_is_refused_before_it_is_laid_out(changes: Any) -> None:
    with pytest.raises(MatrixProblem, match="multiply to"):
        matrix_module._refuse_excess(matrix(**changes))


@pytest.mark.parametrize(
    "template",
    [
        "{layer:0999999999d}",
        "{layer:>999999999}",
        "{condition.__class__}",
        "{layer[0]}",
        "{layer:{layer}}",
        "{layer!r}",
        "{0}",
        "{",
        "{nobody}",
    ],
)
def test_a_template_holds_plain_fields_only(template: str) -> None:
    with pytest.raises(MatrixProblem, match="cannot be filled in"):
        matrix_module._sae_id(template, 3, "topk", "mixed", "")


def test_plain_fields_with_a_width_are_filled_in() -> None:
    template = "a_{architecture}_L{layer:02d}_{condition}{variant}"
    assert matrix_module._sae_id(template, 3, "topk", "mixed", "") == "a_topk_L03_mixed"
    assert issubclass(MatrixProblem, ReleaseError)
