"""config.json of a collection: its repositories, their SAEs where they are known.

The Hub counts a download when this file is asked for, as the card's loading example does.
"""

from __future__ import annotations

from typing import Any

from cards.collection.sources import CollectionSources, MemberSources

FORMAT = "sae-release.collection-index/1"


def collection_index(sources: CollectionSources) -> dict[str, Any]:
    """The index as JSON values; null stands for what no source states.

    `counted_by` says where a member's `n_saes` comes from: its manifest, or the number that its own
    page reports.
    """
    loaded = sources.loaded
    return {
        "format": FORMAT,
        "repo_id": loaded.collection.repo_id,
        "library_name": "saelens",
        "n_saes": {
            "from_manifests": loaded.n_derived,
            "reported": loaded.n_known - loaded.n_derived,
            "known": loaded.n_known,
        },
        "members": [_entry(member) for member in sources.members],
    }


def _entry(member: MemberSources) -> dict[str, Any]:
    counted, loaded = member.counted, member.counted.loaded
    model = loaded.manifest.base_model if loaded else counted.registered
    specs = loaded.saes if loaded else ()
    counted_by = "reported" if counted.n_saes is not None else None
    return {
        "repo_id": counted.repo_id,
        "base_model": {
            "id": model.id,
            "revision": model.revision,
            "model_type": model.model_type,
            "n_layers": model.n_layers,
        },
        "n_saes": counted.n_saes,
        "n_variants": counted.n_variants,
        "counted_by": "manifest" if loaded else counted_by,
        "reported_n_saes": counted.reported_n_saes,
        "source": counted.source,
        "is_measured": member.is_measured,
        "manifest_sha256": loaded.digest if loaded else None,
        "layers": sorted({spec.layer for spec in specs}) if loaded else None,
        "architectures": list(dict.fromkeys(s.architecture for s in specs)) if loaded else None,
        "conditions": list(dict.fromkeys(s.condition for s in specs)) if loaded else None,
        "d_sae": specs[0].d_sae if specs else None,
        "sae_ids": [spec.sae_id for spec in specs] if loaded else None,
    }
