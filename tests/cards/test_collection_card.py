"""The card of a study collection: counts by hand, what is not known, what was measured."""

from __future__ import annotations

import copy
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from made_collection import COLLECTION, write_collection
from made_release import MANIFEST, make_release

from cards.collection.card import collection_files
from cards.sources import SourcesDisagree
from cards.templating import TemplateProblem
from manifests.digests import bytes_sha256, file_sha256
from manifests.load import load_manifest
from manifests.progress import Silent
from validators.reading.local_repository import LocalRepository
from validators.registry import checks_up_to
from validators.report import Outcome
from validators.runner import run_checks
from validators.subjects import RepositorySubject
from validators.training_record import Replacement, Substitution

ROOT = Path(__file__).parents[2]
STUDY_COLLECTION = ROOT / "manifests" / "deception-behavioral-saes.yaml"
FIRST, SECOND = "tiny_topk_L1_mixed", "tiny_gated_L2_mixed"


@pytest.fixture
def collection() -> dict[str, Any]:
    """The hand-made collection, free to change."""
    return copy.deepcopy(COLLECTION)


@pytest.fixture
def study_files(tmp_path: Path) -> dict[str, bytes]:
    """The study's own collection, where nothing is built."""
    return collection_files(STUDY_COLLECTION, tmp_path / "no-builds")


def files_of(release: Any, collection: dict[str, Any], builds: str = "build") -> dict[str, bytes]:
    folder = release.loaded.path.parent
    return collection_files(write_collection(folder, collection), folder / builds)


def readme(files: dict[str, bytes]) -> str:
    return files["README.md"].decode("utf-8")


