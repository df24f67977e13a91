"""Where a release comes from: documents by digest, base model, data, training, versions, builder.

Digests are those of the documents that the page was made of. The provenance statement is shown as
the word of whoever wrote it: a page verifies nothing, `release verify` does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cards import numbers
from release.provenance.builder import LOCAL_BUILDER
from release.report_page.sources import PageSource
from validators.training_record import TrainingRecord


@dataclass(frozen=True)
class Fact:
    """One line: `is_code` for a digest or a name, shown letter by letter."""

    name: str
    value: str
    is_code: bool = False


@dataclass(frozen=True)
class Group:
    """Facts under one heading."""

    title: str
    facts: tuple[Fact, ...]


@dataclass(frozen=True)
class Origins:
    """All that is known; `files` pairs each checked file with its SHA-256."""

    groups: tuple[Group, ...]
    files: tuple[tuple[str, str], ...]


def origins_of(source: PageSource) -> Origins:
    """Collect the facts; a group without any is left out."""
    groups = (
        Group("Documents", tuple(_documents(source))),
        Group("Base model", tuple(_base_model(source))),
        Group("Data", tuple(_data(source))),
        Group("Training", tuple(_training(source.training))),
        Group("Checked and measured with", tuple(_environment(source))),
        Group("Published by", tuple(_publishing(source))),
    )
    checks = source.report.checks if source.report else None
    files = tuple(sorted(checks.inputs.items())) if checks else ()
    return Origins(tuple(group for group in groups if group.facts), files)


def _documents(source: PageSource) -> Iterator[Fact]:
    yield Fact("Read from", source.origin)
    claim, report = source.claim, source.report
    if claim is not None and claim.loaded is not None:
        yield Fact("Manifest", claim.loaded.digest, is_code=True)
    elif claim is not None:
        yield Fact("Manifest", claim.manifest.digest(), is_code=True)
    if report is not None:
        if source.report_digest:
            yield Fact("Report", source.report_digest, is_code=True)
        yield Fact("Report made by", f"sae-release {report.tool_version}")
        if report.manifest_digest:
            yield Fact("Report is of the manifest", report.manifest_digest, is_code=True)
        if report.checks is not None and report.checks.tiers:
            yield Fact("Checked up to", f"tier {report.checks.tiers[-1]}")


def _base_model(source: PageSource) -> Iterator[Fact]:
    model = source.claim.manifest.base_model if source.claim else None
    if model is not None:
        yield Fact("Id", model.id, is_code=True)
        yield Fact("Revision", model.revision or "not stated", is_code=bool(model.revision))
        yield Fact("Precision", f"{model.precision.weights}, computed in {model.precision.compute}")
    if source.training is not None:
        used = source.training.base_model
        yield Fact("Trained on", used.source)
        yield Fact("Weights", used.digest, is_code=True)


def _data(source: PageSource) -> Iterator[Fact]:
    if source.training is not None:
        used = source.training.data
        if used.file or used.dataset:
            yield Fact("Source", used.file or used.dataset or "", is_code=True)
        if used.sha256:
            yield Fact("SHA-256", used.sha256, is_code=True)
        yield Fact("Pooling", used.pooling)
        for condition, counts in used.n_vectors.items():
            yield Fact(
                f"Vectors, {condition}",
                f"{counts.train:,} to train on, {counts.held_out:,} held out",
            )
    elif source.claim is not None:
        data = source.claim.manifest.data
        if data.sha256:
            yield Fact("SHA-256", data.sha256, is_code=True)


def _training(training: TrainingRecord | None) -> Iterator[Fact]:
    if training is None:
        return
    yield Fact("Made by", f"sae-release {training.tool_version}")
    yield Fact("Time", f"{numbers.duration(training.seconds_total)} over all SAEs")
    if training.substituted is not None:
        yield Fact("Substituted", "base model or data are not those that the manifest names")
    yield from _pairs(training.environment)


def _environment(source: PageSource) -> Iterator[Fact]:
    if source.report is None:
        return
    section = source.report.measurements or source.report.checks
    if section is not None:
        yield from _pairs(section.environment)


def _publishing(source: PageSource) -> Iterator[Fact]:
    run = _within(source.statement, "predicate", "runDetails")
    builder = _within(run, "builder", "id")
    if isinstance(builder, str):
        local = "somebody's own machine, by its own word"
        yield Fact("Builder", local if builder == LOCAL_BUILDER else f"{builder}, by its own word")
    finished = _within(run, "metadata", "finishedOn")
    if isinstance(finished, str):
        yield Fact("Statement made at", finished)
    yield Fact(
        "Signature",
        "there is one; `release verify` tells whose" if source.is_signed else "none",
    )
    commit, tag = _within(source.receipt, "commit"), _within(source.receipt, "tag")
    if isinstance(commit, str):
        yield Fact("Last push from here", commit, is_code=True)
    if isinstance(tag, str):
        yield Fact("Tagged", tag, is_code=True)


def _pairs(environment: dict[str, str] | dict[str, str | None]) -> Iterator[Fact]:
    for name, value in environment.items():
        if value:
            yield Fact(name, value)


def _within(value: Any, *keys: str) -> Any:
    """What lies under some keys of a document that nothing has checked; None where it does not."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value
