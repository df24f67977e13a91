"""The stage `validate` counts the latents of every SAE, and again where a report lacks that."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from manifests.build_folder import BuildFolder
from manifests.progress import Silent
from validators.options import ValidateOptions
from validators.report import FORMAT, Measurements, read_report
from validators.stage import validate_build

# 2 x 16 latents along principal directions, and 32 that never fire.
D_SAE, IDLE = 64, 32


class Noted(Silent):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def validated_again(good_release: Any, build: BuildFolder) -> tuple[Measurements, bool]:
    """The measurements, and whether the report that was there was kept."""
    progress = Noted()
    options = ValidateOptions(base_model=str(good_release.base_model))
    report = validate_build(good_release.loaded, build, options=options, progress=progress)
    assert report.measurements is not None
    return report.measurements, any("kept" in note for note in progress.notes)


@pytest.fixture(scope="module")
def build(good_release: Any, tmp_path_factory: pytest.TempPathFactory) -> BuildFolder:
    folder = BuildFolder(tmp_path_factory.mktemp("validated") / "tiny")
    shutil.copytree(good_release.repository, folder.repository)
    validated_again(good_release, folder)
    return folder


def measurements(build: BuildFolder) -> Measurements:
    found = read_report(build.report_json).measurements
    assert found is not None
    return found


def test_the_latents_are_those_that_l0_and_dead_latents_were_counted_on(build: BuildFolder) -> None:
    found = measurements(build)
    assert found.distributions.keys() == found.saes.keys()
    for sae_id, own in found.distributions.items():
        density, metrics = own.firing_density, found.saes[sae_id]
        assert density is not None
        assert (density.n, density.split) == (metrics["l0"].n, "held_out") == (30, "held_out")
        assert density.shares.n_latents == D_SAE
        assert density.shares.below == round(metrics["dead_fraction"].value * D_SAE) >= IDLE
        # The mean of the shares lies between what their bins allow; times d_sae it is L0.
        bins = density.shares
        low = sum(e * c for e, c in zip(bins.edges, bins.counts, strict=False))
        high = sum(e * c for e, c in zip(bins.edges[1:], bins.counts, strict=True))
        assert low <= metrics["l0"].value <= high


def test_thresholds_are_those_of_the_live_latents_of_the_weights(build: BuildFolder) -> None:
    from safetensors.numpy import load_file

    found = measurements(build)
    for sae_id, own in found.distributions.items():
        if "jumprelu" not in sae_id:
            assert own.thresholds is None
            continue
        spread = own.thresholds
        assert spread is not None and spread.latents == "alive"
        weights = load_file(build.sae_folder(sae_id) / "sae_weights.safetensors")["threshold"]
        dead = found.saes[sae_id]["dead_fraction_train"].value
        assert spread.n_left_out == round(dead * D_SAE)
        assert spread.after.n_latents == D_SAE - spread.n_left_out
        # Idle latents come last; the others were all active in training.
        alive = weights[: D_SAE - IDLE]
        assert spread.n_left_out == IDLE
        expected, _ = np.histogram(alive.astype(np.float64), spread.after.edges)
        assert list(spread.after.counts) == expected.tolist() and sum(expected) > 0
        assert spread.after.above == int((alive > spread.after.edges[-1]).sum())
        record = json.loads(build.training_json.read_bytes())
        assert spread.before == record["saes"][sae_id]["threshold_init"]


def test_a_report_without_distributions_is_not_kept_as_it_is(
    good_release: Any, build: BuildFolder, tmp_path: Path
) -> None:
    copy = BuildFolder(tmp_path / "tiny")
    shutil.copytree(build.root, copy.root)
    assert validated_again(good_release, copy)[1]
    whole = copy.report_json.read_bytes()
    content = json.loads(whole)
    content["format"] = "sae-release.report/2"
    del content["measurements"]["distributions"]
    copy.report_json.write_text(json.dumps(content), encoding="utf-8")
    found, was_kept = validated_again(good_release, copy)
    assert not was_kept
    assert found.distributions
    assert copy.report_json.read_bytes() == whole
    assert json.loads(whole)["format"] == FORMAT
