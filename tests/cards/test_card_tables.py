from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from cards.sections.metrics import MissingMetric
from cards.sources import SourcesDisagree, agreeing
from cards.stage import rendered_files
from manifests.digests import json_sha256

TOPK, GATED = "tiny_topk_L1_mixed", "tiny_gated_L1_mixed"
SECTIONS = ["Detection", "Discriminability", "Stability", "Comparison"]


def readme(release: Any) -> str:
    return rendered_files(release.sources)["README.md"].decode("utf-8")


def section(text: str, title: str) -> str:
    return text.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def row_of(text: str, first_cell: str) -> str:
    """The one line of a table that begins with this cell."""
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {first_cell} |")]
    return line


def headings(text: str) -> list[str]:
    return [line.removeprefix("## ") for line in text.splitlines() if line.startswith("## ")]


def with_metric(release: Any, sae_id: str, name: str, **changes: Any) -> Any:
    """The release with tables in which fields of one SAE's measurement differ."""
    saes = release.with_tables().report.tables.model_dump()["saes"]
    metrics = saes[sae_id]["metrics"]
    metrics[name] = {**metrics[name], **changes}
    return release.with_tables(saes=saes)


def with_layer(release: Any, name: str, **changes: Any) -> Any:
    """The release with tables in which a measurement of layer 1's raw probe differs."""
    layers = release.with_tables().report.tables.model_dump()["layers"]
    layers["1"][name] = {**layers["1"][name], **changes}
    return release.with_tables(layers=layers)


def test_a_report_without_tables_has_no_such_sections(release) -> None:
    text = readme(release)
    assert set(headings(text)).isdisjoint({*SECTIONS, "Top features", "Steering"})
    assert "robe" not in text and "permut" not in text


def test_the_sections_stand_between_measurements_and_limitations(release) -> None:
    found = headings(readme(release.with_tables()))
    assert found[:8] == ["Contents", "Measurements", *SECTIONS, "Portability", "Limitations"]


def test_raw_layers_stand_with_their_peak_and_the_majority(release) -> None:
    text = section(readme(release.with_tables()), "Detection")
    assert "on 32 `deceptive`, 48 `honest` of 5 scenarios" in text
    cells = "80 | 0.750 ± 0.050 | 0.400-0.600 | 0.004 | 0.800 ± 0.060 | 60.0% |"
    assert row_of(text, "1 (peak)") == f"| 1 (peak) | {cells}"
    assert row_of(text, "2") == f"| 2 | {cells}"
    assert "5 folds in all" in text and "(1,000 permutations)" in text


def test_a_probe_of_latents_stands_beside_both_raw_probes(release) -> None:
    text = section(readme(release.with_tables()), "Detection")
    assert row_of(text, f"`{TOPK}`") == (
        f"| `{TOPK}` | 80 | 0.750 ± 0.050 | 0.400-0.600 | 0.004 | 0.800 ± 0.060 "
        "| +0.010 (-0.020 to +0.040) | 0.300 | -0.020 (-0.050 to +0.010) | 1.000 |"
    )
    assert "with an adjusted p below 0.05: none; above that of the peak: none." in text


def test_saes_above_their_layer_and_above_the_peak_are_named(release) -> None:
    above = with_metric(release, TOPK, "beats_layer", p_value=0.049)
    text = section(readme(above), "Detection")
    assert f"below 0.05: `{TOPK}`; above that of the peak: none." in text
    above = with_metric(release, GATED, "beats_peak", value=0.1, low=0.05, high=0.15, p_value=0.001)
    text = section(readme(above), "Detection")
    assert f"below 0.05: none; above that of the peak: `{GATED}`." in text


@pytest.mark.parametrize("changes", [{"value": -0.01, "p_value": 0.01}, {"p_value": 0.05}])
def test_below_zero_or_at_the_limit_is_not_above(release, changes: dict[str, float]) -> None:
    text = section(readme(with_metric(release, TOPK, "beats_layer", **changes)), "Detection")
    assert "below 0.05: none; above that of the peak: none." in text


