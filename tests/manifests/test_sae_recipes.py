"""What each architecture's recipe takes, refuses and fills in."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import ValidationError

from manifests.load import load_manifest
from manifests.matrix import sae_specs
from manifests.model import Manifest
from manifests.recipe import ArchitectureRecipes, Recipe
from manifests.sae_recipes import (
    Architecture,
    BatchTopkRecipe,
    JumpreluRecipe,
    MatryoshkaRecipe,
    SavedArchitecture,
    StandardRecipe,
    ThresholdNotLearned,
    TopkRecipe,
    saved_architecture,
)
from validators.saelens.format import INFERENCE_ARCHITECTURES, TRAINING_ONLY_ARCHITECTURES

DEMO = Path(__file__).parents[2] / "manifests" / "demo-smollm2-135m-instruct.yaml"
LEARNED = {"bandwidth": 0.05, "threshold_init": 0.02, "sparsity_coefficient": 0.1}


def demo_with(recipe: dict[str, Any], **matrix: Any) -> Manifest:
    """The demonstration's manifest, d_sae 4 x 576 = 2304, with another recipe and matrix."""
    data = load_manifest(DEMO).manifest.resolved()
    data["recipe"] |= recipe
    data["saes"] |= matrix
    return Manifest.model_validate(data)


def problem(recipe: dict[str, Any], **matrix: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        demo_with(recipe, **matrix)
    return str(caught.value)


def test_every_architecture_has_a_recipe_and_a_saved_name_of_saelens() -> None:
    names = get_args(Architecture)
    assert set(ArchitectureRecipes.model_fields) == set(names)
    saved = {name: saved_architecture(name) for name in names}
    assert set(saved.values()) == set(get_args(SavedArchitecture)) <= set(INFERENCE_ARCHITECTURES)
    renamed = {name for name, own in saved.items() if own != name}
    assert renamed == set(TRAINING_ONLY_ARCHITECTURES)
    assert {saved[name] for name in renamed} == {"jumprelu"}


def test_a_spec_knows_how_it_is_saved() -> None:
    recipe = {"batchtopk": {"k": 64}, "standard": {"l1_coefficient": 0.1}}
    specs = sae_specs(demo_with(recipe, architectures=["batchtopk", "standard", "topk"]))
    assert {(spec.architecture, spec.saved_architecture) for spec in specs} == {
        ("batchtopk", "jumprelu"),
        ("standard", "standard"),
        ("topk", "topk"),
    }


@pytest.mark.parametrize("name", ["batchtopk", "matryoshka_batchtopk", "standard"])
def test_an_architecture_without_a_recipe_is_refused(name: str) -> None:
    assert f"saes.architectures names {name}, which recipe lacks" in problem(
        {}, architectures=[name]
    )


@pytest.mark.parametrize(
    "widths", [[64, 32], [32, 32, 64], [64, 128, 100], [], [0, 64], [-1], [1.5]]
)
def test_widths_that_do_not_grow_from_a_positive_number_are_refused(widths: list[Any]) -> None:
    with pytest.raises(ValidationError):
        MatryoshkaRecipe.model_validate({"k": 8, "widths": widths})


def test_growing_widths_are_kept() -> None:
    recipe = MatryoshkaRecipe.model_validate({"k": 8, "widths": [16, 32, 1024]})
    assert recipe.widths == (16, 32, 1024)
    assert (recipe.threshold_rate, recipe.auxiliary_coefficient) == (0.01, 0.03125)


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        ({"batchtopk": {"k": 2304}}, "recipe.batchtopk.k is 2304, but there are only 2304"),
        (
            {"matryoshka_batchtopk": {"k": 8, "widths": [576, 2304]}},
            "recipe.matryoshka_batchtopk.widths is 2304, but there are only 2304 latents",
        ),
        (
            {"matryoshka_batchtopk": {"k": 5000, "widths": [576]}},
            "recipe.matryoshka_batchtopk.k is 5000",
        ),
        (
            {"variants": {"wide": {"topk": {"k": 2305}}}},
            "recipe.variants.wide.topk.k is 2305, but there are only 2304 latents",
        ),
        (
            {"variants": {"nested": {"matryoshka_batchtopk": {"k": 8, "widths": [3000]}}}},
            "recipe.variants.nested.matryoshka_batchtopk.widths is 3000",
        ),
    ],
)
def test_more_latents_than_there_are_are_refused_in_variants_too(
    recipe: dict[str, Any], said: str
) -> None:
    assert said in problem(recipe)


def test_one_latent_less_than_there_are_is_right() -> None:
    manifest = demo_with(
        {"batchtopk": {"k": 2303}, "matryoshka_batchtopk": {"k": 8, "widths": [2303]}}
    )
    assert manifest.recipe.batchtopk is not None and manifest.recipe.batchtopk.k == 2303


