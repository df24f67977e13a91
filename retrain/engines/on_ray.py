"""The engine of a Ray cluster: units as tasks, which survive the nodes they run on."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from manifests.errors import ReleaseError
from retrain.engines.ray_session import connected, ray_package
from retrain.engines.ray_task import ReportBox, Setting, train_on_node, versions_here

if TYPE_CHECKING:
    from retrain.engines.engine import Report, Result, TrainUnit
    from retrain.jobs import StepReport, Unit
    from retrain.training.train import Trained
    from retrain.vectors import Vectors

_SECONDS_BETWEEN_REPORTS = 1.0


class NoGpuInCluster(ReleaseError):
    """Units want a GPU and no node of the cluster has one."""


class UnitLost(ReleaseError):
    """A unit took the process or the node that trained it down each time it was tried."""


@dataclass(frozen=True)
class RayEngine:
    """Trains units as tasks of a Ray cluster.

    A task takes as many processors as this machine gives torch threads, or one GPU. When a node
    goes away, its units run again elsewhere, from their seeds: to the same weights.

    Attributes:
        address: `host:port` of the cluster's head, or `auto`; None: `RAY_ADDRESS` if it is set,
            else a Ray of this machine alone that ends with the run.
        retries: how often a unit is tried again after its node or process went away.
        train: what trains a unit; None: `retrain.training.train.train_unit`.
    """

    address: str | None = None
    retries: int = 5
    train: TrainUnit | None = None

    def run(
        self, units: Sequence[Unit], vectors: Mapping[str, Vectors], report: Report
    ) -> Iterator[Result]:
        """Train the units; see `Engine.run`.

        A unit that starts again is silent until it is past the step it had reached.

        Raises:
            MissingExtra: ray is not installed.
            UsageError, ClusterUnreachable: as `connected`.
            NoGpuInCluster, UnitLost, VersionsDiffer: see there.
        """
        if not units:
            return
        ray = ray_package()
        with connected(ray, self.address):
            yield from self._run(ray, units, vectors, report)

    def _run(
        self, ray: Any, units: Sequence[Unit], vectors: Mapping[str, Vectors], report: Report
    ) -> Iterator[Result]:
        import torch

        setting = Setting(torch.get_num_threads(), versions_here())
        box = _report_box(ray)
        task = ray.remote(train_on_node)
        shelf = _Shelf(ray, units, vectors)
        waiting, pending = deque(range(len(units))), dict[Any, int]()
        rising = _Rising()
        try:
            while waiting or pending:
                while waiting and len(pending) < _room(ray, units[waiting[0]], setting.threads):
                    index = waiting.popleft()
                    unit, hooks = units[index], hooks_of(units[index])
                    placed = task.options(
                        max_retries=self.retries, **_demand(unit, setting.threads, ray.nodes())
                    )
                    facts = (_as_on_node(unit), index, setting, box, self.train)
                    ref = placed.remote(*facts, hooks, *shelf.take(hooks))
                    pending[ref] = index
                ready, _ = ray.wait(list(pending), timeout=_SECONDS_BETWEEN_REPORTS)
                # After the wait: a unit that is ready has delivered all its reports.
                for index, step in ray.get(box.take.remote()):
                    if rising.is_new(index, step):
                        report(units[index], step)
                for ref in ready:
                    index = pending.pop(ref)
                    yield units[index], _result(ray, ref, units[index], self.retries)
        finally:
            for ref in pending:
                ray.cancel(ref, force=True)
            ray.kill(box)


def hooks_of(unit: Unit) -> tuple[str, ...]:
    """The hooks whose vectors a unit needs, each once, in the order of its jobs."""
    return tuple(dict.fromkeys(job.hook for job in unit.jobs))


class _Shelf:
    """Vectors in the cluster's object store, from the first unit that needs them to the last."""

    def __init__(self, ray: Any, units: Sequence[Unit], vectors: Mapping[str, Vectors]) -> None:
        self._ray, self._vectors = ray, vectors
        self._stored: dict[str, Any] = {}
        self._n_left = Counter(hook for unit in units for hook in hooks_of(unit))

    def take(self, hooks: tuple[str, ...]) -> list[Any]:
        """A reference for each hook of one unit."""
        from retrain.engines.stored_vectors import as_array

        refs = []
        for hook in hooks:
            if hook not in self._stored:
                self._stored[hook] = self._ray.put(as_array(self._vectors[hook]))
            self._n_left[hook] -= 1
            refs.append(self._stored[hook] if self._n_left[hook] else self._stored.pop(hook))
        return refs


