"""Visibility and gating that follow a manifest, with the real client on the embedded Hub."""

from __future__ import annotations

from pathlib import Path

import pytest

from manifests.build_folder import BuildFolder
from manifests.hub_settings import HubSettings
from manifests.progress import Silent
from release.gate import NotReady
from release.hub_connection import HubConnection
from release.publishing.collection_membership import WantedCollection, WantedItem
from release.publishing.push import PushOptions, Receipt, publish_with_settings
from release.publishing.release_files import describe_file
from release.publishing.setting_change import SettingChange
from release.publishing.settings import (
    SeenSettings,
    SettingsNotApplied,
    SettingsStep,
    WantedSettings,
    repository_changes,
)
from validators.reading.repository import HubUnavailable


def hub(**stated: object) -> HubSettings:
    return HubSettings.model_validate(stated)


@pytest.fixture
def publish(tmp_path, connection, repo_id):
    """Push one file with the settings that a manifest states."""
    path = tmp_path / "notes.txt"
    path.write_bytes(b"x\n")

    def done(
        *,
        public: bool = False,
        reviewed=None,
        pull_request: bool = False,
        to=None,
        **stated: object,
    ) -> Receipt:
        named = stated.get("collection")
        collection = named and WantedCollection(
            str(named), "demo", repo_id, (WantedItem(repo_id, "1 SAE on a/b"),)
        )
        wanted = WantedSettings(repo_id, Path("manifests/x.yaml"), hub(**stated), collection)
        return publish_with_settings(
            {"notes.txt": describe_file("notes.txt", path)},
            BuildFolder(tmp_path / "build"),
            SettingsStep(wanted, to or connection, public=public, reviewed=reviewed),
            options=PushOptions(public=public, pull_request=pull_request),
            reviewed=None,
            progress=Silent(),
        )

    done.path = path
    return done


@pytest.fixture
def writes(running_hub):
    """The requests since the last call that change a setting or a collection, as (method, path)."""
    start = len(running_hub.requests())

    def taken() -> list[tuple[str, str]]:
        nonlocal start
        calls = running_hub.requests()[start:]
        start += len(calls)
        return [
            (call.method, call.path)
            for call in calls
            if call.method != "GET" and ("/settings" in call.path or "/collections" in call.path)
        ]

    return taken


def state(connection: HubConnection, repo_id: str) -> tuple[bool, object]:
    info = connection.api().model_info(repo_id)
    return info.private, info.gated


@pytest.mark.parametrize(
    ("stated", "seen", "told"),
    [
        ({}, SeenSettings(True, "manual"), []),
        ({"visibility": "public"}, SeenSettings(True, False), ["visibility: private -> public"]),
        ({"visibility": "private"}, SeenSettings(False, False), ["visibility: public -> private"]),
        ({"visibility": "private"}, None, []),
        ({"visibility": "public"}, None, ["visibility: none yet -> public"]),
        ({"gated": False}, SeenSettings(True, "auto"), ["gated: auto -> false"]),
        ({"gated": False}, None, []),
        ({"gated": "manual"}, SeenSettings(True, "auto"), ["gated: auto -> manual"]),
    ],
)
def test_what_a_manifest_leaves_out_or_the_hub_has_already_is_no_change(stated, seen, told) -> None:
    assert [str(change) for change in repository_changes(hub(**stated), seen)] == told


@pytest.mark.parametrize(
    ("change", "restricts"),
    [
        (SettingChange("visibility", "public", "private"), True),
        (SettingChange("visibility", "private", "public"), False),
        (SettingChange("visibility", "none yet", "public"), False),
        (SettingChange("gated", "false", "auto"), True),
        (SettingChange("gated", "auto", "manual"), True),
        (SettingChange("gated", "manual", "auto"), False),
        (SettingChange("gated", "auto", "false"), False),
        (SettingChange("collection x", "there is none", "made"), False),
    ],
)
def test_only_what_shuts_somebody_out_restricts(change, restricts) -> None:
    assert change.restricts is restricts


def test_a_manifest_that_says_public_stays_private_without_the_option(
    publish, connection, repo_id, writes
) -> None:
    receipt = publish(visibility="public")
    assert state(connection, repo_id) == (True, False)
    assert [str(each) for each in receipt.settings_left] == ["visibility: private -> public"]
    assert receipt.settings == ()
    assert writes() == []
    receipt = publish(visibility="public", public=True)
    assert state(connection, repo_id) == (False, False)
    assert [str(each) for each in receipt.settings] == ["visibility: private -> public"]
    assert (receipt.settings_left, receipt.n_commits) == ((), 0)


