"""Every command and every Python block of the documentation, and how the tests treat each.

A command is *run* where a small stand-in of the study and Hubs on loopback are enough; torch makes
some of them *slow*. What needs a GPU, an account or an hour is read by the parser that would read
it, and is *parsed only*, with the reason.
"""

from __future__ import annotations

import re
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

ROOT = Path(__file__).resolve().parents[2]
How = Literal["run", "run, slow", "parsed only"]

_FENCE = re.compile(r"^\s*```(\w*)")
_SHELL = ("console", "bash", "sh", "shell")
_BEGINS = ("release ", "python ", "make ", "hf ", "uv ", "git ")

# Each with the reason why the tests only read it.
PARSED_ONLY: tuple[tuple[str, str], ...] = (
    (r"--device cuda|--torch cuda", "needs a GPU"),
    (r"--submit", "starts a job that costs"),
    (r"--identity", "needs Sigstore's services"),
    (r"--ray-address", "needs a cluster"),
    (r"^git clone|^hf extensions|^uv |pip install", "reaches the network"),
    (r"^hf sae", "needs the extension; tests/release/test_hf_extension.py installs it"),
    (r"^source |^cd ", "is of the shell alone"),
    (r"^(python make\.py|make) (test|types|lint|format|setup)", "is what runs these tests"),
    (r"^python docs/generator", "writes into this working tree; test_site.py calls it"),
    (r"^python docs/gallery", "takes pictures in a browser"),
    *([] if shutil.which("openssl") else [(r"^openssl", "openssl is not installed here")]),
)
# Verbs that load no torch, on what the light sandbox holds.
_LIGHT = re.compile(
    r"release (show|explain|schema) .*|release status"
    r"|release validate owner/name"
)
_LIGHT_PYTHON = ("docs/explanation/explained-variance.md", "docs/howto/add-a-check.md")


@dataclass(frozen=True)
class DocStep:
    """A command or a Python block: where it stands, and its text without prompt and comment."""

    page: str
    line: int
    kind: Literal["command", "python"]
    text: str

    @property
    def where(self) -> str:
        """`page:line`, as messages name it."""
        return f"{self.page}:{self.line}"

    @property
    def words(self) -> list[str]:
        """The command's words, as a shell would split them."""
        return shlex.split(self.text, comments=True)

    @property
    def reason(self) -> str:
        """Why a command is parsed only; empty where it is run."""
        if self.kind == "python":
            return ""
        return next((why for form, why in PARSED_ONLY if re.search(form, self.text)), "")

    @property
    def how(self) -> How:
        """What the tests do with it."""
        if self.reason:
            return "parsed only"
        if self.kind == "python":
            return "run" if self.page in _LIGHT_PYTHON else "run, slow"
        return "run" if _LIGHT.fullmatch(" ".join(self.words)) else "run, slow"


def pages() -> list[Path]:
    """Every Markdown page of the project; the cards of the gallery are the Hub's."""
    found = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    return sorted(
        p for p in found if not (p.name == "README.md" and p.parents[1].name == "gallery")
    )


def steps() -> list[DocStep]:
    """All commands and Python blocks, in the order of pages and lines."""
    return [step for page in pages() for step in steps_of(page.relative_to(ROOT).as_posix())]


def steps_of(page: str) -> list[DocStep]:
    """The commands and Python blocks of one page."""
    return read_steps(page, (ROOT / page).read_text(encoding="utf-8"))


def read_steps(page: str, text: str) -> list[DocStep]:
    """The commands and Python blocks of a page's Markdown.

    In a console block, what stands behind a prompt is a command; in a shell block, every line; in a
    block without a language, lines that begin with a command of this project.
    """
    found: list[DocStep] = []
    language: str | None = None
    block: list[str] = []
    began = 0
    for number, line in enumerate(text.splitlines(), start=1):
        fence = _FENCE.match(line)
        if fence and language is None:
            language, block, began = fence.group(1), [], number + 1
        elif fence:
            found += _of_block(page, began, language or "", block)
            language = None
        elif language is not None:
            block.append(line)
    return found


def _of_block(page: str, began: int, language: str, block: list[str]) -> list[DocStep]:
    if language == "python":
        return [DocStep(page, began, "python", "\n".join(block) + "\n")]
    found: list[DocStep] = []
    continued = ""
    for number, raw in enumerate(block, start=began):
        line = raw.strip()
        if not continued:
            if language == "console" and not line.startswith("$ "):
                continue
            if language in _SHELL and language != "console" and line.startswith("#"):
                continue
            if language not in ("", *_SHELL) or (not language and not line.startswith(_BEGINS)):
                continue
        command = continued + line.removeprefix("$ ")
        continued = command.removesuffix("\\") if command.endswith("\\") else ""
        if command and not continued:
            found.append(DocStep(page, number, "command", command))
    return found


def mentions() -> list[tuple[str, str]]:
    """(page, command) of each `release ...` in running text, with its verb in lower case."""
    found = []
    for page in pages():
        prose, fenced = [], False
        for line in page.read_text(encoding="utf-8").splitlines():
            if _FENCE.match(line):
                fenced = not fenced
            elif not fenced:
                prose.append(line)
        name = page.relative_to(ROOT).as_posix()
        spans = re.findall(r"`([^`]+)`", " ".join(prose))
        found += [(name, span) for span in spans if re.match(r"release [a-z]", span)]
    return found
