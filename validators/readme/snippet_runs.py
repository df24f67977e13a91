"""Running the code blocks of a README, because the caller asked for it."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from validators.readme import snippet_child
from validators.readme.gpu_blocks import names_gpu
from validators.readme.snippets import PythonBlock
from validators.saelens.child_process import run_python
from validators.saelens.hub_access import ServedRepository
from validators.saelens.hub_loading import readable_card_code, served_repo_id
from validators.subjects import RepositorySubject

# How transformers and huggingface_hub say that a Hub has no such repository.
_MISSING_REPOSITORY = re.compile(
    r"\b([\w.-]{1,96}/[\w.-]{1,96}) is not a local folder"
    r"|Repository Not Found for url: https?://[^/\s]+/(?:api/(?:models|datasets)/)?"
    r"([\w.-]{1,96}/[\w.-]{1,96})"
)
_START_S, _PER_BLOCK_S = 180.0, 120.0


@dataclass(frozen=True)
class SnippetRun:
    """What came of one block.

    Attributes:
        line: of README.md, where it failed, or where the block begins.
        error: type and message; empty: it ran.
        needs: the repository on the Hub that it could not have, since only a copy of this one was
            served; empty: none.
    """

    line: int
    error: str
    needs: str = ""


@dataclass(frozen=True)
class BlockAnswer:
    """How one block ended.

    Attributes:
        line: of README.md, where the block begins.
        error: type and message; empty: it ran, or was not begun.
        error_line: of README.md, where it failed.
        error_type: the exception's class; empty: none, or the process ended.
        missing: the variable or module that a NameError or ImportError names; else empty.
        lacks_gpu: it names a GPU, this machine has none, and it was not begun.
    """

    line: int
    error: str = ""
    error_line: int = 0
    error_type: str = ""
    missing: str = ""
    lacks_gpu: bool = False


def run_blocks(
    blocks: Sequence[PythonBlock], served: ServedRepository, *, skip_gpu: bool
) -> tuple[BlockAnswer, ...]:
    """Run blocks one after the other in a process of its own, against one Hub.

    The process starts in an empty folder, with the Hub as its HF_ENDPOINT and no token but the one
    of `served`. Names that a block defines are there in the next ones.

    Args:
        blocks: those that Python can read, in the card's order.
        served: the Hub.
        skip_gpu: leave out blocks that name a GPU, where the machine has none.

    Returns:
        One answer for each block, up to the one at which the process ended, if it did.
    """
    with tempfile.TemporaryDirectory(prefix="sae-release-", ignore_cleanup_errors=True) as name:
        results = Path(name) / "results.jsonl"
        request = {
            snippet_child.BLOCKS: [
                (b.line, b.code, skip_gpu and b.tree is not None and names_gpu(b.tree))
                for b in blocks
            ],
            snippet_child.RESULTS: str(results),
        }
        ended = run_python(
            snippet_child.__file__,
            folder=Path(name) / "process",
            served=served,
            stdin=json.dumps(request),
            timeout_s=_START_S + _PER_BLOCK_S * len(blocks),
        )
        lines = results.read_text(encoding="utf-8").splitlines() if results.exists() else []
    found = {a["line"]: a for line in lines if "error" in (a := json.loads(line))}
    answers: list[BlockAnswer] = []
    for block in blocks:
        if block.line not in found:
            answers.append(BlockAnswer(block.line, f"the process {ended.in_words}", block.line))
            break
        error, lacks_gpu = found[block.line]["error"], found[block.line]["lacks_gpu"]
        if error is None:
            answers.append(BlockAnswer(block.line, lacks_gpu=lacks_gpu))
            continue
        answers.append(
            BlockAnswer(
                block.line,
                error=": ".join(filter(None, (error["type"], error["message"]))),
                error_line=error["line"],
                error_type=error["type"],
                missing=error["name"] or "",
            )
        )
    return tuple(answers)


def run_snippets(subject: RepositorySubject) -> tuple[SnippetRun, ...]:
    """Run the Python blocks of the README as `run_blocks` does, on the Hub that the caller brings.

    What only follows from an earlier failure (a name that is not defined) is left out.

    Raises:
        HubUnavailable: the Hub does not answer.
    """
    assert subject.options.hub is not None
    blocks = [block for block in readable_card_code(subject).blocks if block.tree]
    repo_id = served_repo_id(subject)
    with subject.options.hub(
        subject.repository, repo_id=repo_id, paths=[*subject.repository.files]
    ) as served:
        answers = run_blocks(blocks, served, skip_gpu=False)
    runs: list[SnippetRun] = []
    for answer in answers:
        if not answer.error:
            runs.append(SnippetRun(answer.line, ""))
        elif not (answer.error_type == "NameError" and any(run.error for run in runs)):
            missing = repository_missing(answer.error, but=repo_id) if served.is_copy else ""
            runs.append(SnippetRun(answer.error_line, answer.error, needs=missing))
    return tuple(runs)


def repository_missing(error: str, *, but: str) -> str:
    """The repository that an error of the Hub's clients is about; empty: none, or the one named."""
    found = _MISSING_REPOSITORY.search(error)
    named = next(filter(None, found.groups()), "") if found else ""
    return named if named.lower() != but.lower() else ""
