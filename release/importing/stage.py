"""From a repository to the text of a manifest, and to what disagrees in it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from manifests.errors import ReleaseError
from manifests.load import LoadedManifest, ManifestError, load_manifest
from manifests.matrix import sae_specs
from manifests.model import Manifest
from manifests.progress import Progress
from release.importing.base_config import BaseModelFacts
from release.importing.card import README, CardFacts, card_facts, read_readme
from release.importing.comparison import compare_card, compare_saes
from release.importing.decided import DecidedCard, Decisions, decide, decided_findings
from release.importing.draft import NOT_KNOWN, Facts, draft, is_repo_id, unknown_keys
from release.importing.findings import Finding, grouped
from release.importing.matrix import recover_matrix
from release.importing.names import NameHints, RecoveredNames, recover_names
from release.importing.printable import one_line
from release.importing.stated import Stated, read_stated
from release.importing.stated_references import FindPaper
from release.importing.survey import FoundSae, survey
from release.importing.yaml_text import (
    FILL_IN_COMMENT,
    Entries,
    entries_of,
    plain_data,
    yaml_text,
)
from validators.reading.hub_repository import HubRepository
from validators.reading.repository import Repository
from validators.readme.findings import SaeFacts

PUBLISHED_MANIFEST = "manifest.json"

FindBaseModel = Callable[[str], BaseModelFacts | None]
FindDecisions = Callable[[str], Decisions | None]


class NothingToImport(ReleaseError):
    """A repository without a single SAE whose place in a matrix can be told."""


@dataclass(frozen=True)
class Imported:
    """The result of an import.

    `keys_to_fill_in` keep the manifest from loading; `placeholders` are texts that load, but say
    that they are not known; `assumed` are values that no file states. `n_saes` counts the SAEs that
    the manifest describes.
    """

    text: str
    data: dict[str, Any]
    findings: tuple[Finding, ...]
    loads: bool
    keys_to_fill_in: tuple[str, ...]
    placeholders: tuple[str, ...]
    assumed: tuple[str, ...]
    n_saes: int
    n_folders: int

    @property
    def exit_code(self) -> int:
        """0 when the manifest loads and nothing failed, else 1."""
        has_failed = any(finding.severity == "fail" for finding in self.findings)
        return 0 if self.loads and not has_failed else 1


def import_repository(
    repository: Repository,
    *,
    find_base_model: FindBaseModel,
    find_paper: FindPaper = lambda _: None,
    find_decisions: FindDecisions = lambda _: None,
    progress: Progress,
) -> Imported:
    """Write the manifest that a repository would follow.

    Args:
        repository: a folder, or a commit on a Hub; of its weights only the headers are read.
        find_base_model: what is known of a base model, by its id.
        find_paper: a work that is known by its arXiv id.
        find_decisions: what a manifest of a repository decided about its card, by the id.
        progress: told how far the reading is.

    Raises:
        NothingToImport: no folder can be placed in a matrix.
        TooManySaes: there are more SAEs than an import reads.
        HubUnavailable: the Hub gave no answer.
    """
    surveyed = survey(repository, progress=progress)
    findings = list(surveyed.findings)
    saes = {_name_of(sae, repository): sae for sae in surveyed.saes}
    names = recover_names({name: _hints(sae) for name, sae in saes.items()})
    findings += _name_findings(names, saes)
    if not names.cells:
        raise NothingToImport(
            f"none of its {len(saes)} folders can be placed in a matrix"
            if saes
            else "holds no SAE",
            where=repository.location,
            expected="folders with cfg.json and safetensors, named by layer and architecture",
            next_step="check the target; `release validate` lists what each folder lacks",
        )
    readme, about_readme = read_readme(repository)
    findings += about_readme
    commit = repository.oid if isinstance(repository, HubRepository) else None
    card, decided = CardFacts(), DecidedCard("")
    repo_id = repository.name if commit else None
    if readme is not None:
        repo_id = repo_id or _only_id(card_facts(readme)[0])
        decided = decide(readme, find_decisions(repo_id) if repo_id else None)
        card, about_card = card_facts(decided.text)
        findings += (*about_card, *decided_findings(decided))
    findings += compare_saes(saes, names.cells)
    findings += compare_card(card, saes, names.cells)
    facts = Facts(
        repo_id=repo_id,
        commit=commit,
        card=card,
        saes=saes,
        cells=names.cells,
        template=names.template,
        matrix=recover_matrix(tuple(names.cells.values())),
        base_model=None,
    )
    if facts.base_model_id is not None:
        known = find_base_model(facts.base_model_id)
        facts = replace(facts, base_model=known)
        findings += _base_model_findings(facts)
    findings += _size_findings(facts)
    if readme is not None:
        facts = replace(facts, stated=_stated(decided, facts, repository, find_paper))
        findings += _fault_findings(facts.stated)
    published, about_published = _published(repository, saes)
    findings += about_published
    entries = published or draft(facts)
    return _imported(entries, findings, repository, n_folders=len(saes))


def _imported(
    entries: Entries, findings: list[Finding], repository: Repository, *, n_folders: int
) -> Imported:
    text = yaml_text(entries, header=_header(repository))
    loaded, problems = _load(text)
    unknown = unknown_keys(entries)
    fill_in: list[str] = []
    for key, what in problems:
        below = [each for each in unknown if each == key or each.startswith(f"{key}.")]
        fill_in += below
        if not below:
            findings.append(Finding("fail", f"manifest: {key}", one_line(what), "a possible one"))
    data = plain_data(entries)
    placeholders = [key for key in unknown if key not in fill_in and _value(data, key) == NOT_KNOWN]
    n_saes = len(loaded.saes) if loaded else 0
    return Imported(
        text=text,
        data=data,
        findings=grouped(findings, n_saes=n_folders),
        loads=loaded is not None,
        keys_to_fill_in=tuple(dict.fromkeys(fill_in)),
        placeholders=tuple(placeholders),
        assumed=tuple(data.get("assumed") or ()),
        n_saes=n_saes,
        n_folders=n_folders,
    )


def _header(repository: Repository) -> tuple[str, ...]:
    # A folder's path would say something about this machine.
    source = repository.location if isinstance(repository, HubRepository) else repository.name
    return (
        "yaml-language-server: $schema=./schema.json",
        f"Imported from {source}: names, configs, headers and card, no weights.",
        f"`{FILL_IN_COMMENT}` and null mark what none of them states, `assumed` what is assumed.",
    )


def _load(text: str) -> tuple[LoadedManifest | None, list[tuple[str, str]]]:
    """The manifest as every other command will read it, or its problems as (key, what)."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "imported.yaml"
        path.write_text(text, encoding="utf-8", newline="\n")
        try:
            return load_manifest(path), []
        except ManifestError as error:
            problems = [
                ((each.where or "").rpartition(": ")[2], each.what) for each in error.problems
            ]
            return None, problems
        except ReleaseError as error:
            return None, [("", error.what)]


