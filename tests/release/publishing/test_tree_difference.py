from __future__ import annotations

from pathlib import Path

from release.publishing.release_files import ReleaseFile
from release.publishing.tree_difference import RemoteFile, compare


def local(name: str, *, sha256: str = "s", git_oid: str = "g", size: int = 10) -> ReleaseFile:
    return ReleaseFile(name, Path(name), size, sha256, git_oid)


def remote(name: str, *, lfs: str | None = None, git_oid: str = "g") -> RemoteFile:
    return RemoteFile(name, 10, git_oid, lfs)


def test_a_first_push_adds_everything() -> None:
    plan = compare({"a": local("a"), "b": local("b")}, {}, parent="p")
    assert [f.path_in_repo for f in plan.adds] == ["a", "b"]
    assert (plan.changes, plan.unchanged, plan.size_bytes) == ((), (), 20)


def test_an_lfs_file_is_compared_by_sha256_and_not_by_its_pointer() -> None:
    same = compare({"w": local("w", git_oid="x")}, {"w": remote("w", lfs="s")}, parent="p")
    assert same.unchanged == ("w",)
    other = compare({"w": local("w")}, {"w": remote("w", lfs="t", git_oid="g")}, parent="p")
    assert [f.path_in_repo for f in other.changes] == ["w"]


def test_a_file_in_git_is_compared_by_its_blob() -> None:
    assert compare({"c": local("c")}, {"c": remote("c")}, parent="p").unchanged == ("c",)
    changed = compare({"c": local("c")}, {"c": remote("c", git_oid="h")}, parent="p")
    assert [f.path_in_repo for f in changed.changes] == ["c"]


def test_files_that_the_release_does_not_name_stay() -> None:
    plan = compare({"a": local("a")}, {"a": remote("a"), ".gitattributes": remote("x")}, parent="p")
    assert plan.stays == (".gitattributes",)
    assert plan.sends == ()
