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
    Fault("R006", "expression", card("Parameters: 2\u00b716\u00b764 + 64 + 16 = 2,182.")),
    Fault("R006", "folds", card("320 answers; 10 folds of 40 answers."), outcome="warned"),
    Fault("R019", "significant", card("With n = 60, p = 0.36, so the effect is significant."),
          outcome="warned"),
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
    Fault("R022", "above_one", card(
        "| layer | EV |\n|---|---|\n| 0 | 0.81 |\n| 1 | 7.90 |\n| 2 | 0.77 |")),
    Fault("R006", "left", card("Of 2,000 replies 140 of 2,000 were dropped. The other 1,680 stay."),
          outcome="warned"),
    Fault("R007", "column", card(
        "| layer | raw | SAE | gain |\n|---|---|---|---|\n| 0 | 71.2 | 72.9 | +1.7 |\n"
        "| 1 | 78.4 | 77.6 | +0.8 |\n| 2 | 75.9 | 77.1 | +1.2 |"), outcome="warned"),
    Fault("R009", "blocks", card("The model has 12 blocks. It is read after 9 of 16 blocks."),
          outcome="warned"),
    Fault("R011", "room", card("A 2 GB card has room for 2.2 GB of weights.")),
    Fault("R012", "one_threshold", card("TopK and Gated files carry a threshold tensor.")),
    Fault("R013", "since", card("JumpReLU has been in SAELens since 3.0.0."), outcome="warned"),
    Fault("R014", "two_licences", card("The SAEs are released under the MIT License."),
          outcome="warned"),
    Fault("R019", "ahead", card(
        "EV, TopK:\n\n| L | 8k |\n|---|---|\n| 1 | 0.5 |\n\nEV, Gated:\n\n"
        "| L | 8k |\n|---|---|\n| 1 | 0.6 |\n\nTopK is ahead in all one cells.")),
    Fault("R023", "row", card(
        "| id | layer | hook |\n|---|---|---|\n"
        "| `tiny_topk_L1_mixed` | 1 | `blocks.0.hook_resid_post` |")),
    Fault("R023", "k", card("| | |\n|---|---|\n| k | 8 |")),
    Fault("R023", "another_kind", card("| | |\n|---|---|\n| architecture | standard |")),
    Fault("R023", "bytes", card("Together the 3 SAEs take 1.5 GB.")),
    Fault("R024", "product", card(
        "| part | steps | batch | tokens |\n|---|---|---|---|\n| a | 100 | 512 | 51,200 |\n"
        "| b | 200 | 512 | 102,400 |\n| c | 300 | 512 | 135,600 |")),
    Fault("R024", "sum", card(
        "| pool | n |\n|---|---|\n| a | 1,040 |\n| b | 820 |\n| sum | 1,680 |")),
    Fault("R024", "mean", card(
        "| layer | raw | SAE |\n|---|---|---|\n| 0 | 80.0 | 70.0 |\n| 1 | 84.0 | 72.0 |\n"
        "| mean | 82.0 | 75.0 |")),
    Fault("R024", "budget", card("The SAEs saw 51.2M tokens: 50,000 steps of 512 tokens.")),
)  # fmt: skip