def test_what_was_not_measured_says_why_and_is_not_compared(release) -> None:
    gone = {"value": None, "low": None, "high": None, "p_value": None, "reason": "one class only"}
    text = section(readme(with_metric(release, TOPK, "beats_peak", **gone)), "Detection")
    assert row_of(text, f"`{TOPK}`").endswith("| 0.300 | not measured (one class only) | - |")
    assert f"Not compared with the peak: `{TOPK}`." in text
    assert "Not compared with their own layer" not in text
    gone = {"value": None, "spread": None, "p_value": None, "reason": "no folds"}
    text = readme(with_layer(release, "probe_balanced_accuracy", **gone))
    raw = row_of(section(text, "Detection"), "1 (peak)")
    assert raw.startswith("| 1 (peak) | 80 | not measured (no folds) | 0.400-0.600 | 0.004 |")
    assert "| 1 | 80 | not measured (no folds) | 6 | 0.750 | 0.750 | 0 |" in text


def test_effect_sizes_stand_beside_chance(release) -> None:
    text = section(readme(release.with_tables()), "Discriminability")
    assert row_of(text, f"`{TOPK}`") == (
        f"| `{TOPK}` | 60 train | 0.72, chance 0.47-0.71 | 0.040 | 0 "
        "| 20 held out | 0.90, chance 0.60-1.10 | 0.200 | -0.31 | 0.090 | 3 |"
    )
    # Every SAE has p = 0.04 on training and p = 0.2 on held-out completions.
    assert "in 12 of 12 SAEs on training completions, and in 0 on held-out ones" in text
    assert "an absolute d above 1." in text


def test_an_effect_size_without_a_value_says_why(release) -> None:
    gone = {"value": None, "p_value": None, "reason": "no latent varies"}
    text = section(readme(with_metric(release, TOPK, "d_max", **gone)), "Discriminability")
    assert f"| `{TOPK}` | 60 train | not measured (no latent varies) | - | 0 |" in text
    assert "in 11 of 12 SAEs on training completions" in text
    gone = {"value": None, "low": None, "high": None, "reason": "too few"}
    text = readme(with_metric(release, TOPK, "d_max_chance", **gone))
    assert "| 0.72, chance not measured (too few) | 0.040 |" in text


def test_stability_stands_with_its_verdict(release) -> None:
    text = section(readme(release.with_tables()), "Stability")
    assert row_of(text, f"`{TOPK}`") == (
        f"| `{TOPK}` | 10 | 0.85 ± 0.12 | 25.0% | 12.5% | unstable: 25% are found again |"
    )
    assert "into halves 5 times" in text and "20 top latents" in text
    assert "No SAE was trained again from another seed for this." in text


def seeds(**changes: Any) -> dict[str, Any]:
    return {
        "seeds_d_max": {"value": 0.8, "n": 3, "unit": "seeds", "spread": 0.1},
        "seeds_top_matched": {"value": 0.4, "n": 3, "unit": "seeds"},
        "seeds_top_by_index": {"value": 0.05, "n": 3, "unit": "seeds"},
        "seeds_mmcs": {"value": 0.6, "n": 3, "unit": "seeds"},
        **changes,
    }


def with_seeds(release: Any, sae_ids: list[str], **changes: Any) -> Any:
    saes = release.with_tables().report.tables.model_dump()["saes"]
    for sae_id in sae_ids:
        saes[sae_id]["metrics"] |= seeds(**changes)
        saes[sae_id]["verdicts"]["stability_seeds"] = "stable: d varies by 12%"
    return release.with_tables(saes=saes)


