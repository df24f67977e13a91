"""C: what cfg.json says, and whether SAELens will take it the way it was meant."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from manifests.recipe import TopkRecipe
from validators.check import Passed, Problem, Skipped, Verdict, sae_check
from validators.saelens_format import (
    DTYPES,
    INFERENCE_ARCHITECTURES,
    REQUIRED_KEYS,
    SUPERSEDED_KEYS,
    TOPK,
    TRAINING_ONLY_ARCHITECTURES,
    canonical_dtype,
)
from validators.subjects import SaeSubject

_ABSOLUTE_PATH = re.compile(
    r"^(?:/(?:home|Users|root|mnt|tmp|var|data|scratch|content|workspace)/|[A-Za-z]:[\\/]|\\\\)"
)


@sae_check("C001", "cfg.json is a JSON object", tier="static", requires=("F004",))
def cfg_is_an_object(sae: SaeSubject) -> Verdict:
    """All else that is known about an SAE stands in this file; what cannot be read is guessed.

    Read strictly: UTF-8, no key twice, no NaN, at most 8 MB.

    Example: a merge left `<<<<<<< HEAD` in the file.

    To mend it: save the SAE again; do not edit the file by hand.
    """
    return Passed(f"{len(sae.cfg)} keys")


@sae_check("C002", "metadata is nested, as SAELens 6 writes it", tier="static", requires=("C001",))
def metadata_is_nested(sae: SaeSubject) -> Verdict:
    """SAELens 6 reads the hook, the base model and the context from `metadata` and only there.

    In a flat config these keys are dropped without a word when it is loaded with `from_dict`, or
    when it also states `sae_lens_version` 6; the SAE then does not know where it belongs.

    Example: `{"architecture": "topk", ..., "hook_name": "blocks.8.hook_resid_post"}`.

    To mend it: move `model_name`, `hook_name` and `hf_hook_name` into `"metadata": {...}`.
    """
    metadata = sae.cfg.get("metadata")
    if isinstance(metadata, dict) and metadata:
        return Passed(f"{len(metadata)} keys")
    found = "no metadata" if "metadata" not in sae.cfg else f"metadata {metadata!r:.40}"
    return Problem(
        f"cfg.json has {found}",
        "a nested object with model_name, hook_name and hf_hook_name, as SAELens 6 writes it",
        "move those keys into metadata, or save the SAE again with SAELens 6",
    )


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
            ("d_in", _is_size),
            ("d_sae", _is_size),
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
    lower = name.lower() if isinstance(name, str) else None
    hint = f"write {lower!r}" if lower in INFERENCE_ARCHITECTURES else "name the SAELens class"
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

    Example: the folder `..._topk_L8_...` holds `"architecture": "standard"`; SAELens applies a
    ReLU, and 94 latents are active where 8 should be.

    To mend it: correct whichever is wrong; retrain if it is the weights.
    """
    spec = sae.claimed
    stated = {"architecture": spec.architecture, "d_in": spec.d_in, "d_sae": spec.d_sae}
    wrong = {key: wanted for key, wanted in stated.items() if sae.cfg[key] != wanted}
    if not wrong:
        return Passed()
    return Problem(
        "cfg.json has " + ", ".join(f"{key} {sae.cfg[key]!r}" for key in wrong),
        ", ".join(f"{key} {wanted!r}" for key, wanted in wrong.items()) + f" ({sae.claim.source})",
        "correct the manifest, or run `release retrain MANIFEST --only ID`",
    )


@sae_check(
    "C006",
    "k is stated, as a positive integer",
    tier="static",
    requires=("C004",),
    architectures=TOPK,
)
def k_is_stated(sae: SaeSubject) -> Verdict:
    """SAELens takes k = 100 for a TopK SAE whose config has no `k` at the top level.

    Nothing warns: an SAE trained with k = 8 was measured to lose all its explained variance. A k
    of `4.0` or `"4"` loads, and ends in a TypeError on the first vector.

    Example: `"activation_fn_kwargs": {"k": 64}`, or `"top_k": 64`.

    To mend it: write `"k": 64` at the top level of cfg.json.
    """
    k = sae.cfg.get("k")
    if _is_size(k) and k <= sae.cfg["d_sae"]:
        return Passed(f"k = {k}")
    found = "k is missing" if "k" not in sae.cfg else f"k is {k!r:.40}"
    return Problem(
        found,
        f"an integer from 1 to d_sae = {sae.cfg['d_sae']}; without it SAELens takes 100",
        'write "k" as an integer at the top level of cfg.json',
    )


