"""A good repository to damage."""

from __future__ import annotations

from pathlib import Path

import pytest
from hostile_inputs import SAE


@pytest.fixture(scope="session")
def good_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One TopK SAE, d_in 16 and d_sae 64, as SAELens saves it."""
    import torch
    from sae_lens.saes.topk_sae import TopKSAE, TopKSAEConfig

    root = tmp_path_factory.mktemp("good")
    config = TopKSAEConfig(d_in=16, d_sae=64, k=4, dtype="float32", device="cpu")
    config.metadata.model_name = "someone/tiny"
    config.metadata.hook_name = "blocks.1.hook_resid_post"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        sae = TopKSAE(config)
        W_dec = torch.nn.functional.normalize(torch.randn(64, 16), dim=1)
        sae.W_dec.data = W_dec
        # As after training: near the transposed decoder, and with biases.
        sae.W_enc.data = (W_dec.T + 0.1 * torch.randn(16, 64)).contiguous()
        sae.b_enc.data, sae.b_dec.data = 0.1 * torch.randn(64), 0.1 * torch.randn(16)
    sae.save_model(root / SAE)
    return root
