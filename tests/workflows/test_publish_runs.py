"""Publishing, run by act: keyless, in one commit, and nothing for whom is not trusted."""

from __future__ import annotations

from typing import Any

import pytest
from huggingface_hub import HfApi
from rehearsal import Rehearsal

REPO_ID = "lab/tiny-saes"
# No program listens there; the embedded Hub is reached by plain HTTP, past any proxy.
NOBODY = "http://127.0.0.1:9"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def api_of(rehearsal: Rehearsal) -> HfApi:
    """What the Hub's owner sees."""
    return HfApi(endpoint=rehearsal.hub.endpoint, token=rehearsal.hub.token)


def commits(rehearsal: Rehearsal) -> list[tuple[str, list[str]]]:
    """Commits of the repository with their authors, newest first."""
    found = api_of(rehearsal).list_repo_commits(REPO_ID)
    return [(commit.commit_id, commit.authors) for commit in found]


def weights(rehearsal: Rehearsal) -> dict[str, str]:
    """SHA-256 of each weight file at the head."""
    tree = api_of(rehearsal).list_repo_tree(REPO_ID, recursive=True)
    return {
        entry.path: entry.lfs.sha256
        for entry in tree
        if getattr(entry, "lfs", None) is not None and entry.path.endswith(".safetensors")
    }


def readme(rehearsal: Rehearsal, revision: str) -> str:
    path = api_of(rehearsal).hf_hub_download(REPO_ID, "README.md", revision=revision)
    with open(path, encoding="utf-8") as stream:  # noqa: PTH123
        return stream.read()


def drift(rehearsal: Rehearsal, title: str) -> Any:
    return rehearsal.run(title, "drift.yml", "workflow_dispatch", {})


def test_a_merged_wording_is_drift_until_it_is_published_without_a_stored_token(
    rehearsal: Rehearsal, main_commit: str, manifest: dict[str, Any]
) -> None:
    before, same_weights = commits(rehearsal), weights(rehearsal)
    assert drift(rehearsal, "drift, as published").code == 0
    manifest["summary"] = "SAEs of a random model, for a rehearsal."
    rehearsal.write_manifest(manifest)
    head = rehearsal.commit("Say what they are for")
    drifted = drift(rehearsal, "drift, merged and not published")
    assert drifted.code != 0
    assert "out of date" in drifted.summary and REPO_ID in drifted.summary

    push = {"before": main_commit, "after": head, "ref": "refs/heads/main"}
    refused = rehearsal.run("publish, not trusted", "publish.yml", "push", push)
    assert refused.code != 0
    assert refused.results("push") == {"failure"}
    assert "no trusted publisher" in refused.log
    assert commits(rehearsal) == before

    rehearsal.trust(REPO_ID, "publish.yml")
    unsigned = rehearsal.run(
        "publish, Sigstore out of reach",
        "publish.yml",
        "push",
        push,
        variables={"SIGN_RELEASES": "keyless"},
        environ={"HTTPS_PROXY": NOBODY},
    )
    assert unsigned.results("push") == {"failure"}
    assert "will be signed by https://github.com/lab/saes" in " ".join(unsigned.summary.split())
    assert "Sigstore: gave no usable answer" in " ".join(unsigned.summary.split())
    assert commits(rehearsal) == before

    ran = rehearsal.run("publish, trusted", "publish.yml", "push", push)
    assert ran.code == 0, ran.log[-8000:]
    assert f"## Plan for {REPO_ID}" in ran.summary
    after = commits(rehearsal)
    assert after[1:] == before
    assert after[0][1] == ["[OIDC]"]
    assert "for a rehearsal" in readme(rehearsal, after[0][0])
    assert weights(rehearsal) == same_weights
    assert drift(rehearsal, "drift, published").code == 0

    again = rehearsal.run("publish, again", "publish.yml", "push", push)
    assert again.code == 0, again.log[-8000:]
    assert commits(rehearsal) == after


def test_cards_are_regenerated_by_hand_and_no_weight_file_is_touched(
    rehearsal: Rehearsal, main_commit: str
) -> None:
    before, same_weights = commits(rehearsal), weights(rehearsal)
    partial = rehearsal.clone / "cards" / "templates" / "partials" / "provenance.md.j2"
    text = partial.read_text(encoding="utf-8")
    partial.write_text(f"{text}\nA sentence of the rehearsal.\n", encoding="utf-8")
    rehearsal.commit("Say one thing more on every card")
    rehearsal.trust(REPO_ID, "regenerate-cards.yml")
    ran = rehearsal.run("regenerate cards", "regenerate-cards.yml", "workflow_dispatch", {})
    assert ran.code == 0, ran.log[-8000:]
    assert "no weight file is touched" in ran.summary
    after = commits(rehearsal)
    assert after[1:] == before
    assert "A sentence of the rehearsal." in readme(rehearsal, after[0][0])
    assert weights(rehearsal) == same_weights
