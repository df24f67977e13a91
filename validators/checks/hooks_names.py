"""H001-H009: what the config says of the SAE's place, in both notations, without a model."""

from __future__ import annotations

from validators.check import Passed, Problem, Skipped, Verdict, sae_check
from validators.places.address import addresses_agree, layer_of
from validators.places.notation import read_lens_name, read_module_path
from validators.report import Severity
from validators.saelens.format import TRANSCODERS
from validators.subjects import SaeSubject

_LENS_EXAMPLE = "TransformerLens' name of the place, such as blocks.8.hook_resid_post"
# What SAELens loads with `AutoModelForCausalLM`, it hooks by module path.
_BY_MODULE_PATH = "AutoModelForCausalLM"
# Hooks of one head's width each; without `hook_head_index`, SAELens flattens the heads.
_WITH_HEADS = ("attn.hook_z", "attn.hook_q", "attn.hook_k", "attn.hook_v")


def _if_promised(sae: SaeSubject, otherwise: Severity) -> Severity | None:
    """A release with a manifest promised to state it; of anybody else's it is worth less."""
    return None if sae.parent.claim is not None else otherwise


@sae_check("H001", "metadata.hook_name names the place", tier="static", requires=("C002",))
def lens_name_is_stated(sae: SaeSubject) -> Verdict:
    """SAELens and Neuronpedia read the place from `metadata.hook_name`, in TransformerLens' form.

    With `model_class_name` AutoModelForCausalLM, SAELens itself writes a module's path there, which
    is right too. Without a manifest, a missing name is a warning: the SAE can be used by whoever
    knows the place from elsewhere.

    Example: `model.layers.8.hook_resid_post`, half of each notation, is accepted by nothing: with
    TransformerBridge such a hook never fires, and no error says so.

    To mend it: write `blocks.L.hook_resid_post`, with L counted from 0.
    """
    metadata = sae.hook_metadata
    found = metadata.get("hook_name")
    next_step = "write it so in cfg.json"
    if found is None:
        return Problem(
            "metadata.hook_name is missing",
            _LENS_EXAMPLE,
            next_step,
            severity=_if_promised(sae, "warn"),
        )
    shown = f"metadata.hook_name is {found!r:.80}"
    lens = read_lens_name(found)
    if lens is not None:
        if lens.is_known or metadata.get("model_class_name") == "HookedMamba":
            return Passed(str(found))
        if lens.nearest is None:
            return Problem(
                f"{shown}, a hook that is not known", _LENS_EXAMPLE, next_step, severity="warn"
            )
        return Problem(
            f"{shown}, which TransformerLens does not have", f"probably {lens.nearest}", next_step
        )
    path = read_module_path(found)
    if path is None or path.layer is None:
        return Problem(shown, _LENS_EXAMPLE, next_step)
    if metadata.get("model_class_name") == _BY_MODULE_PATH:
        return Passed(f"{found}, as SAELens hooks a transformers model")
    return Problem(
        f"{shown}, a module's path, and model_class_name is "
        f"{metadata.get('model_class_name')!r:.40}",
        f"{_LENS_EXAMPLE}; a path only with model_class_name {_BY_MODULE_PATH}",
        "write TransformerLens' name as hook_name, and the path as hf_hook_name",
    )


@sae_check("H002", "metadata.hf_hook_name names the module", tier="static", requires=("C002",))
def hf_name_is_stated(sae: SaeSubject) -> Verdict:
    """Whoever runs the model with transformers needs the path of the module whose output is read.

    `hf_hook_name` is SAELens' own key for it, though its trainer does not write it: without a
    manifest its absence is only noted. The TransformerLens name alone leaves open which module of
    transformers is meant. A path may end in `.output` or `.input`, as Gemma Scope 2 has it.

    Example: it says `blocks.8.hook_resid_post` as well.

    To mend it: write the module's path, such as `model.layers.8`.
    """
    found = sae.hook_metadata.get("hf_hook_name")
    expected = "the path of a module of transformers' model, such as model.layers.8"
    next_step = "write it so in cfg.json"
    if found is None:
        return Problem(
            "metadata.hf_hook_name is missing",
            expected,
            next_step,
            severity=_if_promised(sae, "note"),
        )
    path = read_module_path(found)
    if path is not None and "." in path.module:
        return Passed(str(found))
    return Problem(f"metadata.hf_hook_name is {found!r:.80}", expected, next_step)


