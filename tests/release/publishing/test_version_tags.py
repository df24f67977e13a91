from __future__ import annotations

from release.publishing.version_tags import tag_release


def test_releases_are_numbered_in_their_order(connection, repo_id, commit) -> None:
    first = commit(a=b"1")
    assert tag_release(repo_id, first, connection) == "release-1"
    second = commit(a=b"2")
    assert tag_release(repo_id, second, connection) == "release-2"
    tags = {t.name: t.target_commit for t in connection.api().list_repo_refs(repo_id).tags}
    assert tags == {"release-1": first, "release-2": second}


def test_a_commit_keeps_its_number(connection, repo_id, commit) -> None:
    first = commit(a=b"1")
    assert tag_release(repo_id, first, connection) == "release-1"
    assert tag_release(repo_id, first, connection) == "release-1"


def test_numbers_are_no_strings(connection, repo_id, commit) -> None:
    oid = commit(a=b"1")
    connection.api().create_tag(repo_id, tag="release-9", revision=oid)
    connection.api().create_tag(repo_id, tag="release-10", revision=commit(a=b"2"))
    assert tag_release(repo_id, commit(a=b"3"), connection) == "release-11"


def test_other_tags_are_left_alone(connection, repo_id, commit) -> None:
    oid = commit(a=b"1")
    connection.api().create_tag(repo_id, tag="release-x", revision=oid)
    connection.api().create_tag(repo_id, tag="v1", revision=oid)
    assert tag_release(repo_id, oid, connection) == "release-1"
