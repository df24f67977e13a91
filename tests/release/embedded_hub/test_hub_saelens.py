"""SAELens loads from the embedded Hub what was committed to it."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from huggingface_hub import CommitOperationAdd
from safetensors.numpy import save

LOAD = """
import sys
from sae_lens import SAE
sae = SAE.from_pretrained(release=sys.argv[1], sae_id="blocks.3.hook_resid_post")
print(sae.cfg.architecture(), tuple(sae.W_dec.shape), float(sae.b_dec.sum()))
"""


@pytest.mark.slow
def test_saelens_loads_an_sae_through_hf_endpoint(hub, hub_api, hub_repo, client_environment):
    config = {
        "architecture": "standard",
        "d_in": 8,
        "d_sae": 16,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": True,
        "normalize_activations": "none",
        "reshape_activations": "none",
        "metadata": {"model_name": "gpt2", "hook_name": "blocks.3.hook_resid_post"},
    }
    weights = {
        "W_enc": np.zeros((8, 16), np.float32),
        "W_dec": np.ones((16, 8), np.float32),
        "b_enc": np.zeros(16, np.float32),
        "b_dec": np.full(8, 0.5, np.float32),
    }
    folder = "blocks.3.hook_resid_post"
    hub_api.create_commit(
        hub_repo,
        [
            CommitOperationAdd(f"{folder}/cfg.json", json.dumps(config).encode()),
            CommitOperationAdd(f"{folder}/sae_weights.safetensors", save(weights)),
        ],
        commit_message="an SAE",
    )
    done = subprocess.run(
        [sys.executable, "-c", LOAD, hub_repo],
        env=client_environment | {"HF_ENDPOINT": hub.endpoint, "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[-2] == "standard (16, 8) 4.0"
