"""What a person reads: a table, problems with where and what next, one closing sentence."""

from __future__ import annotations

from typing import Any

import pytest

from validators.presenting.closing import closing_sentence
from validators.presenting.present import report_text
from validators.report import Acceptance, Checks, Measurement, Measurements, Outcome, Report

NEXT = "release render x.yaml"


def outcome(code: str, kind: Any, subject: str = "sae_a", **fields: Any) -> Outcome:
    severity = {"warned": "warn", "noted": "note"}.get(kind, "fail")
    return Outcome(
        code=code,
        title="k is stated",
        tier="static",
        severity=severity,  # type: ignore[arg-type]
        outcome=kind,
        subject=subject,
        **fields,
    )


def report_of(*outcomes: Outcome, measured: bool = False) -> Report:
    number = Measurement(value=0.8125, n=30, split="held_out")
    missing = Measurement(value=None, n=90, split="train", reason="only JumpReLU has thresholds")
    measurements = Measurements(
        inputs={},
        environment={},
        n_vectors={"mixed": {"train": 90, "held_out": 30}},
        saes={
            "smollm2_jumprelu_L18_deceptive_only": {
                "explained_variance": number,
                "pca_8_explained_variance": number,
                "l0": Measurement(value=64.0, n=30, split="held_out"),
                "dead_fraction": Measurement(value=0.25, n=30, split="held_out"),
                "threshold_moved_fraction": missing,
                "path_difference": Measurement(value=2.5e-7, n=30, split="held_out"),
            }
        },
    )
    return Report(
        tool_version="0",
        repo_id=None,
        manifest_digest=None,
        checks=Checks(inputs={}, tiers=("static",), environment={}, outcomes=outcomes),
        measurements=measurements if measured else None,
    )


FAILED = outcome("C006", "failed", found="k is missing", expected="an integer", next_step="write k")
PASSED = outcome("C001", "passed", found="9 keys")
ACCEPTED = outcome(
    "W103",
    "accepted",
    found="all thresholds are 0",
    next_step="retrain",
    acceptance=Acceptance(since="2026-01-02", why="the weights are as they were published"),
)


def test_a_problem_says_where_what_was_expected_and_what_next() -> None:
    text = report_text(report_of(PASSED, FAILED))
    assert text == (
        "SAE   passed failed\n"
        "sae_a      1      1\n"
        "\n"
        "C006 failed: k is missing\n"
        "     where: sae_a\n"
        "     expected: an integer\n"
        "     next: write k\n"
        "\n"
        "FAILED: 1 of 2 checks on 1 SAE failed; mend it and validate again\n"
        "(`release explain C006` tells more).\n"
    )


def test_failures_come_last_and_equal_ones_once() -> None:
    failures = [FAILED.model_copy(update={"subject": f"sae_{i}"}) for i in range(6)]
    warning = outcome("C012", "warned", found="1 absolute path")
    text = report_text(report_of(*failures, warning, outcome("N210", "noted", found="0.3")))
    assert text.index("N210 note") < text.index("C012 warning") < text.index("C006 failed")
    assert text.count("C006 failed") == 1
    assert "where: sae_0, sae_1, sae_2, sae_3 and 2 more" in text


def test_an_accepted_failure_is_shown_with_its_reason_and_is_not_called_passed() -> None:
    text = report_text(report_of(PASSED, ACCEPTED))
    assert text == (
        "SAE   passed accepted\n"
        "sae_a      1        1\n"
        "\n"
        "W103 accepted: all thresholds are 0\n"
        "     where: sae_a\n"
        "     accepted since 2026-01-02: the weights are as they were published\n"
        "     next: retrain\n"
        "\n"
        "PASSED: 1 of 2 checks on 1 SAE passed, 1 failed as accepted, tier static; next:\n"
        "release render MANIFEST\n"
    )
    failed = report_text(report_of(PASSED, ACCEPTED, FAILED))
    assert failed.index("W103 accepted") < failed.index("C006 failed")
    assert "FAILED: 1 of 3 checks on 1 SAE failed, 1 failed as accepted;" in failed


def test_failures_that_are_accepted_for_different_reasons_are_told_apart() -> None:
    other = Acceptance(since="2026-01-02", why="another reason")
    twice = ACCEPTED.model_copy(update={"subject": "sae_b"})
    third = ACCEPTED.model_copy(update={"subject": "sae_c", "acceptance": other})
    text = report_text(report_of(ACCEPTED, twice, third))
    assert "where: sae_a, sae_b\n     accepted since 2026-01-02: the weights" in text
    assert "where: sae_c\n     accepted since 2026-01-02: another reason" in text


