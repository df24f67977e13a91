"""A collection manifest: the repositories of a study, counted, with what its totals leave open.

A member that has a manifest of its own is counted by it; another one by the number that its card
states, or not at all. What a page says in total is compared with that, never taken over.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, PositiveInt, ValidationError, model_validator

from manifests.card_texts import Uses
from manifests.collection_study import (
    CollectionProblem,
    RegisteredModel,
    problems_of,
    read_study,
    registered_model,
    shared_facts,
)
from manifests.digests import json_sha256
from manifests.facts import Citation, Resolution, Sentence
from manifests.fields import HttpsUrl, Identifier, RelativePath, RepoId, Strict, Text
from manifests.hub_settings import HubSettings
from manifests.load import LoadedManifest, ManifestError, load_manifest
from manifests.yaml_source import SourcedData, read_yaml


class Member(Strict):
    """One repository of the collection."""

    base_model: Identifier = Field(description="Name in the study file's register.")
    manifest: RelativePath | None = Field(
        None, description="Its manifest, beside this file; null when there is none yet."
    )
    repo_id: RepoId | None = Field(None, description="Only without a manifest, which has its own.")
    reported_n_saes: PositiveInt | None = Field(
        None, description="SAEs by its own card; null when it is not known."
    )
    n_variants: Annotated[int, Field(ge=0)] | None = Field(
        None, description="How many of them are variants; null when it is not known."
    )
    source: Sentence | None = Field(None, description="Where the reported number was read.")

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if self.manifest and (self.repo_id or self.n_variants is not None):
            raise ValueError("repo_id and n_variants come from the manifest; leave them out")
        if not self.manifest and not self.repo_id:
            raise ValueError("a member needs a manifest or a repo_id")
        if (self.reported_n_saes is None) != (self.source is None):
            raise ValueError("reported_n_saes and source belong together")
        if self.n_variants is not None and self.n_variants > (self.reported_n_saes or 0):
            raise ValueError("n_variants is more than reported_n_saes")
        return self


class ReportedTotal(Strict):
    """A number of SAEs that a page gives for the whole collection."""

    name: Text
    n_saes: PositiveInt
    n_models: PositiveInt | None = None
    source: Sentence


class CollectionResolution(Resolution):
    """How a contradiction in an earlier publication was resolved in this collection."""

    about_totals: bool = Field(
        False, description="It says why the reported totals differ, and the card prints it."
    )


class Collection(Strict):
    """Everything that a collection manifest states, and what it shares with its study file."""

    kind: Literal["collection"]
    schema_version: Literal[1]
    repo_id: RepoId = Field(description="The collection's repository on the Hub.")
    title: Text
    summary: Text | None = Field(None, description="One paragraph for the top of the card.")
    study: Text = Field(description="The study file with the register of base models.")
    license: Identifier | None = None
    language: tuple[Identifier, ...] = ("en",)
    tags: tuple[Text, ...] = ()
    citations: tuple[Citation, ...] = ()
    code: HttpsUrl | None = None
    context: tuple[Text, ...] = Field((), description="Paragraphs on the study.")
    uses: Uses = Field(default_factory=lambda: Uses.model_validate({}))
    hub: HubSettings | None = Field(
        None, description="Settings of its repository; its `collection` lists all members."
    )
    members: tuple[Member, ...] = Field(min_length=1)
    reported_totals: tuple[ReportedTotal, ...] = ()
    resolutions: tuple[CollectionResolution, ...] = ()

    @model_validator(mode="after")
    def _each_member_once(self) -> Self:
        names = [member.base_model for member in self.members]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"members names {', '.join(twice)} twice")
        return self


@dataclass(frozen=True)
class CountedMember:
    """A member with its number of SAEs; None where neither manifest nor card gives it.

    `registered` is what the study file's register says of the base model, `loaded` the member's
    manifest, `source` where `reported_n_saes` was read.
    """

    base_model: str
    base_model_id: str
    repo_id: str
    n_saes: int | None
    n_variants: int | None
    reported_n_saes: int | None
    source: str | None
    registered: RegisteredModel
    loaded: LoadedManifest | None

    @property
    def is_derived(self) -> bool:
        """Whether the number of SAEs follows from a manifest."""
        return self.loaded is not None

    @property
    def is_disputed(self) -> bool:
        """Whether its own card states another number than its manifest gives."""
        return self.is_derived and self.reported_n_saes not in (None, self.n_saes)


@dataclass(frozen=True)
class LoadedCollection:
    """A collection and what follows from its members."""

    path: Path
    collection: Collection
    members: tuple[CountedMember, ...]

    @property
    def name(self) -> str:
        """The file's stem, which names the folder under `build/`."""
        return self.path.stem

    @property
    def digest(self) -> str:
        """Hex SHA-256 of the collection with what it takes from its study file.

        The members' manifests have digests of their own.
        """
        return json_sha256(
            {
                "collection": self.collection.model_dump(mode="json", exclude={"hub"}),
                "base_models": {
                    member.base_model: member.registered.model_dump(mode="json")
                    for member in self.members
                },
            }
        )

    @property
    def n_derived(self) -> int:
        """SAEs that follow from the manifests of members."""
        return sum(member.n_saes or 0 for member in self.members if member.is_derived)

    @property
    def n_known(self) -> int:
        """SAEs of all members whose number is known, derived or reported."""
        return sum(member.n_saes or 0 for member in self.members)

    @property
    def n_known_variants(self) -> int:
        """Those of them that are known to be variants."""
        return sum(member.n_variants or 0 for member in self.members)

    @property
    def n_on_pages(self) -> int | None:
        """The sum of what the members' own cards state; None where one states nothing."""
        counts = [member.reported_n_saes for member in self.members]
        return None if None in counts else sum(count or 0 for count in counts)

    @property
    def uncounted(self) -> tuple[CountedMember, ...]:
        """Members of which neither manifest nor card gives the number."""
        return tuple(member for member in self.members if member.n_saes is None)

    @property
    def disputed(self) -> tuple[CountedMember, ...]:
        """Members whose own card states another number than their manifest gives."""
        return tuple(member for member in self.members if member.is_disputed)

    def unaccounted(self, total: ReportedTotal, *, with_variants: bool = True) -> int:
        """SAEs of a reported total that the members' known ones do not make up.

        Below 0 where more are known than the total says. Members in `uncounted` count as none, and
        a member whose variants are not known counts whole.
        """
        known = self.n_known if with_variants else self.n_known - self.n_known_variants
        return total.n_saes - known