def test_the_option_alone_makes_no_existing_repository_public(
    publish, connection, repo_id, writes
) -> None:
    publish()
    publish(public=True)
    assert state(connection, repo_id) == (True, False)
    assert writes() == []


def test_the_option_makes_no_repository_public_whose_manifest_says_private_not_even_at_first(
    publish, connection, repo_id, writes
) -> None:
    publish(visibility="private", public=True)
    assert state(connection, repo_id) == (True, False)
    assert writes() == []


def test_a_repository_is_closed_before_anything_new_is_sent_to_it(
    publish, connection, repo_id, running_hub
) -> None:
    publish(public=True)
    publish.path.write_bytes(b"secret\n")
    start = len(running_hub.requests())
    receipt = publish(visibility="private", gated="manual")
    assert state(connection, repo_id) == (True, "manual")
    calls = [(r.method, r.path) for r in running_hub.requests()[start:]]
    settings = [i for i, (_, path) in enumerate(calls) if path.endswith("/settings")]
    commit = [i for i, (_, path) in enumerate(calls) if "/commit/" in path]
    assert len(settings) == len(commit) == 1
    assert settings[0] < commit[0]
    assert [str(each) for each in receipt.settings] == [
        "visibility: public -> private",
        "gated: false -> manual",
    ]


def test_a_repository_is_opened_only_when_the_release_was_read_back(
    publish, connection, repo_id, running_hub
) -> None:
    publish(gated="manual")
    publish.path.write_bytes(b"more\n")
    start = len(running_hub.requests())
    publish(visibility="public", gated=False, public=True)
    assert state(connection, repo_id) == (False, False)
    calls = [(r.method, r.path) for r in running_hub.requests()[start:]]
    settings = [i for i, (_, path) in enumerate(calls) if path.endswith("/settings")]
    last_read = max(i for i, (_, path) in enumerate(calls) if "/resolve/" in path)
    assert len(settings) == 1
    assert settings[0] > last_read


def test_settings_that_agree_cause_no_request_that_writes(publish, writes) -> None:
    stated = {"visibility": "public", "gated": "auto", "collection": "SAEs that agree"}
    publish(**stated, public=True)
    assert {path.rpartition("/")[2] for _, path in writes()} == {"settings", "collections", "items"}
    again = publish(**stated, public=True)
    assert writes() == []
    assert (again.settings, again.settings_left, again.n_commits) == ((), (), 0)


def test_a_manifest_without_settings_asks_the_hub_nothing_about_them(
    publish, running_hub, repo_id
) -> None:
    publish()
    start = len(running_hub.requests())
    publish()
    bare = len(running_hub.requests()) - start
    publish(gated=False)
    assert len(running_hub.requests()) - start - bare > bare
    assert not any("/collections" in r.path for r in running_hub.requests()[start:])


def test_a_change_that_was_not_reviewed_stops_the_push_before_anything(
    publish, connection, repo_id
) -> None:
    publish()
    publish.path.write_bytes(b"more\n")
    head = connection.api().model_info(repo_id).sha
    with pytest.raises(NotReady, match="gated: false -> manual is not in it") as caught:
        publish(gated="manual", reviewed=())
    assert caught.value.next_step == "release plan manifests/x.yaml"
    assert connection.api().model_info(repo_id).sha == head
    assert state(connection, repo_id) == (True, False)
    publish(gated="manual", reviewed=(SettingChange("gated", "auto", "manual"),))
    assert state(connection, repo_id) == (True, "manual")


def test_a_pull_request_changes_no_setting(publish, connection, repo_id, writes) -> None:
    publish()
    publish.path.write_bytes(b"more\n")
    receipt = publish(gated="manual", pull_request=True)
    assert receipt.pull_request
    assert writes() == []
    assert state(connection, repo_id) == (True, False)


@pytest.mark.parametrize(
    ("stated", "told"),
    [({"gated": "manual"}, "gated"), ({"visibility": "private"}, "visibility")],
)
def test_a_pull_request_to_a_public_repository_that_is_to_be_closed_is_refused(
    publish, connection, repo_id, stated, told
) -> None:
    publish(public=True)
    publish.path.write_bytes(b"more\n")
    head = connection.api().model_info(repo_id).sha
    with pytest.raises(NotReady, match="open to more people") as caught:
        publish(pull_request=True, **stated)
    assert told in str(caught.value)
    assert connection.api().model_info(repo_id).sha == head
    assert list(connection.api().get_repo_discussions(repo_id)) == []


