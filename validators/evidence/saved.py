"""Activations that were saved to a file, in place of running a base model."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np

from manifests.digests import file_sha256
from manifests.errors import ReleaseError, UsageError
from validators.base_models.base_model import BaseModel
from validators.evidence.activations import CapturedActivations, Vectors
from validators.evidence.evidence import Evidence, JudgedSae, NoEvidence, Sample, TokenContext
from validators.evidence.evidence import without_outliers as split_off_outliers
from validators.places.place import Place
from validators.reading.safetensors_header import LENGTH_BYTES, header_length, parse_header
from validators.reading.tensor_reader import read_tensors

MAX_FILE_BYTES = 16_000_000_000
_FIT_SHARE = 0.2
# Neighbouring rows are mostly of one text: the bootstrap draws blocks of them.
_BLOCK_ROWS = 32
_NAMES = ("hf_hook_name", "hook_name")


class SavedEvidence(Evidence):
    """A safetensors, .npz or .npy file with [n, d_in] arrays.

    An array is named by a hook in either notation, as the configs state it; where there is only
    one array, all SAEs read it. The last fifth of the rows is for fitting baselines.
    """

    knows_training = False

    def __init__(self, saes: tuple[JudgedSae, ...], path: Path) -> None:
        super().__init__(saes)
        self.path = path

    @property
    def description(self) -> str:
        """The file's name and its arrays."""
        sizes = ", ".join(f"{name} {len(array)}" for name, array in sorted(self._arrays.items()))
        return f"vectors saved in {self.path.name} ({sizes})"

    @cached_property
    def sha256(self) -> str:
        """Digest of the file."""
        return file_sha256(self.path)

    @property
    def base(self) -> BaseModel:
        """There is none."""
        raise NoEvidence(
            "saved activations take the place of a base model",
            next_step="leave out --activations to run the base model",
        )

    @cached_property
    def _arrays(self) -> dict[str, Vectors]:
        """The arrays by name.

        Raises:
            UsageError: the file cannot be read, or holds something else.
        """
        arrays = _read(self.path)
        for name, array in arrays.items():
            if array.ndim != 2 or len(array) < 10 or not np.isfinite(array).all():
                raise UsageError(
                    f"the array {name!r} has the shape {array.shape}"
                    + ("" if array.ndim != 2 or len(array) < 10 else " and values not finite"),
                    where=str(self.path),
                    expected="finite numbers of shape [n, d_in], n at least 10",
                )
        if not arrays:
            raise UsageError("holds no array", where=str(self.path), expected="[n, d_in] arrays")
        return arrays

    def place_of(self, sae: JudgedSae) -> Place:
        """The array that bears the SAE's hook name, as a place of that name."""
        names = [sae.hook_metadata.get(key) for key in _NAMES]
        for name in names:
            if isinstance(name, str) and name in self._arrays:
                return Place(name)
        if len(self._arrays) == 1:
            return Place(next(iter(self._arrays)))
        raise UsageError(
            f"no array is named {' or '.join(repr(name) for name in names if name) or 'a hook'}",
            where=str(self.path),
            expected=f"one for each hook; there are {', '.join(sorted(self._arrays)[:5])}",
            next_step="name each array by the hook_name or hf_hook_name of cfg.json",
        )

    def _capture(self) -> CapturedActivations:
        vectors = {place: self._arrays[place.module] for place in self.places}
        rows = max((len(array) for array in vectors.values()), default=0)
        return CapturedActivations(
            vectors=vectors,
            calls=dict.fromkeys(vectors, rows),
            missing=frozenset(),
            n_passes=rows,
        )

    def sample(self, sae: JudgedSae, *, train: bool) -> Sample:
        """The first four fifths of the rows, or the rest to fit baselines on."""
        vectors = self.captured.vectors[self.place_of(sae)]
        n_fit = max(1, round(_FIT_SHARE * len(vectors)))
        own = vectors[-n_fit:] if train else vectors[:-n_fit]
        return split_off_outliers(own, np.arange(len(own), dtype=np.int64) // _BLOCK_ROWS)

    def read_elsewhere(self, places: frozenset[Place]) -> None:
        """Nothing more can be read."""

    def sample_at(self, place: Place, sae: JudgedSae) -> Sample | None:
        """The SAE's own vectors; of other places nothing is known, not even which rows match."""
        return self.sample(sae, train=False) if place == self.place_of(sae) else None

    def contexts(self, sae: JudgedSae, *, at_most: int) -> tuple[TokenContext, ...]:  # noqa: ARG002
        """There are no tokens."""
        return ()

    def n_vectors(self) -> dict[str, dict[str, int]]:
        """Rows to measure on, by array."""
        return {
            name: {"train": 0, "held_out": len(array) - max(1, round(_FIT_SHARE * len(array)))}
            for name, array in sorted(self._arrays.items())
        }


def _read(path: Path) -> dict[str, Vectors]:
    expected = "a .safetensors, .npz or .npy file with [n, d_in] arrays"
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise UsageError(f"is {size} bytes long", where=str(path), expected=expected)
        if path.suffix == ".safetensors":
            return _read_safetensors(path, size)
        if path.suffix == ".npy":
            return {"activations": _as_float32(np.load(path, allow_pickle=False))}
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                return {name: _as_float32(arrays[name]) for name in arrays.files}
    except OSError as error:
        raise UsageError(
            f"cannot be read: {error.strerror or error}", where=str(path), expected=expected
        ) from error
    except ReleaseError as error:
        raise UsageError(error.what, where=str(path), expected=expected) from error
    except (ValueError, EOFError, KeyError) as error:
        raise UsageError(f"is damaged: {error}", where=str(path), expected=expected) from error
    raise UsageError(f"ends in {path.suffix!r}", where=str(path), expected=expected)


def _read_safetensors(path: Path, size: int) -> dict[str, Vectors]:
    with path.open("rb") as stream:
        start = stream.read(LENGTH_BYTES)
        length = header_length(start, size_bytes=size, where=path.name)
        header = parse_header(start + stream.read(length), size_bytes=size, where=path.name)
    return {name: _as_float32(array) for name, array in read_tensors(path, header).items()}


def _as_float32(array: object) -> Vectors:
    return np.asarray(array, dtype=np.float32)
