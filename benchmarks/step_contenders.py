"""Trainers whose steps are timed side by side: ours, SAELens', dictionary_learning's, sparsify's.

A step is everything from the row numbers of a batch to the updated weights: gathering the batch,
forward, backward, optimiser, decoder of unit rows where the trainer keeps one. The last two
projects are no dependencies of this one; they are timed where they can be imported.
"""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from benchmarks.saelens_trainers import Architecture, Schedule, trainer_of, training_sae

if TYPE_CHECKING:
    from torch import Tensor

# So small that a JumpReLU keeps the L0 that its problem gives it; a step does the same work.
LEARNING_RATE = 1e-6
# JumpReLU's, as in the demonstration.
BANDWIDTH = 0.2
# More than any run here has: schedules stay at their height, and no latent is called dead.
_STEPS = 100_000


@dataclass(frozen=True, eq=False)
class Problem:
    """What every contender trains: an architecture on scaled vectors z [n, d_in].

    Attributes:
        k: active latents of TopK and BatchTopK, and JumpReLU's target.
        active: latents that JumpReLU's thresholds leave active on a vector, on average, for the
            same weights in every contender; the work of a sparse step depends on it.
    """

    architecture: Architecture
    z: Tensor
    d_sae: int
    batch: int
    k: int
    active: int | None = None

    @property
    def d_in(self) -> int:
        """Width of a vector."""
        return int(self.z.shape[1])

    def dictionary(self) -> Tensor:
        """Unit rows [d_sae, d_in], encoder and decoder of what starts from given weights."""
        import torch

        from retrain.architectures.dictionary import random_dictionary

        return random_dictionary(self.d_sae, self.d_in, torch.Generator().manual_seed(0))

    def threshold(self) -> float:
        """The one threshold above which `active` latents of a vector are."""
        assert self.active is not None
        pre = self.some() @ self.dictionary().T
        n_below = pre.numel() - self.active * len(pre)
        return float(pre.flatten().kthvalue(n_below).values)

    def some(self) -> Tensor:
        """Vectors on which L0 is measured, [n, d_in]."""
        return self.z[:1024]

    def rows(self) -> Iterator[Tensor]:
        """Row numbers of one batch after the other, without end."""
        import torch

        generator = torch.Generator().manual_seed(0)
        while True:
            order = torch.randperm(len(self.z), generator=generator)
            whole = len(order) // self.batch * self.batch
            yield from torch.split(order[:whole], self.batch)


# Makes so many steps and says how many milliseconds each took.
Timed = Callable[[int], list[float]]


@dataclass(frozen=True)
class Contender:
    """A trainer that has started; `encode`, of those whose L0 is asked for."""

    timed: Timed
    encode: Callable[[Tensor], Tensor] | None = None

    def l0(self, problem: Problem) -> float | None:
        """Mean number of active latents, as the weights are after the steps so far."""
        if self.encode is None or problem.active is None:
            return None
        return float((self.encode(problem.some()) != 0).sum(dim=1).double().mean())


def step_by_step(step: Callable[[], object]) -> Timed:
    """Time calls one by one."""

    def timed(n: int) -> list[float]:
        times = []
        for _ in range(n):
            started = time.perf_counter()
            step()
            times.append(1e3 * (time.perf_counter() - started))
        return times

    return timed


def ours(problem: Problem) -> Contender:
    """The step that `release retrain` makes on a CPU."""
    import torch

    from manifests.recipe import Recipe
    from retrain.architectures.build import build_saes
    from retrain.input_scale import fit_input_scale
    from retrain.jobs import Job, Unit
    from retrain.training.batches import Inputs
    from retrain.training.side_by_side import SideBySide
    from retrain.vectors import InMemory

    recipe = Recipe(epochs=1, batch_size=problem.batch, learning_rate=LEARNING_RATE)
    vectors = InMemory(problem.z)
    dictionary = problem.dictionary().unsqueeze(0)
    sae_recipe = our_recipe(problem)
    sae = build_saes(sae_recipe, dictionary, dead_after=_STEPS, micro_batch=problem.batch)
    saes = SideBySide(sae, batch_size=problem.batch, micro_batch=problem.batch)
    job = Job("timed", "hook", None, problem.d_sae, sae_recipe, 0)
    unit = Unit((job,), recipe, "cpu", problem.batch)
    inputs = Inputs([vectors], [fit_input_scale(vectors, "none")], unit)
    rows = problem.rows()

    def step() -> None:
        batch = inputs.batch(next(rows).unsqueeze(0))
        saes.step(batch, learning_rate=LEARNING_RATE, sparsity_scale=1.0)

    return Contender(step_by_step(torch.no_grad()(step)), lambda z: sae.encode(z.unsqueeze(0))[0])


def our_recipe(problem: Problem) -> Any:
    """A recipe of the architecture, with the settings of the demonstration."""
    from manifests.sae_recipes import BatchTopkRecipe, GatedRecipe, JumpreluRecipe, TopkRecipe

    match problem.architecture:
        case "topk":
            return TopkRecipe(k=problem.k)
        case "batchtopk":
            return BatchTopkRecipe(k=problem.k)
        case "jumprelu":
            return JumpreluRecipe(
                bandwidth=BANDWIDTH,
                threshold_init=problem.threshold(),
                target_l0=problem.k,
                sparsity_coefficient=0.03,
            )
        case "gated":
            return GatedRecipe(l1_coefficient=0.1)


