"""Claims that fail, failures that are accepted, and acceptances that are no longer needed."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from manifests.facts import Accept, Claim
from manifests.progress import Silent
from validators.claim import local_claim
from validators.claim_values import METRICS
from validators.options import ValidateOptions
from validators.reading.local_repository import LocalRepository
from validators.registry import checks_up_to
from validators.report import Acceptance, Checks, Outcome, Tier
from validators.runner import run_checks
from validators.subjects import RepositorySubject, SaeSubject

TOPK, JUMPRELU, GATED = "tiny_topk_L1_mixed", "tiny_jumprelu_L1_mixed", "tiny_gated_L1_mixed"
KEPT: dict[str, Any] = {}


def accept(code: str, where: str = "*", why: str = "it is known") -> Accept:
    return Accept(code=code, where=where, since=datetime.date(2026, 1, 2), why=why)


def claim(expression: str) -> Claim:
    return Claim(text="So it is.", holds_if=expression)


@pytest.fixture
def outcomes(good_release: Any) -> Callable[..., dict[tuple[str, str], Outcome]]:
    """Run all checks of a tier under a changed manifest; outcomes by code and subject."""

    def run(
        root: Path | None = None, tier: Tier = "load", **changes: Any
    ) -> dict[tuple[str, str], Outcome]:
        manifest = good_release.loaded.manifest.model_copy(update=changes)
        subject = RepositorySubject(
            LocalRepository(root or good_release.repository),
            local_claim(dataclasses.replace(good_release.loaded, manifest=manifest)),
            options=ValidateOptions(base_model=str(good_release.base_model)),
            progress=Silent(),
        )
        # Capturing is the slow part, and depends on none of these changes.
        subject.evidence = KEPT.setdefault("evidence", subject.evidence)
        found = run_checks(subject, checks_up_to(tier), Silent())
        KEPT["subject"] = subject
        return {(outcome.code, outcome.subject): outcome for outcome in found}

    return run


def exit_code(found: dict[tuple[str, str], Outcome]) -> int:
    checks = Checks(inputs={}, tiers=("static",), environment={}, outcomes=tuple(found.values()))
    return checks.exit_code


def zero_thresholds(damaged: Any) -> Path:
    """W102 fails on the JumpReLU SAE, and W103, which requires it, cannot be asked."""
    damaged.edit_weights("jumprelu", lambda t: t.update(threshold=torch.zeros(64)))
    (damaged.root / "training.json").unlink()
    root: Path = damaged.root
    return root


def test_claims_that_hold_pass_each_in_its_tier(outcomes: Any) -> None:
    found = outcomes(tier="activations")
    assert (found["M001", ""].outcome, found["M001", ""].found) == ("passed", "1 claims hold")
    assert (found["M201", ""].outcome, found["M201", ""].found) == ("passed", "1 claims hold")
    for sae in KEPT["subject"].saes:
        assert set(sae.measurements) == set(METRICS), "all that claims can name"


def test_a_false_claim_on_reported_facts_fails_and_is_named(outcomes: Any) -> None:
    found = outcomes(tier="static", claims=(claim("matrix.n_saes == 3"), claim("matrix.d_in > 16")))
    failed = found["M001", ""]
    assert failed.outcome == "failed"
    assert failed.found == ("So it is. [matrix.d_in > 16] it is false: matrix.d_in is 16")
    assert failed.next_step
    assert ("M201", "") not in found


def test_a_claim_that_names_something_unknown_fails_without_measuring(outcomes: Any) -> None:
    found = outcomes(tier="static", claims=(claim("best(topk.l00) < 65"),))
    assert found["M001", ""].outcome == "failed"
    assert "nothing is called topk.l00" in found["M001", ""].found


def test_a_false_claim_on_measured_numbers_fails_in_the_tier_that_measures(outcomes: Any) -> None:
    claims = (claim("best(topk.l0) < 9"), claim("worst(threshold_moved_fraction) > 0"))
    found = outcomes(tier="activations", claims=claims)
    assert found["M001", ""].outcome == "passed"
    assert found["M201", ""].outcome == "failed"
    first, second = found["M201", ""].found.splitlines()
    assert first == "So it is. [best(topk.l0) < 9] it is false: topk.l0 is 9"
    assert "threshold_moved_fraction of tiny_gated_L1_mixed has no value" in second
    assert ("M201", "") not in outcomes(tier="load", claims=claims)


def test_a_claim_on_an_sae_that_could_not_be_measured_fails(outcomes: Any, damaged: Any) -> None:
    damaged.edit_cfg("topk", lambda cfg: cfg.pop("k"))
    found = outcomes(damaged.root, tier="activations")
    assert found["M201", ""].outcome == "failed"
    assert "l0 of tiny_topk_L1_mixed was not measured" in found["M201", ""].found
    others = outcomes(damaged.root, tier="activations", claims=(claim("best(gated.l0) > 1"),))
    assert others["M201", ""].outcome == "passed"


def test_an_accepted_failure_fails_nothing_and_keeps_its_reason(
    outcomes: Any, damaged: Any
) -> None:
    root = zero_thresholds(damaged)
    assert exit_code(outcomes(root)) == 1
    found = outcomes(root, accept=(accept("W102", "*jumprelu*"), accept("F008")))
    known = found["W102", JUMPRELU]
    assert known.outcome == "accepted"
    assert known.acceptance == Acceptance(since=datetime.date(2026, 1, 2), why="it is known")
    assert known.found and known.next_step, "what is wrong is still said"
    assert found["M002", ""].outcome == "passed"
    assert exit_code(found) == 0


def test_what_an_accepted_failure_leaves_unasked_is_no_gap_but_is_told(
    outcomes: Any, damaged: Any
) -> None:
    found = outcomes(zero_thresholds(damaged), accept=(accept("W102"),))
    after = found["W103", JUMPRELU]
    assert (after.outcome, after.required) == ("skipped", False)
    assert after.found == "W102 (thresholds are above zero) accepted"


def test_only_what_the_glob_and_the_code_name_is_accepted(outcomes: Any, damaged: Any) -> None:
    root = zero_thresholds(damaged)
    for entry in (accept("W102", "*topk*"), accept("W101"), accept("W102", JUMPRELU.upper())):
        found = outcomes(root, accept=(entry,))
        assert found["W102", JUMPRELU].outcome == "failed"
        assert found["M002", ""].outcome == "warned"


def test_a_finding_on_the_repository_is_accepted_by_a_star_alone(
    outcomes: Any, damaged: Any
) -> None:
    (damaged.root / "ae.pt").write_text("x", encoding="utf-8")
    assert outcomes(damaged.root, accept=(accept("F006"),))["F006", ""].outcome == "accepted"
    assert outcomes(damaged.root, accept=(accept("F006", "t*"),))["F006", ""].outcome == "failed"


def test_a_crash_is_never_accepted(outcomes: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SaeSubject, "header", property(lambda self: 1 / 0))
    found = outcomes(tier="static", accept=(accept("F005"),))
    assert found["F005", TOPK].outcome == "crashed"
    assert exit_code(found) == 1
    assert found["M002", ""].outcome == "passed", "nobody knows whether it would fail"


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (accept("W102"), "W102 on '*', accepted since 2026-01-02: none of 1 fails it"),
        (accept("C007", "*topk*"), "C007 on '*topk*', accepted since 2026-01-02: none of 1 fails"),
        (accept("C007", "other_*"), "no such check was asked of anything that it names"),
        (accept("C999"), "no such check was asked"),
        (accept("C900"), "no such check was asked"),
        (accept("M001"), "cannot be accepted"),
    ],
)
def test_an_acceptance_of_nothing_is_a_warning(outcomes: Any, entry: Accept, said: str) -> None:
    found = outcomes(accept=(entry,))
    assert found["M002", ""].outcome == "warned"
    assert said in found["M002", ""].found
    assert exit_code(found) == 0


def test_an_acceptance_of_a_tier_that_was_not_run_is_left_alone(outcomes: Any) -> None:
    found = outcomes(tier="static", accept=(accept("W102"), accept("N204")))
    assert (found["M002", ""].outcome, found["M002", ""].found) == ("passed", "2 acceptances")


def test_a_claim_that_does_not_hold_cannot_be_accepted(outcomes: Any) -> None:
    found = outcomes(tier="static", claims=(claim("1 > 2"),), accept=(accept("M001"),))
    assert found["M001", ""].outcome == "failed"
    assert found["M002", ""].outcome == "warned"
