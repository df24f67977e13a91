"""A report as SARIF 2.1.0, for code scanning.

One rule for each check, one result for each problem. A failure that a local manifest accepts is a
suppressed result. Passed and skipped checks are no results; a required one that was skipped is a
notification of the run, which then was not successful.

Source: Static Analysis Results Interchange Format 2.1.0, OASIS Standard incorporating Errata 01.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any
from urllib.parse import quote

from validators.presenting.closing import closing_sentence
from validators.presenting.findings import headline
from validators.presenting.outcome_files import file_of
from validators.presenting.printable import bounded, printable
from validators.registry import all_checks
from validators.report import Outcome, Report

_SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
_FINGERPRINT = "saeReleaseOutcome/v1"
_LEVELS = {
    "failed": "error",
    "crashed": "error",
    "accepted": "error",
    "warned": "warning",
    "noted": "note",
}
_BY_SEVERITY = {"fail": "error", "warn": "warning", "note": "note"}


def sarif_text(report: Report) -> str:
    """The report as a SARIF log with one run, as indented JSON that ends with a line break."""
    outcomes = report.checks.outcomes if report.checks else ()
    told = [outcome for outcome in outcomes if outcome.outcome in _LEVELS]
    rules = _rules(outcomes)
    index = {rule["id"]: position for position, rule in enumerate(rules)}
    exit_code = report.checks.exit_code if report.checks else 3
    run = {
        "tool": {
            "driver": {
                "name": "sae-release",
                "version": report.tool_version,
                "rules": rules,
            }
        },
        "automationDetails": {"id": f"sae-release/{_uri(report.repo_id or 'repository')}/"},
        "columnKind": "unicodeCodePoints",
        "invocations": [
            {
                "executionSuccessful": exit_code in (0, 1) and not _n_crashed(outcomes),
                "exitCode": exit_code,
                "exitCodeDescription": closing_sentence(report, next_command="use it"),
                "toolExecutionNotifications": _gaps(outcomes, index),
            }
        ],
        "results": [_result(outcome, index, report.repo_id) for outcome in told],
    }
    log = {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}
    return json.dumps(log, indent=2, ensure_ascii=True) + "\n"


def _rules(outcomes: tuple[Outcome, ...]) -> list[dict[str, Any]]:
    """One for each code that was asked; its page where this version has the check."""
    checks = {check.code: check for check in all_checks()}
    titles = {outcome.code: outcome.title for outcome in outcomes}
    rules: list[dict[str, Any]] = []
    for code in sorted(titles):
        rule: dict[str, Any] = {"id": code, "shortDescription": {"text": printable(titles[code])}}
        check = checks.get(code)
        if check is not None:
            rule["fullDescription"] = {"text": " ".join(check.page.split("\n\n")[0].split())}
            rule["help"] = {"text": check.page, "markdown": check.page}
            rule["defaultConfiguration"] = {"level": _BY_SEVERITY[check.severity]}
            rule["properties"] = {"tags": ["sae", check.tier]}
        rules.append(rule)
    return rules


def _result(outcome: Outcome, index: dict[str, int], repo_id: str | None) -> dict[str, Any]:
    name = outcome.subject or repo_id or "repository"
    result: dict[str, Any] = {
        "ruleId": outcome.code,
        "ruleIndex": index[outcome.code],
        "level": _LEVELS[outcome.outcome],
        "message": {"text": message_of(outcome)},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": _uri(file_of(outcome))},
                    "region": {"startLine": 1},
                },
                "logicalLocations": [
                    {
                        "name": printable(name),
                        "fullyQualifiedName": printable(name),
                        "kind": "module" if outcome.subject else "package",
                    }
                ],
            }
        ],
        "partialFingerprints": {_FINGERPRINT: fingerprint(outcome)},
    }
    if outcome.acceptance is not None:
        since, why = outcome.acceptance.since, outcome.acceptance.why
        said = f"accepted since {since}: {printable(why)}"
        result["suppressions"] = [{"kind": "external", "status": "accepted", "justification": said}]
    return result


def message_of(outcome: Outcome) -> str:
    """What was found, expected and to be done; of a crash its last line, which names no path."""
    found = outcome.found or outcome.title
    if outcome.outcome == "crashed":
        found = f"the check crashed: {headline(outcome)}"
    parts = [
        f"{label}{bounded(printable(text), 2000)}"
        for label, text in (
            ("", found),
            ("expected: ", outcome.expected),
            ("next: ", outcome.next_step),
        )
        if text
    ]
    # What looks like a link is one, in a SARIF message.
    return "\n".join(parts).replace("](", "] (")


def fingerprint(outcome: Outcome) -> str:
    """The same for one check on one SAE from run to run, whatever numbers were found."""
    named = f"{outcome.code}\0{outcome.subject}"
    return hashlib.sha256(named.encode("utf-8", "backslashreplace")).hexdigest()


def _gaps(outcomes: tuple[Outcome, ...], index: dict[str, int]) -> list[dict[str, Any]]:
    return [
        {
            "level": "warning",
            "message": {
                "text": f"skipped on {outcome.subject or 'the repository'}: {message_of(outcome)}"
            },
            "associatedRule": {"id": outcome.code, "index": index[outcome.code]},
        }
        for outcome in outcomes
        if outcome.outcome == "skipped" and outcome.required
    ]


def _n_crashed(outcomes: tuple[Outcome, ...]) -> int:
    return sum(outcome.outcome == "crashed" for outcome in outcomes)


def _uri(path: str) -> str:
    """A relative URI; a colon would make its first part a scheme, `//` a host."""
    return quote(path.lstrip("/"), safe="/", errors="backslashreplace")
