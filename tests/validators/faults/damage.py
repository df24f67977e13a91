"""One way to damage a good release, named for what is wrong afterwards, and how to do the damage.

Modules beside this one list the faults of one family of checks each, as `FAULTS`; `test_checks.py`
runs them all. `d` is a `DamagedCopy` (conftest.py).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch

from validators.registry import find_check
from validators.report import OutcomeKind

Damage = Callable[[Any], None]


@dataclass(frozen=True)
class Fault:
    """One way to damage the good release, named for what is wrong afterwards."""

    code: str
    name: str
    damage: Damage
    subject: str = ""
    outcome: OutcomeKind | None = None

    @property
    def expected(self) -> OutcomeKind:
        kinds: dict[str, OutcomeKind] = {"fail": "failed", "warn": "warned", "note": "noted"}
        return self.outcome or kinds[find_check(self.code).severity]


def cfg(name: str, /, **changes: Any) -> Damage:
    return lambda d: d.edit_cfg(name, lambda c: c.update(changes))


def without(architecture: str, key: str) -> Damage:
    return lambda d: d.edit_cfg(architecture, lambda c: c.pop(key))


def metadata(architecture: str, **changes: Any) -> Damage:
    return lambda d: d.edit_cfg(architecture, lambda c: c["metadata"].update(changes))


def tensor(architecture: str, name: str, change: Callable[[torch.Tensor], Any]) -> Damage:
    return lambda d: d.edit_weights(architecture, lambda t: t.update({name: change(t[name])}))


def filled(value: float) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda t: torch.full_like(t, value)


def without_first_row(t: torch.Tensor) -> torch.Tensor:
    return torch.cat([torch.zeros_like(t[:1]), t[1:]])


def without_positive_directions(b_enc: torch.Tensor) -> torch.Tensor:
    """Of 16 pairs of latents along +v and -v, 12 lose the first: from 4 to 16 stay positive."""
    return torch.cat([torch.full((12,), -1000.0), b_enc[12:]])


def remove_everything(d: Any) -> None:
    shutil.rmtree(d.root)
    d.root.mkdir()


def cut_weights_short(d: Any) -> None:
    path = d.sae("topk") / "sae_weights.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def replace_weights_by_lfs_pointer(d: Any) -> None:
    path = d.sae("topk") / "sae_weights.safetensors"
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")


def link_out_of_the_repository(d: Any) -> None:
    outside = d.root.parent / "outside.txt"
    outside.write_text("secret", encoding="utf-8")
    try:
        (d.root / "link.txt").symlink_to(outside)
    except OSError:
        pytest.skip("this machine does not let tests make links")


def without_format_version(c: dict[str, Any]) -> None:
    c["metadata"].pop("sae_lens_version")


def override_k_by_the_older_format(d: Any) -> None:
    """SAELens takes k = 3 from the older format's key, the formula k = 9."""
    d.edit_cfg("topk", without_format_version)
    cfg("topk", activation_fn="topk", activation_fn_kwargs={"k": 3})(d)


def no_base_model(d: Any) -> None:
    d.base_model = d.root / "nowhere"


def write_text(path: str, text: str) -> Damage:
    return lambda d: (d.root / path).write_text(text, encoding="utf-8")


TOPK, JUMPRELU, GATED = "tiny_topk_L1_mixed", "tiny_jumprelu_L1_mixed", "tiny_gated_L1_mixed"
