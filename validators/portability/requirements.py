"""What a manifest requires of portability, held against what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from manifests.build_folder import SAE_CONFIG, SAE_WEIGHTS
from manifests.digests import json_sha256
from manifests.load import LoadedManifest
from manifests.model import Manifest
from validators.base_models.named_precisions import named_precision
from validators.report import Portability, RegimeVerdict

SETTINGS = "manifest:portability"


@dataclass(frozen=True)
class Unmet:
    """One thing that is required or claimed and was not found.

    Attributes:
        sentence: what it is.
        was_measured: whether a measurement speaks against it; else there is none.
    """

    sentence: str
    was_measured: bool


def settings_digest(manifest: Manifest) -> str:
    """SHA-256 of the settings that decide what a measurement of portability says."""
    settings = manifest.portability.model_dump(mode="json", exclude={"require", "precisions"})
    precision = manifest.base_model.precision.model_dump(mode="json")
    return json_sha256(
        {"settings": settings, "trained_at": precision, "data": data_facts(manifest)}
    )


def data_facts(manifest: Manifest) -> dict[str, Any]:
    """What decides which vectors are read, as JSON values; wordings do not."""
    return manifest.data.model_dump(
        mode="json",
        include={"file", "sha256", "dataset", "text", "pooling", "held_out", "conditions"},
    )


def unmet_requirements(manifest: Manifest, found: Portability | None) -> tuple[Unmet, ...]:
    """Every SAE and required precision where it was not found to work.

    And every size that the manifest claims and the loaded model does not have, whether anything is
    required or not; a claim at a precision that was not run is not held against the release.
    """
    own = manifest.base_model.precision
    names = (named_precision(name, trained_at=own) for name in manifest.portability.require)
    required = tuple(dict.fromkeys(name.label for name in names))
    if found is None:
        words = f"{', '.join(required)} required, and not measured: run release portability"
        return (Unmet(words, was_measured=False),) if required else ()
    works = [
        _unmet(sae_id, label, shifts[label].verdict if label in shifts else None)
        for sae_id, shifts in found.saes.items()
        for label in required
        if label not in shifts or shifts[label].verdict.verdict != "works"
    ]
    untrue = [Unmet(one.sentence, was_measured=True) for one in found.claimed if not one.holds]
    return (*works, *untrue)


def _unmet(sae_id: str, label: str, verdict: RegimeVerdict | None) -> Unmet:
    where = f"{sae_id} at {label}"
    if verdict is None:
        return Unmet(f"{where}: not measured: it was not among the precisions", was_measured=False)
    return Unmet(f"{where}: {verdict.sentence}", verdict.verdict != "not measured")


def out_of_date(
    loaded: LoadedManifest, found: Portability, sha256: Mapping[str, str]
) -> tuple[str, ...]:
    """Why a section is about other bytes or settings than those at hand; one sentence each.

    Args:
        loaded: the manifest.
        found: the section.
        sha256: by path_in_repo, of the files as they are.
    """
    reasons = [
        f"it was measured on another {path}"
        for spec in loaded.saes
        for path in (f"{spec.sae_id}/{SAE_CONFIG}", f"{spec.sae_id}/{SAE_WEIGHTS}")
        if found.inputs.get(path) != sha256.get(path)
    ]
    if found.inputs.get(SETTINGS) != settings_digest(loaded.manifest):
        reasons.append("it was measured with other settings of the manifest")
    return tuple(reasons)
