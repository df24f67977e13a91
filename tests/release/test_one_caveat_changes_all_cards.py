"""One caveat of the study file reworded: every card that prints it changes, and nothing else."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from made_release import MANIFEST, Release, make_release

from cards.stage import stale_files
from manifests.build_folder import SAE_CONFIG, SAE_WEIGHTS, BuildFolder
from manifests.digests import file_sha256
from manifests.load import load_manifest
from release.cli import main

OLD, NEW = "It has far fewer vectors than latents.", "It saw fewer vectors than it has latents."
STUDY = f"""\
caveats:
  few_vectors: {{title: Few vectors, text: {OLD}}}
  by_hand: {{title: Made by hand, text: Nobody trained it.}}
base_models:
  first: {{id: demo/tiny-llama, model_type: llama, n_layers: 4, d_model: 8}}
  second: {{id: demo/tiny-llama, model_type: llama, n_layers: 4, d_model: 8}}
"""
COLLECTION = """\
kind: collection
schema_version: 1
repo_id: demo/all
title: All of them
study: study.yaml
members: [{base_model: first, manifest: one.yaml}, {base_model: second, manifest: two.yaml}]
"""
# By manifest the caveats that it takes from the study file.
CAVEATS = {"one": ["few_vectors", "by_hand"], "two": ["few_vectors"], "three": ["by_hand"]}
CARD = ("README.md", "card.json", "manifest.json")


@pytest.fixture
def study(tmp_path: Path) -> Path:
    path = tmp_path / "shelf" / "study.yaml"
    path.parent.mkdir()
    path.write_text(STUDY, encoding="utf-8")
    return path


@pytest.fixture
def builds(tmp_path: Path, study: Path) -> dict[str, Release]:
    """Three measured builds whose weights are stand-ins, and one manifest without a build."""
    found = {}
    for name, caveats in (*CAVEATS.items(), ("never_built", ["few_vectors"])):
        manifest = {"extends": study.name, **MANIFEST, "repo_id": f"demo/{name}"}
        made = make_release(study.parent, {**manifest, "caveats": caveats})
        loaded = load_manifest(made.loaded.path.rename(study.parent / f"{name}.yaml"))
        report = made.report.model_copy(
            update={"manifest_digest": loaded.digest, "evidence_digest": loaded.evidence_digest}
        )
        build = BuildFolder(tmp_path / "builds" / name)
        found[name] = replace(made, loaded=loaded, build=build, report=report).write()
        for sae in loaded.saes:
            folder = build.sae_folder(sae.sae_id)
            folder.mkdir()
            (folder / SAE_WEIGHTS).write_bytes(sae.sae_id.encode())
            (folder / SAE_CONFIG).write_text("{}", encoding="utf-8")
    shutil.rmtree(found["never_built"].build.root)
    return found


@pytest.fixture
def render_all(tmp_path: Path, study: Path) -> Callable[..., int]:
    places = ("--manifests", str(study.parent), "--build", str(tmp_path / "builds"))
    return lambda *options: main(["render", "--all", *places, *options])


def sha256_of_all(builds: dict[str, Release]) -> dict[tuple[str, str], str]:
    """SHA-256 of every file of every build, by manifest and path in the repository."""
    return {
        (name, path.relative_to(made.build.repository).as_posix()): file_sha256(path)
        for name, made in builds.items()
        for path in made.build.repository.rglob("*")
        if path.is_file()
    }


def test_a_caveat_changes_every_card_that_prints_it_and_no_other_file(
    builds, render_all, study: Path
) -> None:
    assert render_all() == 0
    before = sha256_of_all(builds)
    assert {path.rpartition("/")[2] for _, path in before} >= {
        *CARD, "config.json", "report.json", "training.json", SAE_WEIGHTS, "figures.json",
    }  # fmt: skip
    study.write_text(STUDY.replace(OLD, NEW), encoding="utf-8")
    assert render_all("--check") == 1
    assert sha256_of_all(builds) == before, "a comparison writes nothing"
    assert render_all() == 0
    after = sha256_of_all(builds)
    changed = {key for key, sha256 in after.items() if before.get(key) != sha256}
    assert before.keys() == after.keys()
    assert changed == {(name, file) for name in ("one", "two", "never_built") for file in CARD}
    for name, made in builds.items():
        readme = (made.build.repository / "README.md").read_text(encoding="utf-8")
        assert (NEW in readme) == (name != "three")
        assert OLD not in readme
    assert render_all("--check") == 0


def test_the_card_of_a_collection_says_it_in_the_new_words_too(
    builds, render_all, study: Path, tmp_path: Path
) -> None:
    (study.parent / "all.yaml").write_text(COLLECTION, encoding="utf-8")
    assert render_all() == 0
    readme = tmp_path / "builds" / "all" / "repository" / "README.md"
    assert OLD in readme.read_text(encoding="utf-8")
    study.write_text(STUDY.replace(OLD, NEW), encoding="utf-8")
    assert render_all() == 0
    text = readme.read_text(encoding="utf-8")
    assert NEW in text and OLD not in text


def test_a_measured_build_is_not_made_stale_by_a_wording(builds, render_all, study: Path) -> None:
    assert render_all() == 0
    study.write_text(STUDY.replace(OLD, NEW), encoding="utf-8")
    for name in CAVEATS:
        made = builds[name]
        now = load_manifest(made.loaded.path)
        assert now.evidence_digest == made.report.evidence_digest
        assert (now.digest == made.report.manifest_digest) == (name == "three")
    assert render_all() == 0
    assert stale_files(load_manifest(builds["one"].loaded.path), builds["one"].build) == {}


def test_a_fact_that_numbers_rest_on_does_make_it_stale(
    builds, render_all, capsys: pytest.CaptureFixture[str]
) -> None:
    assert render_all() == 0
    before = sha256_of_all(builds)
    path = builds["one"].loaded.path
    text = path.read_text(encoding="utf-8")
    assert text.count("epochs: 10\n") == 1
    path.write_text(text.replace("epochs: 10\n", "epochs: 11\n"), encoding="utf-8")
    assert render_all() == 1
    assert "the report is of the manifest" in " ".join(capsys.readouterr().err.split())
    assert sha256_of_all(builds) == before
