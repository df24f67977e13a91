"""Run every Python block of a staged card as a reader would, before anything is sent.

The blocks run in order in one interpreter, exactly as they are printed, against a Hub on loopback
that has the staged folder and the base model under their own ids.
"""

from __future__ import annotations

import ast
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING
from urllib.parse import unquote

from cards.block_results import (
    CARD,
    BlockResults,
    BlockRun,
    Lack,
    UsedBaseModel,
    code_sha256,
    current_blocks,
    write_blocks,
)
from manifests.build_folder import BuildFolder
from manifests.digests import file_sha256
from manifests.load import LoadedManifest
from manifests.progress import Progress
from release.block_base_model import BlockModel, block_base_model
from release.served_copy import commit_files
from validators.environment import environment
from validators.presenting.tally import counted
from validators.reading.local_repository import LocalRepository
from validators.readme.snippet_runs import BlockAnswer, repository_missing, run_blocks
from validators.readme.snippets import README, PythonBlock, python_blocks
from validators.saelens.hub_access import ServedRepository
from validators.subjects import need_package

if TYPE_CHECKING:
    from release.embedded_hub import EmbeddedHub

_NEEDED = ("sae_lens", "torch", "transformers")
# Modules of the extra `measure` that a block may import, by the names of their distributions.
_OF_THE_EXTRA = {
    "accelerate": "accelerate",
    "bitsandbytes": "bitsandbytes",
    "sae_lens": "sae-lens",
    "scipy": "scipy",
    "sklearn": "scikit-learn",
    "torch": "torch",
    "transformers": "transformers",
}
_MODEL_FILES = (".json", ".safetensors", ".model", ".txt", ".jinja")


@dataclass(frozen=True)
class SaesElsewhere:
    """The SAEs beside a card, for a build that may lack them.

    Attributes:
        sha256: of their files, by path_in_repo.
        fetch: brings the named files, and says where each one lies.
    """

    sha256: Mapping[str, str]
    fetch: Callable[[Sequence[str]], Mapping[str, Path]]


def checked_blocks(
    loaded: LoadedManifest,
    build: BuildFolder,
    *,
    base_model: str | None,
    saes: SaesElsewhere | None = None,
    progress: Progress,
) -> BlockResults:
    """The results in card.json, where they are of this code and good; else the blocks are run.

    Args:
        loaded: the manifest.
        build: its build folder, with a rendered card.
        base_model: as `run_card_blocks`.
        saes: where the SAEs are that the build lacks; those that the code names are fetched if it
            has to be run.
        progress: where to report.

    Raises:
        ReleaseError: as `run_card_blocks`.
    """
    found = current_blocks(build.repository, saes.sha256 if saes else {})
    if found is not None and not (found.failed or found.unchecked):
        progress.note(f"{README}: this very code was run before, on these very files")
        return found
    return run_card_blocks(loaded, build, base_model=base_model, saes=saes, progress=progress)


def run_card_blocks(
    loaded: LoadedManifest,
    build: BuildFolder,
    *,
    base_model: str | None = None,
    saes: SaesElsewhere | None = None,
    progress: Progress,
) -> BlockResults:
    """Run the Python blocks of the staged README.md and write what came of it into card.json.

    Args:
        loaded: the manifest.
        build: its build folder, with a rendered card.
        base_model: a folder or Hub id with the base model; None: see `block_base_model`.
        saes: where the SAEs are that the build lacks.
        progress: where to report.

    Raises:
        MissingExtra: SAELens, torch or transformers is not installed.
        HubUnavailable: an SAE that the code names could not be fetched.
        NoStandIn, UsageError, BaseModelUnreachable: as `block_base_model`.
    """
    readme = build.repository / README
    blocks = python_blocks(readme.read_text(encoding="utf-8"))
    answers: tuple[BlockAnswer, ...] = ()
    files: dict[str, str] = {}
    used = None
    if readable := [block for block in blocks if block.tree is not None]:
        for package in _NEEDED:
            need_package(package, needed_for="running the code blocks of a card")
        model = None
        if any(loaded.manifest.base_model.id in block.code for block in readable):
            model = block_base_model(loaded, build, override=base_model, progress=progress)
            used = _used(loaded, model)
        staged = _staged(loaded, build, readable, saes)
        with (
            progress.task(f"Running {counted(len(blocks), 'code block')} of {README}", total=None),
            _staged_hub(loaded, build, staged, model) as hub,
        ):
            served = ServedRepository(hub.endpoint, loaded.manifest.repo_id, is_copy=True)
            answers = run_blocks(readable, served, skip_gpu=True)
            files = _read_files(hub, loaded.manifest.repo_id, staged)
    results = BlockResults(
        code_sha256=code_sha256(blocks),
        files=files,
        base_model=used,
        environment=_environment(),
        runs=judged(blocks, answers, loaded),
    )
    write_blocks(build.repository, results)
    progress.note(_told(results))
    return results


