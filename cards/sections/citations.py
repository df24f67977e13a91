"""The works that a manifest cites, as BibTeX that a reader can copy."""

from __future__ import annotations

import re

from cards.escaping import Markdown
from cards.sources import Sources
from manifests.facts import Citation

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "`": r"\textasciigrave{}",
    **{character: f"\\{character}" for character in "&%$#_"},
}


def citations(sources: Sources) -> tuple[Markdown, ...]:
    """One entry for each work, in the manifest's order; none can end a code fence."""
    return tuple(_entry(citation) for citation in sources.loaded.manifest.citations)


def _entry(citation: Citation) -> Markdown:
    fields = {
        # Braces within braces keep the capitals of names.
        "title": f"{{{_escaped(citation.title)}}}",
        "author": " and ".join(_escaped(author) for author in citation.authors),
        "year": str(citation.year),
    }
    if citation.arxiv:
        fields |= {"eprint": citation.arxiv, "archivePrefix": "arXiv"}
    if citation.url:
        fields["url"] = _address(citation.url)
    lines = [f"  {name} = {{{value}}}" for name, value in fields.items()]
    key = re.sub(r"[^A-Za-z0-9:._-]+", "-", citation.key).strip("-") or "work"
    return Markdown("\n".join([f"@misc{{{key},", ",\n".join(lines), "}"]))


def _escaped(text: str) -> str:
    printable = "".join(each if each.isprintable() or each.isspace() else "?" for each in text)
    return "".join(_SPECIAL.get(each, each) for each in " ".join(printable.split()))


def _address(url: str) -> str:
    """An address without what would close the braces around it."""
    return "".join(each for each in url if each.isprintable() and each not in "{}\\`")
