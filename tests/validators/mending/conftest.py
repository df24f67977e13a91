"""An SAE that is right, ways to write it wrongly, and what the mended copy of it computes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from manifests.progress import Silent
from validators.claim import Claim
from validators.mending.mend import Mended, mend
from validators.reading.local_repository import LocalRepository
from validators.registry import checks_up_to
from validators.runner import run_checks
from validators.subjects import RepositorySubject

D_IN, D_SAE, K = 16, 64, 9
SAE = "layer_1/sae"


@dataclass(frozen=True)
class Intended:
    """A right SAE of random but sensible weights: its encoder reads along what it writes."""

    cfg: dict[str, Any]
    tensors: dict[str, np.ndarray]

    def latents(self, x: np.ndarray) -> np.ndarray:
        """By the formulas of the papers, written out once more."""
        w = self.tensors
        x = x - w["b_dec"] if self.cfg["apply_b_dec_to_input"] else x
        pre = x @ w["W_enc"]
        if self.cfg["architecture"] == "gated":
            magnitude = np.maximum(pre * np.exp(w["r_mag"]) + w["b_mag"], 0)
            return magnitude * (pre + w["b_gate"] > 0)
        pre = pre + w["b_enc"]
        if self.cfg["architecture"] == "jumprelu":
            return np.maximum(pre, 0) * (pre > w["threshold"])
        if self.cfg["architecture"] == "topk":
            return top_k(pre, self.cfg["k"])
        return np.maximum(pre, 0)


def top_k(pre: np.ndarray, k: int) -> np.ndarray:
    """The k largest of each row, rectified."""
    kept = np.argsort(-pre, axis=1, kind="stable")[:, :k]
    latents = np.zeros_like(pre)
    np.put_along_axis(latents, kept, np.take_along_axis(pre, kept, axis=1), axis=1)
    return np.maximum(latents, 0)


def intended_sae(architecture: str, *, d_in: int = D_IN, d_sae: int = D_SAE) -> Intended:
    """Unit decoder rows, an encoder near their transpose, thresholds that differ."""
    random = np.random.default_rng(7)
    decoder = random.normal(size=(d_sae, d_in))
    decoder /= np.linalg.norm(decoder, axis=1, keepdims=True)
    encoder = decoder.T + 0.05 * random.normal(size=(d_in, d_sae))
    tensors = {
        "W_enc": encoder,
        "W_dec": decoder,
        "b_dec": 0.3 * random.normal(size=d_in),
    }
    if architecture == "gated":
        tensors |= {
            "b_gate": -0.5 + 0.1 * random.normal(size=d_sae),
            "b_mag": 0.1 * random.normal(size=d_sae),
            "r_mag": 0.1 * random.normal(size=d_sae),
        }
    else:
        tensors["b_enc"] = 0.1 * random.normal(size=d_sae)
    if architecture == "jumprelu":
        tensors["threshold"] = random.uniform(0.05, 0.3, size=d_sae)
    cfg: dict[str, Any] = {
        "architecture": architecture,
        "d_in": d_in,
        "d_sae": d_sae,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": True,
        "normalize_activations": "none",
        "reshape_activations": "none",
        "metadata": {
            "sae_lens_version": "6.54.12",
            "model_name": "tiny/llama",
            "hook_name": "blocks.1.hook_resid_post",
            "hf_hook_name": "model.layers.1",
        },
    }
    if architecture == "topk":
        cfg["k"] = K
    return Intended(cfg, {name: t.astype(np.float32) for name, t in tensors.items()})


def as_before_saelens_6(cfg: dict[str, Any]) -> dict[str, Any]:
    """The same config as SAELens 3 to 5 wrote it: one level, other names."""
    metadata = {k: v for k, v in cfg["metadata"].items() if k != "sae_lens_version"}
    return {k: v for k, v in cfg.items() if k != "metadata"} | metadata


@dataclass
class Bench:
    """A folder with one SAE in it, and its mended copy."""

    root: Path
    out: Path

    def write(self, sae: Intended, folder: str = SAE, **changes: Any) -> None:
        """Write an SAE; `cfg` and `tensors` replace or change the intended ones."""
        cfg, tensors = changes.get("cfg", sae.cfg), changes.get("tensors", sae.tensors)
        place = self.root / folder
        place.mkdir(parents=True, exist_ok=True)
        (place / "cfg.json").write_text(json.dumps(cfg), encoding="utf-8", newline="\n")
        save_file(
            {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()},
            place / "sae_weights.safetensors",
        )

    def mend(self, claim: Claim | None = None) -> Mended:
        return mend(LocalRepository(self.root), claim, self.out, progress=Silent())

    def cfg(self, folder: str = SAE) -> dict[str, Any]:
        """The mended config."""
        return json.loads((self.out / folder / "cfg.json").read_text(encoding="utf-8"))

    def saelens(self, folder: str = SAE) -> Any:
        """The mended SAE as SAELens loads it, in float32."""
        import sae_lens

        return sae_lens.SAE.load_from_disk(self.out / folder, device="cpu", dtype="float32")

    def latents(self, x: np.ndarray, folder: str = SAE) -> np.ndarray:
        """What a user of SAELens gets of the mended copy."""
        sae = self.saelens(folder)
        with torch.no_grad():
            return sae.encode(torch.from_numpy(x.astype(np.float32))).numpy()

    def reconstructions(self, x: np.ndarray, folder: str = SAE) -> np.ndarray:
        sae = self.saelens(folder)
        with torch.no_grad():
            return sae(torch.from_numpy(x.astype(np.float32))).numpy()

    def problems(self, claim: Claim | None = None, *, of: Path | None = None) -> list[str]:
        """Codes and findings of the static and load checks on the copy that did not pass."""
        subject = RepositorySubject(LocalRepository(of or self.out), claim, progress=Silent())
        outcomes = run_checks(subject, checks_up_to("load"), Silent())
        assert any(o.code == "L101" for o in outcomes)
        bad = ("failed", "crashed", "warned")
        return [f"{o.code} {o.found}" for o in outcomes if o.outcome in bad]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    root = tmp_path / "bench" / "saes"
    root.mkdir(parents=True)
    return Bench(root, tmp_path / "bench" / "mended")


@pytest.fixture(scope="session")
def x() -> np.ndarray:
    """64 activation vectors of which every one has some active latents."""
    return np.random.default_rng(3).normal(size=(64, D_IN)).astype(np.float32)


@pytest.fixture(scope="session")
def sae_of() -> Callable[..., Intended]:
    return intended_sae


@pytest.fixture(scope="session")
def flat() -> Callable[[dict[str, Any]], dict[str, Any]]:
    return as_before_saelens_6


@pytest.fixture(scope="session")
def largest() -> Callable[[np.ndarray, int], np.ndarray]:
    return top_k
