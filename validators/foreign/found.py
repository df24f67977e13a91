"""What is known of one SAE that another project saved."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ForeignSae:
    """One SAE in a format that SAELens does not read as its own.

    Attributes:
        format: the format's id, a key of `FORMATS`.
        folder: path_in_repo of the folder it lies in; "." is the repository itself.
        files: path_in_repo of the files that make it up, weights first.
        detail: what was seen of it, in one phrase: sizes, architecture, model.
    """

    format: str
    folder: str
    files: tuple[str, ...]
    detail: str
