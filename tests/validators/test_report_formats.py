"""JUnit, SARIF, annotations, Markdown: valid, complete, and no text gets out of its place."""

from __future__ import annotations

import datetime
import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from validators.presenting.github_annotations import command, github_text
from validators.presenting.junit import junit_text
from validators.presenting.markdown_summary import markdown_text
from validators.presenting.outcome_files import file_of
from validators.presenting.sarif import fingerprint, sarif_text
from validators.registry import all_checks
from validators.report import Acceptance, Checks, Outcome, Report

# The schema of OASIS, as errata 01 of SARIF 2.1.0 publishes it.
SCHEMA = json.loads((Path(__file__).parent / "sarif-schema-2.1.0.json").read_text(encoding="utf-8"))
HOSTILE = (
    "a%0A::error::x,y:z\r\n::set-env name=A::b\x1b[2J\x00\ufffe ](http://e.vil) <img src=x>|`@me"
)


def outcome(code: str, kind: Any, subject: str = "sae_a", **fields: Any) -> Outcome:
    severity = {"warned": "warn", "noted": "note"}.get(kind, "fail")
    fields.setdefault("title", f"{code} is right")
    return Outcome(
        code=code, tier="static", severity=severity, outcome=kind, subject=subject, **fields
    )


def report_of(*outcomes: Outcome, repo_id: str | None = "owner/name") -> Report:
    return Report(
        tool_version="1.2.3",
        repo_id=repo_id,
        manifest_digest=None,
        checks=Checks(inputs={}, tiers=("static",), environment={}, outcomes=outcomes),
    )


ACCEPTED = Acceptance(since=datetime.date(2026, 1, 2), why="as published")
ONE_OF_EACH = report_of(
    outcome("F001", "passed", ""),
    outcome("F006", "failed", "", found="pickled: x.pt", expected="none", next_step="convert"),
    outcome("M001", "warned", "", found="claim"),
    outcome("C006", "failed", found="k is missing", next_step="write k"),
    outcome("C001", "crashed", found="Traceback\n  File \"/srv/x.py\", line 1\nKeyError: 'k'"),
    outcome("W103", "accepted", found="all 0", acceptance=ACCEPTED),
    outcome("C020", "noted", found="cuda"),
    outcome("L101", "skipped", found="no torch", next_step="install it"),
    outcome("N210", "skipped", found="no baseline", required=False),
    outcome("W101", "passed", "sae_b"),
)
EMPTY = report_of()
NOT_CHECKED = EMPTY.model_copy(update={"checks": None})
HOSTILE_REPORT = report_of(
    outcome("C006", "failed", HOSTILE, found=HOSTILE, expected=HOSTILE, next_step=HOSTILE),
    outcome("C007", "warned", "../../etc", found=HOSTILE, title=HOSTILE),
    outcome("C008", "crashed", "/abs//x", found=HOSTILE),
    outcome("C009", "skipped", "C:\\x", found=HOSTILE),
    outcome("C010", "accepted", "\ud800", found=HOSTILE,
        acceptance=Acceptance(since=ACCEPTED.since, why=HOSTILE)),
    repo_id=HOSTILE,
)  # fmt: skip
ALL = (ONE_OF_EACH, EMPTY, NOT_CHECKED, HOSTILE_REPORT)


def run_of(report: Report) -> dict[str, Any]:
    run: dict[str, Any] = json.loads(sarif_text(report))["runs"][0]
    return run


def test_the_schema_of_sarif_refuses_what_is_none() -> None:
    validator = jsonschema.Draft4Validator(SCHEMA)
    assert not validator.is_valid({"version": "2.1.0"})
    log = json.loads(sarif_text(ONE_OF_EACH))
    log["runs"][0]["results"][0]["level"] = "bad"
    assert not validator.is_valid(log)


@pytest.mark.parametrize("report", ALL)
def test_sarif_is_valid_against_the_schema_of_oasis(report: Report) -> None:
    log = json.loads(sarif_text(report))
    errors = [e.message for e in jsonschema.Draft4Validator(SCHEMA).iter_errors(log)]
    assert errors == []
    for result in log["runs"][0]["results"]:
        uri = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
        assert re.fullmatch(r"[A-Za-z0-9_.~%/-]+", uri), "a relative URI without a scheme"
        assert not uri.startswith("/")
        rule = log["runs"][0]["tool"]["driver"]["rules"][result["ruleIndex"]]
        assert rule["id"] == result["ruleId"]


