"""A collection of two repositories: the hand-made release, and one without a manifest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

STUDY: dict[str, Any] = {
    "defaults": {
        "license": "apache-2.0",
        "tags": ["sparse-autoencoder"],
        "code": "https://example.org/study",
        "citations": [
            {
                "key": "a2025",
                "title": "A Title of Some Words",
                "authors": ["One Author", "Two Author"],
                "year": 2025,
                "arxiv": "2509.20393",
            }
        ],
        "recipe": {"epochs": 3},
    },
    "base_models": {
        "tiny": {"id": "demo/tiny-llama", "model_type": "llama", "n_layers": 4, "d_model": 8},
        "other": {"id": "demo/other", "model_type": None, "n_layers": None, "d_model": None},
    },
}
COLLECTION: dict[str, Any] = {
    "kind": "collection",
    "schema_version": 1,
    "repo_id": "demo/all-saes",
    "title": "All SAEs",
    "summary": "Two repositories, made by hand for a test.",
    "study": "study.yaml",
    "members": [
        {
            "base_model": "tiny",
            "manifest": "tiny.yaml",
            "reported_n_saes": 13,
            "source": "its page, line 2",
        },
        {
            "base_model": "other",
            "repo_id": "demo/other-saes",
            "reported_n_saes": 5,
            "n_variants": 2,
            "source": "another page",
        },
    ],
    "reported_totals": [
        {"name": "the first total", "n_saes": 18, "n_models": 2, "source": "a page"},
        {"name": "the second total", "n_saes": 15, "source": "another page"},
        {"name": "the third total", "n_saes": 40, "source": "a third page"},
    ],
    "resolutions": [
        {"found": "One page says 18.", "resolved": "It counts 13.", "about_totals": True},
        {"found": "A name was wrong.", "resolved": "See study.yaml."},
    ],
}


def write_collection(
    folder: Path, collection: dict[str, Any], study: dict[str, Any] = STUDY
) -> Path:
    """Both files, in the folder of the members' manifests."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in (("study", study), ("all", collection)):
        text = yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8", newline="\n")
    return folder / "all.yaml"
