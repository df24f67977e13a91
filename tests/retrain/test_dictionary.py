import torch

from retrain.dictionary import project_gradient, random_dictionary, renormalise


def test_a_dictionary_has_unit_rows_and_follows_from_its_seed() -> None:
    first = random_dictionary(20, 6, torch.Generator().manual_seed(3))
    again = random_dictionary(20, 6, torch.Generator().manual_seed(3))
    assert torch.equal(first, again)
    torch.testing.assert_close(first.norm(dim=1), torch.ones(20))


def test_the_gradient_along_a_row_is_removed_and_the_rest_kept() -> None:
    W_dec = torch.nn.Parameter(torch.tensor([[1.0, 0.0], [0.6, 0.8]]))
    W_dec.grad = torch.tensor([[5.0, 7.0], [1.2, 1.6]])
    project_gradient(W_dec)
    # Row 0: (5, 7) - 5 (1, 0) = (0, 7). Row 1 is 2 (0.6, 0.8), wholly along the row: 0.
    torch.testing.assert_close(W_dec.grad, torch.tensor([[0.0, 7.0], [0.0, 0.0]]))


def test_renormalising_makes_unit_rows_of_the_same_direction() -> None:
    W_dec = torch.nn.Parameter(torch.tensor([[3.0, 4.0]]))
    renormalise(W_dec)
    torch.testing.assert_close(W_dec.data, torch.tensor([[0.6, 0.8]]))
