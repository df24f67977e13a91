"""Units on a real Ray cluster of several nodes on this machine, one of which is killed."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from manifests.errors import ReleaseError
from manifests.recipe import Recipe
from retrain.engines.local import LocalEngine
from retrain.engines.on_ray import RayEngine
from retrain.engines.ray_session import ClusterUnreachable
from retrain.input_scale import NoVariance
from retrain.jobs import Job, StepReport, Unit
from retrain.vectors import InMemory

pytestmark = [
    pytest.mark.slow,
    # Ray leaves files and sockets to the garbage collector and warns of its own plans.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning:ray"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
ray = pytest.importorskip("ray", reason="the extra ray is not installed")

STORE_BYTES = 80 * 1024 * 1024


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head that trains nothing, so that every unit goes to one of two workers."""
    from ray._private import ray_constants
    from ray.cluster_utils import Cluster

    with (
        pytest.MonkeyPatch.context() as patch,
        # The names of Ray's sockets may have 107 bytes; pytest's own folders are too long.
        tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as folder,
    ):
        # Loopback everywhere, in this process and in those it starts.
        patch.setattr(ray_constants, "ENABLE_RAY_CLUSTER", False)
        patch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        # Ray would write a token into the user's home.
        patch.setenv("RAY_AUTH_MODE", "disabled")
        patch.delenv("RAY_ADDRESS", raising=False)
        head = {"num_cpus": 0, "include_dashboard": False, "temp_dir": folder}
        started = Cluster(
            initialize_head=True, head_node_args={**head, "object_store_memory": STORE_BYTES}
        )
        try:
            for _ in range(2):
                started.add_node(num_cpus=1, object_store_memory=STORE_BYTES)
            yield started
        finally:
            ray.shutdown()
            started.shutdown()


def recipe(epochs: int) -> Recipe:
    return Recipe.model_validate(
        {
            "epochs": epochs,
            "batch_size": 16,
            "learning_rate": 0.01,
            "topk": {"k": 4},
            "gated": {"l1_coefficient": 0.05},
        }
    )


def units(*, epochs: int, n: int = 6) -> tuple[Unit, ...]:
    """TopK and Gated SAEs of two hooks in turn, the odd ones on a part of the vectors."""
    shared = recipe(epochs)
    return tuple(
        Unit(
            jobs=(
                Job(
                    sae_id=f"sae_{index}",
                    hook=f"model.layers.{index % 2}",
                    rows=torch.arange(0, 64, 2) if index % 2 else None,
                    d_sae=32,
                    sae_recipe=shared.of("topk" if index % 3 else "gated", ""),
                    seed=100 + index,
                ),
            ),
            recipe=shared,
            device="cpu",
            micro_batch=16,
        )
        for index in range(n)
    )


def vectors() -> dict[str, InMemory]:
    generator = torch.Generator().manual_seed(3)
    return {
        f"model.layers.{layer}": InMemory(torch.randn(64, 16, generator=generator))
        for layer in range(2)
    }


def silent(unit: Unit, step: StepReport) -> None:
    """Hear nothing."""


def weights_by_id(results: list[tuple[Unit, Any]]) -> dict[str, dict[str, bytes]]:
    """The bytes of every tensor of every SAE."""
    return {
        trained.sae_id: {name: t.numpy().tobytes() for name, t in trained.tensors.items()}
        for _, saes in results
        for trained in saes
    }


def noting_in(log: Path) -> Any:
    """The project's trainer, which first notes the SAE and the node in a file.

    A nested function travels with the task; a module of tests could not be imported there.
    """

    def train(unit: Unit, data: Any, **options: Any) -> Any:
        import ray

        from retrain.training.train import train_unit

        with log.open("a", encoding="utf-8") as stream:
            stream.write(f"{unit.jobs[0].sae_id} {ray.get_runtime_context().get_node_id()}\n")
        return train_unit(unit, data, **options)

    return train


