"""The release on disk held against the Hub's tree at one commit, file by file."""

from __future__ import annotations

from dataclasses import dataclass

from release.publishing.release_files import ReleaseFile

MADE_BY_THE_HUB = (".gitattributes",)


@dataclass(frozen=True)
class RemoteFile:
    """One file of the Hub's tree; `lfs_sha256` is None for a file kept in git itself."""

    path_in_repo: str
    size_bytes: int
    git_oid: str
    lfs_sha256: str | None

    def is_same_as(self, local: ReleaseFile) -> bool:
        """Whether both have the same bytes, judged by the digest that the Hub keeps."""
        if self.lfs_sha256 is not None:
            return self.lfs_sha256 == local.sha256
        return self.git_oid == local.git_oid


@dataclass(frozen=True)
class TreeDifference:
    """The difference between a release and one commit of its repository."""

    parent: str
    adds: tuple[ReleaseFile, ...]
    changes: tuple[ReleaseFile, ...]
    unchanged: tuple[str, ...]
    stays: tuple[str, ...]

    @property
    def sends(self) -> tuple[ReleaseFile, ...]:
        """The files that a commit has to carry."""
        return self.adds + self.changes

    @property
    def size_bytes(self) -> int:
        """Bytes that the commit carries."""
        return sum(file.size_bytes for file in self.sends)

    @property
    def is_of_new_repository(self) -> bool:
        """Whether the repository holds no more than the Hub puts into each new one."""
        return not self.changes and not self.unchanged and set(self.stays) <= {*MADE_BY_THE_HUB}


def compare(
    release: dict[str, ReleaseFile], remote: dict[str, RemoteFile], *, parent: str
) -> TreeDifference:
    """Hold a release against the tree of the commit `parent`.

    Files on the Hub that the release does not name are never touched: they are listed in `stays`.
    """
    adds, changes, unchanged = [], [], []
    for name, local in sorted(release.items()):
        there = remote.get(name)
        if there is None:
            adds.append(local)
        elif there.is_same_as(local):
            unchanged.append(name)
        else:
            changes.append(local)
    stays = sorted(set(remote) - set(release))
    return TreeDifference(parent, tuple(adds), tuple(changes), tuple(unchanged), tuple(stays))
