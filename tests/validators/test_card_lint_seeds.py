"""docs/seed-cards.md says what the checks find on four published cards, and they find it."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from seed_lines import BESIDE, CARDS, FOLDER, RIGHT, WRONG

from manifests.load import load_manifest
from manifests.progress import Silent
from validators.check import Passed, Verdict
from validators.checks import readme_names, readme_numbers, readme_page
from validators.claim import local_claim
from validators.reading.local_repository import LocalRepository
from validators.readme.findings import Finding
from validators.readme.linted import card_text, linted
from validators.registry import all_checks
from validators.subjects import RepositorySubject

if not FOLDER.is_dir():
    pytest.skip(
        "SAE_RELEASE_SEED_CARDS names no folder with the published cards", allow_module_level=True
    )

MANIFESTS = Path(__file__).resolve().parents[2] / "manifests"
MODULES = (readme_names, readme_numbers, readme_page)


@cache
def findings(card: str, *, has_manifest: bool) -> tuple[tuple[str, Finding], ...]:
    """What each check of a card's text finds, with its code."""
    found: list[tuple[str, Finding]] = []
    claim = local_claim(load_manifest(MANIFESTS / f"{card}.yaml")) if has_manifest else None
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        (Path(folder) / "README.md").write_bytes((FOLDER / f"{card}.card.txt").read_bytes())
        subject = RepositorySubject(LocalRepository(Path(folder)), claim, progress=Silent())
        own = [
            check for check in all_checks() for module in MODULES if check in vars(module).values()
        ]
        for check in own:
            if check.needs_manifest and not has_manifest:
                continue

            def recorded(subject, lint, code=check.code) -> Verdict:  # type: ignore[no-untyped-def]
                found.extend((code, finding) for finding in lint(card_text(subject)))
                return Passed()

            for module in MODULES:
                patch.setattr(module, "linted", recorded)
            check.ask(subject)
    return tuple(found)


def places(card: str, *, has_manifest: bool) -> set[tuple[str, int]]:
    return {(code, found.line) for code, found in findings(card, has_manifest=has_manifest)}


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: f"{wrong.card}-{wrong.lines}")
def test_what_the_page_says_is_found_is_found_at_its_line(wrong) -> None:  # type: ignore[no-untyped-def]
    assert bool(wrong.found) != bool(wrong.reason), "found, or a reason why not"
    assert set(wrong.found) <= places(wrong.card, has_manifest=True)
    if wrong.by_manifest:
        assert not set(wrong.found) <= places(wrong.card, has_manifest=False)
    else:
        assert set(wrong.found) <= places(wrong.card, has_manifest=False)


@pytest.mark.parametrize("card", CARDS)
def test_everything_that_is_found_is_wrong(card: str) -> None:
    known = {place for wrong in WRONG if wrong.card == card for place in wrong.found}
    known |= {(code, line) for code, where, _ in BESIDE for line in where.get(card, ())}
    for has_manifest in (False, True):
        assert places(card, has_manifest=has_manifest) <= known
    assert known <= places(card, has_manifest=True)


@pytest.mark.parametrize(("card", "line", "words"), RIGHT)
def test_what_is_right_raises_nothing(card: str, line: int, words: str) -> None:
    text = (FOLDER / f"{card}.card.txt").read_text(encoding="utf-8").splitlines()[line - 1]
    start = text.index(words)
    for has_manifest in (False, True):
        for _, found in findings(card, has_manifest=has_manifest):
            if found.line != line:
                continue
            at = text.find(found.excerpt.strip()) if found.excerpt.strip() else -1
            assert at >= 0, "a finding without its words would be about the whole line"
            assert at + len(found.excerpt.strip()) <= start or at >= start + len(words), found


def test_the_outcome_names_the_lines() -> None:
    with TemporaryDirectory() as folder:
        (Path(folder) / "README.md").write_bytes((FOLDER / "nanochat-d32.card.txt").read_bytes())
        subject = RepositorySubject(LocalRepository(Path(folder)), None, progress=Silent())
        verdict = readme_numbers.counts_multiply.ask(subject)
        assert not isinstance(verdict, Passed)
        assert re.match(r"README\.md, line 5: 6 layers x 3", verdict.found)
        assert linted(subject, lambda card: ()) == Passed()