def _name_of(sae: FoundSae, repository: Repository) -> str:
    """The id of an SAE: its folder, or the repository's name when it lies in the root."""
    return repository.name.rpartition("/")[2] if sae.folder == "." else sae.folder


def _hints(sae: FoundSae) -> NameHints:
    if sae.config is None:
        return NameHints()
    return NameHints(sae.config.layer, sae.config.claims, sae.config.condition)


def _name_findings(names: RecoveredNames, saes: dict[str, FoundSae]) -> Iterator[Finding]:
    for name, why in names.odd.items():
        yield Finding(
            "fail",
            one_line(name),
            f"is left out of the manifest: {why}",
            "a folder name that the template gives",
        )
    for name, sae in saes.items():
        if sae.folder == ".":
            yield Finding(
                "warn", name, "the SAE lies in the root", "a folder named by its id, as SAELens has"
            )


def _only_id(card: CardFacts) -> str | None:
    """The one repository that a card's snippets load from."""
    ids = [each for each in card.repo_ids if is_repo_id(each)]
    return ids[0] if len(ids) == 1 else None


def _stated(
    decided: DecidedCard, facts: Facts, repository: Repository, find_paper: FindPaper
) -> Stated:
    return read_stated(
        decided,
        cells=facts.cells,
        base_model_id=facts.base_model_id,
        base_model=facts.base_model,
        saes=_sae_facts(facts),
        files=tuple(repository.files),
        n_saes=len(facts.saes),
        d_sae=facts.size("d_sae"),
        find_paper=find_paper,
    )


