"""`release push --all --cards-only` in a fresh clone: fetched, rendered, one commit each."""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from made_release import MANIFEST
from staged_release import block, own_partial, stage

from manifests.build_folder import BuildFolder
from manifests.load import load_manifest
from manifests.progress import Silent
from release import card_blocks
from release.cli import main
from release.embedded_hub import EmbeddedHub
from release.hub_connection import HubConnection
from release.publishing import hub_use
from release.publishing.push import PushOptions, push

SAE = "tiny_topk_L1_mixed"
SAES = {**MANIFEST["saes"], "architectures": ["topk"], "conditions": ["mixed"], "layers": [1]}
CARD = {"README.md", "card.json", "manifest.json", "provenance.intoto.json"}
OLD, NEW = "It has four blocks.", "It is made of four blocks."
PARTIAL = block(
    "from huggingface_hub import hf_hub_download",
    "path = hf_hub_download({{ loading.repo_id | python }}, 'SAE/cfg.json'.replace('SAE',",
    "    {{ loading.sae_id | python }}))",
    "print(open(path).read()[:1])",
)


@dataclass(frozen=True)
class Clone:
    """Manifests without a build, and the command line on them; output in one line."""

    root: Path
    prefix: str
    run: Callable[..., tuple[int, str]]

    def manifest(self, name: str, **changes: Any) -> Path:
        """Write a manifest; its repository is called after the test and it."""
        path = self.root / "shelf" / f"{name}.yaml"
        content = {**MANIFEST, "saes": SAES, "repo_id": f"{self.prefix}-{name}", **changes}
        path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
        return path

    def reworded(self, name: str) -> Path:
        """The same, with another wording of its caveat."""
        return self.manifest(name, caveats=[{**MANIFEST["caveats"][0], "text": NEW}])

    def build(self, name: str) -> BuildFolder:
        return BuildFolder(self.root / "build" / name)


@pytest.fixture(autouse=True)
def _loads_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_use, "_load", lambda *_: (4, []))


@pytest.fixture
def clone(
    tmp_path: Path,
    repo_id: str,
    connection: HubConnection,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Clone:
    monkeypatch.setenv("HF_TOKEN", str(connection.token))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf_home"))
    root = tmp_path / "clone"
    (root / "shelf" / "cards").mkdir(parents=True)
    (root / "shelf" / "cards" / "loading.md.j2").write_text(PARTIAL, encoding="utf-8")

    def run(*words: str) -> tuple[int, str]:
        places = ["--manifests", str(root / "shelf"), "--build", str(root / "build")]
        code = main([*words, *places, "--hub", connection.endpoint])
        found = capsys.readouterr()
        return code, " ".join((found.out + found.err).split())

    return Clone(root, repo_id[:60], run)


@pytest.fixture
def published(clone: Clone, connection: HubConnection, tmp_path: Path) -> Callable[..., None]:
    """Publish releases whose builds are not in the clone."""

    def publish(*names: str) -> None:
        for name in names:
            made = stage(tmp_path / "made" / name, repo_id=f"{clone.prefix}-{name}", saes=SAES)
            own_partial(made, "loading.md.j2", PARTIAL)
            # The statement that is published names the manifest's file.
            loaded = load_manifest(made.loaded.path.rename(tmp_path / "made" / f"{name}.yaml"))
            shutil.copytree(
                tmp_path / "made" / name / "cards", tmp_path / "made" / "cards", dirs_exist_ok=True
            )
            options = PushOptions()
            push(loaded, made.build, connection, options=options, progress=Silent())

    return publish


def commits(clone: Clone, name: str, connection: HubConnection) -> list[str]:
    found = connection.api().list_repo_commits(f"{clone.prefix}-{name}")
    return [each.commit_id for each in found]


def tree(clone: Clone, name: str, connection: HubConnection, oid: str) -> dict[str, str]:
    entries = connection.api().list_repo_tree(
        f"{clone.prefix}-{name}", recursive=True, revision=oid
    )
    return {e.path: e.blob_id for e in entries if hasattr(e, "blob_id")}


@pytest.mark.parametrize("lacks", [None, "sae_lens"], ids=["whole", "base"])
def test_a_fresh_clone_renews_what_changed_and_touches_nothing_else(
    clone: Clone,
    published: Any,
    connection: HubConnection,
    running_hub: EmbeddedHub,
    monkeypatch: pytest.MonkeyPatch,
    lacks: str | None,
) -> None:
    published("one", "same", "two")
    before = {name: commits(clone, name, connection) for name in ("one", "same", "two")}
    clone.reworded("one")
    clone.manifest("same")
    clone.reworded("two")
    real = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name, *a: None if name == lacks else real(name, *a)
    )
    monkeypatch.setattr(card_blocks, "run_blocks", lambda *_, **__: pytest.fail("code was run"))
    since = len(running_hub.requests())
    code, said = clone.run("push", "--all", "--cards-only", "--yes")
    assert code == 0, said
    assert "one: 4 files rendered" in said and "fetched from" in said
    assert said.count("no weight file is touched") == 3
    assert f"2 commits on {connection.endpoint}: 6 files sent" in said
    told = "was not tried: loading from the Hub" if lacks else "1 of 1 code block of the card ran"
    assert said.count(told) == 2
    assert not [each for each in running_hub.requests()[since:] if "safetensors" in each.path]
    for name in ("one", "two"):
        new, *rest = commits(clone, name, connection)
        assert rest == before[name]
        then, now = (tree(clone, name, connection, oid) for oid in (rest[0], new))
        assert {path for path in now if now[path] != then.get(path)} == CARD
        assert now.keys() == then.keys()
        readme = connection.api().hf_hub_download(f"{clone.prefix}-{name}", "README.md")
        text = Path(readme).read_text(encoding="utf-8")
        assert NEW in text and OLD not in text
    assert commits(clone, "same", connection) == before["same"]
    code, said = clone.run("push", "--all", "--cards-only", "--yes")
    assert (code, "Nothing would change" in said) == (0, True), said
    assert len(commits(clone, "one", connection)) == len(before["one"]) + 1


