"""Numbers typed into a manifest's texts (M003) and into a user's own partials (M004)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cards.overrides import FOLDER
from manifests.digests import bytes_sha256
from manifests.load import LoadedManifest, load_manifest
from manifests.progress import Silent
from validators.check import Passed, Problem, Skipped, Verdict
from validators.checks.prose import (
    OWN_PARTIALS,
    partials_print_values,
    prose_numbers_are_facts,
)
from validators.claim import local_claim, published_claim
from validators.reading.local_repository import LocalRepository
from validators.report import Checks
from validators.stage import validate
from validators.subjects import RepositorySubject

STUDY = """\
caveats:
  few:
    title: Few of them
    text: >-
      Seen over the whole of the data, the original
      page counted 57 of them.
"""
MANIFEST = """\
extends: study.yaml
schema_version: 1
repo_id: demo/saes
title: Three SAEs
summary: There are 3 SAEs.
base_model: {id: demo/llama, model_type: llama, n_layers: 2, d_model: 16}
saes:
  id: "{architecture}_L{layer}_{condition}"
  layers: [1]
  architectures: [topk, gated, standard]
  conditions: [mixed]
  expansion: 4
recipe:
  epochs: 30
  batch_size: 8
  learning_rate: 1.0e-3
  topk: {k: 9}
  gated: {l1_coefficient: 0.1}
  standard: {l1_coefficient: 0.1}
data:
  %s
  description: All 13 completions, 6 of them deceptive.
  label_rule: By a keyword.
  conditions: {mixed: {labels: [deceptive, honest]}}
caveats:
  - few
"""
NO_FILE = "pooling: last_token"


def completion(index: int, label: str) -> dict[str, Any]:
    return {
        "id": f"c{index}",
        "scenario": "one",
        "prompt": "Why?",
        "opening": "",
        "completion": " because",
        "label": label,
        "seed": 0,
        "temperature": 1.0,
        "max_new_tokens": 4,
        "model_digest": "a" * 64,
    }


@pytest.fixture
def subject(tmp_path: Path) -> Callable[..., RepositorySubject]:
    """What a manifest with a study file is asked about, in a folder of its own."""

    def make(data: str = NO_FILE, study: str = STUDY, **replaced: str) -> RepositorySubject:
        text = MANIFEST % data
        for old, new in replaced.items():
            text = text.replace(old, new)
        (tmp_path / "study.yaml").write_text(study, encoding="utf-8")
        path = tmp_path / "x.yaml"
        path.write_text(text, encoding="utf-8")
        return subject_of(load_manifest(path), tmp_path)

    return make


def subject_of(loaded: LoadedManifest, folder: Path) -> RepositorySubject:
    (folder / "repository").mkdir(exist_ok=True)
    repository = LocalRepository(folder / "repository")
    return RepositorySubject(repository, local_claim(loaded), progress=Silent())


def ask(check: Any, subject: RepositorySubject) -> Verdict:
    verdict: Verdict = check.ask(subject)
    return verdict


def write_completions(folder: Path) -> str:
    """A file of 6 deceptive, 4 honest and 3 ambiguous completions; the keys that name it."""
    labels = ("deceptive",) * 6 + ("honest",) * 4 + ("ambiguous",) * 3
    rows = [json.dumps(completion(index, label)) for index, label in enumerate(labels)]
    content = ("\n".join(rows) + "\n").encode("utf-8")
    (folder / "c.jsonl").write_bytes(content)
    return f"file: c.jsonl\n  sha256: {bytes_sha256(content)}"


def test_a_number_of_no_fact_is_named_with_the_line_it_stands_on(subject: Any) -> None:
    verdict = ask(prose_numbers_are_facts, subject())
    assert isinstance(verdict, Problem)
    first, second, third = verdict.found.splitlines()
    assert first.startswith("x.yaml:22: 13 in data.description; the nearest is ")
    assert second.startswith("x.yaml:22: 6 in data.description; the nearest is ")
    # Of the folded text in study.yaml the number stands two lines below the key.
    assert third.startswith("study.yaml:6: 57 in caveats.0.text; the nearest is ")


def test_texts_whose_numbers_are_facts_pass(subject: Any, tmp_path: Path) -> None:
    data = write_completions(tmp_path)
    asked = subject(data, STUDY.replace("57", "30"))
    assert isinstance(ask(prose_numbers_are_facts, asked), Passed)


def test_the_data_file_counts_its_completions(subject: Any, tmp_path: Path) -> None:
    data = write_completions(tmp_path)
    asked = subject(data, STUDY.replace("57", "30"), **{"All 13": "All 14"})
    verdict = ask(prose_numbers_are_facts, asked)
    assert isinstance(verdict, Problem)
    assert verdict.found.startswith("x.yaml:23: 14 in data.description; the nearest is 13, the ")
    # Without the file nobody knows how many there are, and nothing is said of the data's texts.
    (tmp_path / "c.jsonl").unlink()
    assert isinstance(ask(prose_numbers_are_facts, asked), Passed)
    (tmp_path / "c.jsonl").write_text("another file", encoding="utf-8")
    assert isinstance(ask(prose_numbers_are_facts, asked), Passed)


def test_a_digit_of_a_partial_is_named_with_its_line(subject: Any, tmp_path: Path) -> None:
    asked = subject()
    assert isinstance(ask(partials_print_values, asked), Passed)
    folder = tmp_path / FOLDER
    folder.mkdir()
    own = folder / "references.md.j2"
    own.write_text("## Mine\n\n{{ contents.n_saes | count }} SAEs.\n", encoding="utf-8")
    assert isinstance(ask(partials_print_values, asked), Passed)
    own.write_text("## Mine\n\nAll {{ contents.n_saes }} of 57 SAEs.\n", encoding="utf-8")
    (folder / "manual_loading.py.j2").write_text("x = 57\n", encoding="utf-8")
    verdict = ask(partials_print_values, asked)
    assert isinstance(verdict, Problem)
    assert verdict.found == "cards/references.md.j2:3: 57"


@pytest.mark.parametrize("content", [b"{{ ' }}", b"\xff"])
def test_a_partial_that_cannot_be_read_is_named(
    subject: Any, tmp_path: Path, content: bytes
) -> None:
    asked = subject()
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / "references.md.j2").write_bytes(content)
    verdict = ask(partials_print_values, asked)
    assert isinstance(verdict, Problem)
    assert verdict.found.startswith("cards/references.md.j2: cannot be read: ")


def test_both_know_the_folder_of_partials() -> None:
    assert OWN_PARTIALS == FOLDER


def test_a_published_manifest_is_not_asked(subject: Any, tmp_path: Path) -> None:
    local = subject()
    folder = tmp_path / "repository"
    resolved = json.dumps(local.claim.manifest.resolved())
    (folder / "manifest.json").write_text(resolved, encoding="utf-8")
    repository = LocalRepository(folder)
    published = RepositorySubject(repository, published_claim(repository), progress=Silent())
    for check in (prose_numbers_are_facts, partials_print_values):
        verdict = ask(check, published)
        assert isinstance(verdict, Skipped) and not verdict.required


def test_a_finding_is_a_warning_and_fails_nothing(subject: Any, tmp_path: Path) -> None:
    asked = subject()
    report = validate(
        asked.repository, manifest=asked.claim.loaded, tier="static", progress=Silent()
    )
    assert isinstance(report.checks, Checks)
    outcomes = {one.code: one.outcome for one in report.checks.outcomes}
    assert (outcomes["M003"], outcomes["M004"]) == ("warned", "passed")
