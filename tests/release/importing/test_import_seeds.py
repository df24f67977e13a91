"""Four published cards, imported and rendered: their facts stand on the new card, their faults not.

A stand-in for each repository has its folders, cfg.json and headers, made from the study's own
manifest, and the published card. Counted is what of `seed_facts` stands on the card that is
rendered from the draft, and on the one that is rendered from the study's manifest.
"""

from __future__ import annotations

import json
import re
import sys
from functools import partial
from pathlib import Path

import pytest
from seed_facts import FACTS, WRONG, G, N, S, T, plain
from seed_lines import FOLDER
from seed_lines import WRONG as FOUND_BY_HAND

from cards.stage import README, render
from manifests.build_folder import BuildFolder
from manifests.load import LoadedManifest, load_manifest
from manifests.progress import Silent
from release.importing.base_config import registered_base_model
from release.importing.card_faults import find_faults
from release.importing.decided import Decisions, decide, registered_decisions
from release.importing.known_papers import registered_paper
from release.importing.stage import import_repository
from validators.reading.local_repository import LocalRepository
from validators.readme.card_text import read_card
from validators.readme.findings import Surroundings

if not FOLDER.is_dir():
    pytest.skip(
        "SAE_RELEASE_SEED_CARDS names no folder with the published cards", allow_module_level=True
    )

MANIFESTS = Path(__file__).resolve().parents[3] / "manifests"
SEEDS = (T, S, N, G)
# What takes knowledge from elsewhere to see, so that a draft repeats it where no manifest of the
# repository says what is wrong with it.
STANDS_ALONE = {
    T: {"not converged"},
    S: set(),
    N: {"a single prompt"},
    G: {"4 GB hold it", "0.724 and 0.753"},
}
# That explained variance and alive latents are of the training vectors stands beside them, and
# the check asks for held-out ones.
MAY_BE_FOUND_AGAIN = {T: set(), S: set(), N: set(), G: {"R022"}}


def stand_in(loaded: LoadedManifest, root: Path, write_sae, config_of) -> None:  # type: ignore[no-untyped-def]
    base_model = loaded.manifest.base_model.id
    topk = loaded.manifest.recipe.topk
    is_alone = len(loaded.saes) == 1
    for spec in loaded.saes:
        k = {"k": topk.k} if topk is not None and spec.architecture == "topk" else {}
        cfg = config_of(
            base_model, spec.architecture, spec.layer, spec.condition,
            **{"d_in": spec.d_in, "d_sae": spec.d_sae, **k},
        )  # fmt: skip
        if is_alone:
            # The one SAE lies in the root, as a pickle, and its cfg.json knows of no condition.
            del cfg["training_condition"]
            (root / "cfg.json").write_text(json.dumps(cfg), encoding="utf-8")
            (root / f"{spec.sae_id}.pt").write_bytes(b"\x80\x04.")
        else:
            write_sae(root / spec.sae_id, cfg)
    (root / "README.md").write_bytes((FOLDER / f"{loaded.name}.card.txt").read_bytes())


@pytest.fixture
def draft_card(tmp_path, write_sae, config_of):  # type: ignore[no-untyped-def]
    """`draft_card(seed, beside=True)`: the text of the card rendered from the imported draft.

    `beside`: the study's manifests lie beside the draft. Else its study file alone does.
    """

    def rendered(seed: str, *, beside: bool) -> str:
        find_decisions = (
            partial(registered_decisions, manifests=MANIFESTS) if beside else lambda _: None
        )
        loaded = load_manifest(MANIFESTS / f"{seed}.yaml")
        root = tmp_path / loaded.manifest.repo_id.partition("/")[2]
        root.mkdir()
        stand_in(loaded, root, write_sae, config_of)
        imported = import_repository(
            LocalRepository(root),
            find_base_model=partial(registered_base_model, manifests=MANIFESTS),
            find_paper=partial(registered_paper, manifests=MANIFESTS),
            find_decisions=find_decisions,
            progress=Silent(),
        )
        assert imported.loads, imported.keys_to_fill_in
        path = tmp_path / f"{seed}.yaml"
        path.write_text(imported.text, encoding="utf-8", newline="\n")
        draft = load_manifest(path)
        if len(loaded.saes) > 1:
            assert set(draft.saes) == set(loaded.saes)
        return card_of(draft, tmp_path)

    return rendered


