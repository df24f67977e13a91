"""Branches, tags, pull requests, collections (also run against the real Hub)."""

from __future__ import annotations

import uuid

import pytest
from huggingface_hub import CommitOperationAdd
from huggingface_hub.errors import HfHubHTTPError


def upload(target, repo, path, content, **options):
    return target.api.create_commit(
        repo, [CommitOperationAdd(path, content)], commit_message=f"add {path}", **options
    )


def names(target, repo, revision):
    return set(target.api.list_repo_files(repo, revision=revision))


def test_a_tag_stays_where_it_was_put(target, repo):
    first = upload(target, repo, "a.txt", b"1")
    target.api.create_tag(repo, tag="v1.0", tag_message="first release")
    upload(target, repo, "b.txt", b"2")
    assert target.api.model_info(repo, revision="v1.0").sha == first.oid
    tags = target.api.list_repo_refs(repo).tags
    assert [(tag.name, tag.ref) for tag in tags] == [("v1.0", "refs/tags/v1.0")]
    with pytest.raises(HfHubHTTPError) as caught:
        target.api.create_tag(repo, tag="v1.0")
    assert caught.value.response.status_code == 409
    target.api.delete_tag(repo, tag="v1.0")
    assert target.api.list_repo_refs(repo).tags == []


def test_a_branch_with_a_slash_takes_commits_of_its_own(target, repo):
    target.api.create_branch(repo, branch="dev/x")
    upload(target, repo, "a.txt", b"1", revision="dev/x")
    assert names(target, repo, "dev/x") == {".gitattributes", "a.txt"}
    assert names(target, repo, "main") == {".gitattributes"}
    with pytest.raises(HfHubHTTPError) as caught:
        target.api.create_branch(repo, branch="dev/x")
    assert caught.value.response.status_code == 409
    target.api.delete_branch(repo, branch="dev/x")
    assert [branch.name for branch in target.api.list_repo_refs(repo).branches] == ["main"]


def test_a_branch_can_start_at_an_old_commit(target, repo):
    first = upload(target, repo, "a.txt", b"1")
    upload(target, repo, "b.txt", b"2")
    target.api.create_branch(repo, branch="old", revision=first.oid)
    assert names(target, repo, "old") == {".gitattributes", "a.txt"}


def test_squashing_leaves_one_commit_and_all_files(target, repo):
    upload(target, repo, "a.txt", b"1")
    upload(target, repo, "b.txt", b"2")
    target.api.super_squash_history(repo, commit_message="all")
    assert [entry.title for entry in target.api.list_repo_commits(repo)] == ["all"]
    assert names(target, repo, "main") == {".gitattributes", "a.txt", "b.txt"}


def test_a_pull_request_changes_main_only_when_merged(target, repo):
    made = upload(target, repo, "w.safetensors", b"weights", create_pr=True)
    assert made.pr_num == 1
    assert made.pr_revision == "refs/pr/1"
    assert names(target, repo, "refs/pr/1") == {".gitattributes", "w.safetensors"}
    assert names(target, repo, "main") == {".gitattributes"}
    details = target.api.get_discussion_details(repo, made.pr_num)
    assert (details.status, details.is_pull_request) == ("open", True)
    assert details.conflicting_files == []
    refs = target.api.list_repo_refs(repo, include_pull_requests=True)
    assert [pr.ref for pr in refs.pull_requests] == ["refs/pr/1"]
    target.api.merge_pull_request(repo, made.pr_num)
    assert target.api.get_discussion_details(repo, made.pr_num).status == "merged"
    assert names(target, repo, "main") == {".gitattributes", "w.safetensors"}


def test_a_pull_request_takes_more_commits_and_a_stale_parent_is_refused(target, repo):
    head = target.api.model_info(repo).sha
    made = upload(target, repo, "a.txt", b"1", create_pr=True, parent_commit=head)
    upload(target, repo, "b.txt", b"2", revision=made.pr_revision, parent_commit=made.oid)
    assert names(target, repo, made.pr_revision) == {".gitattributes", "a.txt", "b.txt"}
    upload(target, repo, "c.txt", b"3")
    with pytest.raises(HfHubHTTPError) as caught:
        upload(target, repo, "d.txt", b"4", create_pr=True, parent_commit=head)
    assert caught.value.response.status_code == 412


