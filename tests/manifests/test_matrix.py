from __future__ import annotations

from pathlib import Path

import pytest

from manifests.hooks import UnknownModelType, depth_percent, hf_hook_name, lens_hook_name
from manifests.load import load_manifest
from manifests.matrix import sae_specs
from manifests.model import Manifest

DEMO = Path(__file__).parents[2] / "manifests" / "demo-smollm2-135m-instruct.yaml"


def with_matrix(**changes: object) -> Manifest:
    data = load_manifest(DEMO).manifest.resolved()
    data["saes"] |= changes
    data["recipe"]["variants"] = {"ste": {}}
    return Manifest.model_validate(data)


def test_ids_are_unique_and_ordered_by_layer_first() -> None:
    ids = [spec.sae_id for spec in sae_specs(with_matrix())]
    assert len(set(ids)) == len(ids)
    assert ids[0].startswith("smollm2_gated_L9") and ids[-1].startswith("smollm2_topk_L18")


def test_include_adds_a_variant_on_some_layers_only() -> None:
    manifest = with_matrix(
        architectures=["topk", "jumprelu"],
        include=[{"architectures": ["jumprelu"], "variants": ["ste"], "layers": [18]}],
    )
    specs = sae_specs(manifest)
    # 2 layers x 2 architectures x 2 conditions, and 1 layer x 1 x 2 conditions with the variant
    assert len(specs) == 2 * 2 * 2 + 1 * 1 * 2
    assert {s.sae_id for s in specs if s.variant} == {
        "smollm2_jumprelu_ste_L18_mixed",
        "smollm2_jumprelu_ste_L18_deceptive_only",
    }


def test_exclude_removes_from_everything_that_was_included() -> None:
    manifest = with_matrix(exclude=[{"architectures": ["gated"], "layers": [9]}])
    specs = sae_specs(manifest)
    # 12 SAEs less 1 architecture x 1 layer x 2 conditions
    assert len(specs) == 12 - 2
    assert not [s for s in specs if s.architecture == "gated" and s.layer == 9]


def test_including_a_part_twice_does_not_count_twice() -> None:
    assert len(sae_specs(with_matrix(include=[{"layers": [9]}]))) == 12


def test_both_hook_notations_follow_from_one_place() -> None:
    spec = sae_specs(with_matrix())[0]
    assert (spec.hook_name, spec.hf_hook_name) == ("blocks.9.hook_resid_post", "model.layers.9")
    assert hf_hook_name("gemma4", 25) == "model.language_model.layers.25"
    assert lens_hook_name("resid_post", 0) == "blocks.0.hook_resid_post"


def test_an_unknown_model_type_is_not_guessed() -> None:
    with pytest.raises(UnknownModelType, match="mamba"):
        hf_hook_name("mamba", 3)


def test_depth_is_the_share_of_blocks_passed() -> None:
    # TinyLlama has 22 blocks: the last one, index 21, is at 22/22; nanochat's L12 of 32 at 13/32
    assert depth_percent(21, 22) == 100.0
    assert depth_percent(12, 32) == pytest.approx(40.625)
