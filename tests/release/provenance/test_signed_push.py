"""`release push --sign`, and `release verify` on a machine that holds nothing of the release."""

from __future__ import annotations

import dataclasses
import json
import shutil
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import HfApi
from stand_in_sigstore import StandInSigstore

from release.cli import main
from release.embedded_hub import EmbeddedHub

pytest.importorskip("model_signing", reason="comes with the extra sign")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

REPO_ID = "lab/tiny-saes"
ignore_builds = shutil.ignore_patterns("build")
WORKFLOW_REF = "lab/saes/.github/workflows/publish.yml@refs/heads/main"
IDENTITY = f"https://github.com/{WORKFLOW_REF}"


@dataclass
class Published:
    """A Hub that holds an unsigned release, and the project that it was built from."""

    hub: EmbeddedHub
    project: Any
    build: Path
    elsewhere: Path

    @property
    def api(self) -> HfApi:
        return HfApi(endpoint=self.hub.endpoint, token=self.hub.token)

    def push(self, *arguments: str) -> int:
        command = ["push", str(self.project.path), "--hub", self.hub.endpoint, "--yes"]
        command += ["--build", str(self.build), "--base-model", self.project.checkpoint]
        return main([*command, *arguments])

    def commits(self) -> list[str]:
        return [commit.commit_id for commit in self.api.list_repo_commits(REPO_ID)]

    def changed(self, commit: str, parent: str) -> set[str]:
        """The paths that differ between two commits."""

        def blobs(revision: str) -> set[tuple[str, str]]:
            tree = self.api.list_repo_tree(REPO_ID, recursive=True, revision=revision)
            return {(entry.path, entry.blob_id) for entry in tree if hasattr(entry, "blob_id")}

        return {path for path, _ in blobs(commit) ^ blobs(parent)}


@pytest.fixture(scope="module")
def trained(
    make_project_in: Callable[[Path], Any], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Any, Path]:
    """A project and the root of a Hub that holds its release."""
    project = make_project_in(tmp_path_factory.mktemp("study"))
    project.content["repo_id"] = REPO_ID
    project.content["recipe"] |= {"epochs": 60, "gated": {"l1_coefficient": 0.3}}
    project.load()
    root = tmp_path_factory.mktemp("published") / "hub"
    with EmbeddedHub(root) as hub, pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_TOKEN", hub.token)
        command = ["run", str(project.path), "--hub", hub.endpoint, "--public"]
        command += ["--build", str(project.build.root), "--base-model", project.checkpoint]
        assert main(command) == 0
    return project, root


@pytest.fixture
def published(
    trained: tuple[Any, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Published]:
    project, root = trained
    ignored = shutil.ignore_patterns("server.lock")
    shutil.copytree(root, tmp_path / "hub", ignore=ignored)
    shutil.copytree(project.build.root, tmp_path / "build")
    (tmp_path / "elsewhere").mkdir()
    with EmbeddedHub(tmp_path / "hub") as hub:
        monkeypatch.setenv("HF_TOKEN", hub.token)
        yield Published(hub, project, tmp_path / "build", tmp_path / "elsewhere")


@pytest.fixture
def verified(
    published: Published, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, dict[str, Any]]]:
    """Verify the repository from an empty folder, without a token: exit code, findings by part."""

    def run(*arguments: str) -> tuple[int, dict[str, Any]]:
        capsys.readouterr()
        with monkeypatch.context() as clean:
            clean.chdir(published.elsewhere)
            clean.delenv("HF_TOKEN")
            clean.setenv("HF_HOME", str(published.elsewhere / "hf_home"))
            command = ["verify", REPO_ID, "--hub", published.hub.endpoint, "--format", "json"]
            code = main([*command, *arguments])
        found = json.loads(capsys.readouterr().out)["findings"]
        return code, {finding["part"]: finding for finding in found}

    return run


