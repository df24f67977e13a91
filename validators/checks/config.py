"""C: what cfg.json says, and whether SAELens will take it the way it was meant."""

from __future__ import annotations

from validators.check import Passed, Problem, Verdict, sae_check
from validators.saelens.config import NORMALISED_AT_RUNTIME, NORMALISED_WHILE_TRAINING
from validators.saelens.config_values import is_size, nearest
from validators.saelens.format import (
    DTYPES,
    INFERENCE_ARCHITECTURES,
    REQUIRED_KEYS,
    TRAINING_ONLY_ARCHITECTURES,
    canonical_dtype,
)
from validators.subjects import SaeSubject

# What the field calls them elsewhere.
_OTHER_DTYPES = {
    "bf16": "bfloat16",
    "double": "float64",
    "f16": "float16",
    "f32": "float32",
    "float": "float32",
    "fp16": "float16",
    "fp32": "float32",
    "half": "float16",
}


@sae_check("C001", "cfg.json is a JSON object", tier="static", requires=("F004",))
def cfg_is_an_object(sae: SaeSubject) -> Verdict:
    """All else that is known about an SAE stands in this file; what cannot be read is guessed.

    Read strictly: UTF-8, no key twice, no NaN, at most 8 MB.

    Example: a merge left `<<<<<<< HEAD` in the file.

    To mend it: save the SAE again; do not edit the file by hand.
    """
    return Passed(f"{len(sae.cfg)} keys")


@sae_check("C003", "cfg.json states all that loading needs", tier="static", requires=("C001",))
def required_keys_are_stated(sae: SaeSubject) -> Verdict:
    """Where a key is missing, SAELens fills in a default, and loads another SAE than was trained.

    Without `architecture` it takes `standard`; without `dtype` loading from disk ends in an error;
    a missing `apply_b_dec_to_input` was measured to move explained variance from 0.8 to -3.

    Example: a config with only `d_in`, `d_sae` and `k`.

    To mend it: state every key; `normalize_activations` is "none" for folded weights.
    """
    missing = [key for key in REQUIRED_KEYS if key not in sae.cfg]
    wrong = [
        f"{key} is {sae.cfg[key]!r:.40}"
        for key, is_right in (
            ("d_in", is_size),
            ("d_sae", is_size),
            ("apply_b_dec_to_input", lambda value: isinstance(value, bool)),
        )
        if key in sae.cfg and not is_right(sae.cfg[key])
    ]
    if not missing and not wrong:
        return Passed()
    return Problem(
        "; ".join([*(f"{key} is missing" for key in missing), *wrong]),
        f"{', '.join(REQUIRED_KEYS)}; sizes as positive integers, switches as true or false",
        "state them in cfg.json, or save the SAE again with SAELens 6",
    )


@sae_check("C004", "SAELens can load the architecture", tier="static", requires=("C003",))
def architecture_is_registered(sae: SaeSubject) -> Verdict:
    """SAELens finds the class by this name, in exactly this spelling.

    `batchtopk` and `matryoshka_batchtopk` exist only while training: `save_model` of such an SAE
    writes a folder that nobody can load, `save_inference_model` a `jumprelu` one.

    Example: `"architecture": "TopK"` raises KeyError.

    To mend it: write the name in lower case, or save with `save_inference_model`.
    """
    name = sae.cfg["architecture"]
    if name in INFERENCE_ARCHITECTURES:
        return Passed(name)
    known = f"one of {', '.join(INFERENCE_ARCHITECTURES)}"
    if name in TRAINING_ONLY_ARCHITECTURES:
        return Problem(
            f"architecture is {name!r}, which exists only while training",
            known,
            "save the SAE with save_inference_model, which makes it a jumprelu",
        )
    near = nearest(name, INFERENCE_ARCHITECTURES) if isinstance(name, str) else None
    hint = f"write {near!r}" if near else "write the name under which SAELens registers its class"
    return Problem(f"architecture is {name!r:.60}", known, hint)


