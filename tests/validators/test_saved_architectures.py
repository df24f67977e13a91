"""SAEs that are trained as one architecture and saved as another, and what gives them away."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from manifests.load import LoadedManifest, load_manifest
from manifests.progress import Silent
from validators.claim import local_claim
from validators.options import ValidateOptions
from validators.reading.local_repository import LocalRepository
from validators.registry import checks_up_to
from validators.report import Outcome
from validators.runner import run_checks
from validators.subjects import RepositorySubject

BATCHTOPK, STANDARD = "tiny_batchtopk_L1_mixed", "tiny_standard_L1_mixed"
MATRYOSHKA, JUMPRELU = "tiny_matryoshka_batchtopk_L1_mixed", "tiny_jumprelu_L1_mixed"


@dataclass(frozen=True)
class Copy:
    """A release's repository that may be damaged, and its manifest."""

    loaded: LoadedManifest
    root: Path

    def cfg(self, sae_id: str, change: Callable[[dict[str, Any]], object]) -> None:
        path = self.root / sae_id / "cfg.json"
        cfg = json.loads(path.read_text(encoding="utf-8"))
        change(cfg)
        path.write_text(json.dumps(cfg), encoding="utf-8", newline="\n")

    def threshold(self, sae_id: str, change: Callable[[torch.Tensor], torch.Tensor]) -> None:
        path = self.root / sae_id / "sae_weights.safetensors"
        tensors = {name: tensor.clone() for name, tensor in load_file(path).items()}
        tensors["threshold"] = change(tensors["threshold"])
        save_file(tensors, path)

    def outcome(self, code: str, sae_id: str) -> Outcome:
        """What one check of the tiers up to load says of one SAE."""
        (found,) = [o for o in self.outcomes("load") if (o.code, o.subject) == (code, sae_id)]
        return found

    def outcomes(self, tier: Any, **options: Any) -> tuple[Outcome, ...]:
        subject = RepositorySubject(
            LocalRepository(self.root),
            local_claim(self.loaded),
            options=ValidateOptions(**options),
            progress=Silent(),
        )
        return run_checks(subject, checks_up_to(tier), Silent())


@pytest.fixture
def newer(release_of_the_newer: Any, tmp_path: Path) -> Copy:
    root = tmp_path / "repository"
    shutil.copytree(release_of_the_newer.repository, root)
    return Copy(release_of_the_newer.loaded, root)


@pytest.fixture
def fixed_at_zero(good_release: Any, tmp_path: Path) -> Copy:
    """The good release, of whose JumpReLU SAE the manifest says that it is a ReLU."""
    folder = tmp_path / "manifests"
    shutil.copytree(good_release.loaded.path.parent, folder)
    path = folder / good_release.loaded.path.name
    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    data["recipe"]["jumprelu"] = {"threshold": "fixed_at_zero", "sparsity_coefficient": 0.1}
    path.write_text(yaml.safe_dump(data), encoding="utf-8")
    root = tmp_path / "repository"
    shutil.copytree(good_release.repository, root)
    return Copy(load_manifest(path), root)


def test_a_release_of_batchtopk_matryoshka_and_standard_saes_passes(
    release_of_the_newer: Any, newer: Copy
) -> None:
    found = newer.outcomes("activations", base_model=str(release_of_the_newer.base_model))
    open_ones = [o for o in found if o.outcome != "skipped" or o.required]
    bad = [(o.code, o.subject, o.found) for o in open_ones if o.outcome != "passed"]
    assert bad == []
    (w103,) = [o for o in found if (o.code, o.subject) == ("W103", BATCHTOPK)]
    assert w103.found.startswith("made of the threshold of batchtopk")
    asked_of_standard = {o.code for o in found if o.subject == STANDARD}
    assert {"C005", "N207", "N208"} <= asked_of_standard
    assert not {"W102", "W103", "N205", "C007"} & {
        o.code for o in found if o.subject == STANDARD and o.outcome != "skipped"
    }