def test_a_key_signs_in_one_commit_and_the_signature_is_verified_elsewhere(
    published: Published,
    verified: Callable[..., tuple[int, dict[str, Any]]],
    make_key: Callable[..., tuple[Path, Path]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    private, public = make_key()
    before = published.commits()
    assert verified("--key", str(public))[1]["model.sig"]["text"] == "is missing"
    assert published.push("--sign", str(private)) == 0
    said = capsys.readouterr()
    assert "will be signed by the key private.pem" in said.out + said.err
    after = published.commits()
    assert after[1:] == before
    assert published.changed(after[0], before[0]) == {"model.sig", "provenance.intoto.json"}
    code, found = verified("--key", str(public), "--download")
    assert (code, found["model.sig"]["state"]) == (0, "verified")
    assert found["model.sig"]["text"] == "is by the key public.pem: 24 files of 12 SAEs"
    assert verified("--key", str(make_key()[1]))[0] == 1
    # Neither a second signed push nor an unsigned one makes other bytes.
    assert published.push("--sign", str(private)) == published.push() == 0
    assert published.commits() == after


def test_a_reviewed_plan_is_signed_when_it_is_pushed(
    published: Published,
    verified: Callable[..., tuple[int, dict[str, Any]]],
    make_key: Callable[..., tuple[Path, Path]],
    tmp_path: Path,
) -> None:
    private, public = make_key()
    plan = tmp_path / "plan.json"
    where = ["--hub", published.hub.endpoint, "--build", str(published.build)]
    assert main(["plan", str(published.project.path), "--out", str(plan), *where]) == 0
    command = ["push", str(plan), "--yes", "--base-model", published.project.checkpoint, *where]
    assert main([*command, "--sign", str(private)]) == 0
    assert verified("--key", str(public))[0] == 0


def test_a_push_of_cards_alone_is_not_signed(
    published: Published,
    make_key: Callable[..., tuple[Path, Path]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = published.commits()
    assert published.push("--cards-only", "--sign", str(make_key()[0])) == 2
    assert "--sign was given for a push of cards alone" in capsys.readouterr().err
    assert published.commits() == before


def test_a_renewed_card_leaves_signature_and_statement_good(
    published: Published,
    verified: Callable[..., tuple[int, dict[str, Any]]],
    make_key: Callable[..., tuple[Path, Path]],
    tmp_path: Path,
) -> None:
    private, public = make_key()
    assert published.push("--sign", str(private)) == 0
    before = published.commits()
    manifest = tmp_path / "manifests" / published.project.path.name
    shutil.copytree(published.project.path.parent, manifest.parent, ignore=ignore_builds)
    text = manifest.read_text(encoding="utf-8")
    assert "SAEs of a random model." in text
    manifest.write_text(text.replace("SAEs of a random model.", "Of chance."), encoding="utf-8")
    published.project = dataclasses.replace(published.project, path=manifest)
    assert main(["render", str(manifest), "--build", str(published.build)]) == 0
    assert published.push("--cards-only") == 0
    after = published.commits()
    assert after[1:] == before
    changed = published.changed(after[0], before[0])
    assert {"README.md", "manifest.json", "provenance.intoto.json"} <= changed
    assert not any("/" in path and "figures" not in path for path in changed)
    code, found = verified("--key", str(public))
    assert [f for f in found.values() if f["state"] not in ("verified", "absent")] == []
    assert code == 0
    assert {found[part]["state"] for part in ("bytes", "manifest.json", "model.sig")} == {
        "verified"
    }
    # What the build holds then is what is published: neither push finds anything to send.
    assert published.push("--cards-only") == published.push() == 0
    assert published.commits() == after


def test_the_workflow_that_runs_signs_without_a_key(
    published: Published,
    verified: Callable[..., tuple[int, dict[str, Any]]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    request = urllib.request.Request(
        f"{published.hub.endpoint}/embedded-hub/oidc/jobs",
        json.dumps({"repository": "lab/saes", "workflow_ref": WORKFLOW_REF}).encode(),
        {"Authorization": f"Bearer {published.hub.token}"},
    )
    with urllib.request.urlopen(request) as answer:
        variables: dict[str, str] = json.load(answer)
    in_workflow = {
        "GITHUB_ACTIONS": "true",
        "GITHUB_SERVER_URL": "https://github.com",
        "GITHUB_REPOSITORY": "lab/saes",
        "GITHUB_WORKFLOW_REF": WORKFLOW_REF,
        "GITHUB_SHA": "c" * 40,
        "GITHUB_REF": "refs/heads/main",
        **variables,
    }
    sigstore = StandInSigstore(tmp_path)
    monkeypatch.setattr(
        "model_signing.signing.Config.use_sigstore_signer",
        lambda config, **given: sigstore.use_sigstore_signer(config, **given),
    )
    monkeypatch.setattr(
        "model_signing.verifying.Config.use_sigstore_verifier",
        lambda config, **given: sigstore.use_sigstore_verifier(config, **given),
    )
    before = published.commits()
    with monkeypatch.context() as job:
        for name, value in in_workflow.items():
            job.setenv(name, value)
        assert published.push("--sign", "keyless") == 0
        said = capsys.readouterr()
        assert f"will be signed by {IDENTITY}" in " ".join((said.out + said.err).split())
        assert variables["ACTIONS_ID_TOKEN_REQUEST_TOKEN"] not in said.out + said.err
        # The signature that holds is kept: Sigstore is asked for one certificate only.
        assert published.push("--sign", "keyless") == 0
    assert [token["workflow_ref"] for token in sigstore.tokens] == [WORKFLOW_REF]
    after = published.commits()
    assert after[1:] == before
    code, found = verified("--identity", IDENTITY)
    assert (code, found["model.sig"]["text"]) == (0, f"is by {IDENTITY}: 24 files of 12 SAEs")
    assert verified("--identity", IDENTITY.replace("publish", "another"))[0] == 1
    assert verified("--identity", IDENTITY, "--issuer", "https://gitlab.com")[0] == 1
    assert verified()[0] == 3


def test_a_sigstore_that_gives_no_answer_leaves_the_repository_as_it_was(
    published: Published, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from sigstore.errors import TUFError
    from sigstore.models import ClientTrustConfig

    def production(cls: type) -> None:
        raise TUFError("no root")

    for name, value in {
        "GITHUB_ACTIONS": "true",
        "GITHUB_SERVER_URL": "https://github.com",
        "GITHUB_REPOSITORY": "lab/saes",
        "GITHUB_WORKFLOW_REF": WORKFLOW_REF,
        "GITHUB_SHA": "c" * 40,
        "GITHUB_REF": "refs/heads/main",
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "x",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sigstore.oidc.detect_credential", lambda *arguments: "token")
    monkeypatch.setattr(ClientTrustConfig, "production", classmethod(production))
    before = published.commits()
    assert published.push("--sign", "keyless") == 4
    assert "Sigstore: gave no usable answer" in capsys.readouterr().err
    assert published.commits() == before
    assert not list(published.build.rglob("model.sig"))
