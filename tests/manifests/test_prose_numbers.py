"""Which numbers in a manifest's texts are its facts, which are names, and which are neither."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from manifests.load import load_manifest
from manifests.model import Manifest
from manifests.numbers_in_text import numbers_in, occurrences
from manifests.prose_numbers import prose_of, untraced_numbers
from manifests.stated_numbers import StatedNumber, stated_numbers

# 2 layers x 2 architectures x 3 conditions, and the variant at one layer: 12 + 3 = 15 SAEs.
MANIFEST: dict[str, Any] = {
    "schema_version": 1,
    "repo_id": "demo/saes-135m",
    "title": "Saes",
    "summary": "Nothing to count.",
    "base_model": {
        "id": "demo/Gemma-4-E2B",
        "model_type": "llama",
        "n_layers": 22,
        "d_model": 2048,
        "n_parameters": 1_879_048_192,
        "precision": {"weights": "nf4", "compute": "fp16"},
    },
    "saes": {
        "id": "{architecture}{variant}_L{layer}_{condition}",
        "layers": [9, 12],
        "architectures": ["topk", "jumprelu"],
        "conditions": ["mixed", "deceptive_only", "honest_only"],
        "expansion": 4,
        "include": [{"layers": [12], "architectures": ["jumprelu"], "variants": ["ste"]}],
    },
    "recipe": {
        "epochs": 300,
        "batch_size": 128,
        "learning_rate": 3.0e-4,
        "max_gradient_norm": None,
        "topk": {"k": 64},
        "jumprelu": {"threshold": "fixed_at_zero"},
        "variants": {
            "ste": {
                "jumprelu": {
                    "bandwidth": 0.05,
                    "threshold_init": 0.02,
                    "target_l0": 64,
                    "sparsity_coefficient": 0.03125,
                }
            }
        },
    },
    "data": {
        "description": "Completions.",
        "label_rule": "By a keyword.",
        "conditions": {
            "mixed": {"labels": ["deceptive", "honest"], "n": 243},
            "deceptive_only": {"labels": ["deceptive"], "n": 84},
            "honest_only": {"labels": ["honest"], "n": 159},
        },
    },
    "hardware": {"ran_on": {"device": "NVIDIA GTX 1650 Ti", "memory_gb": 4}},
    "reported": [
        {"name": "peak", "metric": "balanced_accuracy", "value": 72.4, "unit": "%", "source": "x"},
        {
            "name": "largest d with seed 101",
            "metric": "cohens_d_max",
            "value": 0.775,
            "n": 49,
            "source": "x",
        },
        {
            "name": "SAEs above raw",
            "metric": "saes_beating_raw_baseline",
            "value": 7,
            "unit": "count",
            "out_of": 15,
            "source": "x",
        },
    ],
    "claims": [{"text": "It is.", "holds_if": "reported['peak'] - 67.3 < 5.2"}],
}


def manifest(**changes: Any) -> Manifest:
    return Manifest.model_validate_json(json.dumps({**MANIFEST, **changes}))


def untraced(text: str) -> list[str]:
    found = untraced_numbers(manifest(caveats=[{"title": "A caveat", "text": text}]))
    assert all(one.path == ("caveats", 0, "text") for one in found)
    return [one.text for one in found]


@pytest.mark.parametrize(
    "text",
    [
        "There are 15 SAEs, 12 of them plain, 3 of the variant.",
        "They have 8192 latents, or 8,192, at a width of 2,048.",
        "TopK keeps 64 and trains for 300 epochs at 3e-4, that is 0.0003.",
        "The peak is 72.4%, about 72%, which is 0.724 as a share.",
        "The largest d is 0.775 with n = 49, rounded 0.78.",
        "It is 0.775 with seed 101.",
        # 7 / 15 = 46.67%, and 159 / 243 = 65.43%.
        "46.7% do better, and the larger class has 65.4%, or 65%.",
        # 100 * 13 / 22 = 59.1.
        "Layer 12 lies at a depth of 59.1%.",
        # 1879048192 * 4 bytes = 7.516e9.
        "In fp32 the 1.9B parameters take 7.5 GB, more than 4 GB.",
        "The weights have 4 bits, and the coefficient is 1/32.",
        "The peak is more than 5.2 points above.",
        "About 1.9 billion parameters.",
    ],
)
def test_a_fact_of_the_manifest_or_what_follows_from_it_is_traced(text: str) -> None:
    assert untraced(text) == []


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("The page counts 57 SAEs.", ["57"]),
        ("It reaches 73.2% at L12.", ["73.2"]),
        ("They have 8190 latents.", ["8190"]),
        ("An accuracy of 0.6 is common.", ["0.6"]),
        ("Sampled at temperature 1.0.", ["1.0"]),
        ("It takes 400-600 seconds.", ["400", "600"]),
        ("A 24-token completion.", ["24"]),
        ("The model has 7B parameters.", ["7B"]),
        ("It was 11/38 of them.", ["11/38"]),
        ("The highest is 0.77.", []),
        ("The highest is 0.76.", ["0.76"]),
        ("Trained for 301 epochs.", ["301"]),
        ("Block 30 is read.", ["30"]),
    ],
)
def test_a_number_that_nothing_states_is_found(text: str, numbers: list[str]) -> None:
    assert untraced(text) == numbers


@pytest.mark.parametrize(
    "text",
    [
        "The 4-bit model, int8, nf4, fp16, GF-1, GPT-2, T9, L21, top-5, and k16_L25.",
        "Gemma 4 was labelled by Gemini 2.5 Flash. Gemini 2.5 Flash errs.",
        "Read by the Haiku 3 of April 2026 on Windows 11 with torch 2.10 and SAELens 6.49.1.",
        "A GTX 1650 ran it on 2026-04-22, at 10:30, in 2025.",
        "Published as arXiv 2509.20393, see https://example.org/2/34.",
        "Lines 27-28 and 39, section 3, step 1200 and table 7 say so; so does `k: 77`.",
        "The base model's name says 135M.",
        "Thresholds stayed at 0, one share is 1, and 100% of them.",
        "It is 2048^2 and 10^9.",
        "Raw activations of layer 21 are better.",
    ],
)
def test_a_number_in_a_name_is_none(text: str) -> None:
    assert untraced(text) == []


def test_a_number_may_follow_from_two_of_its_own_sentence() -> None:
    # 64 * 49 = 3136; the second sentence has nothing that 3136 follows from.
    assert untraced("64 latents for each of 49 vectors are 3136 at most.") == []
    assert untraced("64 latents for each of 49 vectors. They are 3136 at most.") == ["3136"]


def test_each_text_that_a_card_prints_is_looked_at() -> None:
    texts: dict[str, Any] = {
        "title": "The 901 SAEs",
        "summary": "There are 902 of them.",
        "data": {
            **MANIFEST["data"],
            "description": "There are 903 of them.",
            "label_rule": "There are 904 of them.",
            "label_precision": "There are 905 of them.",
            "scenarios": [{"id": "x", "note": "There are 906 of them."}],
        },
        "claims": [{"text": "There are 907 of them.", "holds_if": "matrix.n_saes > 1"}],
        "accept": [{"code": "W102", "since": "2026-01-02", "why": "There are 908 of them."}],
        "caveats": [{"title": "The 909 others", "text": "There are 910 of them."}],
        "assumed": {"recipe.seed": "There are 911 of them."},
        "uses": {
            "measures": "There are 912 of them.",
            "does_not_measure": "There are 913 of them.",
            "recommended": ["Use 914."],
            "not_recommended": ["Use none.", "Use 915."],
        },
        "context": ["There are 916 of them."],
        # A resolution quotes what was wrong, and a source says where.
        "resolutions": [{"found": "There are 917 of them.", "resolved": "There are 918."}],
    }
    found = {one.text: ".".join(map(str, one.path)) for one in untraced_numbers(manifest(**texts))}
    assert found == {
        "901": "title",
        "902": "summary",
        "903": "data.description",
        "904": "data.label_rule",
        "905": "data.label_precision",
        "906": "data.scenarios.0.note",
        "907": "claims.0.text",
        "908": "accept.0.why",
        "909": "caveats.0.title",
        "910": "caveats.0.text",
        "911": "assumed.recipe.seed",
        "912": "uses.measures",
        "913": "uses.does_not_measure",
        "914": "uses.recommended.0",
        "915": "uses.not_recommended.1",
        "916": "context.0",
    }
    texts_without_a_number = 1
    assert len(dict(prose_of(manifest(**texts)))) == len(found) + texts_without_a_number


@pytest.mark.parametrize(
    ("summary", "found"),
    [
        ("Of two architectures at two layers, in three conditions.", []),
        ("Of three architectures at six layers.", ["three", "six"]),
        ("All 22 layers are read, of a model with more layers.", []),
        # 4 is the expansion, but there are not 4 architectures.
        ("Of 4 architectures.", ["4"]),
    ],
)
def test_what_the_summary_counts_in_words_is_the_matrix(summary: str, found: list[str]) -> None:
    assert [one.text for one in untraced_numbers(manifest(summary=summary))] == found


def test_the_nearest_fact_and_the_occurrence_are_told() -> None:
    text = "With 64 of 57 and again 57."
    first, second = untraced_numbers(manifest(caveats=[{"title": "T", "text": text}]))
    assert (first.text, first.occurrence, second.occurrence) == ("57", 0, 1)
    # 59.09, the depth of layer 12, is 2.1 away; 64 is 7 away.
    assert first.nearest.name == "the depth of layer 12 in %"
    assert round(first.nearest.value, 1) == 59.1


def test_facts_from_elsewhere_count_too() -> None:
    odd = manifest(summary="There are 2682 completions.")
    assert len(untraced_numbers(odd)) == 1
    assert untraced_numbers(odd, (StatedNumber("rows of the file", 2682),)) == ()


def test_what_is_printed_decides_how_exact_a_number_must_be() -> None:
    (number,) = numbers_in("It is 0.78 of them.")
    assert (number.value, number.unit, number.is_percent) == (0.78, 0.01, False)
    (percent,) = numbers_in("It is about 1,300 percent.")
    assert (percent.value, percent.is_percent, percent.is_about) == (1300.0, True, True)
    assert untraced("There are about 240 completions, roughly 2000 wide.") == []
    assert untraced("There are 240 completions.") == ["240"]


def test_a_number_inside_a_longer_one_is_no_occurrence() -> None:
    assert occurrences("57 and 157, 5.57, 57.5 and 57, then 57.", "57") == [0, 27, 36]


def test_every_number_stated_has_a_name_that_tells_where_it_is_from() -> None:
    stated = stated_numbers(manifest())
    assert {fact.name for fact in stated if fact.value == 64} == {
        "recipe.topk.k",
        "recipe.variants.ste.jumprelu.target_l0",
    }
    assert all(fact.name for fact in stated)


def test_the_numbers_in_the_texts_of_a_yaml_file_are_found_as_well(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(yaml.safe_dump({**MANIFEST, "title": "All 99"}), encoding="utf-8")
    assert [one.text for one in untraced_numbers(load_manifest(path).manifest)] == ["99"]