def test_saes_of_several_seeds_have_a_table_and_the_limitation_follows(release) -> None:
    text = readme(with_seeds(release, [TOPK]))
    assert (
        section(text, "Stability")
        .rstrip()
        .endswith(
            f"| `{TOPK}` | 3 | 0.80 ± 0.10 | 40.0% | 5.0% | 0.600 | stable: d varies by 12% |"
        )
    )
    limits = section(text, "Limitations")
    assert "- **One run of most.** 11 SAEs were trained once" in limits
    assert "One run each" not in limits
    every = section(
        readme(with_seeds(release, [s.sae_id for s in release.loaded.saes])), "Limitations"
    )
    assert "- **Seeds.**" in every and "trained once" not in every


def test_seeds_that_gave_no_number_leave_the_limitation(release) -> None:
    none = {"value": None, "n": 1, "reason": "only one seed was trained"}
    text = readme(with_seeds(release, [TOPK], **dict.fromkeys(seeds(), none)))
    assert "- **One run each.** Every SAE was trained once" in text
    assert f"| `{TOPK}` | 1 | not measured (only one seed was trained) |" in text


def feature(latent: int, *, same: tuple[int, ...] = (), text: str = "I did it") -> dict[str, Any]:
    return {
        "latent": latent,
        "d": {"value": 0.72, "n": 60, "split": "train"},
        "d_held_out": {"value": -0.31, "n": 20, "split": "held_out"},
        "active_positive": 6,
        "active_negative": 2,
        "positive_rate": {"value": 0.75, "n": 8, "low": 0.35, "high": 0.97},
        "examples": [
            {"completion_id": "a", "label": "honest", "text": text, "activation": 3.216},
            {"completion_id": "b", "label": "deceptive", "text": " \n", "activation": 2.0},
        ],
        "same_examples_as": same,
    }


def with_features(release: Any, **features: Any) -> Any:
    saes = release.with_tables().report.tables.model_dump()["saes"]
    for sae_id, listed in features.items():
        saes[sae_id]["features"] = listed
    return release.with_tables(saes=saes)


def test_top_features_stand_with_the_completions_behind_them(release) -> None:
    listed = [feature(7, same=(9,)), feature(9, same=(7,))]
    text = section(readme(with_features(release, **{TOPK: listed})), "Top features")
    assert f"### Latents of `{TOPK}`" in text
    assert row_of(text, "7") == "| 7 | 0.72 | -0.31 | 6 | 2 | 75.0% (35.0%-97.0%) |"
    assert "| d, train (n = 60) | d, held out (n = 20) |" in text
    assert "- Latent 7 is largest on:\n  - `honest` (3.22): I did it\n" in text
    assert "  - `deceptive` (2.00): *no text*\n" in text
    assert "- Latent 9 is largest on the same completions as latent 7." in text
    assert text.count("I did it") == 1
    assert "in `report.json`" not in text


def test_one_sae_of_each_layer_shows_its_features_and_the_others_are_counted(release) -> None:
    listed = {spec.sae_id: [feature(7)] for spec in release.loaded.saes}
    tables = with_features(release, **listed).report.tables.model_dump()
    tables["saes"][TOPK]["metrics"]["d_max"]["value"] = 0.9
    text = section(readme(release.with_tables(saes=tables["saes"])), "Top features")
    shown = [line for line in text.splitlines() if line.startswith("### ")]
    # In layer 2 all are equal, and the first by name is shown.
    assert shown == [f"### Latents of `{TOPK}`", "### Latents of `tiny_gated_L2_deceptive_only`"]
    assert "Those of 10 other SAEs are in `report.json` only." in text


def test_long_completions_are_cut(release) -> None:
    text = section(
        readme(with_features(release, **{TOPK: [feature(7, text="word " * 60)]})), "Top features"
    )
    (line,) = [line for line in text.splitlines() if "(3.22)" in line]
    # 200 characters are forty times "word ", of which the last space goes.
    assert line == f"  - `honest` (3.22): {' '.join(['word'] * 40)}…"


