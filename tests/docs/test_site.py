"""The site: every page is reachable, what is generated is that of the code, nothing warns."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from doc_commands import ROOT
from model_page import heading_anchor, places_of
from navigation import sections, with_navigation
from reference_pages import reference_pages

from manifests.model import Manifest
from release.cli import app
from validators.report import Report

DOCS = ROOT / "docs"
GENERATED = reference_pages()


def pages_of_the_site() -> set[str]:
    """All pages but the gallery's cards, without `.md`."""
    found = {path.relative_to(DOCS) for path in DOCS.rglob("*.md")}
    return {
        path.with_suffix("").as_posix()
        for path in found
        if not (path.parts[0] == "gallery" and len(path.parts) == 3)
    }


def test_the_generated_pages_are_those_of_the_code() -> None:
    written = {
        path.name: path.read_text(encoding="utf-8") for path in (DOCS / "reference").glob("*.md")
    }
    assert written == GENERATED, "run: python docs/generator/reference_pages.py"


def test_every_page_stands_in_the_navigation() -> None:
    index = (DOCS / "index.md").read_text(encoding="utf-8")
    listed = {page for pages in sections(index).values() for page in pages}
    brought = {
        f"{folder}/{path.stem}"
        for folder in ("checks", *(page.partition("/README")[0] for page in listed))
        for path in (DOCS / folder).glob("*.md")
        if folder == "checks" or f"{folder}/README" in listed
    }
    missing = pages_of_the_site() - listed - brought - {"index"}
    assert missing == set(), "link to them from docs/index.md"
    assert listed <= pages_of_the_site()


def test_the_index_has_the_four_kinds_of_pages() -> None:
    index = (DOCS / "index.md").read_text(encoding="utf-8")
    assert [*sections(index)] == ["Tutorial", "How to", "Reference", "Explanation"]


def test_a_page_counts_once_and_pages_elsewhere_not_at_all() -> None:
    text = (
        "# A\n[x](x.md)\n## One\n- [x](x.md#a) and [y](z/y.md)\n## Two\n[x](x.md), [o](../o.md)\n"
    )
    assert sections(text) == {"One": ["x", "z/y"]}


def test_a_folders_page_brings_its_folder() -> None:
    assert with_navigation("decisions/README", "# D\n").endswith(":glob:\n\n*\n```\n")
    assert with_navigation("terms", "# T\n") == "# T\n"


def test_every_key_of_a_manifest_and_of_a_report_has_a_row() -> None:
    for page, model in (("manifest-keys.md", Manifest), ("report-keys.md", Report)):
        schema = model.model_json_schema()
        text = GENERATED[page]
        definitions = [schema, *(schema["$defs"][name] for name in places_of(schema))]
        keys = {key for part in definitions for key in part.get("properties", {})}
        assert len(keys) > 30
        assert {key for key in keys if f"| `{key}` | " not in text} == set()
        assert {*places_of(schema)} == {*schema["$defs"]}, "a definition that nothing leads to"


def test_a_place_is_told_as_it_is_written() -> None:
    schema = {
        "properties": {"a": {"items": {"$ref": "#/$defs/X"}}, "b": {"$ref": "#/$defs/Y"}},
        "$defs": {
            "X": {"properties": {"y": {"additionalProperties": {"$ref": "#/$defs/Y"}}}},
            "Y": {"properties": {}},
        },
    }
    assert places_of(schema) == {"X": ["a[]"], "Y": ["b", "a[].y.*"]}


def test_every_verb_has_its_section_and_its_options() -> None:
    import typer.main

    text = GENERATED["command-line.md"]
    for name, command in typer.main.get_command(app).commands.items():
        if hasattr(command, "commands"):
            assert all(f"\n## release {name} {verb}\n" in text for verb in command.commands)
            continue
        section = text.partition(f"\n## release {name}\n")[2].partition("\n## ")[0]
        options = [o for p in command.params if not getattr(p, "hidden", False) for o in p.opts]
        assert section, name
        assert [o for o in options if o.startswith("--") and o not in section] == []


@pytest.mark.parametrize("page", sorted(GENERATED))
def test_links_within_a_generated_page_lead_to_one_heading(page: str) -> None:
    text = GENERATED[page]
    headings = Counter(
        heading_anchor(line.lstrip("# ").replace("`", ""))
        for line in text.splitlines()
        if line.startswith("#")
    )
    assert [name for name, n in headings.items() if n > 1] == []
    assert {*re.findall(r"\]\(#([^)]+)\)", text)} <= {*headings}


def build(source: Path, out: Path) -> tuple[int, str]:
    """Build a site as `python make.py docs` does; its exit code and what it said."""
    command = ["-m", "sphinx", "-W", "--keep-going", "-q", str(source), str(out)]
    done = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    return done.returncode, done.stderr


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    assert build(DOCS, tmp_path) == (0, "")
    built = {p.relative_to(tmp_path).with_suffix("").as_posix() for p in tmp_path.rglob("*.html")}
    assert pages_of_the_site() <= built
    decision = (tmp_path / "manifest.html").read_text(encoding="utf-8")
    assert "https://github.com/SolshineCode/sae-release/blob/main/manifests/model.py" in decision
    outside = set()
    for path in tmp_path.rglob("*.html"):
        loaded = re.findall(
            r'<(?:script|link|img)[^>]+(?:src|href)="(https?:[^"]+)"', path.read_text("utf-8")
        )
        outside |= {*loaded}
    assert outside == set(), "a page asks another machine for a script, a style or a picture"


def test_a_link_that_leads_nowhere_stops_the_build(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    conf = (DOCS / "conf.py").read_text(encoding="utf-8")
    conf = conf.replace("Path(__file__).resolve().parent", f"Path({str(DOCS)!r})")
    (tmp_path / "docs" / "conf.py").write_text(conf, encoding="utf-8")
    index = "# A\n\n[gone](gone.md), [anchor](#nothing)\n"
    (tmp_path / "docs" / "index.md").write_text(index, encoding="utf-8")
    code, said = build(tmp_path / "docs", tmp_path / "out")
    assert code == 1
    assert "gone.md" in said and "nothing" in said
