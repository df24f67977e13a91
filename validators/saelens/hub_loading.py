"""What SAELens makes of the repository when it is loaded from a Hub: asked once, for all SAEs."""

from __future__ import annotations

import json
import re
import tempfile
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from manifests.build_folder import SAE_CONFIG, SAE_WEIGHTS
from validators.check import Skipped
from validators.reading.repository import UnreadableFile
from validators.readme.card_code import Asked, CardCode, SaeLoad, card_code
from validators.saelens import loading_child
from validators.saelens.child_process import run_python
from validators.saelens.hub_access import ServedRepository
from validators.subjects import RepositorySubject, need_package

_SPARSITY = "sparsity.safetensors"
# Importing SAELens takes up to half a minute on a slow machine; an SAE's files are on loopback or
# were downloaded before.
_START_S, _PER_LOAD_S = 180.0, 30.0


@dataclass(frozen=True)
class HubLoads:
    """The answers.

    Attributes:
        repo_id: the repository that was loaded from.
        loads: by SAELens' arguments; see `loading_child` for what an answer holds.
        imports: by module and name: the error of importing it, None where it works.
        ended: how the process ended where it did not answer everything; else empty.
    """

    repo_id: str
    loads: dict[SaeLoad, dict[str, Any]] = field(default_factory=dict)
    imports: dict[tuple[str, str | None], str | None] = field(default_factory=dict)
    ended: str = ""


_KNOWN: weakref.WeakKeyDictionary[RepositorySubject, HubLoads] = weakref.WeakKeyDictionary()


def hub_loads(subject: RepositorySubject) -> HubLoads | Skipped:
    """What came of loading every SAE, and everything that the card loads, from a Hub.

    Raises:
        MissingExtra: sae_lens is not installed.
        HubUnavailable: the Hub does not answer.
    """
    if subject.options.hub is None:
        return Skipped(
            "no Hub to load from", "run `release validate`, which brings one", required=False
        )
    need_package("sae_lens", needed_for="loading from a Hub as a user of SAELens does")
    if subject not in _KNOWN:
        _KNOWN[subject] = _ask(subject)
    return _KNOWN[subject]


def own_repo_ids(subject: RepositorySubject) -> tuple[str, ...]:
    """What the repository may be called: on the Hub it was read from, and by its claim."""
    found = [subject.repository.name] if subject.repository.name.count("/") == 1 else []
    if subject.claim is not None:
        found.append(subject.claim.manifest.repo_id)
    return tuple(dict.fromkeys(found))


def served_repo_id(subject: RepositorySubject) -> str:
    """The id that users load from: the Hub's, the claimed one, the card's, or one made up."""
    if own := own_repo_ids(subject):
        return own[0]
    asked = [a for a in readable_card_code(subject).asked if a.repo_id and "/" in a.repo_id]
    here = {a.repo_id for a in asked if a.path and is_of_an_sae(a, subject)}
    named = here or {a.repo_id for a in asked if a.kind == "sae"}
    if len(named) == 1:
        return str(named.pop())
    name = re.sub(r"[^A-Za-z0-9]+", "-", subject.repository.name).strip("-")[:90]
    return f"local/{name or 'repository'}"


def is_of_an_sae(asked: Asked, subject: RepositorySubject) -> bool:
    """Whether what a card asks for, of whatever repository, is an SAE or its file in this one."""
    if asked.kind == "sae":
        return asked.path in subject.sae_folders
    return "/" in asked.path and asked.path.rpartition("/")[0] in subject.sae_folders


def loads_of_card(subject: RepositorySubject) -> dict[int, SaeLoad]:
    """By line of README.md, the calls that load an SAE of this repository.

    A former name of the repository is replaced by the one it is served under.
    """
    served, own = served_repo_id(subject), own_repo_ids(subject)
    return {
        asked.line: SaeLoad(served, asked.load.sae_id, asked.load.options)
        for asked in readable_card_code(subject).asked
        if asked.load is not None and asked.repo_id in (served, *own)
    }


def readable_card_code(subject: RepositorySubject) -> CardCode:
    """The card's code; none where the card cannot be read, which R001 reports."""
    try:
        return card_code(subject)
    except UnreadableFile:
        return CardCode()


def _ask(subject: RepositorySubject) -> HubLoads:
    assert subject.options.hub is not None
    repository, repo_id = subject.repository, served_repo_id(subject)
    plain = [SaeLoad(repo_id, sae_id) for sae_id in _complete_saes(subject)]
    wanted = dict.fromkeys([*plain, *loads_of_card(subject).values()])
    imports = {(module, name) for _, module, name in readable_card_code(subject).imports}
    with (
        tempfile.TemporaryDirectory(prefix="sae-release-", ignore_cleanup_errors=True) as name,
        subject.options.hub(repository, repo_id=repo_id, paths=_read_by_saelens(subject)) as served,
    ):
        answers, ended = _answers(
            served,
            [*wanted],
            imports=sorted(imports, key=lambda pair: (pair[0], pair[1] or "")),
            folder=Path(name),
        )
    return HubLoads(
        repo_id=repo_id,
        loads=_by_load(answers),
        imports={(a["import"][0], a["import"][1]): a["error"] for a in answers if "import" in a},
        ended=ended,
    )


def ask_for_loads(
    served: ServedRepository, wanted: Sequence[SaeLoad], *, folder: Path
) -> tuple[dict[SaeLoad, dict[str, Any]], str]:
    """Load from a Hub in a process of its own.

    Args:
        served: the Hub.
        wanted: SAELens' arguments.
        folder: where the process may put its files.

    Returns:
        The answers, as `loading_child` gives them; and how the process ended, where it did not
        answer everything.
    """
    answers, ended = _answers(served, wanted, imports=(), folder=folder)
    return _by_load(answers), ended


def _answers(
    served: ServedRepository,
    wanted: Sequence[SaeLoad],
    *,
    imports: Sequence[tuple[str, str | None]],
    folder: Path,
) -> tuple[list[dict[str, Any]], str]:
    results = folder / "results.jsonl"
    request = {
        loading_child.LOADS: [load.as_json() for load in wanted],
        loading_child.IMPORTS: imports,
        loading_child.FORGET: served.cache_dir is None,
        loading_child.RESULTS: str(results),
    }
    ended = run_python(
        loading_child.__file__,
        folder=folder / "process",
        served=served,
        stdin=json.dumps(request),
        timeout_s=_START_S + _PER_LOAD_S * len(wanted),
    )
    lines = results.read_text(encoding="utf-8").splitlines() if results.exists() else []
    return [json.loads(line) for line in lines], "" if ended.returncode == 0 else ended.in_words


def _by_load(answers: Sequence[dict[str, Any]]) -> dict[SaeLoad, dict[str, Any]]:
    return {SaeLoad.from_json(a["load"]): a for a in answers if "load" in a}


def _read_by_saelens(subject: RepositorySubject) -> list[str]:
    names = (SAE_CONFIG, SAE_WEIGHTS, _SPARSITY)
    return [path for path in subject.repository.files if path.rpartition("/")[2] in names]


def _complete_saes(subject: RepositorySubject) -> list[str]:
    files = subject.repository.files
    return [
        sae.sae_id
        for sae in subject.saes
        if sae.path_of(SAE_CONFIG) in files and sae.path_of(SAE_WEIGHTS) in files
    ]
