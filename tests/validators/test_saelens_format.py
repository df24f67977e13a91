"""The plain facts about SAELens are those of the installed version."""

from __future__ import annotations

import pytest

from validators.saelens_format import (
    DTYPES,
    INFERENCE_ARCHITECTURES,
    TENSOR_SHAPES,
    TRAINING_ONLY_ARCHITECTURES,
    canonical_dtype,
)


def test_the_registered_architectures_are_those_of_saelens() -> None:
    import sae_lens  # noqa: F401 - registers its classes when it is imported
    from sae_lens.registry import SAE_CLASS_REGISTRY, SAE_TRAINING_CLASS_REGISTRY

    assert sorted(SAE_CLASS_REGISTRY) == list(INFERENCE_ARCHITECTURES)
    only_training = SAE_TRAINING_CLASS_REGISTRY.keys() - SAE_CLASS_REGISTRY.keys()
    assert sorted(only_training) == list(TRAINING_ONLY_ARCHITECTURES)


def test_the_dtypes_are_those_of_saelens() -> None:
    from sae_lens.constants import DTYPE_MAP

    assert {canonical_dtype(name) for name in DTYPE_MAP} == set(DTYPES)


@pytest.mark.parametrize("architecture", sorted(TENSOR_SHAPES))
def test_the_tensors_are_those_that_saelens_builds(architecture: str) -> None:
    from sae_lens.registry import get_sae_class

    sae_class, config_class = get_sae_class(architecture)
    sizes = {"d_in": 4, "d_sae": 6}
    extra = {"k": 2} if "topk" in architecture else {}
    built = sae_class(config_class(**sizes, **extra)).state_dict()
    expected = {
        name: tuple(sizes[size] for size in shape)
        for name, shape in TENSOR_SHAPES[architecture].items()
    }
    assert {name: tuple(tensor.shape) for name, tensor in built.items()} == expected
