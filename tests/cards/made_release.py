"""A hand-made release: 2 layers x 3 architectures x 2 conditions of a model with 4 blocks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml
from made_portability import make_portability

from cards.sources import Sources
from manifests.build_folder import BuildFolder
from manifests.load import LoadedManifest, load_manifest
from validators.report import (
    Checks,
    Measurement,
    Measurements,
    Outcome,
    Portability,
    Report,
    Tables,
)
from validators.training_record import TrainedSae, TrainingRecord

MANIFEST: dict[str, Any] = {
    "schema_version": 1,
    "repo_id": "demo/tiny-saes",
    "title": "Tiny SAEs",
    "summary": "Twelve small autoencoders, made by hand for a test.",
    "license": "apache-2.0",
    "tags": ["sparse-autoencoder", "demonstration"],
    "base_model": {
        "id": "demo/tiny-llama",
        "model_type": "llama",
        "n_layers": 4,
        "d_model": 8,
    },
    "saes": {
        "id": "tiny_{architecture}{variant}_L{layer}_{condition}",
        "layers": [1, 2],
        "architectures": ["topk", "jumprelu", "gated"],
        "conditions": ["mixed", "deceptive_only"],
        "expansion": 4,
    },
    "recipe": {
        "epochs": 10,
        "batch_size": 16,
        "learning_rate": 3.0e-4,
        "seed": 20260411,
        "topk": {"k": 4},
        "jumprelu": {
            "bandwidth": 0.05,
            "threshold_init": 0.02,
            "target_l0": 4,
            "sparsity_coefficient": 0.1,
        },
        "gated": {"l1_coefficient": 0.05},
    },
    "data": {
        "file": "data/tiny.jsonl",
        "sha256": "d" * 64,
        "description": "Completions of two prompts.",
        "label_rule": "The first word decides.",
        "label_precision": "Of twenty read by hand, nineteen were right.",
        "pooling": "last_token",
        "conditions": {
            "mixed": {"labels": ["deceptive", "honest"]},
            "deceptive_only": {"labels": ["deceptive"]},
        },
        "held_out": {"fraction": 0.25, "seed": 0},
        "sampling": {
            "per_scenario": 100,
            "opening_characters": 30,
            "scenarios": [
                {
                    "id": "door",
                    "prompt": "Is the door locked?",
                    "opening": "The door",
                    "deceptive": ["is open"],
                    "honest": ["is locked"],
                }
            ],
        },
    },
    "caveats": [{"title": "Tiny model", "text": "It has four blocks."}],
}
N_VECTORS = {
    "mixed": {"train": 60, "held_out": 20},
    "deceptive_only": {"train": 30, "held_out": 10},
}


@dataclass(frozen=True)
class Release:
    """A manifest in a temporary folder, with its report and training record."""

    loaded: LoadedManifest
    build: BuildFolder
    report: Report
    training: TrainingRecord | None

    @property
    def sources(self) -> Sources:
        return Sources(
            loaded=self.loaded,
            report=self.report,
            training=self.training,
            report_digest="e" * 64,
            training_digest=None if self.training is None else "f" * 64,
            tool_version="0.0.test",
        )

    def with_metric(self, sae_id: str, name: str, **changes: Any) -> Release:
        """The release with fields of one measurement changed."""
        assert self.report.measurements is not None
        saes = {key: dict(metrics) for key, metrics in self.report.measurements.saes.items()}
        saes[sae_id][name] = Measurement(**{**saes[sae_id][name].model_dump(), **changes})
        return self._with_saes(saes)

    def without_metric(self, sae_id: str, name: str) -> Release:
        """The release with one measurement taken out of its report."""
        assert self.report.measurements is not None
        saes = {key: dict(metrics) for key, metrics in self.report.measurements.saes.items()}
        del saes[sae_id][name]
        return self._with_saes(saes)

    def with_new_metrics(self, sae_id: str, **metrics: Measurement) -> Release:
        """The release with measurements that its report lacks so far."""
        assert self.report.measurements is not None
        saes = dict(self.report.measurements.saes)
        saes[sae_id] = {**saes[sae_id], **metrics}
        return self._with_saes(saes)

    def with_tables(self, **changes: Any) -> Release:
        """The release with the section `tables`, hand-made ones with some fields changed."""
        tables = make_tables(self.loaded, self.training).model_dump()
        checked = Tables.model_validate({**tables, **changes})
        return replace(self, report=self.report.model_copy(update={"tables": checked}))

    def with_portability(self, **changes: Any) -> Release:
        """The release with the section `portability`, a hand-made one with some fields changed."""
        found = make_portability(self.loaded, self.training).model_dump()
        checked = Portability.model_validate({**found, **changes})
        return replace(self, report=self.report.model_copy(update={"portability": checked}))

    def with_outcomes(self, *outcomes: Outcome) -> Release:
        assert self.report.checks is not None
        checks = self.report.checks.model_copy(update={"outcomes": outcomes})
        return replace(self, report=self.report.model_copy(update={"checks": checks}))

    def _with_saes(self, saes: dict[str, dict[str, Measurement]]) -> Release:
        measurements = self.report.measurements.model_copy(update={"saes": saes})
        return replace(self, report=self.report.model_copy(update={"measurements": measurements}))

    def write(self) -> Release:
        self.report.write(self.build.report_json)
        if self.training is not None:
            self.training.write(self.build.training_json)
        return self


def make_release(folder: Path, manifest: dict[str, Any]) -> Release:
    """A consistent release of any manifest; its explained variance falls from SAE to SAE."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(manifest, sort_keys=False), encoding="utf-8", newline="\n")
    loaded = load_manifest(path)
    training = make_training(loaded)
    report = Report(
        tool_version="0.0.test",
        repo_id=loaded.manifest.repo_id,
        manifest_digest=loaded.digest,
        checks=Checks(
            inputs={},
            tiers=("static", "load", "activations"),
            environment={},
            outcomes=(make_outcome("F101", "passed"), make_outcome("W102", "passed")),
        ),
        measurements=Measurements(
            inputs={
                f"{sae_id}/{name}": digest
                for sae_id, trained in training.saes.items()
                for name, digest in trained.files.items()
            },
            environment={},
            n_vectors=N_VECTORS,
            saes={
                spec.sae_id: make_metrics(index, spec.condition, spec.architecture)
                for index, spec in enumerate(loaded.saes)
            },
        ),
    )
    return Release(loaded, BuildFolder(folder / "build" / loaded.name), report, training)


