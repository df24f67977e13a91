"""What the figures show, and when they are drawn; by matplotlib itself where something is drawn."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from made_distributions import replace_distributions, with_distributions

from cards import templating
from cards.figures import files as figure_files
from cards.figures.drawing import drawn
from cards.figures.figure import Figure, figure_of, label_text
from cards.figures.kinds import KINDS, figures_of
from cards.figures.portability_map import portability_map
from cards.figures.probe_profile import probe_profile
from cards.figures.sparsity import Point, Sparsity, sparsity
from cards.stage import render, rendered_files, stale_files
from manifests.digests import file_sha256
from manifests.errors import MissingExtra
from manifests.progress import Silent

TOPK, GATED, JUMPRELU = "tiny_topk_L1_mixed", "tiny_gated_L1_mixed", "tiny_jumprelu_L1_mixed"
SVG = "{http://www.w3.org/2000/svg}"
LINK = "{http://www.w3.org/1999/xlink}href"
ALL = [f"figures/{name}.svg" for name in ("sparsity", "firing_density", "thresholds")]
GONE = {"value": None, "reason": "one vector"}


def present(release: Any) -> dict[str, Figure]:
    found = figures_of(release.sources)
    return {name: figure for name, figure in found.items() if figure is not None}


def digests(release: Any) -> dict[str, str]:
    return {name: figure.digest for name, figure in present(release).items()}


def with_changed(release: Any, label: str, metric: str, **changes: Any) -> Any:
    """The release in which a measurement of one SAE at one precision differs."""
    saes = release.with_portability().report.portability.model_dump()["saes"]
    saes[TOPK][label]["metrics"][metric].update(changes)
    return release.with_portability(saes=saes)


@pytest.fixture
def release(release: Any) -> Any:
    """The hand-made release, with distributions of its latents."""
    return with_distributions(release).write()


@pytest.fixture
def make(make: Any) -> Any:
    return lambda manifest: with_distributions(make(manifest)).write()


@pytest.fixture
def no_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)


def test_there_are_figures_for_what_the_report_holds(release) -> None:
    measured = ["sparsity", "firing_density", "thresholds"]
    assert list(present(release)) == measured
    assert list(present(release.with_tables())) == [*measured, "probe_profile"]
    assert set(present(release.with_tables().with_portability())) == set(KINDS)


def test_every_kind_has_a_place_on_the_card(release) -> None:
    templates = Path(templating.__file__).parent / "templates"
    text = "".join(path.read_text(encoding="utf-8") for path in templates.rglob("*.j2"))
    assert [name for name in KINDS if f"with figure = figures.{name} " not in text] == []
    readme = rendered_files(release.with_tables().with_portability().sources)["README.md"]
    assert [readme.count(f"](figures/{name}.svg)".encode()) for name in KINDS] == [1] * len(KINDS)


def test_the_numbers_of_the_sparsity_figure_are_the_measured_ones(release) -> None:
    data = sparsity(
        release.with_metric(TOPK, "explained_variance", value=0.5, low=0.4, high=0.6)
        .with_metric(TOPK, "l0", value=3.5)
        .with_metric(GATED, "l0", **GONE)
        .sources
    )
    assert data is not None
    assert len(data.points) == 11
    assert [point for point in data.points if point.l0 != 4.0] == [
        Point("TopK", 1, "mixed", 3.5, 0.5, 0.4, 0.6)
    ]


def test_a_figure_without_a_single_number_is_none(release) -> None:
    for spec in release.loaded.saes:
        release = release.with_metric(spec.sae_id, "explained_variance", **GONE)
    release = replace_distributions(release, {})
    assert sparsity(release.sources) is None
    assert probe_profile(release.sources) is None
    assert portability_map(release.sources) is None
    assert present(release) == {}
    assert b"![" not in rendered_files(release.sources)["README.md"]


def test_without_a_report_there_are_no_figures(release) -> None:
    without = replace(release.sources, report=None, training=None)
    assert figures_of(without) == dict.fromkeys(KINDS)
    checked = release.report.model_copy(update={"measurements": None})
    assert figures_of(replace(release.sources, report=checked)) == dict.fromkeys(KINDS)


def test_the_probe_profile_has_raw_layers_latents_and_chance(release) -> None:
    data = probe_profile(release.with_tables().sources)
    assert data is not None
    assert [(each.layer, each.accuracy, each.chance_high) for each in data.raw] == [
        (1, 0.75, 0.6),
        (2, 0.75, 0.6),
    ]
    assert len(data.latents) == 12
    assert data.alt == (
        "Balanced accuracy of probes by layer. Raw activations: layer 1 0.750, layer 2 0.750; "
        "SAEs' latents: 0.750; chance on raw activations: 0.400 to 0.600"
    )


def test_the_portability_map_leaves_out_the_own_precision_and_what_was_refused(release) -> None:
    changed = with_changed(release, "fp16", "jaccard", value=None, low=None, high=None, reason="x")
    data = portability_map(changed.sources)
    assert data is not None
    assert data.precisions == ("fp16", "nf4:fp32")
    row = data.saes.index(TOPK)
    # (0.8 - 0.792) / 0.8 and (0.8 - 0.48) / 0.8.
    assert data.jaccard[row] == (None, 0.4)
    assert data.drops[row] == pytest.approx((0.01, 0.4))
    assert "12 SAEs at other precisions than fp32. fp16: Jaccard index 0.950" in data.alt


def test_a_digest_follows_the_numbers_that_are_shown_and_no_others(release) -> None:
    full = release.with_tables().with_portability()
    before = digests(full)
    assert digests(full.with_metric(TOPK, "mse", value=9.0)) == before
    moved = digests(full.with_metric(TOPK, "l0", value=3.5))
    assert {name for name in before if moved[name] != before[name]} == {"sparsity"}
    moved = digests(with_changed(full, "fp16", "jaccard", value=0.94))
    assert {name for name in before if moved[name] != before[name]} == {"portability"}
    moved = digests(with_changed(full, "fp16", "found_again", value=0.1))
    assert moved == before


def test_another_version_of_a_drawing_is_another_digest(release) -> None:
    data = sparsity(release.sources)
    assert data is not None
    assert figure_of("sparsity", 1, data).digest == digests(release)["sparsity"]
    assert figure_of("sparsity", 2, data).digest != digests(release)["sparsity"]


def test_every_figure_is_an_image_of_its_own_ground_without_script_or_link(release) -> None:
    for figure in present(release.with_tables().with_portability()).values():
        content = drawn(figure)
        root = ElementTree.fromstring(content)
        assert root.tag == f"{SVG}svg"
        tags = {element.tag for element in root.iter()}
        # Letters are outlines, so no reader's machine needs a font.
        assert tags.isdisjoint({f"{SVG}script", f"{SVG}text", f"{SVG}a"})
        links = {element.get(LINK, "") for element in root.iter()} - {""}
        # To its own parts, and to the pixels of a scale of colours.
        assert all(link.startswith(("#", "data:image/png;base64,")) for link in links)
        ground = root.find(f".//{SVG}g[@id='patch_1']/{SVG}path")
        assert ground is not None and "fill: #ffffff" in ground.get("style", "")
        assert b"\r" not in content and content.endswith(b"</svg>\n")


def test_the_same_numbers_are_drawn_to_the_same_bytes_whatever_the_user_has_set(release) -> None:
    import matplotlib

    figure = present(release)["sparsity"]
    first = drawn(figure)
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red", "svg.fonttype": "none"}):
        assert drawn(figure) == first
        assert matplotlib.rcParams["font.size"] == 30


def test_figures_of_many_saes_stay_small(manifest_data, make) -> None:
    manifest_data["base_model"]["n_layers"] = 12
    manifest_data["saes"]["layers"] = list(range(1, 10))
    full = make(manifest_data).with_tables().with_portability()
    sizes = {name: len(drawn(figure)) for name, figure in present(full).items()}
    assert len(full.loaded.saes) == 54 and set(sizes) == set(KINDS)
    assert sum(sizes.values()) < 500_000


@pytest.mark.parametrize(("explained", "end"), [(-24.5, -1.05), (-0.2, -0.25), (0.1, 0.0)])
def test_an_sae_far_below_zero_does_not_hide_the_others(
    release, explained: float, end: float
) -> None:
    from matplotlib.figure import Figure as Canvas

    data = sparsity(release.with_metric(TOPK, "explained_variance", value=explained).sources)
    assert data is not None
    canvas = Canvas()
    data.draw(canvas)
    assert canvas.axes[0].get_ylim() == pytest.approx((end, 1.02))
    labels = [text.get_text() for text in canvas.legends[0].get_texts()]
    assert ("below -1" in labels) == (explained < -1)


def test_names_of_strangers_are_drawn_as_text() -> None:
    hostile = "$\\frac{1}$ <script>\x00\x1b\u202e&\ufffe]]>--> " + "long" * 30
    assert label_text(hostile).startswith("$\\frac{1}$ <script>\ufffd\ufffd\ufffd&")
    assert len(label_text(hostile)) == 48
    points = (Point("TopK", 1, hostile, 4.0, 0.5, None, None),)
    content = drawn(figure_of("sparsity", 1, Sparsity(points)))
    assert b"<script" not in content
    ElementTree.fromstring(content)


def paths_of(release: Any) -> set[str]:
    folder = release.build.repository / "figures"
    return {path.name for path in folder.iterdir()}


def test_the_index_says_by_what_each_file_was_drawn(release) -> None:
    import matplotlib

    render(release.loaded, release.build, progress=Silent())
    index = json.loads((release.build.repository / "figures/figures.json").read_bytes())
    card = json.loads(release.build.card_json.read_bytes())
    assert index["format"] == "sae-release.figures/1"
    assert list(index["figures"]) == [
        f"figures/{name}.svg" for name in ("firing_density", "sparsity", "thresholds")
    ]
    for path, record in index["figures"].items():
        assert record == {
            "data_sha256": card["figures"][path],
            "sha256": file_sha256(release.build.repository / path),
            "drawn_with": f"matplotlib {matplotlib.__version__}",
        }


def test_a_figure_of_the_same_numbers_is_kept_though_others_would_be_drawn(
    release, monkeypatch: pytest.MonkeyPatch
) -> None:
    render(release.loaded, release.build, progress=Silent())
    # As another version of matplotlib would have drawn it.
    path = release.build.repository / "figures/sparsity.svg"
    path.write_bytes(b"<svg/>\n")
    index_path = release.build.repository / "figures/figures.json"
    index = json.loads(index_path.read_bytes())
    index["figures"]["figures/sparsity.svg"]["sha256"] = file_sha256(path)
    text = json.dumps(index, indent=2, sort_keys=True) + "\n"
    index_path.write_text(text, encoding="utf-8", newline="\n")
    monkeypatch.setattr(figure_files, "drawn", lambda figure: pytest.fail(figure.name))
    assert stale_files(release.loaded, release.build) == {}
    assert render(release.loaded, release.build, progress=Silent()).written == ()
    assert path.read_bytes() == b"<svg/>\n"


def edit(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"<!-- edited -->\n")


@pytest.mark.parametrize(
    ("damage", "stale"),
    [
        (lambda folder: edit(folder / "sparsity.svg"), ["figures/sparsity.svg"]),
        (lambda folder: (folder / "thresholds.svg").unlink(), ["figures/thresholds.svg"]),
        (
            lambda folder: (folder / "figures.json").unlink(),
            [*ALL, "figures/figures.json"],
        ),
        (
            lambda folder: (folder / "figures.json").write_bytes(b"{"),
            ALL,
        ),
    ],
)
def test_a_damaged_figure_is_stale_and_drawn_again(release, damage, stale: list[str]) -> None:
    render(release.loaded, release.build, progress=Silent())
    folder = release.build.repository / "figures"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    damage(folder)
    assert list(stale_files(release.loaded, release.build)) == stale
    render(release.loaded, release.build, progress=Silent())
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert stale_files(release.loaded, release.build) == {}


def test_a_changed_number_draws_its_own_figure_alone(
    release, monkeypatch: pytest.MonkeyPatch
) -> None:
    render(release.loaded, release.build, progress=Silent())
    changed = release.with_metric(TOPK, "l0", value=3.5).write()
    names = []
    monkeypatch.setattr(
        figure_files, "drawn", lambda figure: names.append(figure.name) or drawn(figure)
    )
    rendered = render(changed.loaded, changed.build, progress=Silent())
    assert names == ["sparsity"]
    assert {path.name for path in rendered.written} == {
        *("README.md", "card.json", "sparsity.svg", "figures.json")
    }


def test_a_figure_that_the_report_has_no_numbers_for_is_deleted(release) -> None:
    render(release.loaded, release.build, progress=Silent())
    with_tables = release.with_tables().write()
    render(with_tables.loaded, with_tables.build, progress=Silent())
    assert "probe_profile.svg" in paths_of(release)
    release.write()
    assert "figures/probe_profile.svg" in stale_files(release.loaded, release.build)
    rendered = render(release.loaded, release.build, progress=Silent())
    assert [path.name for path in rendered.deleted] == ["probe_profile.svg"]
    assert paths_of(release) == {*(Path(path).name for path in ALL), "figures.json"}
    assert stale_files(release.loaded, release.build) == {}


def test_an_index_cannot_have_other_files_deleted(release) -> None:
    render(release.loaded, release.build, progress=Silent())
    index_path = release.build.repository / "figures/figures.json"
    for target in ("README.md", "figures/../README.md", "../repository/README.md"):
        index = json.loads(index_path.read_bytes())
        index["figures"][target] = index["figures"]["figures/sparsity.svg"]
        index_path.write_text(json.dumps(index), encoding="utf-8")
        rendered = render(release.loaded, release.build, progress=Silent())
        assert rendered.deleted == ()
        assert (release.build.repository / "README.md").is_file()
        assert stale_files(release.loaded, release.build) == {}


@pytest.mark.usefixtures("no_matplotlib")
def test_without_matplotlib_a_missing_figure_names_the_extra_and_nothing_is_written(
    release,
) -> None:
    before = set(release.build.repository.rglob("*"))
    with pytest.raises(MissingExtra, match="plots") as caught:
        render(release.loaded, release.build, progress=Silent())
    assert "figures/sparsity.svg" in str(caught.value)
    assert set(release.build.repository.rglob("*")) == before


def test_without_matplotlib_good_figures_are_kept_and_the_card_is_the_same(
    release, request: pytest.FixtureRequest
) -> None:
    expected = rendered_files(release.sources)
    render(release.loaded, release.build, progress=Silent())
    (release.build.repository / "README.md").unlink()
    request.getfixturevalue("no_matplotlib")
    assert rendered_files(release.sources) == expected
    assert list(stale_files(release.loaded, release.build)) == ["README.md"]
    rendered = render(release.loaded, release.build, progress=Silent())
    assert [path.name for path in rendered.written] == ["README.md"]
    changed = replace(release.with_metric(TOPK, "l0", value=3.5)).write()
    with pytest.raises(MissingExtra, match="plots"):
        render(changed.loaded, changed.build, progress=Silent())


RENDER_AND_CHECK = """
import sys
from pathlib import Path
from cards.stage import render, stale_files
from manifests.build_folder import BuildFolder
from manifests.load import load_manifest
from manifests.progress import Silent
loaded, build = load_manifest(Path(sys.argv[1])), BuildFolder(Path(sys.argv[2]))
print(len(stale_files(loaded, build)), "matplotlib" in sys.modules)
render(loaded, build, progress=Silent())
print(sorted({"matplotlib", "torch", "transformers", "sae_lens"} & set(sys.modules)))
"""


@pytest.mark.parametrize(("is_drawn", "said"), [(True, "0 False\n[]\n"), (False, None)])
def test_matplotlib_is_loaded_only_where_a_figure_must_be_drawn(
    release, is_drawn: bool, said: str | None
) -> None:
    if is_drawn:
        render(release.loaded, release.build, progress=Silent())
    done = subprocess.run(
        [sys.executable, "-c", RENDER_AND_CHECK, release.loaded.path, release.build.root],
        env=dict(os.environ),
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    assert done.stdout == (said or "8 False\n['matplotlib']\n")
