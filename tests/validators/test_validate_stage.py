"""The stage: a whole report from a folder, kept while nothing changed, made again when it did."""

from __future__ import annotations

import dataclasses
import datetime
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from manifests.build_folder import BuildFolder
from manifests.facts import Accept, Claim
from manifests.progress import Silent
from validators.claim import published_claim
from validators.options import ValidateOptions
from validators.reading.local_repository import LocalRepository
from validators.reading.repository import NoSuchRepository, UnreadableFile
from validators.report import Report, read_report
from validators.stage import validate, validate_build

METRICS = {
    "explained_variance",
    "explained_variance_train",
    "l0",
    "l0_p5",
    "l0_median",
    "l0_p95",
    "l0_train",
    "mse",
    "mse_train",
    "cosine",
    "dead_fraction",
    "dead_fraction_train",
    "dense_fraction",
    "path_difference",
    "pca_8_explained_variance",
    "threshold_moved_fraction",
}
OF_TOKENS = {"ce_recovered", "ce_recovered_mean", "ce_increase", "kl", "kl_recovered"}
OF_OUTLIERS = "explained_variance_outliers"
METRICS |= OF_TOKENS | {OF_OUTLIERS}


class Noted(Silent):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture(scope="module")
def validated(good_release: Any, tmp_path_factory: pytest.TempPathFactory) -> BuildFolder:
    """A copy of the good release with its report; tests copy it before they change it."""
    build = BuildFolder(tmp_path_factory.mktemp("validated") / "tiny")
    shutil.copytree(good_release.repository, build.repository)
    options = ValidateOptions(base_model=str(good_release.base_model))
    validate_build(good_release.loaded, build, options=options, progress=Silent())
    return build


@pytest.fixture
def build(validated: BuildFolder, tmp_path: Path) -> BuildFolder:
    copy = BuildFolder(tmp_path / "tiny")
    shutil.copytree(validated.root, copy.root)
    return copy


def again(good_release: Any, build: BuildFolder, **options: Any) -> tuple[Report, bool]:
    """Run the stage; the report, and whether the one that was there was kept."""
    progress = Noted()
    base_model = str(good_release.base_model)
    arguments = {"options": ValidateOptions(base_model=base_model)} | options
    report = validate_build(good_release.loaded, build, progress=progress, **arguments)
    return report, any("kept" in note for note in progress.notes)


def test_the_report_has_every_metric_of_every_sae_with_n_and_split(validated: BuildFolder) -> None:
    report = read_report(validated.report_json)
    assert report.checks is not None
    assert report.checks.exit_code == 0
    assert report.measurements is not None
    # 120 completions in 2 strata of 60: floor(0.25 x 60 + 0.5) = 15 of each are held out.
    assert report.measurements.n_vectors == {"mixed": {"held_out": 30, "train": 90}}
    assert set(report.measurements.saes) == {
        f"tiny_{architecture}_L1_mixed" for architecture in ("topk", "jumprelu", "gated")
    }
    for metrics in report.measurements.saes.values():
        assert set(metrics) == METRICS
        on_vectors = [metrics[name] for name in METRICS - OF_TOKENS - {OF_OUTLIERS}]
        assert {(m.split, m.n) for m in on_vectors} == {("held_out", 30), ("train", 90)}
        assert metrics[OF_OUTLIERS].n == 0
        # 30 held-out completions of 6 tokens each: the last one predicts nothing that is known.
        assert {metrics[name].n for name in OF_TOKENS} == {30 * 5}
        assert 0 < metrics["explained_variance"].value <= 1
        assert metrics["path_difference"].value < 1e-5


def test_a_number_that_does_not_apply_is_none_with_a_reason(validated: BuildFolder) -> None:
    report = read_report(validated.report_json)
    assert report.measurements is not None
    moved = report.measurements.saes["tiny_topk_L1_mixed"]["threshold_moved_fraction"]
    assert moved.value is None
    assert moved.reason == "only JumpReLU has thresholds"
    of_jumprelu = report.measurements.saes["tiny_jumprelu_L1_mixed"]["threshold_moved_fraction"]
    assert of_jumprelu.value is not None


