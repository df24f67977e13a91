"""docs/altered-cards.md says what the checks find on altered cards, and they find it."""

from __future__ import annotations

from pathlib import Path

import pytest
from altered_card_figures import (
    CARDS,
    NOT_MECHANICAL,
    PAGE,
    REASONS,
    Altered,
    Found,
    Measured,
    altered,
    judged,
    measured,
    page,
)

# As measured; an alteration that was found once has to stay found.
FOUND = {"gross": 13, "medium": 65, "subtle": 37}


@pytest.fixture(scope="module")
def now(tmp_path_factory: pytest.TempPathFactory) -> Measured:
    return measured(tmp_path_factory.mktemp("altered"))


@pytest.mark.parametrize("card", CARDS)
def test_a_card_that_is_right_raises_nothing(now: Measured, card: str) -> None:
    assert now.good[card] == ()


def test_the_same_in_other_words_raises_nothing(now: Measured) -> None:
    assert len(now.harmless) == 33
    assert {name: found for name, found in now.harmless.items() if found} == {}


@pytest.mark.parametrize("difficulty", FOUND)
def test_as_many_alterations_as_measured_are_found(now: Measured, difficulty: str) -> None:
    ones = [o for o in altered("alterations") if o.is_mechanical and o.difficulty == difficulty]
    assert sum(now.outcomes[one.name] == "found" for one in ones) >= FOUND[difficulty]


def test_every_mechanical_one_that_is_missed_has_its_reason(now: Measured) -> None:
    missed = {
        one.name for one in altered("alterations")
        if one.is_mechanical and now.outcomes[one.name] != "found"
    }  # fmt: skip
    assert missed == set(REASONS)


def test_the_page_has_these_figures(now: Measured) -> None:
    written = PAGE.read_text(encoding="utf-8")
    assert written == page(now), "run `python tests/validators/altered_card_figures.py`"
    assert NOT_MECHANICAL in written


def test_a_finding_on_another_line_is_not_counted_as_found() -> None:
    one = Altered("name", "card", "text", frozenset({7}), "count", "", True, "gross")
    assert judged(one, ()) == "missed"
    assert judged(one, (Found("R005", (6,), "line 6: 3 x 3 is 9"),)) == "elsewhere"
    assert judged(one, (Found("R005", (6, 7), "line 6: 8, and line 7 says 9"),)) == "found"


def test_repositories_hold_what_the_cards_say(tmp_path: Path) -> None:
    from altered_card_figures import write_repository

    from validators.reading.local_repository import LocalRepository

    write_repository("gpt2_l8_jumprelu", tmp_path)
    repository = LocalRepository(tmp_path)
    cfg = repository.read_json("l8_jumprelu_32x/cfg.json")
    assert (cfg["d_in"], cfg["d_sae"]) == (768, 24_576)
    assert "eval/metrics.json" in repository.files
