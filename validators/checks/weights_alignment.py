"""W1: encoder against decoder, and decoder rows against each other."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from validators.check import Passed, Problem, Verdict, sae_check
from validators.metrics.duplicate_rows import nearest_cosines
from validators.metrics.latent_alignment import (
    MIN_TYPICAL,
    Alignment,
    align,
    best_match_share,
    misplaced,
)
from validators.saelens.format import AUTOENCODERS, SHAPED_ARCHITECTURES
from validators.subjects import SaeSubject

_MIN_COSINE = 0.05
# Permuted and random rows match their own column once in d_sae.
_MIN_BEST_MATCH = 0.02
_MIN_BEST_MATCHES = 5
_MAX_UNALIGNED = 0.05
_SAME = 1 - 1e-5
_NEARLY_SAME = 0.999
_MAX_NEARLY_SAME = 0.05
_SHOWN = 5
_MIN_ROWS = 16
# Rounding of bfloat16 moves a norm by less.
_ONE_NORM = 1e-3


@sae_check(
    "W105", "encoder and decoder face each other", tier="load",
    requires=("W101",), architectures=AUTOENCODERS,
)  # fmt: skip
def encoder_faces_decoder(sae: SaeSubject) -> Verdict:
    """In a trained autoencoder a latent is read along much the same direction as it is written.

    The mean cosine of W_enc[:, i] and W_dec[i] was measured as 0.83 in a trained SAE, and 0.00
    after its decoder rows were permuted; random and untrained weights are near 0 as well, and so
    is a square W_enc that was transposed. Folding a whitening turns the two away from each other;
    so where the cosine is small, it passes if one row in fifty matches its own column better than
    any other, which permuted and random weights don't.

    Example: latents were sorted by density in W_dec but not in W_enc.

    To mend it: export encoder and decoder in the same order and orientation.
    """
    alignment = _aligned(sae)
    if not len(alignment.latents):
        return Problem("every latent has a zero row or column", "trained weights", "retrain")
    cosine = float(alignment.own.mean())
    # Three standard deviations of the mean over d_sae random directions in d_in dimensions.
    limit = max(_MIN_COSINE, 3 / math.sqrt(alignment.decoder.size))
    if cosine > limit:
        return Passed(f"mean cosine {cosine:.3f}")
    share = best_match_share(alignment)
    if share >= max(_MIN_BEST_MATCH, _MIN_BEST_MATCHES / len(alignment.own)):
        return Passed(f"mean cosine {cosine:.3f}; {share:.0%} of the rows match their own column")
    return Problem(
        f"mean cosine of W_enc and W_dec {cosine:.3f}; {share:.0%} of the rows match their own "
        "column best",
        f"a mean above {limit:.3f}",
        _how_to_turn_it(sae, cosine, limit),
    )


def _how_to_turn_it(sae: SaeSubject, cosine: float, limit: float) -> str:
    if cosine < -limit:
        return "one of the two has the other sign: write it negated"
    encoder, decoder = sae.tensors["W_enc"], sae.tensors["W_dec"]
    if encoder.shape[0] == encoder.shape[1]:
        turned = align(encoder.T, decoder)
        if len(turned.own) and float(turned.own.mean()) > limit:
            return "W_enc is transposed: write W_enc.T"
    return "export both in the same order of latents, or retrain"


@sae_check(
    "W106", "each latent is read and written in the same place", tier="load",
    requires=("W105",), architectures=AUTOENCODERS,
)  # fmt: skip
def latents_keep_their_places(sae: SaeSubject) -> Verdict:
    """Two decoder rows that changed places leave every average nearly as it was.

    They are seen because each row then matches the other's column, and both have lost their own. A
    row that points against its own column was negated. Either fails. More than 5% of rows that
    match nothing, beside others that match well, are a warning: they look untrained. Where the
    median cosine is below 0.6, as in some sound SAEs, none of this can be told.

    Example: 23 of 2304 latents were written back in another order after pruning.

    To mend it: apply one and the same order to every tensor.
    """
    alignment = _aligned(sae)
    found = misplaced(alignment)
    if len(found.exchanged) or len(found.reversed):
        parts = []
        if len(found.exchanged):
            parts.append(f"{_numbers(found.exchanged)} written by each other's rows of W_dec")
        if len(found.reversed):
            parts.append(f"{_numbers(found.reversed)} written against the direction they read")
        return Problem(
            "; ".join(parts),
            f"cosines like that of the others, {alignment.typical:.2f}",
            "apply one order to every tensor, and the same signs to W_enc and W_dec",
        )
    if alignment.typical < MIN_TYPICAL:
        return Passed(f"median cosine {alignment.typical:.3f}: too low to tell single latents")
    # Within three standard deviations of random directions, and far below the others.
    near_zero = min(3 / math.sqrt(alignment.decoder.shape[1]), alignment.typical / 4)
    unaligned = float((np.abs(alignment.own) < near_zero).mean())
    if unaligned <= _MAX_UNALIGNED:
        return Passed(f"cosines from {alignment.own.min():.3f}, median {alignment.typical:.3f}")
    return Problem(
        f"{unaligned:.0%} of the latents are written in no relation to what they read, beside a "
        f"median cosine of {alignment.typical:.2f}",
        f"at most {_MAX_UNALIGNED:.0%}",
        "compare W_dec with the trained module's; report latents that were never trained as dead",
        "warn",
    )


@sae_check(
    "W107", "no two latents write the same direction", tier="load", severity="warn",
    requires=("W101",), architectures=SHAPED_ARCHITECTURES,
)  # fmt: skip
def directions_differ(sae: SaeSubject) -> Verdict:
    """Two latents with one decoder direction are one latent that was stored twice.

    Counted are rows of W_dec that repeat an earlier one (a cosine above 0.99999), and rows that
    nearly do (0.999), of which up to 5% pass, since latents that never fire drift together. It
    fails where half of the rows are repeated.

    Example: a checkpoint was padded to a round number of latents with copies.

    To mend it: leave the copies out, or say why they are there.
    """
    decoder = sae.tensors["W_dec"]
    nearest = nearest_cosines(decoder, above=_NEARLY_SAME)
    repeated, near = np.flatnonzero(nearest >= _SAME), int((nearest >= _NEARLY_SAME).sum())
    if not len(repeated) and near <= _MAX_NEARLY_SAME * len(decoder):
        return Passed(f"{near} with a cosine above {_NEARLY_SAME}")
    return Problem(
        f"{_numbers(repeated)} repeat an earlier row of W_dec; {near} of {len(decoder)} have a "
        f"cosine above {_NEARLY_SAME} with one"
        if len(repeated)
        else f"{near} of {len(decoder)} rows of W_dec have a cosine above {_NEARLY_SAME} with an "
        "earlier one",
        "directions that differ",
        "leave the copies out, or say why they are there",
        "fail" if near >= len(decoder) / 2 else None,
    )


@sae_check(
    "W112", "decoder rows are of one scale", tier="load", severity="warn",
    requires=("W101",), architectures=AUTOENCODERS,
)  # fmt: skip
def norms_are_of_one_kind(sae: SaeSubject) -> Verdict:
    """Rows of exactly two norms, and none between, are not what training leaves behind.

    Where rows were brought to one norm, all are; where they were free, no two are alike. Part of
    the rows at exactly twice the norm of the rest was scaled afterwards.

    Example: 690 of 2304 rows have the norm 2, all others 1.

    To mend it: bring all rows to one norm, and scale the encoder's columns against it.
    """
    norms = np.linalg.norm(sae.tensors["W_dec"].astype(np.float64), axis=1)
    norms = np.sort(norms[norms > 0])
    if len(norms) < _MIN_ROWS:
        return Passed(f"{len(norms)} rows")
    step = int(np.argmax(norms[1:] / norms[:-1])) + 1
    low, high = norms[:step], norms[step:]
    are_tight = all(part[-1] / part[0] < 1 + _ONE_NORM for part in (low, high))
    if not are_tight or high[0] / low[-1] < 1 + 50 * _ONE_NORM or min(len(low), len(high)) < 2:
        return Passed(f"norms from {norms[0]:.4g} to {norms[-1]:.4g}")
    return Problem(
        f"{len(low)} rows of W_dec have the norm {low[0]:.4g}, {len(high)} the norm {high[0]:.4g}, "
        "none is between",
        "one norm, or as many as there are rows",
        "bring all rows to one norm and scale the encoder's columns against it",
    )


@sae_check(
    "W111", "the weights are not those of an untrained SAE", tier="load",
    requires=("W101",), architectures=AUTOENCODERS,
)  # fmt: skip
def weights_were_trained(sae: SaeSubject) -> Verdict:
    """SAELens starts from a random decoder, its transpose as the encoder, and biases of zero.

    Such an SAE has the best of cosines between encoder and decoder. It fails where all biases are
    zero, every column is parallel to its row, and the rows favour no dimension, as rows trained on
    activations do. Tied weights without biases that do favour some are worth a note.

    Example: `SAE.from_dict(cfg).save_model(folder)`, without the trained weights in between.

    To mend it: load the trained weights before saving.
    """
    biases = [t for name, t in sae.tensors.items() if name in ("b_enc", "b_gate", "b_mag", "b_dec")]
    if any(bias.any() for bias in biases):
        return Passed("biases were trained")
    alignment = _aligned(sae)
    if not len(alignment.own) or float(np.abs(alignment.own).min()) < 0.9999:
        return Passed("W_enc is not W_dec transposed")
    # Of unit rows, the mean square in each dimension is 1 / d_in; drawn at random it varies by
    # sqrt(2 / d_sae) of that.
    energy = np.square(alignment.decoder).mean(axis=0) * alignment.decoder.shape[1]
    is_random = float(energy.std()) < 2 * math.sqrt(2 / len(alignment.decoder))
    return Problem(
        "all biases are zero and W_enc is W_dec transposed"
        + (", with random rows" if is_random else ""),
        "weights that training has moved",
        "load the trained weights before saving",
        None if is_random else "note",
    )


def _aligned(sae: SaeSubject) -> Alignment:
    return align(sae.tensors["W_enc"], sae.tensors["W_dec"])


def _numbers(latents: NDArray[Any]) -> str:
    """`3 latents (0, 7, 12)`, with the first of them."""
    shown = ", ".join(str(latent) for latent in latents[:_SHOWN])
    more = ", ..." if len(latents) > _SHOWN else ""
    return f"{len(latents)} latent{'s' if len(latents) != 1 else ''} ({shown}{more})"
