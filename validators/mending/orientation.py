"""Sizes and transposed matrices: what the shapes, the cosines and the norms say."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from validators.mending.draft import Array, Context, Draft, with_keys
from validators.saelens.format import AUTOENCODERS

# An orientation is taken for the right one at this mean cosine of W_enc[:, i] and W_dec[i], while
# the present one lies below what random directions give.
_FACING = 0.3
_APART = 0.15
# Rows that were kept at one norm differ less than this much (relative spread); columns far more.
_EVEN, _UNEVEN = 0.02, 0.05


def turn_matrices(draft: Draft, context: Context) -> Draft:
    """Correct the config's sizes from the biases, then matrices that are the other way round."""
    if draft.architecture not in AUTOENCODERS or not {"W_enc", "W_dec"} <= draft.tensors.keys():
        return draft
    if any(draft.tensors[name].ndim != 2 for name in ("W_enc", "W_dec")):
        return draft
    draft = _with_sizes_of_the_weights(draft, context)
    d_in, d_sae = draft.cfg.get("d_in"), draft.cfg.get("d_sae")
    if not isinstance(d_in, int) or not isinstance(d_sae, int):
        return draft
    if d_in == d_sae:
        return _with_square_turned(draft)
    wanted = {"W_enc": (d_in, d_sae), "W_dec": (d_sae, d_in)}
    turned = [name for name, shape in wanted.items() if draft.tensors[name].shape == shape[::-1]]
    for name in turned:
        draft = _turned(draft, (name,), "W002", "its shape is the other way round")
    wrong = [name for name, shape in wanted.items() if draft.tensors[name].shape != shape]
    if wrong:
        shapes = ", ".join(f"{name} {draft.tensors[name].shape}" for name in wrong)
        return draft.leave("W002", shapes, f"no transposition makes d_in {d_in}, d_sae {d_sae}")
    return draft


def _with_sizes_of_the_weights(draft: Draft, context: Context) -> Draft:
    """d_in and d_sae as the biases and both matrices have them, where the config differs."""
    sizes = _sizes(draft.tensors)
    stated = {key: draft.cfg.get(key) for key in sizes}
    if not sizes or stated == sizes:
        return draft
    said = {"d_in": context.spec.d_in, "d_sae": context.spec.d_sae} if context.spec else sizes
    if said != sizes:
        return draft.leave(
            "C005",
            f"the weights have d_in {sizes['d_in']} and d_sae {sizes['d_sae']}",
            f"{context.source} says {said['d_in']} and {said['d_sae']}",
        )
    return draft.mended(
        "C003" if None in stated.values() else "W002",
        f"stated d_in {sizes['d_in']} and d_sae {sizes['d_sae']}",
        "the biases and both matrices have these sizes",
        cfg=with_keys(draft.cfg, **sizes),
    )


def _sizes(tensors: Mapping[str, Array]) -> dict[str, int]:
    """d_in and d_sae, where b_dec, a bias over latents and both matrices agree on them."""
    over_latents = next(
        (tensors[n] for n in ("b_enc", "b_gate") if n in tensors and tensors[n].ndim == 1), None
    )
    b_dec = tensors.get("b_dec")
    if b_dec is None or b_dec.ndim != 1 or over_latents is None:
        return {}
    d_in, d_sae = b_dec.size, over_latents.size
    if any(sorted(tensors[name].shape) != sorted((d_in, d_sae)) for name in ("W_enc", "W_dec")):
        return {}
    return {"d_in": d_in, "d_sae": d_sae}


def _with_square_turned(draft: Draft) -> Draft:
    """Where d_in equals d_sae, shapes say nothing; cosines and the decoder's norms do."""
    encoder = draft.tensors["W_enc"].astype(np.float64)
    decoder = draft.tensors["W_dec"].astype(np.float64)
    if encoder.shape != decoder.shape or encoder.shape[0] != encoder.shape[1]:
        return draft
    if not encoder.size or not np.isfinite(encoder).all() or not np.isfinite(decoder).all():
        return draft
    rows, columns = _spread(decoder), _spread(decoder.T)
    as_is, one_turned = mean_cosine(encoder, decoder), mean_cosine(encoder.T, decoder)
    if as_is > _APART:
        return draft
    if one_turned < _FACING:
        return draft
    # W_enc.T beside W_dec and W_enc beside W_dec.T are each other's transposes, so that cosines
    # alone cannot tell which of the two was turned; rows kept at one norm can.
    evidence = f"mean cosine of W_enc and W_dec {as_is:.2f} as they are, {one_turned:.2f} turned"
    if columns <= _EVEN and rows >= _UNEVEN:
        return _turned(draft, ("W_dec",), "W105", f"{evidence}; its columns have one norm")
    if rows <= _EVEN and columns >= _UNEVEN:
        return _turned(draft, ("W_enc",), "W105", f"{evidence}; the rows of W_dec have one norm")
    return draft.leave(
        "W105",
        "W_enc or W_dec is transposed",
        f"{evidence}; which of the two cannot be told, since neither rows nor columns of W_dec "
        "have one norm",
    )


def mean_cosine(encoder: Array, decoder: Array) -> float:
    """Mean over latents i of the cosine of encoder[:, i] and decoder[i]; 0 for zero vectors."""
    products = np.einsum("ji,ij->i", encoder, decoder)
    norms = np.linalg.norm(encoder, axis=0) * np.linalg.norm(decoder, axis=1)
    return float(np.divide(products, norms, out=np.zeros_like(products), where=norms > 0).mean())


def _spread(matrix: Array) -> float:
    """Standard deviation of the norms of the rows that are not zero, over their mean."""
    norms = np.linalg.norm(matrix, axis=1)
    norms = norms[norms > 0]
    return float(norms.std() / norms.mean()) if norms.size else float("inf")


def _turned(draft: Draft, names: tuple[str, ...], code: str, why: str) -> Draft:
    turned = {name: np.ascontiguousarray(draft.tensors[name].T) for name in names}
    return draft.mended(
        code, f"transposed {', '.join(names)}", why, tensors={**draft.tensors, **turned}
    )
