"""Links to files of the repository that are no pages of the site lead to GitHub.

In the Markdown they are relative, so that they work in a checkout and on GitHub as well.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.transforms import SphinxTransform

REPOSITORY = "https://github.com/SolshineCode/sae-release"


class OutsideLinks(SphinxTransform):
    """Turn MyST's references to local files that are no pages into links to the repository.

    MyST takes a Markdown file for a page, any other file for a download, and a folder for nothing.
    """

    default_priority = 100

    def apply(self, **_: Any) -> None:
        """Replace each such reference of this document; what leads nowhere stays, and warns."""
        for node in list(self.document.findall(_is_reference)):
            path = self._outside(node)
            if path is not None:
                link = nodes.reference("", "", refuri=address(path, node.get("reftargetid") or ""))
                link += node.children
                node.replace_self(link)

    def _outside(self, node: nodes.Element) -> Path | None:
        """The file or folder that a reference means, from the root; None for pages and nothing."""
        target = str(node["reftarget"])
        docs = Path(self.app.srcdir)
        if node.get("refdomain") == "doc":
            if target in self.env.found_docs:
                return None
            path = docs / f"{target}.md"
        else:
            path = Path(self.document["source"]).parent / target.partition("#")[0]
        if target.startswith("#") or not path.exists():
            return None
        return path.resolve().relative_to(docs.resolve().parent)


def _is_reference(node: nodes.Node) -> bool:
    return isinstance(node, addnodes.download_reference | addnodes.pending_xref)


def address(path: Path, anchor: str = "") -> str:
    """Where GitHub shows a file or folder of the repository, by its path from the root."""
    shown = "blob" if path.suffix or path.name == "LICENSE" else "tree"
    return f"{REPOSITORY}/{shown}/main/{path.as_posix()}" + (f"#{anchor}" if anchor else "")
