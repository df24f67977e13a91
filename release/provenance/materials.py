"""What a release was made from, as in-toto's resource descriptors: base model, data, weights, code.

A digest is stated where somebody computed it of the very bytes that were used; what has none is
named without one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from manifests.load import LoadedManifest
from release.provenance.builder import Builder
from validators.training_record import TrainingRecord

BASE_MODEL = "base model"
DATA = "data"
WEIGHTS = "weights"
SOURCE = "source"
# SHA-256 of the JSON {file name: SHA-256}, since a checkpoint is a folder and no file; in-toto lets
# a digest have another name than those of hash functions, and readers pass over unknown ones.
CHECKPOINT_DIGEST = "saeReleaseCheckpoint"

Descriptor = dict[str, Any]


def materials(
    loaded: LoadedManifest, training: TrainingRecord | None, builder: Builder
) -> list[Descriptor]:
    """Everything that the build took in, sorted by name."""
    found = [
        _base_model(loaded, training),
        *_data(loaded, training),
        *_weights(loaded),
        *_source(builder),
    ]
    return sorted(found, key=lambda descriptor: str(descriptor["name"]))


def hub_uri(repo_id: str, revision: str | None, *, kind: str = "") -> str:
    """The package URL of a model on the Hub; of a data set (`kind` datasets/) its page."""
    if kind:
        page = f"https://huggingface.co/{kind}{repo_id}"
        return f"{page}/tree/{revision}" if revision else page
    return f"pkg:huggingface/{repo_id}" + (f"@{revision}" if revision else "")


def _base_model(loaded: LoadedManifest, training: TrainingRecord | None) -> Descriptor:
    stated = loaded.manifest.base_model
    descriptor: Descriptor = {
        "name": BASE_MODEL,
        "uri": hub_uri(stated.id, stated.revision),
        "annotations": {"id": stated.id, "revision": stated.revision},
    }
    if training is not None:
        is_file = stated.package is not None and stated.package.sha256 == training.base_model.digest
        algorithm = "sha256" if is_file else CHECKPOINT_DIGEST
        descriptor["digest"] = {algorithm: training.base_model.digest}
        descriptor["annotations"]["source"] = training.base_model.source
        descriptor["annotations"]["precision"] = training.base_model.precision.model_dump(
            mode="json"
        )
    return descriptor


def _data(loaded: LoadedManifest, training: TrainingRecord | None) -> Iterator[Descriptor]:
    stated = loaded.manifest.data
    sha256 = training.data.sha256 if training else stated.sha256
    if stated.file is None and stated.dataset is None and sha256 is None:
        return
    descriptor: Descriptor = {"name": DATA}
    if stated.file is not None:
        descriptor["annotations"] = {"file": stated.file}
    elif stated.dataset is not None:
        descriptor["uri"] = hub_uri(stated.dataset.id, stated.dataset.revision, kind="datasets/")
        descriptor["annotations"] = {"dataset": stated.dataset.name}
    if sha256 is not None:
        descriptor["digest"] = {"sha256": sha256}
    yield descriptor


def _weights(loaded: LoadedManifest) -> Iterator[Descriptor]:
    """Where weights come from that were made elsewhere."""
    source = loaded.manifest.weights
    if source is not None:
        yield {"name": WEIGHTS, "uri": hub_uri(source.repo_id, source.revision)}


def _source(builder: Builder) -> Iterator[Descriptor]:
    if builder.source is not None:
        yield {
            "name": SOURCE,
            "uri": builder.source.uri,
            "digest": {"gitCommit": builder.source.git_commit},
        }
