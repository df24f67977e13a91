"""A manifest against what the Hub holds for it: published, out of date, changed there, or absent.

Nothing on this machine but the manifest is needed: a release names its manifest and the digests of
its own files, and the Hub names those of the files that it holds.
"""

from __future__ import annotations

import glob
import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from manifests.build_folder import SAE_CONFIG
from manifests.collection import CountedMember, load_collection
from manifests.digests import bytes_sha256
from manifests.load import LoadedManifest
from release.gate import NotReady
from release.hub_connection import HubConnection, hub_errors_explained, without_client_bars
from release.publishing.collection_page import wanted_page_settings
from release.publishing.remote_tree import RemoteTree, remote_tree
from release.publishing.settings import (
    WantedSettings,
    seen_settings,
    setting_changes,
    wanted_settings,
)
from release.publishing.version_tags import tag_of
from validators.presenting.tally import counted

State = Literal["published", "settings", "out of date", "changed", "foreign", "absent"]
_READ = ("README.md", "card.json", "config.json", "manifest.json")
_MAX_BYTES = 20_000_000
_SHOWN = 3


@dataclass(frozen=True)
class RepositoryStatus:
    """How a repository stands to its manifest.

    Attributes:
        state: `published`: this manifest's release, untouched. `settings`: the same, and a setting
            of the repository is not as the manifest says. `out of date`: an untouched release of
            another state of the manifest. `changed`: files are not those that were released.
            `foreign`: not released by this tool. `absent`: no such repository, or not visible.
        head: the commit on `main`; None: no repository.
        release: the newest tag that numbers a release, or None.
        findings: what differs, in words.
    """

    manifest: str
    repo_id: str
    state: State
    head: str | None
    release: str | None
    is_private: bool | None
    findings: tuple[str, ...] = ()


def repository_status(loaded: LoadedManifest, connection: HubConnection) -> RepositoryStatus:
    """Read the head of a manifest's repository and compare.

    Raises:
        HubUnavailable: the Hub does not answer.
    """
    repo_id, name = loaded.manifest.repo_id, loaded.path.as_posix()
    tree = remote_tree(repo_id, connection)
    if tree is None:
        return RepositoryStatus(name, repo_id, "absent", None, None, None)
    documents = _documents(repo_id, tree, connection)
    card, index = _json(documents.get("card.json")), _json(documents.get("config.json"))
    if not tag_of(repo_id, tree.oid, connection):
        # Of what lies in git the Hub names no SHA-256; a tagged commit was read back.
        named = _beside_the_card(card)
        small = [
            path
            for path, file in tree.files.items()
            if (path.endswith(f"/{SAE_CONFIG}") or path in named) and not file.lfs_sha256
        ]
        documents |= _documents(repo_id, tree, connection, small)
    release = _newest_release(repo_id, connection)
    if not _is_ours(card, "sae-release.card/") or not _is_ours(index, "sae-release.index/"):
        state: State = "foreign"
        findings: tuple[str, ...] = ("it has no index and card record of this tool",)
    else:
        changed = tuple(_changed_files(documents, card, index, tree))
        stale = tuple(_other_manifest(loaded, card, index))
        state = "changed" if changed else "out of date" if stale else "published"
        findings = changed + stale
    settings = settings_findings(wanted_settings(loaded), loaded.manifest.license, tree, connection)
    if settings and state == "published":
        state = "settings"
    findings += settings
    return RepositoryStatus(name, repo_id, state, tree.oid, release, tree.is_private, findings)


def page_status(path: Path, connection: HubConnection) -> RepositoryStatus:
    """The same of a collection's page; its Hub collection is among the settings.

    Raises:
        ReleaseError: the collection cannot be read; see `load_collection`.
        HubUnavailable: the Hub does not answer.
    """
    loaded = load_collection(path)
    repo_id, name = loaded.collection.repo_id, path.as_posix()
    tree = remote_tree(repo_id, connection)
    if tree is None:
        return RepositoryStatus(name, repo_id, "absent", None, None, None)
    documents = _documents(repo_id, tree, connection)
    card = _json(documents.get("card.json"))
    if not _is_ours(card, "sae-release.collection-card/"):
        state: State = "foreign"
        findings: tuple[str, ...] = ("it has no card record of this tool",)
    else:
        findings = tuple(_changed_files(documents, card, {}, tree))
        state = "changed" if findings else "published"
        others = [each for each in loaded.members if each.loaded and _is_of_other(card, each)]
        if card.get("collection_digest") != loaded.digest or others:
            state = "changed" if findings else "out of date"
            findings += ("it was rendered from another state of the collection or its members",)
    wanted = wanted_page_settings(loaded)
    settings = settings_findings(wanted, loaded.collection.license, tree, connection)
    if settings and state == "published":
        state = "settings"
    release = _newest_release(repo_id, connection)
    findings += settings
    return RepositoryStatus(name, repo_id, state, tree.oid, release, tree.is_private, findings)