@sae_check("H003", "both notations name the same place", tier="static", requires=("H001", "H002"))
def notations_agree(sae: SaeSubject) -> Verdict:
    """Two names for two places: each reader would take another activation for the SAE's own.

    `blocks.12.hook_resid_pre` is what block 12 reads, and so the output of `model.layers.11`. What
    cannot be decided from the names alone is looked up in the model by H102.

    Example: `blocks.12.hook_resid_post` and `model.layers.13`, because one of them was counted
    as an index into `hidden_states`, where 0 is the embedding.

    To mend it: find the right layer (H201 and N204 measure it) and correct the other name.
    """
    first, second = (sae.hook_metadata.get(key) for key in ("hook_name", "hf_hook_name"))
    if first is None or second is None:
        return Skipped("only one of the two names is there", required=False)
    path = read_module_path(second)
    assert path is not None
    if addresses_agree(read_lens_name(first) or read_module_path(first), path):
        return Passed(f"layer {layer_of(first)}")
    return Problem(
        f"hook_name is {first}, hf_hook_name is {second}",
        "the same place; layers are counted from 0 in both",
        "correct the one that is wrong",
    )


@sae_check(
    "H004", "the place is that of the manifest", tier="static",
    requires=("F003", "H003"), needs_manifest=True,
)  # fmt: skip
def place_is_claimed(sae: SaeSubject) -> Verdict:
    """The card and the folder's name state the manifest's layer, and users go by them.

    Example: the folder `..._L12_...` holds a config that says layer 13.

    To mend it: correct whichever is wrong; retrain if the weights belong to another layer.
    """
    spec = sae.claimed
    wanted = {"hook_name": spec.hook_name, "hf_hook_name": spec.hf_hook_name}
    wrong = {key: name for key, name in wanted.items() if sae.metadata[key] != name}
    if not wrong:
        return Passed()
    return Problem(
        "metadata has " + ", ".join(f"{key} {sae.metadata[key]}" for key in wrong),
        ", ".join(f"{key} {name}" for key, name in wrong.items()) + f" ({sae.claim.source})",
        "correct the manifest, or run `release retrain MANIFEST --only ID`",
    )


@sae_check("H005", "a layer stated apart is that of the name", tier="static", requires=("H001",))
def stated_layer_agrees(sae: SaeSubject) -> Verdict:
    """SAELens before version 6 stated the layer twice, in the hook's name and as a number.

    SAELens 6 goes by the name; other readers, and many analysis scripts, go by the number.

    Example: `hook_layer` 9 beside `blocks.8.hook_resid_post`, counted from 1.

    To mend it: correct the one that is wrong, or take the number out.
    """
    metadata = sae.hook_metadata
    wrong: dict[str, object] = {}
    for suffix in ("", "_out"):
        layer = layer_of(metadata.get(f"hook_name{suffix}"))
        keys = (f"hook_layer{suffix}", f"hook_point_layer{suffix}")
        stated = {key: metadata[key] for key in keys if metadata.get(key) is not None}
        if layer is not None:
            wrong |= {key: value for key, value in stated.items() if value != layer}
    if not wrong:
        return Passed()
    return Problem(
        ", ".join(f"metadata.{key} is {value!r:.40}" for key, value in wrong.items())
        + f", hook_name is {metadata.get('hook_name')!r:.80}",
        "the same layer, counted from 0",
        "correct the one that is wrong",
    )


