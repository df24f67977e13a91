"""Damage of what says where the SAE belongs: hook names, folder names."""

from __future__ import annotations

import re

from injection import Damage, Fits, Injection, Row, configures, states
from release_copy import Cfg, ReleaseCopy, Target

_NAMES = Row("hook names", "H001 H002 H003 H004 H005 H101 H102 L102")
_MISSING = Row("hook does not exist", "C023 H001 H002 H003 H004 H101 H102 H201")
_PLACE = Row("hook of another place", "C023 H003 H004 H102 N204 N234")
_FOLDER = Row("folder against config", "C005 C007 C023 F002 F003 H004")

_KEYS = ("hook_name", "hf_hook_name")


def _with_layer(name: str, layer: int) -> str:
    return re.sub(r"\.\d+(?=\.|$)", f".{layer}", name, count=1)


def _moved(
    step: int | None = None, to: float | None = None, *, keys: tuple[str, ...] = _KEYS
) -> Damage:
    """Another layer in the names: some steps off, or at a share of the model's depth."""

    def damage(copy: ReleaseCopy, target: Target) -> None:
        layer = _layer(target, step, to)

        def change(cfg: Cfg) -> None:
            for key in keys:
                if isinstance(name := cfg["metadata"].get(key), str):
                    cfg["metadata"][key] = _with_layer(name, layer)

        copy.edit_cfg(target.sae_id, change)

    return damage


def _layer(target: Target, step: int | None, to: float | None) -> int:
    assert target.layer is not None
    if step is not None:
        return target.layer + step
    assert to is not None
    return round(to * (target.n_layers - 1))


def _has_layer(step: int) -> Fits:
    return lambda t: t.layer is not None and 0 <= t.layer + step < t.n_layers


def _far(to: float) -> Fits:
    return lambda t: t.layer is not None and abs(round(to * (t.n_layers - 1)) - t.layer) > 1


def _another_kind(lens: str, hf_suffix: str) -> Damage:
    """The same block, another activation of it, by both names."""

    def change(cfg: Cfg) -> None:
        metadata = cfg["metadata"]
        metadata["hook_name"] = re.sub(r"(blocks\.\d+)\..*", rf"\1.{lens}", metadata["hook_name"])
        metadata["hf_hook_name"] += hf_suffix

    return configures(change)


def _block_input(copy: ReleaseCopy, target: Target) -> None:
    """The block's input, which is the output of the block before."""
    _another_kind("hook_resid_pre", "")(copy, target)
    _moved(-1, keys=("hf_hook_name",))(copy, target)


def _one_based(copy: ReleaseCopy, target: Target) -> None:
    _moved(1, keys=("hf_hook_name",))(copy, target)


def _renamed(old: str, new: str) -> Damage:
    return lambda copy, target: copy.rename(target.sae_id, target.sae_id.replace(old, new))


def _other_architecture_in_name(copy: ReleaseCopy, target: Target) -> None:
    other = target.other_architecture
    assert other is not None
    copy.rename(target.sae_id, _name_for(target, other.architecture) + "_again")


def _name_for(target: Target, architecture: str) -> str:
    return target.sae_id.replace(target.architecture, architecture)


def _other_layer_in_name(copy: ReleaseCopy, target: Target) -> None:
    assert target.layer is not None
    number = re.compile(rf"(?<!\d){target.layer}(?!\d)")
    copy.rename(target.sae_id, number.sub(str(target.layer + 1), target.sae_id))


def _swapped_folders(copy: ReleaseCopy, target: Target) -> None:
    other = target.other_layer
    assert other is not None
    copy.swap(target.sae_id, other.sae_id)


def _swapped_conditions(copy: ReleaseCopy, target: Target) -> None:
    other = target.other_condition
    assert other is not None
    copy.swap(target.sae_id, other.sae_id)


def _swapped_architectures(copy: ReleaseCopy, target: Target) -> None:
    other = target.other_architecture
    assert other is not None
    copy.swap(target.sae_id, other.sae_id)


def _names_layer(target: Target) -> bool:
    return target.layer is not None and bool(
        re.search(rf"(?<!\d){target.layer}(?!\d)", target.sae_id)
    )


def _lens_name(target: Target) -> bool:
    return target.module is not None


