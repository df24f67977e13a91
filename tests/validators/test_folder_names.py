"""Facts are read from a folder's name only where it states them unmistakably."""

from __future__ import annotations

import pytest

from validators.folder_names import facts_of


@pytest.mark.parametrize(
    ("folder", "kinds"),
    [
        ("gpt2_topk_L8", ("topk", "abstopk")),
        ("gpt2-top-k-64", ("topk", "abstopk")),
        ("topk64", ("topk", "abstopk")),
        ("JumpReLU/layer_3", ("jumprelu", "jumprelu_transcoder", "jumprelu_skip_transcoder")),
        ("jump_relu_L1", ("jumprelu", "jumprelu_transcoder", "jumprelu_skip_transcoder")),
        ("sweep_gated_ctx128", ("gated",)),
        ("batch_topk_k32", ("jumprelu", "batchtopk", "topk")),
        ("matryoshka_batchtopk_L3", ("jumprelu", "matryoshka_batchtopk", "topk")),
        ("Matryoshka-BatchTopK-k32", ("jumprelu", "matryoshka_batchtopk", "topk")),
        ("matryoshka_L3", ("jumprelu", "matryoshka_batchtopk", "topk", "standard")),
        ("vanilla_width_4k", ("standard",)),
        # Two words that disagree, or none, say nothing.
        ("topk_vs_gated", None),
        ("standard_prompts_topk", None),
        ("regated", None),
        ("blocks.8.hook_resid_pre", None),
    ],
)
def test_architectures(folder: str, kinds: tuple[str, ...] | None) -> None:
    assert facts_of(folder).architectures == kinds


def test_a_word_names_the_activation_of_a_transcoder_too() -> None:
    found = facts_of("transcoders/jumprelu_L3").architectures
    assert found is not None
    assert {"jumprelu_transcoder", "transcoder"} <= set(found)


@pytest.mark.parametrize(
    ("folder", "layer"),
    [
        ("gpt2_L08_all", 8),
        ("layer_12/width_16k", 12),
        ("resid_post_layer_3", 3),
        ("layers.12.mlp", 12),
        ("blocks.0.hook_resid_pre", 0),
        ("transformer.h.7", 7),
        ("layer5", 5),
        # L0, L1 and L2 are norms as well, and a name with two layers names none.
        ("SAE-Res-W32K-L0_50", None),
        ("topk_L1_8e-4", None),
        ("layer_3_to_layer_5", None),
        ("Llama3_1-8B-Base", None),
        ("l1_coefficient_3", None),
    ],
)
def test_layers(folder: str, layer: int | None) -> None:
    assert facts_of(folder).layer == layer


@pytest.mark.parametrize(
    ("folder", "k"),
    [("topk_k64_L3", 64), ("k=32", 32), ("top_k_64", 64), ("topk64", 64), ("sae-k-8", 8),
     ("width_16k_64", None), ("topk_L8", None), ("16k", None), ("k8/k16", None)],
)  # fmt: skip
def test_k(folder: str, k: int | None) -> None:
    assert facts_of(folder).k == k


@pytest.mark.parametrize(
    ("folder", "d_sae"),
    [
        # 16 thousand or 16 * 1024 = 16384, as most mean it.
        ("width_16k", (16_000, 16_384)),
        ("width_1m", (1_000_000, 1_048_576)),
        ("width-2pow12", (4096, 4096)),
        ("d_sae_24576", (24_576, 24_576)),
        ("width_16k/width_65k", None),
        ("v5_128k_layer_0", None),
    ],
)
def test_widths(folder: str, d_sae: tuple[int, int] | None) -> None:
    assert facts_of(folder).d_sae == d_sae


@pytest.mark.parametrize(
    ("folder", "expansion"),
    [("L0A-32x", 32), ("topk_x4", 4), ("expansion_8", 8), ("tokens_2x", None), ("x1024k", None)],
)
def test_expansions(folder: str, expansion: int | None) -> None:
    assert facts_of(folder).expansion == expansion