@sae_check(
    "C007",
    "k is that of the manifest",
    tier="static",
    requires=("C005", "C006"),
    architectures=TOPK,
    needs_manifest=True,
)
def k_is_claimed(sae: SaeSubject) -> Verdict:
    """Another k than in training costs explained variance, and the card states the manifest's.

    Example: k = 32 in the config of an SAE trained with 64.

    To mend it: correct the manifest's recipe, or retrain.
    """
    recipe = sae.claim.manifest.recipe.of(sae.claimed.architecture, sae.claimed.variant)
    if not isinstance(recipe, TopkRecipe):
        return Skipped(f"the manifest makes it a {sae.claimed.architecture}", required=False)
    if sae.cfg["k"] == recipe.k:
        return Passed(f"k = {recipe.k}")
    return Problem(
        f"k is {sae.cfg['k']}",
        f"k = {recipe.k}, by the recipe in {sae.claim.source}",
        "correct the recipe, or run `release retrain MANIFEST --only ID`",
    )


@sae_check(
    "C008", "activations are not normalised on the way in", tier="static", requires=("C003",)
)
def nothing_is_normalised(sae: SaeSubject) -> Verdict:
    """A release should work on activations as they are, with any scaling folded into the weights.

    `expected_average_only_in` and `covariance_whitening` do nothing when SAELens loads the SAE,
    so unfolded weights get inputs of the wrong scale; the other settings depend on each vector.

    Example: `"normalize_activations": "expected_average_only_in"` on weights that were trained on
    scaled inputs.

    To mend it: fold the scaling into weights and biases, and state "none".
    """
    found = sae.cfg["normalize_activations"]
    if found == "none":
        return Passed()
    return Problem(
        f"normalize_activations is {found!r:.60}",
        '"none", with any scaling folded into the weights',
        "fold the scaling (SAELens: fold_activation_norm_scaling_factor) and save again",
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
    return Problem(
        f"dtype is {found!r:.60}", f"one of {', '.join(DTYPES)}", "write one of these names"
    )


@sae_check("C010", "no superseded key is left", tier="static", requires=("C001",))
def no_superseded_key(sae: SaeSubject) -> Verdict:
    """Keys of older formats are dropped without a word, and with them what they said.

    Example: `"activation_fn": "tanh-relu"`: SAELens 6 applies a ReLU.

    To mend it: say it the way the current format does, and take the old key out.
    """
    found = sorted(SUPERSEDED_KEYS.keys() & sae.cfg.keys())
    if not found:
        return Passed()
    return Problem(
        f"cfg.json has {', '.join(found)}, which SAELens 6 ignores",
        "; ".join(f"{key}: {SUPERSEDED_KEYS[key]}" for key in found),
        "take the keys out, or save the SAE again with SAELens 6",
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


@sae_check(
    "C012", "no path of a machine is in the config", tier="static", severity="warn",
    requires=("C001",),
)  # fmt: skip
def no_path_of_a_machine(sae: SaeSubject) -> Verdict:
    """A path is of no use to anyone else, and often names its owner.

    Example: `"dataset_path": "/home/jane/deception/data"`.

    To mend it: name the data set by its Hub id, or take the key out.
    """
    found = sorted({text for text in _strings(sae.cfg) if _ABSOLUTE_PATH.match(text)})
    if not found:
        return Passed()
    return Problem(
        f"{len(found)} absolute path{'s' * (len(found) > 1)}, first {found[0]!r:.60}",
        "names that mean something on any machine",
        "take the path out of cfg.json",
    )


@sae_check("C013", "the config says which SAELens format it is", tier="static", requires=("C002",))
def format_version_is_stated(sae: SaeSubject) -> Verdict:
    """Without `sae_lens_version`, SAELens takes the config for one from before version 6.

    It then throws the nested metadata away, so the loaded SAE has no hook, and lets
    `activation_fn_kwargs` override k. Nothing warns.

    Example: `"metadata": {"hook_name": "blocks.8.hook_resid_post"}` and no version anywhere.

    To mend it: write the version that saved the SAE, 6.0.0 or later, as
    `metadata.sae_lens_version`.
    """
    found = sae.cfg.get("sae_lens_version") or sae.metadata.get("sae_lens_version")
    if isinstance(found, str) and re.match(r"(?:[6-9]|\d{2,})\.", found):
        return Passed(found)
    return Problem(
        f"sae_lens_version is {found!r:.40}",
        "6.0.0 or later, in metadata; else SAELens reads the config as an older format",
        'state "sae_lens_version" in metadata, as SAELens 6 does',
    )


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)