INJECTIONS: tuple[Injection, ...] = (
    _NAMES(
        "half of each notation",
        "medium",
        configures(
            lambda c: c["metadata"].update(
                hook_name=f"{c['metadata'].get('hf_hook_name')}.hook_resid_post"
            )
        ),
        tier="static",
        fits=_lens_name,
    ),
    _NAMES(
        "the layers of both names differ by one",
        "subtle",
        _one_based,
        tier="static",
        fits=_lens_name,
    ),
    _NAMES(
        "a layer that is not a number",
        "medium",
        states(hook_name="blocks.L.hook_resid_post"),
        tier="static",
    ),
    _NAMES(
        "a hook that TransformerLens lacks",
        "subtle",
        _another_kind("hook_resid_out", ""),
        tier="static",
        fits=_lens_name,
    ),
    _NAMES(
        "the embedding's index: blocks.0 for block 0 of hidden_states",
        "subtle",
        _moved(-1, keys=("hook_name",)),
        tier="static",
        fits=lambda t: _lens_name(t) and _has_layer(-1)(t),
    ),
    _NAMES(
        "residual by one name, MLP by the other",
        "subtle",
        configures(
            lambda c: c["metadata"].update(hf_hook_name=f"{c['metadata'].get('hf_hook_name')}.mlp")
        ),
        tier="static",
        fits=_lens_name,
    ),
    _MISSING(
        "a layer beyond the last",
        "gross",
        _moved(to=40.0),
        tier="static",
        codes="H200 H100",
        fits=lambda t: t.layer is not None,
    ),
    _MISSING(
        "one layer beyond the last",
        "subtle",
        lambda copy, t: _moved(t.n_layers - (t.layer or 0))(copy, t),
        tier="activations",
        fits=lambda t: t.layer is not None,
    ),
    _MISSING(
        "GPT-2's name of the block",
        "medium",
        configures(
            lambda c: c["metadata"].update(
                hf_hook_name=re.sub(
                    r".*\.(\d+)$", r"transformer.h.\1", c["metadata"]["hf_hook_name"]
                )
            )
        ),
        tier="activations",
        fits=_lens_name,
        codes="H100",
    ),
    _MISSING(
        "a submodule that is not there",
        "subtle",
        configures(
            lambda c: c["metadata"].update(
                hf_hook_name=f"{c['metadata']['hf_hook_name']}.feed_forward"
            )
        ),
        tier="activations",
        fits=_lens_name,
    ),
    _PLACE("one layer later", "subtle", _moved(1), tier="activations", fits=_has_layer(1)),
    _PLACE("one layer earlier", "subtle", _moved(-1), tier="activations", fits=_has_layer(-1)),
    _PLACE("the first layer", "medium", _moved(to=0.0), tier="activations", fits=_far(0.0)),
    _PLACE("the last layer", "medium", _moved(to=1.0), tier="activations", fits=_far(1.0)),
    _PLACE(
        "the block's input",
        "subtle",
        _block_input,
        tier="activations",
        fits=lambda t: _lens_name(t) and _has_layer(-1)(t),
    ),
    _PLACE(
        "the MLP's output",
        "medium",
        _another_kind("hook_mlp_out", ".mlp"),
        tier="activations",
        fits=_lens_name,
    ),
    _PLACE(
        "the attention's output",
        "medium",
        _another_kind("hook_attn_out", ".self_attn"),
        tier="activations",
        fits=_lens_name,
    ),
    _PLACE(
        "after the norm",
        "medium",
        _another_kind("ln2.hook_normalized", ".post_attention_layernorm"),
        tier="activations",
        fits=_lens_name,
    ),
    _FOLDER(
        "another layer in the folder's name",
        "medium",
        _other_layer_in_name,
        tier="static",
        fits=_names_layer,
    ),
    _FOLDER(
        "another architecture in the folder's name",
        "medium",
        _other_architecture_in_name,
        tier="static",
        fits=lambda t: t.other_architecture is not None and t.architecture in t.sae_id,
    ),
    _FOLDER(
        "two layers' folders exchanged",
        "medium",
        _swapped_folders,
        tier="static",
        fits=lambda t: t.other_layer is not None,
    ),
    _FOLDER(
        "two conditions' folders exchanged",
        "subtle",
        _swapped_conditions,
        knowable="by manifest",
        tier="static",
        fits=lambda t: t.other_condition is not None,
    ),
    _FOLDER(
        "two architectures' folders exchanged",
        "medium",
        _swapped_architectures,
        tier="static",
        fits=lambda t: t.other_architecture is not None and t.architecture in t.sae_id,
    ),
    _FOLDER(
        "d_sae in the config of another size",
        "subtle",
        configures(lambda c: c.update(d_sae=2 * c["d_sae"])),
        tier="static",
        codes="W002",
    ),
)
