"""A copy of a release that may be damaged: unchanged files are hard links to the good ones."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

CONFIG, WEIGHTS = "cfg.json", "sae_weights.safetensors"
# What would give every change away by its digest, without anyone having looked at the content.
RECORDS = ("training.json", "report.json", "card.json", "receipt.json")
CLAIMS = ("manifest.json",)

Tensors = dict[str, torch.Tensor]
Cfg = dict[str, Any]


@dataclass(frozen=True)
class Target:
    """One SAE of a release, and the others that damage may need.

    Attributes:
        sae_id: its folder.
        architecture: by its config.
        layer: by its hook; None where the hook names none.
        others: every other SAE of the release.
        n_layers: of the base model.
        seed: for what is drawn.
    """

    sae_id: str
    architecture: str
    d_in: int
    d_sae: int
    layer: int | None
    module: str | None
    tensors: frozenset[str]
    others: tuple[Target, ...] = field(default=(), repr=False, compare=False)
    n_layers: int = 0
    seed: int = 0

    @property
    def generator(self) -> torch.Generator:
        """The same draws each time."""
        return torch.Generator().manual_seed(self.seed)

    @property
    def other_layer(self) -> Target | None:
        """An SAE of the same shape and architecture at another layer."""
        return self._first(lambda o: o.layer != self.layer and o.tail == self.tail)

    @property
    def other_condition(self) -> Target | None:
        """An SAE of the same shape, architecture and layer, trained on something else."""
        return self._first(lambda o: o.layer == self.layer)

    @property
    def other_architecture(self) -> Target | None:
        """An SAE of the same layer and shape and another architecture."""
        same_place = [o for o in self.others if o.layer == self.layer and o.shape == self.shape]
        return next((o for o in same_place if o.architecture != self.architecture), None)

    @property
    def shape(self) -> tuple[int, int]:
        """d_in and d_sae."""
        return self.d_in, self.d_sae

    @property
    def tail(self) -> str:
        """The id without its layer."""
        return re.sub(r"(?i)(^|[^a-z])l(?:ayer)?[-_.]?\d+", r"\1", self.sae_id)

    def _first(self, fits: Callable[[Target], bool]) -> Target | None:
        alike = [
            other
            for other in self.others
            if other.architecture == self.architecture
            and other.shape == self.shape
            and other.tensors == self.tensors
        ]
        return next((other for other in alike if fits(other)), None)


class ReleaseCopy:
    """A folder to damage. Every write makes a new file: the links' other ends stay as they are."""

    def __init__(
        self, good: Path, root: Path, *, records: bool = True, claims: bool = True
    ) -> None:
        """Copy a release.

        Args:
            good: the release.
            root: a folder that does not exist yet.
            records: keep files that hold digests of the others.
            claims: keep the manifest that is published inside it.
        """
        self.root = root
        # Folders that were changed, made or taken away.
        self.touched: set[str] = set()
        left_out = {*(() if records else RECORDS), *(() if claims else CLAIMS)}
        for file in sorted(good.rglob("*")):
            path = file.relative_to(good)
            if file.is_file() and path.as_posix() not in left_out and ".git" not in path.parts:
                _link(file, root / path)

    def cfg(self, sae_id: str) -> Cfg:
        """A config."""
        text = (self.root / sae_id / CONFIG).read_text(encoding="utf-8")
        cfg: Cfg = json.loads(text)
        return cfg

    def edit_cfg(self, sae_id: str, change: Callable[[Cfg], object]) -> None:
        """Change a config."""
        cfg = self.cfg(sae_id)
        change(cfg)
        self.write(f"{sae_id}/{CONFIG}", json.dumps(cfg, indent=2).encode())

    def tensors(self, sae_id: str) -> Tensors:
        """All weights, as stored."""
        return load_file(self.root / sae_id / WEIGHTS)

    def edit_tensors(self, sae_id: str, change: Callable[[Tensors], object]) -> None:
        """Change weights."""
        tensors = {name: tensor.clone() for name, tensor in self.tensors(sae_id).items()}
        change(tensors)
        path = self._fresh(f"{sae_id}/{WEIGHTS}")
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)

    def read(self, path: str) -> bytes:
        """A file's bytes."""
        return (self.root / path).read_bytes()

    def write(self, path: str, data: bytes) -> None:
        """A file's new bytes."""
        self._fresh(path).write_bytes(data)

    def remove(self, path: str) -> None:
        """Take a file or a folder away."""
        self.touched.add(path.partition("/")[0])
        target = self.root / path
        if target.is_dir():
            shutil.rmtree(target)
        else:
            target.unlink()

    def duplicate(self, path: str, to: str) -> None:
        """Put the same file or folder at a second path."""
        self.touched.add(to.partition("/")[0])
        source = self.root / path
        files = [source] if source.is_file() else sorted(source.rglob("*"))
        for file in files:
            if file.is_file():
                _link(file, self.root / to / file.relative_to(source))

    def swap(self, first: str, second: str) -> None:
        """Exchange two files or folders."""
        self.touched |= {first.partition("/")[0], second.partition("/")[0]}
        aside = self.root / "aside"
        (self.root / first).rename(aside)
        (self.root / second).rename(self.root / first)
        aside.rename(self.root / second)

    def rename(self, first: str, to: str) -> None:
        """Give a folder another name."""
        self.touched |= {first, to}
        (self.root / first).rename(self.root / to)

    def _fresh(self, path: str) -> Path:
        self.touched.add(path.partition("/")[0])
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        return target


def targets_of(root: Path, *, n_layers: int = 0) -> tuple[Target, ...]:
    """Every SAE of a release that has a config and weights, and knows the others."""
    from safetensors import safe_open

    alone = []
    for config in sorted(root.rglob(CONFIG)):
        folder = config.parent
        if not (folder / WEIGHTS).is_file():
            continue
        cfg = json.loads(config.read_text(encoding="utf-8"))
        metadata = cfg.get("metadata") or {}
        hook = metadata.get("hook_name") or metadata.get("hf_hook_name") or ""
        number = re.search(r"\.(\d+)(?:\.|$)", hook)
        with safe_open(folder / WEIGHTS, "pt") as stream:
            names = frozenset(stream.keys())
        alone.append(
            Target(
                sae_id=folder.relative_to(root).as_posix(),
                architecture=cfg["architecture"],
                d_in=cfg["d_in"],
                d_sae=cfg["d_sae"],
                layer=int(number[1]) if number else None,
                module=metadata.get("hf_hook_name"),
                tensors=names,
            )
        )
    deepest = max((one.layer or 0 for one in alone), default=0)
    return tuple(
        Target(
            **{name: getattr(one, name) for name in _OWN},
            others=tuple(other for other in alone if other.sae_id != one.sae_id),
            n_layers=n_layers or deepest + 2,
        )
        for one in alone
    )


_OWN = ("sae_id", "architecture", "d_in", "d_sae", "layer", "module", "tensors")


def _link(file: Path, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(file, to)
    except OSError:
        # Another file system, or one without hard links.
        shutil.copyfile(file, to)
