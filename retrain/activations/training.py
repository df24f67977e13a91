"""The activations that a manifest's SAEs are trained on: captured once, read from disk."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from manifests.build_folder import BuildFolder
from manifests.data import Pooling
from manifests.data_at_hand import data_at_hand
from manifests.digests import json_sha256
from manifests.errors import UsageError
from manifests.load import LoadedManifest
from manifests.progress import Progress
from retrain.activations.batches import Plan, plan
from retrain.activations.budget import CaptureLimits, capture_limits
from retrain.activations.capture import reading
from retrain.activations.passages import Passage
from retrain.activations.reading_matter import ReadingMatter, reading_matter
from retrain.activations.store import ActivationStore, CapturedFrom, open_store
from retrain.inputs import CAPTURE_VERSION, base_model_identity, hook_names_in_order
from retrain.vectors import Vectors
from validators.base_models.base_model import BaseModel, load_base_model

# What computes the vectors, down to their last bits.
_COMPUTED_BY = ("torch", "transformers", "bitsandbytes")


@dataclass(frozen=True, eq=False)
class TrainingActivations:
    """Training vectors and what they are of.

    Attributes:
        vectors: by hook name; of all hooks, row i is of the same position of the same passage.
        rows: int64 rows of each condition; None: all of them.
        n_held_out: vectors of each condition that training never sees, and that nobody captured.
        pooling: of the manifest, or what was done where `data` stood in for one that is open.
        base_digest: of the base model's weights.
        base_source: where they came from.
        longest: tokens of the longest passage.
    """

    vectors: dict[str, Vectors]
    rows: dict[str, Tensor | None]
    n_held_out: dict[str, int]
    pooling: Pooling
    base_digest: str
    base_source: str
    longest: int


def training_activations(
    loaded: LoadedManifest,
    build: BuildFolder,
    *,
    device: str,
    base_model: str | None,
    data: Path | None,
    memory_bytes: int | None,
    weights_bytes: int | None = None,
    progress: Progress,
) -> TrainingActivations:
    """The activations of the training split at every hook of the manifest.

    They lie below `build.activations`, in a folder named by the digest of all that they depend
    on. A capture that was killed goes on with the first shard that is missing, and ends in the
    same bytes.

    Args:
        loaded: the manifest.
        build: where its files lie.
        device: where torch runs the base model.
        base_model: a folder or Hub id in place of the manifest's base model.
        data: a file of the same form in place of the manifest's data.
        memory_bytes: what the base model may take on the device, its weights included; None: as
            much as batches of the usual size take.
        weights_bytes: of the weights among them; None: estimated.
        progress: counts the passages that were read.

    Raises:
        DataNotAtHand, DataUnreadable, CompletionsProblem, TextProblem, DatasetProblem: the data
            cannot be read.
        CaptureDoesNotFit: the base model is too large for `memory_bytes`.
        BaseModelProblem, BaseModelUnreachable, PrecisionProblem, MissingExtra: see
            `load_base_model`.
        HookProblem, ActivationProblem: see `ActivationReader`.
        UsageError: the data has no tokens to train on.
    """
    hook_names = hook_names_in_order(loaded)
    limits = capture_limits(
        loaded.manifest.base_model,
        n_hooks=len(hook_names),
        device=device,
        memory_bytes=memory_bytes,
        weights_bytes=weights_bytes,
    )
    matter = reading_matter(loaded, data)
    key = _key(loaded, matter, limits, device=device, base_model=base_model, data=data)
    folder = build.activations / key
    pooling = data_at_hand(loaded.manifest.data, data).pooling
    store = open_store(folder, hook_names)
    if store is not None and not store.missing():
        n_units = len(matter.ids[0])
        progress.note(f"activations of {n_units} {matter.unit}: from the cache")
    else:
        base = load_base_model(loaded.manifest.base_model, override=base_model, device=device)
        store = _capture(base, matter, folder, hook_names, pooling, limits, progress)
    conditions = loaded.manifest.data.conditions
    return TrainingActivations(
        vectors=dict(store.vectors()),
        rows=matter.rows(conditions, store.passage_vectors),
        n_held_out=matter.held_out(conditions, store.held_out_vectors),
        pooling=pooling,
        base_digest=store.captured_from.base_digest,
        base_source=store.captured_from.base_source,
        longest=store.captured_from.longest,
    )


def _capture(
    base: BaseModel,
    matter: ReadingMatter,
    folder: Path,
    hook_names: Sequence[str],
    pooling: Pooling,
    limits: CaptureLimits,
    progress: Progress,
) -> ActivationStore:
    """Capture the shards that are missing; one shard is in memory at a time."""
    train, held_out = matter.passages(base.tokenizer)
    if not train:
        raise UsageError(
            f"none of {len(matter.ids[0])} training {matter.unit} has a token to train on",
            where="data",
            expected="text that is longer than data.text.skip_first",
        )
    passes = plan(
        train,
        pooling,
        max_batch_tokens=limits.batch_tokens,
        max_shard_vectors=limits.shard_vectors,
    )
    store = ActivationStore(
        folder=folder,
        hook_names=tuple(hook_names),
        captured_from=CapturedFrom(
            base.digest, base.source, longest=max(passage.n_tokens for passage in train)
        ),
        shard_vectors=np.array(passes.shard_vectors, dtype=np.int64),
        passage_vectors=_counts(train, pooling),
        held_out_vectors=_counts(held_out, pooling),
        order=passes.order,
    )
    store.begin()
    _capture_shards(store, base, train, passes, pooling, progress)
    return store


def _capture_shards(
    store: ActivationStore,
    base: BaseModel,
    passages: Sequence[Passage],
    passes: Plan,
    pooling: Pooling,
    progress: Progress,
) -> None:
    missing = set(store.missing())
    with (
        reading(base, store.hook_names, pooling) as reader,
        progress.task("capturing activations", total=len(passages)) as task,
    ):
        for number, shard in enumerate(passes.shards):
            found: dict[str, list[Tensor]] = {name: [] for name in store.hook_names}
            for batch in shard:
                if number in missing:
                    for name, vectors in reader.read(passages, batch).items():
                        found[name].append(vectors)
                task.advance(len(batch.members))
            if number in missing:
                # One hook after another: what is put together is let go of before the next.
                store.write_shard(number, {n: torch.cat(found.pop(n)) for n in store.hook_names})


def _counts(
    passages: Sequence[Passage], pooling: Pooling
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array([passage.n_vectors(pooling) for passage in passages], dtype=np.int64)


def _key(
    loaded: LoadedManifest,
    matter: ReadingMatter,
    limits: CaptureLimits,
    *,
    device: str,
    base_model: str | None,
    data: Path | None,
) -> str:
    """SHA-256 over all that the stored vectors depend on, known before the base model is loaded."""
    manifest = loaded.manifest
    at_hand, text = data_at_hand(manifest.data, data), manifest.data.text
    train, held_out = matter.ids
    return json_sha256(
        {
            "capture_version": CAPTURE_VERSION,
            "base_model": base_model_identity(loaded, base_model),
            "auto_class": manifest.base_model.auto_class,
            "precision": manifest.base_model.precision.model_dump(mode="json"),
            "data": at_hand.sha256,
            "text": None if text is None else text.model_dump(mode="json"),
            "train": json_sha256(train),
            "held_out": json_sha256(held_out),
            "pooling": at_hand.pooling,
            "hooks": list(hook_names_in_order(loaded)),
            "limits": [limits.batch_tokens, limits.shard_vectors],
            "device": device.partition(":")[0],
            "versions": {name: _version(name) for name in _COMPUTED_BY},
        }
    )


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None
