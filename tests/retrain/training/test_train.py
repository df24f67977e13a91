"""Training: what is learned, and that it is the same however it is computed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import retrain.training.train
from manifests.recipe import Recipe
from retrain.jobs import Job, StepReport, Unit
from retrain.training.train import Trained, n_steps, sae_seed, train_unit
from retrain.vectors import CHUNK, InMemory

RECIPE = Recipe.model_validate(
    {
        "epochs": 40,
        "batch_size": 16,
        "learning_rate": 3e-3,
        "topk": {"k": 4, "auxiliary_k": 4},
        "batchtopk": {"k": 4, "auxiliary_k": 4},
        "matryoshka_batchtopk": {"k": 4, "auxiliary_k": 4, "widths": [12, 24]},
        "jumprelu": {
            "bandwidth": 0.2,
            "threshold_init": 0.05,
            "target_l0": 6,
            "sparsity_coefficient": 0.5,
        },
        "gated": {"l1_coefficient": 0.02},
        "standard": {"l1_coefficient": 0.02},
        "variants": {
            "legacy": {"jumprelu": {"threshold": "fixed_at_zero", "sparsity_coefficient": 0.02}}
        },
    }
)
KINDS = [
    ("topk", ""),
    ("batchtopk", ""),
    ("matryoshka_batchtopk", ""),
    ("jumprelu", ""),
    ("jumprelu", "legacy"),
    ("gated", ""),
    ("standard", ""),
]


def mixtures(seed: int) -> Tensor:
    """40 vectors, each a positive mixture of two of 12 directions, about a far mean."""
    generator = torch.Generator().manual_seed(seed)
    directions = torch.randn(12, 16, generator=generator)
    mixture = torch.zeros(40, 12)
    for row in range(40):
        pair = torch.randperm(12, generator=generator)[:2]
        mixture[row, pair] = 1 + torch.rand(2, generator=generator)
    return 5 * mixture @ directions + 20


VECTORS = {"hook a": InMemory(mixtures(4)), "hook b": InMemory(mixtures(5))}


def unit_of(
    kind: tuple[Any, str], *, seeds: tuple[int, ...] = (1,), hooks: str = "ab", **changes: Any
) -> Unit:
    recipe = RECIPE.model_copy(update=changes.pop("recipe", {}))
    jobs = tuple(
        Job(
            sae_id=f"sae {index}",
            hook=f"hook {hooks[index % len(hooks)]}",
            rows=None,
            d_sae=48,
            sae_recipe=recipe.of(*kind),
            seed=seed,
        )
        for index, seed in enumerate(seeds)
    )
    return replace(Unit(jobs=jobs, recipe=recipe, device="cpu", micro_batch=16), **changes)


def short(kind: tuple[Any, str], **changes: Any) -> Unit:
    return unit_of(kind, recipe={"epochs": 3}, **changes)


def train_one(unit: Unit, **options: Any) -> Trained:
    (trained,) = train_unit(unit, VECTORS, **options)
    return trained


def assert_same_bits(one: Trained, other: Trained) -> None:
    assert one.tensors.keys() == other.tensors.keys()
    assert all(torch.equal(tensor, other.tensors[name]) for name, tensor in one.tensors.items())
    assert one.loss_curve == other.loss_curve


def share_apart(found: Tensor, wanted: Tensor) -> float:
    """Share of the elements that differ by more than a hundredth.

    Adam divides by the size of a gradient: of one that is nearly 0 the last bits decide the sign
    of a whole step, so a few elements may differ.
    """
    assert found.shape == wanted.shape
    return float(((found - wanted).abs() > 1e-2 * (1 + wanted.abs())).float().mean())


@pytest.mark.parametrize("kind", KINDS)
def test_training_reconstructs_what_it_was_trained_on(kind: Any) -> None:
    trained = train_one(unit_of(kind))
    first, last = trained.loss_curve[0], trained.loss_curve[-1]
    assert last[1] < 0.6 * first[1]
    assert last[3] > max(0.7, first[3])
    # 3 batches (16, 16, 8) x 40 epochs.
    assert trained.steps == last[0] == 120
    assert len(trained.loss_curve) == 40
    assert (trained.threshold_init is None) == (kind != ("jumprelu", ""))
    norms = trained.tensors["W_dec"].norm(dim=1)
    torch.testing.assert_close(norms, torch.ones(48))


def test_jumprelu_thresholds_leave_their_initial_value_and_l0_nears_its_target() -> None:
    trained = train_one(unit_of(("jumprelu", "")))
    assert trained.threshold_init == pytest.approx(0.05 * trained.scale)
    moved = (trained.tensors["threshold"] - trained.threshold_init).abs()
    assert (moved > 0.1 * trained.threshold_init).float().mean() > 0.5
    assert trained.final_l0 == pytest.approx(6, abs=2)


def test_the_legacy_jumprelu_keeps_thresholds_of_zero() -> None:
    trained = train_one(short(("jumprelu", "legacy")))
    assert torch.equal(trained.tensors["threshold"], torch.zeros(48))


@pytest.mark.parametrize("kind", [("batchtopk", ""), ("matryoshka_batchtopk", "")])
def test_the_batchtopk_family_has_one_threshold_for_all_latents(kind: Any) -> None:
    threshold = train_one(short(kind)).tensors["threshold"]
    assert threshold.shape == (48,)
    assert threshold.unique().numel() == 1
    assert float(threshold[0]) > 0


@pytest.mark.parametrize("kind", KINDS)
def test_equal_seeds_give_equal_bits_and_other_seeds_do_not(kind: Any) -> None:
    runs = [train_one(short(kind, seeds=(seed,))) for seed in (1, 1, 2)]
    assert_same_bits(runs[0], runs[1])
    assert not torch.equal(runs[0].tensors["W_enc"], runs[2].tensors["W_enc"])


@pytest.mark.parametrize("kind", KINDS)
def test_streamed_vectors_give_the_same_bits_as_resident_ones(kind: Any) -> None:
    assert_same_bits(train_one(short(kind)), train_one(short(kind, resident=False)))


@pytest.mark.parametrize("kind", KINDS)
def test_side_by_side_each_sae_learns_what_it_learns_alone(kind: Any) -> None:
    """Batched products sum in another order, so the last bits differ."""
    together = train_unit(short(kind, seeds=(1, 2, 3)), VECTORS)
    assert [one.sae_id for one in together] == ["sae 0", "sae 1", "sae 2"]
    for index, one in enumerate(together):
        alone = train_one(short(kind, seeds=(index + 1,), hooks="aba"[index]))
        assert one.n_saes_together == 3
        for name, tensor in alone.tensors.items():
            assert share_apart(one.tensors[name], tensor) < 0.15
        # Where two entries are nearly equal, the last bits decide which of them BatchTopK takes.
        for wanted, found in zip(alone.loss_curve, one.loss_curve, strict=True):
            assert found[:2] == pytest.approx(wanted[:2], rel=0.05)
        apart = [abs(f[1] - w[1]) for f, w in zip(one.loss_curve, alone.loss_curve, strict=True)]
        assert sorted(apart)[len(apart) // 2] < 1e-3


@pytest.mark.parametrize("micro_batch", [5, 8])
@pytest.mark.parametrize("kind", [k for k in KINDS if "batchtopk" not in k[0]])
def test_accumulated_gradients_give_what_the_whole_batch_gives(kind: Any, micro_batch: int) -> None:
    """The sums over the batch are in another order. An epoch's last batch has 8 vectors."""
    whole, parts = train_one(short(kind)), train_one(short(kind, micro_batch=micro_batch))
    for name, tensor in whole.tensors.items():
        assert share_apart(parts.tensors[name], tensor) < 0.15
    for wanted, found in zip(whole.loss_curve, parts.loss_curve, strict=True):
        assert found == pytest.approx(wanted, rel=1e-3, abs=1e-5)


