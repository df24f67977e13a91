"""Codes, pages and the order in which checks are asked."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from manifests.errors import UsageError
from validators.check import FAMILIES, Check, Passed
from validators.registry import TIERS, all_checks, checks_up_to, find_check


@pytest.mark.parametrize("check", all_checks(), ids=lambda check: check.code)
def test_a_check_has_a_code_a_title_and_a_page(check: Check) -> None:
    assert re.fullmatch(rf"[{''.join(FAMILIES)}]\d{{3}}", check.code)
    assert int(check.code[1]) == TIERS.index(check.tier), "the first digit tells the tier"
    assert len(check.title) < 72
    assert not check.title.endswith(".")
    for part in ("Example: ", "To mend it: "):
        assert part in check.page
    first_paragraph = check.page.split("\n\n")[0]
    assert len(first_paragraph) > 60, "the page says why it matters"


def test_a_check_is_asked_after_all_that_it_requires() -> None:
    for tier in TIERS:
        seen: set[str] = set()
        for check in checks_up_to(tier):
            assert set(check.requires) <= seen, check.code
            assert TIERS.index(check.tier) <= TIERS.index(tier)
            seen.add(check.code)


def test_what_a_check_requires_can_be_known_where_it_is_asked() -> None:
    for check in all_checks():
        for code in check.requires:
            required = find_check(code)
            assert TIERS.index(required.tier) <= TIERS.index(check.tier)
            if check.subject == "repository" and not check.asked_last:
                assert required.subject == "repository", "the repository is asked before the SAEs"
            assert check.asked_last or not required.asked_last


def test_tiers_contain_each_other() -> None:
    codes = [{check.code for check in checks_up_to(tier)} for tier in TIERS]
    assert codes[0] < codes[1] < codes[2] == {check.code for check in all_checks()}


def test_an_unknown_code_is_a_usage_error_that_names_the_nearest() -> None:
    with pytest.raises(UsageError) as caught:
        find_check("W1O3")
    assert "W103" in str(caught.value)
    assert caught.value.exit_code == 2


def test_the_registry_is_listed_without_torch_or_sae_lens() -> None:
    code = (
        "import sys; import validators.registry, validators.stage, validators.presenting.present; "
        "print([m for m in ('torch', 'transformers', 'sae_lens', 'sklearn') if m in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_an_architecture_that_is_not_known_gets_only_the_checks_for_all() -> None:
    assert find_check("C001").applies_to(None)
    assert not find_check("C006").applies_to(None)
    assert find_check("C006").applies_to("topk")
    assert not find_check("C006").applies_to("gated")
    assert Passed().found == ""