def _sae_facts(facts: Facts) -> tuple[SaeFacts, ...]:
    """What the configs say, for the checks of a card; nothing unless every config was read."""
    found = []
    for name, sae in facts.saes.items():
        if sae.config is None:
            return ()
        hooks = {hook.key.rpartition(".")[2]: hook.text for hook in sae.config.hooks}
        found.append(
            SaeFacts(
                sae_id=name,
                architecture=sae.config.architecture,
                d_in=sae.config.d_in,
                d_sae=sae.config.d_sae,
                k=sae.config.k,
                hook_name=hooks.get("hook_name"),
                module_path=hooks.get("hf_hook_name"),
                layer=sae.config.layer,
                model_name=sae.config.base_model,
            )
        )
    return tuple(found)


def _fault_findings(stated: Stated) -> Iterator[Finding]:
    """One note on all that the checks of the card's text found; `resolutions` has each."""
    if stated.faults.all:
        codes = ", ".join(dict.fromkeys(sorted(fault.code for fault in stated.faults.all)))
        yield Finding(
            "note",
            README,
            f"its text has {len(stated.faults.all)} findings of {codes}",
            "none; `resolutions` says what was left out for each, and what was carried",
        )


def _base_model_findings(facts: Facts) -> Iterator[Finding]:
    stated = facts.base_model
    name = facts.base_model_id or ""
    if stated is None:
        yield Finding(
            "note", name, "its config.json was not read", "model_type and n_layers, to fill in"
        )
        return
    d_in = facts.size("d_in")
    if stated.d_model is not None and d_in is not None and stated.d_model != d_in:
        yield Finding(
            "fail", name, f"its residual stream is {stated.d_model} wide", f"{d_in}, the SAEs' d_in"
        )
    for layer in sorted({cell.layer for cell in facts.cells.values()}):
        if stated.n_layers is not None and layer >= stated.n_layers:
            yield Finding(
                "fail", name, f"has {stated.n_layers} blocks", f"more than {layer}, an SAE's layer"
            )


def _size_findings(facts: Facts) -> Iterator[Finding]:
    d_in, d_sae = facts.size("d_in"), facts.size("d_sae")
    if d_in is not None and d_sae is not None and d_sae % d_in:
        yield Finding("fail", "d_sae", f"is {d_sae}", f"a multiple of d_in, {d_in}")


def _published(
    repository: Repository, saes: dict[str, FoundSae]
) -> tuple[Entries | None, list[Finding]]:
    """The manifest that a release of this tool carries, if it describes these folders."""
    if PUBLISHED_MANIFEST not in repository.files:
        return None, []
    try:
        data = repository.read_text(PUBLISHED_MANIFEST)
        manifest = Manifest.model_validate_json(data, strict=True)
        described = {spec.sae_id for spec in sae_specs(manifest)}
    except (ReleaseError, ValidationError) as error:
        what = f"is no manifest of this version: {one_line(error)}"
        return None, [Finding("warn", PUBLISHED_MANIFEST, what, "a resolved manifest")]
    if described != set(saes):
        what = f"describes {len(described)} SAEs, {len(described - set(saes))} of which are missing"
        return None, [
            Finding("fail", PUBLISHED_MANIFEST, what, f"the {len(saes)} folders that are here")
        ]
    compact = manifest.model_dump(mode="json", exclude_defaults=True)
    return entries_of(compact), []


def _value(data: dict[str, Any], key: str) -> Any:
    value: Any = data
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value
