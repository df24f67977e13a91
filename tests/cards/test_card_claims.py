"""Claims are printed where they hold and stop the card where they do not; so are acceptances."""

from __future__ import annotations

import re
from typing import Any

import pytest

from cards.sections.claims import ClaimNotHeld
from cards.stage import render, rendered_files
from manifests.progress import Silent

HOLDS = {"text": "Every SAE has 4 active latents.", "holds_if": "worst(l0) == 4 and best(l0) == 4"}


def readme(release: Any) -> str:
    return rendered_files(release.sources)["README.md"].decode("utf-8")


def section(text: str, title: str) -> str:
    return text.split(f"## {title}\n", 1)[1].split("\n## ", 1)[0]


def test_a_claim_that_holds_stands_beside_its_condition(manifest_data, make) -> None:
    manifest_data["claims"] = [HOLDS, {"text": "There are 12.", "holds_if": "matrix.n_saes > 11"}]
    claims = section(readme(make(manifest_data)), "Key findings")
    assert re.findall(r"^- (.*)$", claims, flags=re.MULTILINE) == [
        "Every SAE has 4 active latents. `worst(l0) == 4 and best(l0) == 4`",
        "There are 12. <code>matrix.n_saes &gt; 11</code>",
    ]


def test_a_card_without_claims_has_no_section_for_them(release) -> None:
    assert "## Key findings" not in readme(release)


def test_a_claim_that_the_report_does_not_bear_out_stops_the_card(manifest_data, make) -> None:
    # The report has explained variances from 0.81 - 11 x 0.05 = 0.26 to 0.81, and 0.5 of PCA.
    broken = "worst(explained_variance) > best(pca_8_explained_variance)"
    manifest_data["claims"] = [HOLDS, {"text": "All beat PCA.", "holds_if": broken}]
    release = make(manifest_data)
    with pytest.raises(ClaimNotHeld) as caught:
        render(release.loaded, release.build, progress=Silent())
    assert "'All beat PCA.'" in caught.value.what and broken in caught.value.what
    assert "explained_variance is 0.26 to 0.81 of 12 SAEs" in caught.value.what
    assert "active latents" not in caught.value.what
    assert not (release.build.repository / "README.md").exists()


def test_a_claim_on_a_number_that_was_not_measured_stops_the_card(manifest_data, make) -> None:
    manifest_data["claims"] = [HOLDS]
    release = make(manifest_data).with_metric(
        "tiny_topk_L1_mixed", "l0", value=None, reason="it could not be run"
    )
    with pytest.raises(ClaimNotHeld, match="it could not be run"):
        rendered_files(release.sources)


def test_a_hostile_claim_stays_one_line_of_text(manifest_data, make) -> None:
    condition = "'`</code><script>' != '## x'"
    manifest_data["claims"] = [{"text": "a\n\n## b <script> [x](y)", "holds_if": condition}]
    claims = section(readme(make(manifest_data)), "Key findings")
    assert len(re.findall(r"^- ", claims, flags=re.MULTILINE)) == 1
    assert "<script" not in claims and "[x]" not in claims and "\n## b" not in claims


def test_an_accepted_failure_is_a_limitation_with_its_reason(release, outcome) -> None:
    accepted = {"title": "thresholds move", "acceptance": {"since": "2026-01-02", "why": "Old."}}
    other = accepted | {"acceptance": {"since": "2026-02-03", "why": "New."}}
    text = readme(
        release.with_outcomes(
            outcome("W103", "accepted", subject="tiny_topk_L1_mixed", **accepted),
            outcome("W103", "accepted", subject="tiny_topk_L2_mixed", **accepted),
            outcome("F006", "accepted", **other),
        )
    )
    items = re.findall(r"^- (\*\*Check .*)$", section(text, "Limitations"), flags=re.MULTILINE)
    assert items == [
        "**Check F006 fails, and this is accepted** since 2026-02-03 on `repository`. "
        "It asks that thresholds move. New.",
        "**Check W103 fails, and this is accepted** since 2026-01-02 on `tiny_topk_L1_mixed`, "
        "`tiny_topk_L2_mixed`. It asks that thresholds move. Old.",
    ]
