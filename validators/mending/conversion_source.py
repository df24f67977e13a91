"""What a converter reads its SAE from, and the draft that it makes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from manifests.errors import ReleaseError
from validators.claim import Claim
from validators.foreign.formats import FORMATS
from validators.foreign.found import ForeignSae
from validators.foreign.listing import is_pickle
from validators.mending.draft import Array, Draft
from validators.mending.nesting import FORMAT_VERSION
from validators.mending.weights_file import stored_dtype
from validators.reading.pickled_weights import PickleRefused, tensors_of
from validators.reading.repository import Repository, UnreadableFile
from validators.reading.safetensors_header import FLOAT_DTYPES, MalformedSafetensors
from validators.reading.tensor_reader import UnreadableTensors, read_tensors

# npz archives are inflated in memory; no SAE on a Hub is larger than this.
_MOST_INFLATED_BYTES = 16_000_000_000


class NotConverted(ReleaseError):
    """Why an SAE of another project stays as it is.

    Attributes:
        code: the check that fails of it.
        what: what was found.
        why: why that cannot be written in SAELens' format.
    """

    def __init__(self, code: str, what: str, why: str) -> None:
        super().__init__(what, expected=why)
        self.code, self.why = code, why


@dataclass(frozen=True)
class Converted:
    """An SAE as a draft, and the files that it takes the place of."""

    draft: Draft
    replaced: tuple[str, ...]


@dataclass(frozen=True)
class Weights:
    """Tensors by their names in the foreign file, and the dtype each is stored in."""

    tensors: Mapping[str, Array]
    dtypes: Mapping[str, str]

    @property
    def names(self) -> frozenset[str]:
        """All names."""
        return frozenset(self.tensors)

    def dtype_for(self, name: str) -> str:
        """In what a tensor made of this one is stored: as it was where it is a float, else F32."""
        dtype = self.dtypes.get(name, "F32")
        return dtype if dtype in FLOAT_DTYPES else "F32"


@dataclass(frozen=True)
class Source:
    """One recognised SAE in its repository."""

    repository: Repository
    claim: Claim | None
    sae: ForeignSae
    is_alone: bool = True

    @property
    def sae_id(self) -> str:
        """The folder that the converted SAE gets."""
        stem = self.sae.files[0].rpartition("/")[2].partition(".")[0]
        if self.is_alone and self.sae.folder != ".":
            return self.sae.folder
        return stem if self.sae.folder == "." else f"{self.sae.folder}/{stem}"

    def config(self, name: str, *, required: bool = True) -> dict[str, Any]:
        """The JSON object in one of the SAE's files, by the file's last part.

        Raises:
            NotConverted: it is required, and missing or unreadable.
        """
        path = next((p for p in self.sae.files if p.rpartition("/")[2] == name), None)
        if path is not None:
            return self.json_object(path)
        if not required:
            return {}
        raise NotConverted("F004", f"{name} is not there", "sizes and k stand in it")

    def json_object(self, path: str) -> dict[str, Any]:
        """The JSON object in a file of the repository; empty where there is no such file.

        Raises:
            NotConverted: it is unreadable.
        """
        if path not in self.repository.files:
            return {}
        try:
            cfg = self.repository.read_json(path)
        except UnreadableFile as error:
            raise NotConverted("C001", f"{path} {error.what}", "it cannot be read") from error
        if not isinstance(cfg, dict):
            raise NotConverted("C001", f"{path} is no JSON object", "it cannot be read")
        return cfg

    def json_beside(self) -> dict[str, Any]:
        """The JSON object among the SAE's files; empty where there is none."""
        path = next((p for p in self.sae.files if p.endswith(".json")), None)
        return self.json_object(path) if path else {}

    def weights(self) -> Weights:
        """The tensors of the SAE's first file, whatever it is kept in.

        Raises:
            NotConverted: it cannot be read without running code, or is damaged.
            MissingExtra: it is a pickle, and torch is not installed.
        """
        path = self.sae.files[0]
        try:
            if is_pickle(path):
                return _unpickled(self.repository, path)
            if path.endswith(".npz"):
                return _from_npz(self.repository, path)
            header = self.repository.read_header(path)
            tensors = read_tensors(self.repository.fetch(path), header)
        except (MalformedSafetensors, UnreadableTensors, UnreadableFile, PickleRefused) as error:
            code = "F006" if is_pickle(path) else "F005"
            raise NotConverted(code, f"{path} {error.what}", "it is not opened") from error
        return Weights(tensors, {name: info.dtype for name, info in header.tensors.items()})

    def converted(
        self, cfg: Mapping[str, Any], metadata: Mapping[str, Any], weights: Weights, how: str
    ) -> Converted:
        """The draft of a config and weights in SAELens' names and orientation.

        Args:
            cfg: top-level keys; sizes, dtype and the usual switches are added.
            metadata: what goes into `metadata`; None values are left out.
            weights: the tensors under SAELens' names.
            how: which formula was carried over, for the report.
        """
        W_dec = weights.tensors["W_dec"]
        if W_dec.ndim != 2 or weights.tensors["W_enc"].ndim != 2:
            raise NotConverted("W002", "W_enc or W_dec is no matrix", "it is of no known SAE")
        whole = {
            "d_in": int(weights.tensors["W_enc"].shape[0]),
            "d_sae": int(W_dec.shape[0]),
            "dtype": FLOAT_DTYPES[weights.dtype_for("W_dec")],
            "device": "cpu",
            "normalize_activations": "none",
            "reshape_activations": "none",
            **cfg,
            "metadata": {
                "sae_lens_version": FORMAT_VERSION,
                **{key: value for key, value in metadata.items() if value is not None},
            },
        }
        draft = Draft(
            sae_id=self.sae_id,
            cfg=whole,
            tensors={n: np.ascontiguousarray(t) for n, t in weights.tensors.items()},
            dtypes={name: weights.dtype_for(name) for name in weights.tensors},
        )
        title = FORMATS[self.sae.format].title if self.sae.format in FORMATS else self.sae.format
        is_pickled = any(is_pickle(path) for path in self.sae.files)
        draft = draft.mended(
            "F006" if is_pickled else "F010",
            f"wrote {title} as SAELens' {whole['architecture']}",
            how + ("; the pickle was read with weights_only=True" if is_pickled else ""),
        )
        is_weights = (".npz", ".safetensors")
        replaced = tuple(p for p in self.sae.files if is_pickle(p) or p.endswith(is_weights))
        return Converted(draft, replaced)


