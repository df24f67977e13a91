"""A report of many SAEs fits a screen, and nothing that a reader would copy is broken."""

from __future__ import annotations

import ast
import datetime
import re
from pathlib import Path
from typing import Any

import pytest

from validators import mending
from validators.mendable import mendable_codes
from validators.presenting.findings import findings
from validators.presenting.pages import explain, with_titles
from validators.presenting.present import report_text
from validators.presenting.printable import bounded, no_command, printable
from validators.presenting.tables import laid_out
from validators.presenting.tally import tally
from validators.presenting.wrapping import wrapped
from validators.registry import all_checks
from validators.report import (
    Acceptance,
    Checks,
    Measurement,
    Measurements,
    Outcome,
    Report,
)

CODE = re.compile(r"[A-Z]\d{3}")
N_SAES, N_CHECKS = 54, 31
SAES = tuple(f"smollm2_topk_L{i:02d}_deceptive_only" for i in range(N_SAES))


def outcome(code: str, kind: Any, subject: str, **fields: Any) -> Outcome:
    severity = {"warned": "warn", "noted": "note"}.get(kind, "fail")
    fields.setdefault("title", f"{code} is right")
    return Outcome(
        code=code, tier="static", severity=severity, outcome=kind, subject=subject, **fields
    )


def passed(subject: str, n: int = N_CHECKS) -> list[Outcome]:
    return [outcome(f"C{i:03d}", "passed", subject) for i in range(n)]


def report_of(outcomes: list[Outcome], measurements: Measurements | None = None) -> Report:
    return Report(
        tool_version="0",
        repo_id="a/b",
        manifest_digest=None,
        checks=Checks(inputs={}, tiers=("static",), environment={}, outcomes=tuple(outcomes)),
        measurements=measurements,
    )


def problem(code: str, subject: str, kind: str = "failed", **fields: Any) -> Outcome:
    told = {"found": f"{len(subject)} is broken", "expected": "nothing", "next_step": "mend it"}
    return outcome(code, kind, subject, **(told | fields))


def everywhere(code: str, kind: str = "failed", **fields: Any) -> list[Outcome]:
    return [problem(code, sae, kind, **fields) for sae in SAES]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("the same in each", everywhere("C900")),
        ("another number in each", [problem("C900", s, found=f"{i}") for i, s in enumerate(SAES)]),
        ("expected differs too", [problem("C900", s, expected=s) for s in SAES]),
        ("next step differs too", [problem("C900", s, next_step=f"edit {s}") for s in SAES]),
        ("a check for each", [problem(f"C9{i:02d}", s) for i, s in enumerate(SAES[:25])]),
        ("eight checks", [problem(f"C90{i % 8}", s) for i, s in enumerate(SAES)]),
        ("three kinds", everywhere("C900") + everywhere("C901", "warned")
            + everywhere("C902", "noted")),
        ("a long text in each", everywhere("C900", found="word " * 5000)),
        ("a text of many lines in each", everywhere("C900", found="line\n" * 500)),
        ("a crash in each", everywhere("C900", "crashed", found='File "x.py", line 1, in f\n' * 40
            + "KeyError: 'k'")),
        ("skipped after it", everywhere("C900") + [outcome("C950", "skipped", sae,
            found="C900 (C900 is right) failed") for sae in SAES]),
    ],
)  # fmt: skip
def test_one_defect_in_each_of_54_saes_fits_a_screen(name: str, found: list[Outcome]) -> None:
    outcomes = [o for sae in SAES for o in passed(sae)] + found
    lines = report_text(report_of(outcomes)).splitlines()
    assert len(lines) <= 40, f"{name}: {len(lines)} lines"
    assert lines[-2].startswith("FAILED: ") or lines[-1].startswith("FAILED: ")
    assert "54 SAEs" in lines[0] or "more" in "".join(lines)
    assert max(map(len, lines)) <= 80, name


def test_saes_that_are_alike_are_one_sentence() -> None:
    text = report_text(report_of([*passed("", 7), *(o for sae in SAES for o in passed(sae))]))
    assert text.startswith("54 SAEs: 31 checks passed each\nthe repository: 7 checks passed\n\n")
    # 54 SAEs x 31 + 7 = 1681
    assert "PASSED: 1681 checks on 54 SAEs passed, tier static; next:" in text


def test_of_many_saes_those_that_differ_are_listed_after_the_others() -> None:
    outcomes = [o for sae in SAES for o in passed(sae)] + [problem("C900", SAES[5])]
    table = report_text(report_of(outcomes)).split("\n\n")[0].splitlines()
    assert table == [
        "SAE                                         passed failed",
        "smollm2_topk_L00_deceptive_only and 52 more     31      0",
        "smollm2_topk_L05_deceptive_only                 31      1",
    ]