def test_a_draft_takes_several_commits_and_is_merged_as_one(target, repo):
    """What a staged release relies on."""
    head = target.api.model_info(repo).sha
    drafted = target.api.create_pull_request(repo, title="A new layer", description="why")
    assert drafted.status == "draft"
    assert target.api.list_repo_commits(repo, revision=drafted.git_reference)[0].commit_id == head
    first = upload(target, repo, "a.txt", b"1", revision=drafted.git_reference, parent_commit=head)
    upload(target, repo, "b.txt", b"2", revision=drafted.git_reference, parent_commit=first.oid)
    with pytest.raises(HfHubHTTPError):
        target.api.merge_pull_request(repo, drafted.num)
    listed = target.api.get_repo_discussions(repo, discussion_type="pull_request")
    assert [(each.num, each.status) for each in listed] == [(drafted.num, "draft")]
    assert names(target, repo, "main") == {".gitattributes"}
    target.api.change_discussion_status(repo, drafted.num, "open")
    target.api.merge_pull_request(repo, drafted.num)
    merged = target.api.get_discussion_details(repo, drafted.num)
    history = target.api.list_repo_commits(repo)
    assert [entry.commit_id for entry in history] == [merged.merge_commit_oid, head]
    assert history[0].title == f"A new layer (#{drafted.num})"
    assert first.oid in history[0].message
    assert names(target, repo, "main") == {".gitattributes", "a.txt", "b.txt"}


def test_a_merge_keeps_what_others_committed_since(target, repo):
    """The Hub does not ask for the head that a pull request was made on: a client has to."""
    made = upload(target, repo, "a.txt", b"1", create_pr=True)
    upload(target, repo, "b.txt", b"2")
    target.api.merge_pull_request(repo, made.pr_num)
    assert names(target, repo, "main") == {".gitattributes", "a.txt", "b.txt"}


def test_a_merge_is_refused_where_both_sides_changed_a_file(target, repo):
    made = upload(target, repo, "a.txt", b"1", create_pr=True)
    theirs = upload(target, repo, "a.txt", b"2")
    with pytest.raises(HfHubHTTPError):
        target.api.merge_pull_request(repo, made.pr_num)
    assert target.api.model_info(repo).sha == theirs.oid
    assert target.api.get_discussion_details(repo, made.pr_num).status == "open"


def test_a_discussion_takes_comments_a_title_and_a_status(target, repo):
    opened = target.api.create_discussion(repo, title="A question", description="what?")
    assert not opened.is_pull_request
    comment = target.api.comment_discussion(repo, opened.num, "an answer")
    assert comment.content == "an answer"
    target.api.rename_discussion(repo, opened.num, "An answered question")
    target.api.change_discussion_status(repo, opened.num, "closed")
    found = list(target.api.get_repo_discussions(repo))
    assert [(each.title, each.status) for each in found] == [("An answered question", "closed")]
    types = [event.type for event in target.api.get_discussion_details(repo, opened.num).events]
    assert types == ["comment", "comment", "title-change", "status-change"]


def test_a_collection_holds_repositories_once(target, repo):
    api = target.api
    made = api.create_collection(f"SAEs {uuid.uuid4().hex[:6]}", namespace=target.namespace)
    try:
        held = api.add_collection_item(made.slug, repo, "model", note="the release")
        assert [(item.item_id, item.note) for item in held.items] == [(repo, "the release")]
        with pytest.raises(HfHubHTTPError) as caught:
            api.add_collection_item(made.slug, repo, "model")
        assert caught.value.response.status_code == 409
        api.add_collection_item(made.slug, repo, "model", exists_ok=True)
        api.delete_collection_item(made.slug, held.items[0].item_object_id)
        assert api.get_collection(made.slug).items == []
    finally:
        api.delete_collection(made.slug)
    with pytest.raises(HfHubHTTPError):
        api.get_collection(made.slug)
