"""What an adopted release is: weights that were published before, and no training record.

A manifest that names where its weights came from (`weights`) and a build without a training record
make one: its SAEs are checked and described, and how they were made nobody recorded.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

from manifests.build_folder import BuildFolder
from manifests.load import LoadedManifest
from validators.report import Tier

_TIERS: tuple[Tier, ...] = get_args(Tier)


def is_adopted(loaded: LoadedManifest, build: BuildFolder) -> bool:
    """Whether the weights came from where the manifest says, and were not trained here."""
    return not build.training_json.is_file() and loaded.manifest.weights is not None


def has_data(loaded: LoadedManifest) -> bool:
    """Whether the manifest names data that activations can be read on."""
    data = loaded.manifest.data
    return data.file is not None or data.dataset is not None


def required_tiers(loaded: LoadedManifest, build: BuildFolder) -> tuple[Tier, ...]:
    """How far a release has to be checked: an adopted one without data, up to loading."""
    if is_adopted(loaded, build) and not has_data(loaded):
        return _TIERS[: _TIERS.index("load") + 1]
    return _TIERS


def left_unchecked(
    loaded: LoadedManifest, build: BuildFolder, tiers: tuple[Tier, ...]
) -> tuple[str, ...]:
    """What a push of an adopted release leaves open, in sentences; nothing of any other release.

    Args:
        loaded: the manifest.
        build: its build folder.
        tiers: those that the report has.
    """
    if not is_adopted(loaded, build):
        return ()
    return tuple(_left_unchecked(tiers))


def _left_unchecked(tiers: tuple[Tier, ...]) -> Iterator[str]:
    yield "how the weights were made: there is no training.json"
    if "activations" not in tiers:
        yield "what the SAEs do to their base model: the manifest names no data to measure on"
