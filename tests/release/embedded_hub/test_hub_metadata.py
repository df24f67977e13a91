"""The metadata check of the embedded Hub, without a server."""

from __future__ import annotations

import pytest
from huggingface_hub import ModelCard

from release.embedded_hub.model_card import derived_tags, front_matter
from release.embedded_hub.validate_yaml import check_metadata

GOOD = """---
license: apache-2.0
library_name: saelens
base_model: google/gemma-2-2b
base_model_relation: adapter
tags: [sparse-autoencoder]
model-index:
- name: an SAE
  results:
  - task: {type: feature-extraction}
    dataset: {type: monology/pile, name: The Pile}
    metrics: [{type: l0, value: 61.2}]
---
# Card
"""


def test_a_good_card_has_no_problems():
    assert check_metadata(GOOD, "model") == ([], [])


@pytest.mark.parametrize(
    ("line", "field"),
    [
        ("license: my-own", "license"),
        ("base_model_relation: sae", "base_model_relation"),
        ("tags: sparse-autoencoder", "tags"),
        ("datasets: {a: b}", "datasets"),
        ("library_name: [saelens]", "library_name"),
        ("license: mit\nlicense_name: mine", "license_name"),
        ("model-index: {}", "model-index"),
        ("model-index: [{name: x, results: [{task: {type: t}}]}]", "dataset.type"),
        ("license: [unclosed", "YAML"),
        ("- a list", "mapping"),
    ],
)
def test_each_mistake_names_its_field(line, field):
    errors, _ = check_metadata(f"---\n{line}\n---\n", "model")
    assert errors
    assert any(field in error for error in errors)


@pytest.mark.parametrize("text", ["", "# No metadata", "---\n---\n", "---\nlicense: mit\n"])
def test_missing_metadata_is_a_warning(text):
    errors, warnings = check_metadata(text, "model")
    assert errors == []
    assert warnings == ["empty or missing yaml metadata in repo card"]


def test_an_unknown_pipeline_tag_is_a_warning():
    assert check_metadata("---\npipeline_tag: sae\n---\n", "model")[1]


def test_the_card_class_gets_its_answer_as_text(hub, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.endpoint)
    ModelCard(GOOD).validate()
    with pytest.raises(ValueError, match='- Error: "license" must be one of'):
        ModelCard("---\nlicense: my-own\n---\n# Card\n").validate()


def test_front_matter_ends_at_the_second_line_of_dashes():
    assert front_matter("---\na: 1\n---\n---\nb: 2\n---\n") == "a: 1"
    assert front_matter("text\n---\na: 1\n---\n") is None


def test_tags_are_derived_from_metadata():
    tags = derived_tags({"library_name": "saelens", "base_model": "a/b", "datasets": ["c/d"]})
    assert tags == ["saelens", "base_model:a/b", "dataset:c/d", "region:us"]
