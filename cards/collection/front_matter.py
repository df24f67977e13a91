"""The YAML block at the top of a collection's README.md, of which the Hub makes tags and links.

It has no results: a number over SAEs of different base models, layers and sparsities describes none
of them, and each repository states its own.
"""

from __future__ import annotations

from huggingface_hub import ModelCardData

from cards.escaping import Markdown
from cards.licenses import hub_license
from manifests.collection import CountedMember, LoadedCollection

_ORDER = (
    *("license", "library_name", "base_model", "base_model_relation"),
    *("datasets", "language", "tags"),
)


def collection_front_matter(loaded: LoadedCollection) -> Markdown:
    """The block without its `---` lines; members of unlike relations leave `relation` out.

    Raises:
        UnknownLicense: the Hub does not know the collection's license id.
    """
    stated = loaded.collection
    relations = {_relation(member) for member in loaded.members}
    datasets = dict.fromkeys(
        member.loaded.manifest.data.dataset.id
        for member in loaded.members
        if member.loaded and member.loaded.manifest.data.dataset
    )
    data = ModelCardData(
        license=hub_license(stated.license) if stated.license else None,
        library_name="saelens",
        base_model=list(dict.fromkeys(member.base_model_id for member in loaded.members)),
        base_model_relation=relations.pop() if len(relations) == 1 else None,
        datasets=[*datasets] or None,
        language=list(stated.language),
        tags=list(dict.fromkeys(" ".join(tag.split()) for tag in stated.tags)) or None,
    )
    return Markdown(data.to_yaml(line_break="\n", original_order=list(_ORDER)))


def _relation(member: CountedMember) -> str:
    if member.loaded:
        return member.loaded.manifest.base_model.relation
    return member.registered.relation
