from __future__ import annotations

from typing import Any

import pytest
import yaml

from cards.front_matter import front_matter
from cards.licenses import HUB_LICENSES
from cards.stage import rendered_files
from release.embedded_hub.metadata_terms import BASE_MODEL_RELATIONS, LICENSES
from release.embedded_hub.validate_yaml import check_metadata


def readme(release) -> str:
    return rendered_files(release.sources)["README.md"].decode("utf-8")


def test_the_hub_neither_refuses_nor_warns_of_a_card(release) -> None:
    assert check_metadata(readme(release), "model") == ([], [])


@pytest.mark.parametrize("relation", BASE_MODEL_RELATIONS)
@pytest.mark.parametrize("tags", [[], ["1e3", "no", "a: b", "- c", "é"]])
@pytest.mark.parametrize("license_id", [None, "mit", "openmdw-1.0"])
def test_whatever_a_manifest_chooses_the_hub_takes(
    manifest_data, make, relation: str, tags: list[str], license_id: str | None
) -> None:
    manifest_data["base_model"]["relation"] = relation
    manifest_data |= {"license": license_id, "tags": tags, "language": ["no", "en"]}
    text = readme(make(manifest_data))
    assert check_metadata(text, "model") == ([], [])
    front = yaml.safe_load(text.split("\n---\n", 1)[0])
    assert front["base_model_relation"] == relation
    # YAML reads a bare no as false, and 1e3 as a number in some versions.
    assert front["language"] == ["no", "en"] and front.get("tags", []) == tags
    assert front.get("license") == license_id


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("license: apache-2.0", "license: Apache 2"),
        ("base_model_relation: adapter", "base_model_relation: sae"),
        ("    - task:\n        type: activation", "    - task:\n        kind: activation"),
        ("        type: labelled-completions\n", ""),
        ("        value: 0.81\n", ""),
        ("- sparse-autoencoder\n", "- 5\n"),
    ],
)
def test_the_rules_see_each_part_of_a_card_that_is_wrong(release, right: str, wrong: str) -> None:
    text = readme(release)
    # The dump chooses how deep lists are indented.
    squeezed = "\n".join(line.strip() for line in text.split("\n---\n", 1)[0].splitlines())
    assert all(line.strip() in squeezed for line in right.splitlines())
    front = yaml.safe_load(text.split("\n---\n", 1)[0])
    dumped = yaml.safe_dump(damaged(front, right, wrong), sort_keys=False)
    errors, _ = check_metadata(f"---\n{dumped}---\n", "model")
    assert errors


def damaged(front: dict[str, Any], right: str, wrong: str) -> dict[str, Any]:
    """The metadata with the part that `right` names changed as `wrong` says."""
    result = front["model-index"][0]["results"][0]
    if right.startswith(("license", "base_model_relation")):
        key, value = wrong.split(": ")
        front[key] = value
    elif "task" in right:
        result["task"] = {"kind": result["task"]["type"]}
    elif "labelled" in right:
        del result["dataset"]["type"]
    elif "value" in right:
        del result["metrics"][0]["value"]
    else:
        front["tags"][0] = 5
    return front


def test_every_license_of_the_manifest_is_one_of_the_hubs_and_the_other_way_round() -> None:
    assert HUB_LICENSES == LICENSES


def test_the_same_sources_give_the_same_bytes(release) -> None:
    assert front_matter(release.sources) == front_matter(release.sources)
    assert "\r" not in front_matter(release.sources)
