"""W1: the values of the weights, tensor by tensor."""

from __future__ import annotations

import math

import numpy as np

from validators.check import Passed, Problem, Verdict, sae_check
from validators.report import Severity
from validators.saelens.format import AUTOENCODERS, SHAPED_ARCHITECTURES
from validators.subjects import SaeSubject

WITH_ENCODER = tuple(sorted(set(SHAPED_ARCHITECTURES) - {"matching_pursuit"}))

_MAX_NORM_RATIO = 100.0
# The largest weight seen in a trained SAE with a decoder in the units of its activations is some
# hundreds; a float read from bytes of another type is easily 1e30.
_MAX_WEIGHT = 1e4
_MAX_LOG_SCALE = 20.0


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
        n_wrong = int((~np.isfinite(tensor)).sum())
        if n_wrong:
            wrong[name] = f"{n_wrong} of {tensor.size} values of {name}"
    if not wrong:
        return Passed(f"{sum(t.size for t in sae.tensors.values())} values")
    return Problem(
        f"NaN or infinite: {'; '.join(wrong.values())}", "finite values", "retrain the SAE"
    )


@sae_check(
    "W104", "decoder rows have comparable norms", tier="load", severity="warn",
    requires=("W101",), architectures=SHAPED_ARCHITECTURES,
)  # fmt: skip
def decoder_rows_have_norms(sae: SaeSubject) -> Verdict:
    """A latent whose decoder row is zero writes nothing: it is dead on disk.

    Rows whose norms differ a hundredfold make activations of different latents incomparable;
    Neuronpedia and SAEBench expect norms of 1. It fails where half of the rows are zero. In a
    matching pursuit, taking a direction d out of a residual r leaves |r|^2 - (r.d)^2 (2 - |d|^2):
    with a norm above sqrt(2) the residual grows at each pick, and the latents with it.

    Example: 41 of 2304 rows of W_dec are zero.

    To mend it: fold the norms (SAELens: `fold_W_dec_norm`), and count zero rows as dead.
    """
    norms = np.linalg.norm(sae.tensors["W_dec"].astype(np.float64), axis=1)
    live = norms[norms > 0]
    n_zero = len(norms) - len(live)
    if not len(live):
        return Problem("W_dec is zero", "trained weights", "export the weights again", "fail")
    n_growing = int((norms > math.sqrt(2)).sum()) if sae.architecture == "matching_pursuit" else 0
    if n_growing:
        return Problem(
            f"{n_growing} of {len(norms)} rows of W_dec have a norm above sqrt(2), up to "
            f"{float(norms.max()):.4g}: the pursuit grows",
            "norms of 1",
            "save a matching pursuit with decoder rows of norm 1",
        )
    ratio = float(live.max() / live.min())
    if n_zero == 0 and ratio <= _MAX_NORM_RATIO:
        return Passed(f"from {float(live.min()):.4g} to {float(live.max()):.4g}")
    return Problem(
        f"{n_zero} of {len(norms)} rows of W_dec are zero; largest norm over smallest {ratio:.3g}",
        f"no zero row, and a ratio of at most {_MAX_NORM_RATIO:g}",
        "fold the decoder norms; report latents with a zero row as dead",
        "fail" if n_zero >= len(norms) / 2 else None,
    )


@sae_check(
    "W108", "every latent reads something", tier="load", severity="warn",
    requires=("W101",), architectures=WITH_ENCODER,
)  # fmt: skip
def encoder_columns_have_norms(sae: SaeSubject) -> Verdict:
    """A latent whose encoder column is zero has the same activation for every input.

    With a bias above its threshold it is always on, else never. It fails where half of the columns
    are zero.

    Example: pruned latents were zeroed in W_enc, and their b_enc of 0.3 was left.

    To mend it: leave such latents out, or report them as dead.
    """
    # Tied weights: a temporal SAE reads what it writes, and W104 looks at that.
    if "W_enc" not in sae.tensors:
        return Passed("tied to the decoder")
    norms = np.linalg.norm(sae.tensors["W_enc"].astype(np.float64), axis=0)
    n_zero = int((norms == 0).sum())
    if n_zero == 0:
        return Passed(f"from {float(norms.min()):.4g} to {float(norms.max()):.4g}")
    return Problem(
        f"{n_zero} of {len(norms)} columns of W_enc are zero",
        "no zero column",
        "leave these latents out, or report them as dead",
        "fail" if n_zero >= len(norms) / 2 else None,
    )


@sae_check(
    "W109", "no tensor is all zero", tier="load",
    requires=("W101",), architectures=SHAPED_ARCHITECTURES,
)  # fmt: skip
def tensors_are_not_zero(sae: SaeSubject) -> Verdict:
    """A tensor that was never filled keeps the zeros it was made with, and nothing says so.

    Biases of zero are common, and those of the encoder are no finding. A `b_dec` of zero that is
    subtracted from the input, and a skip connection of zero, do nothing, which is worth a note:
    training moves both at its first step.

    Example: `W_skip` was left out of a state dict that was loaded with `strict=False`.

    To mend it: export the tensor from the trained module.
    """
    zero = [
        name
        for name, tensor in sorted(sae.tensors.items())
        if not tensor.any() and (name.startswith("W_") or name.endswith((".weight", "b_dec")))
    ]
    does_something = (
        sae.architecture in AUTOENCODERS and sae.cfg.get("apply_b_dec_to_input") is True
    )
    if not does_something:
        zero = [name for name in zero if name != "b_dec"]
    if not zero:
        return Passed()
    is_harmless = set(zero) <= {"b_dec", "W_skip"}
    return Problem(
        f"{', '.join(zero)} all zero",
        "trained values",
        "export the tensor from the trained module, or say on the card that it is zero",
        "note" if is_harmless else None,
    )


@sae_check(
    "W110", "weights are of a plausible size", tier="load",
    requires=("W101",), architectures=SHAPED_ARCHITECTURES,
)  # fmt: skip
def sizes_are_plausible(sae: SaeSubject) -> Verdict:
    """Quantised integers that were cast to floats without their scale load without a word.

    An int8 SAE then reconstructs with an explained variance of -60,000. Whole numbers only, in a
    matrix, fail. A weight above 10,000, or a gated SAE's `r_mag` (a logarithm) above 20, is a
    warning: it may be right for activations of very unusual size. Biases and thresholds are in the
    units of the activations, which may be large, and are not looked at.

    Example: W_dec in float32 holds the whole numbers from -127 to 127.

    To mend it: multiply by the quantisation scale before saving.
    """
    found: dict[str, Severity | None] = {}
    for name, tensor in sorted(sae.tensors.items()):
        if tensor.ndim != 2 or not tensor.size:
            continue
        largest = float(np.abs(tensor).max())
        if largest >= 2 and bool((tensor == np.rint(tensor)).all()):
            found[f"{name} holds whole numbers only, up to {largest:g}"] = None
        elif largest > _MAX_WEIGHT:
            found[f"{name} has a value of {largest:.3g}"] = "warn"
    r_mag = sae.tensors.get("r_mag")
    if r_mag is not None and float(r_mag.max(initial=0)) > _MAX_LOG_SCALE:
        found[f"r_mag reaches {float(r_mag.max()):.3g}, and its exponential is a factor"] = "warn"
    if not found:
        return Passed()
    return Problem(
        "; ".join(found),
        f"fractions, of at most {_MAX_WEIGHT:g}",
        "multiply by the quantisation scale before saving",
        None if None in found.values() else "warn",
    )
