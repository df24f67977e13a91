"""What a push may change: what was reviewed, and nothing that makes a published signature void."""

from __future__ import annotations

from cards.block_results import CARD
from release.gate import NotReady
from release.hub_connection import HubConnection
from release.provenance.model_signature import SIGNATURE, signed_paths
from release.publishing.plan import RepositoryPlan
from release.publishing.release_files import ADDED_BY_PUSH, ReleaseFile
from release.publishing.tree_difference import TreeDifference
from validators.presenting.tally import counted


class StalePlan(NotReady):
    """What lies on disk or on the Hub is no longer what the plan was made from."""


def stale_plan(reasons: list[str], *, where: str, made_from: str, manifest: str) -> StalePlan:
    """The refusal of a plan, with what is another thing than it was made from."""
    return StalePlan(
        "the plan is stale:\n" + "\n".join(f"  - {reason}" for reason in reasons),
        reasons=reasons,
        where=where,
        expected=f"{made_from} that the plan was made from",
        next_step=f"release plan {manifest}",
    )


def require_same(
    reviewed: RepositoryPlan,
    files: dict[str, ReleaseFile],
    found: TreeDifference | None,
    connection: HubConnection,
) -> None:
    """Refuse a plan that was made from another head, or from other bytes on disk.

    A plan that was carried out already is not stale: there is nothing left to do. Nor is one for
    a repository that did not exist, once an attempt that broke off has made it and nothing more.
    """
    sends = {file.path_in_repo: file.sha256 for file in reviewed.sends}
    head = found.parent if found else None
    if reviewed.parent is None and found is not None and found.is_of_new_repository:
        head = None
    lacking = found.sends if found else files.values()
    now = {file.path_in_repo: file.sha256 for file in lacking}
    if head == reviewed.parent:
        other = sorted(
            path for path in sends.keys() | now.keys() if sends.get(path) != now.get(path)
        )
        # What came of the code blocks, who assembled the release and who signed it, is written by
        # the push.
        other = [path for path in other if path not in (CARD, *ADDED_BY_PUSH)]
        reasons = [f"{path} is not the file that was planned" for path in other]
    elif found is not None and not now and not deletes_left(reviewed, found):
        reasons = []
    else:
        was = reviewed.parent[:12] if reviewed.parent else "no repository"
        reasons = [f"the head was {was}, and is {head[:12] if head else 'no repository'}"]
    if reasons:
        raise stale_plan(
            reasons,
            where=f"{reviewed.repo_id} on {connection.endpoint}",
            made_from="the head and the files",
            manifest=reviewed.manifest,
        )


def require_signature(
    repo_id: str, found: TreeDifference, deletes: tuple[str, ...], connection: HubConnection
) -> None:
    """Refuse to leave a signature beside SAEs that it does not sign.

    Raises:
        NotReady: one would stay, and a file that it covers changes.
    """
    changed = signed_paths(file.path_in_repo for file in found.sends)
    if changed and SIGNATURE in found.stays and SIGNATURE not in deletes:
        raise NotReady(
            f"{SIGNATURE} is published, and signs other bytes of {counted(len(changed), 'file')}",
            where=f"{repo_id} on {connection.endpoint}",
            expected="SAEs that their signature is good for",
            next_step="--sign them anew, or give the signature up: plan and push with --delete",
        )


def deletes_left(reviewed: RepositoryPlan | None, found: TreeDifference) -> tuple[str, ...]:
    """The files that are to be deleted and are still there."""
    return tuple(path for path in reviewed.deletes if path in found.stays) if reviewed else ()
