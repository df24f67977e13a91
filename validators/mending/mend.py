"""A mended copy of a repository: what is mechanical is done, what is not is said."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from manifests.build_folder import SAE_CONFIG, SAE_WEIGHTS
from manifests.errors import MissingExtra
from manifests.progress import Progress
from validators.claim import Claim
from validators.foreign.recognise import ForeignSae, recognise
from validators.mending.conversion import Converted, NotConverted, convert
from validators.mending.destination import Destination, need_empty_folder
from validators.mending.draft import Context, Draft, Mend
from validators.mending.steps import mend_draft
from validators.mending.weights_file import WRITABLE, safetensors_content
from validators.reading.repository import Repository, UnreadableFile
from validators.reading.safetensors_header import FLOAT_DTYPES, MalformedSafetensors
from validators.reading.tensor_reader import UnreadableTensors, read_tensors

__all__ = ["Mend", "Mended", "mend"]

_SCALER = "activation_scaler.json"
_MOST_LEVELS = 64


@dataclass(frozen=True)
class Mended:
    """What came of mending a repository.

    Attributes:
        out: the folder of the copy.
        mends: what was done, in the order in which it was done.
        left: what looks mechanical but could not be done, and why.
    """

    out: Path
    mends: tuple[Mend, ...]
    left: tuple[Mend, ...]


def mend(repository: Repository, claim: Claim | None, out: Path, *, progress: Progress) -> Mended:
    """Write a copy of a repository in which mechanical faults are mended.

    SAEs without a problem, and all files that belong to none, are copied byte for byte. SAEs in
    formats of other projects are written in SAELens' format; the files they were read from are not
    copied. One SAE is in memory at a time. The result depends on the repository and the claim
    alone.

    Args:
        repository: what is to be mended; it is only read.
        claim: the manifest, for what the repository itself does not say.
        out: a new or empty folder outside the repository.
        progress: told which SAE is being mended.

    Raises:
        UsageError: `out` is no such folder.
        HubUnavailable: the Hub stopped answering.
    """
    need_empty_folder(out, repository)
    out.mkdir(parents=True, exist_ok=True)
    work = _Copy(repository, claim, Destination(out))
    foreign: dict[str, list[ForeignSae]] = {}
    own = _own_folders(repository)
    for sae in recognise(repository):
        foreign.setdefault(sae.folder, []).append(sae)
    with progress.task("mend", total=len(own) + len(foreign)) as task:
        for saes in foreign.values():
            for sae in saes:
                task.status(sae.folder)
                work.convert(sae, is_alone=len(saes) == 1)
            task.advance()
        for folder in own:
            task.status(folder)
            work.mend_folder(folder)
            task.advance()
    work.copy_the_rest()
    return Mended(out=out, mends=tuple(work.mends), left=tuple(work.left))


class _Copy:
    """The copy while it is written."""

    def __init__(self, repository: Repository, claim: Claim | None, to: Destination) -> None:
        self._repository = repository
        self._claim = claim
        self._to = to
        # Files of the repository that are in the copy already, or are not to be there.
        self._done: set[str] = set()
        self.mends: list[Mend] = []
        self.left: list[Mend] = []

    def convert(self, sae: ForeignSae, *, is_alone: bool) -> None:
        """Write an SAE of another project in SAELens' format, or say why not."""
        try:
            converted = convert(self._repository, self._claim, sae, is_alone=is_alone)
        except NotConverted as reason:
            self.left.append(Mend(sae.folder, reason.code, reason.what, reason.why))
            return
        except MissingExtra as error:
            self.left.append(Mend(sae.folder, "F006", str(error.what), error.next_step or ""))
            return
        paths = _paths(converted.draft.sae_id)
        refused = [why for path in paths.values() if (why := self._to.refusal(path))]
        if refused or any(path in self._done for path in paths.values()):
            why = refused[0] if refused else "another SAE is written to the same folder"
            self.left.append(Mend(converted.draft.sae_id, "F007", "is not converted", why))
            return
        self._write_converted(converted, paths)

    def _write_converted(self, converted: Converted, paths: dict[str, str]) -> None:
        draft = mend_draft(converted.draft, self._context(converted.draft.sae_id))
        self._to.write(paths[SAE_CONFIG], _config_content(draft))
        self._to.write(paths[SAE_WEIGHTS], safetensors_content(draft.tensors, draft.dtypes))
        self._done.update(paths.values(), converted.replaced)
        self.mends += draft.mends
        self.left += draft.left

    def mend_folder(self, folder: str) -> None:
        """Mend one SAE of SAELens' own format."""
        paths = _paths(folder)
        present = [path for path in paths.values() if path in self._repository.files]
        if set(present) & self._done or any(self._to.refusal(path) for path in present):
            return
        before = self._read(folder, paths)
        if before is None:
            return
        after = mend_draft(before, self._context(folder))
        if after.cfg is not before.cfg:
            self._to.write(paths[SAE_CONFIG], _config_content(after))
            self._done.add(paths[SAE_CONFIG])
        if after.tensors is not before.tensors or after.dtypes != before.dtypes:
            self._to.write(paths[SAE_WEIGHTS], safetensors_content(after.tensors, after.dtypes))
            self._done.add(paths[SAE_WEIGHTS])
        self.mends += after.mends
        self.left += after.left

    def copy_the_rest(self) -> None:
        """Copy every file that is not there yet; those that cannot be are listed."""
        for path in self._repository.refused:
            self.left.append(Mend("", "F007", f"{path!r} is not copied", "it is a link"))
        for path in self._repository.files:
            if path in self._done:
                continue
            refusal = self._to.refusal(path)
            if refusal:
                self.left.append(Mend("", "F007", f"{path!r} is not copied", refusal))
            else:
                self._to.copy(path, self._repository.fetch(path))

    def _read(self, folder: str, paths: dict[str, str]) -> Draft | None:
        """The SAE as it stands; None where either file is missing or unreadable."""
        missing = [name for name, path in paths.items() if path not in self._repository.files]
        if missing:
            self._leave(folder, "F004", f"{' and '.join(missing)} not there", "nothing to go by")
            return None
        weights = paths[SAE_WEIGHTS]
        try:
            cfg = self._repository.read_json(paths[SAE_CONFIG])
        except UnreadableFile as error:
            self._leave(folder, "C001", f"cfg.json {error.what}", "it cannot be read")
            return None
        if not isinstance(cfg, dict) or _is_deep(cfg):
            self._leave(folder, "C001", "cfg.json is no flat JSON object", "it cannot be read")
            return None
        try:
            header = self._repository.read_header(weights)
            dtypes = {name: info.dtype for name, info in header.tensors.items()}
            if not set(dtypes.values()) <= WRITABLE:
                self._leave(folder, "W003", "weights in 8-bit floats", "SAELens reads none")
                return None
            tensors = read_tensors(self._repository.fetch(weights), header)
        except (MalformedSafetensors, UnreadableTensors, UnreadableFile) as error:
            self._leave(folder, "F005", f"{SAE_WEIGHTS} {error.what}", "it cannot be read")
            return None
        integers = sorted(
            name for name in ("W_enc", "W_dec") if dtypes.get(name, "F32") not in FLOAT_DTYPES
        )
        if integers:
            what = f"{' and '.join(integers)} hold integers"
            self._leave(folder, "W003", what, "their scale is not recorded")
            return None
        return Draft(sae_id=folder, cfg=cfg, tensors=tensors, dtypes=dtypes)

    def _leave(self, sae_id: str, code: str, what: str, why: str) -> None:
        self.left.append(Mend(sae_id, code, what, why))

    def _context(self, sae_id: str) -> Context:
        spec = self._claim.saes.get(sae_id) if self._claim else None
        return Context(claim=self._claim, spec=spec, scaling_factor=self._scaling_factor(sae_id))

    def _scaling_factor(self, sae_id: str) -> float | None:
        path = _SCALER if sae_id == "." else f"{sae_id}/{_SCALER}"
        if path not in self._repository.files:
            return None
        try:
            recorded = self._repository.read_json(path)
        except UnreadableFile:
            # The scale then counts as not recorded, which the mend that needs it says.
            return None
        factor: Any = recorded.get("scaling_factor") if isinstance(recorded, dict) else None
        is_number = isinstance(factor, (int, float)) and not isinstance(factor, bool)
        return float(factor) if is_number and factor > 0 else None


