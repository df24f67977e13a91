"""The card's code blocks, run as a reader would run them, against a repository of tiny SAEs.

The real huggingface_hub client finds the files in its cache, with the network switched off.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cards.stage import rendered_files
from manifests.sae_recipes import Architecture, saved_architecture

COMMIT = "a" * 40
ARCHITECTURES: tuple[Architecture, ...] = ("topk", "jumprelu", "gated", "batchtopk", "standard")
RUN_BLOCKS = """
import json, sys
import torch
torch.set_num_threads(1)
for blocks in json.loads(sys.stdin.read()):
    names = {}
    for block in blocks:
        exec(compile(block, "card", "exec"), names)
    sae, x = names["sae"], torch.randn(5, 8, generator=torch.Generator().manual_seed(0))
    # Float32 sums of 8 and 32 terms of size 1, in another order.
    close = {"rtol": 1e-5, "atol": 1e-5}
    with torch.no_grad():
        latents, by_hand = sae.encode(x), names["encode"](x)
        assert 0 < by_hand.count_nonzero() < by_hand.numel()
        torch.testing.assert_close(by_hand, latents, **close)
        torch.testing.assert_close(names["decode"](by_hand), sae.decode(latents), **close)
        hidden = names["model"](names["input_ids"], output_hidden_states=True).hidden_states
    # Layer 1's block output is hidden_states[2]: index 0 is the embedding.
    n_prompt = names.get("n_prompt")
    pooled = hidden[2][0, -1] if n_prompt is None else hidden[2][0, n_prompt:]
    pooled = pooled.reshape(-1, 8)
    if len(names["vectors"]) == 1:
        pooled = pooled.mean(dim=0, keepdim=True)
    torch.testing.assert_close(names["vectors"], pooled, **close)
    torch.testing.assert_close(names["latents"], sae.encode(names["vectors"]), **close)
    print(sae.cfg.architecture(), "agrees")
"""


def snapshot(hub_cache: Path, repo_id: str) -> Path:
    """The folder in which huggingface_hub looks for the files of a repository's only commit."""
    repository = hub_cache / f"models--{repo_id.replace('/', '--')}"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(COMMIT, encoding="utf-8")
    folder = repository / "snapshots" / COMMIT
    folder.mkdir(parents=True)
    return folder


def write_sae(folder: Path, architecture: Architecture, *, apply_b_dec_to_input: bool) -> None:
    """Random weights of one SAE with d_in 8 and d_sae 32, in SAELens' format."""
    import torch
    from safetensors.torch import save_file

    folder.mkdir(parents=True)
    generator = torch.Generator().manual_seed(ARCHITECTURES.index(architecture))

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    weights = {"W_enc": random(8, 32), "W_dec": random(32, 8), "b_dec": random(8)}
    extra: dict[str, Any] = {}
    if architecture == "gated":
        weights |= {"b_gate": random(32), "r_mag": random(32), "b_mag": random(32)}
    else:
        weights["b_enc"] = random(32)
    if architecture == "jumprelu":
        weights["threshold"] = random(32).abs()
    if architecture == "batchtopk":
        weights["threshold"] = torch.full((32,), 0.5)
    if architecture == "topk":
        extra = {"k": 4, "rescale_acts_by_decoder_norm": False}
    save_file(weights, folder / "sae_weights.safetensors")
    config = {
        "architecture": saved_architecture(architecture),
        "d_in": 8,
        "d_sae": 32,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": apply_b_dec_to_input,
        "normalize_activations": "none",
        "reshape_activations": "none",
        "metadata": {
            "sae_lens_version": "6.54.12",
            "hook_name": "blocks.1.hook_resid_post",
            "hf_hook_name": "model.layers.1",
        },
        **extra,
    }
    (folder / "cfg.json").write_text(json.dumps(config), encoding="utf-8")


def write_base_model(folder: Path) -> None:
    """A random Llama with 4 blocks of width 8, and a tokenizer of single characters."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=128,
        hidden_size=8,
        intermediate_size=16,
        num_hidden_layers=4,
        num_attention_heads=2,
        num_key_value_heads=2,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    vocabulary = {chr(code): code for code in range(128)}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="?"))
    backend.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="?")
    tokenizer.chat_template = "{% for message in messages %}<{{ message['content'] }}>{% endfor %}"
    tokenizer.save_pretrained(folder)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("pooling", "apply_b_dec_to_input"),
    [("last_token", True), ("completion_mean", False), ("every_token", True)],
)
def test_the_code_blocks_load_every_architecture_and_agree_with_saelens(
    manifest_data, make, tmp_path: Path, pooling: str, apply_b_dec_to_input: bool
) -> None:
    manifest_data["data"]["pooling"] = pooling
    manifest_data["saes"]["architectures"] = list(ARCHITECTURES)
    manifest_data["recipe"] |= {"batchtopk": {"k": 4}, "standard": {"l1_coefficient": 0.1}}
    release = make(manifest_data)
    card = rendered_files(release.sources)["README.md"].decode("utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", card, flags=re.MULTILINE | re.DOTALL)
    assert len(blocks) == 4
    agree_with_saelens(release, blocks, tmp_path, apply_b_dec_to_input=apply_b_dec_to_input)


@pytest.mark.slow
def test_the_code_blocks_load_a_quantised_base_model(manifest_data, make, tmp_path: Path) -> None:
    quantised = {"weights": "nf4", "compute": "fp32", "double_quantization": True}
    manifest_data["base_model"]["precision"] = quantised
    manifest_data["saes"]["architectures"] = list(ARCHITECTURES)
    manifest_data["recipe"] |= {"batchtopk": {"k": 4}, "standard": {"l1_coefficient": 0.1}}
    release = make(manifest_data)
    card = rendered_files(release.sources)["README.md"].decode("utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", card, flags=re.MULTILINE | re.DOTALL)
    # The caveat's own block stands first.
    assert len(blocks) == 5 and "quantization_config=quantisation" in blocks[3]
    check = 'assert type(model.model.layers[1].mlp.up_proj).__name__ == "Linear4bit"\n'
    agree_with_saelens(release, [*blocks, check], tmp_path, apply_b_dec_to_input=True)


def agree_with_saelens(
    release: Any, blocks: list[str], tmp_path: Path, *, apply_b_dec_to_input: bool
) -> None:
    """Run the blocks for each architecture, and compare what they bind with SAELens."""
    hub_cache = tmp_path / "hub"
    repository = snapshot(hub_cache, "demo/tiny-saes")
    write_base_model(snapshot(hub_cache, "demo/tiny-llama"))
    shown = release.loaded.saes[0].sae_id
    runs = []
    for architecture in ARCHITECTURES:
        sae_id = f"tiny_{architecture}_L1_mixed"
        write_sae(repository / sae_id, architecture, apply_b_dec_to_input=apply_b_dec_to_input)
        runs.append([block.replace(shown, sae_id) for block in blocks])

    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", RUN_BLOCKS],
        input=json.dumps(runs),
        env={**os.environ, "HF_HUB_CACHE": str(hub_cache), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    agreed = [line for line in done.stdout.splitlines() if line.endswith(" agrees")]
    assert agreed == [f"{saved_architecture(name)} agrees" for name in ARCHITECTURES]
