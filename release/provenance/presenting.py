"""A verification as one screen of text, or as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict

from release.provenance.builder import LOCAL_BUILDER
from release.provenance.verification import Verification
from validators.presenting.printable import name_of, one_line
from validators.presenting.wrapping import wrapped

_MOST_PROBLEMS = 5
_MOST_NAMES = 5
_WORDS = {"verified": "ok", "failed": "FAILED", "not checked": "not checked", "absent": "none"}


def verification_text(found: Verification, *, width: int = 80) -> str:
    """Every part, what was not covered, and one sentence; ends with a line break."""
    return "\n".join(_lines(found, width)) + "\n"


def verification_json(found: Verification) -> str:
    """The same as one JSON document."""
    statement = found.statement
    return json.dumps(
        {
            "format": "sae-release.verification/1",
            "location": found.location,
            "exit_code": found.exit_code,
            "findings": [asdict(finding) for finding in found.findings],
            "uncovered": list(found.uncovered),
            "builder": statement.predicate.run.builder.model_dump() if statement else None,
        },
        indent=2,
        ensure_ascii=False,
    )


def _lines(found: Verification, width: int) -> Iterator[str]:
    yield name_of(found.location)
    yield ""
    part_width = max(len(finding.part) for finding in found.findings)
    word_width = max(len(_WORDS[finding.state]) for finding in found.findings)
    for finding in found.findings:
        head = f"  {finding.part:<{part_width}}  {_WORDS[finding.state]:<{word_width}}  "
        text = one_line(finding.text)
        yield from wrapped(text, width=width, first=head, rest=" " * len(head))
        for problem in finding.problems[:_MOST_PROBLEMS]:
            yield from wrapped(one_line(problem), width=width, first="    - ", rest=" " * 6)
        if (more := len(finding.problems) - _MOST_PROBLEMS) > 0:
            yield f"    - ... and {more} more; --format json has all"
    yield ""
    for paragraph in (*_builder(found), *_uncovered(found), _sentence(found)):
        yield from wrapped(paragraph, width=width)


def _builder(found: Verification) -> Iterator[str]:
    if found.statement is None:
        return
    run = found.statement.predicate.run
    who = "somebody's own machine" if run.builder.id == LOCAL_BUILDER else name_of(run.builder.id)
    versions = ", ".join(f"{name} {version}" for name, version in run.builder.version.items())
    at = f" at {run.metadata.finished_on}" if run.metadata.finished_on else ""
    yield one_line(f"By its own word assembled on {who}{at}, with {versions}.")


def _uncovered(found: Verification) -> Iterator[str]:
    if found.statement is None or not found.uncovered:
        return
    shown = ", ".join(name_of(path) for path in found.uncovered[:_MOST_NAMES])
    more = len(found.uncovered) - _MOST_NAMES
    yield (
        f"Not verified, since the statement does not name them: {len(found.uncovered)} files "
        f"({shown}{f' and {more} more' if more > 0 else ''})."
    )


def _sentence(found: Verification) -> str:
    failed = [f.part for f in found.findings if f.state == "failed"]
    if failed:
        return f"Not verified: {', '.join(failed)} failed. Do not use these files."
    open_parts = [f.part for f in found.findings if f.state == "not checked"]
    if found.statement is None:
        return "Nothing was verified: the release has no provenance."
    if open_parts:
        return f"What was checked agrees; {', '.join(open_parts)} was not checked."
    if any(f.part == "model.sig" and f.state == "verified" for f in found.findings):
        return "Verified: the release is whole, and weights and configurations are signed."
    return "Verified: the release is whole and agrees with itself; nobody signed it."
