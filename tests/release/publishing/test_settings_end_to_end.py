"""Settings that follow a manifest, from the command line, on a release that was checked."""

from __future__ import annotations

import json

import pytest
import yaml
from huggingface_hub import HfApi

from release.cli import main
from release.embedded_hub import EmbeddedHub

TITLE = "Tiny SAEs of all kinds"


@pytest.mark.slow
def test_settings_follow_the_manifest_without_another_report_card_or_commit(
    make_project_in, tmp_path, capfd
) -> None:
    project = make_project_in(tmp_path / "project")
    project.content["recipe"] |= {"epochs": 60, "gated": {"l1_coefficient": 0.3}}
    project.load()
    build, path = tmp_path / "build", str(project.path)
    places = ("--hub", "embedded", "--build", str(build), "--base-model", project.checkpoint)
    assert main(["run", path, *places]) == 0
    repo_id = project.content["repo_id"]
    with EmbeddedHub(build / "hub") as hub:
        # The rehearsal on the embedded Hub makes it public.
        HfApi(endpoint=hub.endpoint, token=hub.token).update_repo_settings(repo_id, private=True)

    def state(**stated: object) -> None:
        project.path.write_text(yaml.safe_dump(project.content | {"hub": stated}), encoding="utf-8")

    def command(verb: str, *options: str) -> tuple[int, str, str]:
        capfd.readouterr()
        code = main([verb, path, "--hub", "embedded", "--build", str(build), *options])
        return (code, *capfd.readouterr())

    state(visibility="public", gated="manual", collection=TITLE)
    code, out, err = command("plan", "--detailed-exitcode")
    assert code == 5, out + err
    assert [line.strip() for line in out.splitlines() if line.startswith("  * ")] == [
        "* visibility: private -> public (only with --public)",
        "* gated: false -> manual",
        f"* collection {TITLE}: there is none -> made",
        f"* collection {TITLE}: does not list {repo_id} -> lists {repo_id}",
    ]
    assert "No commit on " in out

    code, out, err = command("push", "--yes", "--base-model", project.checkpoint)
    assert code == 0, out + err
    assert "  gated: false -> manual\n" in out
    assert "left as it is without --public: visibility: private -> public" in out
    assert "stale" not in err
    receipt = json.loads((build / project.path.stem / "work" / "receipt.json").read_bytes())
    assert [each["name"] for each in receipt["settings"]] == [
        "gated",
        f"collection {TITLE}",
        f"collection {TITLE}",
    ]
    assert [each["wanted"] for each in receipt["settings_left"]] == ["public"]
    code, out, _ = command("status", "--exit-code")
    assert (code, out.split()[0]) == (1, "settings")

    code, out, err = command("push", "--yes", "--public", "--base-model", project.checkpoint)
    assert code == 0, out + err
    code, out, _ = command("status", "--exit-code")
    assert (code, out.split()[0]) == (0, "published"), out
    code, out, _ = command("plan", "--detailed-exitcode")
    assert code == 0, out
    with EmbeddedHub(build / "hub") as hub:
        api = HfApi(endpoint=hub.endpoint, token=hub.token)
        info = api.model_info(repo_id)
        assert (info.private, info.gated) == (False, "manual")
        assert len(api.list_repo_commits(repo_id)) == 2
        (found,) = api.list_collections(owner=repo_id.partition("/")[0])
        assert (found.title, found.private) == (TITLE, True)
        assert [item.item_id for item in api.get_collection(found.slug).items] == [repo_id]
