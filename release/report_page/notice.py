"""A remark of a page about its own sources: what is not shown, why, and how to have it shown."""

from __future__ import annotations

from dataclasses import dataclass

from manifests.errors import ReleaseError


@dataclass(frozen=True)
class Notice:
    """What a reader has to know, and what to do about it, where anything can be done."""

    text: str
    next_step: str | None = None


def notice_of(error: ReleaseError, doing: str) -> Notice:
    """An error that a page is made in spite of.

    Where it was found is left out: that may be a path of this machine, and a page gets published.
    """
    return Notice(f"{doing}: {error.what}", error.next_step)
