"""N: what the SAE does on activations of its base model."""

from __future__ import annotations

from manifests.errors import MissingExtra
from validators.check import Passed, Problem, Skipped, Verdict, repository_check, sae_check
from validators.evidence.evidence import NoEvidence
from validators.report import Measurement
from validators.saelens.format import TRANSCODERS
from validators.subjects import RepositorySubject, SaeSubject

# An SAE outside these bounds may be meant so; see N207 and N208.
_MIN_L0 = 5.0
_MAX_L0_SHARE = 0.2
_DENSE_SHARE = 0.4
_MANY_DEAD = 0.9


@repository_check(
    "N200", "the base model is the one that training used", tier="activations",
    severity="warn", requires=("H200",),
)  # fmt: skip
def base_model_is_the_same(subject: RepositorySubject) -> Verdict:
    """Activations of other weights are other activations; a number on them is another number.

    Compared by the digest in training.json. It differs on purpose when `--base-model` names
    another precision or revision.

    Example: the base model was updated on the Hub after the SAEs were trained.

    To mend it: state `base_model.revision` in the manifest, or retrain.
    """
    if not subject.has_training_record:
        return Skipped("there is no training.json to compare with", required=False)
    recorded = subject.training.base_model.digest
    try:
        found = subject.evidence.base.digest
    except NoEvidence as error:
        return Skipped(error.what, error.next_step or "", required=False)
    if recorded == found:
        return Passed(recorded[:12])
    return Problem(
        f"the base model has the digest {found}",
        f"{recorded}, by training.json",
        "run with the base model of training, or retrain",
    )


@sae_check(
    "N201", "the SAE runs on its activations", tier="activations",
    requires=("C005", "C006", "C008", "F003", "H202", "L101", "W101"),
)  # fmt: skip
def sae_runs(sae: SaeSubject) -> Verdict:
    """Both paths, SAELens' and the manual one, encode and decode the held-out vectors.

    The held-out vectors are those of the completions that training never saw, of the SAE's own
    condition; every number of the card is measured on them unless it says otherwise.

    Example: an SAE of width 768 on activations of width 576.

    To mend it: read the message; mostly an earlier check says more.
    """
    if sae.architecture in TRANSCODERS or sae.architecture == "temporal":
        return Skipped(
            f"a {sae.architecture} is judged up to the tier load: what it gives belongs to "
            "another place or needs whole sequences",
            "check with `--tier load`",
        )
    try:
        evaluation = sae.evaluation
    except (MissingExtra, AssertionError):
        raise
    except (RuntimeError, TypeError, ValueError) as error:
        first_line = (str(error).strip().splitlines() or [""])[0]
        return Problem(
            f"running it raised {type(error).__name__}: {first_line:.200}",
            "latents and reconstructions",
            "see the checks of cfg.json (C) and of the weights (W) for this SAE",
        )
    if evaluation.held_out.n == 0:
        return Problem(
            "there are no held-out vectors of its condition",
            "completions that training never saw",
            "add completions, or raise data.held_out.fraction",
        )
    trained = f"{evaluation.train.n} train and " if evaluation.train else ""
    return Passed(f"{trained}{evaluation.held_out.n} held-out vectors")


@sae_check("N202", "both paths have the same latents", tier="activations", requires=("N201",))
def latents_agree(sae: SaeSubject) -> Verdict:
    """A user who follows the formulas must get the latents that SAELens gives.

    The manual path reads the two files itself and computes with NumPy. The largest difference
    within a vector, over its largest latent, is held against `limits.path_tolerance`. A latent
    within rounding of its switching point may be on in one path and off in the other: a tie, which
    is counted and not blamed. Where more differs, the config means something else to SAELens than
    its words say.

    Example: SAELens takes k = 100 where the config says 64 under another name.

    To mend it: compare the config with the formulas of its architecture: first where k stands
    (C006), then the normalisation (C008).
    """
    agreement = sae.evaluation.agreement
    limit = sae.limits.path_tolerance
    found = (
        f"largest difference {agreement.latents:.2g}, {agreement.n_active_differ} active on one "
        f"path only, {agreement.n_ties} ties, over {agreement.n} vectors"
    )
    if agreement.is_finite and agreement.latents <= limit and agreement.n_active_differ == 0:
        return Passed(found)
    return Problem(
        f"latents differ: {found}"
        if agreement.is_finite
        else "latents or reconstructions are not finite",
        f"at most {limit:g} of the largest latent (limits.path_tolerance)",
        "compare cfg.json with what the weights were trained as",
    )


