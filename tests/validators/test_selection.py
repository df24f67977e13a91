"""--select, --ignore, --only and --strict: what is asked, what is reported, what it amounts to."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from manifests.errors import UsageError
from manifests.progress import Silent
from validators.check import Check, Passed, Problem, Skipped, Verdict, repository_check, sae_check
from validators.claim import Claim
from validators.options import DEFAULTS, ValidateOptions
from validators.reading.local_repository import LocalRepository
from validators.registry import all_checks, checks_up_to
from validators.report import Checks, Outcome
from validators.runner import run_checks
from validators.selection import EVERYTHING, Selection, parse_selection, saes_named
from validators.subjects import RepositorySubject


def made(code: str, answer: Callable[[Any], Verdict], **fields: Any) -> Check:
    """A check of SAEs that answers so."""

    def ask(subject: Any) -> Verdict:
        """A page."""
        return answer(subject)

    fields.setdefault("tier", "static")
    return sae_check(code, f"{code} is right", **fields)(ask)


def fails(_: Any) -> Verdict:
    return Problem("broken", severity=None)


def passes(_: Any) -> Verdict:
    return Passed()


def crashes(_: Any) -> Verdict:
    raise KeyError("k")


@pytest.fixture
def two_saes(tmp_path: Path) -> Path:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "cfg.json").write_text(json.dumps({}), encoding="utf-8")
    return tmp_path


@pytest.fixture
def run(two_saes: Path) -> Callable[..., Checks]:
    def run_these(*checks: Check, claim: Claim | None = None, **options: Any) -> Checks:
        subject = RepositorySubject(
            LocalRepository(two_saes),
            claim,
            options=ValidateOptions(**options),
            progress=Silent(),
        )
        found = run_checks(subject, checks, Silent())
        return Checks(inputs={}, tiers=("static",), environment={}, outcomes=found)

    return run_these


def told(checks: Checks) -> list[tuple[str, str, str]]:
    return [(o.code, o.subject, o.outcome) for o in checks.outcomes]


def test_a_prefix_is_a_family_a_tier_or_a_check() -> None:
    selection = parse_selection(["W1, c006", "n"], ["W103"], checks=all_checks())
    assert selection == Selection(select=("W1", "C006", "N"), ignore=("W103",))
    codes = ("W001", "W101", "W103", "C006", "C001", "N201", "L101")
    assert [c for c in codes if selection.reports(c)] == ["W101", "C006", "N201"]
    assert all(EVERYTHING.reports(code) for code in codes)
    assert parse_selection([], [], checks=all_checks()) == EVERYTHING


@pytest.mark.parametrize(
    ("written", "near"), [("W1O3", "W103"), ("X", "F, C, H"), ("C9", "C0"), (",", "")]
)
def test_a_prefix_that_fits_no_check_is_a_usage_error_that_names_near_ones(
    written: str, near: str
) -> None:
    with pytest.raises(UsageError) as caught:
        parse_selection([written], [], checks=all_checks())
    assert near in str(caught.value)
    assert caught.value.exit_code == 2


def test_what_a_selected_check_rests_on_is_asked_and_not_reported(run: Any) -> None:
    asked = []
    first = made("C001", lambda sae: asked.append(sae.sae_id) or Passed())
    second = made("C002", passes, requires=("C001",))
    third = made("C003", lambda _: pytest.fail("C003 was not selected"))
    checks = run(first, second, third, selection=Selection(select=("C002",)))
    assert told(checks) == [("C002", "a", "passed"), ("C002", "b", "passed")]
    assert asked == ["a", "b"]
    assert checks.exit_code == 0


def test_a_failure_that_explains_a_skip_is_reported_with_it(run: Any) -> None:
    first = made("C001", lambda sae: Problem("broken") if sae.sae_id == "b" else Passed())
    second = made("C002", passes, requires=("C001",))
    third = made("C003", passes, requires=("C002",))
    checks = run(first, second, third, selection=Selection(select=("C003",)))
    assert told(checks) == [
        ("C003", "a", "passed"),
        ("C001", "b", "failed"),
        ("C003", "b", "skipped"),
    ]
    assert checks.outcomes[-1].found == "C001 (C001 is right) failed"
    assert checks.exit_code == 1


def test_a_crash_that_explains_a_skip_is_reported_with_it(run: Any) -> None:
    second = made("C002", passes, requires=("C001",))
    checks = run(made("C001", crashes), second, selection=Selection(select=("C002",)))
    assert ("C001", "a", "crashed") in told(checks)
    assert checks.exit_code == 1


def test_an_ignored_failure_is_not_reported_and_what_rests_on_it_is_no_gap(run: Any) -> None:
    first, second = made("C001", fails), made("C002", passes, requires=("C001",))
    third, apart = made("C003", passes, requires=("C002",)), made("C004", passes)
    checks = run(first, second, third, apart, selection=Selection(ignore=("C001",)))
    assert told(checks)[:3] == [
        ("C002", "a", "skipped"),
        ("C003", "a", "skipped"),
        ("C004", "a", "passed"),
    ]
    assert checks.outcomes[1].found == "C001 (C001 is right) ignored"
    assert (checks.n_gaps, checks.exit_code) == (0, 0)


def test_a_gap_stays_one_beside_an_ignored_failure(run: Any) -> None:
    both = made("C003", passes, requires=("C001", "C002"))
    checks = run(
        made("C001", fails), made("C002", fails), both, selection=Selection(ignore=("C001",))
    )
    assert [o.found for o in checks.outcomes if o.code == "C003"] == [
        "C002 (C002 is right) failed",
        "C002 (C002 is right) failed",
    ]
    assert checks.n_gaps == 2


def test_nothing_left_to_ask_is_never_good(run: Any) -> None:
    everything_ignored = run(made("C001", passes), selection=Selection(ignore=("C",)))
    assert told(everything_ignored) == []
    assert everything_ignored.exit_code == 3
    other_architecture = made("C001", passes, architectures=("topk",))
    assert run(other_architecture, selection=Selection(select=("C",))).exit_code == 3
    gap = made("C001", lambda _: Skipped("no torch"))
    assert run(gap, made("C002", passes)).exit_code == 3


def test_a_check_about_all_others_is_asked_after_all_of_them(run: Any) -> None:
    seen: list[str] = []

    def ask(subject: Any) -> Verdict:
        """A page."""
        seen.extend(outcome.code for outcome in subject.outcomes)
        return Passed()

    last = repository_check("M001", "all were asked", tier="static", asked_last=True)(ask)
    checks = run(made("C001", passes), last, selection=Selection(select=("M",)))
    assert told(checks) == [("M001", "", "passed")]
    assert seen == ["C001", "C001"]


def test_without_a_manifest_the_checks_that_need_one_say_so_once(run: Any) -> None:
    needing = made("C005", fails, needs_manifest=True)
    after = made("C006", passes, requires=("C005",))
    checks = run(needing, after)
    assert told(checks) == [
        ("C005", "", "skipped"),
        ("C006", "a", "passed"),
        ("C006", "b", "passed"),
    ]
    assert "no manifest" in checks.outcomes[0].found
    assert (checks.n_gaps, checks.exit_code) == (0, 0)


def test_strict_turns_warnings_into_failures_and_leaves_notes(run: Any) -> None:
    warning = made("C001", fails, severity="warn")
    note = made("C002", fails, severity="note")
    after = made("C003", passes, requires=("C001",))
    assert run(warning, note, after).exit_code == 0
    checks = run(warning, note, after, strict=True)
    assert [o.outcome for o in checks.outcomes if o.subject == "a"] == [
        "failed",
        "noted",
        "passed",
    ]
    assert checks.outcomes[0].severity == "warn"
    assert checks.exit_code == 1


@pytest.mark.parametrize(
    ("severity", "outcome"), [("warn", "warned"), ("note", "noted"), ("fail", "failed")]
)
def test_a_problem_may_amount_to_another_severity_than_its_check(
    severity: Any, outcome: str, run: Any
) -> None:
    checks = run(made("C001", lambda _: Problem("so it is", severity=severity)))
    assert {(o.severity, o.outcome) for o in checks.outcomes} == {(severity, outcome)}


def test_only_some_saes_are_checked(run: Any) -> None:
    assert told(run(made("C001", passes), only=("b*",))) == [("C001", "b", "passed")]
    with pytest.raises(UsageError, match="--only 'c' fits none of the 2 SAEs"):
        run(made("C001", passes), only=("c",))


def test_a_glob_is_compared_with_case_and_ids_keep_their_order() -> None:
    ids = ("m_topk_L2", "m_gated_L1", "M_topk_L1")
    assert saes_named(ids, ("*L1", "m_topk*")) == ids
    assert saes_named(ids, ("m_*",)) == ids[:2]
    assert saes_named(ids, ()) == ids


def test_only_a_plain_run_is_whole() -> None:
    assert DEFAULTS.is_whole
    assert ValidateOptions(base_model="folder").is_whole
    for option in (
        {"only": ("a",)},
        {"selection": Selection(select=("W",))},
        {"selection": Selection(ignore=("W",))},
        {"strict": True},
        {"text": Path("t.txt")},
        {"activations": Path("x.npy")},
    ):
        assert not ValidateOptions(**option).is_whole, option


def test_a_selected_check_is_asked_with_its_prerequisites_in_their_order() -> None:
    checks = checks_up_to("load")
    chosen = Selection(select=("W103",)).to_ask(checks, has_manifest=False)
    codes = [check.code for check in chosen]
    assert "W103" in codes
    assert "L101" not in codes
    assert set(codes) == closure("W103")


def closure(code: str) -> set[str]:
    required = {check.code: check.requires for check in all_checks()}
    return {code}.union(*(closure(before) for before in required[code]))


SINCE = datetime.date(2026, 1, 2)


@pytest.fixture
def claim_that_accepts(good_release: Any) -> Callable[..., Claim]:
    """The tiny release's manifest with C001 accepted everywhere; local, or published."""
    import dataclasses

    from manifests.facts import Accept
    from validators.claim import local_claim

    def make(*, local: bool) -> Claim:
        entry = Accept(code="C001", where="*", since=SINCE, why="it was so")
        manifest = good_release.loaded.manifest.model_copy(update={"accept": (entry,)})
        claim = local_claim(dataclasses.replace(good_release.loaded, manifest=manifest))
        claim = dataclasses.replace(claim, saes={})
        return claim if local else dataclasses.replace(claim, loaded=None)

    return make


