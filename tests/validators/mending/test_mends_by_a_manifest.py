"""What a manifest's architecture decides where a config does not state one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from validators.mending.draft import Context, Draft
from validators.mending.nesting import name_the_architecture
from validators.mending.thresholds import as_inference_sae


def context_of(release: Any, architecture: str) -> Context:
    from validators.claim import local_claim

    claim = local_claim(release.loaded)
    spec = next(s for s in claim.saes.values() if s.architecture == architecture)
    return Context(claim=claim, spec=spec)


def draft_of(sae: Any, **tensors: np.ndarray) -> Draft:
    cfg = {key: value for key, value in sae.cfg.items() if key != "architecture"}
    weights = {n: t for n, t in sae.tensors.items() if n != "threshold"} | tensors
    return Draft("sae", cfg, weights, dict.fromkeys(weights, "F32"))


@pytest.mark.parametrize("architecture", ["batchtopk", "matryoshka_batchtopk"])
def test_a_saved_batchtopk_sae_without_an_architecture_is_stated_as_jumprelu(
    release_of_the_newer: Any, sae_of: Any, architecture: str
) -> None:
    context = context_of(release_of_the_newer, architecture)
    threshold = np.full(64, 0.2, dtype=np.float32)
    mended = name_the_architecture(draft_of(sae_of("jumprelu"), threshold=threshold), context)
    assert mended.cfg["architecture"] == "jumprelu"
    assert [mend.code for mend in mended.mends] == ["C003"]


def test_a_checkpoint_of_batchtopk_without_an_architecture_becomes_a_jumprelu(
    release_of_the_newer: Any, sae_of: Any
) -> None:
    context = context_of(release_of_the_newer, "batchtopk")
    draft = draft_of(sae_of("jumprelu"), topk_threshold=np.array(0.2))
    stated = name_the_architecture(draft, context)
    assert stated.cfg["architecture"] == "batchtopk"
    mended = as_inference_sae(stated, context)
    assert mended.cfg["architecture"] == "jumprelu"
    assert mended.metadata["training_architecture"] == "batchtopk"
    assert set(mended.tensors["threshold"].tolist()) == {np.float32(0.2)}


def test_a_standard_sae_without_an_architecture_goes_by_the_manifest(
    release_of_the_newer: Any, sae_of: Any
) -> None:
    context = context_of(release_of_the_newer, "standard")
    assert name_the_architecture(draft_of(sae_of("jumprelu")), context).cfg["architecture"] == (
        "standard"
    )
