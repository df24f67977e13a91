from __future__ import annotations

from collections.abc import Callable
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
@pytest.mark.parametrize("tags", [[], ["1.5", "no", "a: b", "- c", "é"]])
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
    # YAML reads a bare no as false.
    assert front["language"] == ["no", "en"] and front.get("tags", []) == tags
    assert front.get("license") == license_id


DAMAGES: dict[str, Callable[[dict[str, Any], dict[str, Any]], Any]] = {
    '"license"': lambda front, result: front.update(license="Apache 2"),
    '"base_model_relation"': lambda front, result: front.update(base_model_relation="sae"),
    '"base_model"': lambda front, result: front.update(base_model=5),
    '"tags"': lambda front, result: front["tags"].append(5),
    '"language"': lambda front, result: front.update(language=[False]),
    "task.type": lambda front, result: result["task"].pop("type"),
    "dataset.name": lambda front, result: result["dataset"].pop("name"),
    "metrics": lambda front, result: result["metrics"][0].pop("value"),
}


@pytest.mark.parametrize("named", DAMAGES)
def test_the_rules_that_a_card_passes_fault_each_part_of_it_when_damaged(
    release, named: str
) -> None:
    front = yaml.safe_load(readme(release).split("\n---\n", 1)[0])
    DAMAGES[named](front, front["model-index"][0]["results"][0])
    errors, _ = check_metadata(f"---\n{yaml.safe_dump(front)}---\n", "model")
    assert len(errors) == 1 and named in errors[0]


def test_every_license_of_the_manifest_is_one_of_the_hubs_and_the_other_way_round() -> None:
    assert HUB_LICENSES == LICENSES


def test_the_same_sources_give_the_same_bytes(release) -> None:
    assert front_matter(release.sources) == front_matter(release.sources)
    assert "\r" not in front_matter(release.sources)
