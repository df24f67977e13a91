"""A small ray that computes at once in this process, with what the engine uses of it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest


class FakeTaskError(Exception):
    """As `ray.exceptions.RayTaskError`: an error of a task, with the original as its cause."""

    def __init__(self, cause: Exception) -> None:
        super().__init__("remote traceback")
        self.cause = cause


class FakeWorkerCrashed(Exception):
    """As `ray.exceptions.WorkerCrashedError`."""


class FakeRay:
    """Runs a task when it is waited for; what is ready first is the last that was handed over."""

    def __init__(self) -> None:
        self.cpus = [1.0, 2.0]
        self.gpus = 0.0
        self.is_up = False
        self.started: list[dict[str, Any]] = []
        self.put_arrays: list[Any] = []
        self.options: list[dict[str, Any]] = []
        self.cancelled: list[Any] = []
        self.killed: list[Any] = []
        self.crashes: set[int] = set()
        self.most_waiting = 0
        self.constants: Any = None
        self.was_alone: tuple[bool, str | None] | None = None
        self.exceptions = SimpleNamespace(
            RayTaskError=FakeTaskError,
            WorkerCrashedError=FakeWorkerCrashed,
            NodeDiedError=FakeWorkerCrashed,
            OutOfMemoryError=FakeWorkerCrashed,
            ObjectLostError=FakeWorkerCrashed,
        )

    def is_initialized(self) -> bool:
        return self.is_up

    def init(self, **options: Any) -> None:
        self.is_up = True
        self.started.append(options)
        self.was_alone = (self.constants.ENABLE_RAY_CLUSTER, os.environ.get("FAKE_RAY_CLUSTER"))

    def shutdown(self) -> None:
        self.is_up = False

    def nodes(self) -> list[dict[str, Any]]:
        alive = [{"Alive": True, "Resources": {"CPU": n, "GPU": self.gpus}} for n in self.cpus]
        return [*alive, {"Alive": False, "Resources": {"CPU": 64.0, "GPU": 8.0}}]

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": sum(self.cpus), "GPU": self.gpus * len(self.cpus)}

    def get_runtime_context(self) -> SimpleNamespace:
        return SimpleNamespace(get_node_id=lambda: "head")

    def put(self, array: Any) -> Any:
        array = array.copy()
        array.flags.writeable = False
        self.put_arrays.append(array)
        return array

    def remote(self, what: Any) -> Any:
        return _Actor(what) if isinstance(what, type) else _Task(self, what)

    def wait(self, refs: list[Any], *, timeout: float) -> tuple[list[Any], list[Any]]:
        self.most_waiting = max(self.most_waiting, len(refs))
        refs[-1].compute()
        return [refs[-1]], refs[:-1]

    def get(self, ref: Any) -> Any:
        if isinstance(ref, list):
            return [self.get(each) for each in ref]
        return ref.value()

    def cancel(self, ref: Any, *, force: bool) -> None:
        assert force
        self.cancelled.append(ref)

    def kill(self, actor: Any) -> None:
        self.killed.append(actor)


class _Ref:
    """The result of a call, computed at most once."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self._call, self._outcome = call, None

    def compute(self) -> None:
        if self._outcome is None:
            try:
                self._outcome = (self._call(), None)
            except FakeWorkerCrashed as error:
                self._outcome = (None, error)
            except Exception as error:  # noqa: BLE001 - ray hands over every error of a task
                self._outcome = (None, FakeTaskError(error))

    def value(self) -> Any:
        self.compute()
        value, error = self._outcome
        if error is not None:
            raise error
        return value


class _Task:
    def __init__(self, ray: FakeRay, function: Callable[..., Any]) -> None:
        self._ray, self._function = ray, function

    def options(self, **options: Any) -> Any:
        self._ray.options.append(options)
        number = len(self._ray.options) - 1

        def call(*arguments: Any) -> Any:
            if number in self._ray.crashes:
                raise FakeWorkerCrashed("the worker died\nand this is why")
            return self._function(*arguments)

        return SimpleNamespace(remote=lambda *arguments: _Ref(lambda: call(*arguments)))


class _Actor:
    def __init__(self, kind: type) -> None:
        self._kind = kind

    def options(self, **options: Any) -> Any:
        return SimpleNamespace(remote=lambda: _Handle(self._kind()))


class _Handle:
    """Calls are made when they are sent, as an actor in this process would."""

    def __init__(self, actor: Any) -> None:
        self._actor = actor

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._actor, name)

        def remote(*arguments: Any) -> _Ref:
            value = method(*arguments)
            return _Ref(lambda: value)

        return SimpleNamespace(remote=remote)


@pytest.fixture
def fake_ray(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeRay]:
    """A ray of two nodes, of 1 and 2 processors and no GPU, in the place of the real one."""
    fake = FakeRay()
    strategies = ModuleType("ray.util.scheduling_strategies")
    strategies.NodeAffinitySchedulingStrategy = lambda **facts: facts  # type: ignore[attr-defined]
    constants = ModuleType("ray._private.ray_constants")
    constants.ENABLE_RAY_CLUSTER = True  # type: ignore[attr-defined]
    constants.ENABLE_RAY_CLUSTERS_ENV_VAR = "FAKE_RAY_CLUSTER"  # type: ignore[attr-defined]
    fake.constants = constants
    monkeypatch.setitem(sys.modules, constants.__name__, constants)
    monkeypatch.setitem(sys.modules, "ray", fake)  # type: ignore[arg-type]
    monkeypatch.setitem(sys.modules, strategies.__name__, strategies)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    yield fake
