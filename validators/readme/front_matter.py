"""The metadata of a card: what the Hub shows, counts and filters by."""

from __future__ import annotations

from collections.abc import Iterator

from validators.readme.card_text import CardText
from validators.readme.findings import Finding

_LIBRARY = "saelens"
# What people write for it; the Hub knows only the one above.
_SLIPS = ("sae_lens", "sae-lens", "sae lens")


def lint_front_matter(card: CardText) -> Iterator[Finding]:
    """Licence, base model and its relation, library and tags: there, and spelled as known."""
    if card.metadata_error:
        yield Finding(1, f"the front matter is no YAML mapping: {card.metadata_error:.120}", "fail")
        return
    if card.metadata is None:
        what = "no front matter: neither license, base_model, library_name nor tags"
        yield Finding(1, what, "warn")
        return
    missing = [
        key for key in ("license", "base_model", "library_name") if not card.metadata.get(key)
    ]
    if missing:
        yield Finding(1, f"the front matter has no {', '.join(missing)}", "warn")
    library = card.metadata.get("library_name")
    if isinstance(library, str) and library != _LIBRARY:
        is_slip = library.lower() == _LIBRARY or library.lower() in _SLIPS
        if is_slip:
            what = f"library_name is {library!r:.40}, and the Hub knows {_LIBRARY!r}"
            yield Finding(1, what, "warn", library)
    if card.metadata.get("base_model") and not card.metadata.get("base_model_relation"):
        what = "no base_model_relation: the Hub shows the SAEs as a finetuned model"
        yield Finding(1, what, "note")
    if not card.metadata.get("tags"):
        yield Finding(1, "the front matter has no tags", "note")
