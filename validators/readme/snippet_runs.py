"""Running the code blocks of a README, because the caller asked for it."""

from __future__ import annotations

import json
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from validators.readme import snippet_child
from validators.saelens.child_process import run_python
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


def run_snippets(subject: RepositorySubject) -> tuple[SnippetRun, ...]:
    """Run the Python blocks of the README one after the other in a process of its own.

    The process starts in an empty folder, without tokens, with the Hub that the caller provides as
    its HF_ENDPOINT. Names that a block defines are there in the next ones; what only follows from
    an earlier failure (a name that is not defined) is left out.

    Raises:
        HubUnavailable: the Hub does not answer.
    """
    assert subject.options.hub is not None
    blocks = [
        (block.line, block.code) for block in readable_card_code(subject).blocks if block.tree
    ]
    repo_id = served_repo_id(subject)
    with (
        tempfile.TemporaryDirectory(prefix="sae-release-", ignore_cleanup_errors=True) as name,
        subject.options.hub(
            subject.repository, repo_id=repo_id, paths=[*subject.repository.files]
        ) as served,
    ):
        results = Path(name) / "results.jsonl"
        ended = run_python(
            ["-P", snippet_child.__file__],
            folder=Path(name) / "process",
            served=served,
            stdin=json.dumps({snippet_child.BLOCKS: blocks, snippet_child.RESULTS: str(results)}),
            timeout_s=_START_S + _PER_BLOCK_S * len(blocks),
        )
        lines = results.read_text(encoding="utf-8").splitlines() if results.exists() else []
    answers = {a["line"]: a["error"] for line in lines if "error" in (a := json.loads(line))}
    runs: list[SnippetRun] = []
    for line, _ in blocks:
        if line not in answers:
            runs.append(SnippetRun(line, f"the process {ended.in_words}"))
            break
        error = answers[line]
        if error is None:
            runs.append(SnippetRun(line, ""))
        elif not (error["type"] == "NameError" and any(run.error for run in runs)):
            text = ": ".join(filter(None, (error["type"], error["message"])))
            missing = _other_repository(text, repo_id) if served.is_copy else ""
            runs.append(SnippetRun(error["line"], text, needs=missing))
    return tuple(runs)


def _other_repository(error: str, repo_id: str) -> str:
    """The repository that an error of the Hub's clients is about, if it is another than this."""
    found = _MISSING_REPOSITORY.search(error)
    named = next(filter(None, found.groups()), "") if found else ""
    return named if named.lower() != repo_id.lower() else ""
