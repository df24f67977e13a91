"""Works that the study file beside the manifests cites, by arXiv id, with title and authors."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from manifests.facts import Citation
from manifests.shelf import STUDY_FILES
from manifests.yaml_source import read_yaml


def registered_paper(arxiv: str, *, manifests: Path) -> Citation | None:
    """The citation with this id among the defaults of a study file, if one has it.

    Raises:
        YamlProblem: the study file cannot be read.
    """
    for path in (manifests / name for name in STUDY_FILES):
        data = read_yaml(path).data if path.is_file() else None
        defaults = data.get("defaults") if isinstance(data, dict) else None
        cited = defaults.get("citations") if isinstance(defaults, dict) else None
        for entry in cited if isinstance(cited, list) else ():
            if isinstance(entry, dict) and entry.get("arxiv") == arxiv:
                try:
                    return Citation.model_validate(entry)
                except ValidationError:
                    continue  # `release show` names what is wrong with it
    return None
