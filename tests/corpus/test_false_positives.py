"""Nothing is found fault with that SAELens itself trained and saved."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from saelens_saved import (
    Saved,
    construct_inference_only,
    model_activations,
    recipes,
    tiny_activations,
    train_and_save,
)

from manifests.load import load_manifest
from manifests.progress import Silent
from validators.base_models.base_model import load_base_model
from validators.options import ValidateOptions
from validators.reading.local_repository import LocalRepository
from validators.report import Outcome, Report, Tier
from validators.selection import Selection
from validators.stage import validate

pytestmark = [
    # SAELens tells whoever loads such an SAE how to load its model.
    pytest.mark.filterwarnings(r"ignore:\sThis SAE has non-empty model_from_pretrained_kwargs"),
]

DEMO = Path(__file__).resolve().parents[2] / "manifests" / "demo-smollm2-135m-instruct.yaml"


@dataclass(frozen=True)
class SavedSet:
    """SAEs as SAELens saved them, each group a repository of its own."""

    trained: tuple[Saved, ...]
    constructed: tuple[Saved, ...]
    root: Path
    base_model: Path

    def check(self, saved: tuple[Saved, ...], tier: Tier) -> Report:
        """Validate them as a repository that has no manifest."""
        return validate(
            LocalRepository(saved[0].folder.parent),
            manifest=None,
            tier=tier,
            # F012: some trainings are in the set twice on purpose, saved in two ways.
            options=ValidateOptions(
                base_model=str(self.base_model), selection=Selection(ignore=("F012",))
            ),
            progress=Silent(),
        )


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def tiny_set(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> SavedSet:
    root = tmp_path_factory.mktemp("tiny_saved")
    vectors = tiny_activations(tiny_checkpoint)
    chosen = recipes(k=4, target_l0=6.0, threshold=0.5, l1=0.5, l1_of_raw=0.5)
    trained = [
        train_and_save(
            recipe, root / "trained", vectors[:-400], vectors[-400:],
            d_sae=48, steps=80, layer=1, batch_size=64, lr=5e-3,
        )
        for recipe in chosen
    ]  # fmt: skip
    constructed = construct_inference_only(root / "constructed", d_in=16, d_sae=48, layer=1)
    return SavedSet(tuple(trained), tuple(constructed), root, tiny_checkpoint)


@pytest.fixture(scope="module")
def real_set(tmp_path_factory: pytest.TempPathFactory, packaged_model: None) -> SavedSet:
    """Of the demonstration's model, at layer 9, trained on prose that comes with Python."""
    root = tmp_path_factory.mktemp("saved")
    base = load_base_model(load_manifest(DEMO).manifest.base_model)
    vectors = model_activations(base.model, base.tokenizer, layer=9, n_tokens=30_000)
    checkpoint = root / "checkpoint"
    base.model.save_pretrained(checkpoint)
    base.tokenizer.save_pretrained(checkpoint)
    n_train = len(vectors) * 4 // 5
    trained = []
    for recipe in recipes(k=32, target_l0=48.0, threshold=2.0, l1=5.0, l1_of_raw=160.0):
        # bfloat16 is slow on a CPU that has no instructions for it.
        is_half = recipe.dtype == "bfloat16"
        trained.append(
            train_and_save(
                recipe, root / "trained", vectors[:n_train], vectors[n_train:],
                d_sae=1152, steps=200, layer=9, batch_size=64 if is_half else 128, lr=1e-3,
            )
        )  # fmt: skip
    constructed = construct_inference_only(root / "constructed", d_in=576, d_sae=1152, layer=9)
    return SavedSet(tuple(trained), tuple(constructed), root, checkpoint)


def complaints(report: Report) -> list[tuple[str, str, str, str]]:
    """Everything but what passed, was noted, or could not be asked for want of something."""
    assert report.checks is not None
    return [
        (o.code, o.subject, o.outcome, o.found)
        for o in report.checks.outcomes
        if o.outcome in ("failed", "warned", "crashed")
    ]


def test_every_architecture_that_saelens_can_train_is_in_the_set() -> None:
    import sae_lens  # noqa: F401
    from sae_lens.registry import SAE_CLASS_REGISTRY, SAE_TRAINING_CLASS_REGISTRY

    chosen = recipes(k=4, target_l0=6.0, threshold=0.5, l1=0.5, l1_of_raw=0.5)
    trained = {(recipe.architecture, recipe.dtype) for recipe in chosen}
    dtypes = ("float32", "bfloat16")
    assert trained == {(name, dtype) for name in SAE_TRAINING_CLASS_REGISTRY for dtype in dtypes}
    constructed = SAE_CLASS_REGISTRY.keys() - SAE_TRAINING_CLASS_REGISTRY.keys()
    assert {name for name in constructed if "transcoder" not in name} == {"temporal"}


def test_the_tiny_saes_were_trained(tiny_set: SavedSet) -> None:
    for saved in tiny_set.trained:
        assert saved.explained_variance is not None
        assert saved.explained_variance > 0, saved.folder.name


def test_nothing_is_wrong_with_what_saelens_trained(tiny_set: SavedSet) -> None:
    assert complaints(tiny_set.check(tiny_set.trained, "load")) == []


def test_nothing_is_wrong_with_what_saelens_only_loads(tiny_set: SavedSet) -> None:
    assert complaints(tiny_set.check(tiny_set.constructed, "load")) == []


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_nothing_is_wrong_with_trained_saes_on_real_activations(
    real_set: SavedSet, record_property: Any
) -> None:
    for saved in real_set.trained:
        assert saved.explained_variance is not None
        assert saved.explained_variance > 0, saved.folder.name
    report = real_set.check(real_set.trained, "activations")
    record_property("false positives", table(real_set.trained, report))
    assert complaints(report) == [], table(real_set.trained, report)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_nothing_is_wrong_with_constructed_saes_of_a_real_size(real_set: SavedSet) -> None:
    assert complaints(real_set.check(real_set.constructed, "load")) == []


def table(saved: tuple[Saved, ...], report: Report) -> str:
    """Architecture, dtype, explained variance, and what was found fault with."""
    assert report.checks is not None
    lines = [f"{'SAE':34} {'architecture':22} {'dtype':9} {'EV':>6}  failures  warnings"]
    for one in saved:
        assert one.recipe is not None
        own: list[Outcome] = [o for o in report.checks.outcomes if o.subject == one.folder.name]
        failed = sorted(o.code for o in own if o.outcome in ("failed", "crashed"))
        warned = sorted(o.code for o in own if o.outcome == "warned")
        lines.append(
            f"{one.recipe.name:34} {one.recipe.architecture:22} {one.recipe.dtype:9} "
            f"{one.explained_variance:6.3f}  {' '.join(failed) or '0':8}  {' '.join(warned) or '0'}"
        )
    return "\n".join(lines)
