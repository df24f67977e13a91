from __future__ import annotations

import pytest

from manifests.errors import UsageError
from release.targets import FolderTarget, HubTarget, ManifestTarget, parse_target


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def parse(text: str, tmp_path):
    return parse_target(text, manifests=tmp_path / "manifests")


def test_owner_slash_name_is_a_repository(tmp_path) -> None:
    assert parse("demo/saes", tmp_path) == HubTarget("demo/saes", None)


def test_a_revision_follows_an_at_sign(tmp_path) -> None:
    assert parse("demo/saes@refs/pr/1", tmp_path) == HubTarget("demo/saes", "refs/pr/1")


def test_a_folder_is_a_folder(tmp_path) -> None:
    (tmp_path / "out").mkdir()
    assert isinstance(parse("out", tmp_path), FolderTarget)


def test_a_yaml_file_is_a_manifest_even_where_its_path_looks_like_an_id(tmp_path) -> None:
    (tmp_path / "manifests").mkdir()
    (tmp_path / "manifests" / "x.yaml").write_text("", encoding="utf-8")
    assert isinstance(parse("manifests/x.yaml", tmp_path), ManifestTarget)


def test_a_folder_that_is_also_an_id_is_refused_and_asks_for_a_dot(tmp_path) -> None:
    (tmp_path / "demo" / "saes").mkdir(parents=True)
    with pytest.raises(UsageError) as caught:
        parse("demo/saes", tmp_path)
    assert "./demo/saes" in (caught.value.next_step or "")
    assert isinstance(parse("./demo/saes", tmp_path), FolderTarget)


def test_a_mistyped_manifest_gets_the_nearest_one(tmp_path) -> None:
    (tmp_path / "manifests").mkdir()
    (tmp_path / "manifests" / "tinyllama.yaml").write_text("", encoding="utf-8")
    for text in ("manifests/tinylama.yaml", "tinylama"):
        with pytest.raises(UsageError, match=r"did you mean .*manifests/tinyllama\.yaml"):
            parse(text, tmp_path)


@pytest.mark.parametrize("text", ["", "../../x/y", "a/b/c", "owner/na me", "http://x/y", "a/b\n"])
def test_anything_else_is_refused_with_exit_code_2(text, tmp_path) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text, tmp_path)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("text", ["./nosuch", "../nosuch", "/no/such", "~/nosuch"])
def test_a_path_that_is_not_there_is_said_to_be_none(text: str, tmp_path) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text, tmp_path)
    assert f"there is no file or folder {text!r}" in str(caught.value)
    assert "owner/name" not in str(caught.value)
