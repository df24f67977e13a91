import pytest
import torch

from retrain.input_scale import NoVariance, fit_input_scale
from retrain.vectors import InMemory

X = torch.tensor([[4.0, 4.0], [10.0, 12.0]])


def test_unit_mean_norm_centres_and_gives_unit_mean_norm() -> None:
    scale = fit_input_scale(InMemory(X), "unit_mean_norm")
    # The mean is (7, 8); both vectors lie (3, 4) from it, at distance 5.
    assert scale.centre.tolist() == [7.0, 8.0]
    assert scale.scale == 5.0
    torch.testing.assert_close(scale.apply(X), torch.tensor([[-0.6, -0.8], [0.6, 0.8]]))


def test_no_scaling_still_centres() -> None:
    scale = fit_input_scale(InMemory(X), "none")
    assert scale.scale == 1.0
    assert scale.apply(X).tolist() == [[-3.0, -4.0], [3.0, 4.0]]


def test_b_dec_and_latent_values_are_folded_to_raw_units() -> None:
    scale = fit_input_scale(InMemory(X), "unit_mean_norm")
    assert scale.fold_b_dec(torch.tensor([1.0, 2.0])).tolist() == [12.0, 18.0]
    assert scale.fold_latent_units(torch.tensor([0.5])).tolist() == [2.5]


def test_equal_vectors_are_refused() -> None:
    with pytest.raises(NoVariance, match="2 training vectors are all the same"):
        fit_input_scale(InMemory(torch.ones(2, 3)), "unit_mean_norm")