def test_an_outcome_is_accepted_only_with_a_reason() -> None:
    with pytest.raises(ValueError, match="since when and why"):
        outcome("W103", "accepted")
    with pytest.raises(ValueError, match="since when and why"):
        outcome("W103", "failed", acceptance=ACCEPTED.acceptance)


def test_the_table_fits_80_columns_and_names_what_was_not_measured() -> None:
    text = report_text(report_of(PASSED, measured=True))
    assert max(map(len, text.splitlines())) <= 80
    row = next(line for line in text.splitlines() if "0.812" in line)
    assert row.split()[-6:] == ["0.812", "0.812", "64.0", "25.0%", "-", "2e-07"]
    assert "moved of 1 SAE: not measured (only JumpReLU has thresholds)" in text
    assert "mixed: 90 training vectors, 30 held-out" in text


@pytest.mark.parametrize(
    ("outcomes", "beginning"),
    [
        ((), "NOTHING CHECKED"),
        ((PASSED,), "PASSED: 1 check on 1 SAE passed, tier static; next: release render x.yaml"),
        (
            (PASSED, outcome("C012", "warned")),
            "PASSED: 1 of 2 checks on 1 SAE passed, 1 warned, tier",
        ),
        ((PASSED, outcome("C002", "crashed")), "FAILED: 1 of 2 checks"),
        (
            (PASSED, outcome("C002", "skipped", found="no torch")),
            "INCOMPLETE: no failure in 1 check on 1 SAE, but 1 required check was skipped;",
        ),
        ((outcome("C002", "skipped", found="no torch"),), "INCOMPLETE"),
        ((PASSED, outcome("C002", "skipped", found="x", required=False)), "PASSED"),
        ((outcome("C002", "skipped", found="x", required=False),), "NOTHING CHECKED"),
        # A note passes: 2 of 2. It asks nothing of anybody, so nothing else is said of it.
        ((PASSED, outcome("N210", "noted")), "PASSED: 2 checks on 1 SAE passed, tier static"),
    ],
)
def test_the_closing_sentence_says_what_was_decided(
    outcomes: tuple[Outcome, ...], beginning: str
) -> None:
    assert closing_sentence(report_of(*outcomes), next_command=NEXT).startswith(beginning)


@pytest.mark.parametrize(
    ("outcomes", "code"),
    [
        ((), 3),
        ((PASSED,), 0),
        ((PASSED, FAILED), 1),
        ((PASSED, outcome("C002", "crashed")), 1),
        ((PASSED, outcome("C002", "skipped")), 3),
        ((outcome("C002", "skipped", required=False),), 3),
        ((PASSED, outcome("C002", "skipped", required=False)), 0),
        ((FAILED, outcome("C002", "skipped")), 1),
        ((outcome("C002", "warned"), outcome("C003", "noted")), 0),
        ((PASSED, ACCEPTED), 0),
        ((ACCEPTED, FAILED), 1),
        ((ACCEPTED, outcome("C002", "skipped")), 3),
    ],
)
def test_the_exit_code_follows_from_the_outcomes(outcomes: tuple[Outcome, ...], code: int) -> None:
    checks = report_of(*outcomes).checks
    assert checks is not None
    assert checks.exit_code == code


def test_skipped_checks_are_told_by_reason() -> None:
    gap = {"found": "the completions are not published", "next_step": "name the manifest"}
    text = report_text(
        report_of(PASSED, *(outcome(code, "skipped", **gap) for code in ("H201", "N201", "N202")))
    )
    assert "skipped 3 checks (H201, N201, N202)\n     why: the completions are not" in text
    assert text.count("the completions are not published") == 1


def test_a_file_cannot_steer_the_terminal_nor_break_a_console_of_windows() -> None:
    hostile = outcome("C004", "failed", found="architecture is \x1b[2J\u4e2d [bold]x[/bold]")
    text = report_text(report_of(hostile), encoding="cp1252")
    assert "\x1b" not in text
    assert "\\x1b[2J\\u4e2d [bold]x[/bold]" in text
    assert text.encode("cp1252")


def test_colour_is_written_only_where_it_was_asked_for() -> None:
    assert "\x1b[" not in report_text(report_of(FAILED))
    assert "\x1b[31m" in report_text(report_of(FAILED), colour=True)
