"""W1: the values of the weights."""

from __future__ import annotations

import math

from validators.check import Passed, Problem, Verdict, sae_check
from validators.metrics.thresholds import MOVED_BY
from validators.saelens_format import AUTOENCODERS, SHAPED_ARCHITECTURES
from validators.subjects import SaeSubject

# Where training starts in SAELens, dictionary_learning and at zero; used where no record says it.
_KNOWN_INITS = (0.0, 0.001, 0.01)
_BATCHTOPK = ("batchtopk", "matryoshka_batchtopk")
_MIN_COSINE = 0.05
_MAX_NORM_RATIO = 100.0


@sae_check(
    "W101", "all values are finite", tier="load",
    requires=("W002",), architectures=SHAPED_ARCHITECTURES,
)  # fmt: skip
def values_are_finite(sae: SaeSubject) -> Verdict:
    """One NaN in W_enc or b_dec makes every reconstruction NaN, and nothing raises an error.

    Example: float16 training overflowed at step 900, and the last checkpoint was released.

    To mend it: release an earlier checkpoint, or retrain with a lower learning rate.
    """
    wrong = {}
    for name, tensor in sorted(sae.tensors.items()):
        n_wrong = int((~tensor.isfinite()).sum())
        if n_wrong:
            wrong[name] = f"{n_wrong} of {tensor.numel()} values of {name}"
    if not wrong:
        return Passed(f"{sum(t.numel() for t in sae.tensors.values())} values")
    return Problem(
        f"NaN or infinite: {'; '.join(wrong.values())}", "finite values", "retrain the SAE"
    )


@sae_check(
    "W102", "thresholds are above zero", tier="load",
    requires=("W101",), architectures=("jumprelu",),
)  # fmt: skip
def thresholds_are_positive(sae: SaeSubject) -> Verdict:
    """A JumpReLU with thresholds of zero is a ReLU: about half of all latents are active.

    Negative ones do the same, and often are logarithms: SAELens' training class stored
    `log_threshold`, the inference class reads `threshold`.

    Example: all 24576 thresholds are -4.605, the logarithm of 0.01.

    To mend it: export the exponential of the logarithm; if they are truly zero, retrain.
    """
    threshold = sae.tensors["threshold"].float()
    n_wrong = int((threshold <= 0).sum())
    if n_wrong == 0:
        low, high = float(threshold.min()), float(threshold.max())
        return Passed(f"from {low:.4g} to {high:.4g}")
    if bool((threshold < 0).all()):
        hint = "they look like logarithms: write exp(threshold)"
    else:
        hint = "retrain the SAE with thresholds that are trained"
    return Problem(
        f"{n_wrong} of {threshold.numel()} thresholds are 0 or below, the lowest "
        f"{float(threshold.min()):.4g}",
        "values above 0",
        hint,
    )


@sae_check(
    "W103", "thresholds were trained", tier="load",
    requires=("W102",), architectures=("jumprelu",),
)  # fmt: skip
def thresholds_have_moved(sae: SaeSubject) -> Verdict:
    """Thresholds that still have their initial value were never reached by a gradient.

    With a narrow kernel few pre-activations lie where the gradient is not zero; stored as a
    logarithm under Adam they move by 1e-7 a step. Sparsity is then an accident of the initial
    value. The initial value is the one in training.json, else one of 0, 0.001 and 0.01; the
    constant threshold that SAELens makes of a trained BatchTopK SAE is right, and passes.

    Example: all 2304 thresholds are 0.01 after 300 epochs.

    To mend it: widen the kernel (`recipe.jumprelu.bandwidth`), or raise the learning rate.
    """
    threshold = sae.tensors["threshold"].double()
    metadata = sae.cfg.get("metadata")
    trained_as = metadata.get("training_architecture") if isinstance(metadata, dict) else None
    spread = float(threshold.max() - threshold.min())
    if spread == 0 and trained_as in _BATCHTOPK:
        return Passed(f"one threshold for all, as {trained_as} has it")
    recorded = sae.threshold_init
    inits = (recorded,) if recorded is not None else _KNOWN_INITS
    for init in inits:
        unmoved = float(((threshold - init).abs() <= MOVED_BY * abs(init)).double().mean())
        if unmoved == 1.0:
            source = "by training.json" if recorded is not None else "a common initial value"
            return Problem(
                f"no threshold is more than {MOVED_BY:.0%} away from {init:.4g} ({source})",
                "thresholds that training has moved",
                "widen recipe.jumprelu.bandwidth or raise the learning rate, and retrain",
            )
    if spread == 0:
        return Problem(
            f"all {threshold.numel()} thresholds are {float(threshold[0]):.4g}",
            "thresholds that differ, as training makes them",
            "widen recipe.jumprelu.bandwidth or raise the learning rate, and retrain",
        )
    return Passed(f"spread {spread:.4g}")