def test_a_new_gated_repository_is_not_opened_by_a_pull_request(
    publish, connection, repo_id
) -> None:
    with pytest.raises(NotReady, match="open to more people"):
        publish(public=True, pull_request=True, gated="auto")
    assert not connection.api().repo_exists(repo_id)
    assert publish(pull_request=True, gated="auto").pull_request
    assert state(connection, repo_id) == (True, False)


def test_a_refused_setting_says_what_is_published_and_how_to_go_on(
    publish, connection, repo_id, running_hub, tmp_path
) -> None:
    publish(gated="manual")
    publish.path.write_bytes(b"more\n")
    running_hub.inject("status", status=403, method="PUT", path="/settings", times=1)
    with pytest.raises(SettingsNotApplied) as caught:
        publish(gated=False)
    running_hub.clear_faults()
    told = str(caught.value)
    assert "the release is published" in told
    assert "403" in told
    again = f"release push manifests/x.yaml --hub {connection.endpoint}"
    assert f"{again} (sends no file again)" in told
    assert caught.value.exit_code == 4
    content = connection.api().hf_hub_download(
        repo_id, "notes.txt", cache_dir=tmp_path / "cache", token=connection.token
    )
    assert Path(content).read_bytes() == b"more\n"
    assert (tmp_path / "build" / "work" / "receipt.json").is_file()
    receipt = publish(gated=False)
    assert (receipt.n_commits, state(connection, repo_id)) == (0, (True, False))


def test_a_repository_that_cannot_be_closed_gets_nothing_new(
    publish, connection, repo_id, running_hub
) -> None:
    publish(public=True)
    publish.path.write_bytes(b"secret\n")
    head = connection.api().model_info(repo_id).sha
    running_hub.inject("status", status=403, method="PUT", path="/settings", times=1)
    with pytest.raises(HubUnavailable, match="changing the settings"):
        publish(visibility="private")
    running_hub.clear_faults()
    assert connection.api().model_info(repo_id).sha == head


def test_a_lost_answer_to_a_setting_is_settled_by_reading_it(
    publish, connection, repo_id, running_hub
) -> None:
    publish(gated="manual")
    running_hub.inject("drop_after", method="PUT", path="/settings", nth=1)
    receipt = publish(gated=False)
    assert [str(each) for each in receipt.settings] == ["gated: manual -> false"]
    assert state(connection, repo_id) == (True, False)


def test_a_token_that_only_reads_is_told_what_to_use(publish, running_hub) -> None:
    publish(gated="manual")
    reader = HubConnection(running_hub.endpoint, running_hub.read_token)
    with pytest.raises(SettingsNotApplied) as caught:
        publish(gated=False, to=reader)
    assert "a token that may change settings" in str(caught.value)
    assert running_hub.read_token not in str(caught.value)


def test_a_lost_answer_of_a_collection_is_settled_by_reading_it(
    publish, connection, repo_id, running_hub
) -> None:
    running_hub.inject("drop_after", method="POST", path="/items", nth=1)
    receipt = publish(collection="SAEs of a lost answer")
    assert [each.wanted for each in receipt.settings] == ["made", f"lists {repo_id}"]
    (found,) = connection.api().list_collections(item=f"models/{repo_id}")
    assert found.title == "SAEs of a lost answer"


def test_a_collection_whose_making_was_not_answered_is_filled_by_the_next_push(
    publish, connection, repo_id, running_hub
) -> None:
    running_hub.inject("drop_after", method="POST", path="/api/collections", nth=1)
    with pytest.raises(SettingsNotApplied, match="the release is published"):
        publish(collection="SAEs of a lost making")
    running_hub.clear_faults()
    publish(collection="SAEs of a lost making")
    mine = connection.api().list_collections(owner="demo")
    (found,) = [each for each in mine if each.title == "SAEs of a lost making"]
    assert [item.item_id for item in found.items] == [repo_id]


def test_a_collection_that_nobody_reviewed_is_left_for_the_next_push(
    publish, connection, writes
) -> None:
    receipt = publish(collection="SAEs nobody reviewed", reviewed=())
    assert (receipt.settings, receipt.n_commits) == ((), 1)
    assert writes() == []