class Killed(Exception):
    """Stands for a kill at that moment."""


@pytest.mark.parametrize("seeds", [(1,), (1, 2)])
@pytest.mark.parametrize("kind", KINDS)
def test_a_unit_killed_in_the_middle_goes_on_to_the_same_bits(
    kind: Any, seeds: tuple[int, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retrain.training.train, "CHECKPOINT_SECONDS", -1.0)
    path = tmp_path / "checkpoint.pt"
    unit = short(kind, seeds=seeds)
    assert_resumes(unit, path, killed_in=5)
    if "batchtopk" not in kind[0]:
        # Step 6 is an epoch's last batch, of 8 vectors: it is not cut into parts.
        assert_resumes(short(kind, seeds=seeds, micro_batch=8), path, killed_in=6)


def assert_resumes(unit: Unit, path: Path, *, killed_in: int) -> None:
    whole = train_unit(unit, VECTORS)

    def kill(report: StepReport) -> None:
        if report.step == killed_in:
            raise Killed

    with pytest.raises(Killed):
        train_unit(unit, VECTORS, on_step=kill, checkpoint=path)
    assert path.is_file()
    again: list[int] = []
    resumed = train_unit(unit, VECTORS, on_step=lambda r: again.append(r.step), checkpoint=path)
    # The last checkpoint is of the step before; 9 steps in all.
    assert again == list(range(killed_in, 10))
    for one, other in zip(whole, resumed, strict=True):
        assert_same_bits(one, other)


@pytest.mark.parametrize("damage", ["cut", "other unit"])
def test_a_checkpoint_that_does_not_belong_is_left_aside(
    damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retrain.training.train, "CHECKPOINT_SECONDS", -1.0)
    path = tmp_path / "checkpoint.pt"
    unit = short(("topk", ""))
    other = short(("topk", ""), seeds=(7,)) if damage == "other unit" else unit
    train_unit(other, VECTORS, checkpoint=path)
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:1000])
    steps: list[int] = []
    resumed = train_one(unit, on_step=lambda r: steps.append(r.step), checkpoint=path)
    assert steps[0] == 1
    assert_same_bits(resumed, train_one(unit))


