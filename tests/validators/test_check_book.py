"""docs/checks holds the page of every check, as the code has it."""

from __future__ import annotations

from pathlib import Path

from validators.presenting.check_book import family_pages, main
from validators.registry import all_checks

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "checks"


def test_the_pages_in_docs_are_those_of_the_checks() -> None:
    written = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.md")}
    assert written == family_pages(), "run `python -m validators.presenting.check_book docs/checks`"


def test_every_check_stands_in_one_family() -> None:
    text = "\n".join(family_pages().values())
    for check in all_checks():
        assert text.count(f"\n## {check.code}: {check.title}\n") == 1


def test_a_page_of_a_family_that_is_gone_is_taken_out(tmp_path: Path) -> None:
    (tmp_path / "gone.md").write_text("old", encoding="utf-8")
    main(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == set(family_pages())
