"""N23: the declared settings against others that the same weights could have been trained with."""

from __future__ import annotations

from validators.alternatives import MARGIN, Tried
from validators.check import Passed, Problem, Skipped, Verdict, sae_check
from validators.evidence.evidence import NoEvidence
from validators.metrics.undefined import UndefinedMetric
from validators.report import Severity
from validators.saelens.format import AUTOENCODERS, TOPK
from validators.subjects import SaeSubject

_SHOWN = 4


@sae_check(
    "N230", "apply_b_dec_to_input is as in training", tier="activations",
    requires=("N201",), architectures=AUTOENCODERS,
)  # fmt: skip
def b_dec_is_applied_as_trained(sae: SaeSubject) -> Verdict:
    """Whether the decoder's bias is subtracted first cannot be seen in the weights.

    The wrong value loads without a word, and was measured to move explained variance from 0.82 to
    -3.36. Both values are tried on the same held-out vectors.

    Example: `"apply_b_dec_to_input": false` for an SAE that was trained with true.

    To mend it: write the other value, and save again.
    """
    return _verdict(sae, "b_dec", "write that value into cfg.json")


@sae_check(
    "N231", "activations are normalised as in training", tier="activations", requires=("N201",)
)
def normalised_as_trained(sae: SaeSubject) -> Verdict:
    """An SAE trained on scaled activations and released without the scale gets wrong inputs.

    Tried are all settings that SAELens knows, and the scaling to a mean norm of sqrt(d_in) that
    its trainer folds into the weights when it saves.

    Example: `"normalize_activations": "layer_norm"` on weights that were trained on activations as
    they are: explained variance -2.45 where 0.82 was trained.

    To mend it: state the right setting; fold a constant scale into the weights
    (SAELens: `fold_activation_norm_scaling_factor`).
    """
    return _verdict(
        sae, "normalization", "state that setting; fold a constant scale into the weights"
    )


@sae_check(
    "N232", "decoder norms are applied as in training", tier="activations",
    requires=("N201",), architectures=TOPK,
)  # fmt: skip
def rescaled_as_trained(sae: SaeSubject) -> Verdict:
    """TopK chooses by pre-activations, in SAELens' trainer times the norm of the decoder's row.

    Where the norms are not 1, weights trained that way and loaded without it choose other latents:
    explained variance 0.61 where 0.82 was trained.

    Example: `rescale_acts_by_decoder_norm` is missing, which SAELens reads as false.

    To mend it: fold the norms (SAELens: `fold_W_dec_norm`; here `release validate --fix`), or
    write the right value.
    """
    return _verdict(sae, "rescale", "write that value into cfg.json, or fold the norms")


@sae_check(
    "N233", "another k is reported beside the declared one", tier="activations",
    severity="note", requires=("N201",), architectures=TOPK,
)  # fmt: skip
def other_k_is_reported(sae: SaeSubject) -> Verdict:
    """Half and twice the declared k, for the reader; k is never judged by explained variance.

    A larger k nearly always reconstructs more, and a rightly trained k = 64 was seen to lose to 56
    as well. What decides about k is the config (C006), the manifest (C007) and L0 (N205). It is
    noted where half of k reconstructs better than k: then k is probably not that of training.

    Example: k = 128 in the config of an SAE trained with 64.

    To mend it: compare with the k of training.
    """
    tried = sae.alternatives.of_kind("k")
    smaller = [t for t in tried if t.l0 < sae.alternatives.declared.l0]
    found = _shown(sae, tried)
    better = [t for t in smaller if t.gain.value > MARGIN and t.gain.low > 0]
    if not better:
        return Passed(found)
    return Problem(
        f"half of k reconstructs better: {found}",
        "less explained variance with fewer latents",
        "compare k in cfg.json with the k of training",
    )


@sae_check(
    "N235", "the decoder's bias is that of these activations", tier="activations",
    requires=("N201",), architectures=AUTOENCODERS,
)  # fmt: skip
def bias_fits(sae: SaeSubject) -> Verdict:
    """A constant that would mend every reconstruction belongs into b_dec, where training puts it.

    The mean error is taken on other vectors and added on the held-out ones. In a sound SAE that
    gains next to nothing; it gains much where b_dec was zeroed, scaled, or is another SAE's. On
    text that the SAE was perhaps not made for it is a warning.

    Example: b_dec of the layer before: explained variance 0.52, with the constant 0.68.

    To mend it: export b_dec of the same checkpoint, in the same scale; else look at the hook.
    """
    return _verdict(
        sae, "bias", "export b_dec anew; if it is right, look at the hook and the scale",
        severity=None if sae.parent.evidence.knows_training else "warn",
    )  # fmt: skip