def test_topk_has_an_l0_of_exactly_k(validated: BuildFolder) -> None:
    report = read_report(validated.report_json)
    assert report.measurements is not None
    assert report.measurements.saes["tiny_topk_L1_mixed"]["l0"].value == 9.0


def test_nothing_in_the_report_names_this_machine(validated: BuildFolder) -> None:
    text = validated.report_json.read_text(encoding="utf-8")
    assert str(validated.root.parent) not in text
    assert str(Path.home()) not in text


def test_two_runs_write_the_same_bytes(good_release: Any, build: BuildFolder) -> None:
    before = build.report_json.read_bytes()
    build.report_json.unlink()
    again(good_release, build)
    assert build.report_json.read_bytes() == before


def test_an_unchanged_build_keeps_its_report(good_release: Any, build: BuildFolder) -> None:
    first = read_report(build.report_json)
    report, kept = again(good_release, build)
    assert kept
    assert report == first


def test_files_that_are_made_from_the_report_do_not_make_it_stale(
    good_release: Any, build: BuildFolder
) -> None:
    for name in ("README.md", "config.json", "card.json", "manifest.json", "figures/a.png"):
        (build.repository / name).parent.mkdir(exist_ok=True)
        (build.repository / name).write_text("later", encoding="utf-8")
    assert again(good_release, build)[1]


def damage_config(build: BuildFolder) -> None:
    path = build.sae_folder("tiny_topk_L1_mixed") / "cfg.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"k": 9', '"k": 8'), encoding="utf-8")


def remove_a_folder(build: BuildFolder) -> None:
    shutil.rmtree(build.sae_folder("tiny_topk_L1_mixed"))


def add_a_folder(build: BuildFolder) -> None:
    shutil.copytree(build.sae_folder("tiny_topk_L1_mixed"), build.repository / "left_over")


def edit_training(build: BuildFolder) -> None:
    record = json.loads(build.training_json.read_text(encoding="utf-8"))
    record["data"]["sha256"] = "1" * 64
    build.training_json.write_text(json.dumps(record), encoding="utf-8")


@pytest.mark.parametrize("change", [damage_config, remove_a_folder, add_a_folder, edit_training])
def test_a_changed_build_is_checked_again_and_fails(
    good_release: Any, build: BuildFolder, change: Any
) -> None:
    change(build)
    report, kept = again(good_release, build, tier="static")
    assert not kept
    assert report.checks is not None
    assert report.checks.exit_code == 1


def test_a_damaged_report_is_made_again(good_release: Any, build: BuildFolder) -> None:
    build.report_json.write_text("{", encoding="utf-8")
    report, kept = again(good_release, build, tier="static")
    assert not kept
    assert read_report(build.report_json) == report


@pytest.mark.parametrize("changed", ["claims", "accept"])
def test_another_claim_or_acceptance_makes_the_report_stale(
    good_release: Any, build: BuildFolder, changed: str
) -> None:
    value = {
        "claims": (Claim(text="There are four SAEs.", holds_if="matrix.n_saes == 4"),),
        "accept": (Accept(code="W103", since=datetime.date(2026, 1, 2), why="known"),),
    }[changed]
    manifest = good_release.loaded.manifest.model_copy(update={changed: value})
    other = dataclasses.replace(good_release.loaded, manifest=manifest)
    report = validate_build(other, build, tier="static", progress=Silent())
    assert read_report(build.report_json) == report
    assert report.evidence_digest == manifest.evidence_digest()
    by_code = {outcome.code: outcome for outcome in report.checks.outcomes}
    expected = {"claims": ("failed", "passed"), "accept": ("passed", "passed")}[changed]
    # W103 is of the tier load, which was not run, so nobody knows whether it still fails.
    assert (by_code["M001"].outcome, by_code["M002"].outcome) == expected
    kept = Noted()
    assert validate_build(other, build, tier="static", progress=kept) == report
    assert any("kept" in note for note in kept.notes)