def test_sarif_has_a_result_for_each_problem_beside_its_file() -> None:
    results = run_of(ONE_OF_EACH)["results"]
    told = [
        (
            r["ruleId"],
            r["level"],
            r["locations"][0]["physicalLocation"]["artifactLocation"]["uri"],
            r["locations"][0]["logicalLocations"][0]["name"],
        )
        for r in results
    ]
    assert told == [
        ("F006", "error", "README.md", "owner/name"),
        ("M001", "warning", "manifest.json", "owner/name"),
        ("C006", "error", "sae_a/cfg.json", "sae_a"),
        ("C001", "error", "sae_a/cfg.json", "sae_a"),
        ("W103", "error", "sae_a/sae_weights.safetensors", "sae_a"),
        ("C020", "note", "sae_a/cfg.json", "sae_a"),
    ]
    suppressed = {r["ruleId"]: r["suppressions"] for r in results if "suppressions" in r}
    assert suppressed == {
        "W103": [
            {
                "kind": "external",
                "status": "accepted",
                "justification": "accepted since 2026-01-02: as published",
            }
        ]
    }


def test_sarif_explains_each_rule_by_the_checks_own_page() -> None:
    pages = {check.code: check.page for check in all_checks()}
    rules = run_of(ONE_OF_EACH)["tool"]["driver"]["rules"]
    codes = [rule["id"] for rule in rules]
    assert codes == sorted({o.code for o in ONE_OF_EACH.checks.outcomes})  # type: ignore[union-attr]
    assert all(rule["help"]["text"] == pages[rule["id"]] for rule in rules if rule["id"] in pages)


def test_sarif_tells_gaps_and_crashes_and_names_no_absolute_path() -> None:
    run = run_of(ONE_OF_EACH)
    invocation = run["invocations"][0]
    assert (invocation["executionSuccessful"], invocation["exitCode"]) == (False, 1)
    notifications = invocation["toolExecutionNotifications"]
    assert [n["associatedRule"]["id"] for n in notifications] == ["L101"]
    assert "no torch" in notifications[0]["message"]["text"]
    assert "/srv" not in sarif_text(ONE_OF_EACH)
    assert run_of(EMPTY)["invocations"][0]["executionSuccessful"] is False
    good = run_of(report_of(outcome("C001", "passed")))["invocations"][0]
    assert (good["executionSuccessful"], good["exitCode"]) == (True, 0)


def test_a_fingerprint_outlives_other_numbers_and_tells_saes_apart() -> None:
    first = outcome("C006", "failed", found="k is 1")
    assert fingerprint(first) == fingerprint(outcome("C006", "warned", found="k is 2"))
    assert fingerprint(first) != fingerprint(outcome("C006", "failed", "sae_b"))
    assert fingerprint(first) != fingerprint(outcome("C007", "failed"))
    # printf 'C006\0sae_a' | sha256sum
    assert fingerprint(first)[:16] == "c5f09792f1eb47ac"


def test_a_message_of_sarif_holds_no_link_of_a_stranger() -> None:
    messages = [result["message"]["text"] for result in run_of(HOSTILE_REPORT)["results"]]
    assert len(messages) == 4
    assert all("e.vil" in message and "](" not in message for message in messages)


def test_the_file_of_an_sae_at_the_root_is_at_the_root() -> None:
    assert file_of(outcome("C006", "failed", ".")) == "cfg.json"
    assert file_of(outcome("N204", "failed", "x/y")) == "x/y/sae_weights.safetensors"
    assert file_of(outcome("R001", "failed", "x")) == "README.md"


def test_junit_has_a_suite_for_the_repository_and_for_each_sae() -> None:
    root = ET.fromstring(junit_text(ONE_OF_EACH))
    assert [suite.get("name") for suite in root] == ["(the repository)", "sae_a", "sae_b"]
    counts = {key: root.get(key) for key in ("tests", "failures", "errors", "skipped")}
    # 10 outcomes; failed: F006, C006; crashed: C001; skipped: L101, N210 and the accepted W103
    assert counts == {"tests": "10", "failures": "2", "errors": "1", "skipped": "3"}
    ends = {
        case.get("name", "").split()[0]: [child.tag for child in case]
        for case in root.iter("testcase")
    }
    assert ends == {
        "F001": [],
        "F006": ["failure"],
        "M001": ["system-out"],
        "C006": ["failure"],
        "C001": ["error"],
        "W103": ["skipped"],
        "C020": ["system-out"],
        "L101": ["skipped"],
        "N210": ["skipped"],
        "W101": [],
    }
    message = {case.get("name", "").split()[0]: case for case in root.iter("testcase")}
    assert message["W103"][0].get("message") == "accepted since 2026-01-02: as published"
    assert message["N210"][0].get("message") == "not required: no baseline"
    assert message["C001"][0].get("message") == "KeyError: 'k'"
    assert message["C006"][0].text == "k is missing\nnext: write k"


