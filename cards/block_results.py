"""What came of running the code blocks of a card: the section `blocks` of card.json.

The section belongs to one README.md and to the files of the repository that the blocks read. With
other bytes it says nothing, so it is read back only where both are unchanged.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, Field, NonNegativeInt, ValidationError

from manifests.build_folder import write_atomically
from manifests.digests import file_sha256
from manifests.fields import RelativePath, Sha256, Strict

SECTION = "blocks"
CARD = "card.json"
Lack = Literal["gpu", "package", "repository", "earlier"] | None


class BlockRun(Strict):
    """One Python block of README.md.

    Attributes:
        line: the line of README.md on which its code begins, from 1.
        outcome: `skipped` blocks were not run, or not to their end for lack of something.
        error: type and message of a failure, or why it was skipped; empty: it ran.
        error_line: the line of README.md that failed; 0: none.
        lacks: what a skipped block lacks: a GPU that it names itself, a Python package, a
            repository of the Hub that is not at hand, or names of an earlier block that did not
            run; None for all others.
    """

    line: NonNegativeInt
    outcome: Literal["ran", "failed", "skipped"]
    error: str = ""
    error_line: NonNegativeInt = 0
    lacks: Lack = None


class UsedBaseModel(Strict):
    """The base model that the blocks loaded under its Hub id.

    Attributes:
        used: the model itself, or a tiny one of the same class with random weights.
        id: the Hub id that it was served under.
        model_class: transformers' class, such as `LlamaForCausalLM`.
        source: where it came from, in words that name no place of a machine.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", protected_namespaces=(), populate_by_name=True
    )

    used: Literal["real", "stand-in"]
    id: str
    model_class: str = Field(alias="class")
    source: str


class BlockResults(Strict):
    """All Python blocks of a card, run one after the other in one interpreter.

    Attributes:
        readme_sha256: of the README.md whose blocks they are.
        files: SHA-256 of every other file of the repository that the blocks downloaded, by path.
        base_model: None: no block names the base model.
        environment: versions of Python and of the packages that ran them.
        runs: in the order of the card.
    """

    readme_sha256: Sha256
    files: dict[RelativePath, Sha256]
    base_model: UsedBaseModel | None
    environment: dict[str, str]
    runs: tuple[BlockRun, ...]

    @property
    def failed(self) -> tuple[BlockRun, ...]:
        """The blocks that a reader could not run either."""
        return tuple(run for run in self.runs if run.outcome == "failed")

    @property
    def unchecked(self) -> tuple[BlockRun, ...]:
        """Blocks that lack something which the machine of a push must have.

        A GPU that a block names is not among that: the card tells its reader of it. A block that
        lacks an earlier one is held up by that one alone.
        """
        return tuple(run for run in self.runs if run.lacks in ("package", "repository"))

    def as_json(self) -> dict[str, Any]:
        """The section as card.json has it."""
        section = self.model_dump(mode="json", by_alias=True, exclude={"runs"})
        runs = [run.model_dump(mode="json", exclude_defaults=True) for run in self.runs]
        return {**section, "runs": runs}


def kept_blocks(repository: Path, readme_sha256: str) -> dict[str, Any] | None:
    """The section of the card.json that lies in a folder, if it is still about these bytes.

    Args:
        repository: the folder, with card.json and the files that the blocks read.
        readme_sha256: of the README.md that lies there or will.

    Returns:
        The section as it stands; None: there is none, or it is of another README.md, of other
        files, or damaged.
    """
    found = read_blocks(repository)
    if found is None or not _is_of(found, repository, readme_sha256):
        return None
    return found.as_json()


def read_blocks(repository: Path) -> BlockResults | None:
    """The section of card.json, of whatever bytes; None where there is none that can be read."""
    try:
        card = json.loads((repository / CARD).read_bytes())
    except (OSError, ValueError):
        return None
    section = card.get(SECTION) if isinstance(card, dict) else None
    if section is None:
        return None
    try:
        return BlockResults.model_validate_json(json.dumps(section))
    except ValidationError:
        return None


def current_blocks(repository: Path) -> BlockResults | None:
    """As `kept_blocks`, for the README.md that lies there."""
    readme, found = repository / "README.md", read_blocks(repository)
    if found is None or not readme.is_file():
        return None
    return found if _is_of(found, repository, file_sha256(readme)) else None


def write_blocks(repository: Path, results: BlockResults) -> None:
    """Put the section at the end of card.json, in place of an older one.

    The bytes are those that rendering gives from then on.

    Raises:
        OSError: there is no card.json, or the folder cannot be written.
        ValueError: card.json is damaged.
    """
    path = repository / CARD
    card = json.loads(path.read_bytes())
    card.pop(SECTION, None)
    card[SECTION] = results.as_json()
    text = json.dumps(card, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    write_atomically(path, text.encode("utf-8"))


def _is_of(found: BlockResults, repository: Path, readme_sha256: str) -> bool:
    return found.readme_sha256 == readme_sha256 and all(
        (file := repository.joinpath(*path.split("/"))).is_file() and file_sha256(file) == sha256
        for path, sha256 in found.files.items()
    )
