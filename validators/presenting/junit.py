"""A report as JUnit XML, as continuous integration reads it.

One test suite for the repository and one for each SAE; a check is a test case. Failed checks are
failures, crashed ones errors; skipped checks and accepted failures are skipped, with the reason.
Warnings and notes pass, and are told in the case's output.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

from validators.presenting.findings import headline
from validators.report import Outcome, Report

# What XML 1.0 cannot hold, not even as a reference.
_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_REPOSITORY = "(the repository)"


def junit_text(report: Report) -> str:
    """The report as XML that ends with a line break."""
    outcomes = report.checks.outcomes if report.checks else ()
    by_subject: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        by_subject.setdefault(outcome.subject, []).append(outcome)
    name = report.repo_id or "repository"
    root = ET.Element("testsuites", {"name": _legal(f"sae-release validate {name}")})
    _count(root, outcomes)
    for subject, own in by_subject.items():
        suite = ET.SubElement(root, "testsuite", {"name": _legal(subject or _REPOSITORY)})
        _count(suite, own)
        for outcome in own:
            _add_case(suite, outcome)
    ET.indent(root)
    body = ET.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{body}\n'


def _count(element: ET.Element, outcomes: tuple[Outcome, ...] | list[Outcome]) -> None:
    kinds = [outcome.outcome for outcome in outcomes]
    element.set("tests", str(len(kinds)))
    element.set("failures", str(kinds.count("failed")))
    element.set("errors", str(kinds.count("crashed")))
    element.set("skipped", str(kinds.count("skipped") + kinds.count("accepted")))


def _add_case(suite: ET.Element, outcome: Outcome) -> None:
    case = ET.SubElement(
        suite,
        "testcase",
        {
            "classname": _legal(outcome.subject or _REPOSITORY),
            "name": _legal(f"{outcome.code} {outcome.title}"),
        },
    )
    message = _legal(headline(outcome))
    if outcome.outcome == "skipped":
        needed = "" if outcome.required else "not required: "
        ET.SubElement(case, "skipped", {"message": needed + message}).text = _details(outcome)
    elif outcome.outcome == "accepted":
        assert outcome.acceptance is not None
        since, why = outcome.acceptance.since, outcome.acceptance.why
        said = _legal(f"accepted since {since}: {why}")
        ET.SubElement(case, "skipped", {"message": said}).text = _details(outcome)
    elif outcome.outcome == "failed":
        attributes = {"message": message, "type": outcome.severity}
        ET.SubElement(case, "failure", attributes).text = _details(outcome)
    elif outcome.outcome == "crashed":
        attributes = {"message": message, "type": "crash"}
        ET.SubElement(case, "error", attributes).text = _details(outcome)
    elif outcome.outcome in ("warned", "noted"):
        ET.SubElement(case, "system-out").text = f"{outcome.outcome}: {_details(outcome)}"


def _details(outcome: Outcome) -> str:
    lines = [outcome.found]
    if outcome.expected:
        lines.append(f"expected: {outcome.expected}")
    if outcome.next_step:
        lines.append(f"next: {outcome.next_step}")
    return _legal("\n".join(lines))


def _legal(text: str) -> str:
    """The text with what XML cannot hold written as an escape, and lines ended alike."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _ILLEGAL.sub(lambda char: char.group().encode("unicode_escape").decode("ascii"), text)
