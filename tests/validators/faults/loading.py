"""Faults that the checks L notice."""

from __future__ import annotations

from typing import Any

from faults.damage import (
    TOPK,
    Fault,
    override_k_by_the_older_format,
    without_format_version,
)


def flatten(c: dict[str, Any]) -> None:
    """The flat layout of before SAELens 6, which still states the version of the nested one."""
    c.update(c.pop("metadata"))


FAULTS = (
    Fault("L101", "missing_bias", lambda d: d.edit_weights("topk", lambda t: t.pop("b_enc")), TOPK),
    Fault("L102", "metadata_lost", lambda d: d.edit_cfg("topk", without_format_version), TOPK),
    Fault("L102", "flat_with_a_new_version", lambda d: d.edit_cfg("topk", flatten), TOPK),
    Fault("L102", "k_of_the_older_format", override_k_by_the_older_format, TOPK),
)  # fmt: skip