def test_a_batchtopk_sae_that_says_nothing_of_its_training_goes_by_the_manifest(
    newer: Copy,
) -> None:
    newer.cfg(BATCHTOPK, lambda cfg: cfg["metadata"].pop("training_architecture"))
    assert newer.outcome("C005", BATCHTOPK).outcome == "passed"
    assert newer.outcome("W103", BATCHTOPK).outcome == "passed"


@pytest.mark.parametrize("trained_as", ["jumprelu", "matryoshka_batchtopk"])
def test_another_trained_architecture_than_the_manifests_fails(
    newer: Copy, trained_as: str
) -> None:
    newer.cfg(BATCHTOPK, lambda cfg: cfg["metadata"].update(training_architecture=trained_as))
    found = newer.outcome("C005", BATCHTOPK)
    assert found.outcome == "failed"
    assert f"metadata.training_architecture '{trained_as}'" in found.found
    assert newer.outcome("C005", MATRYOSHKA).outcome == "passed"


def test_a_batchtopk_config_cannot_stand_where_a_jumprelu_is_claimed(
    good_release: Any, damaged: Any
) -> None:
    copy = Copy(good_release.loaded, damaged.root)
    copy.cfg(JUMPRELU, lambda cfg: cfg["metadata"].update(training_architecture="batchtopk"))
    assert copy.outcome("C005", JUMPRELU).outcome == "failed"


@pytest.mark.parametrize("saved_as", ["batchtopk", "topk", "standard"])
def test_a_batchtopk_sae_that_is_not_saved_as_jumprelu_fails(newer: Copy, saved_as: str) -> None:
    newer.cfg(BATCHTOPK, lambda cfg: cfg.update(architecture=saved_as))
    found = {o.code: o for o in newer.outcomes("static") if o.subject == BATCHTOPK}
    assert found["C005"].outcome == "failed"
    assert "architecture 'jumprelu'" in found["C005"].expected


def test_several_thresholds_in_a_claimed_batchtopk_sae_fail(newer: Copy) -> None:
    newer.threshold(BATCHTOPK, lambda t: t * torch.linspace(1, 2, len(t)))
    found = newer.outcome("W103", BATCHTOPK)
    assert found.outcome == "failed"
    assert "one threshold for all latents" in found.expected


def test_a_threshold_of_zero_fails_in_a_batchtopk_sae_too(newer: Copy) -> None:
    newer.threshold(BATCHTOPK, torch.zeros_like)
    assert newer.outcome("W102", BATCHTOPK).outcome == "failed"


def test_thresholds_that_are_fixed_at_zero_are_warned_of_as_a_relu(fixed_at_zero: Copy) -> None:
    fixed_at_zero.threshold(JUMPRELU, torch.zeros_like)
    found = fixed_at_zero.outcome("W102", JUMPRELU)
    assert found.outcome == "warned"
    assert found.found == "all 64 thresholds are 0, as the recipe fixes them: this is a ReLU SAE"
    trained = fixed_at_zero.outcome("W103", JUMPRELU)
    assert (trained.outcome, trained.required) == ("skipped", False)


@pytest.mark.parametrize("value", [0.1, -0.1])
def test_other_thresholds_than_zero_fail_where_the_manifest_fixes_them(
    fixed_at_zero: Copy, value: float
) -> None:
    fixed_at_zero.threshold(JUMPRELU, lambda t: torch.full_like(t, value))
    found = fixed_at_zero.outcome("W102", JUMPRELU)
    assert found.outcome == "failed"
    assert found.found == "64 of 64 thresholds are not 0"


def test_thresholds_of_zero_fail_where_the_manifest_says_learned(
    good_release: Any, damaged: Any
) -> None:
    copy = Copy(good_release.loaded, damaged.root)
    copy.threshold(JUMPRELU, torch.zeros_like)
    assert copy.outcome("W102", JUMPRELU).outcome == "failed"
