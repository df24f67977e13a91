"""What a manifest requires of portability, held against what was measured."""

from __future__ import annotations

from manifests.model import Manifest
from validators.base_models.named_precisions import named_precision
from validators.report import Portability


def unmet_requirements(manifest: Manifest, found: Portability | None) -> tuple[str, ...]:
    """One sentence for each SAE and required precision where it was not found to work.

    And one for each size that the manifest claims and the loaded model does not have.
    """
    own = manifest.base_model.precision
    required = tuple(
        named_precision(name, trained_at=own).label for name in manifest.portability.require
    )
    if not required:
        return () if found is None else _untrue(found)
    if found is None:
        return (f"portability to {', '.join(required)} is required and was not measured",)
    unmet = [
        f"{sae_id} at {label}: "
        + (shifts[label].verdict.sentence if label in shifts else "not measured")
        for sae_id, shifts in found.saes.items()
        for label in required
        if label not in shifts or shifts[label].verdict.verdict != "works"
    ]
    return (*unmet, *_untrue(found))


def _untrue(found: Portability) -> tuple[str, ...]:
    return tuple(one.sentence for one in found.claimed if not one.holds)