def test_what_differs_is_told_for_the_first_saes_and_counted() -> None:
    found = [problem("C900", sae, found=f"k is {i}") for i, sae in enumerate(SAES)]
    text = report_text(report_of(found))
    assert "C900 failed on 54 SAEs; asked is that C900 is right\n" in text
    assert "     smollm2_topk_L03_deceptive_only: k is 3\n     ... and 50 more; --format" in text
    assert text.count("     expected: nothing\n     next: mend it\n") == 1


def measured(value: float | None, reason: str | None = None) -> Measurement:
    return Measurement(value=value, n=10, split="held_out", reason=reason)


def test_of_many_measured_saes_the_range_and_the_failed_ones_are_shown() -> None:
    metrics = {
        sae: {"explained_variance": measured(i / 100), "kl": measured(None, "no model")}
        for i, sae in enumerate(SAES)
    }
    measurements = Measurements(
        inputs={}, environment={}, n_vectors={"text": {"held_out": 10}}, saes=metrics
    )
    text = report_text(report_of([problem("N204", SAES[7])], measurements))
    # 0/100 to 53/100; the lower one of the two in the middle is 26/100
    assert text.splitlines()[:5] == [
        "SAE                                EV KL",
        "lowest of 54 SAEs                   0  -",
        "median of 54 SAEs               0.260  -",
        "highest of 54 SAEs              0.530  -",
        "smollm2_topk_L07_deceptive_only 0.070  -",
    ]
    assert "KL of 54 SAEs: not measured (no model)" in text
    assert "text: 10 held-out" in text
    assert "L0:" not in text


def test_a_metric_that_one_sae_lacks_is_a_dash_there() -> None:
    metrics = {"a": {"l0": measured(4.0), "ce_recovered": measured(0.5)}, "b": {}}
    measurements = Measurements(inputs={}, environment={}, n_vectors={}, saes=metrics)
    lines = report_text(report_of(passed("a"), measurements)).splitlines()
    assert [line.split() for line in lines[:3]] == [
        ["SAE", "CE", "L0"],
        ["a", "0.500", "4.0"],
        ["b", "-", "-"],
    ]


def test_an_id_that_leaves_no_room_has_a_line_of_its_own() -> None:
    long = "x" * 69
    lines = laid_out(("SAE", "EV", "L0"), [(long, "0.812", "64.0"), ("b", "0.5", "1")], width=70)
    assert lines == ["SAE    EV   L0", long, "    0.812 64.0", "b     0.5    1"]


@pytest.mark.parametrize("width", [20, 40, 60, 80, 120])
def test_commands_paths_and_ids_are_never_broken(width: int) -> None:
    command = "`release validate owner/name-of-the-repository --tier activations --only '*L1*'`"
    plain = "release retrain manifests/x.yaml --only smollm2_jumprelu_L18"
    text = (
        f"mend it and run {command}, or {plain}, and look at a/long/path/to/sae_weights.safetensors"
    )
    lines = wrapped(text, width=width, first="     next: ", rest="       ")
    for whole in (command, plain, "a/long/path/to/sae_weights.safetensors"):
        assert sum(whole in line for line in lines) == 1, whole
    for line in lines:
        assert (
            len(line) <= width
            or len(line.split("`")) == 3
            or " " not in line.strip()
            or (plain in line)
        )
    assert [word for line in lines for word in line.split()] == ["next:", *text.split()]
    assert all(line.startswith("       ") for line in lines[1:])


def test_a_hostile_text_neither_steers_a_terminal_nor_a_workflow() -> None:
    hostile = "x\n::error::owned\n##[group]y \x1b[2J\u202e" + " ::set-env name=A::b" * 8
    found = [problem("C900", "a\n::error::b", found=hostile, next_step=hostile, expected=hostile)]
    for width in (20, 21, 33, 80):
        text = report_text(report_of(found), width=width)
        assert not any(line.lstrip().startswith("::") for line in text.splitlines())
        assert "##[" not in text
        assert "\x1b" not in text
        assert "\u202e" not in text


def test_text_is_escaped_bounded_and_kept_apart_from_commands() -> None:
    assert printable("a\x00\nb\u2028") == "a\\x00\nb\\u2028"
    assert bounded("x" * 10, 4) == "xxxx ... (6 more characters)"
    assert bounded("x" * 4, 4) == "xxxx"
    assert no_command("  ::error::x") == r"  \x3a:error::x"
    assert no_command("a ##[error]x ::y") == r"a #\x23[error]x ::y"


