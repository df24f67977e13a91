"""The plan of a training run: how many SAEs at a time, in which parts, within which budget.

Decided from the manifest and the budget alone, never from what is already trained: the number of
SAEs in a batch and of vectors in a part decides the last bits of the weights, and a continued run
has to give those of an uninterrupted one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from manifests.errors import ReleaseError
from retrain.planning.budget import Budget
from retrain.planning.capture import Capture, least_need, planned_need
from retrain.planning.memory import WHOLE_BATCH, Group, training_need
from retrain.planning.sizes import Need, enough_bytes, shown_bytes

# Vectors that take a larger part of the budget than this are streamed, so that they do not crowd
# out the SAEs.
MOST_OF_VECTORS = 0.5


class BudgetTooSmall(ReleaseError):
    """What cannot fit into the memory budget, with the numbers."""

    exit_code = 2


@dataclass(frozen=True)
class GroupPlan:
    """How one group is trained.

    Attributes:
        group: what is trained.
        n_together: SAEs in each unit but perhaps the last one.
        micro_batch: vectors computed at a time.
        resident: whether the vectors are held where it computes; else they are streamed.
        need: what one unit takes.
        each_bytes: what one SAE adds to it.
    """

    group: Group
    n_together: int
    micro_batch: int
    resident: bool
    need: Need
    each_bytes: int


@dataclass(frozen=True)
class Plan:
    """How a run is trained, and what its two stages take; they never run at the same time.

    Attributes:
        groups: in the order given.
        capture: the forward passes.
        budget: what all has to fit into.
        capture_bytes: of the budget, what base model and batches may take; None: no limit.
    """

    groups: tuple[GroupPlan, ...]
    capture: Need
    budget: Budget
    capture_bytes: int | None

    @property
    def training_bytes(self) -> int:
        """What the largest unit takes."""
        return max(planned.need.size_bytes for planned in self.groups)

    @property
    def peak_bytes(self) -> int:
        """The larger of both stages."""
        return max(self.training_bytes, self.capture.size_bytes)

    def note(self) -> str:
        """The plan as one line."""
        n_saes = sum(planned.group.n_saes for planned in self.groups)
        parts = [
            f"{n_saes} SAEs, {self._together()}",
            *self._exceptions(),
            f"training {shown_bytes(self.training_bytes)}",
            f"capture {shown_bytes(self.capture.size_bytes)}",
            self.budget.note(),
        ]
        return "training plan: " + "; ".join(parts)

    def _together(self) -> str:
        largest = max(self.groups, key=lambda planned: planned.each_bytes)
        most = max(planned.n_together for planned in self.groups)
        how = "one at a time" if most == 1 else f"up to {most} at a time"
        each = "each" if len({planned.each_bytes for planned in self.groups}) == 1 else "at most"
        return f"{how}, {shown_bytes(largest.each_bytes)} {each}"

    def _exceptions(self) -> list[str]:
        """What the budget asks for beyond training them one after another."""
        in_parts = sorted(
            {
                f"{planned.group.architecture} {planned.micro_batch}"
                for planned in self.groups
                if planned.micro_batch < planned.group.largest_batch
            }
        )
        said = [f"gradients accumulated over parts of {', '.join(in_parts)}"] if in_parts else []
        if not all(planned.resident for planned in self.groups):
            said.append("activations streamed")
        return said


def plan(budget: Budget, groups: Iterable[Group], capture: Capture, *, is_cuda: bool) -> Plan:
    """Plan a run, or refuse it before anything is loaded.

    Args:
        budget: what it has to fit into.
        groups: all SAEs of the manifest, trained already or not.
        capture: the base model whose activations are captured.
        is_cuda: whether a GPU computes, whose memory the budget then is.

    Raises:
        BudgetTooSmall: one SAE, or the base model, does not fit.
    """
    planned = tuple(_planned(group, budget, is_cuda=is_cuda) for group in groups)
    assert planned, "there is nothing to plan"
    need = _capture(budget, capture, is_cuda=is_cuda)
    left = None
    if budget.size_bytes is not None:
        left = budget.size_bytes - need.of("CUDA context") - need.of("process")
    return Plan(planned, need, budget, left)


def _planned(group: Group, budget: Budget, *, is_cuda: bool) -> GroupPlan:
    resident = _may_be_resident(group, budget, is_cuda=is_cuda)
    micro_batch = _largest_micro_batch(group, budget, resident=resident, is_cuda=is_cuda)

    def need(n_together: int) -> Need:
        return training_need(
            group,
            n_together=n_together,
            micro_batch=micro_batch,
            resident=resident,
            is_cuda=is_cuda,
        )

    most = group.n_saes if is_cuda else 1
    one = need(1).size_bytes
    each = need(2).size_bytes - one
    if budget.size_bytes is not None:
        most = min(most, 1 + (budget.size_bytes - one) // each)
    # Units of nearly the same size: 7 SAEs of which 5 fit are trained as 4 and 3.
    n_together = math.ceil(group.n_saes / math.ceil(group.n_saes / most))
    return GroupPlan(group, n_together, micro_batch, resident, need(n_together), each)


def _may_be_resident(group: Group, budget: Budget, *, is_cuda: bool) -> bool:
    """Whether one SAE's vectors leave half of the budget, and room for it on whole batches."""
    if budget.size_bytes is None:
        return True
    need = training_need(
        group, n_together=1, micro_batch=group.largest_batch, resident=True, is_cuda=is_cuda
    )
    vectors = need.of("vectors")
    return vectors <= MOST_OF_VECTORS * budget.size_bytes and budget.holds(need)


