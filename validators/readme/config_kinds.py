"""Architectures that a card gives its SAEs in words, and their tensors, against the configs."""

from __future__ import annotations

import re
from collections.abc import Iterator

from validators.readme.card_text import CardText
from validators.readme.findings import Finding, Surroundings
from validators.saelens.format import TENSOR_SHAPES

_KIND = r"(TopK|JumpReLU|Gated|Standard)"
_TITLE = re.compile(
    rf"(?<![\w-]){_KIND}(?:[- ]\d{{1,4}})? (?:SAEs?|sparse|auto-?encoders?)\b", re.IGNORECASE
)
_THESE = re.compile(
    rf"\b(?:[Tt]hese|[Tt]hey|[Aa]ll of them) are (?:all )?{_KIND} (?:SAEs|autoencoders)\b"
)
_TENSORS = re.compile(
    r"\b[Tt]ensors(?: (?:per|in each|of each|in every) (?:file|SAE))?: ([^;]{10,400}?)(?:\. |$)"
)
_NAME = re.compile(r"(?<!\w)(b_enc|threshold|b_gate|b_mag|r_mag)(?!\w)")
_EACH_HAS = re.compile(
    r"\b(?:[Ee]ach|[Ee]very) (?:file|SAE) (?:has|holds|contains|comes with) an? (?:own |learned )?"
    r"threshold\b"
)
# Libraries whose loading button a repository of SAEs cannot serve.
_LIBRARIES = ("transformers", "diffusers", "sentence-transformers", "timm", "peft")


def lint_config_kinds(card: CardText, known: Surroundings) -> Iterator[Finding]:
    """The title, `these are TopK SAEs`, lists of tensors, and the library of the metadata."""
    kinds = {sae.architecture for sae in known.saes}
    if not kinds or None in kinds or not kinds <= {"topk", "jumprelu", "gated", "standard"}:
        return
    library = (card.metadata or {}).get("library_name")
    if library in _LIBRARIES and not known.files & {"config.json", "model_index.json"}:
        line = card.metadata_lines.get("library_name", 1)
        what = f"library_name is {library}, which loads none of the {len(known.saes)} SAEs here"
        yield Finding(line, what, "warn", str(library))
    title = next((p for p in card.passages if p.kind == "heading" and p.level == 1), None)
    named = {found.lower() for found in _TITLE.findall(title.text)} if title else set()
    if title and len(named) == 1 and not named & kinds and not _may_be(named, kinds):
        what = f"the title has {min(named)}, and the configs {_list(kinds)}"
        yield Finding(title.line, what, "warn", title.text)
    tensors = {name for kind in kinds if kind for name in TENSOR_SHAPES[kind]}
    for sentence in card.sentences:
        text = sentence.text.replace("\n", " ")
        for found in _THESE.finditer(text):
            kind = found[1].lower()
            if kind not in kinds and not _may_be({kind}, kinds):
                what = f"{found[0]!r}, and the configs have {_list(kinds)}"
                yield Finding(sentence.line_of(found.start()), what, "warn", found[0])
        each = _EACH_HAS.search(text)
        if each and "threshold" not in tensors:
            what = f"{each[0]!r}, and {_list(kinds)} SAEs have no threshold"
            yield Finding(sentence.line_of(each.start()), what, "warn", each[0])
        for found in _TENSORS.finditer(text):
            extra = [name for name in _NAME.finditer(found[1]) if name[1] not in tensors]
            if extra and not re.search(r"\b(?:no|not|without|unlike)\b", found[1]):
                listed = " and ".join(name[1] for name in extra)
                at = sentence.line_of(found.start(1) + extra[0].start())
                yield Finding(at, f"{listed}, which {_list(kinds)} SAEs have not", "warn", found[0])


def _may_be(named: set[str], kinds: set[str | None]) -> bool:
    """BatchTopK is trained as TopK and saved as jumprelu; standard ones may be called anything."""
    return ("jumprelu" in kinds and named <= {"topk", "standard"}) or named == {"standard"}


def _list(kinds: set[str | None]) -> str:
    return ", ".join(sorted(kind for kind in kinds if kind))