def saelens(problem: Problem, **settings: Any) -> Contender:
    """SAELens' `SAETrainer.step`."""
    import torch

    own: dict[Architecture, dict[str, Any]] = {
        "topk": {"k": problem.k},
        "batchtopk": {"k": problem.k},
        "jumprelu": {
            "l0_coefficient": 1e-3,
            "jumprelu_bandwidth": BANDWIDTH,
            "jumprelu_sparsity_loss_mode": "quadratic",
            "target_l0": problem.k,
        },
        "gated": {"l1_coefficient": 0.1},
    }
    sae = training_sae(
        problem.architecture,
        problem.d_in,
        problem.d_sae,
        {**own[problem.architecture], **settings},
        seed=0,
    )
    if problem.active is not None:
        _give_weights(sae, problem)
    schedule = Schedule(_STEPS, problem.batch, LEARNING_RATE, warmup=0.0, decay=0.0)
    trainer = trainer_of(sae, iter(()), schedule, problem.batch, dead_window=_STEPS)
    rows = problem.rows()

    def step() -> None:
        trainer.step(problem.z[next(rows)])
        trainer.n_training_steps += 1

    return Contender(step_by_step(step), torch.no_grad()(sae.encode))


def _give_weights(sae: Any, problem: Problem) -> None:
    """Put the problem's dictionary and threshold into another project's JumpReLU."""
    import torch

    dictionary = problem.dictionary()
    with torch.no_grad():
        sae.W_enc.copy_(dictionary.T)
        sae.W_dec.copy_(dictionary)
        sae.threshold.fill_(problem.threshold())


def saelens_sparse(problem: Problem) -> Contender:
    """SAELens' TopK with sparse activations, an option of its."""
    return saelens(problem, use_sparse_activations=True)


def dictionary_learning(problem: Problem) -> Contender:
    """The `update` of dictionary_learning's trainers.

    Raises:
        ImportError: it is not installed, or lacks something.
    """
    import torch

    trainers = import_module("dictionary_learning.trainers")
    kinds: dict[Architecture, Any] = {
        "topk": trainers.TopKTrainer,
        "batchtopk": trainers.BatchTopKTrainer,
        "jumprelu": trainers.JumpReluTrainer,
        "gated": trainers.GatedSAETrainer,
    }
    own: dict[Architecture, dict[str, Any]] = {
        "topk": {"k": problem.k},
        "batchtopk": {"k": problem.k},
        "jumprelu": {"target_l0": float(problem.k), "bandwidth": BANDWIDTH},
        "gated": {},
    }
    trainer = kinds[problem.architecture](
        steps=_STEPS,
        activation_dim=problem.d_in,
        dict_size=problem.d_sae,
        layer=0,
        lm_name="benchmark",
        lr=LEARNING_RATE,
        device="cpu",
        seed=0,
        **own[problem.architecture],
    )
    rows = problem.rows()
    if problem.active is not None:
        _give_weights(trainer.ae, problem)
    # Step 0 looks for a median once; a long training does not.
    n_done = 1

    def step() -> None:
        nonlocal n_done
        trainer.update(n_done, problem.z[next(rows)])
        n_done += 1

    return Contender(step_by_step(step), torch.no_grad()(trainer.ae.encode))


def sparsify(problem: Problem) -> Contender:
    """The loop of sparsify's `Trainer.fit`, which has no step of its own to call.

    The base model is one that looks the activations up. A step is the time between two of its
    forward passes, the first of each call left out, since it sets the bias.

    Raises:
        ImportError: it is not installed, or lacks something.
    """
    import torch

    package: Any = import_module("sparsify")
    called: list[float] = []

    class Lookup(torch.nn.Module):
        def forward(self, ids: Tensor) -> Tensor:
            return problem.z[ids]

    class Model(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lookup = Lookup()

        @property
        def base_model(self) -> Model:
            return self

        device = torch.device("cpu")
        dummy_inputs = {"input_ids": torch.zeros(1, 1, dtype=torch.int64)}  # noqa: RUF012

        def forward(self, input_ids: Tensor) -> Tensor:
            called.append(time.perf_counter())
            return self.lookup(input_ids)  # type: ignore[no-any-return]

    class Steps(package.Trainer):  # type: ignore[misc]
        def save(self) -> None:
            """Nothing is to be kept."""

    rows = problem.rows()
    config = package.TrainConfig(
        sae=package.SparseCoderConfig(num_latents=problem.d_sae, k=problem.k),
        batch_size=1,
        hookpoints=["lookup"],
        log_to_wandb=False,
        save_every=_STEPS,
    )
    with contextlib.redirect_stdout(io.StringIO()):
        trainer = Steps(config, [], Model())

    def timed(n: int) -> list[float]:
        trainer.dataset = [{"input_ids": next(rows)} for _ in range(n + 2)]
        trainer.global_step = 0
        called.clear()
        precision = torch.get_float32_matmul_precision()
        try:
            with (
                contextlib.redirect_stderr(io.StringIO()),
                contextlib.redirect_stdout(io.StringIO()),
            ):
                trainer.fit()
        finally:
            # `fit` lets products be less precise, for the whole process.
            torch.set_float32_matmul_precision(precision)
        return [1e3 * (after - before) for before, after in pairwise(called[1:])]

    return Contender(timed)


CONTENDERS: dict[str, Callable[[Problem], Contender]] = {
    "ours": ours,
    "SAELens": saelens,
    "SAELens, sparse": saelens_sparse,
    "dictionary_learning": dictionary_learning,
    "sparsify": sparsify,
}
# Where not all architectures have one.
ONLY_TOPK = ("SAELens, sparse", "sparsify")
