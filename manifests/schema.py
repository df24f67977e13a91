"""The JSON Schema of a manifest, generated from the pydantic models."""

from __future__ import annotations

import json

from manifests.model import Manifest


def manifest_schema() -> str:
    """The schema as indented JSON with a final newline; the same text for the same models."""
    schema = Manifest.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return json.dumps(schema, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
