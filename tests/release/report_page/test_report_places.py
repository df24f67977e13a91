"""No path of the machine that made the pages is on them, however its targets were named."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from made_release import MANIFEST, Release, make_outcome, make_release

from manifests.errors import ReleaseError
from release.cli import main
from release.report_page.notice import notice_of

CRASH = """Traceback (most recent call last):
  File "{here}/validators/checks/weights.py", line 9, in shapes
KeyError: 'k'
"""


@pytest.fixture
def made(tmp_path: Path) -> Release:
    return make_release(tmp_path / "made", MANIFEST)


def assert_no_path(site: Path, place: Path) -> None:
    pages = [path for path in site.rglob("*") if path.is_file()]
    assert len(pages) > 5
    for path in pages:
        text = path.read_bytes().decode("utf-8", "replace")
        for form in {str(place), place.as_posix(), str(place).replace("\\", "\\\\")}:
            assert form not in text, path


def test_of_a_manifest_and_a_damaged_build(made: Release, tmp_path: Path) -> None:
    site = tmp_path / "site"
    command = ["report", str(made.loaded.path), "--out", str(site), "--offline"]
    places = ["--build", str(made.build.root.parent)]
    assert main([*command, *places]) == 0
    assert_no_path(site, tmp_path)
    made.build.repository.mkdir(parents=True)
    made.build.report_json.write_text("[]", encoding="utf-8")
    assert main([*command, *places]) == 0
    assert_no_path(site, tmp_path)


@pytest.mark.parametrize("is_relative", [False, True])
def test_of_a_manifest_whose_build_was_checked(
    made: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_relative: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    build = Path(os.path.relpath(made.build.root.parent)) if is_relative else made.build.root.parent
    made.build.repository.mkdir(parents=True)
    made.build.training_json.write_text("[]", encoding="utf-8")
    places = ["--build", str(build)]
    # Exit code 1: there is nothing that could pass.
    assert main(["validate", str(made.loaded.path), "--tier", "static", *places]) == 1
    assert str(tmp_path) not in made.build.report_json.read_text(encoding="utf-8")
    site = tmp_path / "site"
    assert main(["report", str(made.loaded.path), "--out", str(site), "--offline", *places]) == 0
    assert "training.json: is damaged" in (site / "repositories/tiny.html").read_text("utf-8")
    assert_no_path(site, tmp_path)


def test_of_a_crashed_check(made: Release, tmp_path: Path) -> None:
    here = tmp_path / "installed"
    crashed = [
        make_outcome("W102", "crashed", subject=subject, found=CRASH.format(here=here))
        for subject in ("", "tiny_topk_L1_mixed")
    ]
    made.with_outcomes(*crashed).write()
    site = tmp_path / "site"
    command = ["report", str(made.loaded.path), "--out", str(site), "--offline"]
    assert main([*command, "--build", str(made.build.root.parent)]) == 0
    text = (site / "repositories" / "tiny.html").read_text(encoding="utf-8")
    assert "Traceback" not in text
    panel = text.partition('<template data-panel="sae-tiny_topk_L1_mixed">')[2]
    assert "</a> KeyError: &#39;k&#39;</li>" in panel.partition("</template>")[0]
    assert_no_path(site, tmp_path)


def test_of_targets_that_are_not_there(
    made: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    site = tmp_path / "site"
    (tmp_path / "notes.txt").write_text("x", encoding="utf-8")
    (tmp_path / "found.json").write_text("{", encoding="utf-8")
    (tmp_path / "broken.yaml").write_text("schema_version: 1\n", encoding="utf-8")
    monkeypatch.chdir(made.loaded.path.parent)
    absent = ("nothere", "made/tinny.yaml", "fund.json", "notes.txt", "found.json", "broken.yaml")
    targets = [str(tmp_path / name) for name in absent]
    targets += [f"../{name}" for name in absent]
    assert main(["report", str(made.loaded.path), *targets, "--out", str(site), "--offline"]) == 2
    # Who sits at the machine is told where.
    assert str(tmp_path / "nothere") in capsys.readouterr().err
    index = (site / "index.html").read_text(encoding="utf-8")
    assert "nothere has no page: there is no file or folder &#39;nothere&#39;" in index
    assert "did you mean tiny.yaml?" in index
    assert "did you mean found.json?" in index
    assert "../" not in index
    assert_no_path(site, tmp_path)


def test_an_id_on_a_hub_keeps_its_owner_and_a_path_within_the_project_its_folder() -> None:
    for named in ("owner/name", "builds/saes"):
        notice = notice_of(ReleaseError(f"{named} is gone", next_step=named), "x", named=named)
        assert (notice.text, notice.next_step) == (f"x: {named} is gone", named)
