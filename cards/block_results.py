"""What came of running the code blocks of a card: the section `blocks` of card.json.

The section belongs to the text of the Python blocks, in their order, and to the files of the
repository that they read. With other code or other files it says nothing, so it is read back only
where both are unchanged. The words around the blocks may change: only their lines move then.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from pydantic import ConfigDict, Field, NonNegativeInt, ValidationError

from manifests.build_folder import write_atomically
from manifests.digests import bytes_sha256, file_sha256
from manifests.fields import RelativePath, Sha256, Strict
from validators.readme.snippets import README, PythonBlock, python_blocks

SECTION = "blocks"
CARD = "card.json"
_NOTHING: Mapping[str, Any] = MappingProxyType({})
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
        code_sha256: of the text of the blocks, as `code_sha256` computes it.
        files: SHA-256 of every file of the repository that the blocks downloaded, by path; but for
            card.json, which holds this section.
        base_model: None: no block names the base model.
        environment: versions of Python and of the packages that ran them.
        runs: in the order of the card.
    """

    code_sha256: Sha256
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


def code_sha256(blocks: Sequence[PythonBlock]) -> str:
    """SHA-256 of the blocks' text, one after the other: of a JSON list of strings, in ASCII."""
    return bytes_sha256(json.dumps([block.code for block in blocks]).encode("ascii"))


def kept_blocks(
    repository: Path, pages: Mapping[str, bytes], elsewhere: Mapping[str, str] = _NOTHING
) -> dict[str, Any] | None:
    """The section of the card.json that lies in a folder, if it holds for a card.

    Args:
        repository: the folder, with card.json and the files that the blocks read.
        pages: README.md, and whatever else will lie there in place of what does, by path.
        elsewhere: SHA-256 of files that the folder may lack, by path: of SAEs in a fresh clone.

    Returns:
        The section, with the lines that the blocks have in this README.md; None: there is none, or
        it is of other code or other files, or damaged.
    """
    found = _of_card(repository, pages, elsewhere)
    return None if found is None else found.as_json()


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


def current_blocks(
    repository: Path, elsewhere: Mapping[str, str] = _NOTHING
) -> BlockResults | None:
    """As `kept_blocks`, for the README.md that lies there."""
    readme = repository / README
    if not readme.is_file():
        return None
    return _of_card(repository, {README: readme.read_bytes()}, elsewhere)


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


def _of_card(
    repository: Path, pages: Mapping[str, bytes], elsewhere: Mapping[str, str]
) -> BlockResults | None:
    found = read_blocks(repository)
    if found is None:
        return None
    blocks = python_blocks(pages[README].decode("utf-8", "replace"))
    if found.code_sha256 != code_sha256(blocks) or len(found.runs) != len(blocks):
        return None
    if any(_sha256(repository, path, pages, elsewhere) != was for path, was in found.files.items()):
        return None
    return _with_lines(found, [block.line for block in blocks])


def _sha256(
    repository: Path, path: str, pages: Mapping[str, bytes], elsewhere: Mapping[str, str]
) -> str | None:
    if path in pages:
        return bytes_sha256(pages[path])
    file = repository.joinpath(*path.split("/"))
    return file_sha256(file) if file.is_file() else elsewhere.get(path)


def _with_lines(found: BlockResults, lines: Sequence[int]) -> BlockResults | None:
    """The results with the lines that the blocks have now.

    None where a failure moved: its message may name lines too.
    """
    if [run.line for run in found.runs] == [*lines]:
        return found
    if found.failed:
        return None
    runs = (
        run.model_copy(
            update={
                "line": line,
                "error_line": run.error_line and run.error_line + line - run.line,
            }
        )
        for run, line in zip(found.runs, lines, strict=True)
    )
    return found.model_copy(update={"runs": tuple(runs)})
