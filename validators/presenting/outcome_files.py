"""Which file of a repository an outcome is about, for formats that put results beside files."""

from __future__ import annotations

from manifests.build_folder import SAE_CONFIG, SAE_WEIGHTS
from validators.claim import PUBLISHED_MANIFEST
from validators.report import Outcome
from validators.subjects import TRAINING_RECORD

README = "README.md"
_IN_WEIGHTS = "WN"
_OF_REPOSITORY = {"M": PUBLISHED_MANIFEST, "T": TRAINING_RECORD}


def file_of(outcome: Outcome) -> str:
    """path_in_repo of the file that a reader would open first.

    Weights (W) and what they do on activations (N) are in the weights file, all else of an SAE in
    its config. What is about the repository as a whole is put beside its README.
    """
    family, subject = outcome.code[0], outcome.subject
    if family == "R" or not subject:
        return _OF_REPOSITORY.get(family, README)
    file = SAE_WEIGHTS if family in _IN_WEIGHTS else SAE_CONFIG
    return file if subject == "." else f"{subject}/{file}"