def test_torchs_global_generator_is_neither_used_nor_changed() -> None:
    before = torch.random.get_rng_state()
    train_one(short(("topk", "")))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_reports_are_means_over_the_saes_and_steps_since_the_last() -> None:
    reports: list[StepReport] = []
    unit = unit_of(("topk", ""), seeds=(1, 2), recipe={"epochs": 34})
    trained = train_unit(unit, VECTORS, on_step=reports.append)
    # 102 steps in strides of ceil(102 / 50) = 3.
    assert [report.step for report in reports] == list(range(3, 103, 3))
    assert {(r.n_saes, r.n_steps, r.sae_id) for r in reports} == {(2, 102, "sae 0")}
    for report, one, other in zip(
        reports, trained[0].loss_curve, trained[1].loss_curve, strict=True
    ):
        assert report.loss == pytest.approx((one[1] + other[1]) / 2)
        assert report.explained_variance == pytest.approx((one[3] + other[3]) / 2)
        assert report.l0 <= 4


def test_every_sae_has_its_own_seed() -> None:
    assert sae_seed(1, "a") == sae_seed(1, "a")
    assert len({sae_seed(1, "a"), sae_seed(1, "b"), sae_seed(2, "a")}) == 3
    assert 0 <= sae_seed(1, "a") < 2**53


def test_the_last_batch_of_an_epoch_may_be_smaller() -> None:
    # ceil(40 / 16) = 3 batches, 40 epochs.
    assert n_steps(40, RECIPE) == 120


def test_a_condition_trains_on_its_own_rows_alone() -> None:
    """The other rows may be anything: here they are not finite."""
    rows = torch.arange(0, 40, 2)
    spoilt = VECTORS["hook a"].values.clone()
    spoilt[1::2] = float("nan")
    unit = short(("topk", ""))
    job = replace(unit.jobs[0], rows=rows)
    (found,) = train_unit(replace(unit, jobs=(job,)), {"hook a": InMemory(spoilt)})
    (wanted,) = train_unit(unit, {"hook a": InMemory(VECTORS["hook a"].values[::2])})
    assert_same_bits(found, wanted)


def test_curves_can_be_written_as_json() -> None:
    curve = train_one(short(("gated", ""))).loss_curve
    assert json.loads(json.dumps(curve)) == [list(point) for point in curve]


def test_the_input_scale_does_not_depend_on_the_size_of_chunks() -> None:
    from retrain.input_scale import fit_input_scale

    generator = torch.Generator().manual_seed(0)
    x = torch.randn(CHUNK + 100, 3, generator=generator) + 7
    scale = fit_input_scale(InMemory(x), "unit_mean_norm")
    wide = x.double()
    torch.testing.assert_close(scale.centre, wide.mean(0).float())
    assert scale.scale == pytest.approx(float((wide - wide.mean(0)).norm(dim=1).mean()))
