"""What a manifest asks of its repository on the Hub beside the files: who sees it, who loads it.

Each setting that is left out stays on the Hub as it is. None of them is evidence or text of the
card, so a change of one asks for no new report, no new card and no commit.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from manifests.fields import Strict, Text

Visibility = Literal["private", "public"]
Gating = Literal[False, "auto", "manual"]

_SLUG = re.compile(r"[A-Za-z0-9][\w.-]*/(?:[\w-]+-)?[0-9a-f]{24}", re.ASCII)


def _visibility(value: Any) -> Any:
    if value not in ("private", "public"):
        raise ValueError("must be private or public; left out, it stays as it is on the Hub")
    return value


def _gating(value: Any) -> Any:
    if value is not False and value not in ("auto", "manual"):
        raise ValueError(
            "must be auto (who asks gets access), manual (an owner decides) or false (not gated); "
            "left out, it stays as it is on the Hub"
        )
    return value


def _collection(value: Any) -> Any:
    if isinstance(value, str) and "/" in value and not is_slug(value):
        if "://" in value:
            raise ValueError("must be a collection's slug or title, not an address")
        if not re.search(r"\s", value):
            raise ValueError(
                "must be a collection's slug, which is OWNER/WORDS and 24 hexadecimal digits, or "
                "its title; a repository is no collection"
            )
    return value


class HubSettings(Strict):
    """The settings of a repository on the Hub that follow the manifest."""

    visibility: Annotated[Visibility, BeforeValidator(_visibility)] | None = Field(
        None, description="Who sees it; public only with `--public`. Null: as it is."
    )
    gated: Annotated[Gating, BeforeValidator(_gating)] | None = Field(
        None, description="Who may load its files: auto, manual, or false. Null: as it is."
    )
    collection: Annotated[Text, BeforeValidator(_collection)] | None = Field(
        None,
        description="The Hub collection that lists it: its slug (`owner/words-24hexdigits`), or "
        "its title in the repository's own namespace, made where there is none.",
    )


def is_slug(collection: str) -> bool:
    """Whether a collection is named by its slug, whose end identifies it, and not by its title."""
    return _SLUG.fullmatch(collection) is not None