def is_collection(path: Path) -> bool:
    """Whether a YAML file says of itself that it is a collection.

    Raises:
        YamlProblem: the file cannot be read.
    """
    data = read_yaml(path).data
    return isinstance(data, dict) and data.get("kind") == "collection"


def load_collection(path: Path) -> LoadedCollection:
    """Read and check a collection manifest, with the manifests of its members.

    License, language, tags, citations, code, context and uses are the `defaults` of its study file
    where the collection does not state them itself.

    Raises:
        YamlProblem: a file cannot be read as YAML.
        ManifestError: the collection, its study file or a member's manifest says something unknown
            or impossible.
        CollectionProblem: a base model is not in the study's register, or is another one there.
    """
    source = read_yaml(path)
    collection = _checked(source)
    study = read_study(path, collection.study, str(source.origin_of(("study",))))
    shared = shared_facts(study, without=source.data)
    if shared:
        collection = _checked(SourcedData({**shared, **source.data}, source.origins), study)
    members = []
    for index, member in enumerate(collection.members):
        place = str(source.origin_of(("members", index)))
        registered = registered_model(study, member.base_model, place)
        loaded = load_manifest(path.parent / member.manifest) if member.manifest else None
        if loaded is not None and loaded.manifest.base_model.id != registered.id:
            raise CollectionProblem(
                f"the manifest {member.manifest} is of {loaded.manifest.base_model.id}",
                where=place,
                expected=f"{registered.id}, which the register has for {member.base_model}",
            )
        members.append(_counted(member, registered, loaded))
    return LoadedCollection(path=path, collection=collection, members=tuple(members))


def _checked(source: SourcedData, study: SourcedData | None = None) -> Collection:
    """The collection; with `study`, a key that only its defaults have is told with their place."""
    try:
        return Collection.model_validate_json(json.dumps(source.data), strict=True)
    except ValidationError as error:
        raise ManifestError(problems_of(error, source, study)) from error


def _counted(
    member: Member, registered: RegisteredModel, loaded: LoadedManifest | None
) -> CountedMember:
    if loaded is None:
        assert member.repo_id is not None
        n_saes, n_variants, repo_id = member.reported_n_saes, member.n_variants, member.repo_id
    else:
        n_saes, repo_id = len(loaded.saes), loaded.manifest.repo_id
        n_variants = sum(bool(spec.variant) for spec in loaded.saes)
    return CountedMember(
        base_model=member.base_model,
        base_model_id=registered.id,
        repo_id=repo_id,
        n_saes=n_saes,
        n_variants=n_variants,
        reported_n_saes=member.reported_n_saes,
        source=member.source,
        registered=registered,
        loaded=loaded,
    )
