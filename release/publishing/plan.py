"""What a push would do to the Hub, as values that a file keeps and a person reviews.

A plan names the head that it was made against and the SHA-256 of each file that it would send, so
that carrying it out later does what was reviewed, or nothing.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked_dataclass

from manifests.build_folder import write_atomically
from manifests.errors import UsageError
from release.publishing.setting_change import SettingChange

FORMAT: Literal["sae-release.plan/1"] = "sae-release.plan/1"
_STRICT = ConfigDict(extra="forbid", strict=False)
_MAX_BYTES = 64_000_000


@checked_dataclass(frozen=True, config=_STRICT)
class PlannedFile:
    """A file that the commit would carry, sizes in bytes; a new one has no former size."""

    path_in_repo: str
    size_bytes: int
    sha256: str
    former_size_bytes: int | None = None


@checked_dataclass(frozen=True, config=_STRICT)
class RepositoryPlan:
    """What one push would change.

    Attributes:
        manifest: the manifest's file, as it was named.
        manifest_digest: hex SHA-256 of the manifest's facts.
        repo_id: the repository on the Hub.
        parent: the commit that it was held against; None: there is no such repository yet.
        is_private: who sees the repository now; None: there is none yet.
        cards_only: only the card and what belongs to it is looked at.
        adds, changes: what would be sent.
        deletes: files of the former release that would be deleted.
        leftovers: files of the former release that this one lacks and that stay.
        unknown: files that no release is known to have put there; they always stay.
        unchanged: files that the Hub has already.
        refusals: why the push would be refused as things are.
        unchecked: what nobody has checked of an adopted release, and a push does not ask for.
        settings: what would change of the repository's settings and of the collection it is in.
    """

    manifest: str
    manifest_digest: str
    repo_id: str
    parent: str | None
    is_private: bool | None
    cards_only: bool
    adds: tuple[PlannedFile, ...]
    changes: tuple[PlannedFile, ...]
    deletes: tuple[str, ...]
    leftovers: tuple[str, ...]
    unknown: tuple[str, ...]
    unchanged: tuple[str, ...]
    refusals: tuple[str, ...] = ()
    unchecked: tuple[str, ...] = ()
    settings: tuple[SettingChange, ...] = ()

    @property
    def sends(self) -> tuple[PlannedFile, ...]:
        """The files that the commit would carry."""
        return self.adds + self.changes

    @property
    def size_bytes(self) -> int:
        """Bytes that the commit would carry."""
        return sum(file.size_bytes for file in self.sends)

    @property
    def is_of_release(self) -> bool:
        """Whether SAEs are in the repository, and not the page of a collection."""
        return "manifest.json" in {*self.unchanged, *(file.path_in_repo for file in self.sends)}

    @property
    def has_commit(self) -> bool:
        """Whether a push would make a commit."""
        return bool(self.adds or self.changes or self.deletes)

    @property
    def has_changes(self) -> bool:
        """Whether a push would make a commit or change a setting."""
        return self.has_commit or bool(self.settings)


@dataclass(frozen=True)
class Plan:
    """The plans of several repositories on one Hub."""

    endpoint: str
    repositories: tuple[RepositoryPlan, ...]

    @property
    def has_changes(self) -> bool:
        """Whether any push would make a commit or change a setting."""
        return any(each.has_changes for each in self.repositories)

    @property
    def refusals(self) -> tuple[str, ...]:
        """Why pushes would be refused, by repository."""
        return tuple(
            f"{each.repo_id}: {reason}" for each in self.repositories for reason in each.refusals
        )


def write_plan(plan: Plan, path: Path) -> None:
    """Keep a plan for `release push`; equal plans give equal bytes."""
    content = {
        "format": FORMAT,
        "endpoint": plan.endpoint,
        "repositories": [asdict(each) for each in plan.repositories],
    }
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    write_atomically(path, text.encode("utf-8"))


def read_plan(path: Path) -> Plan:
    """A plan that `write_plan` wrote.

    Raises:
        UsageError: it is missing, damaged, or of another format.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ValueError(f"has more than {_MAX_BYTES // 1_000_000} MB")
        content = json.loads(path.read_bytes())
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise ValueError(f"does not have the format {FORMAT}")
        return Plan(
            endpoint=TypeAdapter(str).validate_python(content.get("endpoint")),
            repositories=TypeAdapter(tuple[RepositoryPlan, ...]).validate_python(
                content.get("repositories")
            ),
        )
    except (OSError, ValueError, ValidationError, RecursionError) as error:
        said = " ".join(str(error).split())[:200]
        raise UsageError(
            f"is no plan: {said}",
            where=str(path),
            expected="what `release plan --out` writes",
            next_step=f"release plan MANIFEST --out {path}",
        ) from error