def _is_of_other(card: dict[str, Any], member: CountedMember) -> bool:
    """Whether a page was rendered from another state of a member's manifest."""
    named = card.get("members")
    entry = named.get(member.repo_id) if isinstance(named, dict) else None
    digest = entry.get("manifest_digest") if isinstance(entry, dict) else None
    return member.loaded is not None and digest != member.loaded.digest


def settings_findings(
    wanted: WantedSettings, license_id: str | None, tree: RemoteTree, connection: HubConnection
) -> tuple[str, ...]:
    """What of a repository's settings, license and collection is not as its manifest says.

    Raises:
        HubUnavailable: the Hub does not answer.
    """
    findings = []
    if tree.license != license_id:
        shown = tree.license or "none"
        findings.append(f"license: {shown} on the Hub, {license_id or 'none'} in the manifest")
    try:
        changes = setting_changes(wanted, seen_settings(tree), connection)
    except NotReady as error:
        return (*findings, *error.reasons)
    return (*findings, *(change.drift for change in changes))


def _documents(
    repo_id: str, tree: RemoteTree, connection: HubConnection, paths: Sequence[str] = _READ
) -> dict[str, bytes]:
    wanted = [
        path for path in paths if path in tree.files and tree.files[path].size_bytes <= _MAX_BYTES
    ]
    if not wanted:
        return {}
    with (
        tempfile.TemporaryDirectory(prefix="sae-release-", ignore_cleanup_errors=True) as cache,
        without_client_bars(),
        hub_errors_explained(f"reading the card of {repo_id}", connection),
    ):
        copy = connection.api().snapshot_download(
            repo_id,
            revision=tree.oid,
            allow_patterns=[glob.escape(path) for path in wanted],
            cache_dir=cache,
        )
        return {path: (Path(copy) / path).read_bytes() for path in wanted}


def _json(content: bytes | None) -> Any:
    try:
        return json.loads(content) if content else None
    except (ValueError, RecursionError):
        return None


def _is_ours(content: Any, form: str) -> bool:
    return isinstance(content, dict) and str(content.get("format", "")).startswith(form)


def _changed_files(
    documents: dict[str, bytes], card: Any, index: Any, tree: RemoteTree
) -> Iterator[str]:
    """Files that are not those which the release itself names."""
    named = card.get("files")
    for path, digest in sorted(named.items()) if isinstance(named, dict) else ():
        if path not in documents:
            yield f"{path} is missing"
        elif bytes_sha256(documents[path]) != digest:
            yield f"{path} is not the file that was released"
    for path, digest in sorted(_beside_the_card(card).items()):
        if path not in tree.files:
            yield f"{path} is missing"
        elif _digest_of(path, tree, documents) not in (None, digest):
            yield f"{path} is not the file that was released"
    different, missing = [], []
    for entry in index.get("saes") or ():
        for name, digest in (entry.get("sha256") or {}).items():
            path = f"{entry.get('sae_id')}/{name}"
            if path not in tree.files:
                missing.append(path)
            elif digest and _digest_of(path, tree, documents) not in (None, digest):
                different.append(path)
    if missing:
        yield f"{counted(len(missing), 'file')} of SAEs missing: {_some(missing)}"
    if different:
        yield (
            f"{counted(len(different), 'file')} of SAEs not those that were released: "
            f"{_some(different)}"
        )


def _beside_the_card(card: Any) -> dict[str, str]:
    """SHA-256 of the report and the training record, as a card's record has them.

    Of a figure it names what was drawn, which is no digest of its bytes.
    """
    if not isinstance(card, dict):
        return {}
    documents = {"report.json": "report_digest", "training.json": "training_digest"}
    named = {path: card.get(key) for path, key in documents.items()}
    return {path: digest for path, digest in named.items() if isinstance(digest, str)}


def _digest_of(path: str, tree: RemoteTree, documents: dict[str, bytes]) -> str | None:
    """What a file of the tree hashes to; None where nobody looked."""
    if path in documents:
        return bytes_sha256(documents[path])
    return tree.files[path].lfs_sha256


def _other_manifest(loaded: LoadedManifest, card: Any, index: Any) -> Iterator[str]:
    wanted = {spec.sae_id for spec in loaded.saes}
    there = {str(entry.get("sae_id")) for entry in index.get("saes") or ()}
    if lacking := sorted(wanted - there):
        yield f"the manifest has {counted(len(lacking), 'SAE')} more: {_some(lacking)}"
    if further := sorted(there - wanted):
        yield f"the manifest lacks {counted(len(further), 'SAE')}: {_some(further)}"
    if card.get("manifest_text_digest", card.get("manifest_digest")) not in (
        loaded.digest,
        loaded.manifest.digest(),
    ):
        yield "it was released from another state of the manifest"


def _newest_release(repo_id: str, connection: HubConnection) -> str | None:
    with hub_errors_explained(f"reading the tags of {repo_id}", connection):
        tags = connection.api().list_repo_refs(repo_id).tags
    numbers = [
        int(number)
        for tag in tags
        if (number := tag.name.removeprefix("release-")).isdecimal() and number != tag.name
    ]
    return f"release-{max(numbers)}" if numbers else None


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown} and {len(names) - _SHOWN} more"
