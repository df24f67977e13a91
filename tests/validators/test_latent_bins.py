"""Bins of latents against counts that were worked by hand, and what a report keeps of them."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from validators.distributions import Bins, Distributions
from validators.latent_distributions import distributions_of
from validators.metrics.latent_bins import BINS_PER_DECADE, firing_density, threshold_bins
from validators.metrics.sparsity import LatentCounts
from validators.metrics.undefined import UndefinedMetric
from validators.report import FORMAT, Measurements, Report, read_report

BINS = {"edges": (0.1, 0.215443, 0.464159, 1.0), "counts": (2, 1, 2), "below": 2, "above": 0}


def fired(*counts: int) -> np.ndarray:
    return np.array(counts, dtype=np.int64)


def test_latents_are_counted_by_the_share_of_vectors_that_was_worked_by_hand() -> None:
    # Of 10 vectors: two latents on none, 0.1 and 0.2 in the first bin, 0.3 in the second, 0.5 and 1
    # in the last.
    found = firing_density(fired(0, 0, 1, 2, 5, 10, 3), 10)
    assert found.edges == BINS["edges"]
    assert found.counts == BINS["counts"]
    assert (found.below, found.above) == (2, 0)


def test_a_share_on_an_edge_is_in_the_bin_above_it_and_all_vectors_are_in_the_last() -> None:
    # 1/1000, 10/1000 and 100/1000 are edges; 99 of 1000 is just under one.
    found = firing_density(fired(1, 10, 99, 100, 1000), 1000)
    at = {edge: count for edge, count in zip(found.edges, found.counts, strict=False) if count}
    assert at == {0.001: 1, 0.01: 1, 0.0464159: 1, 0.1: 1, 0.464159: 1}
    assert found.edges[0] == 0.001


@pytest.mark.parametrize("n", [3, 7, 389, 10_000, 123_457])
def test_the_first_edge_is_the_last_one_that_a_single_vector_reaches(n: int) -> None:
    found = firing_density(fired(0, 1, n), n)
    assert found.edges[0] <= 1 / n < found.edges[1]
    assert (found.below, found.counts[0], found.counts[-1]) == (1, 1, 1)
    assert found.edges[-1] == 1


@pytest.mark.parametrize("n", [1, 2])
def test_of_one_or_two_vectors_a_latent_fires_on_none_or_on_many(n: int) -> None:
    found = firing_density(fired(0, 1, n), n)
    assert (found.edges, found.counts, found.below) == ((0.464159, 1.0), (2,), 1)


@given(st.integers(1, 5000), st.integers(0, 2**32 - 1))
def test_every_latent_is_counted_once_and_where_its_share_lies(n: int, seed: int) -> None:
    counts = np.random.default_rng(seed).integers(0, n + 1, size=50)
    found = firing_density(counts, n)
    expected, _ = np.histogram(counts[counts > 0] / n, found.edges)
    assert list(found.counts) == expected.tolist()
    assert found.below == int((counts == 0).sum())


@given(st.integers(2, 100_000))
def test_no_bin_is_out_of_reach_of_a_whole_number_of_vectors(n: int) -> None:
    found = firing_density(np.arange(1, n + 1), n)
    assert min(found.counts) > 0


def test_without_vectors_no_latent_has_a_share() -> None:
    with pytest.raises(UndefinedMetric, match="no activation vectors"):
        firing_density(fired(0, 0), 0)


def test_thresholds_are_counted_about_their_value_before_training() -> None:
    # The bin of 1 reaches from 10^(-1/80) = 0.9716 to 10^(1/80) = 1.0292, the next one to 1.0902,
    # the one before from 0.9173.
    found = threshold_bins(np.array([1.0, 1.02, 1.05, 0.92], dtype=np.float64), 1.0)
    assert found.edges == (0.917276, 0.971628, 1.0292, 1.09018)
    assert found.counts == (1, 2, 1)
    assert (found.below, found.above) == (0, 0)


def test_the_bins_of_thresholds_keep_to_their_middle_whatever_its_unit() -> None:
    values = np.random.default_rng(0).lognormal(0.3, 0.2, size=500)
    one, other = threshold_bins(values, 1.0), threshold_bins(0.25 * values, 0.25)
    assert one.counts == other.counts
    np.testing.assert_allclose(np.array(other.edges) * 4, one.edges, rtol=1e-5)
    width = np.diff(np.log10(one.edges))
    np.testing.assert_allclose(width, 1 / BINS_PER_DECADE, rtol=1e-3)


def test_thresholds_at_zero_and_far_away_are_counted_beside_the_bins() -> None:
    values = np.array([0.0, -0.1, 1e-6, 1.0, 2000.0])
    found = threshold_bins(values, 1.0)
    assert (found.counts, found.below, found.above) == ((1,), 3, 1)
    none = threshold_bins(np.zeros(4), None)
    assert (sum(none.counts), none.below, none.above) == (0, 4, 0)


def test_where_no_start_is_known_the_median_of_those_above_zero_is_the_middle() -> None:
    values = np.array([0.0, 3.0, 4.0, 5.0])
    for middle in (None, 0.0, -1.0):
        found = threshold_bins(values, middle)
        assert found == threshold_bins(values, 4.0)
        assert sum(found.counts) == 3


@pytest.mark.parametrize(
    ("values", "message"),
    [([], "no latent was active"), ([1.0, math.nan], "not finite"), ([math.inf], "not finite")],
)
def test_thresholds_without_a_distribution_say_why(values: list[float], message: str) -> None:
    with pytest.raises(UndefinedMetric, match=message):
        threshold_bins(np.array(values), 1.0)


def counts_of(*counts: int, n: int = 10) -> LatentCounts:
    counted = LatentCounts(len(counts))
    counted.n, counted.fired = n, fired(*counts)
    return counted


def an_sae(architecture: str, **changes: Any) -> Any:
    facts = {"trained_only_as": None, "threshold_init": 1.0, "architecture": architecture}
    tensors = {"threshold": np.array([1.0, 0.0, 1.5, 1.05], dtype=np.float32)}
    return SimpleNamespace(**{**facts, "tensors": tensors, **changes})


def test_thresholds_are_those_of_the_latents_that_were_alive_in_training() -> None:
    found = distributions_of(
        an_sae("jumprelu"), held_out=counts_of(0, 1, 2, 5), train=counts_of(3, 2, 0, 1)
    )
    assert found.firing_density is not None and found.thresholds is not None
    assert (found.firing_density.n, found.firing_density.shares.below) == (10, 1)
    spread = found.thresholds
    # 1.0, 0.0 and 1.05 were alive; 1.5 was not.
    assert (spread.latents, spread.n_left_out, spread.before) == ("alive", 1, 1.0)
    assert (sum(spread.after.counts), spread.after.below, spread.n_not_above_zero) == (2, 1, 1)
    assert spread.after.n_latents == 3


def test_where_training_vectors_are_not_known_all_thresholds_are_counted() -> None:
    sae = an_sae("jumprelu", threshold_init=None)
    found = distributions_of(sae, held_out=counts_of(0, 1, 2, 5), train=None)
    assert found.thresholds is not None
    assert (found.thresholds.latents, found.thresholds.n_left_out) == ("all", 0)
    assert (found.thresholds.before, found.thresholds.after.n_latents) == (None, 4)


@pytest.mark.parametrize(
    "sae",
    [an_sae("topk"), an_sae("gated"), an_sae("jumprelu", trained_only_as="batchtopk")],
    ids=["topk", "gated", "batchtopk"],
)
def test_only_thresholds_of_single_latents_have_a_distribution(sae: Any) -> None:
    found = distributions_of(sae, held_out=counts_of(1, 1, 2, 5), train=counts_of(1, 1, 1, 1))
    assert found.thresholds is None
    assert found.firing_density is not None


def test_without_vectors_or_live_latents_there_is_nothing_to_show() -> None:
    none = counts_of(0, 0, 0, 0, n=0)
    found = distributions_of(an_sae("jumprelu"), held_out=none, train=none)
    assert found == Distributions(firing_density=None, thresholds=None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"counts": (2, 1)}, "one more edge"),
        ({"edges": (0.1, 0.1, 0.4, 1.0)}, "ascend"),
        ({"counts": ()}, "at least 1"),
        ({"counts": (2, -1, 2)}, "greater than or equal to 0"),
        ({"edges": (0.1, math.nan, 0.4, 1.0)}, "finite"),
        ({"further": 1}, "not permitted"),
    ],
)
def test_bins_that_contradict_themselves_are_refused(change: dict[str, Any], message: str) -> None:
    assert Bins.model_validate(BINS).n_latents == 7
    with pytest.raises(ValidationError, match=message):
        Bins.model_validate({**BINS, **change})


def a_report() -> Report:
    density = {"n": 10, "split": "held_out", "shares": BINS}
    thresholds = {
        "latents": "all", "n_left_out": 0, "before": None, "after": BINS, "n_not_above_zero": 2,
    }  # fmt: skip
    own = Distributions.model_validate({"firing_density": density, "thresholds": thresholds})
    return Report(
        tool_version="0",
        repo_id=None,
        manifest_digest=None,
        measurements=Measurements(
            inputs={}, environment={}, n_vectors={}, saes={"a": {}}, distributions={"a": own}
        ),
    )


def test_distributions_are_read_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    a_report().write(path)
    assert read_report(path) == a_report()
    before = path.read_bytes()
    read_report(path).write(path)
    assert path.read_bytes() == before


def test_a_report_of_the_format_before_is_read_and_has_no_distributions(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    a_report().write(path)
    content = json.loads(path.read_bytes())
    content["format"] = "sae-release.report/2"
    del content["measurements"]["distributions"]
    path.write_text(json.dumps(content), encoding="utf-8")
    found = read_report(path)
    assert found.measurements is not None
    assert (found.format, found.measurements.distributions) == (FORMAT, {})
    found.write(path)
    assert json.loads(path.read_bytes())["format"] == FORMAT


def test_more_thresholds_at_zero_than_lie_under_the_first_edge_are_refused() -> None:
    own = a_report().model_dump(mode="json")["measurements"]["distributions"]["a"]
    own["thresholds"]["n_not_above_zero"] = 3
    with pytest.raises(ValidationError, match="lie under the first edge"):
        Distributions.model_validate(own)
