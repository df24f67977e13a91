"""A small release that passes every check: a tiny random Llama, its completions, three SAEs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from manifests.build_folder import BuildFolder
from manifests.completions import Completion, completions_jsonl, for_condition, load_split
from manifests.digests import bytes_sha256, file_sha256
from manifests.load import LoadedManifest, load_manifest
from manifests.progress import Silent
from validators.base_models.base_model import load_base_model
from validators.evidence.activations import capture_completions
from validators.places.place import Place
from validators.training_record import TrainingRecord

D_MODEL, EXPANSION, K = 16, 4, 9
WORDS = tuple("abcdefghijklmnopqr")

MANIFEST = """
schema_version: 1
repo_id: tiny/saes
title: Tiny SAEs
summary: A release that is small enough to check in a moment.
license: apache-2.0
base_model: {id: tiny/llama, model_type: llama, n_layers: 2, d_model: 16}
saes:
  id: "tiny_{architecture}_L{layer}_{condition}"
  layers: [1]
  architectures: [topk, jumprelu, gated]
  conditions: [mixed]
  expansion: 4
recipe:
  epochs: 1
  batch_size: 8
  learning_rate: 1.0e-3
  topk: {k: 9}
  jumprelu: {bandwidth: 0.1, threshold_init: 0.1, target_l0: 8, sparsity_coefficient: 0.1}
  gated: {l1_coefficient: 0.1}
data:
  file: completions.jsonl
  sha256: "%s"
  description: random words
  label_rule: alternating
  label_precision: none
  pooling: last_token
  conditions: {mixed: {labels: [deceptive, honest]}}
  held_out: {fraction: 0.25, seed: 0}
claims:
  - {text: There is one SAE of each architecture., holds_if: matrix.n_saes == 3}
  - {text: TopK has nine active latents., holds_if: worst(topk.l0) == 9 and best(L1.l0) > 9}
"""


@dataclass(frozen=True)
class TinyRelease:
    """Where everything of the good release lies; tests copy `build` before they damage it."""

    loaded: LoadedManifest
    build: BuildFolder
    base_model: Path

    @property
    def repository(self) -> Path:
        return self.build.repository


@dataclass(frozen=True)
class DamagedCopy:
    """A copy of the good release's repository, and ways to damage it."""

    root: Path

    def sae(self, architecture: str) -> Path:
        return self.root / f"tiny_{architecture}_L1_mixed"

    def edit_cfg(self, architecture: str, change: Callable[[dict[str, Any]], object]) -> None:
        path = self.sae(architecture) / "cfg.json"
        cfg = json.loads(path.read_text(encoding="utf-8"))
        change(cfg)
        path.write_text(json.dumps(cfg), encoding="utf-8", newline="\n")

    def edit_weights(
        self, architecture: str, change: Callable[[dict[str, torch.Tensor]], object]
    ) -> None:
        path = self.sae(architecture) / "sae_weights.safetensors"
        tensors = {name: tensor.clone() for name, tensor in load_file(path).items()}
        change(tensors)
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)

    def edit_training(self, change: Callable[[dict[str, Any]], object]) -> None:
        path = self.root / "training.json"
        record = json.loads(path.read_text(encoding="utf-8"))
        change(record)
        path.write_text(json.dumps(record), encoding="utf-8", newline="\n")


@pytest.fixture(scope="session", autouse=True)
def _few_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama of 2 layers and width 16, with a tokenizer of whole words."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("tiny_llama")
    vocabulary = {word: index for index, word in enumerate(["<unk>", *WORDS])}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>").save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=D_MODEL,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        initializer_range=0.5,
        bos_token_id=0,
        eos_token_id=0,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def random_completions(n: int) -> list[Completion]:
    generator = np.random.default_rng(0)
    return [
        Completion(
            id=f"row-{index:03d}",
            scenario="plan",
            prompt="a b c",
            opening="d",
            completion=" " + " ".join(generator.choice(WORDS, size=6)),
            label=("deceptive", "honest")[index % 2],
            seed=0,
            temperature=1.0,
            max_new_tokens=6,
            model_digest="0" * 64,
        )
        for index in range(n)
    ]


@pytest.fixture(scope="session")
def good_release(tmp_path_factory: pytest.TempPathFactory, tiny_llama: Path) -> TinyRelease:
    """Manifest, data and three SAEs made from the training vectors' principal directions."""
    return _make_release(tmp_path_factory.mktemp("good_release"), MANIFEST, tiny_llama)


@pytest.fixture(scope="session")
def release_of_the_newer(tmp_path_factory: pytest.TempPathFactory, tiny_llama: Path) -> TinyRelease:
    """As `good_release`, with the architectures that are saved under another name or have no k."""
    text = MANIFEST.replace(
        "architectures: [topk, jumprelu, gated]",
        "architectures: [batchtopk, matryoshka_batchtopk, standard]",
    ).replace(
        "  topk: {k: 9}\n",
        "  batchtopk: {k: 9}\n"
        "  matryoshka_batchtopk: {k: 9, widths: [16, 32]}\n"
        "  standard: {l1_coefficient: 0.1}\n",
    )
    text = text.replace("TopK has nine active latents.", "BatchTopK has five or more.").replace(
        "worst(topk.l0) == 9 and", "worst(batchtopk.l0) >= 5 and"
    )
    return _make_release(tmp_path_factory.mktemp("newer_release"), text, tiny_llama)