def _unpickled(repository: Repository, path: str) -> Weights:
    pickled = tensors_of(repository.fetch(path), where=path)
    import torch

    tensors: dict[str, Array] = {}
    dtypes: dict[str, str] = {}
    for name, tensor in pickled.items():
        values = tensor.detach()
        is_bfloat16 = values.dtype == torch.bfloat16
        array = (values.float() if is_bfloat16 else values).numpy()
        # torch.compile and data parallel training leave their prefixes in the names.
        bare = name.replace("_orig_mod.", "").removeprefix("module.")
        tensors[bare] = array
        dtypes[bare] = "BF16" if is_bfloat16 else stored_dtype(array)
    return Weights(tensors, dtypes)


def _from_npz(repository: Repository, path: str) -> Weights:
    """Arrays of an npz archive; objects, which would be unpickled, are refused."""
    import zipfile

    file = repository.fetch(path)
    try:
        with zipfile.ZipFile(file) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size > _MOST_INFLATED_BYTES:
            raise NotConverted("F005", f"{path} would be {size} bytes", "it is not opened")
        with np.load(file, allow_pickle=False) as arrays:
            tensors = {name: arrays[name] for name in sorted(arrays.files)}
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise NotConverted("F005", f"{path} is no archive of arrays", "it is not opened") from error
    return Weights(tensors, {name: stored_dtype(values) for name, values in tensors.items()})
