"""A published repository of 39 SAEs with the faults that real ones have, and its tiny base model.

It has the shape of a study's first repositories: 15 TopK SAEs, 15 JumpReLU SAEs whose thresholds
never moved from 0, and 9 that were trained with learned thresholds. All encode along an orthonormal
basis in both directions, so that each reconstructs what its architecture lets it.

`python tests/corpus/adoption_standin.py build` puts it on the embedded Hub of that build folder.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from huggingface_hub import HfApi
from safetensors.numpy import save_file

from release.embedded_hub import EmbeddedHub
from release.stand_in_model import StandInSpec, stand_in_folder

REPO_ID, BASE_MODEL = "someone/deception-saes-tiny-llama", "someone/tiny-llama-22"
D_IN, D_SAE, K, N_LAYERS = 16, 32, 8, 22
LAYERS, LAYERS_OF_STE = (3, 6, 9, 12, 15), (9, 12, 15)
CONDITIONS = ("mixed", "deceptive_only", "honest_only")

# Written the other way round: their weights are wrong, and mended.
TURNED = ("tinyllama_topk_L9_mixed", "tinyllama_jumprelu_ste_L12_honest_only")
# With a tensor that a TopK SAE does not have.
WITH_THRESHOLD = "tinyllama_topk_L3_honest_only"
WRONG_WEIGHTS = {*TURNED, WITH_THRESHOLD}
PICKLE = "tinyllama_topk_L9_mixed/sae.pt"
NOBODYS = (PICKLE, "notes.txt", "results/probe_scores.json")

CARD = f"""\
---
license: apache-2.0
tags: [sparse-autoencoder, saelens]
base_model: {BASE_MODEL}
---

# Tiny Llama Deception Behavioral SAEs

42 Sparse Autoencoders (30 original + 9 STE-validated) trained on residual stream activations.

## What's in This Repo

- 39 SAEs, 30 original and 9 STE-validated (`_ste_` tag)
- Layers: L3, L6, L9, L12, L15 (original); L9, L12, L15 (STE)
- 3 training conditions: mixed, deceptive_only, honest_only
- Dimensions: d_in={D_IN}, d_sae={D_SAE} (2x expansion)

## SAE Format

hook_name format: `model.layers.{{layer}}.hook_resid_post`

## Training Details

| Parameter | Value |
|---|---|
| Hardware | NVIDIA GeForce GTX 1650 Ti Max-Q, 4 GB VRAM, Windows 11 Pro |
| Epochs | 300 |
| Batch size | 128 |
| Training conditions | mixed (n=243), deceptive_only (n=84), honest_only (n=159) |
| LLM classifier | Gemini 2.5 Flash |

## Known Limitations

JumpReLU threshold not learned (original 30 SAEs): All non-STE SAEs have threshold = 0 — \
functionally ReLU.

## Usage

```python
from sae_lens import SAE

sae = SAE.from_dict(cfg)
```
"""


@dataclass(frozen=True)
class Published:
    """Where the stand-in is: a commit on a Hub.

    `oid` is the commit; `files` has the bytes that were published, by path in the repository.
    """

    oid: str
    files: dict[str, bytes]


@dataclass(frozen=True)
class Member:
    """One of the 39: its id says the rest."""

    sae_id: str
    architecture: str
    layer: int
    condition: str

    @property
    def is_legacy(self) -> bool:
        """A JumpReLU SAE with thresholds of 0."""
        return self.architecture == "jumprelu" and "_ste_" not in self.sae_id


def members() -> tuple[Member, ...]:
    """All 39, in the order of their ids."""
    kinds = [("topk", "", LAYERS), ("jumprelu", "", LAYERS), ("jumprelu", "_ste", LAYERS_OF_STE)]
    found = [
        Member(f"tinyllama_{kind}{tag}_L{layer}_{condition}", kind, layer, condition)
        for kind, tag, layers in kinds
        for layer in layers
        for condition in CONDITIONS
    ]
    return tuple(sorted(found, key=lambda member: member.sae_id))


def right_tensors(number: int, member: Member) -> dict[str, np.ndarray]:
    """Weights as SAELens wants them: a basis, of the member's own, in both directions."""
    random = np.random.default_rng(number)
    basis, _ = np.linalg.qr(random.normal(size=(D_IN, D_IN)))
    both = np.concatenate([basis, -basis], axis=1)
    tensors = {
        "W_enc": both + 0.02 * random.normal(size=both.shape),
        "W_dec": both.T,
        "b_enc": 0.01 * random.normal(size=D_SAE),
        "b_dec": 0.01 * random.normal(size=D_IN),
    }
    if member.is_legacy:
        tensors["threshold"] = np.zeros(D_SAE)
    elif member.architecture == "jumprelu":
        tensors["threshold"] = random.uniform(0.01, 0.03, size=D_SAE)
    return {name: np.ascontiguousarray(t, dtype=np.float32) for name, t in tensors.items()}