@sae_check("N203", "both paths reconstruct the same", tier="activations", requires=("N201",))
def reconstructions_agree(sae: SaeSubject) -> Verdict:
    """As N202, for the reconstructions; a vector with a tie is left out and counted.

    Example: a decoder that SAELens rescales by its norms and the formula does not.

    To mend it: compare the config with the formulas of its architecture.
    """
    agreement = sae.evaluation.agreement
    limit = sae.limits.path_tolerance
    n_compared = agreement.n - agreement.n_left_out
    if agreement.is_finite and agreement.reconstruction <= limit and n_compared > 0:
        left_out = f", {agreement.n_left_out} left out for ties" if agreement.n_left_out else ""
        return Passed(f"{agreement.reconstruction:.2g} over {n_compared} vectors{left_out}")
    shown = f"reconstructions differ by {agreement.reconstruction:.2g} of the largest value"
    if not agreement.is_finite:
        shown = "a reconstruction is not finite"
    elif n_compared == 0:
        shown = f"all {agreement.n} vectors have latents within rounding of switching"
    return Problem(
        shown,
        f"at most {limit:g} (limits.path_tolerance)",
        "compare cfg.json with what the weights were trained as",
    )


@sae_check("N204", "it reconstructs better than the mean", tier="activations", requires=("N201",))
def explains_variance(sae: SaeSubject) -> Verdict:
    """Held-out explained variance at or below 0 is what predicting the mean achieves.

    Most faults end here: a wrong hook, layer, k, bias or scale, or weights that were not
    trained. The limit is `limits.min_explained_variance`.

    Example: `apply_b_dec_to_input` has the wrong value: -3.36 where 0.82 was trained.

    To mend it: look at the checks that failed before; else compare held-out with training data,
    since too few training vectors give the same picture.
    """
    ev = sae.evaluation.measurements["explained_variance"]
    train = sae.evaluation.measurements["explained_variance_train"]
    limit = sae.limits.min_explained_variance
    found = f"explained variance {_shown(ev)} on {ev.n} held-out vectors"
    if train.value is not None:
        found += f", {_shown(train)} on {train.n} training vectors"
    if ev.value is not None and limit < ev.value <= 1:
        return Passed(found)
    if sae.parent.evidence.knows_training:
        hint = "if training vectors do well, there are too few of them"
    else:
        hint = "if it was made for other text, give such text with --text FILE"
    return Problem(
        f"{found}: {sae.parent.evidence.description}",
        f"above {limit:g} (limits.min_explained_variance), at most 1",
        f"look at hook, k, b_dec and scale; {hint}",
    )


@sae_check(
    "N205", "k latents are active, never more", tier="activations",
    requires=("N201",), architectures=("topk",),
)  # fmt: skip
def l0_reaches_k(sae: SaeSubject) -> Verdict:
    """A TopK SAE whose L0 is another number than k is not the SAE that the config describes.

    No vector may have more than k active latents, and at least one must have k. Fewer than k are
    possible where fewer pre-activations are above zero, since TopK is rectified: see N206.

    Example: L0 100 where the config says 64.

    To mend it: see C006.
    """
    counts, k = sae.evaluation.held_out, sae.cfg["k"]
    if counts.l0_max == k:
        return Passed(f"at most {k} active, over {counts.n} vectors")
    return Problem(
        f"from {counts.l0_min} to {counts.l0_max} active latents, over {counts.n} vectors",
        f"k = {k}",
        "compare k in cfg.json with the k of training",
    )


@sae_check(
    "N206", "exactly k latents are active for every vector", tier="activations", severity="warn",
    requires=("N205",), architectures=("topk",),
)  # fmt: skip
def l0_is_k(sae: SaeSubject) -> Verdict:
    """Fewer than k active latents means that the k largest include some below zero.

    It is legal, and unusual: mostly the SAE has too few live latents for its k.

    Example: k = 64 and 50 live latents.

    To mend it: lower k, or train with an auxiliary loss on dead latents.
    """
    counts, k = sae.evaluation.held_out, sae.cfg["k"]
    if counts.l0_min == k:
        return Passed(f"L0 = {k} for each of {counts.n} vectors")
    return Problem(
        f"down to {counts.l0_min} active latents",
        f"k = {k} for each vector",
        "lower k, or train with recipe.topk.auxiliary_coefficient above 0",
    )


@sae_check(
    "N207", "the SAE is not dense", tier="activations",
    requires=("N201",), architectures=("gated", "jumprelu", "standard"),
)  # fmt: skip
def is_not_dense(sae: SaeSubject) -> Verdict:
    """About half of all latents active is what random weights or thresholds of zero give.

    Such an SAE reconstructs well and says nothing: it is a dense code. It fails from
    0.4 x d_sae active latents on.

    Example: L0 1150 of 2304 latents, explained variance 0.99.

    To mend it: train with a stronger sparsity term; for JumpReLU see W102 and W103.
    """
    l0, d_sae = sae.evaluation.measurements["l0"], sae.cfg["d_sae"]
    if l0.value is not None and l0.value < _DENSE_SHARE * d_sae:
        return Passed(f"L0 {l0.value:.1f} of {d_sae}")
    return Problem(
        f"L0 {_shown(l0)} of {d_sae} latents, over {l0.n} vectors",
        f"below {_DENSE_SHARE:g} x d_sae = {_DENSE_SHARE * d_sae:g}",
        "train with a stronger sparsity term",
    )