@sae_check(
    "C005",
    "architecture and sizes are those of the manifest",
    tier="static",
    requires=("C003", "F003"),
    needs_manifest=True,
)
def architecture_is_claimed(sae: SaeSubject) -> Verdict:
    """The folder's name and the card state the manifest's architecture and sizes.

    SAEs that are trained as `batchtopk` or `matryoshka_batchtopk` are saved as `jumprelu`, with the
    trained architecture in `metadata.training_architecture`. Where that is stated, it has to be the
    manifest's too.

    Example: the folder `..._topk_L8_...` holds `"architecture": "standard"`; SAELens applies a
    ReLU, and 94 latents are active where 8 should be.

    To mend it: correct whichever is wrong; retrain if it is the weights.
    """
    spec = sae.claimed
    stated: dict[str, str | int] = {
        "architecture": spec.saved_architecture,
        "d_in": spec.d_in,
        "d_sae": spec.d_sae,
    }
    found = {key: sae.cfg[key] for key in stated}
    trained_as = sae.hook_metadata.get("training_architecture")
    if trained_as is not None:
        stated["metadata.training_architecture"] = spec.architecture
        found["metadata.training_architecture"] = trained_as
    wrong = {key: wanted for key, wanted in stated.items() if found[key] != wanted}
    if not wrong:
        trained = "" if spec.architecture == spec.saved_architecture else spec.architecture
        return Passed(f"{spec.saved_architecture}, trained as {trained}" if trained else "")
    return Problem(
        "cfg.json has " + ", ".join(f"{key} {found[key]!r:.60}" for key in wrong),
        ", ".join(f"{key} {wanted!r}" for key, wanted in wrong.items()) + f" ({sae.claim.source})",
        "correct the manifest, or run `release retrain MANIFEST --only ID`",
    )


@sae_check(
    "C008", "activations are not normalised on the way in", tier="static", requires=("C003",)
)
def nothing_is_normalised(sae: SaeSubject) -> Verdict:
    """A release should work on activations as they are, with any scaling folded into the weights.

    `expected_average_only_in` and `covariance_whitening` belong to training: SAELens' trainer
    folds them into the weights before it saves. Left in the config they do nothing when the SAE
    is loaded, so weights that were not folded get inputs of the wrong scale. `layer_norm` and
    `constant_norm_rescale` are applied to every vector at inference (`constant_scalar_rescale` by
    temporal SAEs): legal, and worth knowing, but not what a manifest of this project trains.

    Example: `"normalize_activations": "expected_average_only_in"` on weights that were trained on
    scaled inputs.

    To mend it: fold the scaling into weights and biases, and state "none".
    """
    found = sae.cfg["normalize_activations"]
    if found == "none":
        return Passed()
    at_runtime: tuple[str, ...] = NORMALISED_AT_RUNTIME
    if sae.architecture == "temporal":
        at_runtime = (*at_runtime, "constant_scalar_rescale")
    if found in at_runtime:
        return Problem(
            f"normalize_activations is {found!r}, which SAELens applies to every vector",
            '"none" for an SAE that takes activations as they are',
            'nothing, if it was trained so; else state "none"',
            severity=None if sae.spec else "note",
        )
    if found in NORMALISED_WHILE_TRAINING:
        return Problem(
            f"normalize_activations is {found!r}, which does nothing once loaded",
            '"none", with the scaling folded into the weights',
            "fold it (SAELens: fold_activation_norm_scaling_factor, fold_activation_whitening)",
        )
    legacy = isinstance(found, bool) or found is None
    return Problem(
        f"normalize_activations is {found!r:.60}"
        + (", as configs before SAELens 6 had it" if legacy else ""),
        f'"none"; SAELens refuses all but {", ".join(("none", *at_runtime))}'
        f" and {', '.join(NORMALISED_WHILE_TRAINING)}",
        'state "none" if no scaling was used; else fold it into the weights and state "none"',
    )


@sae_check("C009", "dtype is one that SAELens knows", tier="static", requires=("C003",))
def dtype_is_known(sae: SaeSubject) -> Verdict:
    """Loading ends in a ValueError for any other name, however common it is elsewhere.

    Example: `"dtype": "fp32"`.

    To mend it: write float32, float64, float16 or bfloat16.
    """
    found = sae.cfg["dtype"]
    if isinstance(found, str) and canonical_dtype(found) in DTYPES:
        return Passed(found)
    meant = _OTHER_DTYPES.get(canonical_dtype(found).lower()) if isinstance(found, str) else None
    return Problem(
        f"dtype is {found!r:.60}",
        f"one of {', '.join(DTYPES)}",
        f"write {meant!r}" if meant else "write the dtype of the weights by one of these names",
    )


@sae_check(
    "C011", "the config names the base model of the manifest", tier="static",
    requires=("C002", "F003"), needs_manifest=True,
)  # fmt: skip
def base_model_is_claimed(sae: SaeSubject) -> Verdict:
    """SAELens' tools load `metadata.model_name`; an instruct model is not its base model.

    Example: model_name is `HuggingFaceTB/SmolLM2-135M` for an SAE of SmolLM2-135M-Instruct.

    To mend it: write the Hub id of the manifest's base model.
    """
    found, wanted = sae.metadata.get("model_name"), sae.claim.manifest.base_model.id
    if found == wanted:
        return Passed(wanted)
    return Problem(
        f"metadata.model_name is {found!r:.80}",
        f"{wanted!r}, by base_model.id of {sae.claim.source}",
        "correct the one that is wrong",
    )
