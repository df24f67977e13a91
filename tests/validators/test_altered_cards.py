"""docs/altered-cards.md says what the checks find on altered cards, and they find it."""

from __future__ import annotations

from pathlib import Path

import pytest
from altered_card_figures import (
    NOT_MECHANICAL,
    PAGE,
    SETS,
    Altered,
    CardSet,
    Found,
    Measured,
    altered,
    judged,
    measured,
    page,
    write_repository,
)

from validators.reading.local_repository import LocalRepository

# As measured; an alteration that was found once has to stay found.
FOUND = {
    "altered_cards": {"gross": 13, "medium": 66, "subtle": 37},
    "altered_cards_second": {"gross": 4, "medium": 38, "subtle": 30},
    "altered_cards_third": {"unrated": 98},
}
HARMLESS = {"altered_cards": 33, "altered_cards_second": 24}

each_set = pytest.mark.parametrize("cards", SETS, ids=lambda cards: cards.name)


@pytest.fixture(scope="module")
def now(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Measured]:
    return {cards.name: measured(cards, tmp_path_factory.mktemp(cards.name)) for cards in SETS}


@pytest.mark.parametrize(
    ("cards", "card"), [(cards, card) for cards in SETS for card in cards.cards]
)
def test_a_card_that_is_right_raises_nothing(
    now: dict[str, Measured], cards: CardSet, card: str
) -> None:
    found = [f"{found.code} {found.what}" for found in now[cards.name].good[card]]
    assert found == cards.right.get(card, [])


@pytest.mark.parametrize("name", HARMLESS)
def test_the_same_in_other_words_raises_nothing(now: dict[str, Measured], name: str) -> None:
    harmless = now[name].harmless
    assert len(harmless) == HARMLESS[name]
    assert {name: found for name, found in harmless.items() if found} == {}


@pytest.mark.parametrize(
    ("cards", "difficulty"), [(cards, level) for cards in SETS for level in FOUND[cards.name]]
)
def test_as_many_alterations_as_measured_are_found(
    now: dict[str, Measured], cards: CardSet, difficulty: str
) -> None:
    ones = [
        one for one in altered(cards, "alterations")
        if one.is_mechanical and one.difficulty == difficulty
    ]  # fmt: skip
    outcomes = now[cards.name].outcomes
    n_found = sum(outcomes[one.name] == "found" for one in ones)
    assert ones
    assert n_found >= FOUND[cards.name][difficulty]


@each_set
def test_every_mechanical_one_that_is_missed_has_its_reason(
    now: dict[str, Measured], cards: CardSet
) -> None:
    missed = {
        one.name for one in altered(cards, "alterations")
        if one.is_mechanical and now[cards.name].outcomes[one.name] != "found"
    }  # fmt: skip
    assert missed == set(cards.reasons)


@each_set
def test_each_alteration_has_a_blind_outcome(cards: CardSet) -> None:
    names = {one.name for one in altered(cards, "alterations")}
    assert set(cards.read("blind.json")["outcomes"]) == names


def test_the_page_has_these_figures(now: dict[str, Measured]) -> None:
    written = PAGE.read_text(encoding="utf-8")
    assert written == page(now), "run `python tests/validators/altered_card_figures.py`"
    assert NOT_MECHANICAL in written


def test_a_finding_on_another_line_is_not_counted_as_found() -> None:
    one = Altered("name", "card", "text", frozenset({7}), "count", "", True, "gross")
    assert judged(one, ()) == "missed"
    assert judged(one, (Found("R005", (6,), "line 6: 3 x 3 is 9"),)) == "elsewhere"
    assert judged(one, (Found("R005", (6, 7), "line 6: 8, and line 7 says 9"),)) == "found"


def test_repositories_hold_what_the_cards_say(tmp_path: Path) -> None:
    write_repository(SETS[0], "gpt2_l8_jumprelu", tmp_path)
    repository = LocalRepository(tmp_path)
    cfg = repository.read_json("l8_jumprelu_32x/cfg.json")
    assert (cfg["d_in"], cfg["d_sae"]) == (768, 24_576)
    assert "eval/metrics.json" in repository.files