def _own_folders(repository: Repository) -> list[str]:
    folders = {
        path.rpartition("/")[0] or "."
        for path in repository.files
        if path.rpartition("/")[2] in (SAE_CONFIG, SAE_WEIGHTS)
    }
    foreign = {sae.folder for sae in recognise(repository)}
    both = {
        folder
        for folder in folders
        if all(path in repository.files for path in _paths(folder).values())
    }
    return sorted((folders - foreign) | both)


def _paths(folder: str) -> dict[str, str]:
    """path_in_repo of config and weights, by file name."""
    below = "" if folder == "." else f"{folder}/"
    return {name: below + name for name in (SAE_CONFIG, SAE_WEIGHTS)}


def _config_content(draft: Draft) -> bytes:
    # SAELens opens the file in the machine's own encoding, which need not be UTF-8.
    return (json.dumps(draft.cfg, indent=2, ensure_ascii=True) + "\n").encode("ascii")


def _is_deep(value: Any) -> bool:
    """Whether a JSON value is nested deeper than any config is."""
    level = [value]
    for _ in range(_MOST_LEVELS):
        level = [
            inner
            for item in level
            if isinstance(item, (dict, list))
            for inner in (item.values() if isinstance(item, dict) else item)
        ]
        if not level:
            return False
    return True
