"""Whether the numbers at other precisions are of the weights and settings of the card."""

from __future__ import annotations

from collections.abc import Iterator

from cards.made_files import MadeFiles, different_files
from cards.sections.table_sources import lacking
from manifests.load import LoadedManifest
from validators.base_models.named_precisions import precision_label
from validators.portability.requirements import SETTINGS, settings_digest
from validators.report import Portability

MADE_BY = "release portability MANIFEST"
NUMBERS = "the numbers at other precisions"


def different_portability(
    loaded: LoadedManifest, made: MadeFiles, found: Portability | None
) -> Iterator[str]:
    """What the section was made of that is not what manifest and files are.

    Args:
        loaded: the manifest.
        made: the SAEs' files.
        found: a report's section; None, and there is nothing to differ.
    """
    if found is None:
        return
    manifest = loaded.manifest
    yield from different_files(NUMBERS, made, found.inputs)
    if found.inputs.get(SETTINGS) != settings_digest(manifest):
        yield f"{NUMBERS} were made with other settings than the manifest's `portability` has"
    own = precision_label(manifest.base_model.precision)
    if found.trained_at != own:
        yield f"{NUMBERS} are held against {found.trained_at}, the manifest's precision is {own}"
    if found.trained_at not in found.precisions:
        yield f"{NUMBERS} lack the precision {found.trained_at} that they are held against"
    sae_ids = {spec.sae_id for spec in loaded.saes}
    yield from lacking(NUMBERS, "the SAE", sae_ids, set(found.saes))
    unlike = [set(found.precisions) ^ set(shifts) for shifts in found.saes.values()]
    for label in sorted(set[str]().union(*unlike)):
        yield f"{NUMBERS} are there for the precision {label} in part only"
    for sae_id in sorted(set(found.retrained) - sae_ids):
        yield f"{NUMBERS} name the retrained SAE {sae_id}, which the manifest does not name"
