"""Who sees a repository, who may load it, and what a collection lists, by the real client."""

from __future__ import annotations

import pytest
from huggingface_hub import HfApi
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError


@pytest.fixture
def stranger(hub) -> HfApi:
    """A user outside the namespace of the repository."""
    return HfApi(endpoint=hub.endpoint, token=hub.stranger_token)


def status(caught) -> int:
    return int(caught.value.response.status_code)


@pytest.mark.parametrize("gated", ["auto", "manual"])
def test_a_gated_repository_is_refused_with_the_hubs_error_code(
    hub, hub_api, stranger, hub_repo, tmp_path, gated
) -> None:
    hub_api.update_repo_settings(hub_repo, gated=gated)
    assert stranger.model_info(hub_repo).gated == gated
    with pytest.raises(GatedRepoError) as caught:
        stranger.auth_check(hub_repo)
    assert status(caught) == 403
    assert caught.value.response.headers["X-Error-Code"] == "GatedRepo"
    with pytest.raises(GatedRepoError):
        stranger.hf_hub_download(hub_repo, ".gitattributes", cache_dir=tmp_path)
    anonymous = HfApi(endpoint=hub.endpoint, token=False)
    with pytest.raises(GatedRepoError) as caught:
        anonymous.auth_check(hub_repo)
    assert status(caught) == 401
    hub_api.auth_check(hub_repo)
    hub_api.update_repo_settings(hub_repo, gated=False)
    stranger.auth_check(hub_repo)
    assert stranger.model_info(hub_repo).gated is False


def test_one_request_changes_visibility_and_gating_and_leaves_what_it_does_not_name(
    hub, hub_api, stranger, hub_repo
) -> None:
    start = len(hub.requests())
    hub_api.update_repo_settings(hub_repo, visibility="private", gated="manual")
    assert [r.method for r in hub.requests()[start:] if r.path.endswith("/settings")] == ["PUT"]
    info = hub_api.model_info(hub_repo)
    assert (info.private, info.gated) == (True, "manual")
    with pytest.raises(RepositoryNotFoundError) as caught:
        stranger.model_info(hub_repo)
    assert status(caught) == 404
    hub_api.update_repo_settings(hub_repo, visibility="public")
    info = hub_api.model_info(hub_repo)
    assert (info.private, info.gated) == (False, "manual")


def test_settings_that_the_hub_does_not_know_change_nothing(hub, hub_api, hub_repo) -> None:
    before = hub_api.model_info(hub_repo)
    for wanted in ({"visibility": "protected"}, {"gated": "maybe"}, {"gated": True}):
        answer = _put(hub, f"/api/models/{hub_repo}/settings", wanted)
        assert answer.status_code == 400
    after = hub_api.model_info(hub_repo)
    assert (after.private, after.gated) == (before.private, before.gated)


def _put(hub, path: str, content: dict[str, object]):
    import httpx2

    headers = {"Authorization": f"Bearer {hub.token}"}
    with httpx2.Client(base_url=hub.endpoint, headers=headers) as client:
        return client.put(path, json=content)


def test_only_who_may_write_changes_settings(hub, stranger, hub_repo, hub_api) -> None:
    with pytest.raises(HfHubHTTPError) as caught:
        stranger.update_repo_settings(hub_repo, gated="auto")
    assert status(caught) == 403
    assert hub_api.model_info(hub_repo).gated is False


def test_a_list_of_collections_shows_four_items_of_each_and_one_by_itself_all(
    hub, hub_api, hub_repo
) -> None:
    slug = hub_api.create_collection(f"of {hub_repo}", namespace=hub.user).slug
    for number in range(5):
        hub_api.create_repo(f"{hub_repo}-{number}")
        hub_api.add_collection_item(slug, f"{hub_repo}-{number}", "model")
    listed = {each.slug: each for each in hub_api.list_collections(owner=hub.user)}
    assert [item.item_id for item in listed[slug].items] == [f"{hub_repo}-{n}" for n in range(4)]
    assert len(hub_api.get_collection(slug).items) == 5
    holding = hub_api.list_collections(item=f"models/{hub_repo}-4")
    assert [each.slug for each in holding] == [slug]


def test_a_collection_of_a_title_that_is_taken_is_the_one_that_is_there(
    hub, hub_api, hub_repo
) -> None:
    title = f"taken by {hub_repo}"
    first = hub_api.create_collection(title, namespace=hub.user)
    again = hub_api.create_collection(title, namespace=hub.user, exists_ok=True)
    assert again.slug == first.slug
    with pytest.raises(HfHubHTTPError) as caught:
        hub_api.create_collection(title, namespace=hub.user)
    assert status(caught) == 409


def test_a_private_collection_is_seen_by_its_owner_alone(hub, hub_api, stranger, hub_repo) -> None:
    slug = hub_api.create_collection(f"mine {hub_repo}", namespace=hub.user, private=True).slug
    assert hub_api.get_collection(slug).private is True
    with pytest.raises(HfHubHTTPError) as caught:
        stranger.get_collection(slug)
    assert status(caught) == 404
    assert slug not in {each.slug for each in stranger.list_collections(owner=hub.user)}


@pytest.mark.parametrize(("n", "is_taken"), [(150, True), (151, False)])
def test_a_description_has_at_most_150_characters(hub, hub_api, hub_repo, n, is_taken) -> None:
    title = f"{n} of {hub_repo}"
    if is_taken:
        assert hub_api.create_collection(title, namespace=hub.user, description="x" * n)
        return
    with pytest.raises(HfHubHTTPError, match="<150 characters") as caught:
        hub_api.create_collection(title, namespace=hub.user, description="x" * n)
    assert status(caught) == 400


@pytest.mark.parametrize(("n", "is_taken"), [(500, True), (501, False)])
def test_a_note_has_at_most_500_characters(hub, hub_api, hub_repo, n, is_taken) -> None:
    slug = hub_api.create_collection(f"{n} of {hub_repo}", namespace=hub.user).slug
    if is_taken:
        held = hub_api.add_collection_item(slug, hub_repo, "model", note="x" * n)
        assert held.items[0].note == "x" * n
        return
    with pytest.raises(HfHubHTTPError, match="<500 characters") as caught:
        hub_api.add_collection_item(slug, hub_repo, "model", note="x" * n)
    assert status(caught) == 400
