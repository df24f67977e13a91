"""A card is taken apart as a reader sees it: comments hidden, code apart, lines kept."""

from __future__ import annotations

import pytest

from validators.readme.card_text import MAX_CHARACTERS, read_card, visible
from validators.readme.findings import Surroundings
from validators.readme.products import lint_products
from validators.readme.shares import lint_shares

WRONG = "Of all, 14/30 (57%) do."


def kinds(text: str) -> list[tuple[str, int, str]]:
    return [(passage.kind, passage.line, passage.text) for passage in read_card(text).passages]


def share_lines(text: str) -> list[int]:
    return [finding.line for finding in lint_shares(read_card(text))]


def test_blocks_have_their_kinds_and_lines() -> None:
    text = "---\na: 1\n---\n# Title\n\ntext\nmore\n\n- item\n\n```python\nx = 1\n```\n\n    y = 2\n"
    assert kinds(text) == [
        ("heading", 4, "Title"),
        ("paragraph", 6, "text\nmore"),
        ("paragraph", 9, "item"),
        ("code", 12, "x = 1"),
        ("code", 15, "y = 2"),
    ]


def test_rows_know_their_header() -> None:
    rows = read_card("| layer | depth |\n|--|--|\n| 9 | **33%** |\n|  | 5% |\n").passages
    assert [(row.kind, row.line, row.cells, row.header) for row in rows] == [
        ("row", 1, ("layer", "depth"), ()),
        ("row", 3, ("9", "33%"), ("layer", "depth")),
        ("row", 4, ("", "5%"), ("layer", "depth")),
    ]


@pytest.mark.parametrize(
    "text",
    [
        f"<!-- {WRONG} -->",
        f"<!--\n{WRONG}\n-->\n",
        f"Seen <!-- {WRONG} --> text",
        f"```\n{WRONG}\n```",
        f"    {WRONG}",
        f"---\nnote: {WRONG}\n---\n",
    ],
)
def test_what_is_hidden_or_code_makes_no_statement(text: str) -> None:
    assert share_lines(text) == []


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (WRONG, 1),
        (f"```\n<!-- in code\n```\n\n{WRONG}", 5),
        (f"> quoted\n> {WRONG}", 2),
        (f"- a\n  - b\n    {WRONG}", 3),
        (f"| a |\n|---|\n| {WRONG} |", 3),
        (f"<b>\n{WRONG}\n</b>", 2),
        ("Of all, **14**/30 (`57`%) do.", 1),
        ("Of [all](http://a/1/2) that were looked at and counted in full, 14/30\r\n(57%) do.", 1),
        (f"\ufeff\n{WRONG}", 2),
        (f"---\n{WRONG}", 2),
    ],
)
def test_what_a_reader_sees_is_read_at_its_line(text: str, line: int) -> None:
    assert share_lines(text) == [line]


def test_sentences_end_at_full_stops_and_at_lines_that_were_not_wrapped() -> None:
    wrapped = (
        "This line is long enough that an editor must have wrapped it here\nand it goes on. New."
    )
    (passage,) = read_card(f"Peak layer L4\nPeak accuracy 69%\n{wrapped}").passages
    assert [(s.line, s.text) for s in passage.sentences] == [
        (1, "Peak layer L4"),
        (2, "Peak accuracy 69%"),
        (3, wrapped.removesuffix(" New.")),
        (4, "New."),
    ]


@pytest.mark.parametrize(
    "text",
    ["---\na: [1\n---\n", "---\n- a\n---\n", "---\na: !!python/object:x\n---\n", "---\n\t\n---\n"],
)
def test_front_matter_that_is_no_mapping_is_an_error_and_not_a_crash(text: str) -> None:
    card = read_card(text)
    assert card.metadata is None
    assert card.metadata_error


def test_nothing_is_lost_between_lines_when_markup_is_taken_out() -> None:
    text = "a <!-- b\nc --> d\n**e** [f](g) ![h](i)\n<br>`j`"
    assert visible(text).count("\n") == text.count("\n")
    assert visible(text).split() == ["a", "d", "e", "f", "h", "j"]


HOSTILE = (
    "> " * 3_000, "- " * 3_000, "[" * 20_000, "](" * 10_000, "`" * 20_000, "<!-- " * 5_000,
    "|a|b|\n|---|---|\n" * 500, "1 x " * 5_000, "1 + " * 5_000, "4-bit 3 bits/param " * 2_000,
    "12 SAEs across 3 layers " * 1_000, "<a href='" * 3_000, "1" * 20_000, "\0" * 5_000,
    "L1 (5% depth) " * 2_000, "d = 1.5\n" * 500 + "d mean ± std = 1 ± 0 (n=500)",
    "---\n" * 5_000, "# " * 5_000, "\u202e\u200b57%" * 1_000, "1/0 (5%) " * 1_000,
)  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_cards_are_read_to_their_end(text: str) -> None:
    for card in (read_card(text), read_card(f"---\n{text}\n---\n{text}")):
        found = [*lint_shares(card), *lint_products(card, Surroundings(n_saes=3))]
        assert all(1 <= finding.line <= max(1, len(card.lines)) for finding in found)


def test_a_card_without_end_is_read_up_to_a_bound() -> None:
    card = read_card("word \n" * MAX_CHARACTERS)
    assert sum(len(line) + 1 for line in card.lines) <= MAX_CHARACTERS + 1