def _used(loaded: LoadedManifest, model: BlockModel) -> UsedBaseModel:
    return UsedBaseModel(
        used="real" if model.is_real else "stand-in",
        id=loaded.manifest.base_model.id,
        model_class=model.model_class,
        source=model.source,
    )


def _staged(
    loaded: LoadedManifest,
    build: BuildFolder,
    blocks: Sequence[PythonBlock],
    saes: SaesElsewhere | None,
) -> dict[str, Path]:
    """The files to serve: those of the folder, and of SAEs that the code names and it lacks."""
    folder = LocalRepository(build.repository)
    staged = {path: folder.fetch(path) for path in folder.files}
    if saes is None:
        return staged
    code = "\n".join(block.code for block in blocks)
    named = {f"{spec.sae_id}/" for spec in loaded.saes if spec.sae_id in code}
    lacking = [
        path
        for path in saes.sha256
        if path not in staged and path.rpartition("/")[0] + "/" in named
    ]
    return staged | (dict(saes.fetch(lacking)) if lacking else {})


@contextmanager
def _staged_hub(
    loaded: LoadedManifest,
    build: BuildFolder,
    staged: Mapping[str, Path],
    model: BlockModel | None,
) -> Iterator[EmbeddedHub]:
    """A Hub on loopback that has the staged files, and the base model if there is one."""
    repositories = [Staged(loaded.manifest.repo_id, staged)]
    if model is not None:
        spec = loaded.manifest.base_model
        parts = {p.name: p for p in model.folder.iterdir() if p.suffix in _MODEL_FILES}
        repositories.append(Staged(spec.id, parts, spec.revision))
    # Beside the repository, since files can be linked within one file system only.
    with hub_with(repositories, build.work) as hub:
        yield hub


@dataclass(frozen=True)
class Staged:
    """A repository as it is served: its files by path_in_repo, and a further name of its commit."""

    repo_id: str
    files: Mapping[str, Path]
    revision: str | None = None


@contextmanager
def hub_with(repositories: Sequence[Staged], work: Path) -> Iterator[EmbeddedHub]:
    """A Hub on loopback that has these repositories, and lies in a new folder of `work`."""
    from release.embedded_hub import EmbeddedHub
    from release.embedded_hub.hub import Hub

    work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="hub-", dir=work, ignore_cleanup_errors=True) as name:
        hub = Hub.open(Path(name), xet=False, open_namespaces=True)
        try:
            for each in repositories:
                commit_files(hub, each.repo_id, dict(each.files), revision=each.revision)
        finally:
            hub.close()
        with EmbeddedHub(Path(name), xet=False) as running:
            yield running


def _read_files(hub: EmbeddedHub, repo_id: str, staged: Mapping[str, Path]) -> dict[str, str]:
    """SHA-256 of the files that were asked for, but for the one that says so."""
    found = {}
    for request in hub.requests():
        owner, _, path = unquote(request.path).lstrip("/").partition("/resolve/")
        path = path.partition("/")[2]
        was_sent = request.status is not None and request.status < 400
        if owner == repo_id and was_sent and path in staged and path != CARD:
            found[path] = file_sha256(staged[path])
    return dict(sorted(found.items()))