def steering(**changes: Any) -> dict[str, Any]:
    return {
        "sae_id": TOPK,
        "scale": {"value": 2.5, "n": 60, "split": "train", "unit": "activation"},
        "cosine_with_mean_difference": {"value": 0.31, "n": 60, "split": "train"},
        "trend": {"value": 0.02, "n": 14, "p_value": 0.03},
        "random_trend": {"value": -0.05, "n": 14, "p_value": 0.69},
        "points": [
            {
                "alpha": -4.0,
                "n": 10,
                "labels": {"deceptive": 1, "honest": 3, "ambiguous": 5, "empty": 1},
                "positive_rate": {"value": 0.25, "n": 4, "low": 0.01, "high": 0.81},
            },
            {
                "alpha": 0.0,
                "n": 0,
                "labels": {},
                "positive_rate": {"value": None, "n": 0, "reason": "nothing was counted"},
            },
        ],
        **changes,
    }


def test_steering_stands_by_alpha_with_what_was_not_decided(release) -> None:
    text = section(readme(release.with_tables(steering=[steering()])), "Steering")
    assert f"### `{TOPK}`" in text
    assert "means: 0.310 (n = 60 train). Length of what an alpha of one adds: 2.50." in text
    assert "Slope: +0.020 (n = 14, p = 0.030); along a random direction" in text
    assert "length: -0.050 (p = 0.690)." in text
    assert "| alpha | completions | decided | `deceptive` | `ambiguous` | `empty` |" in text
    assert row_of(text, "-4") == "| -4 | 10 | 4 | 25.0% (1.0%-81.0%) | 50.0% | 10.0% |"
    assert row_of(text, "0") == (
        "| 0 | 0 | 0 | not measured (nothing was counted) | not measured (no completions) "
        "| not measured (no completions) |"
    )
    none = {"value": None, "n": 0, "reason": "no scenario has both"}
    text = section(readme(release.with_tables(steering=[steering(trend=none)])), "Steering")
    assert "Slope: not measured (no scenario has both) (n = 0, p = -);" in text


def contrast(kind: str, second: str, *, differs: bool) -> dict[str, Any]:
    held_out = {"n": 20, "split": "held_out"}
    return {
        "kind": kind,
        "first": TOPK,
        "second": second,
        "differs_in_l0": differs,
        "differences": {
            "explained_variance": {"value": 0.05, **held_out, "low": 0.01, "high": 0.09},
            "l0": {"value": -12.0, **held_out, "low": -14.0, "high": -10.0},
            "cosine": {"value": None, **held_out, "reason": "x_hat is 0"},
        },
    }


def test_pairs_stand_by_what_they_differ_in(release) -> None:
    pairs = [
        contrast("architecture", GATED, differs=True),
        contrast("condition", "tiny_topk_L1_deceptive_only", differs=False),
    ]
    text = section(readme(release.with_tables(contrasts=pairs)), "Comparison")
    assert [line for line in text.splitlines() if line.startswith("### ")] == [
        "### By condition",
        "### By architecture",
    ]
    cells = "20 held out | +0.050 (+0.010 to +0.090) | -12.0 (-14.0 to -10.0)"
    assert f"| `{TOPK}` | `{GATED}` | {cells} | not measured (x_hat is 0) | **no** |" in text
    assert f"| `{TOPK}` | `tiny_topk_L1_deceptive_only` | {cells} " in text
    assert text.count("**no**") == 1 and "1 pair of 1 is not at equal sparsity." in text
    assert "more than 10.0% above the smaller" in text


def test_raw_activations_stand_beside_the_range_of_their_saes(release) -> None:
    tables = with_metric(release, TOPK, "probe_balanced_accuracy", value=0.9).report.tables
    saes = tables.model_dump()["saes"]
    saes[GATED]["metrics"]["probe_balanced_accuracy"]["value"] = 0.6
    saes[TOPK]["metrics"]["beats_layer"]["p_value"] = 0.01
    text = section(readme(release.with_tables(saes=saes)), "Comparison")
    assert row_of(text, "1") == "| 1 | 80 | 0.750 ± 0.050 | 6 | 0.600 | 0.900 | 1 |"
    assert row_of(text, "2") == "| 2 | 80 | 0.750 ± 0.050 | 6 | 0.750 | 0.750 | 0 |"


