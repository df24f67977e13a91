"""Both engines by what they hand back, without a cluster."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from manifests.errors import MissingExtra, ReleaseError, UsageError
from manifests.recipe import Recipe
from retrain.engines import engine_named
from retrain.engines.local import LocalEngine
from retrain.engines.on_ray import NoGpuInCluster, RayEngine, UnitLost
from retrain.engines.ray_session import ClusterUnreachable, wanted_address
from retrain.engines.ray_task import VersionsDiffer
from retrain.engines.stored_vectors import StoredVectors, as_array
from retrain.jobs import Job, StepReport, Unit
from retrain.vectors import Chosen, InMemory

RECIPE = Recipe.model_validate(
    {"epochs": 2, "batch_size": 8, "learning_rate": 0.01, "topk": {"k": 2}}
)


def unit(*sae_ids: str, hook: str = "model.layers.0", device: str = "cpu") -> Unit:
    jobs = tuple(
        Job(sae_id, hook, rows=None, d_sae=8, sae_recipe=RECIPE.of("topk", ""), seed=number)
        for number, sae_id in enumerate(sae_ids)
    )
    return Unit(jobs=jobs, recipe=RECIPE, device=device, micro_batch=8)


def step(unit: Unit, number: int) -> StepReport:
    return StepReport(unit.jobs[0].sae_id, 1, number, 4, 1.0, 2.0, 0.5)


def counting_trainer(*steps: int) -> Callable[..., Any]:
    """Reports the steps; the result names the SAEs, the sum of their vectors and the device."""

    def train(unit: Unit, vectors: Any, *, on_step: Any, checkpoint: Path | None) -> Any:
        for number in steps:
            on_step(step(unit, number))
        sums = [float(next(vectors[job.hook].chunks()).sum()) for job in unit.jobs]
        return [job.sae_id for job in unit.jobs], sums, unit.device, checkpoint

    return train


DATA = {
    "model.layers.0": InMemory(torch.arange(6.0).reshape(3, 2)),  # sum 15
    "model.layers.1": InMemory(torch.ones(3, 2)),  # sum 6
}


def heard() -> tuple[list[tuple[str, int]], Callable[[Unit, StepReport], None]]:
    """A list, and a listener that fills it with the SAE and the step of each report."""
    told: list[tuple[str, int]] = []
    return told, lambda unit, report: told.append((unit.jobs[0].sae_id, report.step))


def test_the_local_engine_trains_in_order_and_passes_reports_and_checkpoints_on() -> None:
    todo = [unit("a"), unit("b", "c", hook="model.layers.1")]
    told, listen = heard()
    engine = LocalEngine(
        checkpoint_of=lambda unit: Path(unit.jobs[0].sae_id), train=counting_trainer(2, 4)
    )
    assert list(engine.run(todo, DATA, listen)) == [
        (todo[0], (["a"], [15.0], "cpu", Path("a"))),
        (todo[1], (["b", "c"], [6.0, 6.0], "cpu", Path("b"))),
    ]
    assert told == [("a", 2), ("a", 4), ("b", 2), ("b", 4)]


def test_the_local_engine_trains_with_the_projects_own_trainer() -> None:
    values = torch.randn(16, 4, generator=torch.Generator().manual_seed(0))
    told, listen = heard()
    ((_, (trained,)),) = LocalEngine().run(
        [unit("a")], {"model.layers.0": InMemory(values)}, listen
    )
    assert trained.sae_id == "a"
    assert set(trained.tensors) >= {"W_enc", "W_dec", "b_enc", "b_dec"}
    # 2 epochs of 16 / 8 batches.
    assert told[-1] == ("a", 4)


def test_the_ray_engine_yields_units_as_they_are_ready_with_the_callers_objects(
    fake_ray: Any,
) -> None:
    todo = [unit("a"), unit("b", hook="model.layers.1"), unit("c")]
    told, listen = heard()
    results = list(RayEngine(train=counting_trainer(2, 4)).run(todo, DATA, listen))
    # The stand-in computes first what was handed over last.
    assert [each for each, _ in results] == [todo[2], todo[1], todo[0]]
    assert [trained for _, trained in results] == [
        (["c"], [15.0], "cpu", None),
        (["b"], [6.0], "cpu", None),
        (["a"], [15.0], "cpu", None),
    ]
    assert told == [("c", 2), ("c", 4), ("b", 2), ("b", 4), ("a", 2), ("a", 4)]


def test_the_reports_of_a_unit_come_before_its_result(fake_ray: Any) -> None:
    told, listen = heard()
    for each, _ in RayEngine(train=counting_trainer(2, 4)).run(
        [unit("a"), unit("b")], DATA, listen
    ):
        assert told[-1] == (each.jobs[0].sae_id, 4)


def test_a_unit_that_starts_again_is_silent_until_it_is_past_where_it_was(fake_ray: Any) -> None:
    told, listen = heard()
    list(RayEngine(train=counting_trainer(1, 2, 3, 1, 2, 3, 4)).run([unit("a")], DATA, listen))
    assert told == [("a", 1), ("a", 2), ("a", 3), ("a", 4)]


def test_vectors_are_stored_once_for_each_hook_that_is_needed(fake_ray: Any) -> None:
    unneeded = {**DATA, "model.layers.2": InMemory(torch.full((9, 2), 7.0))}
    todo = [unit("a"), unit("b", hook="model.layers.1"), unit("c"), unit("d")]
    list(RayEngine(train=counting_trainer(4)).run(todo, unneeded, heard()[1]))
    assert [array.tolist() for array in fake_ray.put_arrays] == [
        [[0, 1], [2, 3], [4, 5]],
        [[1, 1], [1, 1], [1, 1]],
    ]


def test_at_most_twice_what_fits_is_handed_over_at_a_time(fake_ray: Any) -> None:
    todo = [unit(f"sae_{number}") for number in range(20)]
    results = list(RayEngine(train=counting_trainer(4)).run(todo, DATA, heard()[1]))
    assert len(results) == 20
    # Nodes of 1 and 2 processors, one thread for each unit: 3 fit.
    assert fake_ray.most_waiting == 6


def test_a_unit_takes_as_many_processors_as_torch_has_threads_where_a_node_has_them(
    fake_ray: Any,
) -> None:
    torch.set_num_threads(2)  # put back by the fixture of tests/retrain
    list(RayEngine(train=counting_trainer(4), retries=7).run([unit("a")], DATA, heard()[1]))
    fake_ray.cpus = [1.0, 1.0]
    list(RayEngine(train=counting_trainer(4), retries=7).run([unit("a")], DATA, heard()[1]))
    fake_ray.cpus = []
    list(RayEngine(train=counting_trainer(4), retries=7).run([unit("a")], DATA, heard()[1]))
    # 2 where a node has 2; 1 where the largest has 1; 2 where nodes are yet to come.
    assert [options["num_cpus"] for options in fake_ray.options] == [2, 1, 2]
    assert {options["max_retries"] for options in fake_ray.options} == {7}


def test_a_task_computes_with_the_callers_number_of_threads(fake_ray: Any) -> None:
    threads = []

    def train(unit: Unit, vectors: Any, **_: Any) -> Any:
        threads.append(torch.get_num_threads())
        torch.set_num_threads(1)

    torch.set_num_threads(2)
    list(RayEngine(train=train).run([unit("a"), unit("b")], DATA, heard()[1]))
    assert threads == [2, 2]


def test_a_gpu_unit_asks_for_a_gpu_and_takes_the_one_that_ray_shows_it(
    fake_ray: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # or the engine would set it
    fake_ray.gpus = 1.0
    todo = [unit("a", device="cuda:1")]
    ((same, trained),) = RayEngine(train=counting_trainer(4)).run(todo, DATA, heard()[1])
    assert same is todo[0]
    assert trained == (["a"], [15.0], "cuda", None)
    assert fake_ray.options == [{"max_retries": 5, "num_cpus": 1, "num_gpus": 1}]


def test_a_cluster_without_a_gpu_is_refused_instead_of_waited_for(fake_ray: Any) -> None:
    with pytest.raises(NoGpuInCluster, match="a is to be trained on cuda, and no node has a GPU"):
        list(RayEngine().run([unit("a", device="cuda")], DATA, heard()[1]))
    assert not fake_ray.is_up


def test_an_error_of_the_training_is_raised_as_it_is(fake_ray: Any) -> None:
    def train(*_: Any, **__: Any) -> Any:
        raise ReleaseError("no", where="here", expected="yes", next_step="try")

    with pytest.raises(ReleaseError) as error:
        list(RayEngine(train=train).run([unit("a"), unit("b")], DATA, heard()[1]))
    assert str(error.value) == "here: no\n  expected: yes\n  next: try"
    assert len(fake_ray.cancelled) == 1
    assert len(fake_ray.killed) == 1
    assert not fake_ray.is_up


def test_a_bug_in_the_training_keeps_the_remote_traceback(fake_ray: Any) -> None:
    def train(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError

    with pytest.raises(fake_ray.exceptions.RayTaskError, match="remote traceback") as error:
        list(RayEngine(train=train).run([unit("a")], DATA, heard()[1]))
    assert isinstance(error.value.cause, ZeroDivisionError)


def test_a_unit_that_is_lost_each_time_is_named(fake_ray: Any) -> None:
    fake_ray.crashes = {0}
    with pytest.raises(UnitLost, match=r"went away 4 times.*: the worker died\n") as error:
        list(RayEngine(retries=3).run([unit("a", "b")], DATA, heard()[1]))
    assert error.value.where == "a (2 SAEs)"


def test_a_node_with_other_versions_refuses_the_unit(
    fake_ray: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from retrain.engines import on_ray

    monkeypatch.setattr(on_ray, "versions_here", lambda: {"torch": "1.0", "numpy": np.__version__})
    with pytest.raises(VersionsDiffer) as error:
        list(RayEngine(train=counting_trainer(4)).run([unit("a")], DATA, heard()[1]))
    assert error.value.what == f"a node has torch {torch.__version__.partition('+')[0]}"
    assert str(error.value.expected).startswith("torch 1.0, as where")


def test_leaving_early_cancels_what_is_on_its_way_and_ends_the_session(fake_ray: Any) -> None:
    todo = [unit(f"sae_{number}") for number in range(4)]
    running = RayEngine(train=counting_trainer(4)).run(todo, DATA, heard()[1])
    next(running)
    assert fake_ray.is_up
    running.close()  # type: ignore[attr-defined]
    assert len(fake_ray.cancelled) == 3
    assert not fake_ray.is_up


def test_a_session_of_the_caller_is_used_and_left_open(fake_ray: Any) -> None:
    fake_ray.is_up = True
    list(RayEngine(train=counting_trainer(4)).run([unit("a")], DATA, heard()[1]))
    assert fake_ray.is_up
    assert fake_ray.started == []


def test_a_ray_of_this_machine_alone_listens_to_loopback_and_prints_nothing(fake_ray: Any) -> None:
    list(RayEngine(train=counting_trainer(4)).run([unit("a")], DATA, heard()[1]))
    (options,) = fake_ray.started
    assert options["address"] == "local"
    assert options["include_dashboard"] is False
    assert options["log_to_driver"] is False
    assert fake_ray.was_alone == (False, "0")
    # Put back, so that a later run of this process can connect to other machines.
    assert fake_ray.constants.ENABLE_RAY_CLUSTER is True
    assert "FAKE_RAY_CLUSTER" not in os.environ


def test_no_units_need_no_cluster(fake_ray: Any) -> None:
    assert list(RayEngine(address="127.0.0.1:1").run([], {}, heard()[1])) == []
    assert fake_ray.started == []


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtra) as error:
        list(engine_named("ray").run([unit("a")], DATA, heard()[1]))
    assert error.value.next_step == 'python -m pip install "sae-release[ray]"'


@pytest.fixture
def answering_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_an_address_that_answers_is_handed_to_ray(fake_ray: Any, answering_port: int) -> None:
    address = f"127.0.0.1:{answering_port}"
    list(RayEngine(address, train=counting_trainer(4)).run([unit("a")], DATA, heard()[1]))
    (options,) = fake_ray.started
    assert options["address"] == address
    assert fake_ray.was_alone == (True, None)


def test_an_address_where_nothing_answers_is_refused(fake_ray: Any, answering_port: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        free = server.getsockname()[1]
    with pytest.raises(ClusterUnreachable, match="nothing answers") as error:
        list(RayEngine(f"127.0.0.1:{free}").run([unit("a")], DATA, heard()[1]))
    assert error.value.exit_code == 4
    assert fake_ray.started == []


def test_the_address_is_the_given_one_then_the_environments_then_this_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.5:6379")
    assert wanted_address("auto") == "auto"
    assert wanted_address(None) == "10.0.0.5:6379"
    monkeypatch.delenv("RAY_ADDRESS")
    assert wanted_address(None) == "local"


@pytest.mark.parametrize("address", ["ray://10.0.0.5:10001", "10.0.0.5", ":6379", "head:port"])
def test_an_address_that_ray_cannot_use_here_is_refused(address: str) -> None:
    with pytest.raises(UsageError, match="is no address"):
        wanted_address(address)


def test_an_unknown_engine_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError) as error:
        engine_named("hf-jobs")
    assert error.value.expected == "one of local, ray"


def test_an_address_is_not_for_the_local_engine() -> None:
    with pytest.raises(UsageError, match="but the engine is local"):
        engine_named("local", ray_address="auto")


def test_stored_vectors_are_the_vectors_and_nothing_writes_into_them() -> None:
    values = torch.randn(10, 3, generator=torch.Generator().manual_seed(0))
    array = values.numpy().copy()
    array.flags.writeable = False
    stored, rows = StoredVectors(array), torch.tensor([7, 0, 7])
    assert (len(stored), stored.d_in) == (10, 3)
    assert torch.equal(stored.take(rows), values[rows])
    assert [len(chunk) for chunk in stored.chunks(4)] == [4, 4, 2]
    assert torch.equal(torch.cat(list(stored.chunks(4))), values)
    next(stored.chunks(4)).zero_()
    stored.take(rows).zero_()
    assert np.array_equal(array, values.numpy())


def test_vectors_on_disk_become_one_array_chunk_by_chunk() -> None:
    values = torch.randn(9000, 2, generator=torch.Generator().manual_seed(0))
    rows = torch.arange(0, 9000, 2)
    assert np.array_equal(as_array(Chosen(InMemory(values), rows)), values[rows].numpy())
    assert as_array(InMemory(values)).base is not None  # the same memory, not a copy


def test_a_unit_of_several_hooks_gets_the_vectors_of_each(fake_ray: Any) -> None:
    first, second = unit("a").jobs[0], unit("b", hook="model.layers.1").jobs[0]
    both = replace(unit("a"), jobs=(first, second))
    ((_, trained),) = RayEngine(train=counting_trainer(4)).run([both], DATA, heard()[1])
    assert trained == (["a", "b"], [15.0, 6.0], "cpu", None)
