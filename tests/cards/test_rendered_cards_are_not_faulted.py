"""Rendered cards raise nothing in the linters that are made for cards from elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import manifests
from cards.sources import Sources, read_sources
from cards.stage import render, rendered_files
from manifests.build_folder import BuildFolder
from manifests.hooks import BLOCKS_PATH
from manifests.load import load_manifest
from manifests.progress import Silent
from validators.reading.local_repository import LocalRepository
from validators.readme.block_counts import lint_block_counts
from validators.readme.card_links import lint_links
from validators.readme.card_text import CardText, read_card
from validators.readme.comparisons import lint_comparisons
from validators.readme.depths import lint_depths
from validators.readme.differences import lint_differences
from validators.readme.findings import Finding, Surroundings
from validators.readme.front_matter import lint_front_matter
from validators.readme.hook_layers import lint_hook_layers
from validators.readme.hook_mentions import lint_hook_names
from validators.readme.layers import lint_layers
from validators.readme.loose_code import lint_loose_code
from validators.readme.metric_identities import lint_metric_identities
from validators.readme.metrics_named import lint_metrics
from validators.readme.model_family import lint_model_family
from validators.readme.paper_titles import lint_papers
from validators.readme.products import lint_products
from validators.readme.prose_sums import lint_prose_sums
from validators.readme.ranges import lint_ranges
from validators.readme.said_of_others import lint_said_of_others
from validators.readme.sentences_on_tables import lint_sentences_on_tables
from validators.readme.shares import lint_shares
from validators.readme.sizes import lint_sizes
from validators.readme.spread import lint_spread
from validators.readme.sums_said import lint_sums_said
from validators.readme.table_relations import lint_table_differences, lint_table_products
from validators.readme.table_shares import lint_table_shares
from validators.readme.table_totals import lint_table_totals
from validators.readme.tensors_said import lint_tensors
from validators.readme.token_budgets import lint_token_budgets
from validators.readme.verdicts import lint_verdicts
from validators.readme.version_floors import lint_version_floors
from validators.stage import validate

ALONE = (
    lint_differences, lint_front_matter, lint_layers, lint_loose_code, lint_metrics,
    lint_said_of_others, lint_shares, lint_sizes, lint_spread, lint_verdicts, lint_version_floors,
    lint_prose_sums, lint_table_differences, lint_table_products, lint_table_totals,
    lint_token_budgets, lint_metric_identities, lint_comparisons, lint_ranges, lint_sums_said,
    lint_sentences_on_tables, lint_table_shares,
)  # fmt: skip
WITH_MORE = (
    lint_depths, lint_hook_names, lint_links, lint_model_family, lint_papers, lint_products,
    lint_tensors, lint_block_counts, lint_hook_layers,
)  # fmt: skip


def findings(card: CardText, known: Surroundings) -> Iterator[Finding]:
    for lint in ALONE:
        yield from lint(card)
    for linter in WITH_MORE:
        yield from linter(card, known)


def found_on(sources: Sources) -> list[Finding]:
    files = rendered_files(sources)
    text = files["README.md"].decode("utf-8")
    # Drawn apart from the card.
    figures = re.findall(r"\((figures/[\w.-]+)\)", text)
    manifest, saes = sources.loaded.manifest, sources.loaded.saes
    base = manifest.base_model
    cited = {work.arxiv: (work.title, work.authors) for work in manifest.citations if work.arxiv}
    known = Surroundings(
        n_layers=base.n_layers,
        blocks_path=BLOCKS_PATH[base.model_type],
        model_type=base.model_type,
        n_saes=len(saes),
        hook_names=tuple(spec.hook_name for spec in saes),
        subtracts_b_dec=True,
        files=frozenset((*files, *figures)),
        papers=cited or {"2509.20393": ("A Title of Some Words", ("One Author", "Two Author"))},
    )
    return [*findings(read_card(text), known)]


def test_the_tiny_card_raises_nothing(release: Any) -> None:
    assert found_on(release.sources) == []


def test_a_card_with_probes_and_precisions_raises_nothing(release: Any) -> None:
    assert found_on(release.with_tables().with_portability().sources) == []


STATED = ("tinyllama-1-1b", "smollm2-135m", "nanochat-d32", "gemma4-e2b-gf1")


@pytest.mark.parametrize("name", STATED)
def test_cards_of_the_study_lack_a_license_and_raise_nothing_else(
    name: str, tmp_path: Path
) -> None:
    loaded = load_manifest(Path(manifests.__file__).parent / f"{name}.yaml")
    found = found_on(read_sources(loaded, BuildFolder(tmp_path / name)))
    # Which license they have, no source says.
    assert loaded.manifest.license is None
    assert [finding.what.partition(") ")[2] for finding in found] == ["has no license"]


@pytest.mark.parametrize("name", STATED)
def test_every_check_of_cards_finds_only_that_files_and_license_are_missing(
    name: str, tmp_path: Path
) -> None:
    loaded = load_manifest(Path(manifests.__file__).parent / f"{name}.yaml")
    build = BuildFolder(tmp_path / name)
    render(loaded, build, progress=Silent())
    repository = LocalRepository(build.repository)
    report = validate(repository, manifest=loaded, tier="static", progress=Silent())
    assert report.checks is not None
    of_cards = [each for each in report.checks.outcomes if each.code.startswith("R")]
    assert sum(each.outcome == "passed" for each in of_cards) > 15
    found = {each.code: each for each in of_cards if each.outcome not in ("passed", "skipped")}
    assert set(found) == {"R002", "R014"}
    # Nothing was built, so the files that the code downloads are not there yet.
    assert f"no file '{loaded.saes[0].sae_id}/cfg.json'" in found["R002"].found


@pytest.mark.parametrize(
    "text",
    [
        "Of 12 SAEs, 5 (42%) beat the baseline by 3.1 points.",
        "The rank is 8 x 8 = 65.",
    ],
)
def test_a_mistake_in_a_caveat_is_seen_and_a_right_number_is_not(release: Any, text: str) -> None:
    readme = rendered_files(release.sources)["README.md"].decode("utf-8") + f"\n{text}\n"
    n_found = len([*lint_products(read_card(readme), Surroundings())])
    assert n_found == text.count("= 65")
