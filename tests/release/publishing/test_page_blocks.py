"""The code of a study's page runs before the page is pushed, on configurations of its members."""

from __future__ import annotations

import json

import pytest

from manifests.build_folder import BuildFolder
from manifests.progress import Silent
from release.cli import main
from release.gate import NotReady
from release.publishing.collection_page import push_page
from release.publishing.push import PushOptions

STUDY = """\
defaults: {license: mit}
base_models:
  tiny: {id: someone/tiny-llama, n_layers: 2, d_model: 16}
"""
CONFIG = {"architecture": "topk", "d_in": 16, "d_sae": 32, "k": 4}


@pytest.fixture
def page(project, repo_id, connection, capsys):
    """A rendered page with one member that has a manifest, and how it is pushed."""
    member = f"{repo_id[:85]}-saes"
    project.content["repo_id"] = member
    project.load()
    shelf = project.path.parent
    (shelf / "study.yaml").write_text(STUDY, encoding="utf-8")
    path = shelf / "all.yaml"
    path.write_text(
        f"kind: collection\nschema_version: 1\nrepo_id: {repo_id}\ntitle: A study\n"
        "summary: SAEs of one model.\nstudy: study.yaml\n"
        f"members:\n- {{base_model: tiny, manifest: {project.path.name}}}\n",
        encoding="utf-8",
    )
    builds = shelf / "builds"

    class Page:
        saes = member
        readme = BuildFolder(builds / "all").repository / "README.md"
        build = BuildFolder(builds / project.path.stem)
        said = ""

        def push(self) -> None:
            push_page(path, builds, connection, options=PushOptions(), progress=Silent())

    assert main(["render", str(path), "--build", str(builds)]) == 0
    capsys.readouterr()
    assert f'"{member}"' in Page.readme.read_text(encoding="utf-8")
    return Page()


def test_it_reads_a_member_that_is_on_the_hub(page, connection, repo_id) -> None:
    api = connection.api()
    api.create_repo(page.saes)
    code = page.readme.read_text(encoding="utf-8")
    sae_id = code.partition("sae_id = ")[2].partition('", "')[2].partition('"')[0]
    api.upload_file(
        path_or_fileobj=json.dumps(CONFIG).encode(),
        path_in_repo=f"{sae_id}/cfg.json",
        repo_id=page.saes,
    )
    page.push()
    assert api.repo_exists(repo_id)


def test_it_reads_a_member_that_is_built_here(page, connection, repo_id) -> None:
    code = page.readme.read_text(encoding="utf-8")
    sae_id = code.partition("sae_id = ")[2].partition('", "')[2].partition('"')[0]
    folder = page.build.repository / sae_id
    folder.mkdir(parents=True)
    (folder / "cfg.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    page.push()
    assert connection.api().repo_exists(repo_id)


def test_a_page_whose_code_fails_is_not_pushed(page, connection, repo_id) -> None:
    with pytest.raises(NotReady, match="the code of the page does not run") as caught:
        page.push()
    assert "EntryNotFound" in caught.value.reasons[0]
    assert "push the members" in str(caught.value.next_step)
    assert not connection.api().repo_exists(repo_id)
