"""C023, C024: what the folders' names and the SAEs beside each other say."""

from __future__ import annotations

import re
from typing import Any

from validators.check import Passed, Problem, Verdict, repository_check, sae_check
from validators.folder_names import facts_of
from validators.reading.repository import UnreadableFile
from validators.saelens.config_values import is_size
from validators.subjects import RepositorySubject, SaeSubject

_LAYER = re.compile(r"\.(\d{1,3})(?:\.|$)")


@sae_check(
    "C023", "the folder's name agrees with the config", tier="static", severity="warn",
    requires=("C003",),
)  # fmt: skip
def folder_name_agrees(sae: SaeSubject) -> Verdict:
    """A user picks an SAE by its folder's name, and gets what the config says.

    Read from the name: words for architectures, layers (`L12`, `layer_12`, `blocks.12`), k (`k64`,
    `top_k_64`) and widths (`width_16k`, `x4`). A name that says two things, or none, is passed.

    Example: the folder `gpt2_topk_L8_k32` holds a config with `blocks.9.hook_resid_post`.

    To mend it: rename the folder, or correct the config; the weights tell which is wrong.
    """
    named, cfg = facts_of(sae.sae_id), sae.cfg
    wrong: list[tuple[str, str]] = []
    architecture = cfg["architecture"]
    if named.architectures and architecture not in named.architectures:
        wrong.append((f"architecture {architecture!r:.40}", " or ".join(named.architectures)))
    layers = _layers(cfg)
    if named.layer is not None and layers and named.layer not in layers:
        wrong.append((f"layer {', '.join(map(str, sorted(layers)))}", f"layer {named.layer}"))
    if named.k is not None and is_size(cfg.get("k")) and cfg["k"] != named.k:
        wrong.append((f"k {cfg['k']}", f"k {named.k}"))
    if named.d_sae and not named.d_sae[0] <= cfg["d_sae"] <= named.d_sae[1]:
        wrong.append((f"d_sae {cfg['d_sae']}", f"d_sae {' to '.join(map(str, named.d_sae))}"))
    if named.expansion is not None and cfg["d_sae"] != named.expansion * cfg["d_in"]:
        wrong.append(
            (f"d_sae {cfg['d_sae']} for d_in {cfg['d_in']}", f"{named.expansion} times d_in")
        )
    if not wrong:
        return Passed()
    return Problem(
        "cfg.json has " + "; ".join(found for found, _ in wrong),
        "; ".join(said for _, said in wrong) + ", by the name of the folder",
        "rename the folder, or correct the config",
    )


@repository_check(
    "C024", "all SAEs name the same base model", tier="static", severity="warn", asked_last=True
)
def saes_name_one_base_model(subject: RepositorySubject) -> Verdict:
    """SAEs of several models in one repository are told apart by their folders, or not at all.

    Passed where each folder's path names its model; a single other name is mostly a left-over of
    the config that a training script was copied with.

    Example: 53 configs have model_name `gpt2`, one has `gpt2-medium`.

    To mend it: correct the name, or put each model's SAEs into a folder that is named for it.
    """
    by_model: dict[str, list[str]] = {}
    for sae in subject.saes:
        name = _model_name(sae)
        if name is not None:
            by_model.setdefault(name, []).append(sae.sae_id)
    if len(by_model) < 2:
        return Passed(next(iter(by_model), ""))
    if all(_names(folder, model) for model, folders in by_model.items() for folder in folders):
        return Passed(f"{len(by_model)} models, each named by its folders")
    most = max(len(folders) for folders in by_model.values())
    said = [
        f"{model!r:.80} in {folders[0] if len(folders) < most else len(folders)}"
        for model, folders in sorted(by_model.items(), key=lambda item: (-len(item[1]), item[0]))
    ]
    return Problem(
        f"model_name is {', '.join(said[:5])}",
        "one base model, or folders that are named for theirs",
        "correct model_name, or the folders' names",
    )


def _layers(cfg: dict[str, Any]) -> set[int]:
    """Layers that the hooks name; what goes into a block also comes out of the one before."""
    metadata = cfg.get("metadata")
    found: set[int] = set()
    if isinstance(metadata, dict):
        for key in ("hook_name", "hf_hook_name"):
            name = metadata.get(key)
            match = _LAYER.search(name) if isinstance(name, str) else None
            if match:
                layer = int(match[1])
                found |= {layer, layer - 1} if "resid_pre" in str(name) else {layer}
    return found


def _model_name(sae: SaeSubject) -> str | None:
    try:
        metadata = sae.cfg.get("metadata")
    except UnreadableFile:
        # C001 and F004 say so of that SAE.
        return None
    name = metadata.get("model_name") if isinstance(metadata, dict) else None
    return name if isinstance(name, str) else None


def _names(folder: str, model: str) -> bool:
    """Whether a folder's path holds the model's own name, however it is punctuated."""
    plain = re.sub(r"[^a-z0-9]", "", model.rpartition("/")[2].lower())
    return bool(plain) and plain in re.sub(r"[^a-z0-9]", "", folder.lower())
