"""One SAE while it is mended: its config and weights, what was done so far, what was left."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy.typing as npt

from manifests.matrix import SaeSpec
from validators.claim import Claim

Array = npt.NDArray[Any]

# The weights are folded in float64; a file in 16 bits would round the product again.
_WIDER = {"F16": "F32", "BF16": "F32", "F32": "F32", "F64": "F64"}


@dataclass(frozen=True)
class Mend:
    """One thing that was mended, or that looks mechanical and was left as it is.

    Attributes:
        sae_id: the SAE's folder; empty for the repository as a whole.
        code: the check that fails of it.
        what: what was changed, or what is wrong.
        why: on what evidence it was changed, or why it was not.
    """

    sae_id: str
    code: str
    what: str
    why: str


@dataclass(frozen=True)
class Context:
    """What is known of an SAE besides its own two files.

    Attributes:
        claim: the manifest; None without one.
        spec: what the manifest says of this SAE; None when it does not name it.
        scaling_factor: what inputs were multiplied by while training, from the SAE's
            `activation_scaler.json`; None when it is not recorded.
    """

    claim: Claim | None = None
    spec: SaeSpec | None = None
    scaling_factor: float | None = None

    @property
    def source(self) -> str:
        """How messages call the manifest."""
        return self.claim.source if self.claim else "the manifest"


@dataclass(frozen=True)
class Draft:
    """An SAE's config and weights between two mends; a mend returns a new draft.

    Attributes:
        sae_id: the SAE's folder.
        cfg: cfg.json, never changed in place.
        tensors: the weights by name, never changed in place; bfloat16 widened to float32.
        dtypes: safetensors dtype in which each tensor is stored.
        mends: what was done.
        left: what is wrong and was not done.
    """

    sae_id: str
    cfg: Mapping[str, Any]
    tensors: Mapping[str, Array]
    dtypes: Mapping[str, str]
    mends: tuple[Mend, ...] = ()
    left: tuple[Mend, ...] = ()

    @property
    def architecture(self) -> str | None:
        """What the config calls it; None where it says nothing usable."""
        architecture = self.cfg.get("architecture")
        return architecture if isinstance(architecture, str) else None

    @property
    def metadata(self) -> Mapping[str, Any]:
        """The nested metadata; empty where there is none."""
        metadata = self.cfg.get("metadata")
        return metadata if isinstance(metadata, dict) else {}

    def mended(
        self,
        code: str,
        what: str,
        why: str,
        *,
        cfg: Mapping[str, Any] | None = None,
        tensors: Mapping[str, Array] | None = None,
        dtypes: Mapping[str, str] | None = None,
    ) -> Draft:
        """The draft with a new config, new weights or both, and a line that says so."""
        tensors = self.tensors if tensors is None else tensors
        dtypes = self.dtypes if dtypes is None else dtypes
        return replace(
            self,
            cfg=self.cfg if cfg is None else cfg,
            tensors=tensors,
            dtypes={name: dtypes.get(name, self.main_dtype) for name in tensors},
            mends=(*self.mends, Mend(self.sae_id, code, what, why)),
        )

    def leave(self, code: str, what: str, why: str) -> Draft:
        """The same draft, and a line that says what is wrong and why it stays so."""
        return replace(self, left=(*self.left, Mend(self.sae_id, code, what, why)))

    @property
    def main_dtype(self) -> str:
        """The safetensors dtype of the matrices."""
        for name in ("W_dec", "W_enc", *sorted(self.dtypes)):
            if name in self.dtypes:
                return self.dtypes[name]
        return "F32"

    def wider_dtypes(self) -> dict[str, str]:
        """In what the tensors are stored after arithmetic on them: 16 bits become 32."""
        return {name: _WIDER.get(dtype, dtype) for name, dtype in self.dtypes.items()}


def with_keys(cfg: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    """A copy of a config with some keys set."""
    return {**cfg, **changes}


def without_keys(cfg: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    """A copy of a config with some keys taken out."""
    return {key: value for key, value in cfg.items() if key not in keys}