def judged(
    blocks: Sequence[PythonBlock],
    answers: Sequence[BlockAnswer],
    loaded: LoadedManifest,
    left_out: Mapping[int, str] = MappingProxyType({}),
) -> tuple[BlockRun, ...]:
    """What came of each block of a card, in its order.

    Args:
        blocks: all of them.
        answers: how those ended that were run.
        loaded: the manifest.
        left_out: why a block was not to be run, by its line.
    """
    answered = {answer.line: answer for answer in answers}
    number_of = {block.line: number for number, block in enumerate(blocks, start=1)}
    runs: list[BlockRun] = []
    owed: dict[str, int] = {}
    for block in blocks:
        if block.tree is None:
            runs.append(_unreadable(block))
            continue
        if block.line in left_out:
            why = left_out[block.line]
            run = BlockRun(line=block.line, outcome="skipped", error=why, lacks="repository")
        elif block.line in answered:
            run = _run(answered[block.line], owed, loaded)
        else:
            error = f"the process ended in block {number_of[answers[-1].line]}"
            run = BlockRun(line=block.line, outcome="skipped", error=error, lacks="earlier")
        if run.outcome != "ran":
            owed |= dict.fromkeys(bound_names(block.tree), number_of[block.line])
        runs.append(run)
    return tuple(runs)


def bound_names(tree: ast.Module) -> set[str]:
    """The names that a block would have left to those after it."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.alias):
            names.add(node.asname or node.name.partition(".")[0])
    return names


def _unreadable(block: PythonBlock) -> BlockRun:
    # "line 12: unexpected indent"
    place, _, message = block.error.partition(": ")
    number = place.removeprefix("line ")
    return BlockRun(
        line=block.line,
        outcome="failed",
        error=f"SyntaxError: {message}",
        error_line=int(number) if number.isdecimal() else block.line,
    )


def _run(answer: BlockAnswer, owed: dict[str, int], loaded: LoadedManifest) -> BlockRun:
    """What an answer means; a name that an earlier block owes is no failure of this one.

    Args:
        answer: how the block ended.
        owed: names that blocks before it did not define, with the numbers of those.
        loaded: the manifest.
    """
    if answer.lacks_gpu:
        return BlockRun(
            line=answer.line,
            outcome="skipped",
            error="it names a GPU, and this machine has none",
            lacks="gpu",
        )
    if not answer.error:
        return BlockRun(line=answer.line, outcome="ran")
    run = BlockRun(
        line=answer.line, outcome="failed", error=answer.error, error_line=answer.error_line
    )
    lacks, why = _lack(answer, owed, loaded)
    if lacks is None:
        return run
    return run.model_copy(update={"outcome": "skipped", "error": why, "lacks": lacks})


def _lack(answer: BlockAnswer, owed: dict[str, int], loaded: LoadedManifest) -> tuple[Lack, str]:
    """What an error is for lack of, and in words; None and nothing where it is the block's own."""
    if answer.error_type == "NameError" and answer.missing in owed:
        # By number, since another wording of the card moves its lines.
        number = owed[answer.missing]
        return "earlier", f"{answer.missing} is of block {number}, which did not run"
    package = _OF_THE_EXTRA.get(answer.missing.partition(".")[0])
    if answer.error_type == "ModuleNotFoundError" and package is not None:
        return "package", f"it needs {package}, of the extra 'measure'"
    if repository := repository_missing(answer.error, but=loaded.manifest.repo_id):
        return "repository", f"it needs {repository}, which is not at hand"
    return None, ""


def _environment() -> dict[str, str]:
    """Versions of what ran the blocks."""
    found = environment()
    kept = {name: found[name] for name in ("python", "torch", "transformers", "sae-lens")}
    try:
        hub = version("huggingface_hub")
    except PackageNotFoundError:
        hub = "not installed"
    return kept | {"huggingface_hub": hub}


def _told(results: BlockResults) -> str:
    """One line on all blocks."""
    ran = sum(run.outcome == "ran" for run in results.runs)
    said = f"{README}: {ran} of {counted(len(results.runs), 'code block')} ran"
    if results.base_model is None:
        return said
    kind = "" if results.base_model.used == "real" else "a stand-in of "
    return f"{said}, on {kind}{results.base_model.model_class}"