@sae_check(
    "N236", "the weights have the size of these activations", tier="activations",
    requires=("N201",), architectures=AUTOENCODERS,
)  # fmt: skip
def size_fits(sae: SaeSubject) -> Verdict:
    """Weights of activations at another scale reconstruct better when the scale is put right.

    Tried are inputs from a quarter to four times as large, undone behind the decoder, and
    reconstructions stretched about their mean. A penalty on the size of latents makes every SAE
    reconstruct a little too small, so it takes a gain of 0.1 of explained variance. On text that
    the SAE was perhaps not made for it is a warning.

    Example: a scaling of the activations by 0.8 was folded into W_enc and not into W_dec.

    To mend it: fold the same scale into all weights and biases.
    """
    severity: Severity | None = None if sae.parent.evidence.knows_training else "warn"
    of_input = _verdict(sae, "scale", "fold the same scale into all weights", severity=severity)
    if isinstance(of_input, Problem | Skipped):
        return of_input
    return _verdict(sae, "size", "export W_dec in the scale of W_enc", severity=severity)


@sae_check(
    "N234", "no neighbouring place fits better", tier="activations",
    requires=("N201",), architectures=AUTOENCODERS,
)  # fmt: skip
def belongs_where_it_says(sae: SaeSubject) -> Verdict:
    """One layer off, or a block's input in place of its output, loads and runs without a word.

    The SAE is tried at one and two layers before and after, and at the other points of its block
    that have the same width. Another place wins where the SAE is at home (its mean error carries
    at most 2% of the squared error), explains more for sure, and by a margin or with clearly less
    bias. On text that is unlike the training data no place is home, and nothing is decided.

    Example: `hidden_states[9]` was taken for the output of block 9; it is that of block 8.

    To mend it: correct hook_name and hf_hook_name, or the layer of the manifest.
    """
    try:
        tried = sae.other_places
    except NoEvidence as error:
        return Skipped(f"no base model to read other places of: {error.what}", required=False)
    if not tried:
        return Skipped("no other place of the same width can be read", required=False)
    best = max(tried, key=lambda one: one.gain.value)
    found = (
        f"explained variance {best.declared:.3f} at {sae.place}; next best {best.name} "
        f"({best.place}): {best.explained_variance:.3f}, over {best.n} vectors, of {len(tried)} "
        "places tried"
    )
    winners = [one for one in tried if one.wins]
    if not winners:
        return Passed(found)
    winner = max(winners, key=lambda one: one.gain.value)
    return Problem(
        f"it belongs to {winner.name} ({winner.place}): explained variance "
        f"{winner.explained_variance:.3f} there and {winner.declared:.3f} at {sae.place}, a "
        f"difference of {winner.gain.value:.3f} [{winner.gain.low:.3f}, {winner.gain.high:.3f}]; "
        f"mean error {winner.bias_share:.1%} of the squared error there and "
        f"{winner.declared_bias_share:.1%} here, over {winner.n} vectors",
        "the declared place to be the one that fits",
        "correct hook_name and hf_hook_name in cfg.json, or the layer of the manifest",
    )


def _verdict(
    sae: SaeSubject, kind: str, next_step: str, *, severity: Severity | None = None
) -> Verdict:
    try:
        alternatives = sae.alternatives
    except UndefinedMetric as error:
        return Skipped(f"cannot be compared: {error.what}")
    tried = alternatives.of_kind(kind)
    if not tried:
        return Skipped("no other setting applies", required=False)
    closest = sorted(tried, key=lambda one: -one.gain.value)[:_SHOWN]
    found = _shown(sae, tuple(closest))
    winners = [one for one in tried if one.beats(alternatives.declared)]
    if not winners:
        return Passed(found)
    best = max(winners, key=lambda one: one.gain.value)
    return Problem(
        f"{best.name} does better by {best.gain.value:.3f} [{best.gain.low:.3f}, "
        f"{best.gain.high:.3f}]: {found}",
        f"no other setting better by more than {best.margin:g} of explained variance, its 99% "
        "bootstrap interval above 0, at no more active latents",
        next_step,
        severity,
    )


def _shown(sae: SaeSubject, tried: tuple[Tried, ...]) -> str:
    declared = sae.alternatives.declared
    parts = [f"explained variance {declared.explained_variance:.3f} (L0 {declared.l0:.0f})"]
    parts += [f"{t.name}: {t.explained_variance:.3f} (L0 {t.l0:.0f})" for t in tried]
    return f"{', '.join(parts)}, over {sae.alternatives.n} vectors"
