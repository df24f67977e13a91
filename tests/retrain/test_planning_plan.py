"""How many SAEs at a time, in which parts, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifests.base_model import BaseModelSpec
from manifests.model import Target
from retrain.planning.budget import Budget, budget_for
from retrain.planning.capture import BaseModelSize, Capture
from retrain.planning.memory import WORKING_ARRAYS, Group
from retrain.planning.plan import BudgetTooSmall, Plan, plan

GB = 10**9
SMOLLM2 = BaseModelSpec.model_validate(
    {"id": "a/smollm2", "model_type": "llama", "n_layers": 30, "d_model": 576}
)
CAPTURE = Capture(SMOLLM2, BaseModelSize(134_515_008, 28_350_528), n_hooks=9)
NARROW = Group("topk", d_in=576, d_sae=2304, n_saes=54, batch_size=128, n_vectors=135)
WIDE = Group("topk", d_in=2048, d_sae=8192, n_saes=7, batch_size=128, n_vectors=1000)


def budget(gigabytes: float | None) -> Budget:
    size = None if gigabytes is None else round(gigabytes * GB)
    return Budget(size, "hardware.target.memory_gb")


def planned(group: Group = WIDE, gigabytes: float | None = 4.0, *, is_cuda: bool = True) -> Plan:
    return plan(budget(gigabytes), [group], CAPTURE, is_cuda=is_cuda)


def test_a_cpu_trains_one_at_a_time() -> None:
    (narrow,) = planned(NARROW, is_cuda=False).groups
    assert (narrow.n_together, narrow.micro_batch, narrow.resident) == (1, 128, True)


def test_as_many_fit_on_a_gpu_as_the_budget_holds_in_units_of_nearly_one_size() -> None:
    (wide,) = planned(gigabytes=5.2).groups
    # One SAE: dictionary 2048 * 8192 * 4 = 67,108,864; parameters 134,356,992 (two of them and
    # (4 * 8192 + 2048) * 4); moments 268,713,984; gradients and spare 201,326,592; recording
    # 403,070,976; 26 arrays of 128 * 8192 * 4 = 109,051,904; 7 of 128 * 2048 * 4 = 7,340,032;
    # vectors 1000 * 2048 * 4 = 8,192,000: together 1,132,052,480.
    assert wide.each_bytes == 1_132_052_480
    # (5,200,000,000 - 500,000,000) / 1,132,052,480 = 4.2: four fit, so 7 are trained as 4 and 3.
    assert wide.n_together == 4
    assert wide.need.size_bytes == 500_000_000 + 4 * 1_132_052_480
    # With room for five they still are.
    assert planned(gigabytes=6.3).groups[0].n_together == 4
    assert planned(gigabytes=8.5).groups[0].n_together == 7


def test_without_a_limit_all_are_trained_together() -> None:
    assert planned(gigabytes=None).groups[0].n_together == 7
    assert planned(gigabytes=None).capture_bytes is None


def test_parts_are_halved_until_one_sae_fits() -> None:
    # A batch of 4096: 26 arrays of 4096 * 8192 * 4 = 3.49 GB. A quarter of it, with 0.27 GB of
    # gradients, fits into 3 GB.
    large = replace(WIDE, batch_size=4096, n_vectors=20_000)
    (found,) = planned(large, 3.0).groups
    assert (found.n_together, found.micro_batch, found.resident) == (1, 1024, False)
    told = planned(large, 3.0).note()
    assert "gradients accumulated over parts of topk 1024" in told
    assert "activations streamed" in told


def test_vectors_that_would_crowd_out_the_saes_are_streamed() -> None:
    # 1,000,000 vectors of 2048 * 4 bytes are 8.2 GB.
    many = replace(WIDE, n_vectors=1_000_000)
    assert not planned(many, 8.0).groups[0].resident
    # More than half of 16 GB, and one SAE would fit beside them.
    assert not planned(many, 16.0).groups[0].resident
    assert planned(many, 20.0).groups[0].resident


@pytest.mark.parametrize("architecture", ["batchtopk", "matryoshka_batchtopk"])
def test_latents_that_compete_over_the_batch_are_refused_instead_of_cut(architecture: Any) -> None:
    large = replace(WIDE, architecture=architecture, batch_size=4096, n_vectors=20_000)
    with pytest.raises(BudgetTooSmall) as refused:
        planned(large, 3.0)
    assert "compete over the whole batch" in str(refused.value)
    assert "a smaller recipe.batch_size than 4096" in str(refused.value)


def test_what_cannot_fit_is_refused_with_the_numbers() -> None:
    with pytest.raises(BudgetTooSmall) as refused:
        planned(replace(WIDE, n_vectors=64), 1.0)
    error = refused.value
    assert error.exit_code == 2
    assert error.where == "hardware.target.memory_gb"
    # The whole batch of 64 vectors: 1,132,052,480 less 54,525,952 (26 arrays), 3,670,016 (7) and
    # 7,143,424 (2 * 64 vectors streamed for 1000 resident), and the context.
    assert error.what.startswith("training one topk SAE of 2048 -> 8192 needs 1.57 GB = 0.50 CUDA")
    for term in ("0.40 recording", "0.27 moments", "0.13 parameters", "0.055 working arrays"):
        assert term in error.what
    assert error.what.endswith("; the budget is 1.0 GB")
    assert error.expected is not None
    assert error.expected.startswith("at least 1.57 GB")
    assert "--memory-gb" in str(error)
    assert "saes.expansion" in str(error)


def test_a_base_model_that_cannot_fit_is_refused_with_the_numbers() -> None:
    large = BaseModelSpec.model_validate(
        {"id": "a/b", "model_type": "llama", "n_layers": 22, "d_model": 2048}
    )
    capture = Capture(large, BaseModelSize(1_100_048_384, 131_164_160), n_hooks=5)
    with pytest.raises(BudgetTooSmall) as refused:
        plan(budget(4.0), [NARROW], capture, is_cuda=True)
    # 4 bytes for each of 1,100,048,384 weights; nf4 would take 0.9 GB of the 4.
    assert "running the base model in fp32 needs 4.98 GB = 4.40 base model" in str(refused.value)
    assert "nf4 takes an eighth of fp32" in str(refused.value)


def test_the_plan_is_one_line() -> None:
    told = planned(NARROW, is_cuda=False).note()
    # An SAE on 135 vectors, 2 * 135 * 576 * 4 = 622,080 bytes: 60,016,896. Capturing: 500,000,000
    # for the process, 134,515,008 weights * 4, 2048 tokens * (2 * 30 + 26 + 9) * 576 * 4, and two
    # shards of 4 GB / 16: 1,986,313,472.
    assert told == (
        "training plan: 54 SAEs, one at a time, 60 MB each; training 0.6 GB; capture 2.0 GB; "
        "budget 4.0 GB"
    )


def test_the_plan_says_how_many_are_trained_together() -> None:
    told = plan(budget(5.0), [WIDE, replace(NARROW, n_saes=4)], CAPTURE, is_cuda=True).note()
    assert told.startswith("training plan: 11 SAEs, up to 4 at a time, 1.1 GB at most; ")


def test_the_peak_is_that_of_the_larger_stage() -> None:
    small = planned(NARROW, is_cuda=False)
    # Both stages never run at the same time.
    assert small.peak_bytes == small.capture.size_bytes > small.training_bytes
    large = planned(WIDE, 8.0)
    assert large.peak_bytes == large.training_bytes > large.capture.size_bytes


GROUPS = st.builds(
    Group,
    st.sampled_from(sorted(WORKING_ARRAYS)),
    d_in=st.integers(1, 4096),
    d_sae=st.integers(1, 32768),
    n_saes=st.integers(1, 50),
    batch_size=st.integers(1, 2048),
    n_vectors=st.integers(1, 10**6),
)


@given(GROUPS, st.integers(2 * GB, 200 * GB), st.booleans())
def test_a_plan_keeps_to_its_budget_and_leaves_nobody_out(
    group: Group, size: int, is_cuda: bool
) -> None:
    try:
        made = plan(Budget(size, "it"), [group], CAPTURE, is_cuda=is_cuda)
    except BudgetTooSmall as refused:
        assert "needs" in refused.what
        return
    (found,) = made.groups
    assert made.peak_bytes <= size
    assert 1 <= found.n_together <= group.n_saes
    assert 1 <= found.micro_batch <= group.largest_batch
    assert is_cuda or found.n_together == 1


@given(GROUPS, st.integers(2 * GB, 100 * GB), st.integers(0, 100 * GB), st.booleans())
def test_what_fits_a_budget_fits_a_larger_one(
    group: Group, size: int, more: int, is_cuda: bool
) -> None:
    def attempt(n_bytes: int) -> Plan | None:
        try:
            return plan(Budget(n_bytes, "it"), [group], CAPTURE, is_cuda=is_cuda)
        except BudgetTooSmall:
            return None

    smaller, larger = attempt(size), attempt(size + more)
    if smaller is not None:
        assert larger is not None
        assert larger.groups[0].micro_batch >= smaller.groups[0].micro_batch


def target(**fields: Any) -> Target:
    return Target.model_validate(fields)


def test_the_command_line_goes_before_the_target() -> None:
    stated = target(device="cuda", memory_gb=4)
    assert budget_for(stated, "cpu") == Budget(4 * GB, "hardware.target.memory_gb")
    assert budget_for(stated, "cpu", memory_gb=0.5) == Budget(GB // 2, "--memory-gb")


def test_a_cpu_without_a_stated_budget_has_no_limit() -> None:
    unlimited = budget_for(target(), "cpu")
    assert unlimited.size_bytes is None
    assert unlimited.note() == "no budget"


def test_a_gpu_without_a_stated_budget_has_what_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("retrain.planning.budget.device_memory", lambda device: 80 * GB)
    found = budget_for(target(device="cuda"), "cuda:1")
    # 5 in 100 are left to fragments and other programs.
    assert found == Budget(76 * GB, "the memory of cuda:1")
