"""A plan as a person reads it before saying yes."""

from __future__ import annotations

import math
from collections.abc import Iterator

from release.provenance.model_signature import SIGNATURE
from release.provenance.statement import PROVENANCE
from release.publishing.one_commit import MAX_OPERATIONS
from release.publishing.plan import Plan, PlannedFile, RepositoryPlan
from release.publishing.planning import touches_weights
from release.publishing.push import Receipt
from validators.presenting.tally import counted

_AT_MOST = 8


def plan_text(plan: Plan) -> str:
    """Some lines for each repository, and a last one for all."""
    blocks = ["\n".join(_repository(each)) for each in plan.repositories]
    return "\n\n".join([*blocks, _total(plan)])


def _repository(plan: RepositoryPlan) -> Iterator[str]:
    at = f"at {plan.parent[:12]}" if plan.parent else "does not exist yet"
    seen = {None: "", True: ", private", False: ", public"}[plan.is_private]
    yield f"{plan.repo_id} ({at}{seen}), by {plan.manifest}"
    if not plan.has_changes:
        yield "  no changes"
    yield from _files("+", "to add", plan.adds)
    yield from _files("~", "to change", plan.changes)
    yield from _paths("-", "to delete", plan.deletes)
    if plan.unchanged:
        yield f"  = {counted(len(plan.unchanged), 'file')} unchanged"
    yield from _paths(
        "?", "of the former release, not of this one: kept (--delete deletes)", plan.leftovers
    )
    yield from _paths("?", "that no release put there: kept", plan.unknown)
    for change in plan.settings:
        yield f"  * {change}{' (only with --public)' if change.needs_public else ''}"
    if plan.has_commit and plan.is_of_release:
        when = "renewed where the release has one" if plan.cards_only else "which the push writes"
        yield f"  . and {PROVENANCE}, {when}"
    if SIGNATURE in plan.leftovers:
        yield f"  . {SIGNATURE} signs other bytes: a push needs --sign, or --delete to give it up"
    n_changes = len(plan.sends) + len(plan.deletes)
    if n_changes > MAX_OPERATIONS:
        n_parts = math.ceil(n_changes / MAX_OPERATIONS)
        yield f"  . staged in {n_parts} parts in a draft pull request, and merged as one commit"
    if plan.cards_only:
        touched = touches_weights(plan)
        assert not touched
        yield "  no weight file is touched"
    for what in plan.unchecked:
        yield f"  . not checked: {what}"
    for reason in plan.refusals:
        yield f"  ! would be refused: {reason}"


def _files(sign: str, what: str, files: tuple[PlannedFile, ...]) -> Iterator[str]:
    if not files:
        return
    total = sum(file.size_bytes for file in files)
    yield f"  {sign} {counted(len(files), 'file')} {what}, {size(total)}"
    for file in files[:_AT_MOST]:
        was = "" if file.former_size_bytes is None else f" (was {size(file.former_size_bytes)})"
        yield f"      {file.path_in_repo}  {size(file.size_bytes)}{was}"
    yield from _rest(len(files))


def _paths(sign: str, what: str, paths: tuple[str, ...]) -> Iterator[str]:
    if paths:
        yield f"  {sign} {counted(len(paths), 'file')} {what}"
        yield from (f"      {path}" for path in paths[:_AT_MOST])
        yield from _rest(len(paths))


def _rest(n: int) -> Iterator[str]:
    if n > _AT_MOST:
        yield f"      and {n - _AT_MOST} more"


def _total(plan: Plan) -> str:
    changed = [each for each in plan.repositories if each.has_commit]
    n_settings = sum(len(each.settings) for each in plan.repositories)
    settings = f"{counted(n_settings, 'setting')} changed"
    if not changed:
        if not n_settings:
            return f"Nothing would change on {plan.endpoint}."
        return f"No commit on {plan.endpoint}: {settings}."
    n_files = sum(len(each.sends) for each in changed)
    n_deleted = sum(len(each.deletes) for each in changed)
    deleted = f", {counted(n_deleted, 'file')} deleted" if n_deleted else ""
    total = sum(each.size_bytes for each in changed)
    return (
        f"{counted(len(changed), 'commit')} on {plan.endpoint}: "
        f"{counted(n_files, 'file')} sent, {size(total)}{deleted}"
        f"{f', {settings}' if n_settings else ''}."
    )


def receipt_text(receipt: Receipt) -> str:
    """What a push did: a line, one on using it from the Hub, and one for each setting."""
    at = f"{receipt.repo_id} is at {receipt.commit}"
    if receipt.pull_request:
        at = f"{receipt.repo_id}: {receipt.pull_request} is open, at {receipt.commit}"
    tagged = f", tagged {receipt.tag}" if receipt.tag else ""
    sent = f"{counted(receipt.sent_files, 'file')} sent"
    lines = [f"{at}{tagged}: {sent}, {receipt.n_files} read back and compared."]
    lines += [f"  {receipt.use.told}"] if receipt.use else []
    lines += [f"  {change}" for change in receipt.settings]
    lines += [f"  left as it is without --public: {change}" for change in receipt.settings_left]
    return "\n".join(lines)


def size(n_bytes: int) -> str:
    """A number of bytes in the unit of 1000 that fits."""
    if n_bytes < 1_000:
        return f"{n_bytes} B"
    for unit, divisor in (("kB", 1e3), ("MB", 1e6), ("GB", 1e9)):
        if n_bytes < divisor * 999.5:
            return f"{n_bytes / divisor:.3g} {unit}"
    return f"{n_bytes / 1e9:.0f} GB"
