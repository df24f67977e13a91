"""A published repository with faults, adopted from the command line: fetched, mended, described.

The first part runs on the nine SAEs of one layer and stops before the push; the last test takes
all 39 to a pull request, merges it, and looks at it as a stranger.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from adoption_standin import (
    BASE_MODEL,
    NOBODYS,
    REPO_ID,
    TURNED,
    WRONG_WEIGHTS,
    Member,
    Published,
    members,
    publish_standin,
    right_tensors,
)
from huggingface_hub import HfApi
from safetensors.numpy import load

from manifests.build_folder import SAE_CONFIG, SAE_WEIGHTS, BuildFolder
from manifests.digests import bytes_sha256, file_sha256
from manifests.load import load_manifest
from release.adopted import is_adopted, left_unchecked, required_tiers
from release.cli import main
from release.embedded_hub import EmbeddedHub
from release.publishing.plan import read_plan
from validators.report import read_report

OF_ONE_LAYER = tuple(member for member in members() if member.layer == 9)


@dataclass(frozen=True)
class Adopting:
    """A folder of manifests, a build folder with an embedded Hub in it, and what is published."""

    root: Path
    published: Published

    @property
    def manifest(self) -> Path:
        return self.root / "manifests" / "tiny.yaml"

    @property
    def build(self) -> BuildFolder:
        return BuildFolder(self.root / "build" / "tiny")

    def run(self, command: str, *arguments: str) -> int:
        """One command on the embedded Hub; its exit code."""
        places = ["--hub", "embedded", "--build", str(self.root / "build")]
        return main([command, *arguments, *places])

    def hub(self) -> EmbeddedHub:
        return EmbeddedHub(self.root / "build" / "hub")

    def placed(self, path: str) -> bytes:
        return (self.build.repository / path).read_bytes()


def published_in(root: Path, layers: tuple[int, ...]) -> Adopting:
    (root / "manifests").mkdir()
    with EmbeddedHub(root / "build" / "hub") as hub:
        published = publish_standin(hub, root / "work", layers)
    return Adopting(root, published)


def imported(adopting: Adopting) -> None:
    """What a person does first: import, say what no file states, mend what contradicts."""
    arguments = [REPO_ID, "--out", str(adopting.manifest)]
    # The findings on the repository make it 1; the manifest is written all the same.
    assert adopting.run("import", *arguments) == 1
    text = adopting.manifest.read_text(encoding="utf-8")
    assert text.count("Not known: no file of the repository says so.") == 2
    text = text.replace("Not known: no file of the repository says so.", "Made for a test.")
    # It speaks of TopK SAEs as well, which have no threshold; the recipe says it right.
    text = text.replace("All non-STE SAEs have threshold = 0", "The plain ones have threshold = 0")
    adopting.manifest.write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
def adopted(tmp_path_factory: pytest.TempPathFactory) -> Adopting:
    """Nine SAEs, imported and mended into a build whose card is rendered."""
    adopting = published_in(tmp_path_factory.mktemp("adopting"), (9,))
    imported(adopting)
    assert adopting.run("validate", str(adopting.manifest), "--fix") == 0
    builds = ["--build", str(adopting.root / "build")]
    assert main(["render", str(adopting.manifest), *builds]) == 0
    return adopting


@pytest.fixture
def copied(adopted: Adopting, tmp_path: Path) -> Adopting:
    """The same in a folder of its own, for a test to change."""
    shutil.copytree(adopted.root, tmp_path / "own")
    return Adopting(tmp_path / "own", adopted.published)


def paths(chosen: tuple[Member, ...], name: str) -> list[str]:
    return [f"{member.sae_id}/{name}" for member in chosen]


def test_right_weights_keep_their_bytes_and_wrong_ones_are_turned(adopted: Adopting) -> None:
    published, rewritten = adopted.published.files, set()
    for number, member in enumerate(members()):
        if member not in OF_ONE_LAYER:
            continue
        path = f"{member.sae_id}/{SAE_WEIGHTS}"
        if bytes_sha256(adopted.placed(path)) != bytes_sha256(published[path]):
            rewritten.add(member.sae_id)
        tensors = load(adopted.placed(path))
        for name, right in right_tensors(number, member).items():
            np.testing.assert_array_equal(tensors[name], right)
    assert rewritten == {sae_id for sae_id in TURNED if "_L9_" in sae_id} != set()


def test_fetching_leaves_the_build_as_mending_does(
    copied: Adopting, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = {
        path: copied.placed(path)
        for path in (*paths(OF_ONE_LAYER, SAE_CONFIG), *paths(OF_ONE_LAYER, SAE_WEIGHTS))
    }
    shutil.rmtree(copied.build.root)
    capsys.readouterr()
    assert copied.run("fetch", str(copied.manifest)) == 0
    assert {path: copied.placed(path) for path in wanted} == wanted
    said = " ".join(capsys.readouterr().out.split())
    n_turned = len([sae_id for sae_id in TURNED if "_L9_" in sae_id])
    assert f"the weights of {9 - n_turned} of 9 SAEs are kept as they were" in said
    assert f"Next: release validate {copied.manifest.as_posix()}" in said


def test_every_config_is_mended_by_the_manifest(adopted: Adopting) -> None:
    for path in paths(OF_ONE_LAYER, SAE_CONFIG):
        config = json.loads(adopted.placed(path))
        assert config["metadata"]["hook_name"] == "blocks.9.hook_resid_post"
        assert config["metadata"]["hf_hook_name"] == "model.layers.9"
        assert config["metadata"]["model_name"] == BASE_MODEL
        assert config["device"] == "cpu"


def test_only_files_of_the_saes_come_into_the_build(adopted: Adopting) -> None:
    found = {
        path.relative_to(adopted.build.repository).as_posix()
        for path in adopted.build.repository.rglob("*")
        if path.is_file()
    }
    own = {*paths(OF_ONE_LAYER, SAE_CONFIG), *paths(OF_ONE_LAYER, SAE_WEIGHTS)}
    rendered = {"README.md", "card.json", "config.json", "manifest.json", "report.json"}
    assert found == own | rendered
    assert not (adopted.build.work / "mended").exists()


def test_the_report_reaches_loading_and_leaves_the_training_record_open(adopted: Adopting) -> None:
    checks = read_report(adopted.build.report_json).checks
    assert checks is not None
    assert checks.tiers == ("static", "load")
    assert not checks.count("failed", "crashed") and not checks.n_gaps
    (record,) = [each for each in checks.outcomes if each.code == "F008"]
    assert (record.outcome, record.required) == ("skipped", False)
    assert REPO_ID in record.found


def test_thresholds_of_zero_are_warned_of_and_called_relu(adopted: Adopting) -> None:
    legacy = [member.sae_id for member in OF_ONE_LAYER if member.is_legacy]
    checks = read_report(adopted.build.report_json).checks
    assert checks is not None
    warned = [each.subject for each in checks.outcomes if each.code == "W102"
              and each.outcome == "warned"]  # fmt: skip
    assert sorted(warned) == sorted(legacy) and len(legacy) == 3
    card = adopted.placed("README.md").decode()
    (said,) = [line for line in card.splitlines() if "**ReLU, not JumpReLU.**" in line]
    assert all(f"`{sae_id}`" in said for sae_id in legacy)
    assert "_ste_" not in said
    assert "ReLU saved as JumpReLU (thresholds fixed at zero)" in card


def test_the_card_says_what_nobody_checked_and_where_the_weights_are_from(
    adopted: Adopting,
) -> None:
    card = adopted.placed("README.md").decode()
    assert "**Nothing on this card was measured by sae-release.**" in card
    assert "No record of the training of these weights came with them." in card
    assert f"at `{adopted.published.oid}`" in card
    assert "| `training.json` | there is none |" in card
    (skipped,) = [line for line in card.splitlines() if "**Check F009 skipped**" in line]
    assert "all 9 SAEs (" in skipped, "one reason is not printed nine times"


def test_the_plan_keeps_right_weights_and_names_what_is_open(adopted: Adopting, capsys) -> None:
    out = adopted.root / "plan.json"
    assert adopted.run("plan", str(adopted.manifest), "--out", str(out)) == 0
    (plan,) = read_plan(out).repositories
    sent = {file.path_in_repo for file in plan.sends}
    wrong = [f"{sae_id}/{SAE_WEIGHTS}" for sae_id in TURNED if "_L9_" in sae_id]
    assert {path for path in sent if path.endswith(SAE_WEIGHTS)} == {*wrong}
    assert set(plan.unchanged) == {*paths(OF_ONE_LAYER, SAE_WEIGHTS)} - {*wrong}
    assert sent >= {"README.md", "config.json", "report.json", *paths(OF_ONE_LAYER, SAE_CONFIG)}
    assert set(plan.unknown) == {*NOBODYS}
    assert plan.refusals == () and plan.deletes == ()
    assert [what.partition(":")[0] for what in plan.unchecked] == [
        "how the weights were made",
        "what the SAEs do to their base model",
    ]
    said = " ".join(capsys.readouterr().out.split())
    assert ". not checked: how the weights were made: there is no training.json" in said


def test_adopting_again_takes_the_commit_of_the_manifest_and_not_the_head(
    copied: Adopting,
) -> None:
    path = f"{OF_ONE_LAYER[0].sae_id}/{SAE_CONFIG}"
    before = copied.placed(path)
    with copied.hub() as hub:
        api = HfApi(endpoint=hub.endpoint, token=hub.token)
        api.upload_file(path_or_fileobj=b"{}", path_in_repo=path, repo_id=REPO_ID)
    (copied.build.repository / path).write_bytes(b"damaged")
    assert copied.run("validate", str(copied.manifest), "--fix") == 0
    assert copied.placed(path) == before


def test_a_wrong_weight_file_in_the_build_is_refused(copied: Adopting, capsys) -> None:
    path = paths(OF_ONE_LAYER, SAE_WEIGHTS)[0]
    content = copied.placed(path)
    (copied.build.repository / path).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert copied.run("plan", str(copied.manifest)) == 1
    assert f"{path} is not the file that was checked" in " ".join(capsys.readouterr().out.split())


def test_a_load_tier_must_have_run(copied: Adopting, capsys) -> None:
    copied.build.report_json.unlink()
    arguments = (str(copied.manifest), "--tier", "static")
    assert copied.run("validate", *arguments) == 0
    builds = ["--build", str(copied.root / "build")]
    assert main(["render", str(copied.manifest), *builds]) == 0
    capsys.readouterr()
    assert copied.run("plan", str(copied.manifest)) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "! would be refused: the tier load was not run" in said
    assert "the tier activations was not run" not in said


def changed(adopting: Adopting, change: Callable[[dict[str, Any]], object]) -> Path:
    """The imported manifest with other keys."""
    data = yaml.safe_load(adopting.manifest.read_text(encoding="utf-8"))
    change(data)
    adopting.manifest.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    return adopting.manifest


def test_weights_of_no_stated_origin_need_a_training_record(copied: Adopting, capsys) -> None:
    loaded = load_manifest(changed(copied, lambda data: data.pop("weights")))
    assert not is_adopted(loaded, copied.build)
    assert copied.run("plan", str(loaded.path)) == 1
    assert "training.json" in " ".join(capsys.readouterr().err.split())
    assert left_unchecked(loaded, copied.build, ("static", "load")) == ()


def test_data_that_the_manifest_names_has_to_be_measured_on(copied: Adopting, capsys) -> None:
    data = {"file": "own.jsonl", "sha256": "0" * 64}
    loaded = load_manifest(changed(copied, lambda manifest: manifest["data"].update(data)))
    assert is_adopted(loaded, copied.build)
    assert required_tiers(loaded, copied.build)[-1] == "activations"
    assert copied.run("validate", str(loaded.path), "--tier", "static") == 0
    builds = ["--build", str(copied.root / "build")]
    assert main(["render", str(loaded.path), *builds]) == 0
    capsys.readouterr()
    assert copied.run("plan", str(loaded.path)) == 1
    assert "the tier activations was not run" in " ".join(capsys.readouterr().out.split())


def test_weights_that_were_trained_here_are_not_adopted(copied: Adopting) -> None:
    loaded = load_manifest(copied.manifest)
    assert required_tiers(loaded, copied.build) == ("static", "load")
    copied.build.training_json.write_text("{}", encoding="utf-8")
    assert not is_adopted(loaded, copied.build)
    assert required_tiers(loaded, copied.build)[-1] == "activations"
    # The build is left alone: its mended copy lies beside it.
    assert copied.run("validate", str(copied.manifest), "--fix", "--tier", "static") == 1
    assert (copied.root / "build" / "tiny-fixed" / "training.json").is_file()
    assert copied.build.training_json.read_text(encoding="utf-8") == "{}"


@pytest.fixture
def merged(tmp_path: Path) -> Iterator[tuple[Adopting, EmbeddedHub]]:
    """All 39, pushed as a pull request; the tests that merge it say so."""
    root = tmp_path / "all"
    root.mkdir()
    adopting = published_in(root, (3, 6, 9, 12, 15))
    imported(adopting)
    manifest, plan = str(adopting.manifest), str(root / "plan.json")
    assert adopting.run("validate", manifest, "--fix") == 0
    assert main(["render", manifest, "--build", str(root / "build")]) == 0
    assert adopting.run("plan", manifest, "--out", plan) == 0
    assert adopting.run("push", plan, "--pr", "--yes") == 0
    with adopting.hub() as hub:
        yield adopting, hub


@pytest.mark.slow
def test_39_saes_reach_a_pull_request_that_leaves_main_as_it_is(
    merged: tuple[Adopting, EmbeddedHub], tmp_path: Path, capsys
) -> None:
    adopting, hub = merged
    published = adopting.published.files
    api = HfApi(endpoint=hub.endpoint, token=hub.token)
    receipt = json.loads((adopting.build.work / "receipt.json").read_bytes())
    assert receipt["pull_request"].endswith("/discussions/1")
    assert api.model_info(REPO_ID).sha == adopting.published.oid, "main is as it was"
    tree = {
        entry.path: entry.lfs.sha256 if entry.lfs else None
        for entry in api.list_repo_tree(REPO_ID, revision="refs/pr/1", recursive=True)
        if hasattr(entry, "blob_id")
    }
    assert {*published} <= {*tree}, "no file is lost, those that nobody knows included"
    kept = {path for path in published if path.endswith(SAE_WEIGHTS)} - {
        f"{sae_id}/{SAE_WEIGHTS}" for sae_id in WRONG_WEIGHTS
    }
    assert len(kept) == 36
    assert {tree[path] == bytes_sha256(published[path]) for path in kept} == {True}
    assert {"README.md", "config.json", "manifest.json", "report.json", "card.json"} <= {*tree}
    assert "training.json" not in tree

    api.merge_pull_request(REPO_ID, 1)
    copy = Path(api.snapshot_download(REPO_ID, local_dir=tmp_path / "copy"))
    for path in adopting.build.repository.rglob("*"):
        if path.is_file():
            assert file_sha256(copy / path.relative_to(adopting.build.repository)) == file_sha256(
                path
            )
    stranger = ["validate", REPO_ID, "--hub", hub.endpoint, "--manifests", str(tmp_path / "none")]
    assert main([*stranger, "--tier", "load", "--format", "json"]) == 1
    outcomes = json.loads(capsys.readouterr().out)["checks"]["outcomes"]
    failed = {each["code"] for each in outcomes if each["outcome"] in ("failed", "crashed")}
    assert failed == {"F006"}, "the pickle that somebody left there, and nothing else"
    assert {each["code"] for each in outcomes if each["outcome"] == "warned"} == {"W102"}

    legacy = next(member for member in members() if member.is_legacy)
    sae = sae_of(copy, legacy.sae_id)
    x = torch.randn(32, 16, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        latents = sae.encode(x)
        expected = torch.relu((x - sae.b_dec) @ sae.W_enc + sae.b_enc)
    assert torch.allclose(latents, expected, atol=1e-6), "it computes a ReLU, as the card says"


def sae_of(copy: Path, sae_id: str) -> Any:
    """The SAE of that folder, as SAELens loads it."""
    from sae_lens import SAE

    return SAE.load_from_disk(copy / sae_id, device="cpu")
