"""Which checks report faults that `release validate --fix` can often mend."""

from __future__ import annotations

from validators.report import Report

# What `validators.mending` names where it changes something; a test compares.
_CONFIG = (
    "C002",
    "C003",
    "C004",
    "C006",
    "C008",
    "C009",
    "C010",
    "C011",
    "C012",
    "C013",
    "C016",
    "C017",
    "C020",
)
_WEIGHTS = ("W001", "W002", "W003", "W102", "W104", "W105")
_MENDED = frozenset((*_CONFIG, *_WEIGHTS, "F004", "F006", "F010", "H001", "H002"))
# Only a manifest says what the value should be.
_BY_MANIFEST = frozenset({"C006", "C011"})


def mendable_codes(report: Report) -> frozenset[str]:
    """Codes whose faults are often mechanical, given whether there is a manifest to go by."""
    return _MENDED if report.manifest_digest is not None else _MENDED - _BY_MANIFEST
