"""Directions of latents: what an exchange leaves behind, and what repeats."""

from __future__ import annotations

import numpy as np
import pytest

from validators.metrics.duplicate_rows import nearest_cosines
from validators.metrics.latent_alignment import align, best_match_share, misplaced

RANDOM = np.random.default_rng(0)


def trained(d_sae: int = 400, d_in: int = 64, noise: float = 0.08) -> tuple[np.ndarray, np.ndarray]:
    """W_enc [d_in, d_sae] and W_dec [d_sae, d_in] that face each other, of differing lengths."""
    decoder = RANDOM.normal(size=(d_sae, d_in))
    decoder /= np.linalg.norm(decoder, axis=1, keepdims=True)
    encoder = (decoder + noise * RANDOM.normal(size=decoder.shape)).T
    lengths = np.exp(RANDOM.normal(size=d_sae))
    return (encoder * lengths).astype(np.float32), (decoder / lengths[:, None]).astype(np.float32)


def test_own_cosines_are_those_of_column_and_row() -> None:
    # Latent 0: (3, 4) . (1, 0) / 5 = 0.6. Latent 1 has no column, and is left out.
    alignment = align(np.array([[3.0, 0.0], [4.0, 0.0]]), np.array([[1.0, 0.0], [0.0, 2.0]]))
    assert alignment.latents.tolist() == [0]
    assert alignment.own.tolist() == pytest.approx([0.6])


def test_facing_latents_are_in_place_whatever_their_lengths() -> None:
    alignment = align(*trained())
    assert 0.8 < alignment.typical < 0.9
    assert best_match_share(alignment) == 1.0
    found = misplaced(alignment)
    assert (len(found.exchanged), len(found.reversed)) == (0, 0)


@pytest.mark.parametrize("n", [2, 3, 40])
def test_latents_in_each_others_places_are_named(n: int) -> None:
    W_enc, W_dec = trained()
    chosen = RANDOM.permutation(400)[:n]
    W_dec[chosen] = W_dec[np.roll(chosen, 1)]
    found = misplaced(align(W_enc, W_dec))
    assert sorted(found.exchanged) == sorted(chosen)
    assert len(found.reversed) == 0


def test_a_negated_row_is_named() -> None:
    W_enc, W_dec = trained()
    W_dec[17] *= -1
    found = misplaced(align(W_enc, W_dec))
    assert (found.exchanged.tolist(), found.reversed.tolist()) == ([], [17])


def test_untrained_latents_beside_trained_ones_were_not_exchanged() -> None:
    W_enc, W_dec = trained()
    W_dec[:120] = 0.3 * RANDOM.normal(size=(120, 64))
    assert len(misplaced(align(W_enc, W_dec)).exchanged) == 0


def test_idle_latents_that_collapsed_onto_one_direction_were_not_exchanged() -> None:
    W_enc, W_dec = trained()
    common = RANDOM.normal(size=64)
    W_enc[:, :60] = common[:, None] + 0.3 * RANDOM.normal(size=(64, 60))
    W_dec[:60] = RANDOM.normal(size=(60, 64))
    W_dec[0] = common
    assert len(misplaced(align(W_enc, W_dec)).exchanged) == 0


def test_a_folded_whitening_turns_columns_from_rows_and_leaves_them_each_others_best() -> None:
    W_enc, W_dec = trained()
    scales = np.exp(2 * RANDOM.normal(size=64))
    folded = align(W_enc / scales[:, None], W_dec * scales)
    assert folded.typical < 0.2
    assert best_match_share(folded) > 0.5
    assert best_match_share(align(W_enc, np.roll(W_dec, 1, axis=0))) < 0.05


def test_the_second_of_two_equal_directions_is_named_whatever_their_lengths() -> None:
    rows = RANDOM.normal(size=(3000, 100)).astype(np.float32)
    rows[2500] = 7 * rows[3]
    rows[9] = rows[8]
    nearest = nearest_cosines(rows, above=0.999)
    assert np.flatnonzero(nearest > 0).tolist() == [9, 2500]
    assert nearest[9] == pytest.approx(1.0, abs=1e-6)


def test_opposite_and_empty_rows_repeat_nothing() -> None:
    rows = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 0.0], [0.0, 0.0]])
    assert nearest_cosines(rows, above=0.999).tolist() == [-1, -1, -1, -1]


def test_near_repetitions_are_found_on_either_side_of_the_limit() -> None:
    rows = RANDOM.normal(size=(200, 256))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    aside = RANDOM.normal(size=256)
    aside -= (aside @ rows[0]) * rows[0]
    aside /= np.linalg.norm(aside)
    for number, angle in ((100, 0.04), (101, 0.05)):
        rows[number] = np.cos(angle) * rows[0] + np.sin(angle) * aside
    nearest = nearest_cosines(rows, above=0.999)
    # cos 0.04 = 0.99920 and cos 0.05 = 0.99875; the two are 0.01 apart from each other.
    assert nearest[100] == pytest.approx(0.9992, abs=1e-5)
    assert nearest[101] == pytest.approx(np.cos(0.01), abs=1e-5)
    rows[100] = rows[1]
    assert nearest_cosines(rows, above=0.999)[101] == -1


def test_many_equal_rows_are_counted_once_each() -> None:
    rows = np.tile(RANDOM.normal(size=(1, 48)), (3000, 1))
    assert int((nearest_cosines(rows, above=0.999) > 0.9999).sum()) == 2999
