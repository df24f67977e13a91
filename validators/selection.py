"""Which checks are reported, and which have to be asked for that."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from manifests.errors import UsageError
from manifests.nearest import did_you_mean, nearest
from validators.check import FAMILIES, Check

_SEPARATOR = re.compile(r"[,\s]+")


@dataclass(frozen=True)
class Selection:
    """Prefixes of codes: `W` is a family, `W1` a tier of it, `W103` one check.

    Attributes:
        select: what is reported; empty: everything.
        ignore: what is left out of that.
    """

    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()

    def reports(self, code: str) -> bool:
        """Whether the outcomes of a check are asked for."""
        wanted = not self.select or code.startswith(self.select)
        return wanted and not self.ignores(code)

    def ignores(self, code: str) -> bool:
        """Whether a check is left out by name."""
        return bool(self.ignore) and code.startswith(self.ignore)

    def to_ask(self, checks: tuple[Check, ...], *, has_manifest: bool) -> tuple[Check, ...]:
        """The checks that are reported, and those that these rest on, in the order given.

        A check that is asked last is about all that the others found, so it rests on all of them.
        """
        by_code = {check.code: check for check in checks}
        applying = [check for check in checks if has_manifest or not check.needs_manifest]
        reported = [check for check in applying if self.reports(check.code)]
        if any(check.asked_last for check in reported):
            return checks
        needed: set[str] = set()
        waiting = [check.code for check in reported]
        while waiting:
            code = waiting.pop()
            if code not in needed:
                needed.add(code)
                waiting += by_code[code].requires
        return tuple(check for check in checks if check.code in needed)


EVERYTHING = Selection()


def parse_selection(
    select: Iterable[str], ignore: Iterable[str], *, checks: tuple[Check, ...]
) -> Selection:
    """Read `--select` and `--ignore`: codes or prefixes in any case, separated by commas.

    Raises:
        UsageError: an entry fits no check of any tier.
    """
    codes = tuple(check.code for check in checks)
    return Selection(
        select=_prefixes("--select", select, codes), ignore=_prefixes("--ignore", ignore, codes)
    )


def saes_named(sae_ids: tuple[str, ...], only: tuple[str, ...]) -> tuple[str, ...]:
    """The ids that one of the globs of `--only` fits, in their order; all where there is no glob.

    Raises:
        UsageError: a glob fits no id, so that nothing would be checked for it.
    """
    for glob in only:
        if not any(fnmatchcase(sae_id, glob) for sae_id in sae_ids):
            some = ", ".join(map(repr, sae_ids[:3])) or "'*'"
            raise UsageError(
                f"--only {glob!r} fits none of the {len(sae_ids)} SAEs",
                expected=f"a glob over their ids, such as {some}",
                next_step=did_you_mean(glob, sae_ids, n=3, cutoff=0.3)
                or "leave --only out to check all",
            )
    if not only:
        return sae_ids
    return tuple(sae_id for sae_id in sae_ids if any(fnmatchcase(sae_id, glob) for glob in only))


def _prefixes(option: str, entries: Iterable[str], codes: tuple[str, ...]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for entry in entries:
        for word in filter(None, _SEPARATOR.split(entry)):
            prefix = word.upper()
            if not any(code.startswith(prefix) for code in codes):
                raise UsageError(
                    f"{option} got {word!r}, which fits no check",
                    expected=f"a code or its beginning, such as {', '.join(_near(prefix, codes))}",
                    next_step="`release explain` without a code lists all checks",
                )
            found[prefix] = None
    if not found and any(True for _ in entries):
        raise UsageError(f"{option} got no code", expected="a code or its beginning, such as W103")
    return tuple(found)


def _near(prefix: str, codes: tuple[str, ...]) -> list[str]:
    """Codes that look like what was written, else those of its family, else the families."""
    near = nearest(prefix, codes, cutoff=0.5)
    if near:
        return near
    family = [code for code in codes if code.startswith(prefix[:1])]
    return family[:3] or [letter for letter in FAMILIES if any(c[0] == letter for c in codes)]
