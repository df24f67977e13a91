"""The map of layers and architectures: a cell for each SAE, and names that steer nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from made_release import MANIFEST, make_release

from release.report_page.hub_state import not_asked
from release.report_page.page import repository_page
from release.report_page.sources import source_of_folder, source_of_manifest


def cells(source: Any) -> list[tuple[str, int, str, str]]:
    """Map, layer, architecture and id of each SAE in the map."""
    page = repository_page(source, not_asked("a test"), "a.html")
    found: Any = page.plot_data["saes"]
    return [(each["group"], each["layer"], each["architecture"], each["id"]) for each in found]


def make_sae(folder: Path, **cfg: Any) -> None:
    folder.mkdir(parents=True)
    hook = {"hook_name": cfg.pop("hook_name")}
    (folder / "cfg.json").write_text(json.dumps({**cfg, "metadata": hook}), encoding="utf-8")


@pytest.fixture
def widths(tmp_path: Path) -> Path:
    """A folder without a manifest: layers 3 and 4, each at three widths."""
    folder = tmp_path / "saes"
    for layer in (3, 4):
        for width in (8, 16, 32_768):
            make_sae(
                folder / f"layer_{layer}_width_{width}",
                architecture="topk",
                d_sae=width,
                hook_name=f"blocks.{layer}.hook_resid_post",
            )
    return folder


def test_saes_of_several_widths_have_maps_of_their_own(widths: Path) -> None:
    found = cells(source_of_folder(widths))
    assert len(found) == 6
    assert len({cell[:3] for cell in found}) == 6
    by_id = {sae_id: group for group, _, _, sae_id in found}
    assert by_id["layer_3_width_8"] == by_id["layer_4_width_8"] == "condition not stated, d_sae 8"
    assert by_id["layer_4_width_32768"] == "condition not stated, d_sae 32,768"


def test_saes_of_one_width_are_told_apart_by_where_they_read_and_by_number(tmp_path: Path) -> None:
    for name, hook in (
        ("a", "blocks.3.hook_resid_post"),
        ("b", "blocks.3.attn.hook_z"),
        ("c", "blocks.3.attn.hook_z"),
        ("d", "blocks.3.attn.hook_z"),
    ):
        make_sae(tmp_path / "saes" / name, architecture="topk", d_sae=8, hook_name=hook)
    assert cells(source_of_folder(tmp_path / "saes")) == [
        ("condition not stated, blocks.*.hook_resid_post", 3, "TopK", "a"),
        ("condition not stated, blocks.*.attn.hook_z", 3, "TopK", "b"),
        ("condition not stated, blocks.*.attn.hook_z (2)", 3, "TopK", "c"),
        ("condition not stated, blocks.*.attn.hook_z (3)", 3, "TopK", "d"),
    ]


@pytest.mark.parametrize("width", [None, "wide", True, -1, 10**15])
def test_a_width_that_is_none_has_a_cell_too(tmp_path: Path, width: Any) -> None:
    for name, d_sae in (("a", 8), ("b", width), ("c", width)):
        make_sae(
            tmp_path / "s" / name,
            architecture="topk",
            d_sae=d_sae,
            hook_name="blocks.3.hook_resid_post",
        )
    groups = [group for group, *_ in cells(source_of_folder(tmp_path / "s"))]
    assert groups == [
        "condition not stated, d_sae 8",
        "condition not stated, d_sae not stated",
        "condition not stated, d_sae not stated (2)",
    ]


def test_a_manifest_keeps_the_maps_of_its_conditions(tmp_path: Path) -> None:
    made = make_release(tmp_path, MANIFEST)
    source, _ = source_of_manifest(made.loaded.path, made.build.root.parent)
    assert {group for group, *_ in cells(source)} == {"deceptive_only", "mixed"}


def test_an_architecture_that_turns_the_direction_of_writing_reaches_no_plot(
    tmp_path: Path,
) -> None:
    name = "top\u202ek\nnext"
    make_sae(tmp_path / "s" / "a", architecture=name, d_sae=8, hook_name="blocks.3.hook_resid_post")
    assert [cell[2] for cell in cells(source_of_folder(tmp_path / "s"))] == [r"top\u202ek\nnext"]


def test_each_of_them_is_drawn_in_a_place_of_its_own(
    widths: Path, tmp_path: Path, open_page: Any
) -> None:
    sync_api = pytest.importorskip("playwright.sync_api")
    from release.cli import main

    assert main(["report", str(widths), "--out", str(tmp_path / "site"), "--offline"]) == 0
    page = open_page((tmp_path / "site" / "repositories" / "saes.html").as_uri()).page
    sync_api.expect(page.locator("#maps [data-mark=cell] rect")).to_have_count(6)
    boxes = [rect.bounding_box() for rect in page.locator("#maps [data-mark=cell] rect").all()]
    assert len({(round(box["x"]), round(box["y"])) for box in boxes}) == 6
    assert page.locator("#maps h3").count() == 3
