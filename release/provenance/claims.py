"""A statement as it is read from a repository: strict about what it is, lenient about additions.

in-toto asks readers to pass over fields that they do not know.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from manifests.fields import Sha256
from release.provenance.statement import PROVENANCE
from validators.reading.repository import Repository, UnreadableFile


class _Read(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class _Digest(_Read):
    sha256: Sha256


class Subject(_Read):
    """One published file."""

    name: str = Field(min_length=1)
    digest: _Digest


class Dependency(_Read):
    """Something that the build took in."""

    name: str = ""
    uri: str | None = None
    digest: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, Any] = Field(default_factory=dict)


class _StatedManifest(_Read):
    digest: _Digest


class _ExternalParameters(_Read):
    repo_id: str
    manifest: _StatedManifest


class _BuildDefinition(_Read):
    build_type: str = Field(alias="buildType")
    external: _ExternalParameters = Field(alias="externalParameters")
    dependencies: tuple[Dependency, ...] = Field((), alias="resolvedDependencies")


class _Builder(_Read):
    id: str
    version: dict[str, str] = Field(default_factory=dict)


class _Metadata(_Read):
    invocation_id: str | None = Field(None, alias="invocationId")
    finished_on: str | None = Field(None, alias="finishedOn")


class _RunDetails(_Read):
    builder: _Builder
    metadata: _Metadata = Field(default_factory=lambda: _Metadata.model_validate({}))


class _Predicate(_Read):
    definition: _BuildDefinition = Field(alias="buildDefinition")
    run: _RunDetails = Field(alias="runDetails")


class Statement(_Read):
    """What a release says of its own provenance."""

    type: Literal["https://in-toto.io/Statement/v1"] = Field(alias="_type")
    predicate_type: Literal["https://slsa.dev/provenance/v1"] = Field(alias="predicateType")
    subject: tuple[Subject, ...] = Field(min_length=1)
    predicate: _Predicate

    @cached_property
    def files(self) -> dict[str, str]:
        """SHA-256 by path_in_repo."""
        return {subject.name: subject.digest.sha256 for subject in self.subject}

    @property
    def repo_id(self) -> str:
        """The repository that it is of."""
        return self.predicate.definition.external.repo_id

    @property
    def manifest_sha256(self) -> str:
        """Digest of the resolved manifest."""
        return self.predicate.definition.external.manifest.digest.sha256

    def dependency(self, name: str) -> Dependency | None:
        """The first dependency of a name."""
        found = (d for d in self.predicate.definition.dependencies if d.name == name)
        return next(found, None)


def read_statement(repository: Repository) -> Statement | None:
    """The statement of a repository; None where there is none.

    Raises:
        UnreadableFile: it is no statement of this form, or names a file twice.
    """
    if PROVENANCE not in repository.files:
        return None
    content = repository.read_json(PROVENANCE)
    try:
        statement = Statement.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(map(str, first["loc"])) or "its start"
        raise UnreadableFile(
            f"is damaged at {key:.200}: {first['msg']:.200}",
            where=PROVENANCE,
            expected="an in-toto Statement v1 with SLSA provenance v1, as docs/provenance.md says",
        ) from error
    if len(statement.files) < len(statement.subject):
        raise UnreadableFile(
            "names a file twice", where=PROVENANCE, expected="one digest for each file"
        )
    return statement
