"""Which folders of a repository are SAELens' own, and which belong to another project."""

from __future__ import annotations

from manifests.build_folder import SAE_CONFIG, SAE_WEIGHTS
from validators.foreign.recognise import ForeignSae, recognise
from validators.reading.repository import Repository


def saelens_folders(repository: Repository, sae_folders: tuple[str, ...]) -> tuple[str, ...]:
    """Of the folders with a config or weights, those that are not another project's."""
    return tuple(folder for folder in sae_folders if foreign_in(repository, folder) is None)


def foreign_in(repository: Repository, folder: str) -> ForeignSae | None:
    """What another project keeps in a folder; None where SAELens' two files are there."""
    own = [name if folder == "." else f"{folder}/{name}" for name in (SAE_CONFIG, SAE_WEIGHTS)]
    if all(path in repository.files for path in own):
        return None
    return next((sae for sae in recognise(repository) if sae.folder == folder), None)
