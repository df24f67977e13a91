"""Whether the tables of a report are of the weights and the settings that the card is about."""

from __future__ import annotations

from collections.abc import Iterator

from cards.made_files import MadeFiles, different_files
from manifests.digests import json_sha256
from manifests.load import LoadedManifest
from validators.report import Tables

MADE_BY = "release measure MANIFEST"
# The key of `Tables.inputs` for the settings, which lie in no file of their own.
MEASURE = "manifest:measure"
TABLES = "the tables"


def different_tables(
    loaded: LoadedManifest, made: MadeFiles, tables: Tables | None
) -> Iterator[str]:
    """What the tables were made of that is not what manifest and files are.

    Args:
        loaded: the manifest.
        made: the SAEs' files.
        tables: a report's section; None, and there is nothing to differ.
    """
    if tables is None:
        return
    yield from different_files(TABLES, made, tables.inputs)
    measured = tables.inputs.get(MEASURE)
    if measured not in (None, json_sha256(loaded.manifest.measure.model_dump(mode="json"))):
        yield "the tables were made with other settings than the manifest's `measure` has"
    sae_ids = {spec.sae_id for spec in loaded.saes}
    yield from lacking(TABLES, "the SAE", sae_ids, set(tables.saes))
    layers = {str(spec.layer) for spec in loaded.saes}
    yield from lacking(TABLES, "the layer", layers, set(tables.layers))
    if tables.peak_layer is not None and tables.peak_layer not in layers:
        yield f"the tables' peak is the layer {tables.peak_layer}, which has no SAEs"
    named = {sae_id for each in tables.contrasts for sae_id in (each.first, each.second)}
    for sae_id in sorted((named | {each.sae_id for each in tables.steering}) - sae_ids):
        yield f"the tables compare or steer with the SAE {sae_id}, which the manifest does not name"


def lacking(whose: str, what: str, wanted: set[str], found: set[str]) -> Iterator[str]:
    """What a section (`whose`, in the plural) lacks, and what it has beyond the manifest."""
    for name in sorted(wanted - found):
        yield f"{whose} lack {what} {name}"
    for name in sorted(found - wanted):
        yield f"{whose} have {what} {name}, which the manifest does not name"
