"""docs/seed-cards.md is what the list of lines gives."""

from __future__ import annotations

from seed_lines import PAGE, page


def test_the_page_in_docs_is_the_one_of_the_lines() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run `python tests/validators/seed_lines.py`"
