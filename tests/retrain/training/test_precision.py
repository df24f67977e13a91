import pytest
import torch

from retrain.training.precision import NoTf32, products_in


@pytest.mark.parametrize(("asked", "setting"), [("tf32", "high"), ("fp32", "highest")])
def test_a_gpu_computes_products_as_the_recipe_says_and_torch_is_put_back(
    asked: str, setting: str
) -> None:
    before = torch.get_float32_matmul_precision()
    with products_in(asked, "cuda", capability=(8, 0)):
        assert torch.get_float32_matmul_precision() == setting
    assert torch.get_float32_matmul_precision() == before


def test_a_gpu_without_tf32_is_refused() -> None:
    with (
        pytest.raises(NoTf32, match=r"compute capability 7\.5 and no TF32"),
        products_in("tf32", "cuda", capability=(7, 5)),
    ):
        pytest.fail("the block ran")


def test_a_cpu_always_computes_in_float32() -> None:
    before = torch.get_float32_matmul_precision()
    with products_in("tf32", "cpu"):
        assert torch.get_float32_matmul_precision() == before
