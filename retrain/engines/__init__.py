"""Where training runs: in this process, on a Ray cluster, or as a job at Hugging Face."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from manifests.errors import UsageError

if TYPE_CHECKING:
    from retrain.engines.engine import Engine
    from retrain.jobs import Unit

ENGINES = ("local", "ray")


def engine_named(
    name: str,
    *,
    ray_address: str | None = None,
    checkpoint_of: Callable[[Unit], Path | None] | None = None,
) -> Engine:
    """The engine of a name; nothing is started or connected to before its `run`.

    Args:
        name: `local` or `ray`. `hf-jobs` is none: it sends the manifest away as a whole, see
            `retrain.engines.hf_jobs`.
        ray_address: `host:port` of a running cluster, or `auto`; None: RAY_ADDRESS if it is set,
            else a Ray of this machine alone, for as long as training takes.
        checkpoint_of: where an interrupted unit continues; of use on this machine only.

    Raises:
        UsageError: the name is not known, or an address was given for `local`.
    """
    if name not in ENGINES:
        raise UsageError(
            f"there is no engine {name!r} that trains units",
            where="--engine",
            expected=f"one of {', '.join(ENGINES)}",
        )
    if name == "local":
        if ray_address is not None:
            raise UsageError(
                f"the address {ray_address} of a Ray cluster was given, but the engine is local",
                where="--ray-address",
                next_step="add --engine ray, or leave the address out",
            )
        from retrain.engines.local import LocalEngine

        return LocalEngine(checkpoint_of=checkpoint_of)
    from retrain.engines.on_ray import RayEngine

    return RayEngine(address=ray_address)