@pytest.mark.parametrize("rate", [0, -0.1, 1.01])
def test_a_threshold_rate_outside_of_a_share_is_refused(rate: float) -> None:
    with pytest.raises(ValidationError):
        BatchTopkRecipe.model_validate({"k": 8, "threshold_rate": rate})


@pytest.mark.parametrize("sparsity", ["l0", "l1"])
def test_a_term_without_a_target_takes_none(sparsity: str) -> None:
    recipe = JumpreluRecipe.model_validate({**LEARNED, "sparsity": sparsity})
    assert (recipe.learned().sparsity, recipe.learned().target_l0) == (sparsity, None)
    with pytest.raises(ValidationError, match=f"not to {sparsity}"):
        JumpreluRecipe.model_validate({**LEARNED, "sparsity": sparsity, "target_l0": 64})


def test_the_default_term_pulls_to_a_target_and_needs_it() -> None:
    with pytest.raises(ValidationError, match="needs target_l0"):
        JumpreluRecipe.model_validate(LEARNED)
    learned = JumpreluRecipe.model_validate({**LEARNED, "target_l0": 64}).learned()
    assert (learned.sparsity, learned.kernel, learned.target_l0) == ("target_l0", "rectangle", 64)


@pytest.mark.parametrize("key", ["bandwidth", "threshold_init", "sparsity_coefficient"])
def test_a_learned_threshold_names_what_it_lacks(key: str) -> None:
    given = {name: value for name, value in LEARNED.items() if name != key}
    with pytest.raises(ValidationError, match=f"needs {key}"):
        JumpreluRecipe.model_validate({**given, "sparsity": "l0"})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("kernel", "rectangle"),
        ("bandwidth", 0.05),
        ("threshold_init", 0.02),
        ("sparsity", "l1"),
        ("target_l0", 64),
    ],
)
def test_a_threshold_fixed_at_zero_takes_nothing_of_a_learned_one(key: str, value: Any) -> None:
    with pytest.raises(ValidationError, match=f"has no {key}"):
        JumpreluRecipe.model_validate({"threshold": "fixed_at_zero", key: value})


def test_a_threshold_fixed_at_zero_may_be_trained_with_an_l1_term_and_is_never_learned() -> None:
    recipe = JumpreluRecipe.model_validate(
        {"threshold": "fixed_at_zero", "sparsity_coefficient": 0.1}
    )
    assert recipe.sparsity_coefficient == 0.1
    assert recipe.kernel is None and recipe.sparsity is None
    with pytest.raises(ThresholdNotLearned):
        recipe.learned()
    assert JumpreluRecipe.model_validate(recipe.model_dump()) == recipe


@pytest.mark.parametrize("share", ["warmup", "decay", "sparsity_warmup"])
@pytest.mark.parametrize("value", [-0.1, 1.1, "half"])
def test_a_share_of_the_steps_lies_between_none_and_all(share: str, value: Any) -> None:
    with pytest.raises(ValidationError, match=share):
        Recipe.model_validate({"epochs": 1, "batch_size": 1, "learning_rate": 0.1, share: value})


def test_a_variants_recipe_of_an_architecture_replaces_the_plain_one_whole() -> None:
    manifest = demo_with(
        {
            "batchtopk": {"k": 64, "threshold_rate": 0.5},
            "variants": {"sparse": {"batchtopk": {"k": 8}}},
        }
    )
    found = manifest.recipe.of("batchtopk", "sparse")
    assert isinstance(found, BatchTopkRecipe)
    assert (found.k, found.threshold_rate) == (8, 0.01)
    assert isinstance(manifest.recipe.of("topk", "sparse"), TopkRecipe)


def test_an_l1_coefficient_is_above_zero() -> None:
    for value in (0, -1):
        with pytest.raises(ValidationError):
            StandardRecipe.model_validate({"l1_coefficient": value})


def test_a_resolved_manifest_of_all_architectures_resolves_to_itself() -> None:
    manifest = demo_with(
        {
            "batchtopk": {"k": 8},
            "matryoshka_batchtopk": {"k": 8, "widths": [16, 32]},
            "standard": {"l1_coefficient": 0.1},
            "variants": {"l0": {"jumprelu": {**LEARNED, "sparsity": "l0"}}},
        },
        architectures=list(get_args(Architecture)),
    )
    again = Manifest.model_validate_json(manifest.model_dump_json(), strict=True)
    assert again == manifest
    assert type(again.recipe.batchtopk) is BatchTopkRecipe
    assert type(again.recipe.matryoshka_batchtopk) is MatryoshkaRecipe
