"""Captured activations on disk: shards that are each written whole, and what they are part of.

    about.json       the base model, the hooks, and the digest of plan.npz
    plan.npz         how many vectors each shard and each passage has, and their order
    00000.000.npy    the vectors of the first shard at the first hook
    00000.json       size and SHA-256 of that shard's files; written last, so a shard that has it
                     was finished

Each file takes its name when it is complete. A shard whose files are not those that its index
names is captured again.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from manifests.build_folder import write_atomically
from manifests.digests import bytes_sha256, canonical_json, file_sha256
from retrain.activations.stored_vectors import StoredVectors, shard_array

FORMAT = "sae-release.activations/1"
_ABOUT, _PLAN = "about.json", "plan.npz"
_ARRAYS = ("shard_vectors", "passage_vectors", "held_out_vectors", "order")


@dataclass(frozen=True)
class CapturedFrom:
    """The base model, and the longest passage in tokens."""

    base_digest: str
    base_source: str
    longest: int


@dataclass(frozen=True, eq=False)
class ActivationStore:
    """The shards of one capture.

    Attributes:
        folder: where they lie.
        hook_names: in the order of the files.
        captured_from: what the vectors are of.
        shard_vectors: [shards] how many vectors each shard has.
        passage_vectors: [training passages] how many vectors each gave.
        held_out_vectors: [held-out passages] how many vectors each would give; none is kept.
        order: [vectors] see `Plan`.
    """

    folder: Path
    hook_names: tuple[str, ...]
    captured_from: CapturedFrom
    shard_vectors: NDArray[np.int64]
    passage_vectors: NDArray[np.int64]
    held_out_vectors: NDArray[np.int64]
    order: NDArray[np.int64]

    def begin(self) -> None:
        """Write what the shards are part of; forget shards of another plan."""
        arrays = io.BytesIO()
        np.savez(arrays, allow_pickle=False, **{name: getattr(self, name) for name in _ARRAYS})
        plan = arrays.getvalue()
        about = canonical_json(
            {
                "format": FORMAT,
                "base_digest": self.captured_from.base_digest,
                "base_source": self.captured_from.base_source,
                "longest": self.captured_from.longest,
                "hooks": list(self.hook_names),
                "plan_sha256": bytes_sha256(plan),
            }
        )
        if _content(self.folder / _ABOUT) == about and _content(self.folder / _PLAN) == plan:
            return
        for path in sorted(self.folder.glob("*.json")):
            path.unlink()
        write_atomically(self.folder / _PLAN, plan)
        write_atomically(self.folder / _ABOUT, about)

    def write_shard(self, shard: int, vectors: Mapping[str, Tensor]) -> None:
        """Write one shard, [vectors, d_in] by hook name.

        Raises:
            OSError: the folder cannot be written.
        """
        files = {}
        for number, name in enumerate(self.hook_names):
            assert len(vectors[name]) == self.shard_vectors[shard], "a shard is as planned"
            content = io.BytesIO()
            np.save(content, shard_array(vectors[name]), allow_pickle=False)
            path = self._file(shard, number)
            write_atomically(path, content.getvalue())
            files[path.name] = _facts(content.getvalue())
        write_atomically(self._index(shard), canonical_json({"format": FORMAT, "files": files}))

    def missing(self) -> tuple[int, ...]:
        """Shards that are not there, or whose files are not those that their index names.

        Reads every file once.
        """
        return tuple(shard for shard in range(len(self.shard_vectors)) if not self._is_whole(shard))

    def vectors(self) -> dict[str, StoredVectors]:
        """The vectors by hook name; every shard has to be there."""
        starts = np.concatenate([[0], np.cumsum(self.shard_vectors)]).astype(np.int64)
        shards = range(len(self.shard_vectors))
        return {
            name: StoredVectors(
                files=tuple(self._file(shard, number) for shard in shards),
                starts=starts,
                order=self.order,
                d_in=int(np.load(self._file(0, number), mmap_mode="r").shape[1]),
            )
            for number, name in enumerate(self.hook_names)
        }

    def _is_whole(self, shard: int) -> bool:
        content = _content(self._index(shard))
        if content is None:
            return False
        index = _json_object(content)
        stated = index.get("files")
        paths = [self._file(shard, number) for number in range(len(self.hook_names))]
        if not isinstance(stated, dict) or set(stated) != {path.name for path in paths}:
            return False
        return all(_fits(path, stated[path.name]) for path in paths)

    def _file(self, shard: int, hook: int) -> Path:
        return self.folder / f"{shard:05}.{hook:03}.npy"

    def _index(self, shard: int) -> Path:
        return self.folder / f"{shard:05}.json"


def open_store(folder: Path, hook_names: Sequence[str]) -> ActivationStore | None:
    """What a former capture left, whole or in part; None where there is none or it is damaged."""
    about, plan = _content(folder / _ABOUT), _content(folder / _PLAN)
    if about is None or plan is None:
        return None
    stated = _json_object(about)
    if stated.get("format") != FORMAT or stated.get("plan_sha256") != bytes_sha256(plan):
        return None
    if stated.get("hooks") != list(hook_names):
        return None
    with np.load(io.BytesIO(plan), allow_pickle=False) as arrays:
        found = {name: arrays[name] for name in _ARRAYS}
    return ActivationStore(
        folder=folder,
        hook_names=tuple(hook_names),
        captured_from=CapturedFrom(
            str(stated["base_digest"]), str(stated["base_source"]), int(stated["longest"])
        ),
        **found,
    )


def _facts(content: bytes) -> dict[str, Any]:
    return {"size": len(content), "sha256": bytes_sha256(content)}


def _fits(path: Path, stated: object) -> bool:
    try:
        # The size first: a file that was cut short needs no digest.
        if not isinstance(stated, dict) or path.stat().st_size != stated.get("size"):
            return False
        return file_sha256(path) == stated.get("sha256")
    except FileNotFoundError:
        return False


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _json_object(content: bytes) -> dict[str, Any]:
    try:
        value = json.loads(content)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
