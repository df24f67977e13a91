"""Faults of README.md in prose, tables and metadata: one card that passes, one change each."""

from __future__ import annotations

from faults.damage import Damage, Fault, write_text

HEAD = """---
license: apache-2.0
library_name: saelens
base_model: tiny/llama
base_model_relation: adapter
tags: [sparse-autoencoder]
---

# Tiny SAEs

3 SAEs across 1 layers, 3 architectures: topk, jumprelu, gated; 1 conditions: mixed.
With d_in=16, d_sae=64 (4x expansion), read at `model.layers.1` (`blocks.1.hook_resid_post`).
"""


def card(text: str) -> Damage:
    return write_text("README.md", f"{HEAD}\n{text}\n")


def changed(old: str, new: str) -> Damage:
    assert old in HEAD
    return write_text("README.md", HEAD.replace(old, new))


FAULTS = (
    Fault("R005", "more_saes_than_places", changed("3 SAEs across 1", "4 SAEs across 1")),
    Fault("R005", "product", card("These are 2 layers x 3 conditions = 7 SAEs.")),
    Fault("R005", "d_sae", changed("d_sae=64", "d_sae=128")),
    Fault("R005", "list", card("- 4 layers (L1, L2, L3)"), outcome="warned"),
    Fault("R005", "folders", card("- 5 SAEs trained on residual streams"), outcome="warned"),
    Fault("R006", "share", card("SAEs that beat it: 14/30 (57%).")),
    Fault("R006", "cut_off", card("SAEs that beat it: 2/57 (3%)."), outcome="warned"),
    Fault("R006", "sum", card("All samples: 96 + 85 = 191.")),
    Fault("R007", "gain", card("It has 77.8%, above the baseline of 72.4% by +6.4pp.")),
    Fault("R007", "hidden_digits", card("It has 67.2%, 14.34 points over the baseline of 52.88%."),
          outcome="warned"),
    Fault("R007", "no_operands", card("It improves by +10.1pp."), outcome="noted"),
    Fault("R008", "neither_notation", card("Hook: `model.layers.1.hook_resid_post`.")),
    Fault("R008", "another_class", card("The block is transformer.h.1 of the model.")),
    Fault("R008", "two_notations", card(
        "hook_name format: blocks.{layer}.hook_resid_post\n\n"
        '`cfg["hook_name"] == "model.layers.1"`'), outcome="warned"),
    Fault("R009", "last_layer", card("Peak: L1 (50% depth)")),
    Fault("R009", "no_convention", card("Peak: Layer 0 (30% depth)")),
    Fault("R010", "within_a_rise", card(
        "It rises continuously from L3 (~55%) through L21 (72.4%).\n\nThe L15 raw baseline of 90% "
        "is beaten.")),
    Fault("R010", "equal_to_its_end", card(
        "It rises continuously from L3 (~55%) through L21 (72.4%).\n\nThe L15 raw baseline of "
        "72.4% is beaten."), outcome="warned"),
    Fault("R010", "peak_without_sae", card("- Layers: L3, L6\n- Peak layer: L21"),
          outcome="warned"),
    Fault("R011", "bits", card("In nf4 with double quant, weights take ~3.5 bits/parameter.")),
    Fault("R011", "gigabytes", card("A model of 5.1B params. The fp16 run requires >8 GB VRAM."),
          outcome="warned"),
    Fault("R012", "all_have_thresholds", card(
        "- 2 architectures: TopK, JumpReLU\n\nAll SAEs in this repo have threshold = 0.")),
    Fault("R012", "without_b_dec", card("```python\nf = (x @ W_enc + b_enc).relu()\n```")),
    Fault("R013", "floor", card("- topk architecture: SAELens ≥ 3.0")),
    Fault("R014", "nothing", write_text("README.md", "# Tiny SAEs\n")),
    Fault("R014", "slip", changed("library_name: saelens", "library_name: sae-lens")),
    Fault("R014", "no_yaml", changed("license: apache-2.0", "license: [apache"), outcome="failed"),
    Fault("R014", "no_relation", changed("base_model_relation: adapter\n", ""), outcome="noted"),
    Fault("R015", "file", card("![EV](figures/ev.png)")),
    Fault("R015", "anchor", card("See [limits](#limits)."), outcome="warned"),
    Fault("R016", "two_metrics", card(
        "| metric | value |\n|---|---|\n| balanced accuracy | 72.4% |\n| SAE accuracy | 77.8% |")),
    Fault("R017", "family", card("The base model has the GPT-NeoX architecture.")),
    Fault("R018", "no_block", card("import json\ncfg = json.load(f)")),
    Fault("R019", "help", card(
        "| Peak accuracy | ~69% |\n|---|---|\n| Best SAE accuracy | 60.1% |\n\nSAEs help here.")),
    Fault("R020", "kernel", card("A Gaussian-kernel STE (Rajamanoharan et al. 2024).")),
    Fault("R022", "mean", card(
        "- seed=1: d = 0.561\n- seed=2: d = 0.775\n- seed=3: d = 0.643\n"
        "- d mean ± std = 0.700 ± 0.108 (n=3)")),
    Fault("R022", "spread_by_n", card(
        "- seed=1: d = 0.561\n- seed=2: d = 0.775\n- seed=3: d = 0.643\n"
        "- d mean ± std = 0.660 ± 0.088 (n=3)"), outcome="warned"),
)  # fmt: skip
