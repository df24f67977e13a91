"""Text from a stranger's report runs nowhere on the page, and is shown for what it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from made_release import MANIFEST, make_outcome, make_release

from release.cli import main
from release.report_page.rendering import embedded_json
from release.report_page.rows import anchor_of

IMAGE = "<img src=x onerror=\"window.ran='image'\">"
NAME = f"{IMAGE}\"'`&amp;\u202eevil\u2066 {{{{7*7}}}}"
SCRIPT = "</script></template><script>window.ran='script'</script><svg onload=\"window.ran='svg'\">"
STYLE = "</style><style>*{display:none}</style>"
SVG = b"""<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9" onload="parent.ran='figure'">
<script>parent.ran = 'figure'</script><rect width="9" height="9"/></svg>"""


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pages of a folder whose report, manifest and figure try to run something."""
    folder = tmp_path_factory.mktemp("hostile")
    manifest = {**MANIFEST, "title": SCRIPT, "summary": f"{STYLE}{IMAGE}"}
    outcomes = (
        make_outcome("W102", "failed", subject=NAME, title=IMAGE, found=SCRIPT, next_step=STYLE),
        make_outcome(f'X"{IMAGE}', "warned", subject=NAME, found=NAME),
        make_outcome("X 2", "skipped", found=SCRIPT, expected=IMAGE),
    )
    release = make_release(folder, manifest).with_tables().with_outcomes(*outcomes)
    report = json.loads(release.report.model_dump_json())
    for section in ("measurements", "tables"):
        saes = report[section]["saes"]
        saes[NAME] = saes.pop("tiny_topk_L1_mixed")
        report[section]["inputs"] = {f"{NAME}/cfg.json": SCRIPT}
        report[section]["environment"] = {IMAGE: SCRIPT}
    report["measurements"]["saes"][NAME]["l0"] |= {"value": None, "reason": SCRIPT}
    report["tables"]["saes"][NAME]["verdicts"] = {IMAGE: SCRIPT}
    report["checks"]["inputs"] = {NAME: IMAGE}
    report["repo_id"] = NAME
    report["tool_version"] = IMAGE
    repository = folder / "<b onclick=window.ran=1>"
    (repository / "figures").mkdir(parents=True)
    (repository / "report.json").write_text(json.dumps(report), encoding="utf-8")
    resolved = json.dumps(release.loaded.manifest.resolved())
    (repository / "manifest.json").write_text(resolved, encoding="utf-8")
    statement = {"predicate": {"runDetails": {"builder": {"id": SCRIPT}}}}
    (repository / "provenance.intoto.json").write_text(json.dumps(statement), encoding="utf-8")
    (repository / "figures" / "sparsity.svg").write_bytes(SVG)
    site = folder / "site"
    title = f"{IMAGE}{SCRIPT}"
    assert main(["report", str(repository), "--out", str(site), "--title", title]) == 0
    return site


def pages_of(site: Path) -> list[Path]:
    return sorted(site.rglob("*.html"))


def test_nothing_of_it_runs_and_its_name_is_shown(hostile: Path, open_page: Any) -> None:
    names = {path.name for path in pages_of(hostile)}
    assert {"index.html", "saes.html"} < names and len(names) == 3
    for path in pages_of(hostile):
        opened = open_page(path.as_uri())
        opened.page.evaluate("document.querySelectorAll('details').forEach(e => e.open = true)")
        opened.page.wait_for_timeout(200)
        assert opened.page.evaluate("window.ran") is None
        # The policy would have refused it; that nothing had to be refused says it stayed text.
        assert opened.said == []
        assert opened.page.locator("main").is_visible()
        assert "<img src=x onerror=" in opened.page.locator("main").inner_text()
        assert r"\u202eevil\u2066 {{7*7}}" in opened.page.locator("main").inner_text()


def test_its_row_sorts_filters_and_opens(hostile: Path, open_page: Any) -> None:
    path = next(path for path in pages_of(hostile) if path.parent.name == "repositories")
    anchor = anchor_of(NAME)
    opened = open_page(f"{path.as_uri()}#{anchor}")
    panel = opened.page.get_by_role("dialog")
    assert "<img src=x onerror=" in panel.locator("h2").inner_text()
    assert panel.get_by_text("not measured: </script>").count() == 1
    opened.page.keyboard.press("Escape")
    opened.page.get_by_role("searchbox").fill("<IMG SRC=X")
    assert opened.page.locator("#saes tbody tr:not([hidden])").count() == 1
    opened.page.get_by_role("button", name="L0").click()
    opened.page.get_by_role("button", name="SAE", exact=True).click()
    assert opened.page.evaluate("window.ran") is None
    assert opened.said == []


def test_a_strangers_figure_is_an_image_inside_the_page_and_no_file(hostile: Path) -> None:
    assert list(hostile.rglob("*.svg")) == []
    page = next(path for path in pages_of(hostile) if path.parent.name == "repositories")
    assert page.read_text(encoding="utf-8").count('<img src="data:image/svg+xml;base64,') == 1


def test_the_markup_has_no_script_but_the_assets(hostile: Path) -> None:
    for path in pages_of(hostile):
        text = path.read_text(encoding="utf-8")
        starts = [part.partition(">")[0] for part in text.split("<script")[1:]]
        assert starts
        for start in starts:
            is_asset = start.startswith((' defer src="assets/', ' defer src="../assets/'))
            assert is_asset or start == ' type="application/json" id="plot-data"'
        assert 'onerror="' not in text
        assert "\u202e" not in text
        assert "<style" not in text


def test_json_in_a_page_ends_no_element_and_reads_back() -> None:
    value = {"</script>": ["<!--", "&amp;", "\u2028", "é"], "n": 0.5}
    text = embedded_json(value)
    assert set("<>&") & set(text) == set()
    assert text.isascii()
    assert json.loads(text) == value


def test_an_id_that_no_folder_has_gets_an_address_of_its_own() -> None:
    assert anchor_of("tiny_topk_L1") == "sae-tiny_topk_L1"
    others = [anchor_of(name) for name in (NAME, f"{NAME} ", "a b", "a/b", "\udcff", "")]
    assert len(set(others)) == len(others)
    assert all(anchor.isascii() and " " not in anchor for anchor in others)