def test_a_killed_node_loses_nothing_and_the_weights_are_those_of_one_machine(
    cluster: Any, tmp_path: Path
) -> None:
    todo, data, log = units(epochs=600), vectors(), tmp_path / "starts"
    cluster.add_node(num_cpus=1, object_store_memory=STORE_BYTES)
    workers = {node.node_id: node for node in cluster.worker_nodes}
    reports: dict[str, list[int]] = {unit.jobs[0].sae_id: [] for unit in todo}
    killed: list[tuple[str, str]] = []

    def starts(sae_id: str) -> list[str]:
        """The nodes on which a unit has begun, in order."""
        lines = [line.split() for line in log.read_text("utf-8").splitlines()]
        return [node for started, node in lines if started == sae_id]

    def hear(unit: Unit, step: StepReport) -> None:
        """Kill a node whose unit is not yet half done, but not the one that this process is on."""
        sae_id = unit.jobs[0].sae_id
        reports[sae_id].append(step.step)
        if killed or step.step >= step.n_steps / 2:
            return
        node = starts(sae_id)[-1]
        if node != ray.get_runtime_context().get_node_id():
            cluster.remove_node(workers[node], allow_graceful=False)
            killed.append((sae_id, node))

    engine = RayEngine(address=cluster.address, train=noting_in(log))
    results = list(engine.run(todo, data, hear))
    assert not ray.is_initialized()
    ((sae_id, victim),) = killed
    first, *again = starts(sae_id)
    assert first == victim
    assert len(again) == 1
    assert victim not in again
    assert sorted(unit.jobs[0].sae_id for unit, _ in results) == sorted(reports)
    assert {id(unit) for unit, _ in results} == {id(unit) for unit in todo}
    assert weights_by_id(results) == weights_by_id(list(LocalEngine().run(todo, data, silent)))
    # 600 epochs of 64 / 16 batches, or of 32 / 16 for the odd ones.
    last = {sae_id: steps[-1] for sae_id, steps in reports.items()}
    assert last == {f"sae_{index}": 1200 if index % 2 else 2400 for index in range(6)}
    assert all(steps == sorted(set(steps)) for steps in reports.values())


def test_an_error_of_a_unit_reaches_the_caller_as_it_is_on_one_machine(cluster: Any) -> None:
    same = {hook: InMemory(torch.ones(64, 16)) for hook in vectors()}
    with pytest.raises(NoVariance) as on_ray:
        list(RayEngine(address=cluster.address).run(units(epochs=1, n=1), same, silent))
    with pytest.raises(NoVariance) as local:
        list(LocalEngine().run(units(epochs=1, n=1), same, silent))
    assert str(on_ray.value) == str(local.value)
    assert not ray.is_initialized()


def test_a_unit_that_takes_its_process_down_each_time_is_reported(cluster: Any) -> None:
    def dies(unit: Unit, *_: object, **__: object) -> None:
        import os

        os._exit(1)

    engine = RayEngine(address=cluster.address, retries=1, train=dies)  # type: ignore[arg-type]
    with pytest.raises(ReleaseError, match="went away 2 times") as error:
        list(engine.run(units(epochs=1, n=1), vectors(), silent))
    assert error.value.where == "sae_0 (1 SAEs)"


def test_without_an_address_a_ray_of_this_machine_is_started_and_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    todo, data, addresses = units(epochs=3, n=2), vectors(), set()

    def hear(unit: Unit, step: StepReport) -> None:
        addresses.add(ray.get_runtime_context().gcs_address)

    results = list(RayEngine().run(todo, data, hear))
    assert not ray.is_initialized()
    (address,) = addresses
    host, _, port = address.rpartition(":")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)), timeout=5)
    assert weights_by_id(results) == weights_by_id(list(LocalEngine().run(todo, data, silent)))


LISTENING = """
import ipaddress
import psutil
from retrain.engines.ray_session import connected, ray_package

ray = ray_package()  # before the engine, as a caller that uses ray itself would
with connected(ray, None):
    ray.get(ray.remote(lambda: 1).remote())
    this = psutil.Process()
    hosts = {
        connection.laddr.ip.removeprefix("::ffff:")
        for process in (this, *this.children(recursive=True))
        for connection in process.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    }
print("listening:", len(hosts), all(ipaddress.ip_address(host).is_loopback for host in hosts))
"""


def test_a_ray_that_was_started_here_listens_to_no_other_machine() -> None:
    # In a process of its own, which nothing that the other tests change can reach.
    own = {"RAY_AUTH_MODE": "disabled"}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    ended = subprocess.run(
        [sys.executable, "-c", LISTENING],
        env={**kept, **own},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    label, n_hosts, all_loopback = ended.stdout.split()
    assert label == "listening:"
    assert int(n_hosts) > 0
    assert all_loopback == "True"


def test_an_address_where_nothing_answers_is_refused_at_once() -> None:
    with pytest.raises(ClusterUnreachable, match="nothing answers"):
        list(RayEngine(address="127.0.0.1:9").run(units(epochs=1, n=1), vectors(), silent))
