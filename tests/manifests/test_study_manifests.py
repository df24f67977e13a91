"""The manifests of the study's four seed systems, against what their cards say."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel, ValidationError

from manifests.base_model import BaseModelSpec
from manifests.claim_namespace import claim_namespace
from manifests.claims import ClaimProblem, claim_holds
from manifests.hooks import depth_percent
from manifests.load import LoadedManifest, load_manifest
from manifests.model import Manifest
from manifests.sae_recipes import JumpreluRecipe, ThresholdNotLearned
from manifests.yaml_source import read_yaml

ROOT = Path(__file__).parents[2]
COUNTS = {"tinyllama-1-1b": 39, "smollm2-135m": 54, "nanochat-d32": 54, "gemma4-e2b-gf1": 1}
RESOLUTIONS = (ROOT / "docs" / "resolutions.md").read_text(encoding="utf-8")

# Ids that the cards quote.
QUOTED = {
    "tinyllama-1-1b": {
        "tinyllama_jumprelu_L15_honest_only",
        "tinyllama_jumprelu_ste_L15_honest_only",
        "tinyllama_jumprelu_ste_L12_honest_only",
    },
    "smollm2-135m": {"smollm2_topk_L21_deceptive_only", "smollm2_topk_L21_honest_only"},
    "nanochat-d32": {"d32_jumprelu_L12_deceptive_only", "d32_topk_L16_honest_only"},
    "gemma4-e2b-gf1": {"gemma4_e2b_gf1_behaviorSAE_topk_k16_L25_bnb4bit"},
}

# Every contradiction of the four cards, by the lines it stands in.
CONTRADICTIONS = {
    "tinyllama-1-1b": (
        "37, 27-28",
        "37",
        "10",
        "30, 28",
        "39",
        "50, 84, 118, 127, 169",
        "68",
        "27",
        "72",
        "18, 184",
        "70",
        "105, 173-175",
        "169",
        "13",
        "177",
        "107-108, 153",
        "148",
        "31, 35",
        "58",
    ),
    "smollm2-135m": (
        "65",
        "49, 81, 114, 123",
        "110",
        "34",
        "29-30",
        "55",
        "23",
        "17, 36",
        "25",
        "17, 178",
        "144",
        "12",
    ),
    "nanochat-d32": (
        "2, 5",
        "21",
        "2, 27, 84",
        "31, 84, 90, 121, 120",
        "45, 79, 67",
        "57-60",
        "48-60",
        "17",
        "11",
        "21, 22",
        "36",
        "11, 131",
        "23, 25",
        "106",
        "8",
    ),
    "gemma4-e2b-gf1": (
        "55",
        "42",
        "71",
        "111, 131",
        "132",
        "124, 133",
        "128-130",
        "111, 128-131",
        "98, 102",
        "100",
        "102, 152, 174",
        "157-162",
        "139-146",
        "111-118, 44",
        "182, 184",
        "63-66",
        "28-30",
        "3",
        "205",
    ),
}


def loaded(name: str) -> LoadedManifest:
    return load_manifest(ROOT / "manifests" / f"{name}.yaml")


def rows(section: str) -> dict[str, tuple[str, str]]:
    """The table below a heading of docs/resolutions.md: lines -> (resolved, key)."""
    part = RESOLUTIONS.split(f"\n## {section}\n")[1].split("\n## ")[0]
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in part.splitlines()
        if line.startswith("| ")
    ]
    return {row[0]: (row[2], row[3].strip("`")) for row in cells[1:]}


@pytest.mark.parametrize("name", COUNTS)
def test_the_matrix_gives_the_number_of_saes(name: str) -> None:
    saes = loaded(name).saes
    assert len(saes) == COUNTS[name]
    assert QUOTED[name] <= {spec.sae_id for spec in saes}


def test_tinyllama_has_30_plain_saes_and_9_of_the_variant() -> None:
    saes = loaded("tinyllama-1-1b").saes
    # 5 layers x 2 architectures x 3 conditions, and 3 x 1 x 3
    assert [sum(s.variant == v for s in saes) for v in ("", "ste")] == [5 * 2 * 3, 3 * 1 * 3]
    assert {s.layer for s in saes if s.variant} == {9, 12, 15}
    assert {s.architecture for s in saes if s.variant} == {"jumprelu"}


@pytest.mark.parametrize("name", COUNTS)
def test_a_manifest_names_the_schema_for_editors(name: str) -> None:
    text = (ROOT / "manifests" / f"{name}.yaml").read_text(encoding="utf-8")
    assert text.startswith("# yaml-language-server: $schema=./schema.json\n")


@pytest.mark.parametrize(
    ("name", "d_in", "d_sae", "hf_hook_name"),
    [
        ("tinyllama-1-1b", 2048, 8192, "model.layers.15"),
        ("smollm2-135m", 576, 2304, "model.layers.21"),
        ("nanochat-d32", 2048, 8192, "model.layers.24"),
        ("gemma4-e2b-gf1", 1536, 6144, "model.language_model.layers.25"),
    ],
)
def test_shapes_and_hooks_follow(name: str, d_in: int, d_sae: int, hf_hook_name: str) -> None:
    last = loaded(name).saes[-1]
    assert (last.d_in, last.d_sae, last.hf_hook_name) == (d_in, d_sae, hf_hook_name)
    assert last.hook_name == f"blocks.{last.layer}.hook_resid_post"


@pytest.mark.parametrize(
    ("name", "percent"),
    # (21 + 1)/22, (4 + 1)/30, (12 + 1)/32
    [("tinyllama-1-1b", 100.0), ("smollm2-135m", 16.67), ("nanochat-d32", 40.625)],
)
def test_the_depth_of_the_peak_follows_one_convention(name: str, percent: float) -> None:
    manifest = loaded(name).manifest
    (peak,) = [f for f in manifest.reported if f.name == "raw peak balanced accuracy"]
    assert peak.layer is not None
    assert depth_percent(peak.layer, manifest.base_model.n_layers) == pytest.approx(
        percent, abs=0.01
    )


@pytest.mark.parametrize("name", COUNTS)
def test_the_paper_is_cited_with_its_title_and_all_authors(name: str) -> None:
    (paper,) = loaded(name).manifest.citations
    assert paper.title.endswith("Lie and Our Current Safety Tools Are Blind")
    assert [author.split()[-1] for author in paper.authors] == [
        "DeLeeuw",
        "Chawla",
        "Sharma",
        "Dietze",
    ]
    assert paper.arxiv == "2509.20393"


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("tinyllama-1-1b", (243, 84, 159)),
        ("smollm2-135m", (181, 96, 85)),
        ("nanochat-d32", (1327, 650, 677)),
    ],
)
def test_conditions_are_counted_and_add_up(name: str, counts: tuple[int, int, int]) -> None:
    data = loaded(name).manifest.data
    order = ("mixed", "deceptive_only", "honest_only")
    assert tuple(data.conditions[key].n for key in order) == counts
    assert counts[0] == counts[1] + counts[2]
    assert "Gemini 2.5 Flash" in data.label_rule


@pytest.mark.parametrize("name", COUNTS)
def test_what_no_card_states_is_unknown(name: str) -> None:
    manifest = loaded(name).manifest
    assert manifest.license is None
    assert manifest.base_model.revision is None
    assert (manifest.data.pooling, manifest.data.file, manifest.data.dataset) == (None, None, None)
    assert "recipe.seed" in manifest.assumed


def test_the_learning_rate_is_assumed_everywhere_but_on_the_card_that_states_it() -> None:
    assumed = {name: "recipe.learning_rate" in loaded(name).manifest.assumed for name in COUNTS}
    assert [name for name in COUNTS if not assumed[name]] == ["nanochat-d32"]
    assert {loaded(name).manifest.recipe.learning_rate for name in COUNTS} == {3e-4}


def test_plain_jumprelu_thresholds_are_fixed_and_those_of_the_variant_learned() -> None:
    recipe = loaded("tinyllama-1-1b").manifest.recipe
    plain, ste = recipe.of("jumprelu", ""), recipe.of("jumprelu", "ste")
    assert isinstance(plain, JumpreluRecipe) and isinstance(ste, JumpreluRecipe)
    assert plain.threshold == "fixed_at_zero" and plain.kernel is None
    assert ste.threshold == "learned" and ste.learned().kernel == "gaussian"
    with pytest.raises(ThresholdNotLearned, match="fixes"):
        plain.learned()


def test_gemma_is_run_in_four_bits_and_published_as_a_pickle() -> None:
    manifest = loaded("gemma4-e2b-gf1").manifest
    precision = manifest.base_model.precision
    assert (precision.weights, precision.compute) == ("nf4", "fp16")
    assert precision.double_quantization
    assert manifest.recipe.topk is not None and manifest.recipe.topk.k == 16
    assert "_k16_" in manifest.saes.id
    assert manifest.weights is not None and manifest.weights.format == "pickle"
    assert manifest.collection is None


def test_the_three_pools_of_gemma_are_kept_apart() -> None:
    manifest = loaded("gemma4-e2b-gf1").manifest
    pools = {f.name: f.value for f in manifest.reported if f.metric == "n_completions"}
    assert sorted(pools.values()) == [19, 20, 30, 38]
    assert manifest.data.conditions["behavior"].n == 38


def test_only_the_operands_of_a_wrong_difference_are_reported() -> None:
    values = [fact.value for fact in loaded("smollm2-135m").manifest.reported]
    assert {67.2, 52.88} <= set(values)
    assert not {14.34, 14.32} & set(values)


@pytest.mark.parametrize("name", COUNTS)
def test_reported_saes_exist_and_lie_at_their_layer(name: str) -> None:
    one = loaded(name)
    layers = {spec.sae_id: spec.layer for spec in one.saes}
    named = [fact for fact in one.manifest.reported if fact.sae_id is not None]
    assert all(layers[str(fact.sae_id)] == fact.layer for fact in named)
    assert all(f"{name} card, line" in fact.source for fact in one.manifest.reported)


def test_sae_probes_are_not_called_balanced_where_the_card_does_not_say_so() -> None:
    facts = [f for name in COUNTS for f in loaded(name).manifest.reported]
    probes = [f for f in facts if f.name == "best SAE probe"]
    assert len(probes) == 3 and {f.metric for f in probes} == {"unspecified_accuracy"}
    peaks = [f for f in facts if f.name == "raw peak balanced accuracy"]
    assert len(peaks) == 3 and {f.metric for f in peaks} == {"balanced_accuracy"}


@pytest.mark.parametrize("name", COUNTS)
def test_every_claim_holds(name: str) -> None:
    manifest = loaded(name).manifest
    assert manifest.claims
    namespace = claim_namespace(manifest)
    assert [c.text for c in manifest.claims if not claim_holds(c.holds_if, namespace)] == []


@pytest.mark.parametrize(
    ("expression", "outcome"),
    [
        # what the card says, and what the numbers give
        (
            "abs(reported['best SAE probe'] - reported['raw baseline at L21'] - 14.34) < 0.005",
            False,
        ),
        (
            "abs(reported['best SAE probe'] - reported['raw baseline at L21'] - 14.32) < 0.005",
            True,
        ),
        ("reported['best SAE probe'] > reported['raw peak balanced accuracy']", False),
        ("matrix.n_saes == 54 and matrix.d_sae == 2304", True),
        ("data.mixed == data.deceptive_only + data.honest_only", True),
    ],
)
def test_a_false_claim_is_found(expression: str, outcome: bool) -> None:
    assert claim_holds(expression, claim_namespace(loaded("smollm2-135m").manifest)) is outcome


def test_a_claim_cannot_rest_on_a_bound_or_on_an_unknown_name() -> None:
    manifest = loaded("nanochat-d32").manifest
    (name,) = [f.name for f in manifest.reported if f.bound == "above"]
    with pytest.raises(ClaimProblem, match=r"above 0\.57"):
        claim_holds(f"reported['{name}'] > 0.05", claim_namespace(manifest))
    with pytest.raises(ClaimProblem, match="raw peak"):
        claim_holds("reported['raw peak'] > 0", claim_namespace(manifest))


@pytest.mark.parametrize("card", CONTRADICTIONS)
def test_every_contradiction_has_its_row(card: str) -> None:
    assert sorted(rows(card)) == sorted(CONTRADICTIONS[card])


@pytest.mark.parametrize("card", CONTRADICTIONS)
def test_a_row_names_a_key_of_the_manifest_or_says_why_there_is_none(card: str) -> None:
    data = loaded(card).manifest.resolved()
    for lines, (resolved, key) in rows(card).items():
        if not key:
            assert resolved.startswith("not held: "), lines
            continue
        value: Any = data
        for part in key.split("."):
            assert part in value, f"{card} {lines}: {key}"
            value = value[part]


@pytest.mark.parametrize("card", CONTRADICTIONS)
def test_what_a_manifest_resolves_is_recorded_in_it(card: str) -> None:
    found = " ".join(resolution.found for resolution in loaded(card).manifest.resolutions)
    places = re.findall(r"[Ll]ines? (\d+(?:-\d+)?(?:(?:, | and )\d+(?:-\d+)?)*)", found)
    recorded = set(re.findall(r"\d+(?:-\d+)?", " ".join(places)))
    held = [lines for lines, (_, key) in rows(card).items() if key]
    assert [lines for lines in held if not set(lines.split(", ")) & recorded] == []


def test_what_all_cards_have_in_common_has_its_rows() -> None:
    assert set(rows("Across the cards")) == {
        "hooks",
        "time",
        "hardware",
        "learning rate",
        "quality",
        "pins",
    }


@pytest.mark.parametrize(
    "phrase",
    [
        "substantially outperforms raw peak",
        "deception signal rises continuously",
        "a dimensionality artifact",
        "striking recovery from a layer",
        "captur(?:es|ing) behavioral deception signals",
        "catastrophically destructive",
        "the strongest-signal model",
        "role-consistency vs",
        "Findings characterize the quantized checkpoint",
        "first-ever",
    ],
)
def test_no_wording_of_the_cards_was_taken_over(phrase: str) -> None:
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "manifests").glob("*.yaml")]
    assert not [text for text in [*texts, RESOLUTIONS] if re.search(phrase, text)]


def test_shared_facts_are_written_once() -> None:
    texts = [(ROOT / "manifests" / f"{name}.yaml").read_text(encoding="utf-8") for name in COUNTS]
    assert not [text for text in texts if "2509.20393" in text or "DeLeeuw" in text]
    origin = loaded("smollm2-135m").resolved.origins[("recipe", "epochs")]
    assert Path(origin.file).name == "study.yaml"


def test_the_register_states_only_what_a_manifest_may() -> None:
    register = read_yaml(ROOT / "manifests" / "study.yaml").data["base_models"]
    assert len(register) == 9 + 1
    assert register["llama-3.2-1b"]["n_layers"] is None
    assert all(set(entry) <= set(BaseModelSpec.model_fields) for entry in register.values())


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ({"bandwidth": 0.05, "threshold_init": 0.02}, "needs sparsity_coefficient, target_l0"),
        ({"threshold": "fixed_at_zero", "bandwidth": 0.05}, "has no bandwidth"),
        ({"threshold": "fixed_at_zero", "kernel": "gaussian"}, "has no kernel"),
        ({"threshold": "zero"}, "fixed_at_zero"),
    ],
)
def test_a_threshold_is_either_learned_or_fixed(recipe: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        JumpreluRecipe.model_validate(recipe)


def test_a_learned_threshold_is_the_default_with_the_papers_kernel() -> None:
    recipe = JumpreluRecipe.model_validate(
        {"bandwidth": 0.05, "threshold_init": 0.02, "target_l0": 64, "sparsity_coefficient": 0.1}
    )
    assert (recipe.threshold, recipe.learned().kernel) == ("learned", "rectangle")
    assert JumpreluRecipe.model_validate(recipe.model_dump()) == recipe


def test_an_assumption_must_lead_to_a_value() -> None:
    data = loaded("smollm2-135m").manifest.resolved()
    data["assumed"] = {"recipe.sed": "typed", "data.pooling": "unknown", "recipe.topk.k": "there"}
    with pytest.raises(ValidationError) as caught:
        Manifest.model_validate(data)
    assert "'recipe.sed'" in str(caught.value) and "'data.pooling'" in str(caught.value)
    assert "'recipe.topk.k'" not in str(caught.value)


def test_assumptions_and_scenarios_do_not_change_the_evidence() -> None:
    manifest = loaded("smollm2-135m").manifest
    data = manifest.resolved()
    data["assumed"], data["data"]["scenarios"] = {}, []
    assert Manifest.model_validate(data).evidence_digest() == manifest.evidence_digest()
    assert Manifest.model_validate(data).digest() != manifest.digest()


def _field_names(model: type[BaseModel], seen: set[type[BaseModel]]) -> set[str]:
    """The keys of a model and of every model inside it."""
    if model in seen:
        return set()
    seen.add(model)
    names = set(model.model_fields)
    for field in model.model_fields.values():
        for inner in _models_within(field.annotation):
            names |= _field_names(inner, seen)
    return names


def _models_within(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models_within(argument)]


def test_the_format_page_names_every_key() -> None:
    page = (ROOT / "docs" / "manifest.md").read_text(encoding="utf-8")
    named = set(re.findall(r"[\w]+", " ".join(re.findall(r"`[^`]+`|```.*?```", page, re.DOTALL))))
    assert _field_names(Manifest, set()) - named == set()
