"""SAELens' own trainers on activations that are given, for comparisons with ours.

Nothing of SAELens is changed: its training SAEs and its `SAETrainer` get batches from an iterator,
and `SAETrainer.step` is called once a batch, as its own coordinator of several SAEs does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from torch import Tensor

Architecture = Literal["topk", "jumprelu", "gated", "batchtopk"]
ARCHITECTURES: tuple[Architecture, ...] = ("topk", "jumprelu", "gated", "batchtopk")


@dataclass(frozen=True)
class Schedule:
    """What both trainers share.

    Attributes:
        epochs: passes over the vectors; the last batch of a pass may be smaller.
        learning_rate: Adam's, at its height.
        warmup: share of the steps in which it grows from 0.
        decay: share of the steps, the last ones, in which it falls to 0.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    warmup: float
    decay: float

    def steps(self, n_vectors: int) -> int:
        """Optimiser steps for so many vectors."""
        return self.epochs * -(-n_vectors // self.batch_size)


def batches(z: Tensor, d_sae: int, schedule: Schedule, seed: int) -> Iterator[Tensor]:
    """The batches that ours has with the same seed: every vector once a pass, in a new order."""
    import torch

    from retrain.architectures.dictionary import random_dictionary
    from retrain.training.batches import order_of_batches

    generator = torch.Generator().manual_seed(seed)
    # Drawn before the orders; SAELens starts from directions of its own.
    random_dictionary(d_sae, z.shape[1], generator)
    orders = order_of_batches(
        generator, n_vectors=len(z), epochs=schedule.epochs, batch_size=schedule.batch_size
    )
    return (z[rows] for rows in orders)


def training_sae(
    architecture: Architecture, d_in: int, d_sae: int, settings: dict[str, Any], seed: int
) -> Any:
    """An untrained SAE of SAELens; `settings` are fields of its configuration.

    SAELens draws from torch's global generator, which is put back afterwards.
    """
    import torch
    from sae_lens import (
        BatchTopKTrainingSAE,
        BatchTopKTrainingSAEConfig,
        GatedTrainingSAE,
        GatedTrainingSAEConfig,
        JumpReLUTrainingSAE,
        JumpReLUTrainingSAEConfig,
        TopKTrainingSAE,
        TopKTrainingSAEConfig,
    )

    kinds: dict[Architecture, tuple[Any, Any]] = {
        "topk": (TopKTrainingSAE, TopKTrainingSAEConfig),
        "jumprelu": (JumpReLUTrainingSAE, JumpReLUTrainingSAEConfig),
        "gated": (GatedTrainingSAE, GatedTrainingSAEConfig),
        "batchtopk": (BatchTopKTrainingSAE, BatchTopKTrainingSAEConfig),
    }
    kind, config = kinds[architecture]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return kind(config(d_in=d_in, d_sae=d_sae, **settings))


def trainer_of(
    sae: Any, data: Iterator[Tensor], schedule: Schedule, n_vectors: int, *, dead_window: int
) -> Any:
    """SAELens' `SAETrainer` with the schedule; a latent is dead after `dead_window` silent steps.

    Its learning rate follows `total_training_samples / batch`, so that is set from the steps.
    """
    from sae_lens.config import LoggingConfig, SAETrainerConfig
    from sae_lens.training.sae_trainer import SAETrainer

    steps = schedule.steps(n_vectors)
    config = SAETrainerConfig(
        total_training_samples=steps * schedule.batch_size,
        train_batch_size_samples=schedule.batch_size,
        lr=schedule.learning_rate,
        lr_end=schedule.learning_rate,
        lr_warm_up_steps=round(schedule.warmup * steps),
        lr_decay_steps=round(schedule.decay * steps),
        dead_feature_window=dead_window,
        logger=LoggingConfig(log_to_wandb=False),
    )
    return SAETrainer(config, sae, data)


def train(
    architecture: Architecture,
    z: Tensor,
    d_sae: int,
    settings: dict[str, Any],
    schedule: Schedule,
    *,
    seed: int,
    dead_window: int,
) -> Any:
    """A trained SAE of SAELens, still in its training form; z is [n, d_in], scaled."""
    sae = training_sae(architecture, z.shape[1], d_sae, settings, seed)
    data = batches(z, d_sae, schedule, seed)
    trainer = trainer_of(sae, data, schedule, len(z), dead_window=dead_window)
    for batch in data:
        trainer.step(batch)
        trainer.n_training_steps += 1
    return sae


def inference_sae(trained: Any) -> Any:
    """What SAELens saves for its users, loaded again: BatchTopK as JumpReLU, norms folded in."""
    from sae_lens import SAE

    tensors = {name: tensor.detach().clone() for name, tensor in trained.state_dict().items()}
    trained.process_state_dict_for_saving_inference(tensors)
    config = trained.cfg.get_inference_sae_cfg_dict()
    sae = SAE.from_dict(config)
    sae.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    return sae
