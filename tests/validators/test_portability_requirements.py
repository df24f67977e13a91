"""What a manifest requires of portability, and how a section reads on a screen."""

from __future__ import annotations

from typing import Any

import pytest

from manifests.model import Manifest
from validators.portability.requirements import Unmet, unmet_requirements
from validators.presenting.portability_text import portability_text
from validators.report import (
    ClaimedSizeFinding,
    LoadedPrecision,
    Measurement,
    Portability,
    RegimeVerdict,
    Shift,
    TrainedAt,
)


@pytest.fixture
def requiring(good_release: Any) -> Any:
    """The tiny manifest with some precisions required."""

    def make(*names: str) -> Manifest:
        content = good_release.loaded.manifest.model_dump(mode="json")
        content["portability"]["require"] = list(names)
        return Manifest.model_validate(content)

    return make


def verdict(regime: str, kind: str, sentence: str) -> RegimeVerdict:
    return RegimeVerdict.model_validate(
        {
            "regime": regime,
            "verdict": kind,
            "decided_by": None,
            "value": None,
            "limit": None,
            "is_sure": True,
            "sentence": sentence,
        }
    )


def number(value: float) -> Measurement:
    return Measurement(value=value, n=30, split="held_out")


def a_section(**changes: Any) -> Portability:
    metrics = {
        "residual_error_about_mean": number(0.362),
        "explained_variance": number(0.975),
        "l0": number(9.04),
        "alive_shift": number(-0.25),
        "jaccard": number(0.715),
        "d_max": Measurement(value=None, n=0, reason="no labels"),
    }
    whole = Portability(
        inputs={},
        environment={},
        trained_at="fp32",
        precisions={
            "fp32": LoadedPrecision(
                weights="fp32",
                compute="fp32",
                metrics={
                    "bits_per_parameter": Measurement(value=32, n=5808, unit="bits"),
                    "weights_bytes": Measurement(value=23264, n=5808, unit="bytes"),
                    "share_of_fp16_range": number(0.0006),
                },
            ),
            "nf4:fp32": LoadedPrecision(weights="nf4", compute="fp32"),
            "fp8:fp32": LoadedPrecision(weights="fp8", compute="fp32", refused="no such GPU"),
        },
        saes={
            "one": {
                "fp32": Shift(metrics={}, verdict=verdict("fp32", "works", "works: itself")),
                "nf4:fp32": Shift(
                    metrics=metrics, verdict=verdict("nf4:fp32", "retrain", "retrain: too far")
                ),
                "fp8:fp32": Shift(
                    metrics={},
                    verdict=verdict("fp8:fp32", "not measured", "not measured: no such GPU"),
                ),
            }
        },
        elsewhere=(verdict("a/b (larger)", "cannot be used", "cannot be used: 8 dimensions"),),
        claimed=(ClaimedSizeFinding(precision="nf4:fp32", holds=True, sentence="it agrees"),),
        retrained={
            "one": (
                TrainedAt(
                    trained_at="nf4:fp32",
                    tested_at="fp32",
                    metrics={"explained_variance": number(0.9), "jaccard": number(0.5)},
                ),
            )
        },
    )
    return whole.model_copy(update=changes)


def test_nothing_required_is_met_by_nothing_measured(requiring: Any) -> None:
    assert unmet_requirements(requiring(), None) == ()
    assert unmet_requirements(requiring(), a_section()) == ()


def test_what_is_required_must_have_been_measured(requiring: Any) -> None:
    (unmet,) = unmet_requirements(requiring("nf4", "fp16"), None)
    assert unmet.sentence == "nf4:fp32, fp16 required, and not measured: run release portability"
    assert not unmet.was_measured


def test_only_works_meets_a_requirement(requiring: Any) -> None:
    # A precision that is named twice is required once.
    found = unmet_requirements(requiring("fp32", "nf4", "nf4:fp32", "fp8", "fp16"), a_section())
    assert found == (
        Unmet("one at nf4:fp32: retrain: too far", was_measured=True),
        Unmet("one at fp8:fp32: not measured: no such GPU", was_measured=False),
        Unmet("one at fp16: not measured: it was not among the precisions", was_measured=False),
    )


def test_an_untrue_claim_is_unmet_though_nothing_is_required(requiring: Any) -> None:
    untrue = ClaimedSizeFinding(precision="nf4:fp32", holds=False, sentence="it is -22% off")
    found = unmet_requirements(requiring(), a_section(claimed=(untrue,)))
    assert found == (Unmet("it is -22% off", was_measured=True),)


def test_the_text_has_every_number_and_verdict() -> None:
    text = portability_text(a_section(), width=100)
    lines = text.splitlines()
    assert text.endswith("\n")
    assert any("fp32 (trained at)" in line and "23,264" in line for line in lines)
    (nf4,) = [line for line in lines if line.startswith("nf4:fp32 ") and "0.715" in line]
    assert nf4.split() == [
        "nf4:fp32", "36.2%", "0.975", "9.0", "-25.0%", "0.715", "-", "-", "-", "-",
    ]  # fmt: skip
    assert "fp8:fp32: not measured, no such GPU" in lines
    assert "  nf4:fp32: retrain: too far" in lines
    assert "a/b (larger): cannot be used: 8 dimensions" in lines
    assert "it agrees" in lines
    assert any(line.split() == ["nf4:fp32", "fp32", "0.900", "-", "0.500"] for line in lines)


def test_the_text_keeps_to_the_width_and_to_one_line_for_one_text() -> None:
    hostile = verdict("nf4:fp32", "retrain", "retrain: " + "word " * 40 + "\x1b[31m\nforged: works")
    shifts = {"one": {"nf4:fp32": Shift(metrics={}, verdict=hostile)}}
    text = portability_text(a_section(saes=shifts, retrained={}), width=72)
    assert max(map(len, text.splitlines())) <= 72
    assert "\x1b" not in text
    assert not any(line.startswith("forged") for line in text.splitlines())
