"""Which files of a repository its former release put there, by that release's own index.

Only these may be deleted: config.json names the SAEs, card.json the documents and figures. A file
that neither names was put there by somebody else, and stays.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from manifests.build_folder import SAE_CONFIG, SAE_WEIGHTS
from release.hub_connection import HubConnection, hub_errors_explained, without_client_bars
from release.publishing.release_files import ADDED_BY_PUSH
from release.publishing.remote_tree import RemoteTree

_INDEX, _CARD = "config.json", "card.json"
_INDEX_FORMATS = ("sae-release.index/",)
_CARD_FORMATS = ("sae-release.card/",)
_MAX_BYTES = 20_000_000


def former_files(repo_id: str, tree: RemoteTree, connection: HubConnection) -> frozenset[str]:
    """The files at that commit that a former release of this tool accounts for.

    An index that cannot be read, or that another tool wrote, accounts for nothing.

    Raises:
        HubUnavailable: the Hub does not answer.
    """
    index = _json(repo_id, tree, _INDEX, connection)
    card = _json(repo_id, tree, _CARD, connection)
    named: set[str] = set()
    if _has_format(index, _INDEX_FORMATS):
        named |= {_INDEX, *ADDED_BY_PUSH, *_of_saes(index)}
        if _has_format(card, _CARD_FORMATS):
            named |= {_CARD, *_of_card(card)}
    return frozenset(named & tree.files.keys())


def _of_saes(index: Any) -> Iterator[str]:
    saes = index.get("saes")
    for entry in saes if isinstance(saes, list) else ():
        sae_id = entry.get("sae_id") if isinstance(entry, dict) else None
        if isinstance(sae_id, str) and sae_id:
            yield from (f"{sae_id}/{SAE_CONFIG}", f"{sae_id}/{SAE_WEIGHTS}")


def _of_card(card: Any) -> Iterator[str]:
    for key in ("files", "figures"):
        named = card.get(key)
        if isinstance(named, dict):
            yield from (name for name in named if isinstance(name, str))
    if isinstance(card.get("figures"), dict) and card["figures"]:
        yield "figures/figures.json"
    for digest, name in (("report_digest", "report.json"), ("training_digest", "training.json")):
        if card.get(digest):
            yield name


def _has_format(content: Any, formats: tuple[str, ...]) -> bool:
    return isinstance(content, dict) and str(content.get("format", "")).startswith(formats)


def _json(repo_id: str, tree: RemoteTree, path: str, connection: HubConnection) -> Any:
    """A JSON file of the repository; None where it is missing, too large or damaged."""
    import tempfile
    from pathlib import Path

    found = tree.files.get(path)
    if found is None or found.size_bytes > _MAX_BYTES:
        return None
    with (
        tempfile.TemporaryDirectory(prefix="sae-release-", ignore_cleanup_errors=True) as cache,
        without_client_bars(),
        hub_errors_explained(f"reading {repo_id}/{path}", connection),
    ):
        file = connection.api().hf_hub_download(repo_id, path, revision=tree.oid, cache_dir=cache)
        content = Path(file).read_bytes()
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None
