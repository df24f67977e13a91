"""Use a release from the Hub as its readers will: one SAE through SAELens, and the card's code.

What was sent has been read back by then. This asks the one question that digests leave open: does
it load from where it lies, under its own name, at the commit that was pushed?
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from cards.block_results import BlockResults
from manifests.build_folder import SAE_CONFIG, SAE_WEIGHTS
from manifests.digests import file_sha256
from manifests.errors import MissingExtra
from manifests.load import LoadedManifest
from manifests.progress import Progress
from release.card_blocks import judged
from release.hub_connection import HubConnection, hub_errors_explained
from validators.presenting.tally import counted
from validators.reading.local_repository import LocalRepository
from validators.reading.repository import HubUnavailable
from validators.readme.card_code import SaeLoad
from validators.readme.snippet_runs import run_blocks
from validators.readme.snippets import README, PythonBlock, python_blocks
from validators.saelens.hub_access import ServedRepository
from validators.saelens.hub_loading import ask_for_loads
from validators.subjects import need_package

_NEEDED = ("sae_lens", "torch")
# What a push downloads unasked to run a block that loads the base model: less than a minute.
_SMALL_MODEL_BYTES = 300_000_000


@dataclass(frozen=True)
class UsedBlock:
    """One Python block of the card; `why` says what went wrong, or why it was not run."""

    line: int
    outcome: Literal["ran", "failed", "skipped"]
    why: str = ""


@dataclass(frozen=True)
class HubUse:
    """What came of using a release from the Hub.

    Attributes:
        outcome: `not tried` where this machine lacks what loads an SAE.
        commit: what was loaded, by oid.
        sae_id: the SAE that was loaded; None: none.
        n_tensors: how many of its tensors are those of the files that were checked.
        blocks: the card's code, in its order.
        reasons: what went wrong, or why it was not tried.
    """

    outcome: Literal["passed", "failed", "not tried"]
    commit: str
    sae_id: str | None = None
    n_tensors: int = 0
    blocks: tuple[UsedBlock, ...] = ()
    reasons: tuple[str, ...] = ()

    @property
    def told(self) -> str:
        """One or two sentences."""
        if self.outcome == "not tried":
            return f"Loading it from the Hub was not tried: {self.reasons[0]}."
        if self.outcome == "failed":
            return "It cannot be used from the Hub: " + "; ".join(self.reasons) + "."
        tensors = counted(self.n_tensors, "tensor")
        ran = sum(block.outcome == "ran" for block in self.blocks)
        told = (
            f"From the Hub, SAELens loads {self.sae_id} with the {tensors} that were checked; "
            f"{ran} of {counted(len(self.blocks), 'code block')} of the card ran there."
        )
        left = [block for block in self.blocks if block.outcome == "skipped"]
        whys = dict.fromkeys(block.why for block in left)
        return " ".join([told, *(f"Not run there: {why}." for why in whys)])


def use_from_hub(
    loaded: LoadedManifest,
    readme: Path,
    results: BlockResults,
    sha256: Mapping[str, str],
    commit: str,
    connection: HubConnection,
    *,
    progress: Progress,
) -> HubUse:
    """Load one SAE with SAELens and run the card's code, from the Hub at a commit.

    Both happen in processes of their own with an empty cache. They get the token, through the
    environment alone, where the repository is not public.

    Args:
        loaded: the manifest.
        readme: the card that was pushed.
        results: what came of its code before; the SAE that it reads is the one that is loaded.
        sha256: of the SAEs' files as they were checked, by path_in_repo.
        commit: the oid that was pushed.
        connection: the Hub.
        progress: where to report.
    """
    try:
        for package in _NEEDED:
            need_package(package, needed_for="loading from the Hub as a reader does")
    except MissingExtra as error:
        return HubUse("not tried", commit, reasons=(f"{error.what}; {error.next_step}",))
    sae_id = _shown_sae(loaded, results)
    blocks = python_blocks(readme.read_text(encoding="utf-8"))
    with (
        tempfile.TemporaryDirectory(prefix="sae-release-", ignore_cleanup_errors=True) as folder,
        progress.task(f"Loading {sae_id} from the Hub, as a reader does", total=None),
    ):
        try:
            served = _served(loaded.manifest.repo_id, commit, connection, Path(folder) / "cache")
            n_tensors, wrong = _load(served, sae_id, sha256, Path(folder))
            used = _run(loaded, blocks, served, connection)
        except HubUnavailable as error:
            return HubUse("failed", commit, sae_id, reasons=(f"{error.where}: {error.what}",))
    wrong += [
        f"{README}, line {each.line}: {each.why}" for each in used if each.outcome == "failed"
    ]
    return HubUse(
        "failed" if wrong else "passed",
        commit,
        sae_id,
        n_tensors,
        used,
        tuple(_without(served.token, reason) for reason in wrong),
    )


def _shown_sae(loaded: LoadedManifest, results: BlockResults) -> str:
    """The SAE that the card's code reads; the first one where it reads none."""
    read = {path.rpartition("/")[0] for path in results.files}
    sae_ids = [spec.sae_id for spec in loaded.saes]
    return next((sae_id for sae_id in sae_ids if sae_id in read), sae_ids[0])


