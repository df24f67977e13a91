"""What SAELens builds and saves gives no cause for complaint about its weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from random_saes import random_sae, saved

from manifests.progress import Silent
from validators.reading.local_repository import LocalRepository
from validators.registry import checks_up_to
from validators.report import Outcome
from validators.runner import run_checks
from validators.saelens.format import INFERENCE_ARCHITECTURES, TRAINING_ONLY_ARCHITECTURES
from validators.subjects import RepositorySubject


def outcomes_of_weights(root: Path) -> list[Outcome]:
    """The checks W of a folder with one SAE, without a manifest."""
    checks = tuple(c for c in checks_up_to("load") if c.code[0] in "CFW")
    subject = RepositorySubject(LocalRepository(root), None, progress=Silent())
    return [o for o in run_checks(subject, checks, Silent()) if o.code[0] == "W"]


def complaints(root: Path) -> list[tuple[str, str, str]]:
    found = outcomes_of_weights(root)
    assert {"W001", "W002", "W003", "W101", "W104", "W107"} <= {o.code for o in found}
    return [(o.code, o.outcome, o.found) for o in found if o.outcome != "passed"]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("architecture", INFERENCE_ARCHITECTURES)
def test_weights_that_saelens_saves_pass(
    architecture: str, dtype: torch.dtype, tmp_path: Path
) -> None:
    saved(random_sae(architecture).to(dtype=dtype), tmp_path / "sae")
    assert complaints(tmp_path) == []


@pytest.mark.parametrize(
    "architecture", ["transcoder", "skip_transcoder", "temporal", "matching_pursuit"]
)
def test_an_inference_sae_as_it_is_constructed_passes_or_is_noted(
    architecture: str, tmp_path: Path
) -> None:
    from sae_lens.registry import get_sae_class

    sae_class, config_class = get_sae_class(architecture)
    settings: dict[str, Any] = {"d_in": 16, "d_sae": 32}
    if "transcoder" in architecture:
        settings |= {"d_out": 24, "apply_b_dec_to_input": False}
    if architecture == "temporal":
        settings |= {"n_heads": 2, "bottleneck_factor": 4, "kval_topk": 4}
    torch.manual_seed(0)
    sae = sae_class(config_class(**settings))
    if architecture == "matching_pursuit":
        sae.W_dec.data = torch.nn.functional.normalize(sae.W_dec.data, dim=1)
    saved(sae, tmp_path / "sae")
    noted = [("W109", "noted", "W_skip all zero")] if "skip" in architecture else []
    assert complaints(tmp_path) == noted


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("architecture", TRAINING_ONLY_ARCHITECTURES)
def test_the_one_threshold_of_an_sae_trained_as_batchtopk_passes(
    architecture: str, dtype: str, tmp_path: Path
) -> None:
    from sae_lens.registry import get_sae_training_class

    sae_class, config_class = get_sae_training_class(architecture)
    widths = {"matryoshka_widths": [8, 32]} if "matryoshka" in architecture else {}
    torch.manual_seed(0)
    sae = sae_class(config_class(d_in=16, d_sae=32, k=4, dtype=dtype, **widths))
    with torch.no_grad():
        sae.topk_threshold.fill_(0.01)
        sae.b_dec.add_(torch.randn(16).to(sae.b_dec.dtype))
    sae.save_inference_model(tmp_path / "sae")
    assert complaints(tmp_path) == []
    w103 = [o.found for o in outcomes_of_weights(tmp_path) if o.code == "W103"]
    assert w103 == [f"made of the threshold of {architecture}"]


@pytest.mark.parametrize("architecture", ["standard", "topk", "jumprelu", "gated"])
def test_an_autoencoder_that_was_never_trained_fails(architecture: str, tmp_path: Path) -> None:
    from sae_lens.registry import get_sae_class

    sae_class, config_class = get_sae_class(architecture)
    torch.manual_seed(0)
    extra = {"k": 4} if architecture == "topk" else {}
    saved(sae_class(config_class(d_in=16, d_sae=64, **extra)), tmp_path / "sae")
    found = {code: outcome for code, outcome, _ in complaints(tmp_path)}
    assert found["W111"] == "failed"
    assert found.get("W102") == ("failed" if architecture == "jumprelu" else None)


def test_thresholds_that_training_left_at_zero_are_a_note_where_others_come_near(
    tmp_path: Path,
) -> None:
    """SAELens keeps them at 0 or above, so single ones may end there, or one step below."""
    sae = random_sae("jumprelu", d_sae=256)
    with torch.no_grad():
        sae.threshold.copy_(torch.linspace(0.001, 1.0, 256))
        sae.threshold[0] = 0.0
        sae.threshold[1] = -1e-4
    saved(sae, tmp_path / "sae")
    (complaint,) = complaints(tmp_path)
    assert complaint[:2] == ("W102", "noted")


def test_logarithms_are_recognised_and_the_thresholds_told(tmp_path: Path) -> None:
    sae = random_sae("jumprelu_transcoder")
    with torch.no_grad():
        sae.threshold.copy_(torch.linspace(0.01, 0.9, 64).log())
    saved(sae, tmp_path / "sae")
    (w102,) = [o for o in outcomes_of_weights(tmp_path) if o.code == "W102"]
    assert w102.outcome == "failed"
    assert w102.next_step.endswith("write exp(threshold), from 0.01 to 0.9")