@sae_check(
    "W104", "decoder rows have comparable norms", tier="load", severity="warn",
    requires=("W101",), architectures=SHAPED_ARCHITECTURES,
)  # fmt: skip
def decoder_rows_have_norms(sae: SaeSubject) -> Verdict:
    """A latent whose decoder row is zero writes nothing: it is dead on disk.

    Rows whose norms differ a hundredfold make activations of different latents incomparable;
    Neuronpedia and SAEBench expect norms of 1.

    Example: 41 of 2304 rows of W_dec are zero.

    To mend it: fold the norms (SAELens: `fold_W_dec_norm`), and count zero rows as dead.
    """
    norms = sae.tensors["W_dec"].double().norm(dim=1)
    n_zero, live = int((norms == 0).sum()), norms[norms > 0]
    ratio = float(live.max() / live.min()) if live.numel() else math.inf
    if n_zero == 0 and ratio <= _MAX_NORM_RATIO:
        return Passed(f"from {float(live.min()):.4g} to {float(live.max()):.4g}")
    return Problem(
        f"{n_zero} of {norms.numel()} rows of W_dec are zero; largest norm over smallest "
        f"{ratio:.3g}",
        f"no zero row, and a ratio of at most {_MAX_NORM_RATIO:g}",
        "fold the decoder norms; report latents with a zero row as dead",
    )


@sae_check(
    "W105", "encoder and decoder face each other", tier="load",
    requires=("W101",), architectures=AUTOENCODERS,
)  # fmt: skip
def encoder_faces_decoder(sae: SaeSubject) -> Verdict:
    """In a trained autoencoder a latent is read along much the same direction as it is written.

    The mean cosine of W_enc[:, i] and W_dec[i] was measured as 0.83 in a trained SAE, and 0.00
    after its decoder rows were permuted; random and untrained weights are near 0 as well, and so
    is a square W_enc that was transposed.

    Example: latents were sorted by density in W_dec but not in W_enc.

    To mend it: export encoder and decoder in the same order and orientation.
    """
    encoder, decoder = sae.tensors["W_enc"].double().T, sae.tensors["W_dec"].double()
    norms = encoder.norm(dim=1) * decoder.norm(dim=1)
    alive = norms > 0
    if not bool(alive.any()):
        return Problem("every latent has a zero row or column", "trained weights", "retrain")
    cosine = float(((encoder * decoder).sum(dim=1)[alive] / norms[alive]).mean())
    # Three standard deviations of the mean over d_sae random directions in d_in dimensions.
    limit = max(_MIN_COSINE, 3 / math.sqrt(decoder.numel()))
    if cosine > limit:
        return Passed(f"mean cosine {cosine:.3f}")
    hint = "export both in the same order of latents, or retrain"
    if encoder.shape[0] == encoder.shape[1]:
        flipped = (encoder.T * decoder).sum(dim=1)[alive] / norms[alive]
        if float(flipped.mean()) > limit:
            hint = "W_enc is transposed: write W_enc.T"
    return Problem(f"mean cosine of W_enc and W_dec {cosine:.3f}", f"above {limit:.3f}", hint)
