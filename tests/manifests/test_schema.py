from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from manifests.schema import manifest_schema
from manifests.shelf import manifest_files
from manifests.yaml_source import read_yaml

FOLDER = Path(__file__).parents[2] / "manifests"


@pytest.fixture(scope="module")
def validator() -> Any:
    schema = json.loads(manifest_schema())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def problems(validator: Any, data: Any) -> list[str]:
    return [error.message for error in validator.iter_errors(data)]


def test_the_committed_schema_is_what_the_models_give_now() -> None:
    committed = (FOLDER / "schema.json").read_text(encoding="utf-8")
    assert committed == manifest_schema(), "run: release schema --out manifests/schema.json"


@pytest.mark.parametrize("path", manifest_files(FOLDER), ids=lambda path: path.stem)
def test_a_manifest_names_the_schema_and_follows_it(path: Path, validator: Any) -> None:
    first_line = path.read_text(encoding="utf-8").splitlines()[0]
    assert first_line == "# yaml-language-server: $schema=./schema.json"
    assert problems(validator, read_yaml(path).data) == []


def test_an_editor_marks_an_unknown_key(validator: Any) -> None:
    data = read_yaml(FOLDER / "tinyllama-1-1b.yaml").data
    assert any("epoch" in p for p in problems(validator, data | {"recipe": {"epoch": 3}}))
    assert any("titel" in p for p in problems(validator, data | {"titel": "x"}))


def test_an_editor_marks_a_wrong_type(validator: Any) -> None:
    data = read_yaml(FOLDER / "tinyllama-1-1b.yaml").data
    assert problems(validator, data | {"recipe": {"epochs": "many"}})


def test_without_a_study_file_everything_required_is_asked_for(validator: Any) -> None:
    missing = problems(validator, {"schema_version": 1})
    assert "'base_model' is a required property" in missing
    assert problems(validator, {"schema_version": 1, "extends": "study.yaml"}) == []