def test_see_another_check_says_what_that_is_about() -> None:
    assert with_titles("see C006") == "see C006 (k is stated, as a positive integer)"
    assert with_titles("see C006 and X999") == (
        "see C006 (k is stated, as a positive integer) and X999"
    )
    text = report_text(report_of([problem("C900", "a", next_step="see C006")]))
    assert "next: see C006 (k is stated, as a positive integer)" in text


def test_a_mend_is_named_where_there_is_one() -> None:
    report = report_of([problem("C002", "a"), problem("C006", "a"), problem("N204", "a")])
    text = report_text(
        report, mendable=mendable_codes(report), mend_command="release validate x --fix"
    )
    assert text.count("     mend: `release validate x --fix` mends what is mechanical") == 1
    assert text.index("C002 failed") < text.index("mend: ") < text.index("C006 failed")
    by_manifest = report.model_copy(update={"manifest_digest": "0" * 64})
    assert "C006" in mendable_codes(by_manifest)
    assert mendable_codes(by_manifest) <= {check.code for check in all_checks()}


def test_the_codes_that_are_called_mendable_are_those_that_mending_changes() -> None:
    changed = set()
    for path in sorted(Path(mending.__file__).parent.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "draft.mended":
                changed |= {
                    leaf.value
                    for leaf in ast.walk(node.args[0])
                    if isinstance(leaf, ast.Constant) and CODE.fullmatch(str(leaf.value))
                }
    with_manifest = report_of([]).model_copy(update={"manifest_digest": "0" * 64})
    assert {"C002", "W003"} <= changed <= mendable_codes(with_manifest)


def test_every_outcome_is_counted_once() -> None:
    kinds = ("passed", "noted", "warned", "failed", "crashed", "skipped")
    outcomes = [outcome("C001", kind, "a", found="x") for kind in kinds]
    outcomes.append(outcome("C001", "skipped", "a", required=False))
    n = tally(outcomes)
    assert (n.passed, n.warned, n.failed, n.accepted, n.gaps, n.not_required) == (2, 1, 2, 0, 1, 1)
    # 2 passed + 1 warned + 2 failed + 0 accepted
    assert n.asked == 5


def test_findings_are_one_for_each_check() -> None:
    found = findings([*everywhere("C901"), *everywhere("C900")], "failed")
    assert [(f.code, len(f.outcomes), f.is_alike) for f in found] == [
        ("C900", 54, True),
        ("C901", 54, True),
    ]


def test_explain_lists_all_checks_by_family_with_tier_severity_and_title() -> None:
    text = explain()
    for check in all_checks():
        line = next(line for line in text.splitlines() if line.startswith(f"  {check.code}  "))
        assert line.split()[1:3] == [check.tier, check.severity]
        assert check.title.split()[0] in line
    assert text.index("F  files") < text.index("C  config") < text.index("W  weights")
    assert max(map(len, text.splitlines())) <= 80


def test_explain_lists_the_checks_of_a_prefix() -> None:
    codes = [line.split()[0] for line in explain("w1").splitlines() if line.startswith("  W")]
    assert codes == [check.code for check in all_checks() if check.code.startswith("W1")]
    assert "W  weights" in explain("W")


@pytest.mark.parametrize("width", [40, 80, 120])
def test_a_page_is_filled_to_the_width_and_names_the_checks_that_it_mentions(width: int) -> None:
    text = explain("n205", width=width)
    assert text.startswith("N205  k latents are active, never more\n")
    assert "C006  k is stated, as a positive" in text
    lines = text.splitlines()
    assert max(map(len, lines)) <= width
    words = next(check for check in all_checks() if check.code == "N205").page.split()
    assert " ".join(words) in " ".join(text.split())


def test_a_page_is_found_in_any_case_and_states_the_facts() -> None:
    text = explain("c006")
    assert text.startswith("C006  k is stated, as a positive integer\n")
    assert "asked of  every SAE; abstopk, topk" in text
    assert "after     C004" in text
    assert "SAELens takes k = 100" in text


def test_why_a_failure_is_accepted_is_told_on_a_full_screen_too() -> None:
    since, why = datetime.date(2026, 1, 2), "the weights are as they were published"
    accepted = everywhere("C899", "accepted", acceptance=Acceptance(since=since, why=why))
    crowd = [problem(f"C9{i:02d}", sae) for i, sae in enumerate(SAES[:20])]
    text = " ".join(report_text(report_of(accepted + crowd)).split())
    assert f"C899 accepted since 2026-01-02: {why} (" in text
    assert "on 54 SAEs)" in text
