"""A hand-made release of two SAEs on disk, with every document that a published one has."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from manifests.build_folder import BuildFolder, write_atomically
from manifests.digests import bytes_sha256, file_sha256
from manifests.load import LoadedManifest, load_manifest
from validators.report import Checks, Measurement, Measurements, Report
from validators.training_record import TrainingRecord

REPO_ID = "researcher/two-saes"
MANIFEST: dict[str, Any] = {
    "schema_version": 1,
    "repo_id": REPO_ID,
    "title": "Two SAEs",
    "summary": "Made by hand for a test.",
    "license": "apache-2.0",
    "base_model": {
        "id": "someone/Tiny-Llama",
        "revision": "v1.0",
        "model_type": "llama",
        "n_layers": 2,
        "d_model": 4,
    },
    "saes": {
        "id": "{architecture}_L{layer}_{condition}",
        "layers": [1],
        "architectures": ["topk"],
        "conditions": ["mixed", "honest_only"],
        "expansion": 300,
    },
    "recipe": {
        "epochs": 1,
        "batch_size": 2,
        "learning_rate": 0.01,
        "topk": {"k": 2},
    },
    "data": {
        "file": "data.jsonl",
        "sha256": "d" * 64,
        "description": "Two prompts.",
        "label_rule": "The first word.",
        "pooling": "last_token",
        "held_out": {"fraction": 0.25, "seed": 0},
        "conditions": {
            "mixed": {"labels": ["deceptive", "honest"]},
            "honest_only": {"labels": ["honest"]},
        },
    },
    # What a page says, which is no measurement.
    "reported": [
        {
            "name": "explained variance",
            "metric": "explained_variance",
            "value": 0.99,
            "source": "an earlier card",
        }
    ],
}
N_HELD_OUT = 8


@dataclass
class Made:
    """A release in a folder; `save` writes the documents that follow from its files again."""

    loaded: LoadedManifest
    build: BuildFolder
    metrics: dict[str, dict[str, Measurement]]

    @property
    def folder(self) -> Path:
        return self.build.repository

    def files(self) -> dict[str, str]:
        """SHA-256 of every file by path_in_repo."""
        return {
            path.relative_to(self.folder).as_posix(): file_sha256(path)
            for path in sorted(self.folder.rglob("*"))
            if path.is_file()
        }

    def save(self) -> None:
        manifest = self.loaded.manifest
        sae_files = {
            spec.sae_id: {
                name: file_sha256(self.folder / spec.sae_id / name)
                for name in ("cfg.json", "sae_weights.safetensors")
            }
            for spec in self.loaded.saes
        }
        inputs = {
            f"{sae_id}/{name}": digest
            for sae_id, files in sae_files.items()
            for name, digest in files.items()
        }
        training(self.loaded, sae_files).write(self.build.training_json)
        Report(
            tool_version="0.0.test",
            repo_id=manifest.repo_id,
            manifest_digest=self.loaded.digest,
            checks=Checks(inputs=inputs, tiers=("static",), environment={}, outcomes=()),
            measurements=Measurements(
                inputs=inputs, environment={}, n_vectors={}, saes=self.metrics
            ),
        ).write(self.build.report_json)
        index = {
            "repo_id": manifest.repo_id,
            "base_model": {"id": manifest.base_model.id},
            "saes": [{"sae_id": sae_id, "sha256": files} for sae_id, files in sae_files.items()],
        }
        for name, value in (
            ("config.json", index),
            ("manifest.json", manifest.resolved()),
            ("card.json", {}),
        ):
            write_atomically(self.folder / name, (json.dumps(value, indent=2) + "\n").encode())


def training(loaded: LoadedManifest, files: dict[str, dict[str, str]]) -> TrainingRecord:
    manifest = loaded.manifest
    return TrainingRecord.model_validate(
        {
            "tool_version": "0.0.test",
            "manifest_digest": loaded.digest,
            "base_model": {
                "id": manifest.base_model.id,
                "digest": "b" * 64,
                "source": "made by hand",
                "precision": manifest.base_model.precision.model_dump(),
            },
            "data": {
                "file": manifest.data.file,
                "sha256": manifest.data.sha256,
                "n_vectors": {},
                "pooling": manifest.data.pooling,
            },
            "substituted": None,
            "target": {
                "device": "cpu",
                "memory_gb": None,
                "compute_capability": None,
                "budget_gb": None,
            },
            "environment": {
                "sae-release": "0.0.test",
                "engine": "local",
                "python": "3.11.9",
                "platform": "Linux x86_64",
                "torch": "2.8.0",
                "transformers": "5.9.0",
                "threads": "2",
                "device": "cpu",
                "device_name": "x86_64",
                "driver": None,
            },
            "seconds_total": 1.0,
            "saes": {
                sae_id: {
                    "inputs_digest": "a" * 64,
                    "seed": 1,
                    "n_train": 24,
                    "epochs": 1,
                    "steps": 12,
                    "batch_size": 2,
                    "learning_rate": 0.01,
                    "device": "cpu",
                    "n_saes_together": 1,
                    "micro_batch": 2,
                    "seconds": 0.5,
                    "input_scale": 1.0,
                    "final": {"loss": 0.1, "l0": 2.0},
                    "loss_curve": [],
                    "threshold_init": None,
                    "files": digests,
                }
                for sae_id, digests in files.items()
            },
        }
    )


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """The release; its explained variance is 0.71234 and 0.5, its L0 2.0."""
    path = tmp_path / "manifests" / "two-saes.yaml"
    path.parent.mkdir()
    path.write_text(yaml.safe_dump(MANIFEST, sort_keys=False), encoding="utf-8", newline="\n")
    loaded = load_manifest(path)
    held_out = {"n": N_HELD_OUT, "split": "held_out"}
    metrics = {
        spec.sae_id: {
            "explained_variance": Measurement.model_validate({"value": value, **held_out}),
            "l0": Measurement.model_validate({"value": 2.0, **held_out}),
        }
        for spec, value in zip(loaded.saes, (0.71234, 0.5), strict=True)
    }
    found = Made(loaded, BuildFolder(tmp_path / "build" / loaded.name), metrics)
    for number, spec in enumerate(loaded.saes):
        folder = found.build.sae_folder(spec.sae_id)
        write_atomically(folder / "cfg.json", f'{{"architecture": "topk", "n": {number}}}'.encode())
        write_atomically(
            folder / "sae_weights.safetensors",
            bytes.fromhex(bytes_sha256(spec.sae_id.encode())) * 500,
        )
    write_atomically(found.folder / "README.md", b"---\nlicense: apache-2.0\n---\n# Two SAEs\n")
    found.save()
    return found


@pytest.fixture
def tamper(made: Made) -> Callable[..., None]:
    """Change one byte of a file in place, or a value of a JSON document."""

    def change(name: str, *keys: Any, to: Any = None) -> None:
        path = made.folder / name
        if not keys:
            content = bytearray(path.read_bytes())
            content[len(content) // 2] ^= 1
            path.write_bytes(bytes(content))
            return
        value = json.loads(path.read_bytes())
        inner = value
        for key in keys[:-1]:
            inner = inner[key]
        inner[keys[-1]] = to
        path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8", newline="\n")

    return change


@pytest.fixture(scope="module")
def make_key(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[Path, Path]]:
    """A new key pair as two PEM files: private, public."""
    pytest.importorskip("cryptography", reason="comes with the extra sign")
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    def make(password: str | None = None) -> tuple[Path, Path]:
        folder = tmp_path_factory.mktemp("keys")
        key = ec.generate_private_key(ec.SECP256R1())
        encryption: Any = (
            serialization.BestAvailableEncryption(password.encode())
            if password
            else serialization.NoEncryption()
        )
        private, public = folder / "private.pem", folder / "public.pem"
        private.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
            )
        )
        public.write_bytes(
            key.public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        )
        return private, public

    return make