def _make_release(root: Path, manifest: str, tiny_llama: Path) -> TinyRelease:
    data = completions_jsonl(random_completions(120))
    (root / "completions.jsonl").write_bytes(data)
    (root / "tiny.yaml").write_text(manifest % bytes_sha256(data), encoding="utf-8")
    loaded = load_manifest(root / "tiny.yaml")
    base = load_base_model(loaded.manifest.base_model, override=str(tiny_llama))
    split = load_split(loaded)
    hook = loaded.saes[0].hf_hook_name
    condition = loaded.manifest.data.conditions["mixed"]
    rows = for_condition(split.train, condition)
    place = Place(hook)
    captured = capture_completions(base, rows, frozenset({place}), "last_token", Silent())
    build = BuildFolder(root / "build" / "tiny")
    for spec in loaded.saes:
        _write_sae(build.sae_folder(spec.sae_id), spec.architecture, captured.vectors[place])
    _write_training_record(loaded, build, base.digest, len(rows), len(split.held_out))
    return TinyRelease(loaded=loaded, build=build, base_model=tiny_llama)


def _write_sae(folder: Path, architecture: str, train: np.ndarray[Any, Any]) -> None:
    """An SAE with latents along +v and -v for each principal direction v, and as many idle ones."""
    x = torch.from_numpy(train)
    mean = x.mean(dim=0)
    directions = torch.linalg.svd(x - mean, full_matrices=False).Vh
    idle = torch.nn.functional.normalize(
        torch.randn(32, D_MODEL, generator=torch.Generator().manual_seed(0)), dim=1
    )
    decoder = torch.cat([directions, -directions, idle])
    n_used = 2 * D_MODEL
    # Chosen so that about 10 of the 32 used latents are active for a vector.
    pre = (x - mean) @ decoder[:n_used].T
    threshold = torch.cat([pre.clamp(min=0).quantile(0.69, dim=0), torch.full((32,), 0.5)])
    never = torch.cat([torch.zeros(n_used), torch.full((32,), -1000.0)])
    tensors = {"W_enc": decoder.T.contiguous(), "W_dec": decoder, "b_dec": mean}
    cfg: dict[str, Any] = {
        "architecture": architecture,
        "d_in": D_MODEL,
        "d_sae": D_MODEL * EXPANSION,
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
    if architecture == "standard":
        # Without thresholds half of the used latents are active: 10 of 20 directions, both ways.
        never[10:16] = never[26:32] = -1000.0
    if architecture in ("batchtopk", "matryoshka_batchtopk"):
        # As SAELens saves them: jumprelu, with one threshold; two values, so that no file repeats.
        quantile = 0.69 if architecture == "batchtopk" else 0.68
        threshold = torch.full((len(decoder),), float(pre.clamp(min=0).quantile(quantile)))
        cfg |= {"architecture": "jumprelu"}
        cfg["metadata"]["training_architecture"] = architecture
    if architecture == "gated":
        zeros = torch.zeros(len(decoder))
        tensors |= {"b_gate": never - threshold, "b_mag": zeros, "r_mag": zeros.clone()}
    else:
        tensors["b_enc"] = never
    if cfg["architecture"] == "jumprelu":
        tensors["threshold"] = threshold
    if architecture == "topk":
        cfg["k"] = K
    folder.mkdir(parents=True)
    save_file(tensors, folder / "sae_weights.safetensors")
    (folder / "cfg.json").write_text(json.dumps(cfg), encoding="utf-8", newline="\n")


def _write_training_record(
    loaded: LoadedManifest, build: BuildFolder, base_digest: str, n_train: int, n_held_out: int
) -> None:
    manifest = loaded.manifest
    record = {
        "tool_version": "0",
        "manifest_digest": loaded.digest,
        "base_model": {
            "id": manifest.base_model.id,
            "digest": base_digest,
            "source": "local folder",
            "precision": manifest.base_model.precision.model_dump(),
        },
        "data": {
            "file": manifest.data.file,
            "sha256": manifest.data.sha256,
            "n_vectors": {"mixed": {"train": n_train, "held_out": n_held_out}},
            "pooling": manifest.data.pooling,
        },
        "substituted": None,
        "target": {
            "device": "cpu",
            "memory_gb": None,
            "compute_capability": None,
            "budget_gb": None,
        },
        "environment": {},
        "seconds_total": 0.0,
        "saes": {
            spec.sae_id: {
                "inputs_digest": "0" * 64,
                "seed": 0,
                "n_train": n_train,
                "epochs": 1,
                "steps": 1,
                "batch_size": 8,
                "learning_rate": 1e-3,
                "device": "cpu",
                "n_saes_together": 1,
                "micro_batch": 8,
                "seconds": 0.0,
                "input_scale": 1.0,
                "final": {"loss": 0.0, "l0": 0.0},
                "loss_curve": [],
                "threshold_init": 0.1 if spec.architecture == "jumprelu" else None,
                "files": {
                    name: file_sha256(build.sae_folder(spec.sae_id) / name)
                    for name in ("cfg.json", "sae_weights.safetensors")
                },
            }
            for spec in loaded.saes
        },
    }
    TrainingRecord.model_validate(record).write(build.training_json)


@pytest.fixture
def damaged(good_release: TinyRelease, tmp_path: Path) -> DamagedCopy:
    """A copy of the good repository that a test may damage."""
    root = tmp_path / "repository"
    shutil.copytree(good_release.repository, root)
    return DamagedCopy(root)