def test_what_cannot_be_renewed_is_told_and_hides_no_other(
    clone: Clone, published: Any, connection: HubConnection
) -> None:
    published("good", "other")
    clone.reworded("good")
    clone.manifest("other", recipe={**MANIFEST["recipe"], "epochs": 11})
    clone.manifest("unpublished")
    head = commits(clone, "other", connection)
    code, said = clone.run("push", "--all", "--cards-only", "--yes")
    assert code == 1
    assert "other is left out:" in said and "no report is published that is of this" in said
    assert "unpublished is left out:" in said and "this token may not see it" in said
    assert len(commits(clone, "good", connection)) == 3
    assert commits(clone, "other", connection) == head
    (clone.root / "shelf" / "other.yaml").unlink()
    # What was never published is no failure where every manifest is meant; named, it is.
    assert clone.run("push", "--all", "--cards-only", "--yes")[0] == 0
    code, said = clone.run("push", str(clone.manifest("unpublished")), "--cards-only", "--yes")
    assert code == 1 and "this token may not see it" in said and "left out" not in said


def test_changed_code_is_run_again_on_the_published_saes(
    clone: Clone, published: Any, connection: HubConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    published("one")
    path = clone.manifest("one")
    partial = clone.root / "shelf" / "cards" / "loading.md.j2"
    partial.write_text(PARTIAL.replace("print(open", "print( open"), encoding="utf-8")
    real = importlib.util.find_spec
    with monkeypatch.context() as patch:
        patch.setattr(
            "importlib.util.find_spec",
            lambda name, *a: None if name == "sae_lens" else real(name, *a),
        )
        code, said = clone.run("push", str(path), "--cards-only", "--yes")
        assert (code, "sae-release[measure]" in said) == (3, True), said
    assert len(commits(clone, "one", connection)) == 2
    code, said = clone.run("push", str(path), "--cards-only", "--yes")
    assert code == 0, said
    assert "1 of 1 code block ran" in said
    assert len(commits(clone, "one", connection)) == 3
    # The SAE served its purpose and is no part of the build.
    assert not list(clone.build("one").repository.glob(f"{SAE}/*"))
    partial.write_text(block("raise OSError('broken')"), encoding="utf-8")
    code, said = clone.run("push", str(path), "--cards-only", "--yes")
    assert (code, "OSError: broken" in said) == (1, True)
    assert len(commits(clone, "one", connection)) == 3


def test_a_card_of_other_numbers_than_are_published_is_refused(
    clone: Clone, published: Any, connection: HubConnection, tmp_path: Path
) -> None:
    published("one", "two")
    path = clone.reworded("one")
    clone.reworded("two")
    made = tmp_path / "made" / "one" / "build" / "tiny" / "repository"
    shutil.copytree(made, clone.build("one").repository)
    report = clone.build("one").report_json
    content = json.loads(report.read_bytes())
    content["tool_version"] = "0.0.other"
    report.write_text(json.dumps(content), encoding="utf-8")
    code, said = clone.run("push", "--all", "--cards-only", "--yes")
    assert code == 1
    assert "would be refused: report.json on the Hub is another one" in said
    assert f"release push {path}, which sends them too" in said
    assert len(commits(clone, "one", connection)) == 2
    assert len(commits(clone, "two", connection)) == 3


def test_a_build_with_saes_and_no_report_is_left_alone(
    clone: Clone, published: Any, connection: HubConnection
) -> None:
    published("one")
    path = clone.manifest("one")
    weights = clone.build("one").sae_folder(SAE) / "sae_weights.safetensors"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"mine")
    code, said = clone.run("push", str(path), "--cards-only", "--yes")
    assert code == 1 and "the build has SAEs and no report of them" in said
    assert [p for p in clone.build("one").repository.rglob("*") if p.is_file()] == [weights]


