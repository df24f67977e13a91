"""`release validate --fix`: a mended copy of what was found, and what was done to it in words."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from manifests.errors import UsageError
from manifests.progress import Progress
from release.validation import Found
from validators.claim import local_claim, published_claim
from validators.presenting.printable import name_of, no_command, one_line
from validators.presenting.wrapping import wrapped
from validators.reading.local_repository import LocalRepository

if TYPE_CHECKING:
    from validators.mending.mend import Mend, Mended

_MAX_NAMED = 4


def refuse_full_folder(out: Path) -> None:
    """Make sure that a mended copy overwrites nothing.

    Raises:
        UsageError: `out` is a file, or a folder that holds something.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(
            "is a folder that holds something" if out.is_dir() else "is a file",
            where=str(out),
            expected="a new or an empty folder for the mended copy",
            next_step="name another one with --out DIR, or delete this one",
        )


def mend_copy(found: Found, out: Path, *, progress: Progress) -> tuple[Found, Mended]:
    """Write a mended copy of what was found.

    Returns:
        The copy, to be checked in place of what was found; and what was mended and what was left.

    Raises:
        UsageError: `out` is no new or empty folder.
        HubUnavailable: the Hub stopped answering.
    """
    from validators.mending.mend import mend

    refuse_full_folder(out)
    claim = local_claim(found.loaded) if found.loaded else published_claim(found.repository)
    mended = mend(found.repository, claim, out, progress=progress)
    repository = LocalRepository(mended.out)
    return Found(repository, found.loaded, None, found.default_tier, found.name), mended


def mended_text(mended: Mended, *, width: int, told: str = "") -> str:
    """What was mended and what was left: code, SAEs, what and why; one entry for each reason.

    `told` is a line of its own after these.
    """
    lines = [
        *_told(mended.mends, "mended", width),
        *_told(mended.left, "left", width),
        f"{len(mended.mends)} mended and {len(mended.left)} left; the copy is in {mended.out}",
        *([told] if told else []),
        "",
    ]
    return "\n".join(no_command(line) for line in lines)


def _told(mends: Iterable[Mend], word: str, width: int) -> list[str]:
    groups: dict[tuple[str, str], list[Mend]] = {}
    for mend in mends:
        groups.setdefault((mend.code, mend.why), []).append(mend)
    lines = []
    for (code, why), own in sorted(groups.items()):
        # Of one SAE, several tensors may have been mended for one reason.
        sae_ids = list(dict.fromkeys(mend.sae_id for mend in own))
        named = [name_of(sae_id) or "the repository" for sae_id in sae_ids[:_MAX_NAMED]]
        more = f" and {len(sae_ids) - _MAX_NAMED} more" if len(sae_ids) > _MAX_NAMED else ""
        others = len({mend.what for mend in own}) - 1
        such = ", and so on" if others else ""
        text = f"{code} {word} on {', '.join(named)}{more}: {one_line(own[0].what)}{such}"
        lines += wrapped(text, width=width, rest="     ")
        if why:
            lines += wrapped(one_line(why), width=width, first="     why: ", rest="       ")
    return lines