def make_metrics(index: int, condition: str, architecture: str) -> dict[str, Measurement]:
    held_out = {"n": N_VECTORS[condition]["held_out"], "split": "held_out"}
    train = {"n": N_VECTORS[condition]["train"], "split": "train"}
    moved = (
        {"value": 0.625, "n": 16}
        if architecture == "jumprelu"
        else {"value": None, "n": 0, "reason": "only JumpReLU has thresholds"}
    )
    return {
        # 0.81, 0.76, ..., so the PCA baseline of 0.5 is beaten by the first seven: 0.81 - 6 x 0.05
        # = 0.51, 0.81 - 7 x 0.05 = 0.46.
        "explained_variance": Measurement(value=0.81 - 0.05 * index, **held_out),
        "explained_variance_train": Measurement(value=0.9, **train),
        "pca_8_explained_variance": Measurement(value=0.5, **held_out),
        "l0": Measurement(value=4.0, **held_out),
        "mse": Measurement(value=0.012345, **held_out),
        "dead_fraction": Measurement(value=0.25, **held_out),
        "dead_fraction_train": Measurement(value=0.125, **train),
        "path_difference": Measurement(value=1.5e-7, **held_out),
        "threshold_moved_fraction": Measurement(**moved),
    }


def make_tables(loaded: LoadedManifest, training: TrainingRecord) -> Tables:
    """Tables in which all SAEs and all layers are alike; no contrasts, features or steering."""
    probe = {
        "probe_balanced_accuracy": {"value": 0.75, "n": 80, "spread": 0.05},
        "probe_auroc": {"value": 0.8, "n": 80, "spread": 0.06, "p_value": 0.004},
        "probe_chance": {"value": 0.5, "n": 1000, "low": 0.4, "high": 0.6},
        "majority_share": {"value": 0.6, "n": 80},
    }
    permuted = {"value": 0.8, "n": 1000, "low": 0.6, "high": 1.1}
    train, held_out = {"n": 60, "split": "train"}, {"n": 20, "split": "held_out"}
    metrics = {
        **probe,
        "beats_layer": {"value": 0.01, "n": 80, "low": -0.02, "high": 0.04, "p_value": 0.3},
        "beats_peak": {"value": -0.02, "n": 80, "low": -0.05, "high": 0.01, "p_value": 1.0},
        "d_max": {"value": 0.72, **train, "p_value": 0.04},
        "d_max_chance": {"value": 0.58, "n": 1000, "split": "train", "low": 0.47, "high": 0.71},
        "d_max_held_out": {"value": 0.9, **held_out, "p_value": 0.2},
        "d_max_held_out_chance": {**permuted, "split": "held_out"},
        "d_of_train_best_on_held_out": {"value": -0.31, **held_out, "p_value": 0.09},
        "d_over_1": {"value": 0.0, **train},
        "d_over_1_held_out": {"value": 3.0, **held_out},
        "split_d_max": {"value": 0.85, "n": 10, "unit": "halves", "spread": 0.125},
        "split_top_overlap": {"value": 0.25, "n": 10, "unit": "halves"},
        "split_top_overlap_chance": {"value": 0.125, "n": 10, "unit": "halves"},
    }
    return Tables.model_validate(
        {
            "inputs": {
                f"{sae_id}/{name}": digest
                for sae_id, trained in training.saes.items()
                for name, digest in trained.files.items()
            },
            "environment": {},
            "labels": {"honest": 48, "deceptive": 32},
            "n_groups": 5,
            "layers": {str(spec.layer): probe for spec in loaded.saes},
            "peak_layer": str(loaded.saes[0].layer),
            "saes": {
                spec.sae_id: {
                    "metrics": metrics,
                    "verdicts": {"stability_splits": "unstable: 25% are found again"},
                }
                for spec in loaded.saes
            },
        }
    )


