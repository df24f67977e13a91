"""Verdicts at, within and beyond every limit, and regimes without numbers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from manifests.portability import OtherModel, Portability, PortabilityLimits
from validators.portability.verdicts import (
    AtPrecision,
    Number,
    beyond_precision,
    judge,
    not_measured,
    unmet,
)

LIMITS = PortabilityLimits.model_validate({"min_overlap": 0.8})


def at_precision(
    drop: float | None = 0.02, alive: float | None = 0.05, jaccard: float | None = 0.95
) -> AtPrecision:
    return AtPrecision(
        regime="nf4:fp32",
        n=1566,
        n_not_finite=0,
        explained_variance_drop=Number(drop, reason="no variance"),
        alive_shift=Number(alive, reason="nothing is alive"),
        jaccard=Number(jaccard, reason="no sets"),
    )


@pytest.mark.parametrize(
    ("numbers", "verdict", "decided_by"),
    [
        # Shares of the limits: 0.02 / 0.2 = 0.1, 0.05 / 0.5 = 0.1, (1 - 0.95) / (1 - 0.8) = 0.25.
        (at_precision(), "works", "jaccard"),
        (at_precision(drop=0.1), "works", "explained_variance_drop"),
        (at_precision(alive=-0.4), "works", "alive_shift"),
        # At the limit is within it.
        (at_precision(drop=0.2), "works", "explained_variance_drop"),
        (at_precision(alive=0.5), "works", "alive_shift"),
        (at_precision(jaccard=0.8), "works", "jaccard"),
        # As was measured between fp32 and nf4.
        (at_precision(drop=0.02, jaccard=0.585), "works with other latents", "jaccard"),
        (at_precision(drop=0.19, alive=0.49, jaccard=0.79), "works with other latents", "jaccard"),
        (at_precision(drop=0.201), "retrain", "explained_variance_drop"),
        (at_precision(alive=0.51), "retrain", "alive_shift"),
        (at_precision(alive=-0.51), "retrain", "alive_shift"),
        # Both beyond: 0.3 / 0.2 = 1.5 and 0.6 / 0.5 = 1.2; the overlap, at 4.0, decides less.
        (at_precision(drop=0.3, alive=0.6, jaccard=0.2), "retrain", "explained_variance_drop"),
        (at_precision(drop=0.21, alive=0.9, jaccard=0.2), "retrain", "alive_shift"),
        # Better than at its own precision.
        (at_precision(drop=-0.5, alive=0, jaccard=1), "works", "alive_shift"),
    ],
)
def test_a_verdict_names_the_number_that_decided_it(
    numbers: AtPrecision, verdict: str, decided_by: str
) -> None:
    found = judge(numbers, LIMITS)
    assert (found.verdict, found.decided_by, found.is_sure) == (verdict, decided_by, True)
    assert found.value == getattr(numbers, decided_by).value
    assert found.sentence.startswith(f"{verdict}: ")
    assert found.sentence.endswith("n = 1566")


def test_the_sentence_holds_value_and_limit() -> None:
    assert judge(at_precision(drop=0.273), LIMITS).sentence == (
        "retrain: explained variance changes by -27.3% of its value at the SAE's own precision "
        "(it may fall by 20%), n = 1566"
    )
    assert judge(at_precision(drop=0.0, alive=0.0, jaccard=1.0), LIMITS).sentence == (
        "works: nearest to its limit: explained variance changes by +0.0% of its value at the "
        "SAE's own precision (it may fall by 20%), n = 1566"
    )
    assert "latents changes by -51.0% (it may by 50%, up or down)" in (
        judge(at_precision(alive=-0.51), LIMITS).sentence
    )
    assert judge(at_precision(jaccard=0.585), LIMITS).sentence == (
        "works with other latents: the active latents overlap with a mean Jaccard index of 0.585 "
        "(at least 0.8), n = 1566"
    )


def test_other_limits_give_other_verdicts() -> None:
    numbers = at_precision(drop=0.1, jaccard=0.585)
    strict = PortabilityLimits.model_validate({"max_explained_variance_drop": 0.05})
    lax = PortabilityLimits.model_validate({"min_overlap": 0.5})
    assert judge(numbers, strict).verdict == "retrain"
    assert judge(numbers, strict).limit == 0.05
    assert judge(numbers, lax).verdict == "works"


@pytest.mark.parametrize(
    ("numbers", "verdict", "is_sure"),
    [
        # Wholly within, over the limit of the drop, over that of the overlap, wholly beyond.
        (replace(at_precision(), jaccard=Number(0.9, 0.85, 0.95)), "works", True),
        (
            replace(at_precision(), explained_variance_drop=Number(0.15, 0.1, 0.25)),
            "works",
            False,
        ),
        (replace(at_precision(), jaccard=Number(0.82, 0.78, 0.86)), "works", False),
        (
            replace(at_precision(), explained_variance_drop=Number(0.3, 0.25, 0.4)),
            "retrain",
            True,
        ),
        # One beyond for sure; that the other may not be changes nothing.
        (
            replace(at_precision(alive=0.9), explained_variance_drop=Number(0.21, 0.1, 0.3)),
            "retrain",
            True,
        ),
    ],
)
def test_a_verdict_is_sure_where_the_intervals_allow_no_other(
    numbers: AtPrecision, verdict: str, is_sure: bool
) -> None:
    found = judge(numbers, LIMITS)
    assert (found.verdict, found.is_sure) == (verdict, is_sure)
    assert ("could be another" in found.sentence) == (not is_sure)


def test_overflow_comes_before_every_other_number() -> None:
    found = judge(replace(at_precision(), n_not_finite=3), LIMITS)
    assert (found.verdict, found.decided_by) == ("cannot be used", "n_not_finite")
    assert (found.value, found.limit) == (3, 0)
    assert "3 of 1566 vectors are not finite" in found.sentence


@pytest.mark.parametrize(
    ("numbers", "verdict", "decided_by"),
    [
        (at_precision(drop=None), "not measured", "explained_variance_drop"),
        (at_precision(alive=None), "not measured", "alive_shift"),
        (at_precision(jaccard=None), "not measured", "jaccard"),
        # The overlap alone cannot tell whether to retrain.
        (at_precision(drop=None, jaccard=0.1), "not measured", "explained_variance_drop"),
        (at_precision(drop=0.5, jaccard=None), "retrain", "explained_variance_drop"),
        (at_precision(drop=None, alive=0.8), "retrain", "alive_shift"),
    ],
)
def test_an_undefined_number_is_never_guessed(
    numbers: AtPrecision, verdict: str, decided_by: str
) -> None:
    found = judge(numbers, LIMITS)
    assert (found.verdict, found.decided_by) == (verdict, decided_by)
    if verdict == "not measured":
        assert found.value is None
        assert "is undefined, n" in found.sentence


def test_a_regime_that_cannot_be_run_keeps_its_reason() -> None:
    found = not_measured("fp8:fp16", "fp8 products need a GPU")
    assert (found.verdict, found.decided_by, found.value) == ("not measured", None, None)
    assert found.sentence == "not measured: fp8 products need a GPU"


def test_other_devices_and_models_are_listed_and_another_width_is_refused() -> None:
    others = [
        OtherModel(id="google/gemma-4-E2B-it", d_model=1536, relation="instruction-tuned"),
        OtherModel(id="google/gemma-4-E4B", d_model=2560, relation="larger variant"),
        OtherModel(id="someone/unknown", relation="a fine-tune"),
    ]
    device, sibling, larger, unknown = beyond_precision("nf4-dq:fp16", 1536, "cpu", others)
    assert device.regime == "nf4-dq:fp16 on another device"
    assert device.sentence == "not measured: this run had one device, cpu"
    assert sibling.regime == "google/gemma-4-E2B-it (instruction-tuned)"
    assert sibling.verdict == "not measured"
    assert "fits its width of 1536" in sibling.sentence
    assert (larger.verdict, larger.value, larger.limit) == ("cannot be used", 2560, 1536)
    assert "2560 dimensions and the SAE reads 1536" in larger.sentence
    assert (unknown.verdict, unknown.decided_by) == ("not measured", None)


def test_what_is_required_has_to_work() -> None:
    works = replace(judge(at_precision(), LIMITS), regime="fp16")
    other = judge(at_precision(jaccard=0.5), LIMITS)
    skipped = not_measured("fp8:fp32", "no GPU")
    verdicts = (works, other, skipped)
    assert unmet(verdicts, ["fp16"]) == ()
    assert unmet(verdicts, ["fp8:fp32", "fp16", "nf4:fp32", "fp16"]) == (skipped, other)
    (absent,) = unmet(verdicts, ["int8:fp32"])
    assert absent.regime == "int8:fp32"
    assert absent.sentence == "not measured: it was not among the precisions of this run"


def test_the_defaults_are_those_of_the_card_and_an_overlap() -> None:
    settings = Portability.model_validate({})
    assert settings.precisions == ("fp32", "fp16", "bf16", "int8", "nf4")
    assert settings.require == ()
    limits = settings.limits
    assert limits.max_explained_variance_drop == 0.2
    assert limits.max_alive_shift == 0.5
    # Of k latents, 2 J / (1 + J) are found again: four in five, as of explained variance.
    found_again = 2 * limits.min_overlap / (1 + limits.min_overlap)
    assert found_again == pytest.approx(1 - limits.max_explained_variance_drop, abs=0.005)


@pytest.mark.parametrize(
    "settings",
    [
        {"precisions": []},
        {"require": ["nf5"]},
        {"limits": {"min_overlap": 1.5}},
        {"limits": {"max_alive_shift": 0}},
        {"limit": {}},
        {"claimed": [{"precision": "nf5", "effective_bits": 4}]},
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        Portability.model_validate(settings)
