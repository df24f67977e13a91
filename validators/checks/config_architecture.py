"""C006 on: what each architecture needs beside the keys that all have."""

from __future__ import annotations

from typing import Any

from manifests.sae_recipes import TopkRecipe
from validators.check import Passed, Problem, Skipped, Verdict, sae_check
from validators.saelens.config import ARCHITECTURE_KEYS, architectures_with
from validators.saelens.config_values import is_size
from validators.saelens.format import TOPK, TRANSCODERS
from validators.subjects import SaeSubject

# Without these SAELens computes something else than was trained; `k` and `apply_b_dec_to_input`
# have checks of their own.
_NEEDED = {
    **{name: ("d_out",) for name in TRANSCODERS},
    "temporal": (
        "activation_normalization_factor",
        "bottleneck_factor",
        "n_attn_layers",
        "n_heads",
        "sae_diff_type",
        "tied_weights",
    ),
    "matching_pursuit": ("residual_threshold",),
}
_SIZES = ("bottleneck_factor", "d_out", "n_attn_layers", "n_heads")
_SWITCHES = ("rescale_acts_by_decoder_norm", "stop_on_duplicate_support", "tied_weights")
_SIZES_OR_NULL = ("kval_topk", "max_iterations")
_POSITIVE = ("activation_normalization_factor", "residual_threshold")
# Older spellings of k, none of which SAELens 6 reads.
_K_ELSEWHERE = ("top_k", "topk", "activation_fn_kwargs", "K", "k_sparse", "n_active")


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
    if is_size(k) and k <= sae.cfg["d_sae"]:
        return Passed(f"k = {k}")
    elsewhere = [
        f"{key} is {sae.cfg[key]!r:.40}"
        for key in _K_ELSEWHERE
        if key in sae.cfg and (not isinstance(sae.cfg[key], dict) or "k" in sae.cfg[key])
    ]
    found = "k is missing" if "k" not in sae.cfg else f"k is {k!r:.40}"
    return Problem(
        "; ".join([found, *elsewhere]),
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
    if sae.claimed.saved_architecture not in TOPK or not isinstance(recipe, TopkRecipe):
        return Skipped(f"the manifest makes it a {sae.claimed.architecture}", required=False)
    if sae.cfg["k"] == recipe.k:
        return Passed(f"k = {recipe.k}")
    return Problem(
        f"k is {sae.cfg['k']}",
        f"k = {recipe.k}, by the recipe in {sae.claim.source}",
        "correct the recipe, or run `release retrain MANIFEST --only ID`",
    )


@sae_check("C017", "no switch of another architecture is set", tier="static", requires=("C004",))
def no_switch_of_another_architecture(sae: SaeSubject) -> Verdict:
    """A setting that the architecture does not have is dropped when the SAE is loaded.

    Where the SAE was trained with it, it now computes something else: with `k` in a `standard`
    config all latents above zero stay active, 94 where 8 were trained, and nothing warns.

    Example: `"architecture": "standard"` with `"k": 32`, or `"architecture": "gated"` with
    `"rescale_acts_by_decoder_norm": true`.

    To mend it: correct `architecture` if it is the wrong one; else fold the setting into the
    weights, or take the key out.
    """
    architecture = sae.cfg["architecture"]
    others = {
        key: architectures_with(key)
        for key, value in sorted(sae.cfg.items())
        if key not in ARCHITECTURE_KEYS[architecture] and architectures_with(key)
        # Off and empty mean the same as absent.
        if value is not None and value is not False
    }
    if not others:
        return Passed()
    wrong = "rescale_acts_by_decoder_norm" in others or (
        architecture in ("gated", "standard") and "k" in others
    )
    return Problem(
        f"{architecture} with "
        + ", ".join(f"{key} {sae.cfg[key]!r:.40}" for key in others)
        + ", which SAELens drops",
        "; ".join(f"{key} with {' or '.join(names)} only" for key, names in others.items()),
        "correct architecture, or take the key out if the SAE was trained without it",
        severity=None if wrong else "warn",
    )


@sae_check("C018", "the architecture's own settings are stated", tier="static",
           requires=("C004",))  # fmt: skip
def own_settings_are_stated(sae: SaeSubject) -> Verdict:
    """What one architecture has beside the others has a default, which is rarely right.

    A transcoder without `d_out` gets 768; with `apply_b_dec_to_input` true, which is the default,
    it cannot be built at all. A temporal SAE without `n_heads` gets 8, a matching pursuit without
    `residual_threshold` 0.01.

    Example: `"architecture": "transcoder"` with neither `d_out` nor `apply_b_dec_to_input`.

    To mend it: state them as they were in training, or save the SAE again with SAELens 6.
    """
    cfg, architecture = sae.cfg, sae.cfg["architecture"]
    missing = [key for key in _NEEDED.get(architecture, ()) if key not in cfg]
    wrong = [f"{key} is {cfg[key]!r:.40}" for key in _wrong_settings(architecture, cfg)]
    if architecture in TRANSCODERS and cfg["apply_b_dec_to_input"] is not False:
        wrong.append("apply_b_dec_to_input is true, which SAELens refuses for a transcoder")
    if not missing and not wrong:
        return Passed()
    return Problem(
        "; ".join([*(f"{key} is missing" for key in missing), *wrong]),
        "every setting of its own, as it was in training: "
        + ", ".join(sorted(ARCHITECTURE_KEYS[architecture])),
        "state them in cfg.json, or save the SAE again with SAELens 6",
    )


@sae_check("C019", "reshaping fits the hook", tier="static", requires=("C002", "C003"))
def reshaping_fits_the_hook(sae: SaeSubject) -> Verdict:
    """`hook_z` joins the attention heads of a vector, so its input has one axis more than usual.

    SAELens refuses it at load for any hook but one that ends in `_z`, and takes any other word for
    "none" without a word.

    Example: `"reshape_activations": "hook_z"` with `blocks.5.hook_resid_post`.

    To mend it: state "none", or name the hook that the SAE was trained on.
    """
    found = sae.cfg.get("reshape_activations", "none")
    hook = sae.metadata.get("hook_name")
    if found == "none" or (found == "hook_z" and (hook is None or str(hook).endswith("_z"))):
        return Passed(found)
    if found == "hook_z":
        return Problem(
            f"reshape_activations is 'hook_z' at {hook!r:.80}",
            '"hook_z" only at a hook whose name ends in _z, such as blocks.5.attn.hook_z',
            'state "none", or correct metadata.hook_name',
        )
    return Problem(
        f"reshape_activations is {found!r:.60}", '"none" or "hook_z"', 'state "none" or "hook_z"'
    )


def _wrong_settings(architecture: str, cfg: dict[str, Any]) -> list[str]:
    """Settings of the architecture that are stated, and are not what SAELens computes with."""
    own = sorted(ARCHITECTURE_KEYS[architecture] & cfg.keys())
    return [
        key
        for key in own
        if (key in _SIZES and not is_size(cfg[key]))
        or (key in _SWITCHES and not isinstance(cfg[key], bool))
        or (key in _SIZES_OR_NULL and cfg[key] is not None and not is_size(cfg[key]))
        or (key in _POSITIVE and not _is_positive(cfg[key]))
        or (key == "sae_diff_type" and cfg[key] not in ("relu", "topk"))
    ]


def _is_positive(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0
