"""All checks, in the order of their codes, and the page of each."""

from __future__ import annotations

import difflib
from functools import cache
from types import ModuleType

from manifests.errors import UsageError
from validators.check import FAMILIES, Check
from validators.checks import (
    claims,
    config,
    files,
    hooks,
    loading,
    numbers,
    weights,
    weights_static,
)
from validators.report import Tier

TIERS: tuple[Tier, ...] = ("static", "load", "activations")

_MODULES: tuple[ModuleType, ...] = (
    files,
    config,
    hooks,
    weights_static,
    weights,
    loading,
    numbers,
    claims,
)


@cache
def all_checks() -> tuple[Check, ...]:
    """Every check, sorted by code; the same objects each time."""
    found = [value for module in _MODULES for value in vars(module).values()]
    checks = sorted((c for c in found if isinstance(c, Check)), key=lambda check: check.code)
    codes = [check.code for check in checks]
    assert len(set(codes)) == len(codes), "two checks have the same code"
    for check in checks:
        assert check.code[0] in FAMILIES, f"{check.code} is of no known family"
        assert set(check.requires) <= set(codes), f"{check.code} requires an unknown check"
    return tuple(checks)


def checks_up_to(tier: Tier) -> tuple[Check, ...]:
    """The checks of a tier and of those below it, each after the checks it requires."""
    wanted = TIERS[: TIERS.index(tier) + 1]
    chosen = {check.code: check for check in all_checks() if check.tier in wanted}
    ordered: dict[str, Check] = {}

    def place(check: Check, below: tuple[str, ...]) -> None:
        assert check.code not in below, f"{check.code} requires itself"
        for code in sorted(check.requires):
            place(chosen[code], (*below, check.code))
        ordered.setdefault(check.code, check)

    for check in chosen.values():
        place(check, ())
    return tuple(ordered.values())


def find_check(code: str) -> Check:
    """The check with a code, written in any case.

    Raises:
        UsageError: there is none.
    """
    by_code = {check.code: check for check in all_checks()}
    try:
        return by_code[code.upper()]
    except KeyError:
        near = difflib.get_close_matches(code.upper(), by_code, n=3, cutoff=0.5)
        raise UsageError(
            f"no check has the code {code!r}",
            expected=f"one of {', '.join(near or by_code)}",
            next_step="`release explain` without a code lists all checks",
        ) from None


def explain(code: str) -> str:
    """One check's page: title, what it needs and amounts to, then its text.

    Raises:
        UsageError: no check has this code.
    """
    check = find_check(code)
    applies = ", ".join(check.architectures) if check.architectures else "all architectures"
    facts = [
        f"{check.code}  {check.title}",
        "",
        f"family    {FAMILIES[check.code[0]]}",
        f"tier      {check.tier}",
        f"severity  {check.severity}",
        f"asked of  {'every SAE' if check.subject == 'sae' else 'the repository'}; {applies}",
    ]
    if check.requires:
        facts.append(f"after     {', '.join(check.requires)}")
    if check.needs_manifest:
        facts.append("needs     a manifest")
    return "\n".join([*facts, "", check.page])