def test_another_wording_keeps_the_numbers_and_names_the_new_manifest(
    good_release: Any, build: BuildFolder
) -> None:
    before = read_report(build.report_json)
    manifest = good_release.loaded.manifest.model_copy(update={"summary": "Said better."})
    other = dataclasses.replace(good_release.loaded, manifest=manifest)
    progress = Noted()
    options = ValidateOptions(base_model=str(good_release.base_model))
    report = validate_build(other, build, options=options, progress=progress)
    assert progress.notes == ["validate: only the manifest's wording has changed; numbers kept"]
    assert report.manifest_digest == manifest.digest() != before.manifest_digest
    assert (report.checks, report.measurements) == (before.checks, before.measurements)
    assert read_report(build.report_json) == report


def test_another_manifest_tier_or_base_model_is_another_question(
    good_release: Any, build: BuildFolder
) -> None:
    limits = good_release.loaded.manifest.limits.model_copy(update={"path_tolerance": 0.1})
    manifest = good_release.loaded.manifest.model_copy(update={"limits": limits})
    other = dataclasses.replace(good_release.loaded, manifest=manifest)
    progress = Noted()
    report = validate_build(other, build, tier="static", progress=progress)
    assert progress.notes == []
    assert report.manifest_digest == manifest.digest()
    assert not again(good_release, build, tier="static")[1]
    assert again(good_release, build, tier="static")[1]
    assert not again(good_release, build, tier="load")[1]


def test_a_base_model_that_is_not_at_hand_leaves_a_gap_and_is_tried_again(
    good_release: Any, build: BuildFolder, tmp_path: Path
) -> None:
    build.report_json.unlink()
    nowhere = str(tmp_path / "no-model" / "here" / "at-all")
    missing = {"options": ValidateOptions(base_model=nowhere)}
    report, _ = again(good_release, build, **missing)
    assert report.checks is not None
    assert report.checks.exit_code == 3
    assert report.measurements is None
    assert not again(good_release, build, **missing)[1]


def test_nothing_built_is_an_error_and_not_an_empty_report(
    good_release: Any, tmp_path: Path
) -> None:
    with pytest.raises(NoSuchRepository, match="does not exist"):
        again(good_release, BuildFolder(tmp_path / "none"))


def test_an_empty_folder_without_a_manifest_fails(tmp_path: Path) -> None:
    report = validate(LocalRepository(tmp_path), manifest=None, tier="static", progress=Silent())
    assert report.checks is not None
    assert report.checks.exit_code == 1
    assert report.manifest_digest is None


def test_any_repository_can_be_checked_without_a_manifest(good_release: Any) -> None:
    repository = LocalRepository(good_release.repository)
    report = validate(repository, manifest=None, tier="load", progress=Silent())
    assert report.checks is not None
    assert report.checks.exit_code == 0, [o for o in report.checks.outcomes if o.found]
    left_out = {o.code: o for o in report.checks.outcomes if o.code in ("F002", "C007")}
    assert all(o.outcome == "skipped" and not o.required for o in left_out.values())
    assert "no manifest" in left_out["F002"].found


def test_a_damaged_published_manifest_is_named(damaged: Any) -> None:
    (damaged.root / "manifest.json").write_text('{"schema_version": 2}', encoding="utf-8")
    with pytest.raises(UnreadableFile, match="is no resolved manifest: schema_version"):
        published_claim(LocalRepository(damaged.root))


def test_a_single_sae_at_the_root_is_checked_under_the_name_of_a_dot(good_release: Any) -> None:
    folder = good_release.repository / "tiny_topk_L1_mixed"
    report = validate(LocalRepository(folder), manifest=None, tier="load", progress=Silent())
    assert report.checks is not None
    assert {o.subject for o in report.checks.outcomes} == {"", "."}
    assert report.checks.exit_code == 0
    assert set(report.checks.inputs) == {"cfg.json", "sae_weights.safetensors"}
