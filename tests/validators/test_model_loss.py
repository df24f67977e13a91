"""Loss with activations replaced: hand-checkable replacements, and the pass that skips blocks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from validators.base_models.base_model import BaseModel, load_base_model
from validators.base_models.model_loss import ModelLoss, ModelLossMeter
from validators.base_models.spliced_pass import NotSpliced, SplicedPass
from validators.evidence.evidence import TokenContext
from validators.metrics.undefined import UndefinedMetric
from validators.places.place import Place

IDS = (1, 5, 3, 9, 2, 7, 4)
CONTEXTS = (TokenContext(IDS, n_prefix=2, group=0), TokenContext(IDS[::-1], n_prefix=1, group=1))
# Judged: 7 - 1 - 2 of the first, 7 - 1 - 1 of the second.
N_TOKENS = 4 + 5
PLACES = [
    Place("model.layers.0"),
    Place("model.layers.1"),
    Place("model.layers.1", "input"),
    Place("model.layers.0.mlp"),
]


@pytest.fixture(scope="module")
def base(good_release: Any) -> BaseModel:
    spec = good_release.loaded.manifest.base_model
    return load_base_model(spec, override=str(good_release.base_model))


def logits(base: BaseModel, ids: tuple[int, ...]) -> torch.Tensor:
    with torch.inference_mode():
        return base.model(torch.tensor([ids]), use_cache=False).logits[0]


@pytest.mark.parametrize("place", PLACES, ids=str)
def test_an_exact_reconstruction_loses_nothing(base: BaseModel, place: Place) -> None:
    loss = ModelLossMeter(base, CONTEXTS).measure(place, lambda x: x)
    assert loss.n_tokens == N_TOKENS
    assert loss.ce_sae == pytest.approx(loss.ce_clean, abs=1e-4)
    assert loss.kl_sae == pytest.approx(0.0, abs=1e-4)
    expected = 0.0
    for context in CONTEXTS:
        logprobs = logits(base, context.input_ids).log_softmax(dim=-1)
        for position in range(context.n_prefix, len(IDS) - 1):
            expected -= float(logprobs[position, context.input_ids[position + 1]])
    assert loss.ce_clean == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("place", PLACES, ids=str)
def test_a_reconstruction_of_zero_is_zero_ablation(base: BaseModel, place: Place) -> None:
    loss = ModelLossMeter(base, CONTEXTS).measure(place, np.zeros_like)
    assert loss.ce_sae == pytest.approx(loss.ce_zero)
    assert loss.kl_sae == pytest.approx(loss.kl_zero)
    assert loss.kl_zero > 0


@pytest.mark.parametrize("place", PLACES, ids=str)
def test_skipping_blocks_gives_the_logits_of_the_whole_pass(base: BaseModel, place: Place) -> None:
    given = torch.randn(len(IDS), 16, generator=torch.Generator().manual_seed(0))
    with SplicedPass(base, place) as skipping:
        fast = skipping.logits(IDS, given)
    with SplicedPass(base, place, skips_blocks=False) as whole:
        slow = whole.logits(IDS, given)
    torch.testing.assert_close(fast, slow)
    assert not torch.allclose(slow, logits(base, IDS))


def test_the_model_is_as_before_once_the_pass_is_left(base: BaseModel) -> None:
    before = logits(base, IDS)
    with SplicedPass(base, PLACES[1]) as spliced:
        spliced.logits(IDS, torch.zeros(len(IDS), 16))
    torch.testing.assert_close(logits(base, IDS), before)


def test_only_positions_after_the_prefix_are_replaced(base: BaseModel) -> None:
    seen = []

    def keep(x: Any) -> Any:
        seen.append(len(x))
        return x

    ModelLossMeter(base, CONTEXTS).measure(PLACES[0], keep)
    assert seen == [7 - 2, 7 - 1]


def test_a_place_that_is_not_run_is_an_error(base: BaseModel) -> None:
    base.model.spare = torch.nn.Identity()
    try:
        with SplicedPass(base, Place("spare")) as spliced, pytest.raises(NotSpliced):
            spliced.logits(IDS, torch.zeros(len(IDS), 16))
        with pytest.raises(UndefinedMetric, match="spare is not run"):
            ModelLossMeter(base, CONTEXTS).measure(Place("spare"), lambda x: x)
    finally:
        del base.model.spare


def test_shares_follow_their_formulas() -> None:
    loss = ModelLoss(
        n_tokens=10,
        ce_clean=20.0,
        ce_sae=30.0,
        ce_zero=60.0,
        ce_mean=45.0,
        kl_sae=8.0,
        kl_zero=32.0,
    )
    assert loss.ce_recovered() == pytest.approx(0.75)  # (60 - 30) / (60 - 20)
    assert loss.ce_recovered_mean() == pytest.approx(0.6)  # (45 - 30) / (45 - 20)
    assert loss.kl_recovered() == pytest.approx(0.75)  # (32 - 8) / 32
    assert loss.kl() == pytest.approx(0.8)  # 8 / 10
    assert loss.ce_increase() == pytest.approx(1.0)  # (30 - 20) / 10


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"ce_zero": 20.05}, "zero ablation raises the loss by 0.005 nats"),
        ({"ce_zero": 15.0}, "zero ablation raises the loss by -0.5 nats"),
        ({"ce_sae": float("nan")}, "not finite"),
        ({"ce_zero": float("inf")}, "not finite"),
        ({"n_tokens": 0}, "no tokens"),
    ],
)
def test_a_share_of_nothing_is_undefined(changes: dict[str, float], reason: str) -> None:
    sums: dict[str, Any] = {
        "n_tokens": 10, "ce_clean": 20.0, "ce_sae": 30.0, "ce_zero": 60.0, "ce_mean": 45.0,
        "kl_sae": 8.0, "kl_zero": 32.0,
    }  # fmt: skip
    with pytest.raises(UndefinedMetric, match=reason):
        ModelLoss(**(sums | changes)).ce_recovered()


def test_no_context_means_no_number(base: BaseModel) -> None:
    short = TokenContext((1, 2), n_prefix=1, group=0)
    with pytest.raises(UndefinedMetric, match="no tokens"):
        ModelLossMeter(base, (short,)).measure(PLACES[0], lambda x: x)
