"""The plain facts about SAELens are those of the installed version."""

from __future__ import annotations

from typing import Any

import pytest

from validators.saelens.format import (
    DTYPES,
    INFERENCE_ARCHITECTURES,
    MAX_ATTENTION_LAYERS,
    TOPK,
    TRAINING_ONLY_ARCHITECTURES,
    TRAINING_TENSOR_SHAPES,
    UnknownSize,
    canonical_dtype,
    expected_names,
    expected_shapes,
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


SETTINGS = [
    *((architecture, {}) for architecture in INFERENCE_ARCHITECTURES),
    ("temporal", {"tied_weights": False, "n_attn_layers": 3, "bottleneck_factor": 2}),
]
# d_out and the latents of a temporal SAE, which its heads divide, differ from every other size.
SIZES = {"d_in": 4, "d_sae": 12, "d_out": 5}


@pytest.mark.parametrize(("architecture", "settings"), SETTINGS)
def test_the_tensors_are_those_that_saelens_builds(
    architecture: str, settings: dict[str, Any]
) -> None:
    from sae_lens.registry import get_sae_class

    sae_class, config_class = get_sae_class(architecture)
    needed: dict[str, Any] = {"d_in": SIZES["d_in"], "d_sae": SIZES["d_sae"]}
    if "transcoder" in architecture:
        needed |= {"d_out": SIZES["d_out"], "apply_b_dec_to_input": False}
    if architecture == "temporal":
        needed |= {"n_heads": 2, "bottleneck_factor": 3}
    if architecture in TOPK:
        needed |= {"k": 2}
    built = sae_class(config_class(**needed | settings))
    shapes = {name: tuple(tensor.shape) for name, tensor in built.state_dict().items()}
    assert shapes == expected_shapes(built.cfg.to_dict())
    assert set(shapes) == set(expected_names(built.cfg.to_dict()))


@pytest.mark.parametrize("architecture", TRAINING_ONLY_ARCHITECTURES)
def test_the_tensors_of_a_checkpoint_are_those_that_saelens_saves(architecture: str) -> None:
    from sae_lens.registry import get_sae_training_class

    sae_class, config_class = get_sae_training_class(architecture)
    widths = {"matryoshka_widths": [6, 12]} if "matryoshka" in architecture else {}
    sae = sae_class(config_class(d_in=4, d_sae=12, k=2, **widths))
    expected = {
        name: tuple(SIZES[size] for size in sizes)
        for name, sizes in TRAINING_TENSOR_SHAPES[architecture].items()
    }
    assert {name: tuple(t.shape) for name, t in sae.state_dict().items()} == expected


@pytest.mark.parametrize(
    ("cfg", "message"),
    [
        ({"architecture": "transcoder", "d_in": 4, "d_sae": 8}, "d_out is missing"),
        ({"architecture": "topk", "d_in": 4, "d_sae": True}, "d_sae is True"),
        ({"architecture": "temporal", "d_in": 4, "d_sae": 8, "n_attn_layers": 0}, "n_attn_layers"),
    ],
)
def test_a_size_that_the_config_does_not_state_is_not_made_up(
    cfg: dict[str, Any], message: str
) -> None:
    with pytest.raises(UnknownSize, match=message):
        expected_shapes(cfg)


def test_a_config_can_not_ask_for_a_million_tensors() -> None:
    cfg = {"architecture": "temporal", "d_in": 4, "d_sae": 64, "n_attn_layers": 10**9}
    assert len(expected_names(cfg)) == 2 + 8 * MAX_ATTENTION_LAYERS
