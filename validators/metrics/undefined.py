"""A metric that has no value on the given data."""

from __future__ import annotations

from manifests.errors import ReleaseError


class UndefinedMetric(ReleaseError):
    """The formula divides by zero, or a number in it is not finite; `what` says which."""
