"""L: loading the SAE from its folder, the way a user will."""

from __future__ import annotations

import warnings
from pathlib import Path

from manifests.build_folder import SAE_CONFIG
from manifests.errors import MissingExtra
from validators.check import Passed, Problem, Verdict, sae_check
from validators.saelens.config_after_loading import changes, same_dtype
from validators.saelens.format import SHAPED_ARCHITECTURES
from validators.subjects import SaeSubject

_SHOWN = 6
# Said on every load of an SAE that SAELens trained with its own defaults: advice on the base model.
_ADVICE = ("model_from_pretrained_kwargs",)


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


@sae_check("L102", "what cfg.json says survives loading", tier="load", requires=("L101",))
def config_survives(sae: SaeSubject) -> Verdict:
    """SAELens drops keys it does not expect, and reads a missing metadata key as None.

    Whoever asks the loaded SAE for its hook, its k or anything else must get what the file states.
    A nested config without `sae_lens_version` loses its whole metadata; a flat one that states a
    version of 6 or later loses hook and model. Compared are all keys of the metadata and all that
    SAELens knows at the top level, except `device`, which is the reader's choice.

    Example: `metadata.hook_name is gone`, because the config was taken for an old one.

    To mend it: nest the keys in `metadata` and state its `sae_lens_version`.
    """
    found = changes(sae.cfg, sae.saelens.cfg)
    if not found:
        metadata = sae.cfg.get("metadata")
        n_keys = len(metadata) if isinstance(metadata, dict) else 0
        return Passed(f"{n_keys} keys of metadata, {len(sae.cfg)} at the top level")
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return Problem(
        "after loading, " + ", ".join(map(str, found[:_SHOWN])) + more,
        ", ".join(f"{change.key} {change.stated!r:.60}" for change in found[:_SHOWN])
        + f", by {SAE_CONFIG}",
        "nest model and hook in metadata and state its sae_lens_version, as SAELens 6 does",
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
    stored = {name: torch.as_tensor(values).float() for name, values in sae.tensors.items()}
    if loaded.keys() != stored.keys():
        apart = sorted(loaded.keys() ^ stored.keys())
        return Problem(
            f"{', '.join(apart)} on one path only",
            "the same tensors on both paths",
            "see W001, which names the tensors of this architecture",
        )
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


@sae_check(
    "L104", "loaded without options, it has the stated dtype and no complaints",
    tier="load", severity="warn", requires=("L101", "C003", "C009"),
)  # fmt: skip
def loads_quietly_in_its_dtype(sae: SaeSubject) -> Verdict:
    """`SAE.load_from_disk(folder)` takes the dtype from cfg.json; `from_pretrained` takes float32.

    Users of the first call compute in the dtype that the config states, whatever the file holds,
    so it has to be one that loading really leads to. What SAELens warns of while it loads, every
    user will read; its advice on how to load the base model is no complaint.

    Example: SAELens says that a setting is deprecated each time the SAE is loaded.

    To mend it: state in cfg.json the dtype of the weights; for a warning, do what it says.
    """
    from sae_lens import SAE

    folder = sae.parent.repository.fetch(sae.path_of(SAE_CONFIG)).parent
    with warnings.catch_warnings(record=True) as raised:
        warnings.simplefilter("always")
        state = SAE.load_from_disk(folder, device="cpu").state_dict()
    stated = sae.cfg["dtype"]
    dtypes = sorted({str(tensor.dtype) for tensor in state.values()})
    if any(not same_dtype(stated, dtype) for dtype in dtypes):
        return Problem(
            f"loads as {', '.join(dtypes)}",
            f"{stated}, by {SAE_CONFIG}",
            "state the dtype in which the SAE is to be used",
        )
    said = [str(each.message) for each in raised if "sae_lens" in Path(each.filename).parts]
    complaints = [" ".join(text.split()) for text in said if not any(a in text for a in _ADVICE)]
    if complaints:
        return Problem(
            f"SAELens warns: {'; '.join(complaints):.400}",
            "an SAE that loads without a warning",
            "do what the warning says",
        )
    return Passed(f"{', '.join(dtypes)}")