def _largest_micro_batch(group: Group, budget: Budget, *, resident: bool, is_cuda: bool) -> int:
    """The largest part of a batch with which one SAE fits.

    Raises:
        BudgetTooSmall: there is none.
    """
    tried = []
    for micro_batch in _sizes_of_parts(group):
        need = training_need(
            group, n_together=1, micro_batch=micro_batch, resident=resident, is_cuda=is_cuda
        )
        if budget.holds(need):
            return micro_batch
        tried.append(need)
    # Accumulating takes memory itself: the smallest parts are not always the least need.
    raise _too_small(group, budget, min(tried, key=lambda need: need.size_bytes))


def _sizes_of_parts(group: Group) -> Iterator[int]:
    """The whole batch, half of it, a quarter, ..., 1; of latents that compete, the whole only."""
    size = group.largest_batch
    yield size
    while size > 1 and group.architecture not in WHOLE_BATCH:
        size //= 2
        yield size


def _too_small(group: Group, budget: Budget, need: Need) -> BudgetTooSmall:
    what = f"one {group.architecture} SAE of {group.d_in} -> {group.d_sae}"
    smaller = "a smaller saes.expansion"
    if group.architecture in WHOLE_BATCH:
        how = "its latents compete over the whole batch, which cannot be computed in parts"
        smaller = f"a smaller recipe.batch_size than {group.batch_size}, {smaller}"
    else:
        how = "with activations streamed and batches computed in parts"
    return BudgetTooSmall(
        f"training {what} needs {need}; the budget is {budget.shown()}",
        where=budget.stated_by,
        expected=f"at least {enough_bytes(need.size_bytes)}: {how}",
        next_step=f"plan for a larger device or --memory-gb, or for {smaller}",
    )


def _capture(budget: Budget, capture: Capture, *, is_cuda: bool) -> Need:
    """What the forward pass takes.

    Raises:
        BudgetTooSmall: the base model leaves no room for a small batch.
    """
    least = least_need(capture, is_cuda=is_cuda, budget=budget.size_bytes)
    if budget.holds(least):
        return planned_need(capture, is_cuda=is_cuda, budget=budget.size_bytes)
    weights = capture.base_model.precision.weights
    lighter = "" if weights in ("fp4", "nf4") else " (nf4 takes an eighth of fp32)"
    raise BudgetTooSmall(
        f"running the base model in {weights} needs {least}; the budget is {budget.shown()}",
        where=budget.stated_by,
        expected=f"at least {enough_bytes(least.size_bytes)}, to capture its activations",
        next_step="plan for a larger device or --memory-gb, or state another "
        f"base_model.precision{lighter}; its activations are then others",
    )
