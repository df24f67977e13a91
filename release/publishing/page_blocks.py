"""The code of a study's page, run before the page is pushed.

It reads the page's index and configurations of the members that it names. Those are taken from the
members' builds, else from the Hub, and served beside the staged page.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from manifests.build_folder import SAE_CONFIG, BuildFolder
from manifests.collection import LoadedCollection
from manifests.progress import Progress
from release.card_blocks import Staged, hub_with
from release.gate import NotReady
from release.hub_connection import HubConnection, hub_errors_explained, without_client_bars
from release.publishing.release_files import ReleaseFile
from release.publishing.remote_tree import remote_tree
from validators.presenting.tally import counted
from validators.readme.snippet_runs import run_blocks
from validators.readme.snippets import README, python_blocks
from validators.saelens.hub_access import ServedRepository


def require_page_code(
    loaded: LoadedCollection,
    files: Mapping[str, ReleaseFile],
    builds: Path,
    connection: HubConnection,
    *,
    progress: Progress,
) -> None:
    """Run every Python block of the page as a reader would, in order and in one interpreter.

    Args:
        loaded: the collection.
        files: the page's files.
        builds: the folder of builds; the page's own lies there too.
        connection: the Hub, for configurations of members that are not built here.
        progress: where to report.

    Raises:
        NotReady: a block fails, is cut off, or is no Python; nothing was sent.
        HubUnavailable: a member's configurations cannot be read.
    """
    repo_id = loaded.collection.repo_id
    blocks = python_blocks(files[README].path.read_text(encoding="utf-8"))
    wrong = [f"{README}, {block.error}" for block in blocks if block.tree is None]
    readable = [block for block in blocks if block.tree is not None]
    if readable:
        code = "\n".join(block.code for block in readable)
        page = Staged(repo_id, {name: file.path for name, file in files.items()})
        with (
            tempfile.TemporaryDirectory(prefix="sae-release-", ignore_cleanup_errors=True) as name,
            progress.task(f"Running {counted(len(blocks), 'code block')} of {README}", total=None),
        ):
            members = list(_members(loaded, code, builds, connection, Path(name)))
            with hub_with([page, *members], BuildFolder(builds / loaded.name).work) as hub:
                served = ServedRepository(hub.endpoint, repo_id, is_copy=True)
                answers = run_blocks(readable, served, skip_gpu=True)
        wrong += [f"{README}, line {a.line}: {a.error}" for a in answers if a.error]
        if len(answers) < len(readable):
            wrong.append(f"{README}: the process ended in the block of line {answers[-1].line}")
    if wrong:
        raise NotReady(
            "the code of the page does not run:\n" + "\n".join(f"  - {line}" for line in wrong),
            reasons=wrong,
            where=repo_id,
            expected="every Python block to run as a reader runs it",
            next_step="push the members that the page names first, or mend the block's partial",
        )
    progress.note(f"{README}: {counted(len(blocks), 'code block')} of the page ran")


def _members(
    loaded: LoadedCollection, code: str, builds: Path, connection: HubConnection, folder: Path
) -> Iterator[Staged]:
    """The members that the code names, each with the configurations that it names."""
    for each in loaded.members:
        if f'"{each.repo_id}"' not in code:
            continue
        local = _built(each.repo_id, builds, loaded)
        if local is None:
            tree = remote_tree(each.repo_id, connection)
            paths = _named([*tree.files] if tree else [], code)
            files = _fetched(each.repo_id, paths, connection, folder)
        else:
            found = [path.relative_to(local).as_posix() for path in local.rglob(SAE_CONFIG)]
            files = {path: local / path for path in _named(found, code)}
        yield Staged(each.repo_id, files)


def _named(paths: Sequence[str], code: str) -> list[str]:
    """The configurations of the SAEs that stand in the code as texts of their own."""
    return [
        path
        for path in paths
        if path.endswith(f"/{SAE_CONFIG}") and f'"{path.removesuffix(f"/{SAE_CONFIG}")}"' in code
    ]


def _built(repo_id: str, builds: Path, loaded: LoadedCollection) -> Path | None:
    """The build of a member on this machine, where it has SAEs."""
    for each in loaded.members:
        if each.repo_id == repo_id and each.loaded is not None:
            repository = BuildFolder(builds / each.loaded.name).repository
            return repository if any(repository.glob(f"*/{SAE_CONFIG}")) else None
    return None


def _fetched(
    repo_id: str, paths: Sequence[str], connection: HubConnection, folder: Path
) -> dict[str, Path]:
    with without_client_bars(), hub_errors_explained(f"reading {repo_id}", connection):
        api = connection.api()
        return {
            path: Path(api.hf_hub_download(repo_id, path, cache_dir=folder / "cache"))
            for path in paths
        }