@sae_check(
    "N208", "L0 is in the usual range", tier="activations", severity="warn",
    requires=("N207",), architectures=("gated", "jumprelu", "standard"),
)  # fmt: skip
def l0_is_usual(sae: SaeSubject) -> Verdict:
    """Below 5 active latents little is left to interpret; above a fifth of all it is hardly sparse.

    Example: L0 1.2: nearly all thresholds are too high for these activations.

    To mend it: change the sparsity term, or say in a caveat of the manifest why it is meant so.
    """
    l0, d_sae = sae.evaluation.measurements["l0"], sae.cfg["d_sae"]
    high = _MAX_L0_SHARE * d_sae
    if l0.value is not None and _MIN_L0 <= l0.value <= high:
        return Passed(f"L0 {l0.value:.1f} of {d_sae}")
    return Problem(
        f"L0 {_shown(l0)} of {d_sae} latents, over {l0.n} vectors",
        f"from {_MIN_L0:g} to {high:g}",
        "change the sparsity term, or state it in a caveat",
    )


@sae_check(
    "N209", "most latents are alive on the training vectors", tier="activations",
    severity="warn", requires=("N201",),
)  # fmt: skip
def latents_are_alive(sae: SaeSubject) -> Verdict:
    """A latent that fires on no vector it was trained on is dead weight, and never interpretable.

    Counted on the training vectors of the SAE's condition; it warns above 0.9. Fewer vectors
    than latents make many dead latents likely, so the number is given with n.

    Example: 97.1% dead in an SAE of 6144 latents trained on 38 vectors.

    To mend it: fewer latents (`saes.expansion`), more data, or an auxiliary loss.
    """
    if sae.evaluation.train is None:
        dead = sae.evaluation.measurements["dead_fraction"]
        return Skipped(
            f"{_shown(dead)} of the latents fired on none of {dead.n} vectors, but not on those it "
            "was trained on",
            required=False,
        )
    dead = sae.evaluation.measurements["dead_fraction_train"]
    if dead.value is not None and dead.value <= _MANY_DEAD:
        return Passed(f"{dead.value:.1%} dead on {dead.n} vectors")
    return Problem(
        f"{_shown(dead)} of {sae.cfg['d_sae']} latents fired on none of {dead.n} vectors",
        f"at most {_MANY_DEAD:g}",
        "fewer latents, more data, or an auxiliary loss",
    )


@sae_check(
    "N210", "it reconstructs better than 8 principal components", tier="activations",
    severity="note", requires=("N201",),
)  # fmt: skip
def beats_pca(sae: SaeSubject) -> Verdict:
    """Eight numbers and a linear map are the least that a dictionary should be better than.

    The baseline is fitted on the same training vectors and measured on the same held-out ones.
    It is a note: a sparse code may be worth having where it reconstructs less.

    Example: explained variance 0.35, PCA-8 0.61, on 38 training vectors.

    To mend it: more data; the card prints both numbers.
    """
    ev = sae.evaluation.measurements["explained_variance"]
    pca = sae.evaluation.measurements["pca_8_explained_variance"]
    found = f"explained variance {_shown(ev)}, PCA-8 {_shown(pca)}, on {ev.n} held-out vectors"
    if pca.value is None:
        return Skipped(f"no baseline: {pca.reason}", required=False)
    if ev.value is not None and ev.value > pca.value:
        return Passed(found)
    return Problem(found, "more than the baseline", "train on more data; the card prints both")


@sae_check(
    "N211", "there are more training vectors than latents", tier="activations",
    severity="note", requires=("N201",),
)  # fmt: skip
def data_outnumbers_latents(sae: SaeSubject) -> Verdict:
    """With more latents than vectors, each vector can have a latent of its own.

    The SAE then remembers its training data: 0.997 on it and 0.354 held-out were seen.

    Example: 2304 latents, 300 vectors.

    To mend it: fewer latents (`saes.expansion`), or more completions.
    """
    if sae.evaluation.train is None:
        return Skipped("it is not known on how many vectors it was trained", required=False)
    n, d_sae = sae.evaluation.train.n, sae.cfg["d_sae"]
    if n > d_sae:
        return Passed(f"{n} vectors, {d_sae} latents")
    return Problem(
        f"{n} training vectors for {d_sae} latents",
        "more vectors than latents",
        "judge it by held-out numbers only; fewer latents or more data",
    )


def _shown(measurement: Measurement) -> str:
    if measurement.value is None:
        return f"not measured ({measurement.reason})"
    return f"{measurement.value:.3f}"
