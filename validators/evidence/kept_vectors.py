"""Activation vectors kept on this disk, so that a later stage need not run the base model again.

One file holds the vectors of one set of completions at every place that was read: .npy arrays one
after another, the first of them a JSON text that says what the others are, and at the end the
SHA-256 of all that comes before. Its name is a digest of everything that the numbers depend on, so
a change of any of it leads to another file. A file that is damaged counts as not there.
"""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import json
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import BinaryIO

import numpy as np

from manifests.base_model import Precision
from manifests.build_folder import written_atomically
from manifests.completions import Completion
from manifests.data import Pooling
from manifests.digests import canonical_json, json_sha256
from manifests.tool_version import tool_version
from validators.base_models.base_model import BaseModel, completion_token_ids
from validators.evidence import activations, place_reader
from validators.evidence.activations import CapturedActivations
from validators.places.place import Place

FORMAT = "sae-release.vectors/1"
_DIGEST_BYTES = hashlib.sha256().digest_size
_CHUNK_BYTES = 1 << 20


def capture_key(
    base: BaseModel, precision: Precision, completions: Sequence[Completion], pooling: Pooling
) -> str:
    """Hex SHA-256 of everything but the places that the vectors of completions depend on.

    That is: the base model's digest, source, precision and device; of each completion its id, its
    text and its tokens; the pooling; versions of torch and transformers; and the code that reads.

    Args:
        base: the model that is run.
        precision: what the manifest says it is run in.
        completions: what is read, in order.
        pooling: how vectors are made of positions.
    """
    return json_sha256(
        {
            "format": FORMAT,
            "base_model": [base.digest, base.source],
            "precision": [precision.model_dump(mode="json"), str(base.model.dtype)],
            "device": [base.model.device.type, platform.system(), platform.machine()],
            "completions": [_completion_digest(base, row) for row in completions],
            "pooling": pooling,
            "versions": [tool_version(), version("torch"), version("transformers")],
            "code": [inspect.getsource(module) for module in (activations, place_reader)],
        }
    )


def _completion_digest(base: BaseModel, row: Completion) -> list[str]:
    """Id and digest of one completion; its tokens follow the tokenizer, which has no digest."""
    input_ids, n_prompt = completion_token_ids(base.tokenizer, row)
    return [
        row.id,
        json_sha256([row.prompt, row.opening, row.completion, input_ids, n_prompt]),
    ]


@dataclass(frozen=True)
class KeptVectors:
    """The file of one set of completions in a folder.

    Attributes:
        folder: where files of this kind are; it holds one of them at a time.
        key: what `capture_key` gives for the completions.
    """

    folder: Path
    key: str

    @property
    def path(self) -> Path:
        """The file."""
        return self.folder / f"vectors-{self.key[:32]}.npy"

    def read(self, places: frozenset[Place]) -> CapturedActivations | None:
        """The vectors at these places; None where not all of them are there, sound and whole."""
        try:
            with self.path.open("rb") as stream:
                if not _is_sound(stream):
                    return None
                captured = _read(stream, self.key)
        except OSError:
            return None
        if captured is None or not places <= captured.calls.keys():
            return None
        return CapturedActivations(
            vectors={place: own for place, own in captured.vectors.items() if place in places},
            calls={place: captured.calls[place] for place in sorted(places)},
            missing=captured.missing & places,
            n_passes=captured.n_passes,
            sizes=captured.sizes,
        )

    def write(self, captured: CapturedActivations) -> None:
        """Keep vectors, in place of any others that the folder holds.

        Raises:
            OSError: the folder cannot be written, or is full.
        """
        with written_atomically(self.path) as stream:
            _write(stream, self.key, captured)
        for other in self.folder.glob("vectors-*.npy"):
            if other.name != self.path.name:
                with contextlib.suppress(OSError):
                    other.unlink()


class _Digested:
    """A stream to write to that digests what it is given."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._sha256 = hashlib.sha256()

    def write(self, content: bytes) -> int:
        """Write and digest."""
        self._sha256.update(content)
        return self._stream.write(content)

    def digest(self) -> bytes:
        """SHA-256 of what was written so far."""
        return self._sha256.digest()


def _write(stream: BinaryIO, key: str, captured: CapturedActivations) -> None:
    digested = _Digested(stream)
    contents = {
        "key": key,
        "vectors": [_named(place) for place in captured.vectors],
        "calls": [[_named(place), n] for place, n in captured.calls.items()],
        "missing": [_named(place) for place in sorted(captured.missing)],
        "n_passes": captured.n_passes,
        "sizes": list(captured.sizes),
    }
    # NumPy writes to anything that has `write`, which its types do not say.
    for array in (np.frombuffer(canonical_json(contents), np.uint8), *captured.vectors.values()):
        np.lib.format.write_array(digested, array, allow_pickle=False)  # type: ignore[arg-type]
    stream.write(digested.digest())


def _is_sound(stream: BinaryIO) -> bool:
    """Whether a file ends with the digest of all that comes before; leaves it at its start."""
    left = stream.seek(0, 2) - _DIGEST_BYTES
    stream.seek(0)
    sha256 = hashlib.sha256()
    while left > 0 and (chunk := stream.read(min(left, _CHUNK_BYTES))):
        sha256.update(chunk)
        left -= len(chunk)
    is_sound = left == 0 and stream.read() == sha256.digest()
    stream.seek(0)
    return is_sound


def _read(stream: BinaryIO, key: str) -> CapturedActivations | None:
    """What a sound file holds; None where it is of another key."""
    contents = json.loads(np.load(stream, allow_pickle=False).tobytes())
    if contents["key"] != key:
        return None
    return CapturedActivations(
        vectors={Place(*name): np.load(stream, allow_pickle=False) for name in contents["vectors"]},
        calls={Place(*name): n for name, n in contents["calls"]},
        missing=frozenset(Place(*name) for name in contents["missing"]),
        n_passes=contents["n_passes"],
        sizes=tuple(contents["sizes"]),
    )


def _named(place: Place) -> list[str]:
    return [place.module, place.side]
