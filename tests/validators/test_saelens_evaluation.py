"""SAELens' own evaluation on the same vectors: the same numbers, or a difference that is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from random_saes import D_IN, D_SAE, random_sae
from sae_lens.evals import get_sparsity_and_variance_metrics
from sae_lens.training.activation_scaler import ActivationScaler

from manifests.progress import Silent
from validators.claim import local_claim
from validators.manual.path_agreement import run_saelens
from validators.metrics.reconstruction import ReconstructionSums
from validators.metrics.sparsity import LatentCounts
from validators.options import ValidateOptions
from validators.reading.local_repository import LocalRepository
from validators.subjects import RepositorySubject

# SAELens sums these in float32, we in float64.
FLOAT32 = 2e-5
ARCHITECTURES = ("standard", "topk", "jumprelu", "gated", "abstopk")


@dataclass
class VectorsAsTokens:
    """Stands for SAELens' model and its store of tokens: token t has the vector t.

    A batch is one context of `context_size` tokens.
    """

    vectors: np.ndarray
    hook_name: str
    context_size: int

    def __post_init__(self) -> None:
        self._next = 0

    def get_batch_tokens(self, n_contexts: int) -> torch.Tensor:
        assert n_contexts == 1
        start = self._next
        self._next += self.context_size
        return torch.arange(start, min(self._next, len(self.vectors)))[None]

    def run_with_cache(self, tokens: torch.Tensor, **_: Any) -> tuple[None, dict[str, Any]]:
        return None, {self.hook_name: torch.from_numpy(self.vectors)[tokens]}


def saelens_evaluation(
    sae: Any, vectors: np.ndarray, *, context_size: int
) -> tuple[dict[str, float], dict[str, Any]]:
    """What `sae_lens.evals` says of an SAE on these vectors: of the SAE, and of each latent."""
    hook_name = sae.cfg.metadata.hook_name
    source = VectorsAsTokens(vectors, hook_name, context_size)
    with torch.no_grad():
        metrics, of_latents = get_sparsity_and_variance_metrics(
            sae=sae,
            model=source,
            activation_store=source,
            activation_scaler=ActivationScaler(),
            n_batches=-(-len(vectors) // context_size),
            compute_l2_norms=False,
            compute_sparsity_metrics=True,
            compute_variance_metrics=True,
            compute_featurewise_density_statistics=True,
            eval_batch_size_prompts=1,
            model_kwargs={},
        )
    return metrics, of_latents


def our_evaluation(sae: Any, vectors: np.ndarray) -> tuple[ReconstructionSums, LatentCounts]:
    sums, counts = ReconstructionSums(), LatentCounts(int(sae.cfg.d_sae))
    for start in range(0, len(vectors), 64):
        x = vectors[start : start + 64]
        latents, x_hat = run_saelens(sae, x, True)
        sums.add(x, x_hat)
        counts.add(latents)
    return sums, counts


def vectors_with_a_mean(n: int = 300) -> np.ndarray:
    generator = np.random.default_rng(4)
    scale = np.linspace(0.5, 3, D_IN)
    return (generator.normal(size=(n, D_IN)) * scale + 4).astype(np.float32)


@pytest.fixture(params=ARCHITECTURES)
def sae(request: pytest.FixtureRequest) -> Any:
    sae = random_sae(request.param)
    sae.cfg.metadata.hook_name = "blocks.1.hook_resid_post"
    return sae


def test_numbers_of_the_same_definition_are_the_same(sae: Any) -> None:
    x = vectors_with_a_mean()
    theirs, _ = saelens_evaluation(sae, x, context_size=50)
    sums, counts = our_evaluation(sae, x)
    assert sums.explained_variance() == pytest.approx(theirs["explained_variance"], rel=FLOAT32)
    assert sums.cosine() == pytest.approx(theirs["cossim"], rel=FLOAT32)
    assert counts.l0() == pytest.approx(theirs["l0"], rel=FLOAT32)
    assert 0 < counts.l0() < D_SAE


def test_their_squared_error_is_summed_over_dimensions(sae: Any) -> None:
    x = vectors_with_a_mean()
    theirs, _ = saelens_evaluation(sae, x, context_size=50)
    sums, _ = our_evaluation(sae, x)
    assert sums.mse() * D_IN == pytest.approx(theirs["mse"], rel=FLOAT32)


def test_their_density_of_each_latent_gives_our_dead_and_dense_shares(sae: Any) -> None:
    x = vectors_with_a_mean()
    _, of_latents = saelens_evaluation(sae, x, context_size=50)
    density = np.array(of_latents["feature_density"])
    _, counts = our_evaluation(sae, x)
    np.testing.assert_allclose(counts.fired / counts.n, density, rtol=1e-6)
    assert counts.dead_fraction() == (density == 0).mean()
    # 10% of 300 is 30, a whole number: nothing of the density is within rounding above it.
    assert counts.dense_fraction() == (np.rint(density * 300) > 30).mean()
    assert 0 < counts.dense_fraction() < 1


def test_the_mean_of_ratios_that_they_call_legacy_is_another_number(sae: Any) -> None:
    x = vectors_with_a_mean()
    theirs, _ = saelens_evaluation(sae, x, context_size=len(x))
    _, x_hat = run_saelens(sae, x, True)
    wide = x.astype(np.float64)
    ratios = ((wide - x_hat) ** 2).sum(axis=1) / ((wide - wide.mean(axis=0)) ** 2).sum(axis=1)
    assert theirs["explained_variance_legacy"] == pytest.approx(1 - ratios.mean(), rel=1e-3)
    sums, _ = our_evaluation(sae, x)
    assert abs(sums.explained_variance() - theirs["explained_variance_legacy"]) > 1e-3


def test_only_the_legacy_number_changes_with_the_batches() -> None:
    sae = random_sae("jumprelu")
    sae.cfg.metadata.hook_name = "blocks.1.hook_resid_post"
    x = vectors_with_a_mean()
    small, _ = saelens_evaluation(sae, x, context_size=5)
    large, _ = saelens_evaluation(sae, x, context_size=300)
    assert small["explained_variance"] == pytest.approx(large["explained_variance"], rel=FLOAT32)
    assert abs(small["explained_variance_legacy"] - large["explained_variance_legacy"]) > 1e-2


@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
def test_a_reconstruction_of_zero_makes_their_cosine_nan_and_is_left_out_of_ours() -> None:
    sae = random_sae("topk")
    sae.cfg.metadata.hook_name = "blocks.1.hook_resid_post"
    with torch.no_grad():
        sae.b_dec.zero_()
        sae.b_enc.zero_()
        sae.cfg.apply_b_dec_to_input = False
    x = vectors_with_a_mean(40)
    x[7] = 0
    theirs, _ = saelens_evaluation(sae, x, context_size=40)
    sums, _ = our_evaluation(sae, x)
    assert np.isnan(theirs["cossim"])
    rest, _ = saelens_evaluation(sae, np.delete(x, 7, axis=0), context_size=39)
    assert sums.cosine() == pytest.approx(rest["cossim"], rel=FLOAT32)
    assert (sums.n_cosines, sums.n) == (39, 40)


def test_the_numbers_of_a_report_are_those_of_saelens(good_release: Any) -> None:
    subject = RepositorySubject(
        LocalRepository(good_release.repository),
        local_claim(good_release.loaded),
        options=ValidateOptions(base_model=str(good_release.base_model)),
        progress=Silent(),
    )
    for sae in subject.saes:
        held_out = subject.evidence.sample(sae, train=False).vectors
        ours = {name: found.value for name, found in sae.evaluation.measurements.items()}
        theirs, of_latents = saelens_evaluation(sae.saelens, held_out, context_size=10)
        density = np.array(of_latents["feature_density"])
        assert ours["explained_variance"] == pytest.approx(
            theirs["explained_variance"], rel=FLOAT32
        )
        assert ours["mse"] == pytest.approx(theirs["mse"] / held_out.shape[1], rel=1e-3)
        assert ours["cosine"] == pytest.approx(theirs["cossim"], rel=FLOAT32)
        assert ours["l0"] == pytest.approx(theirs["l0"], rel=FLOAT32)
        assert ours["dead_fraction"] == (density == 0).mean()
        of_ev = sae.evaluation.measurements["explained_variance"]
        assert of_ev.low is not None
        assert of_ev.high is not None
        assert of_ev.low <= of_ev.value <= of_ev.high