@pytest.mark.parametrize("name", ["probe_auroc", "beats_peak", "d_max", "d_over_1", "split_d_max"])
def test_a_missing_number_of_the_tables_stops_the_card(release, name: str) -> None:
    saes = release.with_tables().report.tables.model_dump()["saes"]
    del saes[TOPK]["metrics"][name]
    with pytest.raises(MissingMetric, match=f"metric {name} of the SAE {TOPK}.*") as caught:
        readme(release.with_tables(saes=saes))
    assert "release measure" in str(caught.value)


def test_a_number_of_the_other_split_stops_the_card(release) -> None:
    with pytest.raises(MissingMetric, match="split train"):
        readme(with_metric(release, TOPK, "d_max_held_out", split="train"))


def disagreements(release: Any) -> list[tuple[Any, str]]:
    tables = release.with_tables().report.tables.model_dump()
    inputs, saes = tables["inputs"], tables["saes"]
    cfg = f"{TOPK}/cfg.json"
    return [
        (release.with_tables(inputs={**inputs, cfg: "9" * 64}), f"tables are of {cfg}"),
        (
            release.with_tables(inputs={k: v for k, v in inputs.items() if k != cfg}),
            f"tables name no digest of {cfg}",
        ),
        (
            release.with_tables(saes={k: v for k, v in saes.items() if k != TOPK}),
            f"tables lack the SAE {TOPK}",
        ),
        (release.with_tables(saes={**saes, "x": saes[TOPK]}), "tables have the SAE x"),
        (release.with_tables(layers={"1": tables["layers"]["1"]}), "tables lack the layer 2"),
        (release.with_tables(peak_layer="3"), "peak is the layer 3"),
        (release.with_tables(steering=[steering(sae_id="y")]), "steer with the SAE y"),
        (
            release.with_tables(contrasts=[contrast("variant", "z", differs=False)]),
            "steer with the SAE z",
        ),
        (
            release.with_tables(inputs={**inputs, "manifest:measure": "0" * 64}),
            "other settings than the manifest's `measure`",
        ),
    ]


@pytest.mark.parametrize("case", range(9))
def test_tables_of_other_weights_or_settings_are_refused(release, case: int) -> None:
    cases = disagreements(release)
    assert len(cases) == 9
    broken, said = cases[case]
    with pytest.raises(SourcesDisagree) as caught:
        agreeing(broken.sources)
    assert said in str(caught.value)
    assert caught.value.next_step == "release measure MANIFEST"


def test_tables_of_these_weights_and_settings_are_taken(release) -> None:
    tables = release.with_tables().report.tables
    measure = json_sha256(release.loaded.manifest.measure.model_dump(mode="json"))
    taken = release.with_tables(
        inputs={**tables.inputs, "manifest:measure": measure, f"seeds/7/{TOPK}/cfg.json": "9" * 64}
    )
    assert agreeing(taken.sources) == taken.sources


def test_the_order_of_the_keys_of_the_tables_does_not_matter(release) -> None:
    def reversed_keys(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: reversed_keys(value[key]) for key in reversed(value)}
        return value

    ready = release.with_tables(
        steering=[steering()],
        contrasts=[contrast("architecture", GATED, differs=True)],
        environment={"scipy": "1", "base_model": "x"},
    )
    shuffled = type(ready.report).model_validate(reversed_keys(ready.report.model_dump()))
    assert json.dumps(shuffled.model_dump()) != json.dumps(ready.report.model_dump())
    assert rendered_files(replace(ready, report=shuffled).sources) == rendered_files(ready.sources)