def test_a_card_that_was_rendered_without_numbers_is_renewed_with_them(
    clone: Clone, published: Any, connection: HubConnection
) -> None:
    published("one")
    path = clone.reworded("one")
    assert main(["render", str(path), "--build", str(clone.root / "build")]) == 0
    assert not clone.build("one").report_json.is_file()
    code, said = clone.run("push", str(path), "--cards-only", "--yes")
    assert code == 0, said
    assert clone.build("one").report_json.is_file()
    readme = (clone.build("one").repository / "README.md").read_text(encoding="utf-8")
    assert "0.810" in readme


def test_a_collection_shows_no_numbers_of_a_card_that_is_refused(
    clone: Clone, published: Any, connection: HubConnection, tmp_path: Path
) -> None:
    published("one")
    path = clone.reworded("one")
    shelf = clone.root / "shelf"
    (shelf / "study.yaml").write_text(
        "defaults: {license: mit}\nbase_models:\n"
        "  m: {id: demo/tiny-llama, n_layers: 4, d_model: 8}\n",
        encoding="utf-8",
    )
    page = shelf / "zall.yaml"
    stated = {"kind": "collection", "schema_version": 1, "repo_id": f"{clone.prefix}-all"}
    members = [{"base_model": "m", "manifest": "one.yaml"}]
    stated |= {"title": "T", "summary": "S.", "study": "study.yaml", "members": members}
    page.write_text(yaml.safe_dump(stated, sort_keys=False), encoding="utf-8")
    assert clone.run("push", str(path), "--cards-only", "--yes")[0] == 0
    assert main(["render", str(page), "--build", str(clone.root / "build")]) == 0
    assert clone.run("push", str(page), "--yes")[0] == 0
    shown = commits(clone, "all", connection)
    # Other numbers than those that are published, in a build of its own.
    build = clone.build("one")
    made = tmp_path / "made" / "one" / "build" / "tiny" / "repository" / SAE
    shutil.copytree(made, build.repository / SAE)
    report = build.report_json.read_text(encoding="utf-8")
    assert "0.81" in report
    build.report_json.write_text(report.replace("0.81", "0.99"), encoding="utf-8")
    code, said = clone.run("push", "--all", "--cards-only", "--yes")
    assert code == 1
    assert "its page would lose the numbers of" in said and "mend one first" in said
    assert commits(clone, "all", connection) == shown


def test_options_beside_a_plan_are_refused(
    clone: Clone, published: Any, connection: HubConnection
) -> None:
    published("one")
    clone.reworded("one")
    plan = clone.root / "plan.json"
    assert clone.run("plan", "--all", "--cards-only", "--out", str(plan))[0] == 0
    before = commits(clone, "one", connection)
    for option in ("--cards-only", "--all", "--delete"):
        code, said = clone.run("push", str(plan), option, "--yes")
        assert code == 2 and "the plan alone" in said
    assert commits(clone, "one", connection) == before


def test_a_plan_is_kept_in_a_json_file(
    clone: Clone, published: Any, connection: HubConnection
) -> None:
    published("one")
    clone.reworded("one")
    code, said = clone.run("plan", "--all", "--cards-only", "--out", str(clone.root / "plan"))
    assert code == 2 and "plan.json" in said
    assert not (clone.root / "plan").exists()
    plan = clone.root / "plan.json"
    code, said = clone.run("plan", "--all", "--cards-only", "--out", str(plan))
    next_command = f"release push {plan} --hub {connection.endpoint} --build {clone.root / 'build'}"
    assert code == 0 and next_command in said


def test_a_plan_of_cards_renders_them_and_is_carried_out_as_it_was_reviewed(
    clone: Clone, published: Any, connection: HubConnection
) -> None:
    published("one")
    clone.reworded("one")
    plan = clone.root / "plan.json"
    code, said = clone.run("plan", "--all", "--cards-only", "--out", str(plan))
    assert code == 0, said
    assert "no weight file is touched" in said and "3 files to change" in said
    code, said = clone.run("push", str(plan), "--yes")
    assert code == 0, said
    assert len(commits(clone, "one", connection)) == 3
    assert clone.run("plan", "--all", "--cards-only", "--detailed-exitcode")[0] == 0
