"""Which SAEs are set against each other, and on what."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from manifests.matrix import SaeSpec
from validators.measuring.contrasts import Judged, contrasts
from validators.metrics.paired_differences import PerVector

N = 10
GROUPS = np.arange(N, dtype=np.int64) // 2
SPEC = SaeSpec(
    layer=1,
    architecture="jumprelu",
    condition="mixed",
    variant="",
    sae_id="plain",
    d_in=4,
    d_sae=8,
    hook_name="blocks.1.hook_resid_post",
    hf_hook_name="model.layers.1",
)


def judged(sae_id: str, *, error: float = 1.0, l0: int = 4, **differs: object) -> Judged:
    """An SAE with the same error and L0 on every vector; each is 2 away from the mean."""
    run = PerVector(
        squared_error=np.full(N, error),
        squares_about_mean=np.full(N, 4.0),
        l0=np.full(N, l0, dtype=np.int64),
        cosine=np.full(N, 0.5),
    )
    return Judged(spec=replace(SPEC, sae_id=sae_id, **differs), run=run, groups=GROUPS)


def test_pairs_that_differ_in_one_thing_of_one_layer_are_contrasted() -> None:
    found = contrasts(
        [
            judged("plain"),
            judged("ste", variant="ste"),
            judged("honest", condition="honest_only"),
            judged("topk", architecture="topk"),
            judged("deeper", layer=2),
            judged("topk_ste", architecture="topk", variant="ste"),
        ]
    )
    assert {(one.kind, one.first, one.second) for one in found} == {
        ("variant", "plain", "ste"),
        ("condition", "plain", "honest"),
        ("architecture", "plain", "topk"),
        ("architecture", "ste", "topk_ste"),
        ("variant", "topk", "topk_ste"),
    }


def test_a_difference_is_second_minus_first_and_tells_unequal_sparsity() -> None:
    (one,) = contrasts([judged("plain"), judged("ste", variant="ste", error=2.0, l0=5)])
    # Explained variance 1 - 1/4 and 1 - 2/4.
    assert one.differences["explained_variance"].value == -0.25
    assert one.differences["l0"].value == 1.0
    assert one.differences["cosine"].value == 0.0
    assert {found.n for found in one.differences.values()} == {N}
    assert one.differs_in_l0
