"""`release import TARGET`: a manifest from a repository that exists."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from release import completion
from release.options import (
    DEFAULT_BUILD,
    DEFAULT_MANIFESTS,
    BuildOption,
    HubOption,
    ManifestsOption,
)

if TYPE_CHECKING:
    from manifests.facts import Citation
    from release.hub_connection import HubConnection
    from release.importing.base_config import BaseModelFacts
    from release.importing.decided import Decisions
    from release.importing.findings import Finding
    from release.importing.stage import Imported
    from release.targets import Target


class ImportFormat(StrEnum):
    """How to print what was imported."""

    text = "text"
    json = "json"


def import_repository(
    target: Annotated[
        str,
        typer.Argument(
            metavar="TARGET",
            help="owner/name[@revision], or a folder.",
            autocompletion=completion.targets,
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write it there instead of to stdout.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace FILE when it exists.")] = False,
    output: Annotated[
        ImportFormat,
        typer.Option("--format", help="json prints findings and manifest as one document."),
    ] = ImportFormat.text,
    hub: HubOption = None,
    manifests: ManifestsOption = DEFAULT_MANIFESTS,
    build: BuildOption = DEFAULT_BUILD,
) -> int:
    """Write a manifest from folder names, configs, weight headers and the card, without weights.

    What the card states is carried with its line, but for what `release validate` finds wrong on
    it and what a manifest of the same repository corrects: both stand under `resolutions`. What
    nothing states becomes null, or a value listed under `assumed` where training needs one; what
    disagrees is listed on stderr.

    Example: release import Solshine/deception-saes-tinyllama-1-1b --out manifests/x.yaml
    """
    import json

    from manifests.build_folder import write_atomically
    from manifests.errors import UsageError
    from release.console import write_data
    from release.hub_connection import connect
    from release.targets import parse_target

    if out is not None and out.exists() and not force:
        raise UsageError(
            f"{out} exists",
            expected="a file that is not there yet",
            next_step="choose another --out, or replace it with --force",
        )
    parsed = parse_target(target, manifests=manifests)
    with connect(hub, build=build) as connection:
        imported = _import(parsed, connection, manifests)
    if out is not None:
        write_atomically(out, imported.text.encode("utf-8"))
    if output is ImportFormat.json:
        write_data(
            json.dumps(
                {
                    "manifest": imported.data,
                    "manifest_yaml": imported.text,
                    "loads": imported.loads,
                    "keys_to_fill_in": list(imported.keys_to_fill_in),
                    "placeholders": list(imported.placeholders),
                    "assumed": list(imported.assumed),
                    "n_saes": imported.n_saes,
                    "n_folders": imported.n_folders,
                    "findings": [finding.as_json() for finding in imported.findings],
                },
                indent=2,
                ensure_ascii=False,
            )
        )
        return imported.exit_code
    if out is None:
        write_data(imported.text)
    _show_findings(imported.findings)
    _say_what_now(imported, out)
    _say_what_is_described(imported.data.get("repo_id"), out, manifests)
    return imported.exit_code


def _import(target: Target, connection: HubConnection, manifests: Path) -> Imported:
    from manifests.errors import UsageError
    from release.console import TerminalProgress
    from release.importing.base_config import read_base_model, registered_base_model
    from release.importing.decided import registered_decisions
    from release.importing.known_papers import registered_paper
    from release.importing.stage import import_repository as import_stage
    from release.targets import FolderTarget, HubTarget
    from validators.reading.hub_repository import HubRepository
    from validators.reading.local_repository import LocalRepository

    def registered(model_id: str) -> BaseModelFacts | None:
        return registered_base_model(model_id, manifests=manifests)

    def paper(arxiv: str) -> Citation | None:
        return registered_paper(arxiv, manifests=manifests)

    def decided(repo_id: str) -> Decisions | None:
        return registered_decisions(repo_id, manifests=manifests)

    def on_the_hub(model_id: str) -> BaseModelFacts | None:
        endpoint, token = connection.endpoint, connection.token
        return read_base_model(model_id, endpoint=endpoint, token=token) or registered(model_id)

    if isinstance(target, FolderTarget):
        return import_stage(
            # A folder is imported without the network.
            LocalRepository(target.path),
            find_base_model=registered,
            find_paper=paper,
            find_decisions=decided,
            progress=TerminalProgress(),
        )
    if not isinstance(target, HubTarget):
        raise UsageError(
            f"{target.path} is a manifest already",
            expected="owner/name[@revision] or a folder of SAEs",
        )
    repository = HubRepository(
        target.repo_id,
        revision=target.revision,
        endpoint=connection.endpoint,
        token=connection.token,
    )
    return import_stage(
        repository,
        find_base_model=on_the_hub,
        find_paper=paper,
        find_decisions=decided,
        progress=TerminalProgress(),
    )


def _show_findings(findings: tuple[Finding, ...]) -> None:
    from release.console import say

    for finding in findings:
        say(f"{finding.severity:5} {finding.where}: {finding.found}")
        if finding.expected:
            say(f"{'':5} expected: {finding.expected}")


def _say_what_now(imported: Imported, out: Path | None) -> None:
    from release.console import say

    n_failed = sum(finding.severity == "fail" for finding in imported.findings)
    where = str(out) if out else "the manifest"
    counted = f"{len(imported.findings)} findings, {n_failed} of them failures"
    if not imported.loads:
        keys = ", ".join(imported.keys_to_fill_in) or "what the findings name"
        say(f"{where} does not load yet: fill in {keys}; {counted}.")
        return
    described = f"{imported.n_saes} of {imported.n_folders} SAEs"
    open_texts = ", ".join(imported.placeholders)
    todo = f"; still to say: {open_texts}" if open_texts else ""
    todo += f"; assumed: {', '.join(imported.assumed)}" if imported.assumed else ""
    say(f"{where} loads and describes {described}{todo}; {counted}.")


def _say_what_is_described(repo_id: object, out: Path | None, manifests: Path) -> None:
    """Name the manifest that a person has written of this repository, if there is one.

    It holds what no import finds: what was wrong on the card in ways that take knowledge to see.
    """
    from manifests.progress import Silent
    from release.console import say
    from release.validation import manifest_for

    known = manifest_for(str(repo_id), manifests, Silent()) if repo_id else None
    if known is not None and (out is None or known.path.resolve() != out.resolve()):
        path = known.path.as_posix()
        say(f"{path} describes {repo_id} already. Next: release render {path}")
