"""The card of a study collection: README.md, an index of its repositories, what both rest on.

A collection is a repository without weights. Its card is made of the collection's YAML file, the
members' manifests, and the reports of those members that are built; equal sources give equal bytes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cards.collection.context import collection_context, source_digests
from cards.collection.index import collection_index
from cards.collection.sources import CollectionSources, SourcesOf, read_collection_sources
from cards.overrides import digests_of
from cards.sources import read_sources
from cards.templating import render_template
from manifests.digests import bytes_sha256

FORMAT = "sae-release.collection-card/1"
TEMPLATE = "study_collection.md.j2"


def collection_files(
    path: Path, builds: Path, *, sources_of: SourcesOf = read_sources
) -> dict[str, bytes]:
    """All files of a collection's repository by path_in_repo; nothing is written.

    Args:
        path: the collection's YAML file.
        builds: the folder whose `<manifest>/repository/report.json` has a member's measurements.
        sources_of: see `read_collection_sources`.

    Raises:
        YamlProblem, ManifestError, CollectionProblem: the collection or a member's manifest is
            wrong.
        UnreadableReport, UnreadableTrainingRecord, SourcesDisagree, MissingMetric: a member's build
            is.
        UnknownLicense: the Hub does not know the collection's license id.
        TemplateProblem, BadOverride: a template names what is not there, or stands for none.
    """
    return rendered_collection(read_collection_sources(path, builds, sources_of=sources_of))


def rendered_collection(sources: CollectionSources) -> dict[str, bytes]:
    """All files by path_in_repo; `card.json` comes last and has the others' SHA-256."""
    readme = render_template(TEMPLATE, collection_context(sources), sources.overrides)
    files = {"README.md": readme.encode("utf-8"), "config.json": _json(collection_index(sources))}
    digests = [source_digests(member) for member in sources.members if member.built]
    files["card.json"] = _json(
        {
            "format": FORMAT,
            "tool_version": sources.tool_version,
            "collection_digest": sources.loaded.digest,
            "members": {
                each.repo_id: {
                    "manifest_digest": each.manifest,
                    "report_digest": each.report,
                    "training_digest": each.training,
                }
                for each in digests
            },
            "template": TEMPLATE,
            "overrides": digests_of(sources.overrides),
            "files": {name: bytes_sha256(content) for name, content in files.items()},
        }
    )
    return files


def _json(value: Any) -> bytes:
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    return (text + "\n").encode("utf-8")
