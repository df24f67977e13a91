"""Who assembled a release: a GitHub Actions workflow, as its environment names it, or somebody."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_DOCUMENT = "https://github.com/SolshineCode/sae-release/blob/main/docs/provenance.md"
BUILD_TYPE = f"{_DOCUMENT}#build-type-1"
LOCAL_BUILDER = f"{_DOCUMENT}#builder-local"


@dataclass(frozen=True)
class Source:
    """The commit of the repository whose workflow ran."""

    uri: str
    git_commit: str


@dataclass(frozen=True)
class Builder:
    """Who says that the release was made as stated.

    Attributes:
        builder_id: a URI; of a workflow the one that Sigstore's certificates name it by.
        invocation_id: the run, as a URI; None outside of a workflow.
        source: what the workflow ran from; None outside of one.
    """

    builder_id: str = LOCAL_BUILDER
    invocation_id: str | None = None
    source: Source | None = None

    @property
    def name(self) -> str:
        """The builder's id, or the word `local`."""
        return "local" if self.builder_id == LOCAL_BUILDER else self.builder_id


def builder_of(environ: Mapping[str, str]) -> Builder:
    """The workflow whose variables an environment holds, else the local builder.

    Anybody can set variables: the id is the builder's own word until a keyless signature of the
    same identity stands beside it.
    """
    server = environ.get("GITHUB_SERVER_URL", "").rstrip("/")
    workflow, repository = environ.get("GITHUB_WORKFLOW_REF"), environ.get("GITHUB_REPOSITORY")
    commit, ref = environ.get("GITHUB_SHA"), environ.get("GITHUB_REF")
    if environ.get("GITHUB_ACTIONS") != "true" or not (
        server and workflow and repository and commit and ref
    ):
        return Builder()
    run, attempt = environ.get("GITHUB_RUN_ID"), environ.get("GITHUB_RUN_ATTEMPT", "1")
    return Builder(
        builder_id=f"{server}/{workflow}",
        invocation_id=f"{server}/{repository}/actions/runs/{run}/attempts/{attempt}"
        if run
        else None,
        source=Source(uri=f"git+{server}/{repository}@{ref}", git_commit=commit),
    )
