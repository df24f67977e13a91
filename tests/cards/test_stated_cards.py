"""Cards of manifests alone: the four study manifests, rendered where nothing was ever built."""

from __future__ import annotations

import ast
import builtins
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from card_words import CardWords, words_of

import manifests
from cards.sources import read_sources
from cards.stage import render, rendered_files, stale_files
from manifests.build_folder import BuildFolder
from manifests.facts import Reported
from manifests.load import LoadedManifest, load_manifest
from manifests.progress import Silent

FOLDER = Path(manifests.__file__).parent
NAMES = ("tinyllama-1-1b", "smollm2-135m", "nanochat-d32", "gemma4-e2b-gf1")
MANY = [
    "Contents",
    "Training-data caveat",
    "Key findings",
    "Measurements",
    "Reported, not measured here",
    "Portability",
    "Limitations",
    "Loading",
    "Format",
    "Data and labels",
    "Training",
    "Research context",
    "Citation",
    "References",
    "Provenance",
]
ONE = [
    "Training-data caveat",
    "Uses",
    "Classification methodology",
    "Quantisation caveat",
    "Known limitations",
    "Architecture",
    "Training distribution",
    "Training",
    "Key findings",
    "SAE quality",
    "Reported, not measured here",
    "Portability",
    "Where this SAE sits",
    "Loading",
    "Format",
    "Citation",
    "References",
    "Provenance",
]


def one_line(text: str) -> str:
    return " ".join(text.split())


@pytest.fixture(scope="module", params=NAMES)
def loaded(request: pytest.FixtureRequest) -> LoadedManifest:
    return load_manifest(FOLDER / f"{request.param}.yaml")