@pytest.mark.parametrize("report", ALL)
def test_junit_can_be_parsed_whatever_a_repository_holds(report: Report) -> None:
    text = junit_text(report)
    root = ET.fromstring(text.encode("utf-8"))
    n = len(report.checks.outcomes) if report.checks else 0
    assert len(list(root.iter("testcase"))) == n
    assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f]", text)


@given(st.text(st.characters(), max_size=40))
def test_no_text_breaks_out_of_a_format(text: str) -> None:
    report = report_of(
        outcome("C006", "failed", text or "x", found=text, next_step=text, title=text),
        outcome("C007", "crashed", text or "x", found=text),
        repo_id=text,
    )
    root = ET.fromstring(junit_text(report).encode("utf-8"))
    assert len(list(root.iter("testcase"))) == 2
    assert len(run_of(report)["results"]) == 2
    annotations = github_text(report)
    # Two findings and what was decided.
    assert len(annotations.splitlines()) == 3
    assert markdown_text(report).count("\n| C00") == 2
    for one in (annotations, markdown_text(report), sarif_text(report)):
        assert one.isascii() or one.encode("utf-8")


def test_annotations_escape_what_could_end_or_begin_a_command() -> None:
    assert command("error", "50% a\r\nb", file="x,y:z%\n.json", title="t::u") == (
        "::error file=x%2Cy%3Az%25%0A.json,title=t%3A%3Au::50%25 a\\r%0Ab"
    )
    for line in github_text(HOSTILE_REPORT).splitlines():
        parsed = re.fullmatch(
            r"::(error|warning|notice) (file=[^,:]+,)?title=[^,:]+::[^\n\r\x00-\x1f]*", line
        )
        assert parsed, line


def test_annotations_are_one_for_each_finding_failures_first() -> None:
    many = [outcome("C006", "failed", f"sae_{i}", found="k is missing") for i in range(54)]
    lines = github_text(report_of(outcome("C012", "warned", found="path"), *many)).splitlines()
    assert [line.split()[0] for line in lines] == ["::error", "::warning", "::error"]
    assert lines[0].startswith("::error file=sae_0/cfg.json,title=C006 failed%3A C006 is right::")
    assert "%0Aon 54 SAEs: sae_0, sae_1," in lines[0]
    assert lines[0].endswith("sae_7 and 46 more")
    assert "FAILED: 54 of 55 checks" in lines[-1]
    good = github_text(report_of(outcome("C001", "passed"))).splitlines()
    assert good == [
        "::notice title=release validate::PASSED: 1 check on 1 SAE passed, tier static; "
        "next: use it"
    ]
    gap = github_text(ONE_OF_EACH)
    assert "::warning title=release validate%3A skipped::1 required checks were skipped" in gap


def test_markdown_shows_text_as_it_is_and_in_one_row_each() -> None:
    text = markdown_text(ONE_OF_EACH)
    assert "| 3 | 1 | 3 | 1 | 1 |" in text
    assert "| C006 | failed | sae\\_a | k is missing | write k |" in text
    assert text.index("| F006 | failed") < text.index("| M001 | warning") < text.index("| C020")
    assert "accepted since 2026\\-01\\-02\\: as published" in text
    hostile = markdown_text(HOSTILE_REPORT)
    rows = [line for line in hostile.splitlines() if line.startswith("| C0")]
    assert len(rows) == 5
    for row in rows:
        # Five cells: six bars that are not escaped.
        assert len(re.findall(r"(?<!\\)\|", row)) == 6
        assert "<" not in row
        assert not re.search(r"(?<!\\)[`\[\]@]", row)


def test_markdown_leaves_out_what_a_summary_cannot_hold_and_says_so() -> None:
    report = report_of(
        *(outcome(f"C{i:03d}", "failed", f"sae_{i}", found="é" * 290) for i in range(900))
    )
    text = markdown_text(report, max_bytes=50_000)
    assert len(text.encode("utf-8")) <= 50_000
    rows = len(re.findall(r"(?m)^\| C\d{3} \| failed \|", text))
    assert 50 < rows < 900
    assert f"{900 - rows} more rows are left out" in text
    assert len(markdown_text(report).encode("utf-8")) <= 1024 * 1024
