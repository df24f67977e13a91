"""`release fetch`: what is staged or published, into the build folder of a fresh clone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import CommitOperationAdd, HfApi
from made_release import MANIFEST, make_release

from manifests.build_folder import BuildFolder
from release.cli import main
from release.embedded_hub import EmbeddedHub

REPO_ID = "demo/published"
SAE = "tiny_topk_L1_mixed"
OTHER = "tiny_gated_L2_mixed"
PUBLISHED = {
    f"{SAE}/cfg.json": b"{}",
    f"{SAE}/sae_weights.safetensors": b"published weights",
    "notes/private.txt": b"not of the release",
    "README.md": b"---\nlicense: mit\n---\n# Card\n",
    "config.json": b"{}",
    "training.json": b"{}",
    "provenance.intoto.json": b"{}",
    "card.json": b"{}",
    "figures/figures.json": b"{}",
    "figures/sparsity.svg": b"<svg/>",
    "figures/old/one.svg": b"<svg/>",
}
SAES = {f"{SAE}/cfg.json", f"{SAE}/sae_weights.safetensors"}
CARD = {"report.json", "training.json", "card.json", "figures/figures.json", "figures/sparsity.svg"}


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with EmbeddedHub(tmp_path_factory.mktemp("hub")) as running:
        api = HfApi(endpoint=running.endpoint, token=running.token)
        made = make_release(tmp_path_factory.mktemp("made"), {**MANIFEST, "repo_id": REPO_ID})
        evidence = {"evidence_digest": made.loaded.evidence_digest}
        made.report.model_copy(update=evidence).write(made.build.report_json)
        PUBLISHED["report.json"] = made.build.report_json.read_bytes()
        push(api, REPO_ID, PUBLISHED)
        yield running


def push(api: HfApi, repo_id: str, files: dict[str, bytes]) -> str:
    api.create_repo(repo_id, exist_ok=True)
    operations = [CommitOperationAdd(path, content) for path, content in files.items()]
    return str(api.create_commit(repo_id, operations, commit_message="made").oid)


@pytest.fixture
def command(
    hub: EmbeddedHub, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> Callable[..., tuple[int, str]]:
    monkeypatch.setenv("HF_TOKEN", hub.token)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf_home"))

    def run(*options: str) -> tuple[int, str]:
        places = ["--manifests", str(tmp_path / "shelf"), "--build", str(tmp_path / "build")]
        code = main(["fetch", *options, *places, "--hub", hub.endpoint])
        found = capsys.readouterr()
        return code, " ".join((found.out + found.err).split())

    return run


@pytest.fixture
def manifest(tmp_path: Path) -> Callable[..., Path]:
    def write(name: str, repo_id: str, **more: Any) -> Path:
        path = tmp_path / "shelf" / f"{name}.yaml"
        path.parent.mkdir(exist_ok=True)
        content = {**MANIFEST, "repo_id": repo_id, **more}
        path.write_text(yaml.safe_dump(content), encoding="utf-8")
        return path

    return write


def fetched(tmp_path: Path, name: str) -> dict[str, bytes]:
    root = BuildFolder(tmp_path / "build" / name).repository
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file()
    }


def test_what_is_published_of_the_release_arrives_and_what_rendering_makes_does_not(
    command, manifest, tmp_path: Path
) -> None:
    code, said = command(str(manifest("one", REPO_ID)))
    assert code == 0, said
    wanted = CARD | SAES | {"provenance.intoto.json"}
    assert fetched(tmp_path, "one") == {path: PUBLISHED[path] for path in wanted}
    assert "one: 8 files" in said and "from demo/published at" in said


def test_for_cards_no_weights_are_fetched(command, manifest, tmp_path: Path, hub) -> None:
    path = manifest("one", REPO_ID)
    before = len(hub.requests())
    code, said = command(str(path), "--cards-only")
    assert code == 0, said
    assert set(fetched(tmp_path, "one")) == CARD
    assert not [r for r in hub.requests()[before:] if "safetensors" in r.path]


def test_staged_weights_come_from_the_revision_that_the_manifest_names(
    command, manifest, tmp_path: Path, hub
) -> None:
    api = HfApi(endpoint=hub.endpoint, token=hub.token)
    weights = f"{OTHER}/sae_weights.safetensors"
    oid = push(api, "demo/staging", {weights: b"first"})
    push(api, "demo/staging", {weights: b"second"})
    staged = {"repo_id": "demo/staging", "revision": oid}
    code, said = command(str(manifest("one", REPO_ID, weights=staged)))
    assert code == 0, said
    assert fetched(tmp_path, "one") == {weights: b"first"}
    code, said = command(str(manifest("two", REPO_ID, weights=staged)), "--published")
    assert code == 0, said
    assert f"{SAE}/sae_weights.safetensors" in fetched(tmp_path, "two")


@pytest.mark.parametrize("cards_only", [False, True], ids=["all", "cards"])
def test_a_report_of_other_facts_is_left_out_and_one_of_another_wording_is_not(
    command, manifest, tmp_path: Path, cards_only: bool
) -> None:
    options = ["--cards-only"] if cards_only else []
    worded = manifest("worded", REPO_ID, summary="Other words.")
    assert command(str(worded), *options)[0] == 0
    assert "report.json" in fetched(tmp_path, "worded")
    recipe = {**MANIFEST["recipe"], "topk": {"k": 5}}
    code, said = command(str(manifest("other", REPO_ID, recipe=recipe)), *options)
    assert code == 0
    assert "was made for other facts than the manifest states; it is left out" in said
    left = set() if cards_only else SAES | {"training.json", "provenance.intoto.json"}
    assert set(fetched(tmp_path, "other")) == left


def test_a_build_that_is_there_stays_as_it_is(command, manifest, tmp_path: Path) -> None:
    path = manifest("one", REPO_ID)
    mine = BuildFolder(tmp_path / "build" / "one").repository / "mine.txt"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"mine")
    code, said = command(str(path))
    assert code == 0 and "stays as it is" in said
    assert fetched(tmp_path, "one") == {"mine.txt": b"mine"}


def test_a_repository_without_anything_of_the_release_is_told_and_leaves_no_build(
    command, manifest, tmp_path: Path, hub
) -> None:
    push(HfApi(endpoint=hub.endpoint, token=hub.token), "demo/other", {"x.txt": b"x"})
    code, said = command(str(manifest("one", "demo/other")))
    assert code == 3
    assert "none of the 12 SAEs" in said and "release retrain" in said
    assert not (tmp_path / "build" / "one" / "repository").exists()


def test_all_leaves_out_what_the_hub_does_not_have(command, manifest, tmp_path: Path) -> None:
    manifest("absent", "demo/nowhere")
    manifest("one", REPO_ID)
    code, said = command("--all", "--cards-only")
    assert code == 0
    assert "absent: the Hub shows nothing of it" in said
    assert set(fetched(tmp_path, "one")) == CARD
    code, said = command(str(tmp_path / "shelf" / "absent.yaml"))
    assert code == 4 and "no such repository" in said