@sae_check(
    "H006", "an SAE has one place, a transcoder two", tier="static", requires=("H001",)
)  # fmt: skip
def number_of_places_fits(sae: SaeSubject) -> Verdict:
    """A transcoder reads `hook_name` and predicts `hook_name_out`; other SAEs have only the first.

    Without the second, SAELens puts the prediction back where the input was read; with one on an
    autoencoder, it puts the reconstruction elsewhere. Neither raises an error where the widths fit.
    Without a manifest either is a warning.

    Example: a `transcoder` of `blocks.8.ln2.hook_normalized` that does not say
    `"hook_name_out": "blocks.8.hook_mlp_out"`.

    To mend it: state both for a transcoder, and `hook_name` alone for everything else.
    """
    metadata = sae.hook_metadata
    first, second = metadata.get("hook_name"), metadata.get("hook_name_out")
    if sae.architecture not in TRANSCODERS:
        if second is None or second == first:
            return Passed()
        return Problem(
            f"architecture is {sae.architecture!r:.40}, and metadata.hook_name_out {second!r:.80}",
            "no hook_name_out: an autoencoder reconstructs what it reads",
            "take hook_name_out out, or state the architecture of a transcoder",
            severity=_if_promised(sae, "warn"),
        )
    if second is None:
        return Problem(
            "metadata.hook_name_out is missing, so the prediction replaces the input",
            "the place that the transcoder predicts, such as blocks.8.hook_mlp_out",
            "write it so in cfg.json",
            severity=_if_promised(sae, "warn"),
        )
    lens, path = read_lens_name(second), read_module_path(second)
    if (lens is not None and lens.is_known) or (path is not None and path.layer is not None):
        return Passed(f"{first} to {second}")
    return Problem(
        f"metadata.hook_name_out is {second!r:.80}", _LENS_EXAMPLE, "write it so in cfg.json"
    )


@sae_check("H007", "heads are read as the hook has them", tier="static", requires=("H001",))
def heads_fit_the_hook(sae: SaeSubject) -> Verdict:
    """`hook_head_index` picks one head, which only the hooks of the attention's heads have.

    Elsewhere SAELens takes it for an index into the activation's last axis, and the SAE gets one
    number for a vector.

    Example: `"hook_head_index": 0` with `blocks.8.hook_resid_post`.

    To mend it: write `null` unless the SAE reads a single head of `attn.hook_z` or its like.
    """
    metadata = sae.hook_metadata
    head, lens = metadata.get("hook_head_index"), read_lens_name(metadata.get("hook_name"))
    if head is None:
        return Passed()
    has_heads = lens is None or lens.name in _WITH_HEADS
    if type(head) is int and head >= 0 and has_heads:
        return Passed(f"head {head}")
    return Problem(
        f"metadata.hook_head_index is {head!r:.40}, hook_name {metadata.get('hook_name')!r:.80}",
        "null, or a head counted from 0 together with " + ", ".join(_WITH_HEADS),
        "write null in cfg.json",
    )


@sae_check(
    "H008", "the activations are those of the plain model", tier="static",
    severity="note", requires=("H001",),
)  # fmt: skip
def model_is_not_processed(sae: SaeSubject) -> Verdict:
    """TransformerLens can rewrite a model's weights when it loads it, which changes what is read.

    With `center_writing_weights` the mean over its dimensions is taken out of the residual stream:
    the same SAE on the model as transformers loads it reads other vectors than it was trained on.

    Example: `"model_from_pretrained_kwargs": {"center_writing_weights": true}`.

    To mend it: nothing is wrong; tell users of transformers to subtract the mean first.
    """
    given = sae.hook_metadata.get("model_from_pretrained_kwargs")
    rewriting = ("center_writing_weights",)
    found = [key for key in rewriting if isinstance(given, dict) and given.get(key) is True]
    if not found:
        return Passed()
    return Problem(
        f"the base model was loaded with {', '.join(found)}",
        "activations that the model has as transformers loads it",
        "tell users of transformers to subtract the residual stream's mean over its dimensions",
    )
