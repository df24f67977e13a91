"""One setting of a repository, or of a collection that lists it, that a push would change."""

from __future__ import annotations

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

VISIBILITY = "visibility"
GATED = "gated"
_STRICTNESS = {"public": 0, "private": 1, "false": 0, "auto": 1, "manual": 2}


@dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=False))
class SettingChange:
    """A setting as it is and as the manifest has it, both in words.

    Attributes:
        name: `visibility`, `gated`, or what of which collection.
        now: as it is on the Hub.
        wanted: as the manifest has it.
        needs_public: it is done with `--public` alone.
    """

    name: str
    now: str
    wanted: str
    needs_public: bool = False

    @property
    def restricts(self) -> bool:
        """Whether fewer people than before may see or load the files afterwards."""
        if self.name not in (VISIBILITY, GATED):
            return False
        return _STRICTNESS[self.wanted] > _STRICTNESS.get(self.now, 0)

    def is_same_as(self, other: SettingChange) -> bool:
        """Whether both lead to the same, from wherever."""
        return (self.name, self.wanted) == (other.name, other.wanted)

    @property
    def drift(self) -> str:
        """What the Hub has beside what the manifest says."""
        if self.name.startswith("collection "):
            return f"{self.name}: {self.now}"
        return f"{self.name}: {self.now} on the Hub, {self.wanted} in the manifest"

    def __str__(self) -> str:
        """`visibility: private -> public`."""
        return f"{self.name}: {self.now} -> {self.wanted}"
