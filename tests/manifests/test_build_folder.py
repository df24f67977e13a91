from __future__ import annotations

import hashlib
import json
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifests.build_folder import write_atomically
from manifests.digests import canonical_json, file_sha256, json_sha256

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def test_writing_makes_the_folder_and_leaves_no_temporary_file(tmp_path) -> None:
    path = tmp_path / "a" / "b.json"
    write_atomically(path, b"one")
    write_atomically(path, b"two")
    assert path.read_bytes() == b"two"
    assert [p.name for p in path.parent.iterdir()] == ["b.json"]


def test_a_failed_write_keeps_the_old_bytes(tmp_path, monkeypatch) -> None:
    path = tmp_path / "b.json"
    write_atomically(path, b"old")

    def no_replace(self, target):
        raise OSError("disk gone")

    monkeypatch.setattr(type(path), "replace", no_replace)
    with pytest.raises(OSError, match="disk gone"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["b.json"]


def test_a_locked_file_is_tried_again(tmp_path, monkeypatch) -> None:
    path = tmp_path / "b.json"
    real_replace, refusals = type(path).replace, [PermissionError(), PermissionError()]

    def replace(self, target):
        if refusals:
            raise refusals.pop()
        return real_replace(self, target)

    monkeypatch.setattr(type(path), "replace", replace)
    monkeypatch.setattr("manifests.build_folder.time.sleep", lambda seconds: None)
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"


def test_readers_beside_a_writer_see_whole_contents(tmp_path) -> None:
    path = tmp_path / "b.bin"
    contents = [bytes([i]) * 200_000 for i in range(20)]
    write_atomically(path, contents[0])

    def write_all() -> None:
        for content in contents:
            write_atomically(path, content)

    writer = threading.Thread(target=write_all)
    writer.start()
    seen = {path.read_bytes() for _ in range(200)}
    writer.join()
    assert seen <= set(contents)


def test_the_digest_of_a_file_is_sha256_of_its_bytes(tmp_path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"abc" * 1_000_000)
    assert file_sha256(path) == hashlib.sha256(b"abc" * 1_000_000).hexdigest()


@given(json_values)
def test_canonical_json_is_a_fixed_point(value: object) -> None:
    once = canonical_json(value)
    assert canonical_json(json.loads(once)) == once


def test_the_order_of_keys_does_not_change_a_digest() -> None:
    assert json_sha256({"a": 1, "b": 2}) == json_sha256({"b": 2, "a": 1})
    assert json_sha256({"a": 1}) != json_sha256({"a": 1.5})


def test_a_number_that_json_cannot_state_is_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        canonical_json(float("nan"))
