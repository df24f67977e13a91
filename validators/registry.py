"""All checks, in the order of their codes, and of their prerequisites."""

from __future__ import annotations

from functools import cache
from types import ModuleType

from manifests.digests import json_sha256
from manifests.errors import UsageError
from manifests.nearest import did_you_mean
from validators.check import FAMILIES, Check
from validators.checks import (
    alternatives,
    claims,
    config,
    config_architecture,
    config_folder,
    config_keys,
    config_legacy,
    config_private,
    files,
    formats,
    hooks,
    hooks_load,
    hooks_names,
    loading,
    loading_hub,
    model_level,
    numbers,
    prose,
    readme_names,
    readme_numbers,
    readme_page,
    safety,
    snippets,
    weights,
    weights_alignment,
    weights_static,
    weights_thresholds,
)
from validators.report import Tier

TIERS: tuple[Tier, ...] = ("static", "load", "activations")

_MODULES: tuple[ModuleType, ...] = (
    files,
    formats,
    safety,
    config,
    config_architecture,
    config_folder,
    config_keys,
    config_legacy,
    config_private,
    hooks,
    hooks_load,
    hooks_names,
    weights_static,
    weights,
    weights_alignment,
    weights_thresholds,
    loading,
    loading_hub,
    snippets,
    readme_names,
    readme_numbers,
    readme_page,
    numbers,
    model_level,
    alternatives,
    claims,
    prose,
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


@cache
def checks_digest() -> str:
    """Names the set of checks: a report made by other checks says nothing about these."""
    return json_sha256(
        [[c.code, c.title, c.tier, c.severity, sorted(c.requires), c.page] for c in all_checks()]
    )


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
        meant = did_you_mean(code, by_code, n=3, cutoff=0.5)
        lists_all = "`release explain` without a code lists all checks"
        raise UsageError(
            f"no check has the code {code!r}",
            expected="a family's letter and three digits, such as W102",
            next_step=f"{meant} {lists_all}" if meant else lists_all,
        ) from None
