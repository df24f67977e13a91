"""Weights that were made by somebody else: a report without a training record; wording later."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
import yaml
from card_words import words_of
from made_release import Release

from cards.block_results import BlockResults, BlockRun, code_sha256, write_blocks
from cards.sources import SourcesDisagree, agreeing, read_sources
from cards.stage import render, rendered_files, stale_files
from manifests.digests import file_sha256
from manifests.load import load_manifest
from manifests.progress import Silent
from validators.readme.snippets import python_blocks


@pytest.fixture
def adopted(release) -> Release:
    """The hand-made release without its training record, also on the disk."""
    release.build.training_json.unlink()
    return replace(release, training=None)


def readme(release: Any) -> str:
    return rendered_files(release.sources)["README.md"].decode("utf-8")


def test_an_adopted_card_has_the_measurements_and_says_what_nobody_recorded(adopted) -> None:
    words = words_of(readme(adopted))
    assert words.row_with("tiny_gated_L1_mixed", "0.760")  # 0.81 - 1 x 0.05
    assert words.row_with("deceptive_only")[2:] == ("30", "10", "6")
    assert words.row_with("training.json")[1] == "there is none"
    assert words.row_with("report.json")[1] == "e" * 64
    assert "No record of the training of these weights came with them." in words.text
    assert "Trained elsewhere. The weights came without a record" in words.text
    assert "Whoever trained the SAEs may have used any of them." in words.text
    assert "that training never saw" not in words.text and "used in training" not in words.text
    assert "Nothing on this card was measured" not in words.text
    assert words.row_with("tiny_jumprelu_L1_mixed", "not recorded", "62.5%")


def test_an_adopted_card_has_results_for_the_hub_and_digests_in_the_index(adopted) -> None:
    files = rendered_files(adopted.sources)
    front = yaml.safe_load(files["README.md"].decode("utf-8").split("\n---\n", 1)[0])
    assert len(front["model-index"][0]["results"]) > 0
    entry = json.loads(files["config.json"])["saes"][0]
    # `made_release` numbers the files of each SAE.
    inputs = adopted.report.measurements.inputs
    assert entry["sha256"]["cfg.json"] == inputs[f"{entry['sae_id']}/cfg.json"]


def test_an_adopted_build_is_rendered_and_then_fresh(adopted) -> None:
    written = render(adopted.loaded, adopted.build, progress=Silent()).written
    assert adopted.build.card_json in written
    assert json.loads(adopted.build.card_json.read_bytes())["training_digest"] is None
    assert stale_files(adopted.loaded, adopted.build) == {}


def test_a_report_of_checks_alone_leaves_every_number_not_measured(adopted, outcome) -> None:
    inputs = adopted.report.measurements.inputs
    outcomes = (outcome("W102", "passed"), outcome("C201", "failed", found="it differs"))
    checks = adopted.report.checks.model_copy(update={"inputs": inputs, "outcomes": outcomes})
    report = adopted.report.model_copy(update={"checks": checks, "measurements": None})
    checked = replace(adopted, report=report)
    assert agreeing(checked.sources)
    words = words_of(readme(checked))
    assert (
        "Not measured: explained variance" in words.text and "The files were checked." in words.text
    )
    assert "1 check passed" in words.text and "it differs" in words.text
    assert not {"EV", "PCA EV"} & {cell for row in words.rows for cell in row}


@pytest.mark.parametrize("section", ["checks", "saes", "inputs"])
def test_a_report_of_other_weights_is_refused_without_a_record_too(adopted, section) -> None:
    report, measured = adopted.report, adopted.report.measurements
    broken = {
        "checks": report.model_copy(update={"checks": None}),
        "saes": report.model_copy(
            update={"measurements": measured.model_copy(update={"saes": {}})}
        ),
        "inputs": report.model_copy(
            update={"measurements": measured.model_copy(update={"inputs": {}})}
        ),
    }[section]
    said = {
        "checks": "no section checks",
        "saes": "report.json lacks the SAE tiny_topk_L1_mixed",
        "inputs": "report.json has no digest of tiny_topk_L1_mixed/cfg.json",
    }[section]
    with pytest.raises(SourcesDisagree, match=said):
        agreeing(replace(adopted, report=broken).sources)


def test_tables_of_other_files_are_refused_without_a_record_too(release) -> None:
    with_tables = replace(release.with_tables(), training=None)
    assert agreeing(with_tables.sources)
    tables = with_tables.report.tables
    inputs = {**tables.inputs, "tiny_topk_L1_mixed/cfg.json": "9" * 64}
    report = with_tables.report.model_copy(
        update={"tables": tables.model_copy(update={"inputs": inputs})}
    )
    with pytest.raises(SourcesDisagree, match=r"report\.json has"):
        agreeing(replace(with_tables, report=report).sources)


def reworded(release: Any, manifest: dict[str, Any], **changes: Any) -> Any:
    """The manifest on the disk, written again with some keys changed."""
    text = yaml.safe_dump({**manifest, **changes}, sort_keys=False)
    release.loaded.path.write_text(text, encoding="utf-8", newline="\n")
    return load_manifest(release.loaded.path)


def with_evidence(release: Any) -> Any:
    """The release whose report names what it rests on, as `release validate` writes it."""
    evidence = {"evidence_digest": release.loaded.evidence_digest}
    return replace(release, report=release.report.model_copy(update=evidence)).write()


def test_a_new_wording_needs_no_new_measurement(release, manifest_data) -> None:
    before = with_evidence(release)
    render(before.loaded, before.build, progress=Silent())
    report = file_sha256(before.build.report_json)
    caveats = [{"title": "Tiny model", "text": "Its blocks are few."}]
    changes: dict[str, Any] = {
        "caveats": caveats,
        "uses": {"recommended": ["Testing a card."]},
        "context": ["A test."],
        "card": {"template": "single_sae"},
    }
    loaded = reworded(before, manifest_data, **changes)
    assert loaded.digest != before.loaded.digest
    assert loaded.evidence_digest == before.loaded.evidence_digest
    render(loaded, before.build, progress=Silent())
    text = (before.build.repository / "README.md").read_text(encoding="utf-8")
    assert "Its blocks are few." in text and "It has four blocks." not in text
    assert "- Testing a card." in text and loaded.digest in text
    assert file_sha256(before.build.report_json) == report


def test_a_new_recipe_needs_a_new_report(release, manifest_data) -> None:
    before = with_evidence(release)
    recipe = {**manifest_data["recipe"], "epochs": 11}
    with pytest.raises(SourcesDisagree, match="the manifest now is"):
        read_sources(reworded(before, manifest_data, recipe=recipe), before.build)


def test_what_came_of_running_the_code_is_kept_as_long_as_the_code_is_the_same(release) -> None:
    render(release.loaded, release.build, progress=Silent())
    readme = release.build.repository / "README.md"
    blocks = python_blocks(readme.read_text(encoding="utf-8"))
    digest = code_sha256(blocks)
    results = BlockResults(
        code_sha256=digest,
        files={},
        base_model=None,
        environment={"python": "3.11"},
        runs=tuple(BlockRun(line=block.line, outcome="ran") for block in blocks),
    )
    write_blocks(release.build.repository, results)
    before = release.build.card_json.read_bytes()
    assert stale_files(release.loaded, release.build) == {}
    render(release.loaded, release.build, progress=Silent())
    assert release.build.card_json.read_bytes() == before
    assert json.loads(before)["blocks"]["code_sha256"] == digest
    text = readme.read_bytes()
    release.with_metric("tiny_topk_L1_mixed", "mse", value=3.5).write()
    render(release.loaded, release.build, progress=Silent())
    assert readme.read_bytes() != text
    assert json.loads(release.build.card_json.read_bytes())["blocks"]["code_sha256"] == digest
