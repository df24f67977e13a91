"""`release affected`: which manifests differ from a git revision, and how far each is checked."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from made_release import MANIFEST

from manifests.errors import UsageError
from release.affected import affected_manifests
from release.cli import main

STUDY = """\
base_models:
  first: {id: demo/tiny-llama, model_type: llama, n_layers: 4, d_model: 8}
caveats:
  few: {title: Few vectors, text: There are few.}
"""


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    """A git repository with two manifests, of which one extends a study file."""
    folder = tmp_path / "code" / "manifests"
    folder.mkdir(parents=True)
    (folder / "study.yaml").write_text(STUDY, encoding="utf-8")
    write(folder / "one.yaml", {**MANIFEST, "repo_id": "demo/one"})
    extending = {"extends": "study.yaml", "base_model": "first", "caveats": ["few"]}
    write(folder / "two.yaml", {**MANIFEST, "repo_id": "demo/two", **extending})
    (folder.parent / "cards").mkdir()
    (folder.parent / "cards" / "words.py").write_text("A = 1\n", encoding="utf-8")
    git(folder, "init", "--quiet", str(folder.parent))
    git(folder, "add", "--all", "..")
    git(folder, "commit", "--quiet", "--message", "The study")
    return folder


def write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


def git(folder: Path, *arguments: str) -> None:
    who = ("-c", "user.name=Somebody", "-c", "user.email=somebody@example.org")
    subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True)


def changed(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    change(content)
    write(path, content)


def rows(shelf: Path, since: str | None = "HEAD") -> dict[str, tuple[str, bool]]:
    return {row.name: (row.tier, row.required) for row in affected_manifests(shelf, since)}


def test_nothing_changed_and_nothing_is_listed(shelf: Path) -> None:
    assert rows(shelf) == {}


def test_a_comment_concerns_nobody(shelf: Path) -> None:
    path = shelf / "one.yaml"
    path.write_text("# a comment\n" + path.read_text(encoding="utf-8"), encoding="utf-8")
    assert rows(shelf) == {}


@pytest.mark.parametrize(
    ("change", "tier"),
    [
        (lambda m: m.update(summary="Other words."), "load"),
        (lambda m: m.update(title="Another title"), "load"),
        (lambda m: m["recipe"]["topk"].update(k=5), "activations"),
        (lambda m: m["data"].update(sha256="e" * 64), "activations"),
        (lambda m: m.update(weights={"repo_id": "demo/staging"}), "activations"),
        (lambda m: m.update(hub={"gated": "auto"}), "static"),
    ],
    ids=["summary", "title", "recipe", "data", "weights", "hub"],
)
def test_the_tier_follows_from_what_changed(shelf: Path, change: Any, tier: str) -> None:
    changed(shelf / "one.yaml", change)
    assert rows(shelf) == {"one": (tier, True)}


def test_a_shared_fact_concerns_those_that_take_it(shelf: Path) -> None:
    study = shelf / "study.yaml"
    study.write_text(STUDY.replace("There are few.", "There are not many."), encoding="utf-8")
    assert rows(shelf) == {"two": ("load", True)}


def test_a_new_manifest_is_checked_in_full(shelf: Path) -> None:
    write(shelf / "three.yaml", {**MANIFEST, "repo_id": "demo/three"})
    assert rows(shelf) == {"three": ("activations", True)}


def test_a_manifest_that_could_not_be_read_before_counts_as_new(shelf: Path) -> None:
    good = (shelf / "one.yaml").read_text(encoding="utf-8")
    (shelf / "one.yaml").write_text("title: [", encoding="utf-8")
    git(shelf, "commit", "--quiet", "--all", "--message", "Break it")
    (shelf / "one.yaml").write_text(good, encoding="utf-8")
    assert rows(shelf) == {"one": ("activations", True)}


def test_shared_code_concerns_all_and_nobody_has_to_answer_for_it(shelf: Path) -> None:
    (shelf.parent / "cards" / "words.py").write_text("A = 2\n", encoding="utf-8")
    assert rows(shelf) == {"one": ("static", False), "two": ("static", False)}


def test_a_partial_beside_the_manifests_concerns_them_all(shelf: Path) -> None:
    partial = shelf / "cards" / "references.md.j2"
    partial.parent.mkdir()
    partial.write_text("Nobody.\n", encoding="utf-8")
    git(shelf, "add", "--all", ".")
    assert rows(shelf) == {"one": ("load", True), "two": ("load", True)}


@pytest.mark.parametrize("since", [None, "", "0" * 40])
def test_no_revision_means_every_manifest(shelf: Path, since: str | None) -> None:
    assert set(rows(shelf, since)) == {"one", "two"}


@pytest.mark.parametrize("since", ["no-such-revision", "--output=x", "HEAD~5"])
def test_a_revision_that_is_not_there_is_a_usage_error(shelf: Path, since: str) -> None:
    with pytest.raises(UsageError, match="git rev-parse failed"):
        affected_manifests(shelf, since)
    assert not (shelf / "x").exists()


def test_the_command_prints_one_line_of_json_for_a_matrix(shelf: Path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(shelf.parent)
    changed(shelf / "one.yaml", lambda m: m.update(title="Another title"))
    (shelf.parent / "cards" / "words.py").write_text("A = 2\n", encoding="utf-8")
    assert main(["affected", "--since", "HEAD", "--format", "json"]) == 0
    line = capsys.readouterr().out
    assert line.count("\n") == 1
    found = json.loads(line)
    assert [(row["manifest"], row["tier"]) for row in found] == [
        ("manifests/one.yaml", "load"),
        ("manifests/two.yaml", "static"),
    ]
    assert main(["affected", "--since", "HEAD", "--own"]) == 0
    assert "two.yaml" not in capsys.readouterr().out
