"""Which files of a build folder a push takes: the figures that card.json names, and no others."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from manifests.build_folder import BuildFolder
from release.publishing.release_files import DOCUMENTS, IncompleteRelease, release_files
from release.publishing.tree_difference import compare

FIGURES = ("figures/sparsity.svg", "figures/probe_profile.svg")


@dataclass(frozen=True)
class Spec:
    sae_id: str


@dataclass(frozen=True)
class Loaded:
    """What `release_files` asks a manifest."""

    path: Path = Path("tiny.yaml")
    saes: tuple[Spec, ...] = (Spec("a"),)


@pytest.fixture
def build(tmp_path: Path) -> BuildFolder:
    """A folder with everything that belongs to a release of one SAE and two figures."""
    build = BuildFolder(tmp_path)
    names = [*DOCUMENTS, "a/cfg.json", "a/sae_weights.safetensors", *FIGURES]
    for name in (*names, "figures/figures.json"):
        path = build.repository / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    write_card(build, {name: "0" * 64 for name in FIGURES})
    return build


def write_card(build: BuildFolder, figures: object) -> None:
    build.card_json.write_text(json.dumps({"figures": figures}), encoding="utf-8")


def test_a_release_carries_its_figures_and_their_index(build) -> None:
    files = release_files(Loaded(), build)
    assert set(files) == {
        *(*DOCUMENTS, "a/cfg.json", "a/sae_weights.safetensors"),
        *(*FIGURES, "figures/figures.json"),
    }
    assert files[FIGURES[0]].sha256 == hashlib.sha256(FIGURES[0].encode()).hexdigest()
    adds = [file.path_in_repo for file in compare(files, {}, parent="p").adds]
    assert set(FIGURES) <= set(adds) and "figures/figures.json" in adds


@pytest.mark.parametrize("name", [*FIGURES, "figures/figures.json"])
def test_a_figure_that_is_missing_stops_a_push(build, name: str) -> None:
    (build.repository / name).unlink()
    with pytest.raises(IncompleteRelease, match="1 file is missing") as caught:
        release_files(Loaded(), build)
    assert name in str(caught.value)


def test_a_figure_that_the_card_does_not_name_stops_a_push(build) -> None:
    (build.repository / "figures" / "mine.svg").write_bytes(b"<svg/>")
    with pytest.raises(IncompleteRelease, match="do not belong") as caught:
        release_files(Loaded(), build)
    assert "figures/mine.svg" in str(caught.value)


@pytest.mark.parametrize("card", ["{}", '{"figures": {}}'])
def test_without_figures_in_the_card_none_belongs(build, card: str) -> None:
    build.card_json.write_text(card, encoding="utf-8")
    with pytest.raises(IncompleteRelease, match="3 files do not belong"):
        release_files(Loaded(), build)
    for name in (*FIGURES, "figures/figures.json"):
        (build.repository / name).unlink()
    assert len(release_files(Loaded(), build)) == len(DOCUMENTS) + 2


@pytest.mark.parametrize("card", ["{", "[1]", '{"figures": 3}', "\xff"])
def test_a_damaged_card_says_what_makes_it_again(build, card: str) -> None:
    build.card_json.write_text(card, encoding="latin-1")
    with pytest.raises(IncompleteRelease, match="is damaged") as caught:
        release_files(Loaded(), build)
    assert "release render" in str(caught.value)
