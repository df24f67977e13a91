"""The plan that a command line names, if it names one in place of manifests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from manifests.errors import UsageError
from release.hub_connection import EMBEDDED, HubConnection
from release.publishing.plan import Plan, read_plan


def reviewed_plan(paths: Sequence[Path] | None, connection: HubConnection) -> Plan | None:
    """The plan in a file; None where manifests are named.

    Raises:
        UsageError: a plan stands beside something else, is damaged, or is of another Hub.
    """
    plans = [path for path in paths or () if path.suffix == ".json"]
    if not plans:
        return None
    if len(paths or ()) > 1:
        raise UsageError(
            f"the plan {plans[0]} and {len(paths or ()) - 1} more are given",
            expected="one plan, or one or more manifests",
        )
    plan = read_plan(plans[0])
    # The embedded Hub has another port each time it is started.
    if plan.endpoint != connection.endpoint and not connection.is_embedded:
        is_loopback = urlsplit(plan.endpoint).hostname in ("127.0.0.1", "localhost")
        raise UsageError(
            f"is a plan for {plan.endpoint}",
            where=str(plans[0]),
            expected=f"one for {connection.endpoint}",
            next_step=f"give --hub {EMBEDDED if is_loopback else plan.endpoint}, or plan again",
        )
    return plan
