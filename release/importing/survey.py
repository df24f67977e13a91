"""One pass over a repository: every config and header, many in flight together."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import PurePosixPath

from manifests.build_folder import SAE_CONFIG
from manifests.errors import ReleaseError
from manifests.progress import Progress
from release.importing.configs import ConfigFacts, config_facts
from release.importing.findings import Finding
from release.importing.headers import HeaderFacts, header_facts, read_exact_header
from release.importing.printable import one_line
from validators.reading.repository import Repository, UnreadableFile
from validators.reading.safetensors_header import MalformedSafetensors

MAX_SAES = 5_000
MAX_CONFIG_BYTES = 1_000_000
_IN_FLIGHT = 16

_PICKLES = (".pt", ".pth", ".bin", ".pkl", ".npz")
# Files of the same name that say something else about the folder.
_NOT_WEIGHTS = ("sparsity.safetensors", "activation_whitening.safetensors")


class TooManySaes(ReleaseError):
    """A repository with more SAEs than an import reads."""

    exit_code = 2


@dataclass(frozen=True)
class FoundSae:
    """One SAE as its folder shows it; `.` is the repository's root.

    `config` and `header` are None where there is no such file or it cannot be read; `weights` is
    the file in the folder, a pickle when `is_pickle`.
    """

    folder: str
    config: ConfigFacts | None
    header: HeaderFacts | None
    weights: str | None
    is_pickle: bool


@dataclass(frozen=True)
class Survey:
    """All SAEs of a repository, and what could not be read."""

    saes: tuple[FoundSae, ...]
    findings: tuple[Finding, ...]


def survey(repository: Repository, *, progress: Progress) -> Survey:
    """Read every cfg.json and every safetensors header.

    Raises:
        TooManySaes: there are more than `MAX_SAES` folders of SAEs.
        HubUnavailable: the Hub gave no answer.
    """
    folders = _sae_folders(repository)
    if len(folders) > MAX_SAES:
        raise TooManySaes(
            f"{len(folders)} folders hold SAEs",
            where=repository.location,
            expected=f"at most {MAX_SAES}",
            next_step="import a folder with a part of them",
        )
    findings: list[Finding] = [
        Finding("warn", one_line(path), "leads out of the repository", "files inside it")
        for path in repository.refused
    ]
    saes = []
    with (
        progress.task(f"Reading {len(folders)} configs and headers", total=len(folders)) as task,
        ThreadPoolExecutor(max_workers=_IN_FLIGHT) as pool,
    ):
        for sae, problems in pool.map(lambda item: _read(repository, *item), folders.items()):
            saes.append(sae)
            findings += problems
            task.advance()
    return Survey(tuple(saes), tuple(findings))


def _sae_folders(repository: Repository) -> dict[str, list[str]]:
    """Files by folder, of the folders that hold a config or weights."""
    folders: dict[str, list[str]] = {}
    for path in repository.files:
        folder, _, _ = path.rpartition("/")
        folders.setdefault(folder or ".", []).append(path)
    return {
        folder: paths
        for folder, paths in sorted(folders.items())
        if any(PurePosixPath(path).name == SAE_CONFIG or _is_weights(path) for path in paths)
    }


def _is_weights(path: str) -> bool:
    file = PurePosixPath(path)
    is_tensors = file.suffix == ".safetensors" and file.name not in _NOT_WEIGHTS
    return is_tensors or file.suffix in _PICKLES


def _read(repository: Repository, folder: str, paths: list[str]) -> tuple[FoundSae, list[Finding]]:
    findings: list[Finding] = []
    weights = _weights_of(paths)
    is_pickle = weights is not None and not weights.endswith(".safetensors")
    config = header = None
    config_path = next((path for path in paths if PurePosixPath(path).name == SAE_CONFIG), None)
    if config_path is None:
        findings.append(Finding("fail", folder, "has weights but no cfg.json", "a cfg.json"))
    else:
        try:
            config = _config(repository, config_path)
        except UnreadableFile as error:
            findings.append(_unreadable(config_path, error))
    if weights is None:
        findings.append(
            Finding("fail", folder, "has a cfg.json but no weights", "sae_weights.safetensors")
        )
    elif is_pickle:
        suffix = PurePosixPath(weights).suffix
        findings.append(
            Finding(
                "fail",
                folder,
                f"holds its weights as {suffix}, whose shapes show only by loading it",
                "sae_weights.safetensors",
            )
        )
    else:
        try:
            header = header_facts(read_exact_header(repository, weights))
        except (UnreadableFile, MalformedSafetensors) as error:
            findings.append(_unreadable(weights, error))
    return FoundSae(folder, config, header, weights, is_pickle), findings


def _config(repository: Repository, path: str) -> ConfigFacts:
    if repository.size_of(path) > MAX_CONFIG_BYTES:
        raise UnreadableFile(
            f"is longer than {MAX_CONFIG_BYTES} bytes", where=path, expected="a small JSON file"
        )
    cfg = repository.read_json(path)
    if not isinstance(cfg, dict):
        raise UnreadableFile(f"holds a {type(cfg).__name__}", where=path, expected="a JSON object")
    return config_facts(cfg)


def _weights_of(paths: list[str]) -> str | None:
    """The file with the weights: safetensors before pickles, SAELens' own name first."""
    files = [path for path in paths if _is_weights(path)]
    files.sort(
        key=lambda path: (
            not path.endswith(".safetensors"),
            PurePosixPath(path).name != "sae_weights.safetensors",
            path,
        )
    )
    return files[0] if files else None


def _unreadable(path: str, error: ReleaseError) -> Finding:
    return Finding("fail", one_line(path), one_line(error.what), error.expected or "a whole file")