def card_of(loaded: LoadedManifest, folder: Path) -> str:
    build = BuildFolder(folder / "build" / loaded.name)
    render(loaded, build, progress=Silent())
    return (build.repository / README).read_text(encoding="utf-8")


def lost(seed: str, card: str) -> list[str]:
    return [fact.label for fact in FACTS[seed] if not fact.stands_on(card)]


def standing(seed: str, card: str) -> set[str]:
    return {wrong.label for wrong in WRONG[seed] if wrong.stands_on(card)}


needs_sparse_files = pytest.mark.skipif(
    sys.platform == "win32", reason="its holes would be reserved on NTFS"
)


@needs_sparse_files
@pytest.mark.parametrize("seed", SEEDS)
def test_a_draft_card_has_every_fact_and_no_fault(seed, draft_card) -> None:
    card = draft_card(seed, beside=True)
    assert lost(seed, plain(card)) == []
    assert standing(seed, plain(card)) == set()
    found = find_faults(read_card(card), Surroundings())
    assert {fault.code for fault in found.all} <= MAY_BE_FOUND_AGAIN[seed]


@needs_sparse_files
@pytest.mark.parametrize("seed", SEEDS)
def test_a_draft_alone_repeats_only_what_no_check_finds(seed, draft_card) -> None:
    card = draft_card(seed, beside=False)
    assert lost(seed, plain(card)) == []
    assert standing(seed, plain(card)) == STANDS_ALONE[seed]
    found = find_faults(read_card(card), Surroundings())
    assert {fault.code for fault in found.all} <= MAY_BE_FOUND_AGAIN[seed]


@pytest.mark.parametrize("seed", SEEDS)
def test_the_studys_own_card_has_all_facts_and_no_fault(seed, tmp_path) -> None:
    card = card_of(load_manifest(MANIFESTS / f"{seed}.yaml"), tmp_path)
    assert lost(seed, plain(card)) == []
    assert standing(seed, plain(card)) == set()


@pytest.mark.parametrize("seed", SEEDS)
def test_every_correction_of_the_studys_manifests_is_found_on_its_page(seed) -> None:
    resolutions = load_manifest(MANIFESTS / f"{seed}.yaml").manifest.resolutions
    page = (FOLDER / f"{seed}.card.txt").read_text(encoding="utf-8")
    decided = decide(page, Decisions(seed, resolutions)).decided
    assert [words for each in decided for words in each.missing] == []
    for each in decided:
        assert not each.places or _lines(each.resolution.found) & set(each.lines), each


def _lines(found: str) -> set[int]:
    """The lines that a resolution names, ranges such as 128-130 written out."""
    said = re.findall(r"\b[Ll]ines? (\d+(?:-\d+)?(?:(?:, | and )\d+(?:-\d+)?)*)", found)
    ends = [[int(end) for end in part.split("-")] for part in re.findall(r"[\d-]+", " ".join(said))]
    return {line for each in ends for line in range(each[0], each[-1] + 1)}


@pytest.mark.parametrize("seed", SEEDS)
def test_each_pattern_of_what_is_wrong_would_be_noticed(seed) -> None:
    """One pattern for each contradiction found by hand, and the published card has them."""
    assert len(WRONG[seed]) == sum(wrong.card == seed for wrong in FOUND_BY_HAND)
    published = plain((FOLDER / f"{seed}.card.txt").read_text(encoding="utf-8"))
    silent = {wrong.label for wrong in WRONG[seed] if not wrong.stands_on(published)}
    # That two shares fit no number of samples shows by dividing, not in words.
    assert silent <= {"shares of 181"}