def _served(repo_id: str, commit: str, connection: HubConnection, cache: Path) -> ServedRepository:
    with hub_errors_explained(f"looking at {repo_id}", connection):
        info = connection.api().model_info(repo_id)
    return ServedRepository(
        connection.endpoint,
        repo_id,
        is_copy=False,
        cache_dir=cache,
        commit=commit,
        # The card's code runs with it, so a public repository is read without.
        token=connection.token if info.private or info.gated else None,
    )


def _load(
    served: ServedRepository, sae_id: str, sha256: Mapping[str, str], folder: Path
) -> tuple[int, list[str]]:
    """How many tensors SAELens has as the checked file has them, and what is wrong."""
    load = SaeLoad(served.repo_id, sae_id)
    call = f"SAE.from_pretrained({served.repo_id!r}, {sae_id!r})"
    answers, ended = ask_for_loads(served, [load], folder=folder)
    answer = answers.get(load)
    if answer is None:
        return 0, [f"no answer to {call}: the process {ended or 'ended early'}"]
    if answer["error"] is not None:
        return 0, [f"{call} raised {answer['error']}"]
    wrong = [
        f"{call} read another {path} than was checked"
        for path, file in _downloaded(served, sae_id, folder / "loaded").items()
        if file is None or file_sha256(file) != sha256.get(path)
    ]
    if wrong:
        return 0, wrong
    stored = _stored_tensors(folder / "loaded", sae_id)
    found: dict[str, str] = answer["tensors"]
    differ = sorted(n for n in {*found, *stored} if found.get(n) != stored.get(n))
    if differ:
        return 0, [f"{call} gives another {', '.join(differ)} than the file holds"]
    return len(found), []


def _downloaded(served: ServedRepository, sae_id: str, copy: Path) -> dict[str, Path | None]:
    """Copies of the two files that SAELens read at the commit, by path; None: it read none."""
    from huggingface_hub import try_to_load_from_cache

    found: dict[str, Path | None] = {}
    for path in (f"{sae_id}/{SAE_CONFIG}", f"{sae_id}/{SAE_WEIGHTS}"):
        cached = try_to_load_from_cache(
            served.repo_id, path, cache_dir=served.cache_dir, revision=served.commit
        )
        found[path] = None
        if isinstance(cached, str):
            # The cache has links, which lead out of the folder that is read next.
            place = copy / Path(*path.split("/"))
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(cached, place)
            found[path] = place
    return found


def _stored_tensors(folder: Path, sae_id: str) -> dict[str, str]:
    """Shape and digest of the tensors of a file, read without SAELens, as its answer has them."""
    import torch

    from validators.reading.tensor_reader import read_tensors
    from validators.saelens.loading_child import tensor_digests

    repository, path = LocalRepository(folder), f"{sae_id}/{SAE_WEIGHTS}"
    tensors = read_tensors(repository.fetch(path), repository.read_header(path))
    return tensor_digests({name: torch.as_tensor(values) for name, values in tensors.items()})


def _run(
    loaded: LoadedManifest,
    blocks: Sequence[PythonBlock],
    served: ServedRepository,
    connection: HubConnection,
) -> tuple[UsedBlock, ...]:
    """Run the card's code against the Hub, but for blocks whose base model is no small download."""
    readable = [block for block in blocks if block.tree is not None]
    base_model = loaded.manifest.base_model.id
    needing = [block.line for block in readable if base_model in block.code]
    why = _why_not_loaded(loaded, connection) if needing else ""
    left_out = dict.fromkeys(needing, why) if why else {}
    wanted = [block for block in readable if block.line not in left_out]
    answers = run_blocks(wanted, served, skip_gpu=True) if wanted else ()
    return tuple(
        UsedBlock(
            line=run.error_line or run.line,
            outcome=run.outcome,
            why=_without(served.token, run.error),
        )
        for run in judged(blocks, answers, loaded, left_out)
    )


def _why_not_loaded(loaded: LoadedManifest, connection: HubConnection) -> str:
    """Why the base model is not downloaded for a block; empty: it is small and to be had."""
    spec = loaded.manifest.base_model
    ran = "what needs it ran before the push"
    try:
        with hub_errors_explained(f"looking for {spec.id}", connection):
            info: Any = connection.api().model_info(
                spec.id, revision=spec.revision, files_metadata=True
            )
    except HubUnavailable:
        return f"{spec.id} cannot be had from {connection.endpoint}; {ran}"
    if info.gated:
        return f"{spec.id} is gated; {ran}"
    sizes = [f.size for f in info.siblings or () if f.rfilename.endswith((".safetensors", ".bin"))]
    size_bytes = sum(size or 0 for size in sizes)
    if not sizes or size_bytes > _SMALL_MODEL_BYTES:
        return f"{spec.id} is a download of {size_bytes / 1e6:,.0f} MB; {ran}"
    return ""


def _without(token: str | None, text: str) -> str:
    return text.replace(token, "(the token)") if token else text