def old_config(member: Member) -> dict[str, Any]:
    """One level, a hook of two notations, a device, and the key of an older activation."""
    is_topk = member.architecture == "topk"
    return {
        "architecture": member.architecture,
        "d_in": D_IN,
        "d_sae": D_SAE,
        **({"k": K} if is_topk else {}),
        "activation_fn_str": "topk" if is_topk else "relu",
        "dtype": "float32",
        "device": "cuda:0",
        "hook_name": f"model.layers.{member.layer}.hook_resid_post",
        "hook_layer": member.layer,
        "model_name": BASE_MODEL,
        "training_condition": member.condition,
        "apply_b_dec_to_input": True,
        "normalize_activations": "none",
    }


def write_standin(folder: Path, layers: Collection[int] = LAYERS) -> None:
    """Write the repository as it is published, faults and all, or that of fewer layers."""
    chosen = [(n, member) for n, member in enumerate(members()) if member.layer in layers]
    for number, member in chosen:
        place = folder / member.sae_id
        place.mkdir(parents=True)
        config = json.dumps(old_config(member), indent=2)
        (place / "cfg.json").write_text(config, encoding="utf-8", newline="\n")
        tensors = right_tensors(number, member)
        if member.sae_id in TURNED:
            turned = {n: np.ascontiguousarray(tensors[n].T) for n in ("W_enc", "W_dec")}
            tensors |= turned
        if member.sae_id == WITH_THRESHOLD:
            tensors["threshold"] = np.zeros(D_SAE, dtype=np.float32)
        save_file(tensors, place / "sae_weights.safetensors")
    tensors = right_tensors(*chosen[0])
    (folder / PICKLE).parent.mkdir(exist_ok=True)
    torch.save({name: torch.from_numpy(each) for name, each in tensors.items()}, folder / PICKLE)
    (folder / "notes.txt").write_text("rerun L15\n", encoding="utf-8", newline="\n")
    (folder / "results").mkdir()
    (folder / NOBODYS[2]).write_text('{"L9": 0.61}\n', encoding="utf-8", newline="\n")
    (folder / "README.md").write_text(CARD, encoding="utf-8", newline="\n")


def base_model_folder(work: Path) -> Path:
    """A Llama of 22 blocks with random weights and a tokenizer of bytes."""
    hooks = tuple(f"model.layers.{layer}" for layer in LAYERS)
    spec = StandInSpec("llama", "AutoModelForCausalLM", D_IN, N_LAYERS, max(LAYERS), hooks)
    return stand_in_folder(spec, work)


def publish_standin(hub: EmbeddedHub, work: Path, layers: Collection[int] = LAYERS) -> Published:
    """Put the repository and its base model on a Hub, each in one commit."""
    api = HfApi(endpoint=hub.endpoint, token=hub.token)
    api.create_repo(BASE_MODEL)
    api.upload_folder(repo_id=BASE_MODEL, folder_path=base_model_folder(work / "base"))
    folder = work / "published"
    shutil.rmtree(folder, ignore_errors=True)
    write_standin(folder, layers)
    api.create_repo(REPO_ID)
    oid = str(api.upload_folder(repo_id=REPO_ID, folder_path=folder).oid)
    files = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    return Published(oid, files)


if __name__ == "__main__":
    with EmbeddedHub(Path(sys.argv[1]) / "hub") as running, tempfile.TemporaryDirectory() as work:
        sys.stdout.write(f"{REPO_ID} is at {publish_standin(running, Path(work)).oid}\n")
