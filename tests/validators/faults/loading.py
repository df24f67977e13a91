"""Faults that the checks L notice."""

from __future__ import annotations

from faults.damage import TOPK, Fault, without_format_version

FAULTS = (
    Fault("L101", "missing_bias", lambda d: d.edit_weights("topk", lambda t: t.pop("b_enc")), TOPK),
    Fault("L102", "metadata_lost", lambda d: d.edit_cfg("topk", without_format_version), TOPK),
)  # fmt: skip
