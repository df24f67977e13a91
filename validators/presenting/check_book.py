"""The pages of all checks as Markdown, one file for each family: `docs/checks/`.

`python -m validators.presenting.check_book docs/checks` writes them anew; a test holds them to
what the checks say.
"""

from __future__ import annotations

import sys
from pathlib import Path

from validators.check import FAMILIES, Check
from validators.registry import all_checks


def family_pages() -> dict[str, str]:
    """Markdown by file name, such as `weights.md`."""
    pages = {}
    for letter, name in FAMILIES.items():
        own = [check for check in all_checks() if check.code[0] == letter]
        if own:
            pages[f"{name.replace(' ', '-')}.md"] = _family_page(letter, name, own)
    return pages


def _family_page(letter: str, name: str, checks: list[Check]) -> str:
    lines = [
        f"# {letter}: {name}",
        "",
        "| code | asks that | tier | severity |",
        "|---|---|---|---|",
        *(f"| {c.code} | {c.title} | {c.tier} | {c.severity} |" for c in checks),
    ]
    for check in checks:
        applies = ", ".join(check.architectures) if check.architectures else "all architectures"
        asked_of = "every SAE" if check.subject == "sae" else "the repository"
        needs = "; needs a manifest" if check.needs_manifest else ""
        after = f"; after {', '.join(check.requires)}" if check.requires else ""
        facts = f"{check.tier}, {check.severity}; asked of {asked_of}, {applies}{after}{needs}"
        lines += ["", f"## {check.code}: {check.title}", "", f"*{facts}*", "", check.page]
    return "\n".join(lines) + "\n"


def main(folder: Path) -> None:
    """Write all pages into a folder and take out those of families that are gone."""
    folder.mkdir(parents=True, exist_ok=True)
    pages = family_pages()
    for path in folder.glob("*.md"):
        if path.name not in pages:
            path.unlink()
    for name, text in pages.items():
        (folder / name).write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
