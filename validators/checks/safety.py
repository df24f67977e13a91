"""F and S: names and files that harm, mislead or are lost on another system."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from pathlib import PurePosixPath

from validators.check import Passed, Problem, Verdict, repository_check
from validators.presenting.printable import name_of
from validators.published_secrets import secrets_in
from validators.reading.repository import Repository, UnreadableFile
from validators.subjects import RepositorySubject

MAX_TEXT_BYTES = 1_000_000
MAX_TEXTS_BYTES = 20_000_000
MAX_NAME_BYTES = 255
_MOST_NAMED = 5

_TEXTS = (".json", ".jsonl", ".md", ".toml", ".txt", ".yaml", ".yml", ".py", ".cfg", ".ini", ".env")
_RESERVED = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\.|$)", re.IGNORECASE)
_NOT_ON_WINDOWS = frozenset('<>:"|?*')


@repository_check(
    "F030", "no two names fall together on another system", tier="static", severity="warn"
)
def names_do_not_collide(subject: RepositorySubject) -> Verdict:
    """On Windows and macOS `L1/cfg.json` and `l1/cfg.json` are one file: one SAE replaces another.

    The Hub and Linux keep both, so the loss is seen only by those who download. The same holds
    for names whose accents are composed differently in Unicode.

    Example: `GPT2_topk_L8/` was renamed to `gpt2_topk_L8/`, and both are in the repository.

    To mend it: rename or delete one of the two.
    """
    names: dict[str, str] = {}
    pairs: dict[str, str] = {}
    for path in subject.repository.files:
        for place in (*(str(p) for p in PurePosixPath(path).parents if str(p) != "."), path):
            first = names.setdefault(unicodedata.normalize("NFC", place).casefold(), place)
            if first != place:
                pairs.setdefault(place, first)
                # What lies below two folders that fall together is told with them.
                break
    if not pairs:
        return Passed()
    return Problem(
        _listed(
            [f"{name_of(first)} and {name_of(second)}" for second, first in sorted(pairs.items())]
        ),
        "names that differ by more than case or the composition of accents",
        "rename or delete one of each two",
    )


@repository_check("F031", "everything in the repository can be read", tier="static")
def everything_can_be_read(subject: RepositorySubject) -> Verdict:
    """What cannot be read was not checked, so nothing can be said of it.

    Named pipes and devices are never opened: reading one can wait for ever.

    Example: `L8/` belongs to another user; `L8/cfg.json` is a named pipe; a name that holds a
    line break or a terminal's escape sequence.

    To mend it: delete it, rename it, or give yourself the right to read it.
    """
    if not subject.repository.unreadable:
        return Passed()
    return Problem(
        _listed([f"{path} {why}" for path, why in subject.repository.unreadable.items()]),
        "plain files with plain names, at most 32 folders deep, that this user may read",
        "delete or rename them, or change their permissions",
    )


@repository_check("S002", "file names can be used on every system", tier="static", severity="warn")
def names_are_portable(subject: RepositorySubject) -> Verdict:
    """A name that Windows refuses makes the whole repository impossible to check out there.

    Refused are reserved names (`con`, `aux.json`), `< > : " | ? *`, a dot or space at the end, and
    more than 255 bytes. Invisible characters that reorder text make a name look like another one.

    Example: `blocks.8:hook_resid_post/cfg.json`; `aux.json`.

    To mend it: rename the file or folder.
    """
    odd = {
        path: reason for path in subject.repository.files if (reason := _why_odd(path)) is not None
    }
    if not odd:
        return Passed()
    return Problem(
        _listed([f"{name_of(path)}: {reason}" for path, reason in odd.items()]),
        "names of visible characters that Windows, macOS and Linux all take",
        "rename them",
    )


@repository_check("S003", "no password or token is published", tier="static")
def no_secret_is_published(subject: RepositorySubject) -> Verdict:
    """A token in a public repository is found and used within minutes, by machines that search.

    Looked for are tokens whose form tells what they are (Hugging Face, OpenAI, Anthropic, GitHub,
    AWS, Google, Slack) and private keys, in text files of up to 1 MB (20 MB in
    all); on a Hub only in those at the top. A report names the kind and the line, never the token.

    Example: a training config that was saved with `hf_token`, copied into the README.

    To mend it: revoke the token first, where it was issued; deleting the line leaves it in the
    history. Then remove it from the file.
    """
    found = [
        f"{name_of(path)} line {line}: {kind}"
        for path, text in _texts(subject.repository)
        for line, kind in secrets_in(text)
    ]
    if not found:
        return Passed()
    return Problem(
        _listed(found),
        "files that may be read by everybody",
        "revoke it where it was issued, then remove it; the history keeps what was pushed",
    )


def _why_odd(path: str) -> str | None:
    for part in path.split("/"):
        if _RESERVED.match(part):
            return f"{part:.40} is reserved on Windows"
        if wrong := sorted(_NOT_ON_WINDOWS & set(part)):
            return f"{' '.join(wrong)} cannot be part of a name on Windows"
        if part.endswith((".", " ")):
            return "ends in a dot or a space, which Windows cuts off"
        if len(part.encode("utf-8", "surrogatepass")) > MAX_NAME_BYTES:
            return f"is longer than {MAX_NAME_BYTES} bytes"
        if any(unicodedata.category(character) == "Cf" for character in part):
            return "holds an invisible character"
    return None


def _texts(repository: Repository) -> Iterator[tuple[str, str]]:
    """The text files that are read for secrets, the top of the repository first."""
    left = MAX_TEXTS_BYTES
    for path in sorted(repository.files, key=lambda path: (path.count("/"), path)):
        size = repository.files[path]
        is_near = repository.is_local or "/" not in path
        if not is_near or not path.lower().endswith(_TEXTS) or size > min(left, MAX_TEXT_BYTES):
            continue
        left -= size
        try:
            yield path, repository.read_text(path, max_bytes=MAX_TEXT_BYTES)
        except UnreadableFile:
            # Other checks tell of it where it matters; bytes that are no text hold no such token.
            continue


def _listed(items: list[str]) -> str:
    rest = f" and {len(items) - _MOST_NAMED} more" if len(items) > _MOST_NAMED else ""
    return "; ".join(item[:300] for item in items[:_MOST_NAMED]) + rest
