"""Sphinx's settings for the site; `python make.py docs` builds it, and every warning is an error.

The pages are Markdown that GitHub shows as well, so nothing in them is Sphinx's own.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

DOCS = Path(__file__).resolve().parent
sys.path[:0] = [str(DOCS / "generator"), str(DOCS.parent)]

from navigation import with_navigation  # noqa: E402
from outside_links import REPOSITORY, OutsideLinks  # noqa: E402

from manifests.tool_version import tool_version  # noqa: E402

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "sae-release"
author = "The sae-release authors"
release = tool_version()
extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
# The cards of the gallery are pages of the Hub, with the Hub's front matter.
exclude_patterns = ["gallery/*/README.md", "generator"]
nitpicky = True
# Headings of the sixth level have anchors on GitHub too.
myst_heading_anchors = 6
html_theme = "furo"
html_title = "sae-release"
html_theme_options = {
    "source_repository": REPOSITORY,
    "source_branch": "main",
    "source_directory": "docs/",
}
html_copy_source = False
html_show_copyright = False


def _add_navigation(_app: Sphinx, docname: str, source: list[str]) -> None:
    source[0] = with_navigation(docname, source[0])


def setup(app: Sphinx) -> dict[str, Any]:
    """Register what the site adds to the pages."""
    app.connect("source-read", _add_navigation)
    app.add_transform(OutsideLinks)
    return {"parallel_read_safe": True}
