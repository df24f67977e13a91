"""What `release explain` prints: one check's page, or a list of checks."""

from __future__ import annotations

import re
from functools import cache

from validators.check import FAMILIES, Check
from validators.presenting.wrapping import wrapped
from validators.registry import all_checks, find_check

_SEE = re.compile(r"\bsee ([A-Z]\d{3}(?:(?:, | and | or )[A-Z]\d{3})*)")
_CODE = re.compile(r"\b[A-Z]\d{3}\b")
_LIST_ITEM = re.compile(r"^\s*[-*] ")


def explain(code: str = "", *, width: int = 80) -> str:
    """One check's page, or, for a prefix or nothing, the checks that it fits.

    Raises:
        UsageError: no check has this code or prefix.
    """
    fitting = [check for check in all_checks() if check.code.startswith(code.upper())]
    if len(code) >= len("W103") or not fitting:
        return page(find_check(code), width=width)
    return listing(fitting, width=width)


def page(check: Check, *, width: int = 80) -> str:
    """Title, what the check needs and amounts to, its text, and the checks that it mentions."""
    applies = ", ".join(check.architectures) if check.architectures else "all architectures"
    asked_of = "every SAE" if check.subject == "sae" else "the repository"
    facts = [
        ("family", FAMILIES[check.code[0]]),
        ("tier", check.tier),
        ("severity", check.severity),
        ("asked of", f"{asked_of}; {applies}"),
    ]
    if check.requires:
        facts.append(("after", ", ".join(check.requires)))
    if check.needs_manifest:
        facts.append(("needs", "a manifest"))
    lines = wrapped(check.title, width=width, first=f"{check.code}  ", rest=" " * 6)
    lines.append("")
    for name, fact in facts:
        lines += wrapped(fact, width=width, first=f"{name:<10}", rest=" " * 10)
    for paragraph in check.page.split("\n\n"):
        lines += ["", *_paragraph(paragraph, width)]
    mentioned = [*check.requires, *_CODE.findall(check.page)]
    titles = _titles()
    others = sorted({code for code in mentioned if code in titles and code != check.code})
    if others:
        lines += ["", "Checks named here:"]
        for code in others:
            lines += wrapped(titles[code], width=width, first=f"  {code}  ", rest=" " * 8)
    return "\n".join(lines)


def listing(checks: list[Check], *, width: int = 80) -> str:
    """Checks by family, each with its tier, its severity and what it asks."""
    lines: list[str] = []
    for family, name in FAMILIES.items():
        own = [check for check in checks if check.code[0] == family]
        if own:
            lines += ["", f"{family}  {name}"]
        for check in own:
            first = f"  {check.code}  {check.tier:<11}  {check.severity:<4}  "
            lines += wrapped(check.title, width=width, first=first, rest=" " * len(first))
    count = f"{len(checks)} check{'s' * (len(checks) != 1)}; `release explain {checks[0].code}` "
    return "\n".join([*lines[1:], "", *wrapped(f"{count}prints one's page.", width=width)])


def with_titles(text: str) -> str:
    """The text, where `see C006` says what C006 is about."""
    titles = _titles()

    def titled(code: re.Match[str]) -> str:
        title = titles.get(code.group())
        return f"{code.group()} ({title})" if title else code.group()

    return _SEE.sub(lambda match: f"see {_CODE.sub(titled, match.group(1))}", text)


@cache
def _titles() -> dict[str, str]:
    return {check.code: check.title for check in all_checks()}


def _paragraph(text: str, width: int) -> list[str]:
    """A paragraph filled anew; what is indented or a list stays as it is."""
    rows = text.splitlines()
    if any(row.startswith("    ") or _LIST_ITEM.match(row) for row in rows):
        return rows
    return wrapped(" ".join(row.strip() for row in rows), width=width)
