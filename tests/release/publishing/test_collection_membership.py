"""Collections that follow a manifest, with the real client on the embedded Hub."""

from __future__ import annotations

import pytest

from release.publishing.collection_membership import (
    MAX_DESCRIPTION,
    NoSuchCollection,
    WantedCollection,
    WantedItem,
    bring_up_to_date,
    collection_changes,
    found_collection,
    note_of,
    shortened,
)


@pytest.fixture
def title(repo_id) -> str:
    """A title of the test's own."""
    return f"SAEs of {repo_id.rpartition('/')[2][-40:]}"


@pytest.fixture
def member(connection, repo_id):
    connection.api().create_repo(repo_id)
    return repo_id


def wanted(
    named: str, repo_id: str, *, note: str = "2 SAEs on a/model", **stated
) -> WantedCollection:
    items = stated.pop("items", (WantedItem(repo_id, note),))
    return WantedCollection(named=named, owner="demo", repo_id=repo_id, items=items, **stated)


def bring(asked: WantedCollection, connection, *, public: bool = False) -> list[str]:
    """Plan, carry out, and give the changes in words."""
    found = found_collection(asked, connection)
    changes = collection_changes(asked, found, connection)
    bring_up_to_date(asked, found, changes, connection, public=public)
    return [str(change) for change in changes]


def listed(connection, slug: str) -> list[tuple[str, str | None]]:
    return [(item.item_id, item.note) for item in connection.api().get_collection(slug).items]


def test_a_collection_is_made_private_and_lists_the_repository_once(
    connection, member, title
) -> None:
    asked = wanted(title, member)
    assert bring(asked, connection) == [
        f"collection {title}: there is none -> made",
        f"collection {title}: does not list {member} -> lists {member}",
    ]
    made = found_collection(asked, connection)
    assert made is not None
    assert (made.title, made.private) == (title, True)
    assert listed(connection, made.slug) == [(member, "2 SAEs on a/model")]
    assert bring(asked, connection) == []
    assert listed(connection, made.slug) == [(member, "2 SAEs on a/model")]


def test_a_collection_is_made_public_only_when_that_was_said(connection, member, title) -> None:
    bring(wanted(title, member), connection, public=True)
    made = found_collection(wanted(title, member), connection)
    assert made is not None
    assert made.private is False


def test_a_slug_names_a_collection_of_anybody_by_its_end_alone(connection, member, title) -> None:
    api = connection.api()
    slug = api.create_collection(title, namespace="demo").slug
    renamed = api.update_collection_metadata(slug, title=f"{title} too").slug
    assert renamed != slug
    assert bring(wanted(slug, member), connection) == [
        f"collection {slug}: does not list {member} -> lists {member}"
    ]
    assert listed(connection, renamed) == [(member, "2 SAEs on a/model")]


def test_a_slug_that_the_hub_does_not_know_is_refused(connection, member) -> None:
    with pytest.raises(NoSuchCollection) as caught:
        found_collection(wanted("demo/nothing-64f9a55bb3115b4f513ec026", member), connection)
    assert "demo/nothing-64f9a55bb3115b4f513ec026, which the Hub does not know" in str(caught.value)
    assert "give a title" in str(caught.value)


def test_a_fifth_repository_is_seen_although_a_list_shows_four(connection, repo_id, title) -> None:
    api = connection.api()
    slug = api.create_collection(title, namespace="demo").slug
    for number in range(5):
        api.create_repo(f"{repo_id[:80]}-{number}")
        api.add_collection_item(slug, f"{repo_id[:80]}-{number}", "model", note="mine")
    shown = [each for each in api.list_collections(owner="demo") if each.slug == slug]
    assert [len(each.items) for each in shown] == [4]
    assert bring(wanted(title, f"{repo_id[:80]}-4"), connection) == []


def test_items_of_others_and_notes_in_words_of_their_own_stay(connection, member, title) -> None:
    api = connection.api()
    slug = api.create_collection(title, namespace="demo").slug
    other = f"{member[:80]}-other"
    api.create_repo(other)
    api.add_collection_item(slug, other, "model", note="theirs")
    api.add_collection_item(slug, member, "model", note="The one to start with")
    assert bring(wanted(title, member), connection) == []
    assert listed(connection, slug) == [(other, "theirs"), (member, "The one to start with")]


def test_a_note_of_an_earlier_push_gets_the_new_number(connection, member, title) -> None:
    bring(wanted(title, member, note=note_of(1, "a/model")), connection)
    assert bring(wanted(title, member, note=note_of(54, "a/model")), connection) == [
        f"note on {member} in collection {title}: 1 SAE on a/model -> 54 SAEs on a/model"
    ]
    made = found_collection(wanted(title, member), connection)
    assert made is not None
    assert listed(connection, made.slug) == [(member, "54 SAEs on a/model")]


def test_title_and_description_follow_only_where_they_are_stated(connection, member, title) -> None:
    slug = connection.api().create_collection(title, namespace="demo", description="old").slug
    assert len(bring(wanted(slug, member), connection)) == 1
    asked = wanted(slug, member, title=f"{title} II", description="new")
    assert bring(asked, connection) == [
        f"title of collection {slug}: {title} -> {title} II",
        f"description of collection {slug}: old -> new",
    ]
    found = connection.api().get_collection(slug)
    assert (found.title, found.description) == (f"{title} II", "new")
    assert bring(asked, connection) == []


def test_a_member_that_is_not_on_the_hub_is_listed_by_its_own_push(
    connection, member, title
) -> None:
    absent = f"{member[:80]}-absent"
    items = (WantedItem(member, "1 SAE on a/b"), WantedItem(absent, "2 SAEs on a/b"))
    bring(wanted(title, member, items=items), connection)
    made = found_collection(wanted(title, member), connection)
    assert made is not None
    assert listed(connection, made.slug) == [(member, "1 SAE on a/b")]
    connection.api().create_repo(absent)
    assert bring(wanted(title, member, items=items), connection) == [
        f"collection {title}: does not list {absent} -> lists {absent}"
    ]


def test_only_the_changes_that_were_asked_for_are_made(connection, member, title) -> None:
    asked = wanted(title, member)
    bring_up_to_date(asked, None, (), connection, public=False)
    assert found_collection(asked, connection) is None


def test_a_description_keeps_whole_sentences_that_fit() -> None:
    first = "a" * 60 + "."
    assert shortened(f"{first} {first} {first}") == f"{first} {first}"  # 61 + 1 + 61 = 123 <= 150
    assert shortened("Short one.") == "Short one."
    assert shortened("x" * MAX_DESCRIPTION) == "x" * MAX_DESCRIPTION
    long = shortened("word " * 60)
    assert long.endswith("word\N{HORIZONTAL ELLIPSIS}")
    assert len(long) <= MAX_DESCRIPTION


def test_a_note_says_how_many_and_on_what() -> None:
    assert note_of(1, "a/b") == "1 SAE on a/b"
    assert note_of(54, "a/b") == "54 SAEs on a/b"
    assert note_of(None, "a/b") == "SAEs on a/b"
