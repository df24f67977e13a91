"""POST /api/validate-yaml: is the metadata of a README acceptable?

The real Hub's checks are not published. Checked here: that the block is there and is YAML, the
types of the fields, the lists of licences and relations, and names that only ask for a warning.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import yaml
from starlette.responses import JSONResponse, PlainTextResponse, Response

from release.embedded_hub.call import Call
from release.embedded_hub.metadata_terms import (
    BASE_MODEL_RELATIONS,
    LIBRARIES,
    LICENSES,
    PIPELINE_TAGS,
)
from release.embedded_hub.model_card import front_matter

Problem = Callable[[str], None]


def validate_yaml(call: Call) -> Response:
    """Answer in JSON, or in plain text to a client that accepts only that."""
    wanted = call.json()
    errors, warnings = check_metadata(
        str(wanted.get("content", "")), str(wanted.get("repoType") or "model")
    )
    status = 400 if errors else 200
    if call.headers.get("accept", "").startswith("text/plain"):
        lines = [f"- Error: {text}" for text in errors]
        lines += [f"- Warning: {text}" for text in warnings]
        return PlainTextResponse("\n".join(lines), status_code=status)
    answer: dict[str, Any] = {
        "errors": [{"message": text} for text in errors],
        "warnings": [{"message": text} for text in warnings],
    }
    if errors:
        answer["error"] = "Invalid metadata in README.md"
    return JSONResponse(answer, status_code=status)


def check_metadata(readme: str, kind: str) -> tuple[list[str], list[str]]:
    """Errors and warnings about a README's metadata, for a `model`, `dataset` or `space`."""
    block = front_matter(readme)
    if block is None or not block.strip():
        return [], ["empty or missing yaml metadata in repo card"]
    try:
        data = yaml.safe_load(block)
    except yaml.YAMLError as error:
        return [f"metadata is not valid YAML: {error}"], []
    if not isinstance(data, dict):
        return ["metadata must be a mapping"], []
    errors: list[str] = []
    warnings: list[str] = []
    _check_license(data, errors.append)
    _check_types(data, errors.append)
    if kind == "model":
        _check_model(data, errors.append, warnings.append)
    return errors, warnings


def _check_license(data: dict[str, Any], error: Problem) -> None:
    named = data.get("license")
    for value in named if isinstance(named, list) else [named]:
        if value is not None and value not in LICENSES:
            error(f'"license" must be one of [{", ".join(sorted(LICENSES))}]')
    if "license_name" in data and named != "other":
        error('"license_name" is only allowed with "license: other"')


def _check_types(data: dict[str, Any], error: Problem) -> None:
    for key in ("tags", "datasets", "metrics"):
        if data.get(key) is not None and not _is_list_of_strings(data[key]):
            error(f'"{key}" must be an array of strings')
    for key in ("language", "base_model"):
        value = data.get(key)
        if value is not None and not (isinstance(value, str) or _is_list_of_strings(value)):
            error(f'"{key}" must be a string or an array of strings')
    for key in ("library_name", "pipeline_tag", "license_name", "license_link", "new_version"):
        if data.get(key) is not None and not isinstance(data[key], str):
            error(f'"{key}" must be a string')
    if data.get("model-index") is not None:
        _check_model_index(data["model-index"], error)


def _check_model(data: dict[str, Any], error: Problem, warning: Problem) -> None:
    relation = data.get("base_model_relation")
    if relation is not None and relation not in BASE_MODEL_RELATIONS:
        error(f'"base_model_relation" must be one of [{", ".join(BASE_MODEL_RELATIONS)}]')
    tag, library = data.get("pipeline_tag"), data.get("library_name")
    if isinstance(tag, str) and tag not in PIPELINE_TAGS:
        warning(f'The pipeline tag "{tag}" is not in the official list')
    if isinstance(library, str) and library not in LIBRARIES:
        warning(f'The library "{library}" is not known to the embedded Hub')


def _check_model_index(index: Any, error: Problem) -> None:
    if not isinstance(index, list) or not all(isinstance(entry, dict) for entry in index):
        error('"model-index" must be an array')
        return
    for at, entry in enumerate(index):
        if not isinstance(entry.get("name"), str):
            error(f'"model-index[{at}].name" is required')
        results = entry.get("results")
        if not isinstance(results, list):
            error(f'"model-index[{at}].results" must be an array')
            continue
        for position, result in enumerate(results):
            _check_result(result, f"model-index[{at}].results[{position}]", error)


def _check_result(result: Any, where: str, error: Problem) -> None:
    if not isinstance(result, dict):
        error(f'"{where}" must be a mapping')
        return
    for part, keys in (("task", ("type",)), ("dataset", ("type", "name"))):
        value = result.get(part)
        for key in keys:
            if not isinstance(value, dict) or not isinstance(value.get(key), str):
                error(f'"{where}.{part}.{key}" is required')
    metrics = result.get("metrics")
    if not isinstance(metrics, list) or not all(
        isinstance(metric, dict) and "type" in metric and "value" in metric for metric in metrics
    ):
        error(f'"{where}.metrics" must be an array of mappings with type and value')


def _is_list_of_strings(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)
