"""Types that the fields of a manifest share: names, ids, digests, paths, and the strict base."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints


def _as_the_hub_has_it(repo_id: str) -> str:
    if "--" in repo_id or ".." in repo_id or repo_id.endswith(".git"):
        raise ValueError("a repository id has no '--' or '..' and does not end in '.git'")
    return repo_id


RepoId = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9]([\w.-]{0,94}[\w])?/[A-Za-z0-9]([\w.-]{0,94}[\w])?$"),
    AfterValidator(_as_the_hub_has_it),
]
Identifier = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,95}$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
HttpsUrl = Annotated[str, StringConstraints(pattern=r"^https://[^\s\"<>]+$", max_length=300)]
Fraction = Annotated[float, Field(gt=0, lt=1)]


def _inside_repository(path: str) -> str:
    parts = path.split("/")
    if path.startswith("/") or "\\" in path or ":" in path or ".." in parts or "" in parts:
        raise ValueError("must be a relative POSIX path that stays inside the manifest's folder")
    return path


RelativePath = Annotated[
    str, StringConstraints(min_length=1, max_length=300), AfterValidator(_inside_repository)
]


class Strict(BaseModel):
    """A frozen value that refuses unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())
