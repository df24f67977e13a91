"""A connection to a Ray cluster: found, refused with a reason, or started for this run alone."""

from __future__ import annotations

import importlib
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from manifests.errors import MissingExtra, ReleaseError, UsageError

LOCAL = "local"
AUTO = "auto"
_SECONDS_TO_ANSWER = 5.0
_START_ONE = "start it with `ray start --head`, or leave the address out to use this machine"


class ClusterUnreachable(ReleaseError):
    """No Ray cluster answers at the address."""

    exit_code = 4


def ray_package() -> Any:
    """The package ray, imported on first use.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        return importlib.import_module("ray")
    except ImportError as error:
        raise MissingExtra(
            needed_for="training on a Ray cluster", package="ray", extra="ray"
        ) from error


def wanted_address(given: str | None) -> str:
    """The address to use: as given, else `RAY_ADDRESS`, else a Ray of this machine alone.

    Raises:
        UsageError: it is neither `host:port`, `auto` nor `local`.
    """
    address = given or os.environ.get("RAY_ADDRESS") or LOCAL
    if address in (LOCAL, AUTO):
        return address
    host, _, port = address.rpartition(":")
    if "/" in address or not host or not port.isdecimal():
        raise UsageError(
            f"{address!r} is no address of a Ray cluster that can be used here",
            where="--ray-address" if given else "RAY_ADDRESS",
            expected="host:port of the cluster's head, such as 10.0.0.5:6379, or auto",
            next_step="run the command on a machine of the cluster; "
            "the client protocol ray:// is not supported",
        )
    return address


@contextmanager
def connected(ray: Any, given: str | None) -> Iterator[None]:
    """Connect to the cluster for the length of the block, or use the session there is.

    A Ray that was started here ends with the block; a cluster that was there goes on.

    Raises:
        UsageError: as `wanted_address`.
        ClusterUnreachable: nothing answers at the address.
    """
    if ray.is_initialized():
        yield
        return
    address = wanted_address(given)
    if address not in (LOCAL, AUTO):
        _refuse_silence(address)
    # Ray reports usage to its makers unless it is told not to when its processes start.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    options: dict[str, Any] = {"include_dashboard": False} if address == LOCAL else {}
    with _on_loopback() if address == LOCAL else nullcontext():
        try:
            # What workers print must not mix with results on standard output.
            ray.init(address=address, log_to_driver=False, logging_level=logging.WARNING, **options)
        except ConnectionError as error:
            raise ClusterUnreachable(
                "no running Ray was found",
                where=address,
                expected="a Ray cluster of the installed version",
                next_step=_START_ONE,
            ) from error
        try:
            yield
        finally:
            ray.shutdown()


@contextmanager
def _on_loopback() -> Iterator[None]:
    """Let a Ray that is started in the block listen to this machine alone.

    By default it listens on every interface, even when it is given the address 127.0.0.1, which it
    replaces by the machine's own. Its one switch is read when ray is imported, which may be long
    ago; so the value that was read is changed as well, and both are put back.
    """
    constants: Any = importlib.import_module("ray._private.ray_constants")
    read, name = constants.ENABLE_RAY_CLUSTER, constants.ENABLE_RAY_CLUSTERS_ENV_VAR
    stated = os.environ.get(name)
    constants.ENABLE_RAY_CLUSTER, os.environ[name] = False, "0"
    try:
        yield
    finally:
        constants.ENABLE_RAY_CLUSTER = read
        if stated is None:
            del os.environ[name]
        else:
            os.environ[name] = stated


def _refuse_silence(address: str) -> None:
    """Knock first: ray itself tries for two minutes, then ends the whole process."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=_SECONDS_TO_ANSWER).close()
    except (OSError, OverflowError) as error:
        raise ClusterUnreachable(
            f"nothing answers: {error}",
            where=address,
            expected="the head of a running Ray cluster",
            next_step=_START_ONE,
        ) from error