def make_training(loaded: LoadedManifest) -> TrainingRecord:
    return TrainingRecord.model_validate(
        {
            "tool_version": "0.0.test",
            "manifest_digest": loaded.digest,
            "base_model": {
                "id": loaded.manifest.base_model.id,
                "digest": "b" * 64,
                "source": "made by hand",
                "precision": loaded.manifest.base_model.precision.model_dump(),
            },
            "data": {
                "file": loaded.manifest.data.file,
                "sha256": loaded.manifest.data.sha256,
                "n_vectors": N_VECTORS,
                "pooling": loaded.manifest.data.pooling,
            },
            "substituted": None,
            "target": {
                "device": "cpu",
                "memory_gb": None,
                "compute_capability": None,
                "budget_gb": None,
            },
            "environment": {"torch": "2.0", "python": "3.11", "device": "cpu", "driver": None},
            "seconds_total": 75.0,
            "saes": {
                spec.sae_id: make_trained(index, spec.condition, spec.architecture)
                for index, spec in enumerate(loaded.saes)
            },
        }
    )


def make_trained(index: int, condition: str, architecture: str) -> TrainedSae:
    return TrainedSae.model_validate(
        {
            "inputs_digest": "a" * 64,
            "seed": 1000 + index,
            "n_train": N_VECTORS[condition]["train"],
            "epochs": 10,
            "steps": 40,
            "batch_size": 16,
            "learning_rate": 3e-4,
            "device": "cpu",
            "n_saes_together": 1,
            "micro_batch": 16,
            "seconds": 6.25,
            "input_scale": 12.5,
            "final": {"loss": 0.1, "l0": 4.0},
            "loss_curve": [],
            "threshold_init": 0.25 if architecture == "jumprelu" else None,
            "files": {
                "cfg.json": f"{index:064x}",
                "sae_weights.safetensors": f"{index + 256:064x}",
            },
        }
    )


def make_outcome(code: str, kind: str, **fields: Any) -> Outcome:
    return Outcome.model_validate(
        {
            "code": code,
            "title": "asks something",
            "tier": "static",
            "severity": "fail",
            "outcome": kind,
            "subject": "",
            **fields,
        }
    )