@pytest.mark.parametrize(("strict", "severity"), [(False, "fail"), (True, "warn")])
def test_a_failure_is_accepted_by_a_local_manifest_only(
    strict: bool, severity: Any, run: Any, claim_that_accepts: Any
) -> None:
    check = made("C001", fails, severity=severity)
    ours = run(check, claim=claim_that_accepts(local=True), strict=strict)
    assert {o.outcome for o in ours.outcomes} == {"accepted"}
    assert ours.exit_code == 0
    theirs = run(check, claim=claim_that_accepts(local=False), strict=strict)
    assert {o.outcome for o in theirs.outcomes} == {"failed"}
    assert theirs.exit_code == 1


def test_a_failure_that_only_its_publisher_accepts_says_so(
    run: Any, claim_that_accepts: Any
) -> None:
    found: tuple[Outcome, ...] = run(
        made("C001", fails), claim=claim_that_accepts(local=False)
    ).outcomes
    assert found[0].found == "broken\nthe publisher has accepted this since 2026-01-02: it was so"
    assert found[0].acceptance is None


def test_what_is_found_names_no_folder_of_this_machine(run: Any, two_saes: Path) -> None:
    from validators.reading.repository import UnreadableFile

    def unreadable(_: Any) -> Verdict:
        raise UnreadableFile("is damaged", where=str(two_saes / "a" / "cfg.json"))

    outcome = run(made("C001", unreadable)).outcomes[0]
    assert outcome.found.replace("\\", "/") == "a/cfg.json: is damaged"
