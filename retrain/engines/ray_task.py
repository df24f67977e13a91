"""What runs on a node of the cluster: one unit, with the reports on their way back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from manifests.errors import ReleaseError
from manifests.tool_version import tool_version
from retrain.engines.engine import trainer
from retrain.engines.ray_session import ray_package

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from retrain.engines.engine import TrainUnit
    from retrain.jobs import StepReport, Unit
    from retrain.training.train import Trained


class VersionsDiffer(ReleaseError):
    """A node has other versions than the machine that sent the unit."""


@dataclass(frozen=True)
class Setting:
    """What a unit's weights depend on beside the unit: the sender's threads and versions."""

    threads: int
    versions: Mapping[str, str]


class ReportBox:
    """Reports of all units until the sender takes them; an actor beside the sender."""

    def __init__(self) -> None:
        self._new: list[tuple[int, StepReport]] = []

    def add(self, index: int, report: StepReport) -> None:
        """Keep a report of the unit with this index."""
        self._new.append((index, report))

    def take(self) -> list[tuple[int, StepReport]]:
        """What came since the last call, in order of arrival."""
        new, self._new = self._new, []
        return new


def versions_here() -> dict[str, str]:
    """Versions that decide the weights; of torch without the name of its build."""
    return {
        "sae-release": tool_version(),
        "torch": version("torch").partition("+")[0],
        "numpy": version("numpy"),
    }


def train_on_node(
    unit: Unit,
    index: int,
    setting: Setting,
    box: Any,
    train: TrainUnit | None,
    hooks: tuple[str, ...],
    *arrays: NDArray[np.float32],
) -> tuple[Trained, ...]:
    """Train one unit as the sender would.

    Args:
        unit: with the device as this node names it.
        index: by which the sender knows the unit.
        setting: the sender's.
        box: the handle of the `ReportBox`.
        train: what trains a unit; None: `retrain.training.train.train_unit`.
        hooks: names of `arrays`.
        arrays: vectors [n, d_in] of each hook, float32, read-only.

    Raises:
        VersionsDiffer: this node's packages are not the sender's.
    """
    import torch

    from retrain.engines.stored_vectors import StoredVectors
    from retrain.environment import repeatable

    _refuse_other_versions(setting.versions)
    # The number of threads decides in which order sums are made, and so the last bits.
    torch.set_num_threads(setting.threads)
    vectors = {hook: StoredVectors(array) for hook, array in zip(hooks, arrays, strict=True)}
    last_sent: list[Any] = []

    def on_step(report: StepReport) -> None:
        last_sent[:] = [box.add.remote(index, report)]

    with repeatable(unit.device):
        trained = trainer(train)(unit, vectors, on_step=on_step, checkpoint=None)
    # Calls of one sender are served in order: when the last report is there, all are.
    ray_package().get(last_sent)
    return trained


def _refuse_other_versions(wanted: Mapping[str, str]) -> None:
    here = versions_here()
    different = [name for name in wanted if here[name] != wanted[name]]
    if different:
        raise VersionsDiffer(
            "a node has " + ", ".join(f"{name} {here[name]}" for name in different),
            where="the Ray cluster",
            expected=", ".join(f"{name} {wanted[name]}" for name in different)
            + ", as where the command was given: other versions give other weights",
            next_step="install the same versions on every node",
        )
