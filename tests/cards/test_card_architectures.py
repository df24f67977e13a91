"""Cards of every architecture, of thresholds that are fixed at zero, and of plain text."""

from __future__ import annotations

import ast
import json
import re
from dataclasses import replace
from typing import Any, get_args

import pytest
import torch
import yaml
from huggingface_hub import ModelCard

from cards.sections.architectures import ARCHITECTURES, FIXED_AT_ZERO
from cards.stage import rendered_files
from manifests.sae_recipes import Architecture, saved_architecture
from validators.saelens.format import TENSOR_SHAPES
from validators.training_record import Replacement, Substitution

ALL = get_args(Architecture)
RECIPES = {
    "batchtopk": {"k": 6},
    "matryoshka_batchtopk": {"k": 6, "widths": [8, 16]},
    "standard": {"l1_coefficient": 0.05},
}


@pytest.fixture
def six(manifest_data: dict[str, Any]) -> dict[str, Any]:
    """The manifest with all six architectures: 2 layers x 6 x 2 conditions = 24 SAEs."""
    manifest_data["saes"]["architectures"] = list(ALL)
    manifest_data["recipe"] |= RECIPES
    manifest_data["recipe"] |= {"warmup": 0.05, "decay": 0.2}
    return manifest_data


@pytest.fixture
def fixed(manifest_data: dict[str, Any]) -> dict[str, Any]:
    """Plain JumpReLU SAEs with thresholds fixed at zero, and a variant that learns them."""
    learned = manifest_data["recipe"]["jumprelu"]
    manifest_data["recipe"]["jumprelu"] = {"threshold": "fixed_at_zero"}
    manifest_data["recipe"]["variants"] = {"ste": {"jumprelu": learned}}
    manifest_data["saes"] |= {
        "architectures": ["topk", "jumprelu"],
        "include": [{"architectures": ["jumprelu"], "variants": ["ste"]}],
    }
    return manifest_data


@pytest.fixture
def of_text(manifest_data: dict[str, Any]) -> dict[str, Any]:
    """SAEs of every token of a data set of plain text."""
    manifest_data["saes"] |= {"conditions": ["mixed"], "architectures": ["topk"]}
    manifest_data["data"] = {
        "dataset": {"id": "demo/documents", "revision": "v2"},
        "sha256": "d" * 64,
        "text": {"context_size": 128, "skip_first": 1},
        "description": "Documents.",
        "pooling": "every_token",
        "conditions": {"mixed": {}},
        "held_out": {"fraction": 0.1, "seed": 0},
    }
    return manifest_data


def readme(release: Any) -> str:
    return rendered_files(release.sources)["README.md"].decode("utf-8")


