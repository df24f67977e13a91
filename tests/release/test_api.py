"""`release.api`: what a notebook gets is what the command line says."""

from __future__ import annotations

import html.parser
import json
import math
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from release import api
from release.cli import main


@pytest.fixture(scope="module")
def built_once(make_project_in: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The build folder of two TopK SAEs, trained on the tiny model."""
    project = _two_saes(make_project_in(tmp_path_factory.mktemp("once") / "tiny"))
    project.load()
    build = project.path.parent / "build"
    where = ("--build", str(build), "--base-model", project.checkpoint)
    assert main(["retrain", str(project.path), *where]) == 0
    return build


@pytest.fixture
def built(project: Any, built_once: Path) -> Any:
    """Those SAEs in a project of the test's own."""
    shutil.copytree(built_once, project.path.parent / "build")
    _two_saes(project).load()
    return project


def _two_saes(project: Any) -> Any:
    project.content["saes"] |= {"architectures": ["topk"], "conditions": ["mixed"]}
    project.content["measure"] = {"permutations": 99, "folds": 2}
    return project


def repository(built: Any) -> Path:
    return Path(built.path.parent) / "build" / "tiny" / "repository"


class Cells(html.parser.HTMLParser):
    """The texts of a page's cells, and the names of all its elements."""

    def __init__(self) -> None:
        super().__init__()
        self.cells: list[str] = []
        self.tags: set[str] = set()
        self._is_in_cell = False

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.add(tag)
        self._is_in_cell = tag in ("td", "th")
        if self._is_in_cell:
            self.cells.append("")

    def handle_endtag(self, tag: str) -> None:
        self._is_in_cell = self._is_in_cell and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self._is_in_cell:
            self.cells[-1] += data


def cells(page: str) -> Cells:
    parser = Cells()
    parser.feed(page)
    return parser


def test_a_folder_is_judged_as_the_command_line_judges_it(built, capsys) -> None:
    (repository(built) / "topk_L0_mixed" / "cfg.json").write_text("{}", encoding="utf-8")
    result = api.validate(repository(built), tier="static")
    code = main(["validate", str(repository(built)), "--tier", "static", "--format", "json"])
    said = json.loads(capsys.readouterr().out)
    assert result.report.model_dump(mode="json")["checks"] == said["checks"]
    assert result.exit_code == code == 1
    assert not result.passed


def test_findings_name_the_saes_and_begin_with_failures(built) -> None:
    (repository(built) / "topk_L0_mixed" / "cfg.json").write_text("{}", encoding="utf-8")
    result = api.validate(repository(built), tier="static")
    kinds = [finding.kind for finding in result.findings]
    assert kinds[0] == "failed"
    assert kinds == sorted(kinds, key=["failed", "crashed", "accepted", "warned", "noted"].index)
    assert "topk_L0_mixed" in {s for f in result.findings if f.kind == "failed" for s in f.subjects}


def test_a_row_counts_the_checks_of_an_sae_and_holds_its_metrics(built) -> None:
    result = api.validate(
        built.path,
        build=built.path.parent / "build",
        manifests=built.path.parent,
        base_model=built.checkpoint,
    )
    row = result.rows()[0]
    own = [o for o in result.outcomes if o.subject == row["sae_id"]]
    assert row["sae_id"] == "topk_L0_mixed"
    assert row["failed"] == sum(o.outcome in ("failed", "crashed") for o in own)
    assert row["passed"] == sum(o.outcome in ("passed", "noted") for o in own) > 10
    assert result.report.measurements is not None
    measured = result.report.measurements.saes["topk_L0_mixed"]
    assert row["l0"] == measured["l0"].value == 4.0
    assert "explained variance, held-out" in result._repr_html_()
    assert str(result).splitlines()[-1]


def test_texts_of_strangers_are_shown_and_never_run(built) -> None:
    hostile = "<img src=x onerror=alert(1)>"
    cfg = repository(built) / "topk_L0_mixed" / "cfg.json"
    content = json.loads(cfg.read_text(encoding="utf-8"))
    cfg.write_text(json.dumps(content | {"architecture": hostile}), encoding="utf-8")
    page = cells(api.validate(repository(built), tier="static")._repr_html_())
    assert "img" not in page.tags
    assert any(hostile in cell for cell in page.cells)


def test_measured_tables_are_those_that_were_written(built) -> None:
    build = built.path.parent / "build"
    api.validate(built.path, build=build, manifests=built.path.parent, base_model=built.checkpoint)
    result = api.measure(
        built.path, build=build, manifests=built.path.parent, base_model=built.checkpoint
    )
    saved = api.read_report(build / "tiny" / "repository" / "report.json")
    assert saved.report.tables == result.tables
    assert [row["sae_id"] for row in result.rows()] == ["topk_L0_mixed", "topk_L1_mixed"]
    accuracy = result.rows()[0]["probe_balanced_accuracy"]
    assert isinstance(accuracy, float)
    assert math.isclose(
        accuracy, result.tables.saes["topk_L0_mixed"].metrics["probe_balanced_accuracy"].value
    )
    page = cells(result._repr_html_())
    assert "topk_L0_mixed" in page.cells
    assert any(cell.startswith(f"{accuracy:.3f}") for cell in page.cells)
    assert "topk_L1_mixed" in str(result)


def test_one_sae_or_check_can_be_given_as_a_word(built) -> None:
    result = api.validate(
        repository(built), tier="static", only="topk_L1_mixed", select="C", ignore="C001"
    )
    assert {o.subject for o in result.outcomes} == {"", "topk_L1_mixed"}
    codes = {o.code for o in result.outcomes}
    assert codes and {code[0] for code in codes} == {"C"} and "C001" not in codes


def test_a_path_is_never_taken_for_an_id_on_the_hub(built, monkeypatch) -> None:
    monkeypatch.chdir(repository(built).parent.parent)
    result = api.validate(Path("tiny/repository"), tier="static")
    assert {o.subject for o in result.outcomes} >= {"topk_L0_mixed", "topk_L1_mixed"}
    assert str(result.target) == str(Path("tiny/repository"))
    with pytest.raises(api.ReleaseError, match=r"there is no file or folder './tiny/nowhere'"):
        api.validate(Path("tiny/nowhere"), tier="static")


def test_a_mistyped_sae_is_told_before_anything_is_trained(built) -> None:
    built.content["measure"]["stability"] = {"seeds": [7]}
    built.load()
    build = built.path.parent / "build"
    with pytest.raises(api.ReleaseError, match="'topk_L0_mxed' fits none of the 2 SAEs"):
        api.measure(built.path, build=build, manifests=built.path.parent, only="topk_L0_mxed")
    assert not (build / "tiny" / "work" / "seeds").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"tier": "statc"}, "did you mean static?"),
        ({"tier": "whole"}, "there is no tier 'whole'"),
        ({"text": "nowhere.txt"}, "there is no file 'nowhere.txt'"),
        ({"tier": "load", "base_model": "x"}, "used by the tier activations only"),
        ({"select": ["Q9"]}, "Q9"),
    ],
)
def test_a_wrong_option_is_told(tmp_path, options, said) -> None:
    with pytest.raises(api.ReleaseError) as caught:
        api.validate(tmp_path, **options)
    assert said in str(caught.value)


def test_what_nothing_was_asked_of_has_not_passed(tmp_path) -> None:
    report = api.validate(tmp_path, tier="static")
    assert not report.passed


def test_importing_it_takes_no_torch() -> None:
    code = "import release.api, sys; raise SystemExit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