@pytest.fixture(scope="module")
def files(loaded: LoadedManifest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    build = BuildFolder(tmp_path_factory.mktemp("nothing") / loaded.name)
    return rendered_files(read_sources(loaded, build))


@pytest.fixture(scope="module")
def card(files: dict[str, bytes]) -> CardWords:
    return words_of(files["README.md"].decode("utf-8"))


def test_the_sections_stand_in_order(loaded, card) -> None:
    assert list(card.sections) == (ONE if loaded.name == "gemma4-e2b-gf1" else MANY)
    assert card.headings[0] == loaded.manifest.title


def value_shown(fact: Reported) -> str:
    """Worked out anew: the value, its unit, what it is out of, about or below."""
    value = f"{fact.value:,.0f}" if fact.value == int(fact.value) else f"{fact.value:.10g}"
    return value + {"%": "%", "s": " s"}.get(fact.unit, "")


def test_every_reported_number_stands_in_a_row_with_its_basis_and_source(loaded, card) -> None:
    assert loaded.manifest.reported
    for fact in loaded.manifest.reported:
        row = card.row_with(fact.name, fact.source)
        assert value_shown(fact) in row[1]
        total = "" if fact.out_of is None else f" of {fact.out_of:,}"
        assert row[1].partition(" of ")[1:] == (total[:4], total[4:])
        spread = "" if fact.plus_minus is None else f" ± {fact.plus_minus:.3f}"
        assert row[1].partition(" ±")[1:] == (spread[:2], spread[2:])
        assert row[1].startswith("about ") == fact.approximate
        assert row[1].startswith(("below ", "above ")) == (fact.bound is not None)
        assert row[2] == (f"{fact.n:,}" if fact.n else "not reported")
        assert row[3] == (fact.split or "not reported")
        for extra in (fact.layer, fact.sae_id, fact.date):
            assert extra is None or str(extra) in row


def test_reported_numbers_stand_under_columns_that_call_them_reported(loaded, card) -> None:
    heads = [row for row in card.rows if "reported value" in row]
    metrics = {fact.metric for fact in loaded.manifest.reported}
    assert len(heads) == len(metrics)
    names = {fact.name for fact in loaded.manifest.reported}
    shown = [row[0] for row in card.rows if row[0] in names and "reported value" not in row]
    assert sorted(shown) == sorted(names)


def test_the_matrix_stands_with_its_counts_hooks_and_shapes(loaded, card) -> None:
    manifest, saes = loaded.manifest, loaded.saes
    base = manifest.base_model
    assert f"{len(saes)} sparse autoencoder" in card.text and base.id in card.text
    assert (
        f"d_in {base.d_model:,} and d_sae {manifest.saes.expansion * base.d_model:,} " in card.text
    )
    for layer in {spec.layer for spec in saes}:
        specs = [spec for spec in saes if spec.layer == layer]
        depth = f"{100 * (layer + 1) / base.n_layers:.1f}%"
        row = card.row_with(str(layer), depth, specs[0].hf_hook_name, specs[0].hook_name)
        assert row[-1] == str(len(specs))
    for name in {spec.condition for spec in saes}:
        n = manifest.data.conditions[name].n
        n_saes = sum(spec.condition == name for spec in saes)
        assert card.row_with(name)[2:] == (f"{n:,}", str(n_saes))


def test_the_recipe_stands_with_what_is_assumed_of_it_and_why(loaded, card) -> None:
    recipe = loaded.manifest.recipe
    assert f"epochs {recipe.epochs}, batch_size {recipe.batch_size}" in card.text
    for architecture in {spec.architecture for spec in loaded.saes}:
        own = recipe.of(architecture, "").model_dump(mode="json", exclude_none=True)
        for key, value in own.items():
            assert f"{key} {value}" in card.text
    assert loaded.manifest.assumed
    for key, why in loaded.manifest.assumed.items():
        assert card.row_with(key)[2] == one_line(why)


def test_machine_scenarios_caveats_and_context_stand_word_for_word(loaded, card) -> None:
    manifest = loaded.manifest
    machine = manifest.hardware.ran_on
    assert machine is not None and card.row_with("device")[1] == machine.device
    assert card.row_with("memory")[1] == f"{machine.memory_gb:g} GB"
    for scenario in manifest.data.scenarios:
        assert card.row_with(scenario.id)[2] == (scenario.note or "-")
    uses = manifest.uses
    texts = [manifest.summary, manifest.data.description, manifest.data.label_rule]
    texts += [*manifest.context, *uses.recommended, *uses.not_recommended]
    texts += [uses.measures, uses.does_not_measure, *(each.text for each in manifest.caveats)]
    for text in texts:
        assert one_line(text) in card.text
    assert str(manifest.code) in card.text


def test_the_temperature_stands_where_it_is_reported(loaded, card) -> None:
    is_known = loaded.manifest.data.temperature is not None
    assert is_known == (loaded.name != "smollm2-135m")
    assert ("Temperature of sampling, as reported: 1." in card.text) == is_known
    assert ("At which temperature completions were sampled is not known." in card.text) != is_known


def test_claims_stand_as_findings_on_reported_numbers(loaded, card) -> None:
    assert loaded.manifest.claims
    for claim in loaded.manifest.claims:
        said = f"{one_line(claim.text)} {one_line(claim.holds_if)} (of reported numbers)"
        assert said in card.text


def test_nothing_is_said_to_be_measured(files, card) -> None:
    readme = files["README.md"].decode("utf-8")
    assert "Nothing on this card was measured by sae-release." in card.text
    assert "no report, no training record." in readme.split("<!--", 1)[1].split("-->", 1)[0]
    assert card.row_with("report.json")[1] == card.row_with("training.json")[1] == "there is none"
    assert "model-index" not in yaml.safe_load(readme.split("\n---\n", 1)[0])
    assert not {"EV", "PCA EV", "seed"} & {cell for row in card.rows for cell in row}
    assert "License. Not known" in card.text and "Base model revision. It was not" in card.text


def test_every_python_block_parses_and_uses_only_names_of_the_blocks_before(card) -> None:
    blocks = [code for language, code in card.blocks if language == "python"]
    trees = [ast.parse(block) for block in blocks]
    assert len(trees) >= 4
    bound, used = set(dir(builtins)), set()
    for node in (node for tree in trees for node in ast.walk(tree)):
        match node:
            case ast.Name(ctx=ast.Store()):
                bound.add(node.id)
            case ast.Name():
                used.add(node.id)
            case ast.FunctionDef() | ast.arg():
                bound.add(getattr(node, "name", getattr(node, "arg", "")))
            case ast.Import() | ast.ImportFrom():
                bound |= {alias.asname or alias.name for alias in node.names}
    assert used <= bound


def test_only_the_quantised_model_is_loaded_quantised(loaded, card) -> None:
    code = "\n".join(code for language, code in card.blocks if language == "python")
    config = (
        "quantisation = BitsAndBytesConfig(\n    load_in_4bit=True,\n"
        '    bnb_4bit_quant_type="nf4",\n    bnb_4bit_use_double_quant=True,\n'
        "    bnb_4bit_compute_dtype=torch.float16,\n)\n"
    )
    assert code.count(config) == (2 if loaded.name == "gemma4-e2b-gf1" else 0)
    assert ("quantization_config=quantisation" in code) == (config in code)


def test_works_are_cited_with_all_their_authors(loaded, card) -> None:
    (entry,) = [code for language, code in card.blocks if language == "bibtex"]
    (work,) = loaded.manifest.citations
    assert entry.startswith(f"@misc{{{work.key},\n")
    assert f"author = {{{' and '.join(work.authors)}}}" in entry
    assert f"title = {{{{{work.title}}}}}" in entry and f"eprint = {{{work.arxiv}}}" in entry


def test_portability_names_every_setting_as_not_measured(loaded, card) -> None:
    text = card.text.split("\nPortability\n", 1)[1]
    assert "release portability MANIFEST" in text
    settings = loaded.manifest.portability
    assert card.row_with("bf16")[1] == card.row_with("fp16")[1] == "not measured"
    for model in settings.other_models:
        row = card.row_with(f"{model.id} ({model.relation})")
        is_wide = model.d_model != loaded.manifest.base_model.d_model
        assert row[1].startswith("cannot be used" if is_wide else "not measured")
    for size in settings.claimed:
        assert f"{size.precision}: {size.effective_bits} bits" in text and size.source in text


def test_the_index_lists_the_saes_without_digests(loaded, files) -> None:
    index = json.loads(files["config.json"])
    assert [entry["sae_id"] for entry in index["saes"]] == [spec.sae_id for spec in loaded.saes]
    nothing = {"cfg.json": None, "sae_weights.safetensors": None}
    assert all(entry["sha256"] == nothing for entry in index["saes"])
    card = json.loads(files["card.json"])
    assert card["report_digest"] is None and card["training_digest"] is None


def test_rendering_writes_the_folder_and_finds_it_fresh(loaded, tmp_path: Path) -> None:
    build = BuildFolder(tmp_path / "deep" / loaded.name)
    written = render(loaded, build, progress=Silent()).written
    assert [path.name for path in written] == [
        "README.md", "config.json", "manifest.json", "card.json",
    ]  # fmt: skip
    assert all(path.parent == build.repository for path in written)
    assert stale_files(loaded, build) == {}


def contradictory() -> list[tuple[str, str]]:
    """What the original pages say that cannot be, as `docs/seed-cards.md` has it."""
    wrong: dict[str, tuple[str, ...]] = {
        "tinyllama-1-1b": ("5.37", "10.1", "400", "hook_resid_post.", "95%", "not fully converged"),
        "smollm2-135m": ("14.34", "400", "Pythia", "13%", "a single prompt"),
        "nanochat-d32": ("3%", "GPT-NeoX", "GPT-2", "transformer.h", "39%", "400"),
        "gemma4-e2b-gf1": ("0.088", "3.5", "first-ever", "STABLE", "MEDIUM", "run_multijudge"),
    }
    return [(name, said) for name, each in wrong.items() for said in each]


@pytest.mark.parametrize(("name", "said"), contradictory())
def test_what_cannot_be_is_not_repeated(name: str, said: str, tmp_path: Path) -> None:
    found = load_manifest(FOLDER / f"{name}.yaml")
    readme = rendered_files(read_sources(found, BuildFolder(tmp_path)))["README.md"].decode("utf-8")
    assert not re.search(rf"(?<![\w.]){re.escape(said)}(?![\w])", readme)


def test_a_manifest_whose_claims_wait_for_measurements_is_rendered(tmp_path: Path) -> None:
    found = load_manifest(FOLDER / "demo-smollm2-135m-instruct.yaml")
    data: dict[str, Any] = found.manifest.resolved()
    data["claims"] = [
        {"text": "All explain something.", "holds_if": "worst(explained_variance) > 0"},
        {"text": "There are twelve.", "holds_if": "matrix.n_saes == 12"},
    ]
    path = tmp_path / "waiting.yaml"
    path.write_text(yaml.safe_dump(data), encoding="utf-8")
    files = rendered_files(read_sources(load_manifest(path), BuildFolder(tmp_path / "none")))
    words = words_of(files["README.md"].decode("utf-8"))
    assert "There are twelve. matrix.n_saes == 12" in words.text
    assert "All explain something" not in words.text and "1 sentence of the manifest" in words.text
