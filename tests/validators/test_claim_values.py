"""What claims may name, and what becomes of a claim that names anything else."""

from __future__ import annotations

from typing import Any

import pytest

from manifests.facts import Claim
from manifests.model import Manifest
from validators.claim_values import claim_values, rests_on_measurements, why_not_held
from validators.report import Measurement

# Two SAEs: TopK with 0.5 and an L0 of 9, JumpReLU with 0.75 and an L0 of 20.
MEASURED = {
    "tiny_topk_L1_mixed": {
        "explained_variance": Measurement(value=0.5, n=30),
        "l0": Measurement(value=9.0, n=30),
        "threshold_moved_fraction": Measurement(value=None, n=90, reason="only JumpReLU has them"),
    },
    "tiny_jumprelu_L1_mixed": {
        "explained_variance": Measurement(value=0.75, n=30),
        "l0": Measurement(value=20.0, n=30),
        "threshold_moved_fraction": Measurement(value=1.0, n=90),
    },
}


@pytest.fixture
def manifest_of(good_release: Any) -> Any:
    """The good release's manifest with two SAEs and a reported fact, changed further."""

    def make(**changes: Any) -> Manifest:
        data = good_release.loaded.manifest.resolved()
        data["saes"]["architectures"] = ["topk", "jumprelu"]
        data["reported"] = [
            {"name": "raw peak", "metric": "accuracy", "value": 0.6, "source": "a page"},
            {
                "name": "p",
                "metric": "p_value",
                "value": 0.05,
                "bound": "below",
                "source": "a page",
            },
        ]
        data["data"]["conditions"]["mixed"]["n"] = 120
        for path, value in changes.items():
            *parents, last = path.split("__")
            inner = data
            for parent in parents:
                inner = inner[parent]
            inner[last] = value
        return Manifest.model_validate(data, strict=False)

    return make


def reason(manifest: Manifest, expression: str) -> str | None:
    claim = Claim(text="So it is.", holds_if=expression)
    return why_not_held(claim, claim_values(manifest, MEASURED))


@pytest.mark.parametrize(
    "expression",
    [
        "worst(explained_variance) == 0.5 and best(explained_variance) == 0.75",
        "mean(l0) == 14.5",  # (9 + 20) / 2
        "best(topk.l0) == 9 and best(jumprelu.l0) == 20",
        "count(mixed.l0) == 2 and count(L1.l0) == 2 and count(jumprelu.l0) == 1",
        "worst(jumprelu.threshold_moved_fraction) == 1",
        "best(explained_variance) > reported['raw peak'] and data.mixed == 120",
        "matrix.n_saes == 2 and matrix.d_sae == 64",
    ],
)
def test_metrics_groups_and_facts_have_their_values(manifest_of: Any, expression: str) -> None:
    assert reason(manifest_of(), expression) is None


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("worst(explained_variance) > 0.6", "false: explained_variance is 0.5 to 0.75 of 2 SAEs"),
        ("best(topk.l0) > reported['raw peak'] * 100", "reported['raw peak'] is 0.6, topk.l0 is 9"),
        ("best(topk.l00) < 65", "nothing is called topk.l00; expected: topk.l0"),
        ("best(gated.l0) > 0", "nothing is called gated"),
        ("1 < 2 or nothing", "nothing is called nothing"),
        ("best(l0.value) > 1", "l0 has no parts"),
        ("worst(threshold_moved_fraction) > 0", "tiny_topk_L1_mixed has no value: only JumpReLU"),
        ("1 < 2 or best(mse) < 1", "mse of tiny_jumprelu_L1_mixed was not measured (and 1 more)"),
        ("best(topk['m' ~ 'se']) < 1", "mse of tiny_topk_L1_mixed was not measured"),
        ("reported['p'] < 0.1", "only that 'p' lies below 0.05 is reported"),
        ("explained_variance == explained_variance", "compared as a whole"),
        ("l0 > 3", "cannot be evaluated"),
        ("best(topk) > 3", "need a metric"),
        ("best(l0) >", "cannot be read"),
        ("best(l0)", "gives 20.0"),
    ],
)
def test_a_claim_is_not_held_and_the_reason_says_why(
    manifest_of: Any, expression: str, said: str
) -> None:
    found = reason(manifest_of(), expression)
    assert found is not None and said in found


def test_a_name_with_two_meanings_is_refused(manifest_of: Any) -> None:
    conditions = {"topk": {"labels": ["honest"]}, "mixed": {"labels": ["honest", "deceptive"]}}
    both = manifest_of(data__conditions=conditions, saes__conditions=["topk"])
    assert "topk means two things" in str(reason(both, "best(topk.l0) > 0"))
    assert "topk means two things" not in str(reason(both, "best(jumprelu.l0) > 0"))
    metric = manifest_of(
        data__conditions={"count": {"labels": ["honest"]}}, saes__conditions=["count"]
    )
    assert "count means two things" in str(reason(metric, "best(count.l0) > 0"))


@pytest.mark.parametrize(
    ("expression", "rests"),
    [
        ("matrix.n_saes == 2", False),
        ("reported['raw peak'] > data.mixed / 2", False),
        ("reported['explained_variance'] > 0", False),
        ("'l0' == 'l0'", False),
        ("best(l0) > reported['raw peak']", True),
        ("matrix.n_saes == 2 or best(topk.l0) > 0", True),
        ("best(topk.l00) > 0", False),
        ("best(l0) >", False),
    ],
)
def test_what_a_claim_rests_on_is_told_by_the_names_it_uses(
    manifest_of: Any, expression: str, rests: bool
) -> None:
    claim = Claim(text="So it is.", holds_if=expression)
    assert rests_on_measurements(claim, manifest_of()) is rests