def section(text: str, title: str) -> str:
    return text.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def code_blocks(text: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("name", ALL)
def test_the_tensors_and_the_saved_name_are_saelens_own(name: Architecture) -> None:
    facts = ARCHITECTURES[name]
    assert facts.saved_as == saved_architecture(name)
    assert dict(facts.tensors) == TENSOR_SHAPES[facts.saved_as]


def test_a_card_renders_for_all_six_architectures_with_every_number_measured(six, make) -> None:
    release = make(six)
    text = readme(release)
    assert len(release.loaded.saes) == 24
    rows = re.findall(
        r"^\| `(tiny_\w+)` \| \d+ \| .*$", section(text, "Measurements"), re.MULTILINE
    )
    assert rows == [spec.sae_id for spec in release.loaded.saes]
    # The fixture has 0.81 - 0.05 x i for SAE i, and nothing is left unmeasured.
    assert "not measured (" not in text and "**Not measured.**" not in text
    for facts in ARCHITECTURES.values():
        (row,) = [
            r for r in section(text, "Format").splitlines() if r.startswith(f"| {facts.label} |")
        ]
        assert f"| `{facts.saved_as}` |" in row
        assert facts.reference[1] in section(text, "References")
    contents = section(text, "Contents")
    assert "TopK, JumpReLU, Gated, BatchTopK, Matryoshka BatchTopK, Standard." in contents
    training = section(text, "Training")
    assert "- Matryoshka BatchTopK: `k` 6," in training and "`widths` 8, 16" in training
    assert "Shares of the steps: `warmup` 0.05, `decay` 0.2." in training
    assert ModelCard(text).data.to_dict()["model-index"][0]["results"]


def test_what_l0_says_stands_by_the_architectures_that_share_it(six, make) -> None:
    measurements = section(readme(make(six)), "Measurements")
    (line,) = [li for li in measurements.splitlines() if li.startswith("- **L0**")]
    assert "TopK: at most `k` for every vector" in line
    assert "JumpReLU, Gated, Standard: what the sparsity term" in line
    assert "BatchTopK, Matryoshka BatchTopK: while training, `k` was the mean over a batch" in line


def test_only_learned_thresholds_are_tabled_and_asked_for(six, make) -> None:
    release = make(six)
    moved = "threshold_moved_fraction"
    for spec in release.loaded.saes:
        if spec.architecture != "jumprelu":
            release = release.without_metric(spec.sae_id, moved)
    table = section(readme(release), "Measurements").split("### JumpReLU thresholds")[1]
    shown = re.findall(r"^\| `(tiny_\w+)` \|", table, re.MULTILINE)
    assert shown == [s.sae_id for s in release.loaded.saes if s.architecture == "jumprelu"]


def test_the_index_tells_what_was_trained_from_what_is_saved(six, make) -> None:
    index = json.loads(rendered_files(make(six).sources)["config.json"])
    found = {e["architecture"]: (e["saved_architecture"], e["thresholds"]) for e in index["saes"]}
    assert found == {
        "topk": ("topk", None),
        "jumprelu": ("jumprelu", "learned"),
        "gated": ("gated", None),
        "batchtopk": ("jumprelu", "one_for_all"),
        "matryoshka_batchtopk": ("jumprelu", "one_for_all"),
        "standard": ("standard", None),
    }


def test_thresholds_fixed_at_zero_are_called_a_relu_wherever_they_stand(fixed, make) -> None:
    release = make(fixed)
    text = readme(release)
    specs = [s for s in release.loaded.saes if s.architecture == "jumprelu"]
    plain, ste = ([s.sae_id for s in specs if bool(s.variant) is v] for v in (False, True))
    assert len(plain) == len(ste) == 4
    assert FIXED_AT_ZERO.label in section(text, "Contents")
    assert f"| {FIXED_AT_ZERO.label} | `jumprelu` |" in section(text, "Format")
    assert f"- {FIXED_AT_ZERO.label}: `threshold` fixed_at_zero" in section(text, "Training")
    assert "- JumpReLU, variant `ste`: `threshold` learned" in section(text, "Training")
    rows = section(text, "Measurements").split("### JumpReLU thresholds")
    assert re.findall(r"^\| `(\w+)` \(ReLU\) \|", rows[0], re.MULTILINE) == plain
    assert re.findall(r"^\| `(\w+)` \|", rows[1], re.MULTILINE) == ste
    (item,) = [li for li in text.splitlines() if li.startswith("- **ReLU, not JumpReLU.**")]
    assert all(f"`{sae_id}`" in item for sae_id in plain)
    assert not any(f"`{sae_id}`" in item for sae_id in ste)
    index = json.loads(rendered_files(release.sources)["config.json"])
    assert {e["sae_id"]: e["thresholds"] for e in index["saes"] if e["thresholds"]} == {
        **dict.fromkeys(plain, "fixed_at_zero"),
        **dict.fromkeys(ste, "learned"),
    }


def test_learned_thresholds_are_not_called_a_relu(release) -> None:
    assert "(ReLU)" not in readme(release)
    assert "ReLU, not JumpReLU" not in readme(release)


@pytest.mark.parametrize("architecture", ALL)
def test_the_manual_loading_example_handles_what_cfg_json_says(six, make, architecture) -> None:
    six["saes"]["architectures"] = [architecture]
    block = code_blocks(readme(make(six)))[1]
    ast.parse(block)
    branches = re.findall(r'if cfg\["architecture"\] == "(\w+)"', block)
    assert branches == [saved_architecture(architecture)]


def test_the_manual_loading_example_computes_a_relu_for_a_standard_sae(six, make) -> None:
    six["saes"]["architectures"] = ["standard"]
    functions = "def encode" + code_blocks(readme(make(six)))[1].split("def encode", 1)[1]
    weights = {
        "W_enc": torch.tensor([[1.0, -1.0], [0.0, 2.0]]),
        "b_enc": torch.tensor([0.5, 0.0]),
        "W_dec": torch.tensor([[1.0, 0.0], [0.0, 1.0]]),
        "b_dec": torch.tensor([1.0, 0.0]),
    }
    names: dict[str, Any] = {
        "cfg": {"architecture": "standard", "apply_b_dec_to_input": True},
        "w": weights,
    }
    exec(compile(functions, "card", "exec"), names)
    # x - b_dec = (2, 3); times W_enc = (2, -2 + 6) = (2, 4); plus b_enc = (2.5, 4).
    latents = names["encode"](torch.tensor([[3.0, 3.0]]))
    assert latents.tolist() == [[2.5, 4.0]]
    assert names["decode"](latents).tolist() == [[3.5, 4.0]]


def test_a_card_of_plain_text_speaks_of_documents_and_tokens(of_text, make) -> None:
    text = readme(make(of_text))
    data = section(text, "Data and labels")
    assert "Data set on the Hub: `demo/documents@v2`" in data
    assert "A context is 128 consecutive tokens" in data and "There are no labels." in data
    assert "Label rule" not in text and "completion" not in section(text, "Measurements")
    assert "one for each token" in section(text, "Measurements")
    assert "**Held-out documents.**" in section(text, "Limitations")
    front = yaml.safe_load(text.split("\n---\n", 1)[0])
    dataset = front["model-index"][0]["results"][0]["dataset"]
    assert dataset["type"] == "text"
    assert dataset["name"].startswith("Held-out documents of demo/documents@v2, ")
    assert front["datasets"] == ["demo/documents"]
    for block in code_blocks(text):
        ast.parse(block)
    assert "vectors = outputs[0][0, 1:].float()" in code_blocks(text)[2]


def test_what_was_trained_on_in_place_of_the_manifests_data_is_said(release) -> None:
    other = Replacement(stated="data/tiny.jsonl", used="sampled.jsonl", digest="1" * 64)
    substituted = Substitution(base_model=None, data=other)
    training = release.training.model_copy(update={"substituted": substituted})
    text = readme(replace(release, training=training))
    assert "- **Other data.** These SAEs were trained with `sampled.jsonl`" in text
    assert "Other data" not in readme(release)