class _Rising:
    """Lets through the reports that go beyond what was seen of their unit."""

    def __init__(self) -> None:
        self._reached: dict[int, int] = {}

    def is_new(self, index: int, report: StepReport) -> bool:
        """Whether the report is of a later step than every one before."""
        if report.step <= self._reached.get(index, 0):
            return False
        self._reached[index] = report.step
        return True


def _report_box(ray: Any) -> Any:
    """The box, on this process's own node: it goes away only when all is lost anyway."""
    from importlib import import_module

    strategies = import_module("ray.util.scheduling_strategies")
    here = strategies.NodeAffinitySchedulingStrategy(
        node_id=ray.get_runtime_context().get_node_id(), soft=True
    )
    options = {"num_cpus": 0, "max_restarts": -1, "max_task_retries": -1}
    return ray.remote(ReportBox).options(scheduling_strategy=here, **options).remote()


def _needs_gpu(unit: Unit) -> bool:
    return unit.device.startswith("cuda")


def _as_on_node(unit: Unit) -> Unit:
    """The unit with the device as a node names it: Ray shows a task its own GPU alone."""
    return replace(unit, device="cuda") if _needs_gpu(unit) else unit


def _demand(unit: Unit, threads: int, nodes: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """What a unit reserves on a node, so that a node of the cluster as it is can give it.

    Raises:
        NoGpuInCluster: the unit wants a GPU and there is none.
    """
    resources = [node["Resources"] for node in nodes if node["Alive"]]
    if not _needs_gpu(unit):
        most = max((each.get("CPU", 0) for each in resources), default=0)
        # A cluster of 0 processors is about to grow; what it will have is not known.
        return {"num_cpus": min(threads, most) or threads}
    if not any(each.get("GPU", 0) >= 1 for each in resources):
        raise NoGpuInCluster(
            f"{unit.jobs[0].sae_id} is to be trained on {unit.device}, and no node has a GPU",
            where="the Ray cluster",
            expected="at least one node with a GPU that Ray sees",
            next_step="start one (also where the cluster grows by itself), or use --device cpu",
        )
    return {"num_cpus": 1, "num_gpus": 1}


def _room(ray: Any, unit: Unit, threads: int) -> int:
    """How many tasks are handed over at a time: twice what fits, so that no node waits.

    What is handed over keeps its vectors in the object store; more would fill it.
    """
    demand = _demand(unit, threads, ray.nodes())
    total = ray.cluster_resources()
    kind, each = ("GPU", demand["num_gpus"]) if _needs_gpu(unit) else ("CPU", demand["num_cpus"])
    return max(2, 2 * int(total.get(kind, 0) // each))


def _result(ray: Any, ref: Any, unit: Unit, retries: int) -> tuple[Trained, ...]:
    """A unit's SAEs, or the error that its training ended with."""
    errors = ray.exceptions
    try:
        return ray.get(ref)  # type: ignore[no-any-return]
    except errors.RayTaskError as error:
        if isinstance(error.cause, ReleaseError):
            raise error.cause from error
        raise
    except (
        errors.WorkerCrashedError,
        errors.NodeDiedError,
        errors.OutOfMemoryError,
        errors.ObjectLostError,
    ) as error:
        raise UnitLost(
            f"its process or node went away {retries + 1} times, the last time: "
            + str(error).partition("\n")[0],
            where=f"{unit.jobs[0].sae_id} ({len(unit.jobs)} SAEs)",
            expected="a node that lasts as long as the unit takes",
            next_step="look at the node's memory; a smaller --memory-gb makes smaller units",
        ) from error
