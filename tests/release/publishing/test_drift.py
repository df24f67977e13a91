"""What `release status` says of files that somebody else changed on the Hub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import CommitOperationAdd
from made_release import MANIFEST
from staged_release import Release, block, own_partial, stage

from manifests.progress import Silent
from release.gate import NotReady
from release.hub_connection import HubConnection
from release.publishing import hub_use
from release.publishing.plan import Plan
from release.publishing.plan_text import plan_text
from release.publishing.planning import plan_release
from release.publishing.push import PushOptions, publish_files, push
from release.publishing.release_files import describe_file
from release.publishing.status import repository_status

SAE = "tiny_topk_L1_mixed"


@pytest.fixture
def released(
    tmp_path: Path, repo_id: str, connection: HubConnection, monkeypatch: pytest.MonkeyPatch
) -> Release:
    """One random SAE, published; loading it from the Hub is left out."""
    monkeypatch.setattr(hub_use, "_load", lambda *_: (4, []))
    saes = {**MANIFEST["saes"], "architectures": ["topk"], "conditions": ["mixed"], "layers": [1]}
    made = stage(tmp_path / "release", repo_id=repo_id, saes=saes)
    own_partial(made, "loading.md.j2", block("x = 1"))
    push(made.loaded, made.build, connection, options=PushOptions(), progress=Silent())
    return made


def changed_by_others(repo_id: str, connection: HubConnection, **files: Any) -> None:
    operations = [CommitOperationAdd(path, content) for path, content in files["files"].items()]
    connection.api().create_commit(repo_id, operations, commit_message="theirs")


def test_a_release_that_nobody_touched_is_published(
    released: Release, connection: HubConnection, repo_id: str
) -> None:
    found = repository_status(released.loaded, connection)
    assert (found.state, found.findings) == ("published", ())
    # Nor one beside which somebody put a file of their own.
    changed_by_others(repo_id, connection, files={"notes.txt": b"theirs"})
    found = repository_status(released.loaded, connection)
    assert (found.state, found.findings) == ("published", ())


@pytest.mark.parametrize(
    "path", [f"{SAE}/cfg.json", f"{SAE}/sae_weights.safetensors", "report.json", "training.json"]
)
def test_a_file_that_others_changed_is_named(
    released: Release, connection: HubConnection, repo_id: str, path: str
) -> None:
    changed_by_others(repo_id, connection, files={path: b'{"k": 9999}'})
    found = repository_status(released.loaded, connection)
    assert found.state == "changed"
    assert path in " ".join(found.findings)


def test_a_signature_of_former_weights_is_left_over_and_a_good_one_is_not(
    released: Release, connection: HubConnection, repo_id: str
) -> None:
    changed_by_others(repo_id, connection, files={"model.sig": b"{}"})
    kept = plan_release(released.loaded, released.build, connection, delete=True)
    assert "model.sig" not in (*kept.deletes, *kept.leftovers)
    changed_by_others(repo_id, connection, files={f"{SAE}/cfg.json": b"{}"})
    over = plan_release(released.loaded, released.build, connection)
    assert over.leftovers == ("model.sig",)
    assert "a push needs --sign" in plan_text(Plan(connection.endpoint, (over,)))
    head = connection.api().model_info(repo_id).sha
    cfg = describe_file(f"{SAE}/cfg.json", released.build.repository / SAE / "cfg.json")
    with pytest.raises(NotReady, match=r"model\.sig is published, and signs other bytes of 1 file"):
        publish_files(repo_id, {cfg.path_in_repo: cfg}, connection, public=False, progress=Silent())
    assert connection.api().model_info(repo_id).sha == head
    gone = plan_release(released.loaded, released.build, connection, delete=True)
    assert gone.deletes == ("model.sig",)
