"""Rounding is told apart from real differences between SAELens' path and the manual one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from random_saes import D_IN, random_sae

from validators.manual.forward import Floats, ManualSae
from validators.manual.path_agreement import TIE_MARGIN, PathAgreement, compare_paths
from validators.manual.sae import manual_sae
from validators.saelens.format import INFERENCE_ARCHITECTURES

PATH_TOLERANCE = 1e-4


def manual_of(sae: Any) -> ManualSae:
    tensors = {name: tensor.numpy().copy() for name, tensor in sae.state_dict().items()}
    return manual_sae(sae.cfg.to_dict(), tensors)


def vectors(n: int, seed: int = 1) -> Floats:
    return np.random.default_rng(seed).normal(size=(n, D_IN)).astype(np.float32) * 3 + 1


@pytest.mark.parametrize("architecture", INFERENCE_ARCHITECTURES)
def test_a_good_sae_agrees_with_itself(architecture: str) -> None:
    sae = random_sae(architecture)
    agreement = compare_paths(sae, manual_of(sae), vectors(1300))
    assert agreement.n == 1300
    assert agreement.is_finite
    assert agreement.n_active_differ == 0
    assert agreement.latents < 1e-5
    assert agreement.reconstruction < 1e-5
    assert agreement.n_left_out <= agreement.n_ties <= 2


@pytest.mark.parametrize("architecture", INFERENCE_ARCHITECTURES)
def test_a_vector_of_outlying_norm_neither_fails_nor_hides_the_others(architecture: str) -> None:
    sae = random_sae(architecture)
    x = vectors(200)
    x[0] *= 3000
    good = compare_paths(sae, manual_of(sae), x)
    assert good.n_active_differ == 0
    assert max(good.latents, good.reconstruction) < PATH_TOLERANCE
    with torch.no_grad():
        sae.W_dec.mul_(1.01)
    scaled = compare_paths(sae, manual_of(random_sae(architecture)), x)
    assert max(scaled.latents, scaled.reconstruction) > 0.005


def jumprelu_at_its_threshold() -> tuple[Any, Floats]:
    """An SAE, and vectors of which the first lies on the threshold of latent 0."""
    sae, x = random_sae("jumprelu"), vectors(100)
    pre = (x[0] - sae.b_dec.detach().numpy()) @ sae.W_enc.detach().numpy()
    with torch.no_grad():
        sae.b_enc[0] = 5.0 - float(pre[0])
        sae.threshold[0] = 5.0
    return sae, x


def test_a_tie_is_counted_and_not_blamed() -> None:
    sae, x = jumprelu_at_its_threshold()
    manual = manual_of(sae)
    # On the manual path 1e-6 below the threshold, on SAELens' 1e-6 above it.
    manual.tensors["b_enc"][0] -= 1e-6
    with torch.no_grad():
        sae.b_enc[0] += 1e-6
    manual.tensors["threshold"][0] = 5.0 + 1e-6
    sae.threshold.data[0] = 5.0 - 1e-6
    agreement = compare_paths(sae, manual, x)
    assert (agreement.n_ties, agreement.n_left_out, agreement.n_active_differ) == (1, 1, 0)
    assert max(agreement.latents, agreement.reconstruction) < 1e-5


def test_a_latent_that_is_further_off_than_rounding_is_blamed() -> None:
    sae, x = jumprelu_at_its_threshold()
    manual = manual_of(sae)
    manual.tensors["threshold"][0] = 5.01
    sae.threshold.data[0] = 4.99
    agreement = compare_paths(sae, manual, x)
    assert (agreement.n_ties, agreement.n_left_out, agreement.n_active_differ) == (0, 0, 1)
    assert agreement.latents > 0.1
    assert agreement.reconstruction > 0.1


def test_two_equal_latents_at_the_edge_of_topk_are_a_tie() -> None:
    """Each path may keep either; they write the same direction, or the vector is left out."""
    sae = random_sae("topk")
    with torch.no_grad():
        sae.W_enc[:, 32:] = sae.W_enc[:, :32]
        sae.b_enc[32:] = sae.b_enc[:32]
    agreement = compare_paths(sae, manual_of(sae), vectors(500))
    # k is 5 and the latents come in pairs, so the last place always has two candidates.
    assert agreement.n_active_differ == 0
    assert max(agreement.latents, agreement.reconstruction) < 1e-5


@pytest.mark.parametrize(
    ("architecture", "name", "change"),
    [
        ("standard", "b_enc", lambda t: t + 0.01),
        ("topk", "W_enc", lambda t: t.roll(1, 1)),
        ("topk", "W_dec", lambda t: t * 1.001),
        ("abstopk", "b_enc", lambda t: -t),
        ("jumprelu", "threshold", lambda t: t * 1.01),
        ("jumprelu", "threshold", lambda t: t * 0),
        ("gated", "r_mag", lambda t: t + 0.001),
        ("gated", "b_gate", lambda t: t + 0.05),
        ("transcoder", "b_dec", lambda t: t + 0.01),
        ("skip_transcoder", "W_skip", lambda t: t * 1.01),
        ("jumprelu_skip_transcoder", "W_skip", lambda t: t * 1.01),
        ("temporal", "attn_layers.0.v_ctx.weight", lambda t: t * 1.01),
        ("temporal", "attn_layers.0.q_target.bias", lambda t: -3 * t),
        ("matching_pursuit", "W_dec", lambda t: t.roll(1, 0)),
    ],
)
def test_a_real_difference_of_the_weights_is_seen(
    architecture: str, name: str, change: Any
) -> None:
    sae = random_sae(architecture)
    manual = manual_of(sae)
    sae.load_state_dict(sae.state_dict() | {name: change(sae.state_dict()[name])})
    agreement = compare_paths(sae, manual, vectors(600))
    assert max(agreement.latents, agreement.reconstruction) > PATH_TOLERANCE


@pytest.mark.parametrize(
    ("architecture", "settings"),
    [
        ("topk", {"k": 6}),
        ("topk", {"apply_b_dec_to_input": False}),
        ("standard", {"normalize_activations": "layer_norm"}),
        ("matching_pursuit", {"residual_threshold": 2.0}),
        ("matching_pursuit", {"max_iterations": 3}),
        ("temporal", {"kval_topk": 5}),
        ("temporal", {"n_heads": 1}),
    ],
)
def test_a_setting_that_is_read_differently_is_seen(
    architecture: str, settings: dict[str, Any]
) -> None:
    agreement = compare_paths(
        random_sae(architecture), manual_of(random_sae(architecture, **settings)), vectors(600)
    )
    assert agreement.latents > PATH_TOLERANCE
    assert agreement.n_ties <= agreement.n_active_differ / 100


def test_what_is_not_finite_is_said_and_not_compared() -> None:
    sae = random_sae("standard")
    with torch.no_grad():
        sae.b_enc[3] = torch.nan
    agreement = compare_paths(sae, manual_of(sae), vectors(10))
    assert not agreement.is_finite
    assert agreement.latents == agreement.reconstruction == float("inf")


def test_the_batch_size_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    sae = random_sae("jumprelu")
    manual = manual_of(random_sae("jumprelu", seed=0))
    manual.tensors["threshold"][:5] += 0.3
    whole = compare_paths(sae, manual, vectors(300))
    monkeypatch.setattr("validators.manual.path_agreement.BATCH", 7)
    parts = compare_paths(sae, manual, vectors(300))
    assert parts.n_active_differ == whole.n_active_differ > 0
    assert parts.latents == pytest.approx(whole.latents, rel=1e-4)


def test_attention_heads_side_by_side_are_taken_as_saelens_takes_them_apart() -> None:
    sae = random_sae("standard", reshape_activations="hook_z")
    agreement = compare_paths(sae, manual_of(sae), vectors(50))
    assert max(agreement.latents, agreement.reconstruction) < 1e-5


def test_no_vectors_agree_about_nothing() -> None:
    sae = random_sae("standard")
    assert compare_paths(sae, manual_of(sae), vectors(0)) == PathAgreement(0, 0.0, 0.0, 0, True)


def test_the_margin_of_a_tie_is_above_rounding_at_the_largest_widths() -> None:
    # 6e-8 sqrt(d_in) of the size of the terms, at d_in 16384.
    assert TIE_MARGIN > 6e-8 * 16384**0.5
