"""L: loading the SAE the way a user will."""

from __future__ import annotations

from typing import Any

from manifests.errors import MissingExtra
from validators.check import Passed, Problem, Verdict, sae_check
from validators.saelens_format import SHAPED_ARCHITECTURES
from validators.subjects import SaeSubject

_KEPT_KEYS = ("model_name", "hook_name", "hf_hook_name")


@sae_check("L101", "SAELens loads it", tier="load", requires=("C004", "F005"))
def saelens_loads_it(sae: SaeSubject) -> Verdict:
    """The one call that every user makes: `SAE.load_from_disk(folder)`.

    It finds wrong tensor names, shapes and architectures; it does not find wrong values, a wrong
    k or a wrong hook, which is what the other checks are for.

    Example: `Unexpected key(s) in state_dict: "threshold"`.

    To mend it: see the checks W001, W002 and C004, which say more about the same files.
    """
    try:
        loaded = sae.saelens
    except MissingExtra:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a user would see is the finding
        first_line = (str(error).strip().splitlines() or [""])[0]
        return Problem(
            f"SAE.load_from_disk raised {type(error).__name__}: {first_line:.200}",
            "an SAE",
            "see W001, W002 and C004 for the same folder",
        )
    return Passed(type(loaded).__name__)


@sae_check(
    "L102", "metadata survives loading", tier="load", requires=("C002", "H001", "H002", "L101")
)
def metadata_survives(sae: SaeSubject) -> Verdict:
    """SAELens drops keys it does not expect, and reads a missing metadata key as None.

    Whoever asks the loaded SAE for its hook must get the one that the file states.

    Example: `sae.cfg.metadata.hook_name` is None, because the config was taken for an old one.

    To mend it: nest the keys in `metadata` and state its `sae_lens_version`.
    """
    kept = sae.saelens.cfg.metadata
    wrong = {
        key: _metadata_value(kept, key)
        for key in _KEPT_KEYS
        if key in sae.metadata and _metadata_value(kept, key) != sae.metadata[key]
    }
    if not wrong:
        return Passed(", ".join(key for key in _KEPT_KEYS if key in sae.metadata))
    return Problem(
        "after loading, " + ", ".join(f"{key} is {value!r:.60}" for key, value in wrong.items()),
        ", ".join(f"{key} {sae.metadata[key]!r}" for key in wrong) + ", by cfg.json",
        "state sae_lens_version in metadata, as SAELens 6 does",
    )


@sae_check(
    "L103", "the manual path loads the same tensors", tier="load",
    requires=("L101", "W002"), architectures=SHAPED_ARCHITECTURES,
)  # fmt: skip
def manual_path_loads_the_same(sae: SaeSubject) -> Verdict:
    """Without SAELens, safetensors and a few lines of arithmetic must give the same SAE.

    Compared in float32, value by value: every tensor of the file with the parameter of the same
    name that SAELens holds.

    Example: a loader that scales W_enc on the way in.

    To mend it: write the tensors as they are to be used, with nothing left for a loader to do.
    """
    import torch

    loaded = dict(sae.saelens.state_dict())
    stored = {name: tensor.float() for name, tensor in sae.tensors.items()}
    if loaded.keys() != stored.keys():
        apart = sorted(loaded.keys() ^ stored.keys())
        return Problem(f"{', '.join(apart)} on one path only", "the same tensors on both paths")
    differ = [
        name
        for name in sorted(stored)
        if not torch.equal(loaded[name].float().nan_to_num(), stored[name].nan_to_num())
    ]
    if not differ:
        return Passed(f"{len(stored)} tensors")
    return Problem(
        f"{', '.join(differ)} differ after loading",
        "the values that the file holds",
        "write the tensors as they are to be used",
    )


def _metadata_value(metadata: Any, key: str) -> Any:
    return metadata.get(key) if hasattr(metadata, "get") else getattr(metadata, key, None)
