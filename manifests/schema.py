"""The JSON Schema by which editors check a manifest while it is written.

It describes the file as people write it, before the study file is merged in: `base_model` and the
items of `caveats` may be names of the study's registers, and whatever the study's defaults can
supply is not required. Whether a manifest is complete and can be true, only loading it tells.
"""

from __future__ import annotations

import json
from typing import Any

from manifests.extends import EXTENDS
from manifests.model import Manifest

# Mappings that are merged with the study file's key by key, so that each may be written in part.
_MERGED = ("BaseModelSpec", "Data", "Hardware", "Recipe", "SaeMatrix")
_REGISTER_NAME: dict[str, Any] = {
    "type": "string",
    "minLength": 1,
    "description": "The name of an entry in the study file.",
}


def manifest_schema() -> str:
    """The schema as indented JSON with a final newline; the same text for the same models."""
    schema = Manifest.model_json_schema()
    definitions, properties = schema["$defs"], schema["properties"]
    own_required = schema.pop("required")
    for name in _MERGED:
        definitions[name].pop("required", None)
    definitions["BaseModelSpec"]["properties"]["use"] = _REGISTER_NAME
    properties[EXTENDS] = {
        "type": "string",
        "pattern": "^[^/\\\\]+\\.ya?ml$",
        "description": "The study file that supplies defaults and registers.",
    }
    properties["base_model"] = {"anyOf": [_REGISTER_NAME, properties["base_model"]]}
    caveats = properties["caveats"]
    caveats["items"] = {"anyOf": [_REGISTER_NAME, caveats["items"]]}
    # Alone, a manifest states everything; with a study file, only the loader knows what is left.
    schema["if"] = {"not": {"required": [EXTENDS]}}
    schema["then"] = {"required": own_required}
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return json.dumps(schema, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