def row_of(text: str, first_cell: str, n_cells: int) -> list[str]:
    """The cells of the only row with this first cell and so many cells."""
    rows = [line.strip("|").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    found = [row for row in rows if row[0].strip() == first_cell and len(row) == n_cells]
    assert len(found) == 1, found
    return [cell.strip() for cell in found[0]]


def section(text: str, title: str) -> str:
    return text.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def outcomes_of(files: dict[str, bytes], folder: Path) -> tuple[Outcome, ...]:
    """What the checks of README.md say that are asked of any repository."""
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    subject = RepositorySubject(LocalRepository(folder), None, progress=Silent())
    checks = tuple(each for each in checks_up_to("static") if each.code.startswith("R"))
    assert len(checks) > 15
    return run_checks(subject, checks, Silent())


def bad(outcomes: tuple[Outcome, ...]) -> list[tuple[str, str]]:
    return [
        (each.code, each.found)
        for each in outcomes
        if each.outcome != "passed" and not (each.outcome == "skipped" and not each.required)
    ]


def test_the_study_is_counted_as_by_hand(study_files) -> None:
    totals = section(readme(study_files), "Totals")
    # by manifests 54 + 39 + 54; reported 45 + 18 + 36 + 45 + 30 + 42; variants 9 + 9
    assert "- By manifests: 147 SAEs in 3 repositories." in totals
    assert "- Reported only: 216 SAEs in 6 repositories." in totals
    assert "147 + 216 = 363 SAEs; known to be variants of a recipe: 18." in totals
    assert "6 layers x 3 architectures x 3 conditions = 54." in totals
    # 348 - 363 and 366 - 363; the pages' own counts have 57 in place of 54: 363 + 3 = 366,
    # and 366 - 18 = 348
    smaller = row_of(totals, "total on the cards", 6)
    assert smaller[1:5] == [
        "348 (reported)", "9", "-15", "the sum of the reported numbers, less the known variants",
    ]  # fmt: skip
    larger = row_of(totals, "total on the collection's own page", 6)
    assert larger[1:5] == ["366 (reported)", "9", "+3", "the sum of the reported numbers"]


def test_every_row_of_a_table_has_the_cells_of_its_header(study_files, release, collection) -> None:
    measured = files_of(release.with_tables().write(), collection)
    for text, n_tables in ((readme(study_files), 5), (readme(measured), 6)):
        blocks = re.findall(r"(?:^\|.*\|\n)+", text, flags=re.MULTILINE)
        assert len(blocks) == n_tables
        for block in blocks:
            n_cells = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
            assert len(n_cells) == 1 and block.splitlines()[1].startswith("|---")


def test_only_the_resolutions_about_totals_are_printed(study_files) -> None:
    text = readme(study_files)
    assert "which the smaller total seems to leave out; no page says so." in text
    assert "What is left over of 366 is its three unexplained SAEs." in text
    assert "study.yaml" not in text and "n\\_parameters" not in text and "73.2" not in text


def test_a_shared_limitation_of_the_study_stands_there_once(study_files) -> None:
    limitations = section(readme(study_files), "Limitations")
    titles = re.findall(r"^- \*\*(.*?)\.\*\*", limitations, flags=re.MULTILINE)
    assert titles and len(set(titles)) == len(titles)
    shared = load_manifest(STUDY_COLLECTION.parent / "smollm2-135m.yaml").manifest.caveats
    assert {"Labels by a language model"} <= {caveat.title for caveat in shared} & set(titles)
    assert "*No SAE at the layer with the strongest signal*" in limitations


def test_what_nobody_states_is_said_to_be_unknown(study_files) -> None:
    text = readme(study_files)
    # Neither blocks nor width of Phi-4-mini, and no matrix.
    row = row_of(text, "microsoft/Phi-4-mini-reasoning", 9)
    assert row == ["microsoft/Phi-4-mini-reasoning", "`phi3`", *["not known"] * 7]
    assert "**Nothing measured.** No number on this page was measured by this tool." in text
    assert "**License.** No source names one." in text
    assert "license" not in yaml.safe_load(text.split("\n---\n", 1)[0])


def test_the_study_and_the_made_card_raise_nothing_in_the_checks(
    study_files, release, collection, tmp_path
) -> None:
    ((code, found),) = bad(outcomes_of(study_files, tmp_path / "study"))
    # The study's cards name no license, so neither can this one.
    assert code == "R014" and found.endswith(" has no license")
    assert bad(outcomes_of(files_of(release, collection), tmp_path / "made")) == []
    measured = files_of(release.with_tables().write(), collection)
    assert bad(outcomes_of(measured, tmp_path / "measured")) == []


def test_a_wrong_number_on_the_card_would_be_found(study_files, tmp_path) -> None:
    wrong = readme(study_files).replace("147 + 216 = 363", "147 + 216 = 366")
    outcomes = outcomes_of({"README.md": wrong.encode()}, tmp_path / "wrong")
    assert "147 + 216 is 363, not 366" in " ".join(found for _, found in bad(outcomes))


def test_the_totals_of_a_made_collection(release, collection) -> None:
    totals = section(readme(files_of(release, collection)), "Totals")
    # The matrix has 2 x 3 x 2 = 12, the other page 5; pages: 13 + 5 = 18, without 2 variants 16.
    assert "12 + 5 = 17 SAEs; known to be variants of a recipe: 2." in totals
    found = [row_of(totals, f"the {name} total", 6)[3:5] for name in ("first", "second", "third")]
    assert found == [
        ["+1", "the sum of the reported numbers"],
        ["-2", "the count above, less the known variants"],
        ["+23", "no sum of the numbers above"],
    ]
    assert "- One page says 18. It counts 13." in totals and "A name was wrong" not in totals


def test_a_member_that_nobody_counted_leaves_the_sums_open(release, collection) -> None:
    del collection["members"][1]["reported_n_saes"], collection["members"][1]["source"]
    del collection["members"][1]["n_variants"]
    totals = section(readme(files_of(release, collection)), "Totals")
    assert "- Not counted, since no source says how many there are: `demo/other-saes`." in totals
    assert "12 + 0 = 12 SAEs" in totals
    # The count lacks a member, and so does the sum over pages: neither explains a total.
    collection["reported_totals"] = [{"name": "t", "n_saes": 12, "source": "a page"}]
    text = readme(files_of(release, collection))
    assert row_of(text, "t", 6)[4] == "no sum of the numbers above"
    assert "- `demo/other-saes`: no number of SAEs." in text


def test_a_measured_member_is_counted_not_averaged(release, collection) -> None:
    changed = release.with_metric(FIRST, "explained_variance", value=None, reason="no data")
    text = readme(files_of(changed.write(), collection))
    rows = [line for line in text.splitlines() if line.startswith("| `demo/tiny-saes` | `")]
    # In the order of SAEs EV is 0.81 - 0.05 i against PCA's 0.5, so the first seven are above:
    # deceptive_only at i = 0, 2, 4, 6 and mixed at 1, 3, 5, of which FIRST (i = 5) has no value.
    assert [spec.sae_id for spec in release.loaded.saes].index(FIRST) == 5
    assert rows == [
        "| `demo/tiny-saes` | `mixed` | 20 | 6 | 5 | 5 | 2 |",
        "| `demo/tiny-saes` | `deceptive_only` | 10 | 6 | 6 | 6 | 4 |",
    ]
    assert "Not measured by this tool: `demo/other-saes`." in text
    assert "Nothing measured" not in text and "0.81" not in text
    assert "which this tool has not measured" not in text


def test_probes_that_beat_raw_activations_are_counted_with_their_n(release, collection) -> None:
    tables = release.with_tables().report.tables.model_dump()
    found = {"value": 0.1, "n": 80, "low": 0.05, "high": 0.15, "p_value": 0.01}
    tables["saes"][FIRST]["metrics"]["beats_layer"] = found
    tables["saes"][SECOND]["metrics"]["beats_layer"] = {"value": None, "n": 70, "reason": "few"}
    text = readme(files_of(release.with_tables(**tables).write(), collection))
    # 12 SAEs: one not compared with its layer, one above it; all compared with the peak, none
    # above it.
    assert "| `demo/tiny-saes` | 70 to 80 | 11 | 1 | 12 | 0 |" in text


def test_a_stand_in_is_named(release, collection) -> None:
    part = Replacement(stated="demo/tiny-llama", used="a smaller one", digest="c" * 64)
    training = release.training.model_copy(
        update={"substituted": Substitution(base_model=part, data=None)}
    )
    training.write(release.build.training_json)
    text = readme(files_of(release, collection))
    assert "trained with the base model <code>" not in text
    assert "trained with the base model `a smaller one` in place of `demo/tiny-llama`" in text


def test_a_report_of_another_manifest_stops_the_card(release, collection) -> None:
    release.report.model_copy(update={"manifest_digest": "0" * 64}).write(release.build.report_json)
    with pytest.raises(SourcesDisagree, match="tiny"):
        files_of(release, collection)


def test_a_reported_comparison_is_marked_and_has_its_source(make, collection) -> None:
    fact = {
        "name": "SAEs beating raw",
        "metric": "saes_beating_raw_baseline",
        "value": 4,
        "unit": "count",
        "out_of": 12,
        "source": "line 9",
    }
    text = readme(files_of(make({**MANIFEST, "reported": [fact]}), collection, "no-builds"))
    row = row_of(text, "`demo/tiny-saes`", 6)
    assert row[1:] == ["SAEs beating raw", "4 of 12 (reported)", *["not reported"] * 2, "line 9"]
    assert "This tool measured none of the 2 repositories." in text


def test_the_index_names_members_and_their_saes(release, collection) -> None:
    index = json.loads(files_of(release, collection)["config.json"])
    assert index["n_saes"] == {"from_manifests": 12, "reported": 5, "known": 17}
    tiny, other = index["members"]
    assert tiny["sae_ids"] == [spec.sae_id for spec in release.loaded.saes]
    assert (tiny["n_saes"], tiny["counted_by"], tiny["is_measured"]) == (12, "manifest", True)
    assert (tiny["layers"], tiny["d_sae"]) == ([1, 2], 32)
    assert (other["n_saes"], other["counted_by"], other["sae_ids"]) == (5, "reported", None)
    assert other["base_model"] == {
        "id": "demo/other", "revision": None, "model_type": None, "n_layers": None,
    }  # fmt: skip


def test_card_json_has_the_digests_of_what_was_used(release, collection) -> None:
    files = files_of(release, collection)
    card = json.loads(files["card.json"])
    assert list(files)[-1] == "card.json"
    assert card["members"] == {
        "demo/tiny-saes": {
            "manifest_digest": release.loaded.digest,
            "report_digest": file_sha256(release.build.report_json),
            "training_digest": file_sha256(release.build.training_json),
        }
    }
    assert card["files"] == {n: bytes_sha256(files[n]) for n in ("README.md", "config.json")}
    head = readme(files)
    for digest in (card["collection_digest"], *card["members"]["demo/tiny-saes"].values()):
        assert digest in head


def test_equal_sources_give_equal_bytes_and_a_changed_one_does_not(release, collection) -> None:
    first = files_of(release, collection)
    path = release.loaded.path.parent / "all.yaml"
    path.write_text("# a comment\n" + path.read_text(encoding="utf-8"), encoding="utf-8")
    assert collection_files(path, path.parent / "build") == first
    collection["members"][1]["reported_n_saes"] = 6
    changed = files_of(release, collection)
    assert {name for name in first if first[name] != changed[name]} == set(first)


def test_a_changed_caveat_of_a_member_changes_the_card(make, collection) -> None:
    def card(text: str) -> str:
        made = make({**MANIFEST, "caveats": [{"title": text, "text": "t"}]})
        return readme(files_of(made, collection, "no-builds"))

    assert "*One title*" in card("One title") and "*One title*" not in card("Another")


def test_a_caveat_is_shared_when_two_manifests_have_it(tmp_path, collection) -> None:
    # The register has one base model for both names, so both may use the same manifest's text.
    one = make_release(tmp_path, MANIFEST)
    text = one.loaded.path.read_text(encoding="utf-8").replace("demo/tiny-saes", "demo/second")
    (tmp_path / "second.yaml").write_text(
        text.replace("demo/tiny-llama", "demo/other"), encoding="utf-8"
    )
    collection["members"][1] = {"base_model": "other", "manifest": "second.yaml"}
    limitations = section(readme(files_of(one, collection, "no-builds")), "Limitations")
    caveat = "- **Tiny model.** It has four blocks. *(every repository with a manifest)*"
    assert limitations.count("Tiny model") == 1 and caveat in limitations
    assert "Without a manifest" not in limitations


def test_the_front_matter_names_every_base_model_and_no_result(release, collection) -> None:
    metadata = yaml.safe_load(readme(files_of(release, collection)).split("\n---\n", 1)[0])
    assert metadata == {
        "license": "apache-2.0",
        "library_name": "saelens",
        "base_model": ["demo/tiny-llama", "demo/other"],
        "base_model_relation": "adapter",
        "language": ["en"],
        "tags": ["sparse-autoencoder"],
    }


def test_a_partial_beside_the_collection_stands_in_place_of_ours(release, collection) -> None:
    own = release.loaded.path.parent / "cards" / "collection_study.md.j2"
    own.parent.mkdir()
    own.write_text("## Our words\n\n{{ totals.n_known }}\n", encoding="utf-8")
    files = files_of(release, collection)
    assert "\n## Our words\n\n17\n" in readme(files) and "\n## Study\n" not in readme(files)
    name = "partials/collection_study.md.j2"
    assert json.loads(files["card.json"])["overrides"] == {name: bytes_sha256(own.read_bytes())}
    own.write_text("{{ totals.n_unknown }}\n", encoding="utf-8")
    with pytest.raises(TemplateProblem, match="n_unknown"):
        files_of(release, collection)


def test_nine_members_are_rendered_without_torch_and_matplotlib(tmp_path) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from cards.collection.card import collection_files\n"
        f"files = collection_files(Path({str(STUDY_COLLECTION)!r}), Path({str(tmp_path)!r}))\n"
        "heavy = {'torch', 'transformers', 'sae_lens', 'matplotlib', 'scipy', 'sklearn'}\n"
        "print(sorted(heavy & set(sys.modules)), sorted(files))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[] ['README.md', 'card.json', 'config.json']"
