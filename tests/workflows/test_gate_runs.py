"""The gate, run by act on this machine: green on a good change, red with the reason on others."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from rehearsal import Ran, Rehearsal

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def report_pages(rehearsal: Rehearsal, ran: Ran) -> set[str]:
    """The artifacts that the summary links, each of which has to show the repository."""
    links = re.findall(r"\]\(http[^)]*/artifacts/([\w-]+)\)", ran.summary)
    for name in links:
        pages = [path for path in (rehearsal.artifacts / name).rglob("*.html")]
        assert rehearsal.artifacts / name / "index.html" in pages
        assert any("lab/tiny-saes" in path.read_text(encoding="utf-8") for path in pages)
    return set(links)


def test_another_wording_passes_and_is_checked_to_the_weights(
    rehearsal: Rehearsal, main_commit: str, manifest: dict[str, Any]
) -> None:
    manifest["summary"] = "SAEs of a random model, for a rehearsal."
    rehearsal.write_manifest(manifest)
    rehearsal.commit("Say what they are for")
    ran = rehearsal.pull_request("gate, good change", main_commit)
    assert ran.code == 0, ran.log[-8000:]
    assert set(ran.jobs.values()) == {"success"}
    assert "load         manifests/tiny.yaml: what it says changed" in ran.summary
    assert "PASSED" in ran.summary.replace("\\", "")
    assert "files are stale at lab/tiny-saes" in " ".join(ran.summary.split())
    assert report_pages(rehearsal, ran) == {"report-all", "report-tiny"}


def test_a_claim_that_the_weights_do_not_bear_out_is_refused_with_the_reason(
    rehearsal: Rehearsal, main_commit: str, manifest: dict[str, Any]
) -> None:
    manifest["recipe"]["topk"]["k"] = 5
    rehearsal.write_manifest(manifest)
    rehearsal.commit("Claim another k")
    ran = rehearsal.pull_request("gate, wrong claim", main_commit)
    assert ran.code != 0
    assert ran.results("manifests") == ran.results("gate") == {"failure"}
    assert "activations  manifests/tiny.yaml" in ran.summary
    said = ran.summary.replace("\\", "")
    assert "FAILED" in said and "| failed |" in said
    assert report_pages(rehearsal, ran) == {"report-all", "report-tiny"}
    assert any("failed" in each for each in ran.annotations)


def test_a_manifest_that_cannot_be_read_is_refused_with_its_line(
    rehearsal: Rehearsal, main_commit: str, manifest: dict[str, Any]
) -> None:
    rehearsal.write_manifest({**manifest, "licence": "mit"})
    rehearsal.commit("Mistype a key")
    ran = rehearsal.pull_request("gate, mistyped key", main_commit)
    assert ran.code != 0
    assert ran.results("changes") == ran.results("gate") == {"failure"}
    assert "unknown key 'licence'" in ran.summary
    assert "did you mean 'license'?" in ran.summary


def test_a_stale_schema_is_refused(rehearsal: Rehearsal, main_commit: str) -> None:
    path = rehearsal.clone / "manifests" / "schema.json"
    path.write_text(path.read_text(encoding="utf-8").replace("Hub", "hub", 1), encoding="utf-8")
    rehearsal.commit("Edit what is generated")
    ran = rehearsal.pull_request("gate, stale schema", main_commit)
    assert ran.code != 0
    assert ran.results("cards") == ran.results("gate") == {"failure"}
    assert "release schema --out manifests/schema.json" in ran.summary


def test_a_template_that_cannot_be_rendered_is_refused(
    rehearsal: Rehearsal, main_commit: str
) -> None:
    path = rehearsal.clone / "cards" / "templates" / "partials" / "provenance.md.j2"
    path.write_text(path.read_text(encoding="utf-8") + "{{ no_such_name }}\n", encoding="utf-8")
    rehearsal.commit("Name what is not there")
    ran = rehearsal.pull_request("gate, broken template", main_commit)
    assert ran.code != 0
    assert ran.results("cards") == ran.results("gate") == {"failure"}
    assert "no_such_name" in ran.summary
    assert "static       manifests/tiny.yaml: code or templates changed" in ran.summary


def test_staged_weights_are_run_on_the_base_model(
    rehearsal: Rehearsal, main_commit: str, manifest: dict[str, Any], study: Any, tmp_path: Path
) -> None:
    from huggingface_hub import HfApi

    api = HfApi(endpoint=rehearsal.hub.endpoint, token=rehearsal.hub.token)
    api.create_repo("lab/staging")
    staged = api.upload_folder(
        repo_id="lab/staging", folder_path=study.build.root / "tiny" / "repository"
    )
    manifest["weights"] = {"repo_id": "lab/staging", "revision": staged.oid}
    rehearsal.write_manifest(manifest)
    rehearsal.commit("Stage other weights")
    ran = rehearsal.pull_request("gate, staged weights", main_commit)
    assert ran.code == 0, ran.log[-8000:]
    assert "activations  manifests/tiny.yaml: its weights come from elsewhere" in ran.summary
    assert "tier activations" in ran.summary
