"""Settings that cannot be seen in the weights: what is tried, and what counts as better."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest

from manifests.progress import Silent
from validators.alternatives import Alternatives, Tried, try_alternatives
from validators.check import Passed, Problem
from validators.checks.alternatives import belongs_where_it_says, normalised_as_trained
from validators.checks.model_level import model_keeps_working
from validators.claim import local_claim
from validators.evidence.evidence import Sample
from validators.metrics.bootstrap import Difference
from validators.options import ValidateOptions
from validators.place_alternatives import TriedPlace
from validators.places.place import Place
from validators.reading.local_repository import LocalRepository
from validators.report import Measurement
from validators.subjects import RepositorySubject, SaeSubject


@pytest.fixture(scope="module")
def good_subject(good_release: Any) -> RepositorySubject:
    return RepositorySubject(
        LocalRepository(good_release.repository),
        local_claim(good_release.loaded),
        options=ValidateOptions(base_model=str(good_release.base_model)),
        progress=Silent(),
    )


def sae_of(subject: RepositorySubject, architecture: str) -> SaeSubject:
    return next(sae for sae in subject.saes if sae.architecture == architecture)


@pytest.mark.parametrize("architecture", ["topk", "jumprelu", "gated"])
def test_what_is_declared_and_right_is_beaten_by_nothing(
    good_subject: RepositorySubject, architecture: str
) -> None:
    tried = try_alternatives(sae_of(good_subject, architecture))
    assert tried.n == 30  # a quarter of 120 completions is held out
    assert {one.kind for one in tried.others} >= {"b_dec", "normalization"}
    assert [one.name for one in tried.others if one.kind != "k" and one.beats(tried.declared)] == []
    assert tried.declared.explained_variance > 0


def test_k_is_tried_at_half_and_at_twice_its_value(good_subject: RepositorySubject) -> None:
    tried = try_alternatives(sae_of(good_subject, "topk"))
    assert [one.name for one in tried.of_kind("k")] == ["k 4", "k 18"]
    half, declared, twice = (*tried.of_kind("k")[:1], tried.declared, tried.of_kind("k")[1])
    assert half.l0 == 4
    assert declared.l0 == 9
    assert half.explained_variance < declared.explained_variance < twice.explained_variance


class Moved:
    """The evidence of another subject with a constant added to all activations."""

    def __init__(self, evidence: Any, by: float) -> None:
        self._evidence, self._by = evidence, by

    def sample(self, sae: SaeSubject, *, train: bool) -> Sample:
        own = self._evidence.sample(sae, train=train)
        return Sample(own.vectors + np.float32(self._by), own.groups, own.outliers)


def test_weights_that_were_trained_on_scaled_activations_are_noticed(
    good_subject: RepositorySubject,
) -> None:
    # Activations of norm about 200; trained on them scaled to a mean norm of sqrt(d_in) = 4, so
    # that b_dec is their mean times 4/200, and released without the factor.
    other = RepositorySubject(good_subject.repository, good_subject.claim, progress=Silent())
    other.evidence = cast(Any, Moved(good_subject.evidence, 50.0))
    sae = sae_of(other, "topk")
    mean_norm = np.linalg.norm(other.evidence.sample(sae, train=True).vectors, axis=1).mean()
    b_dec = (sae.tensors["b_dec"] + 50) * np.float32(4 / mean_norm)
    sae.tensors = {**sae.tensors, "b_dec": b_dec}
    verdict = normalised_as_trained.ask(sae)
    assert isinstance(verdict, Problem)
    assert "normalize_activations expected_average_only_in, unfolded: 0.9" in verdict.found
    assert isinstance(normalised_as_trained.ask(sae_of(good_subject, "topk")), Passed)


class DisplacedAt:
    """The evidence of another subject, where one place has a constant added to its activations."""

    def __init__(self, evidence: Any, place: Place, declared: Place, by: float) -> None:
        self._evidence, self._place, self._declared, self._by = evidence, place, declared, by
        self.base = evidence.base
        self.places = frozenset({declared})

    def place_of(self, sae: SaeSubject) -> Place:
        return self._declared

    def read_elsewhere(self, places: frozenset[Place]) -> None:
        self._evidence.read_elsewhere(places)

    def sample_at(self, place: Place, sae: SaeSubject) -> Sample | None:
        own = self._evidence.sample_at(place, sae)
        if own is None or place != self._place:
            return own
        return Sample(own.vectors + np.float32(self._by), own.groups, own.outliers)


@pytest.mark.parametrize(
    ("declared", "fits"), [("model.layers.1", True), ("model.layers.0", False)]
)
def test_a_neighbouring_place_that_the_sae_was_trained_on_wins(
    good_subject: RepositorySubject, declared: str, fits: bool
) -> None:
    # The activations of block 1 lie 50 away from those of block 0, and so does b_dec.
    good_subject.evidence.read_elsewhere(frozenset({Place("model.layers.0")}))
    other = RepositorySubject(good_subject.repository, good_subject.claim, progress=Silent())
    evidence = DisplacedAt(good_subject.evidence, Place("model.layers.1"), Place(declared), by=50.0)
    other.evidence = cast(Any, evidence)
    sae = sae_of(other, "topk")
    sae.tensors = {**sae.tensors, "b_dec": sae.tensors["b_dec"] + np.float32(50)}
    verdict = belongs_where_it_says.ask(sae)
    assert isinstance(verdict, Passed if fits else Problem), verdict
    if isinstance(verdict, Problem):
        assert verdict.found.startswith(
            "it belongs to blocks.1.hook_resid_post (model.layers.1): explained variance 0.9"
        )


def tried_place(gain: float, low: float, there: float, here: float, drop: float) -> TriedPlace:
    return TriedPlace(
        name="next", place=Place("model.layers.1"), n=1_000, explained_variance=0.7,
        declared=0.7 - gain, bias_share=there, declared_bias_share=here,
        gain=Difference(gain, low, gain + 0.1), bias_drop=Difference(here - there, drop, 1.0),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("place", "wins"),
    [
        (tried_place(0.30, 0.2, there=0.001, here=0.20, drop=0.1), True),
        # Not at home there: whatever it explains, it was not trained on it.
        (tried_place(0.30, 0.2, there=0.050, here=0.20, drop=0.1), False),
        # At home here as well, and gaining less than 0.1.
        (tried_place(0.05, 0.01, there=0.001, here=0.005, drop=0.001), False),
        (tried_place(0.15, 0.05, there=0.001, here=0.005, drop=0.001), True),
        # A small gain that goes with a bias here.
        (tried_place(0.01, 0.005, there=0.001, here=0.030, drop=0.010), True),
        # Perhaps no gain at all.
        (tried_place(0.15, -0.01, there=0.001, here=0.20, drop=0.1), False),
    ],
    ids=["elsewhere", "not at home", "both fit", "clear gain", "biased here", "not sure"],
)
def test_another_place_wins_where_the_sae_is_at_home_and_does_better(
    place: TriedPlace, wins: bool
) -> None:
    assert place.wins == wins


def tried(name: str, ev: float, l0: float, gain: float, low: float) -> Tried:
    return Tried(name, "b_dec", ev, l0, Difference(gain, low, gain + 0.1))


@pytest.mark.parametrize(
    ("other", "beats"),
    [
        (tried("better", 0.8, 10, 0.1, 0.05), True),
        (tried("within the margin", 0.71, 10, 0.01, 0.005), False),
        (tried("not sure", 0.8, 10, 0.1, -0.01), False),
        (tried("at more latents", 0.8, 12, 0.1, 0.05), False),
    ],
    ids=lambda value: value.name if isinstance(value, Tried) else "",
)
def test_better_is_by_a_margin_for_sure_and_at_no_more_latents(other: Tried, beats: bool) -> None:
    assert other.beats(tried("", 0.7, 10, 0.0, 0.0)) == beats


@pytest.mark.parametrize(("recovered", "passes"), [(0.8, True), (0.0, False), (-0.5, False)])
def test_a_model_that_the_sae_harms_more_than_ablation_is_a_warning(
    good_subject: RepositorySubject, recovered: float, passes: bool
) -> None:
    sae = SaeSubject(good_subject, good_subject.saes[0].sae_id)
    value = Measurement(value=recovered, n=100, split="held_out")
    sae.loss_measurements = {"ce_recovered": value, "kl": value}
    assert isinstance(model_keeps_working.ask(sae), Passed if passes else Problem)


def test_the_verdict_names_the_winner_and_all_numbers(good_subject: RepositorySubject) -> None:
    sae = SaeSubject(good_subject, good_subject.saes[0].sae_id)
    declared = tried("", 0.2, 10, 0.0, 0.0)
    winner = Tried("normalize_activations layer_norm", "normalization", 0.7, 9.0,
                   Difference(0.5, 0.4, 0.6))  # fmt: skip
    sae.alternatives = Alternatives(30, declared, (winner,))
    verdict = normalised_as_trained.ask(sae)
    assert isinstance(verdict, Problem)
    assert verdict.found == (
        "normalize_activations layer_norm does better by 0.500 [0.400, 0.600]: explained variance "
        "0.200 (L0 10), normalize_activations layer_norm: 0.700 (L0 9), over 30 vectors"
    )
