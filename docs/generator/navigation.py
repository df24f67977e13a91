"""The site's navigation, read from the links of `docs/index.md`.

The index is plain Markdown, so that it reads the same on GitHub; the site's tables of contents are
added to it while it is read.
"""

from __future__ import annotations

import re

# Pages that stand for a folder, and what they bring with them.
_BRINGS = {"decisions/README": "*", "reference/checks": "../checks/*"}
_LINK = re.compile(r"\]\(([^)#\s]+\.md)(?:#[^)]*)?\)")


def sections(index: str) -> dict[str, list[str]]:
    """The pages that each `## heading` links to, in order, without `.md`; every page once."""
    found: dict[str, list[str]] = {}
    seen: set[str] = set()
    heading = ""
    for line in index.splitlines():
        if line.startswith("## "):
            heading = line.removeprefix("## ")
        for target in _LINK.findall(line):
            page = target.removesuffix(".md")
            if heading and page not in seen and not page.startswith("../"):
                seen.add(page)
                found.setdefault(heading, []).append(page)
    return found


def with_navigation(docname: str, text: str) -> str:
    """A page's source with the table of contents that the site adds to it."""
    if docname == "index":
        return text + "".join(
            _toctree(pages, f":hidden:\n:caption: {heading}")
            for heading, pages in sections(text).items()
        )
    if docname in _BRINGS:
        return text + _toctree([_BRINGS[docname]], ":glob:")
    return text


def _toctree(pages: list[str], options: str) -> str:
    lines = ["", "```{toctree}", *options.splitlines(), "", *pages, "```", ""]
    return "\n".join(lines)
