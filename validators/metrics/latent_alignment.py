"""Whether each latent is written along the direction that it is read from.

Encoder columns and decoder rows are compared as directions: `cosines[i, j]` is the cosine of
W_dec[i] and W_enc[:, j].
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]

# Rows compared with all columns at most, spread evenly: 1024 x 65536 x 2304 takes seconds.
MAX_ROWS = 1024

# Below this median, as in SAEs trained with an L1 penalty on activations of a large mean, many
# latents of a sound SAE point anywhere, and an exchange cannot be told from that. Of 29 SAEs that
# SAELens trained on a real model, all others had a median of at least 0.73; there, no row matched
# another latent's column at 0.6 of the median, and none lay below -0.45 of it.
MIN_TYPICAL = 0.6
_CLEARLY = 0.75


@dataclass(frozen=True)
class Alignment:
    """Directions of an SAE's latents, those with a zero row or column left out.

    Attributes:
        latents: numbers of the latents compared, rising.
        encoder: unit columns of W_enc, as rows [n, d_in].
        decoder: unit rows of W_dec [n, d_in].
        own: cosine of each latent's row with its own column [n].
    """

    latents: NDArray[np.int64]
    encoder: Floats
    decoder: Floats
    own: Floats

    @property
    def typical(self) -> float:
        """Median of the latents' own cosines."""
        return float(np.median(self.own))


@dataclass(frozen=True)
class Misplaced:
    """Latents that are written by each other's rows.

    Attributes:
        exchanged: those whose row matches the column of another such latent, far better than its
            own: what exchanging rows leaves behind.
        reversed: those whose row points against their own column.
    """

    exchanged: NDArray[np.int64]
    reversed: NDArray[np.int64]


def align(W_enc: Floats, W_dec: Floats) -> Alignment:
    """Compare W_enc [d_in, d_sae] with W_dec [d_sae, d_in], in float32."""
    encoder, decoder = np.asarray(W_enc.T, np.float32), np.asarray(W_dec, np.float32)
    read, written = np.linalg.norm(encoder, axis=1), np.linalg.norm(decoder, axis=1)
    latents = np.flatnonzero((read > 0) & (written > 0))
    encoder = encoder[latents] / read[latents, None]
    decoder = decoder[latents] / written[latents, None]
    return Alignment(
        latents=latents,
        encoder=encoder,
        decoder=decoder,
        own=np.asarray(np.einsum("ij,ij->i", encoder, decoder)),
    )


def best_match_share(alignment: Alignment) -> float:
    """Share of rows whose best column is their own, over at most `MAX_ROWS` rows.

    1 / d_sae for random weights. Unlike the cosine itself it survives the folding of a whitening:
    that turns columns and rows away from each other, all by the same map.
    """
    rows = _spread(len(alignment.own))
    cosines = alignment.decoder[rows] @ alignment.encoder.T
    own = alignment.own[rows]
    return float((cosines.max(axis=1) <= own + 1e-6).mean())


def misplaced(alignment: Alignment) -> Misplaced:
    """Latents that are read and written in different places, while the others are not.

    A row counts as exchanged where its own cosine is below half of the median, and the best of all
    columns is at least three quarters of the median, belongs to a latent that has lost its own row
    in the same way, and is no other row's best; all of it by more than chance brings about. One
    latent alone may be odd, and idle ones may resemble each other; an exchange gives each of
    several latents exactly one other's row. Nothing is found where the median is below
    `MIN_TYPICAL`.
    """
    if alignment.typical < MIN_TYPICAL:
        return Misplaced(exchanged=alignment.latents[:0], reversed=alignment.latents[:0])
    typical, (n, d_in) = alignment.typical, alignment.decoder.shape
    lost = np.flatnonzero(alignment.own < typical / 2)
    limit = max(_CLEARLY * typical, _highest_by_chance(n, d_in))
    against = alignment.latents[alignment.own < -limit]
    if len(lost) < 2:
        return Misplaced(exchanged=alignment.latents[:0], reversed=against)
    rows = lost[_spread(len(lost))]
    cosines = alignment.decoder[rows] @ alignment.encoder.T
    best = cosines.argmax(axis=1)
    matched = cosines[np.arange(len(rows)), best]
    is_clear = matched >= _highest_by_chance(n * len(rows), d_in)
    is_clear &= matched >= _CLEARLY * typical
    fits = is_clear & np.isin(best, lost)
    owners = np.bincount(best[fits], minlength=len(alignment.own))
    exchanged = rows[fits & (owners[best] == 1)]
    if len(exchanged) < 2:
        exchanged = rows[:0]
    return Misplaced(
        exchanged=alignment.latents[exchanged],
        reversed=np.setdiff1d(against, alignment.latents[exchanged]),
    )


def _highest_by_chance(n: int, d_in: int) -> float:
    """About the highest of n cosines of random directions in d_in dimensions."""
    return math.sqrt(2 * math.log(max(n, 2)) / d_in)


def _spread(n: int) -> NDArray[np.int64]:
    """At most `MAX_ROWS` of n numbers, evenly spread."""
    return np.unique(np.linspace(0, n - 1, min(n, MAX_ROWS)).astype(np.int64))
