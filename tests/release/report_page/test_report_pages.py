"""What the pages say of manifests, builds and reports, without a browser."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from made_release import MANIFEST, Release, make_outcome, make_release

import release.report_page.hub_state
from cards.figures.kinds import KINDS
from manifests.errors import MissingExtra
from release.cli import main
from release.report_page.figures import TITLES
from release.report_page.findings import findings_of
from release.report_page.hub_state import HubState, not_asked
from release.report_page.page import RepositoryPage, repository_page
from release.report_page.rendering import BareValue, _environment
from release.report_page.rows import SaeRow
from release.report_page.site import file_names
from release.report_page.sources import source_of_folder, source_of_manifest
from validators.report import Report

ROOT = Path(__file__).resolve().parents[3]
ASSETS = ROOT / "release" / "report_page" / "assets"
TOPK = "tiny_topk_L1_mixed"
JUMPRELU = "tiny_jumprelu_L1_mixed"


@pytest.fixture
def made(tmp_path: Path) -> Release:
    return make_release(tmp_path / "made", MANIFEST)


def page_of(made: Release, hub: HubState | None = None) -> RepositoryPage:
    source, _ = source_of_manifest(made.loaded.path, made.build.root.parent)
    return repository_page(source, hub or not_asked("a test"), "tiny.html")


def row_of(page: RepositoryPage, sae_id: str) -> SaeRow:
    return next(row for row in page.table.rows if row.sae_id == sae_id)


def run(made: Release, out: Path, *options: str) -> int:
    build = str(made.build.root.parent)
    return main(["report", str(made.loaded.path), "--out", str(out), "--build", build, *options])


def test_a_row_has_the_numbers_of_the_report_as_the_card_writes_them(made: Release) -> None:
    made = made.with_tables().with_metric(TOPK, "explained_variance", low=0.5, high=0.625)
    row = row_of(page_of(made.write()), TOPK)
    assert (row.architecture, row.layer, row.condition) == ("TopK", 1, "mixed")
    # The sixth SAE: 0.81 - 5 x 0.05.
    assert (row.explained_variance.text, row.explained_variance.beside) == (
        "0.560",
        ("0.500-0.625",),
    )
    assert (row.l0.text, row.dead.text, row.difference.text) == ("4.0", "25.0%", "1.5e-07")
    assert row.thresholds.text == "none"
    assert row.probe.text == "0.750 ± 0.050"
    assert row.probe.beside == ("raw 0.750", "chance 0.400-0.600")


def test_thresholds_tell_their_state(tmp_path: Path, made: Release) -> None:
    assert row_of(page_of(made.write()), JUMPRELU).thresholds.text == "62.5% moved"
    fixed = {"threshold": "fixed_at_zero", "sparsity_coefficient": 0.1}
    recipe = {**MANIFEST["recipe"], "jumprelu": fixed, "batchtopk": {"k": 4}}
    saes = {**MANIFEST["saes"], "architectures": ["jumprelu", "batchtopk"]}
    other = make_release(tmp_path / "other", {**MANIFEST, "recipe": recipe, "saes": saes})
    page = page_of(other)
    assert row_of(page, JUMPRELU).thresholds.text == "fixed at 0"
    assert row_of(page, "tiny_batchtopk_L1_mixed").thresholds.text == "one for all latents"


def test_variants_can_be_told_apart_from_the_plain_recipe(tmp_path: Path, made: Release) -> None:
    assert page_of(made).table.distinct("variant_name") == ("plain",)
    recipe = {**MANIFEST["recipe"], "variants": {"wide": {"topk": {"k": 8}}}}
    saes = {**MANIFEST["saes"], "architectures": ["topk"], "variants": ["", "wide"]}
    other = make_release(tmp_path / "other", {**MANIFEST, "recipe": recipe, "saes": saes})
    assert page_of(other).table.distinct("variant_name") == ("plain", "wide")
    assert row_of(page_of(other), "tiny_topk_wide_L1_mixed").variant_name == "wide"


def test_what_was_not_measured_is_no_number_and_has_its_reason(made: Release) -> None:
    missing = {"value": None, "reason": "every vector is the same"}
    page = page_of(made.with_metric(TOPK, "explained_variance", **missing).write())
    row = row_of(page, TOPK)
    assert (row.explained_variance.text, row.explained_variance.value) == ("not measured", None)
    assert page.table.reasons[row.explained_variance.note - 1] == "every vector is the same"
    assert row.probe.value is None
    assert "release measure" in page.table.reasons[row.probe.note - 1]
    assert page.n_measured == 11


def test_a_manifest_without_a_build_shows_its_saes_and_that_nothing_is_known(made: Release) -> None:
    page = page_of(made)
    assert [row.sae_id for row in page.table.rows] == [spec.sae_id for spec in made.loaded.saes]
    cells = [
        cell
        for row in page.table.rows
        for cell in (row.explained_variance, row.l0, row.dead, row.probe, row.difference)
    ]
    assert {(cell.text, cell.value) for cell in cells} == {("not measured", None)}
    assert {row.state for row in page.table.rows} == {"not checked"}
    assert page.decision.word == "not checked"
    assert "no report" in page.table.reasons[0]
    assert page.notices[0].next_step == "release validate tiny.yaml"
    assert page.plot_data["quantities"] == []


def test_an_empty_build_makes_no_number_on_the_written_pages(made: Release, tmp_path: Path) -> None:
    assert run(made, tmp_path / "site", "--offline") == 0
    text = (tmp_path / "site" / "repositories" / "tiny.html").read_text(encoding="utf-8")
    cells = [part.partition("</td>")[0] for part in text.split('data-label="Explained variance"')]
    assert len(cells) == 13
    assert all("not measured" in cell and "data-value" not in cell for cell in cells[1:])


@pytest.mark.parametrize(
    ("outcomes", "word", "kind"),
    [
        (("passed",), "passed", "passed"),
        (("passed", "warned"), "passed", "warned"),
        (("passed", "skipped"), "incomplete", "skipped"),
        (("passed", "skipped", "failed"), "failed", "failed"),
        (("crashed",), "failed", "failed"),
    ],
)
def test_the_decision_is_that_of_the_report(
    made: Release, outcomes: tuple[str, ...], word: str, kind: str
) -> None:
    found = [make_outcome(f"W10{n}", outcome, subject=TOPK) for n, outcome in enumerate(outcomes)]
    page = page_of(made.with_outcomes(*found).write())
    assert (page.decision.word, page.decision.kind) == (word, kind)
    state = row_of(page, TOPK).state
    assert state == {"incomplete": "skipped", "passed": kind}.get(word, word)


def test_findings_come_gravest_first_with_their_explanation_and_remedy(made: Release) -> None:
    accepted = {"since": "2026-01-02", "why": "known"}
    checks = made.with_outcomes(
        make_outcome("N211", "noted", found="few"),
        make_outcome("W102", "failed", subject=TOPK, found="a", expected="b", next_step="see C006"),
        make_outcome("W102", "failed", subject=JUMPRELU, found="a"),
        make_outcome("Z999", "warned", found="of a later version"),
        make_outcome("C001", "accepted", subject=TOPK, acceptance=accepted),
        make_outcome("C001", "accepted", acceptance={**accepted, "why": "for another reason"}),
        make_outcome("R005", "skipped", found="nothing to ask", required=False),
    ).report.checks
    assert checks is not None
    found = findings_of(checks)
    codes = [(each.kind, each.code) for each in found.findings]
    assert codes == [
        ("failed", "W102"),
        ("warned", "Z999"),
        ("accepted", "C001"),
        ("accepted", "C001"),
        ("noted", "N211"),
    ]
    first = found.findings[0]
    assert [sae_id for sae_id, _ in first.where[0].subjects] == [TOPK, JUMPRELU]
    assert first.next_steps[0].startswith("see C006 (")
    assert "transposed" in first.explanation or "mend" in first.explanation
    assert found.findings[1].explanation == ""
    assert found.findings[2].accepted == "since 2026-01-02: for another reason"
    assert len({each.anchor for each in found.findings}) == 5
    assert [each.code for each in found.not_asked] == ["R005"]


def test_a_report_of_other_weights_is_shown_with_a_warning(made: Release) -> None:
    assert made.training is not None
    made.write()
    other = json.loads(made.build.training_json.read_text(encoding="utf-8"))
    other["saes"][TOPK]["files"]["sae_weights.safetensors"] = "9" * 64
    made.build.training_json.write_text(json.dumps(other), encoding="utf-8")
    page = page_of(made)
    assert page.notices[0].text.startswith("No card can be made of the build: the measurements are")
    assert row_of(page, TOPK).explained_variance.text == "0.560"


def test_a_damaged_report_has_a_page_that_says_so(made: Release, tmp_path: Path) -> None:
    made.write()
    made.build.report_json.write_text("{", encoding="utf-8")
    page = page_of(made)
    said = [notice.text.partition(" at its start")[0] for notice in page.notices]
    assert said == [
        "No card can be made of the build: report.json is damaged",
        "report.json is not shown: is damaged",
    ]
    assert page.decision.word == "not checked"
    assert run(made, tmp_path / "site", "--offline") == 0


def test_figures_that_cannot_be_drawn_are_told(made: Release, monkeypatch) -> None:
    def refused(figure: object) -> bytes:
        raise MissingExtra(needed_for="drawing", package="matplotlib", extra="plots")

    monkeypatch.setattr("cards.figures.drawing.drawn", refused)
    page = page_of(made.write())
    assert page.figures == ()
    assert "sparsity" in page.notices[0].text
    assert "plots" in str(page.notices[0].next_step)


def test_every_kind_of_figure_has_a_title() -> None:
    assert set(TITLES) == set(KINDS)


def test_a_folder_is_shown_by_what_it_publishes(made: Release, tmp_path: Path) -> None:
    made.write()
    bare = source_of_folder(made.build.repository)
    assert bare.claim is None
    page = repository_page(bare, not_asked("a test"), "tiny.html")
    assert {row.architecture for row in page.table.rows} == {"not stated"}
    assert row_of(page, TOPK).explained_variance.text == "0.560"
    resolved = json.dumps(made.loaded.manifest.resolved())
    (made.build.repository / "manifest.json").write_text(resolved, encoding="utf-8")
    page = repository_page(source_of_folder(made.build.repository), not_asked(""), "tiny.html")
    assert row_of(page, TOPK).architecture == "TopK"
    (made.build.repository / "manifest.json").unlink()
    made.build.sae_folder(TOPK).mkdir()
    cfg = {"architecture": "topk", "metadata": {"hook_name": "blocks.7.hook_resid_post"}}
    (made.build.sae_folder(TOPK) / "cfg.json").write_text(json.dumps(cfg), encoding="utf-8")
    page = repository_page(source_of_folder(made.build.repository), not_asked(""), "tiny.html")
    assert (row_of(page, TOPK).architecture, row_of(page, TOPK).layer) == ("TopK", 7)
    made.build.report_json.unlink()
    page = repository_page(source_of_folder(made.build.repository), not_asked(""), "tiny.html")
    assert [row.sae_id for row in page.table.rows] == [TOPK]
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "no report" in source_of_folder(empty).notices[0].text


def test_a_saved_report_has_a_page(made: Release, tmp_path: Path, capsys) -> None:
    saved = tmp_path / "found.json"
    made.report.write(saved)
    assert main(["report", str(saved), "--out", str(tmp_path / "site")]) == 0
    assert "1 repository with 12 SAEs, 12 of them measured" in capsys.readouterr().out
    assert (tmp_path / "site" / "repositories" / "demo--tiny-saes.html").is_file()


def test_a_hub_that_does_not_answer_keeps_no_page_back(
    made: Release, tmp_path: Path, capsys
) -> None:
    site = tmp_path / "site"
    assert run(made.write(), site, "--hub", "http://127.0.0.1:1") == 0
    assert "the Hub gave no answer" in capsys.readouterr().err
    text = (site / "index.html").read_text(encoding="utf-8")
    assert "no answer" in text
    assert "The Hub was asked at" in text


def test_the_state_is_that_of_release_status(made: Release, tmp_path: Path) -> None:
    site = tmp_path / "site"
    assert run(made.write(), site, "--hub", "embedded") == 0
    text = (site / "index.html").read_text(encoding="utf-8")
    assert '<span class="state unknown">' in text
    assert "absent</span>" in text


def test_drift_needs_a_look(made: Release, tmp_path: Path, monkeypatch) -> None:
    drifted = HubState("changed", ("README.md is not the file that was released",), "a" * 40)
    monkeypatch.setattr(release.report_page.hub_state, "hub_state", lambda *_: drifted)
    monkeypatch.setattr("release.report_page.stage.hub_state", lambda *_: drifted)
    site = tmp_path / "site"
    assert run(made.write(), site) == 0
    attention = (site / "index.html").read_text(encoding="utf-8").partition("What needs a look")[2]
    assert "README.md is not the file that was released" in attention
    assert 'class="state failed"' in attention


def test_equal_sources_give_equal_bytes(made: Release, tmp_path: Path) -> None:
    made.with_tables().write()
    for name in ("a", "b"):
        assert run(made, tmp_path / name, "--offline") == 0
    found = [
        {path.relative_to(tmp_path / name): path.read_bytes() for path in files(tmp_path / name)}
        for name in ("a", "b")
    ]
    assert found[0] == found[1]
    assert len(found[0]) > 10


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_one_manifest_that_cannot_be_read_keeps_no_other_back(
    made: Release, tmp_path: Path, capsys
) -> None:
    (made.loaded.path.parent / "broken.yaml").write_text("schema_version: 1\n", encoding="utf-8")
    site = tmp_path / "site"
    folder = str(made.loaded.path.parent)
    command = ["report", "--all", "--manifests", folder, "--out", str(site), "--offline"]
    assert main([*command, "--build", str(tmp_path / "none")]) == 2
    assert "broken.yaml has no page" in capsys.readouterr().err
    assert "broken.yaml has no page" in (site / "index.html").read_text(encoding="utf-8")
    assert (site / "repositories" / "tiny.html").is_file()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "nothing was named"),
        (["--all", "x.yaml"], "--all was given beside targets"),
        (["owner/name", "--offline"], "--offline asks none"),
    ],
)
def test_a_call_that_cannot_be_meant_is_refused(
    arguments: list[str], says: str, tmp_path: Path, capsys
) -> None:
    assert main(["report", *arguments, "--out", str(tmp_path / "site")]) == 2
    assert says in capsys.readouterr().err
    assert not (tmp_path / "site").exists()


def test_names_of_pages_are_unlike_on_every_disk() -> None:
    names = ("owner/name", "Owner/Name", "owner--name", "../..", "", "a b/<c>", "x" * 300)
    found = file_names(names)
    assert found[:3] == ("owner--name.html", "Owner--Name-2.html", "owner--name-3.html")
    assert len({name.lower() for name in found}) == len(names)
    assert all(len(name) < 100 and not set(name) & set('/\\<>: "') for name in found)
    assert not any(name.startswith(".") for name in found)


def test_a_template_prints_no_bare_number_and_no_none() -> None:
    for value in (0.5, None, True):
        with pytest.raises(BareValue):
            _environment().from_string("{{ value }}").render(value=value)
    assert _environment().from_string("{{ value }}").render(value=3) == "3"


def test_the_report_page_loads_no_torch(made: Release, tmp_path: Path) -> None:
    made.with_tables().write()
    program = (
        "import sys\nfrom release.cli import main\ncode = main(sys.argv[1:])\n"
        "heavy = {'torch', 'transformers', 'sae_lens', 'sklearn', 'scipy'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else code)"
    )
    arguments = ["report", str(made.loaded.path), "--out", str(tmp_path / "site"), "--offline"]
    places = ["--build", str(made.build.root.parent)]
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments, *places],
        cwd=ROOT,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert (done.returncode, done.stderr.count("imported")) == (0, 0), done.stderr


@pytest.mark.parametrize(
    ("name", "sha256"),
    [
        ("d3.min.js", "912111098ea99503a6f4967361d2bbdc9dbf58cf9c678c8e27e5b02d1a07f0c1"),
        ("plot.umd.min.js", "4358086467740777dd788d6b27a95cebdbaefdd50c730a3060117073bd7134cb"),
    ],
)
def test_the_libraries_are_those_that_npm_has(name: str, sha256: str) -> None:
    assert hashlib.sha256((ASSETS / name).read_bytes()).hexdigest() == sha256
    assert name in (ASSETS / "licenses.txt").read_text(encoding="utf-8")


def test_a_page_says_which_report_it_shows(made: Release) -> None:
    made.write()
    page = page_of(made)
    facts = {fact.name: fact.value for group in page.origins.groups for fact in group.facts}
    digest = hashlib.sha256(made.build.report_json.read_bytes()).hexdigest()
    assert facts["Report"] == digest
    assert facts["Manifest"] == made.loaded.digest
    assert facts["Weights"] == "b" * 64
    assert isinstance(made.report, Report)
