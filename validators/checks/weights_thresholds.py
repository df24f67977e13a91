"""W1: the thresholds of JumpReLU SAEs and transcoders."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from manifests.sae_recipes import JumpreluRecipe
from validators.check import Passed, Problem, Skipped, Verdict, sae_check
from validators.metrics.conventions import MOVED_BY
from validators.report import Severity
from validators.saelens.format import JUMPRELU
from validators.subjects import SaeSubject

# Where training starts in dictionary_learning and in SAELens; used where no record says it.
_KNOWN_INITS = (0.001, 0.01)
# What training leaves this close to its start, or to most others, it has not moved.
_STUCK_TO_INIT = 0.01
_STUCK_TOGETHER = 0.001
# SAELens keeps thresholds at 0 or above before each step, so the last step may leave some below.
_SLIGHT = 0.05


@sae_check(
    "W102", "thresholds are above zero", tier="load",
    requires=("W101",), architectures=JUMPRELU,
)  # fmt: skip
def thresholds_are_positive(sae: SaeSubject) -> Verdict:
    """A JumpReLU with thresholds of zero is a ReLU: about half of all latents are active.

    Negative ones do the same, and often are logarithms: SAELens' training class stored
    `log_threshold`, the inference class reads `threshold`. SAELens' training may leave some
    thresholds at zero or a step below it, so fewer than half are a warning, and a note where they
    are fewer than one in a hundred and others come near zero too; a clearly negative one fails.
    Where the manifest says `threshold: fixed_at_zero`, all of them have to be 0, and the SAE is
    warned of as the ReLU that it is.

    Example: all 24576 thresholds are -4.605, the logarithm of 0.01.

    To mend it: export the exponential of the logarithm; if they are truly zero, retrain.
    """
    threshold = sae.tensors["threshold"].astype(np.float64)
    if _is_fixed_at_zero(sae):
        return _fixed_at_zero(threshold)
    n_wrong = int((threshold <= 0).sum())
    low, high = float(threshold.min()), float(threshold.max())
    if n_wrong == 0:
        return Passed(f"from {low:.4g} to {high:.4g}")
    share = n_wrong / threshold.size
    severity: Severity | None = None
    slight = _SLIGHT * float(np.median(np.abs(threshold)))
    if low >= -slight and share < 0.5:
        others_come_near = float(threshold[threshold > 0].min()) <= 2 * slight
        severity = "note" if share < 0.01 and others_come_near else "warn"
    return Problem(
        f"{n_wrong} of {threshold.size} thresholds are 0 or below, the lowest {low:.4g}",
        "values above 0",
        _hint(threshold),
        severity,
    )


def _hint(threshold: NDArray[np.float64]) -> str:
    negative = threshold < 0
    if negative.mean() > 0.5 and threshold.max() < 10:
        low, high = np.exp(threshold.min()), np.exp(threshold.max())
        return f"they look like logarithms: write exp(threshold), from {low:.3g} to {high:.3g}"
    if negative.any():
        return "export them from the trained module again"
    return "retrain the SAE with thresholds that are trained"


@sae_check(
    "W103", "thresholds were trained", tier="load",
    requires=("W102",), architectures=JUMPRELU,
)  # fmt: skip
def thresholds_have_moved(sae: SaeSubject) -> Verdict:
    """Thresholds that still have their initial value were never reached by a gradient.

    With a narrow kernel few pre-activations lie where the gradient is not zero; stored as a
    logarithm under Adam they move by 1e-7 a step. Sparsity is then an accident of the initial
    value. The initial value is the one in training.json, else one of 0.001 and 0.01. It fails
    where no threshold is more than 10% away from it, where nine in ten are within 1% of it, and
    where nine in ten are the same to 0.1% whatever their value; more than half are a warning, since
    latents that never fire keep their threshold. The constant threshold that SAELens makes of a
    trained BatchTopK SAE is right, and passes; where the manifest says that it is one, several
    values belong to another SAE, and fail.

    Example: all 2304 thresholds are 0.01 after 300 epochs.

    To mend it: widen the kernel (`recipe.jumprelu.bandwidth`), or raise the learning rate.
    """
    threshold = sae.tensors["threshold"].astype(np.float64)
    if _is_fixed_at_zero(sae):
        return Skipped("by the manifest they are fixed at 0, and not trained", required=False)
    if sae.trained_only_as is not None:
        return _one_threshold(sae, threshold, sae.trained_only_as)
    recorded = sae.threshold_init
    source = "by training.json" if recorded is not None else "a common initial value"
    for init in (recorded,) if recorded is not None else _KNOWN_INITS:
        away = np.abs(threshold - init)
        if float(away.max()) <= MOVED_BY * abs(init):
            return _unmoved(
                f"no threshold is more than {MOVED_BY:.0%} away from {init:.4g} ({source})", 1.0
            )
        stuck = float((away <= _STUCK_TO_INIT * abs(init)).mean())
        if stuck > 0.5:
            return _unmoved(
                f"{stuck:.0%} of the thresholds are within {_STUCK_TO_INIT:.0%} of {init:.4g} "
                f"({source})",
                stuck,
            )
    together, value = _largest_cluster(threshold)
    if together > 0.5:
        return _unmoved(f"{together:.0%} of {threshold.size} thresholds are {value:.4g}", together)
    return Passed(f"from {threshold.min():.4g} to {threshold.max():.4g}")


def _is_fixed_at_zero(sae: SaeSubject) -> bool:
    """Whether the manifest says that this SAE is a ReLU in a JumpReLU file."""
    if sae.spec is None:
        return False
    recipe = sae.claim.manifest.recipe.of(sae.spec.architecture, sae.spec.variant)
    return isinstance(recipe, JumpreluRecipe) and recipe.threshold == "fixed_at_zero"


def _fixed_at_zero(threshold: NDArray[np.float64]) -> Problem:
    """A warning, since a ReLU under the name of JumpReLU is never simply good."""
    n_other = int((threshold != 0).sum())
    if n_other:
        return Problem(
            f"{n_other} of {threshold.size} thresholds are not 0",
            "thresholds of 0, by `threshold: fixed_at_zero` of the manifest",
            "say `threshold: learned` in the recipe, or export the right weights",
        )
    return Problem(
        f"all {threshold.size} thresholds are 0, as the recipe fixes them: this is a ReLU SAE",
        "values above 0, in a JumpReLU SAE",
        "nothing, if it is published for comparison; else train it with `threshold: learned`",
        "warn",
    )


def _one_threshold(sae: SaeSubject, threshold: NDArray[np.float64], trained_as: str) -> Verdict:
    low, high = float(threshold.min()), float(threshold.max())
    # Of anybody else's, decoder norms may have been folded into the thresholds.
    is_claimed = sae.spec is not None and sae.spec.architecture == trained_as
    if low == high or not is_claimed:
        return Passed(f"made of the threshold of {trained_as}")
    return Problem(
        f"thresholds from {low:.4g} to {high:.4g}",
        f"one threshold for all latents, as a {trained_as} SAE has",
        "export the SAE again, or correct its architecture in the manifest",
    )


def _unmoved(found: str, share: float) -> Problem:
    return Problem(
        found,
        "thresholds that training has moved",
        "widen recipe.jumprelu.bandwidth or raise the learning rate, and retrain",
        None if share >= 0.9 else "warn",
    )


def _largest_cluster(threshold: NDArray[np.float64]) -> tuple[float, float]:
    """Largest share of values that are the same to 0.1%, and the lowest of them."""
    ordered: NDArray[Any] = np.sort(threshold)
    upper = np.searchsorted(ordered, ordered + _STUCK_TOGETHER * np.abs(ordered), side="right")
    sizes = upper - np.arange(len(ordered))
    first = int(sizes.argmax())
    return float(sizes[first] / len(ordered)), float(ordered[first])
