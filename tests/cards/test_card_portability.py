from __future__ import annotations

from typing import Any

import pytest

from cards.sections.metrics import MissingMetric
from cards.sources import SourcesDisagree, agreeing
from cards.stage import rendered_files
from manifests.build_folder import SAE_WEIGHTS

TOPK, GATED = "tiny_topk_L1_mixed", "tiny_gated_L1_mixed"
ONE_PRECISION = "**One precision.**"


def readme(release: Any) -> str:
    return rendered_files(release.sources)["README.md"].decode("utf-8")


def section(release: Any) -> str:
    return readme(release).split("\n## Portability\n", 1)[1].split("\n## ", 1)[0]


def rows_of(text: str, first_cell: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith(f"| {first_cell} |")]


def saes_of(release: Any) -> dict[str, Any]:
    return release.with_portability().report.portability.model_dump()["saes"]


def with_shift(release: Any, sae_id: str, label: str, **metrics: Any) -> Any:
    """The release in which fields of an SAE's measurements at one precision differ."""
    saes = saes_of(release)
    for name, changes in metrics.items():
        found = saes[sae_id][label]["metrics"]
        found[name] = {**found.get(name, {"n": 20, "split": "held_out"}), **changes}
    return release.with_portability(saes=saes)


def with_verdict(release: Any, sae_id: str, label: str, **changes: Any) -> Any:
    saes = saes_of(release)
    saes[sae_id][label]["verdict"].update(changes)
    return release.with_portability(saes=saes)


def test_a_report_without_portability_says_so_and_names_the_command(release) -> None:
    text = readme(release)
    expected = section(release)
    assert expected.startswith("\nNot measured: the SAEs belong to a base model at `fp32`, and")
    assert "| `nf4:fp32` | not measured |" in expected and "| `fp32` | not" not in expected
    assert "`release portability MANIFEST`" in expected and "by more than 20.0%" in expected
    assert ONE_PRECISION in text.split("\n## Limitations\n", 1)[1]
    text = readme(release.with_portability())
    assert "\n## Portability\n" in text
    assert ONE_PRECISION not in text


def test_the_base_model_stands_with_its_size_at_each_precision(release) -> None:
    text = section(release.with_portability())
    # A million parameters of 32, 16 and 8.25 bits are 4, 2 and 1.03 million bytes.
    plain = "not measured (nothing is quantised)"
    assert f"| `fp32` (trained at) | 32.00 | {plain} | 4.0 MB | 655 | 1.0% | 0 |" in text
    assert f"| `fp16` | 16.00 | {plain} | 2.0 MB | 655 | 1.0% | 0 |" in text
    assert "| `nf4:fp32` | 8.25 | 4.50 | 1.0 MB | 655 | 1.0% | 0 |" in text
    assert not rows_of(text, "`fp8`")


def test_verdicts_stand_with_the_number_that_decided(release) -> None:
    text = section(release.with_portability())
    # (0.8 - 0.48) / 0.8 = 40%.
    verdict = "works (Jaccard 0.950) | **retrain** (EV drop 40.0%) |"
    assert rows_of(text, f"`{TOPK}`")[0] == f"| `{TOPK}` | {verdict}"
    assert rows_of(text, "`fp16`")[1:] == ["| `fp16` | 12 | 0 | 0 | 0 | 0 |"]
    assert rows_of(text, "`nf4:fp32`")[1:] == ["| `nf4:fp32` | 0 | 0 | 12 | 0 | 0 |"]


@pytest.mark.parametrize(
    ("changes", "cell"),
    [
        ({"is_sure": False}, "works (Jaccard 0.950, not sure)"),
        (
            {"verdict": "retrain", "decided_by": "alive_shift", "value": 0.625, "limit": 0.5},
            "**retrain** (alive +62.5%)",
        ),
        (
            {"verdict": "cannot be used", "decided_by": "n_not_finite", "value": 3.0, "limit": 0.0},
            "**cannot be used** (vectors not finite 3)",
        ),
        (
            {
                "verdict": "not measured",
                "value": None,
                "sentence": "not measured: jaccard is undefined, a | b",
            },
            r"not measured: jaccard is undefined, a \| b",
        ),
    ],
)
def test_each_verdict_has_its_words(release, changes: dict[str, Any], cell: str) -> None:
    text = section(with_verdict(release, TOPK, "fp16", **changes))
    assert rows_of(text, f"`{TOPK}`")[0].startswith(f"| `{TOPK}` | {cell} | **retrain**")


def test_limits_are_those_of_the_manifest(manifest_data, make) -> None:
    manifest_data["portability"] = {
        "limits": {"max_explained_variance_drop": 0.05, "max_alive_shift": 0.3, "min_overlap": 0.9}
    }
    text = section(make(manifest_data).with_portability())
    assert "by more than 5.0% of its value" in text
    assert "changes by more than 30.0%" in text
    assert "is below 0.9;" in text


def test_each_sae_has_a_row_for_each_precision(release) -> None:
    rows = rows_of(section(release.with_portability()), f"`{TOPK}`")
    assert rows[1:4] == [
        # Of its own precision there is nothing to compare.
        f"| `{TOPK}` | `fp32` | 20 | - | 0.800 | - | 4.0 | - | - | - | - | - |",
        f"| `{TOPK}` | `fp16` | 20 | 2.0% | 0.792 | 1.0% | 4.0 | -12.5% | 0.950 (0.850-0.950) "
        "| 97.5% | 50.0% | 0.990 |",
        f"| `{TOPK}` | `nf4:fp32` | 20 | 2.0% | 0.480 | 40.0% | 4.0 | -12.5% "
        "| 0.400 (0.300-0.400) | 97.5% | 50.0% | 0.990 |",
    ]
    assert rows[4] == f"| `{TOPK}` | `fp32` | 20 | 1.25 | -1.50 | 0.750 | 0.700 |"
    assert len(rows) == 1 + 3 + 3


def test_losses_stand_where_they_were_measured(release) -> None:
    assert "CE recovered" not in section(release.with_portability())
    saes = saes_of(release)
    for shifts in saes.values():
        for label in ("fp32", "fp16", "nf4:fp32"):
            shifts[label]["metrics"] |= {
                "ce_recovered": {"value": 0.875, "n": 500, "split": "held_out"},
                "ce_increase": {"value": 0.25, "n": 500, "split": "held_out"},
                "kl": {"value": 0.125, "n": 500, "split": "held_out"},
            }
    text = section(release.with_portability(saes=saes))
    assert rows_of(text, f"`{TOPK}`")[-1] == (
        f"| `{TOPK}` | `nf4:fp32` | 500 | 0.875 | 0.250 | 0.125 |"
    )


def test_numbers_that_no_sae_has_are_one_sentence(release) -> None:
    saes = saes_of(release)
    gone = {"value": None, "n": 0, "reason": "no two labels"}
    names = ("d_max", "d_of_own_best", "probe_own", "probe_transferred")
    for shifts in saes.values():
        for label in ("fp32", "fp16", "nf4:fp32"):
            shifts[label]["metrics"] |= dict.fromkeys(names, gone)
    text = section(release.with_portability(saes=saes))
    assert "What labels show at other precisions was not measured (no two labels)." in text
    assert "d max" not in text
    one = with_shift(release, TOPK, "fp16", d_max={"value": None, "reason": "no latent varies"})
    assert f"| `{TOPK}` | `fp16` | 20 | not measured (no latent varies) | -1.50 |" in section(one)


def test_settings_that_were_not_run_have_their_reason(release) -> None:
    text = section(release.with_portability())
    assert "\n- fp8: not measured: it wants a GPU\n" in text
    assert "\n- fp32 on another device: not measured: this run had one device, cpu\n" in text


def test_claimed_sizes_that_do_not_hold_are_told(release) -> None:
    claims = [
        {"precision": "fp16", "holds": True, "sentence": "16 bits, as claimed"},
        {"precision": "nf4:fp32", "holds": False, "sentence": "4 bits claimed, 4.5 found"},
    ]
    text = section(release.with_portability(claimed=claims))
    assert "Of 2 claims about sizes in the manifest, 1 does not hold: 4 bits claimed, 4.5" in text
    text = section(release.with_portability(claimed=claims[:1]))
    assert "Of 1 claim about sizes in the manifest, 0 do not hold." in text
    assert "claims about sizes" not in section(release.with_portability())


def trained_at(label: str, tested: dict[str, tuple[float, float]]) -> list[dict[str, Any]]:
    return [
        {
            "trained_at": label,
            "tested_at": at,
            "metrics": {
                "explained_variance": {"value": explained, "n": 20, "split": "held_out"},
                "jaccard": {"value": jaccard, "n": 20, "split": "held_out"},
            },
        }
        for at, (explained, jaccard) in tested.items()
    ]


def test_saes_trained_again_stand_in_a_matrix(release) -> None:
    cells = [
        *trained_at("fp32", {"fp32": (0.8, 1.0), "nf4:fp32": (0.48, 0.4)}),
        *trained_at("nf4:fp32", {"fp32": (0.5, 0.45), "nf4:fp32": (0.75, 1.0)}),
    ]
    text = section(release.with_portability(retrained={TOPK: cells}))
    assert "| SAE | trained at | tested at `fp32` | tested at `nf4:fp32` |" in text
    assert f"| `{TOPK}` | `fp32` | 0.800 | 0.480; 0.400 |" in text
    assert f"| `{TOPK}` | `nf4:fp32` | 0.500; 0.450 | 0.750 |" in text


@pytest.fixture
def many(manifest_data, make) -> Any:
    """54 SAEs: nine layers of three architectures with two conditions each."""
    manifest_data["base_model"]["n_layers"] = 12
    manifest_data["saes"]["layers"] = list(range(1, 10))
    return make(manifest_data)


def test_many_saes_are_summed_up_by_layer_and_architecture(many) -> None:
    changed = with_shift(
        many,
        "tiny_topk_L5_mixed",
        "fp16",
        explained_variance={"value": 0.7},
        jaccard={"value": 0.6, "low": 0.5, "high": 0.7},
    )
    text = section(changed)
    name = "layer 5, TopK (2 SAEs)"
    assert rows_of(text, name) == [
        f"| {name} | works: 2 | retrain: 2 |",
        f"| {name} | `fp16` | 20 | 2.0% | 0.700-0.792 | 1.0% | 4.0 | -12.5% | 0.600-0.950 | 97.5% "
        "| 50.0% | 0.990 |",
        f"| {name} | `nf4:fp32` | 20 | 2.0% | 0.480 | 40.0% | 4.0 | -12.5% | 0.400 | 97.5% | 50.0% "
        "| 0.990 |",
        f"| {name} | `fp16` | 20 | 1.25 | -1.50 | 0.750 | 0.700 |",
        f"| {name} | `nf4:fp32` | 20 | 1.25 | -1.50 | 0.750 | 0.700 |",
    ]
    # Of all that work at fp16, this one has the lowest overlap.
    (worst,) = rows_of(text, "`tiny_topk_L5_mixed`")
    assert "| `fp16` | 20 | 2.0% | 0.700 | 1.0% | 4.0 | -12.5% | 0.600 (0.500-0.700) |" in worst
    assert "\n- `fp16`: `tiny_topk_L5_mixed`, works: " in text
    # 9 layers x 3 architectures; of the single SAEs only the worst of each precision.
    assert len({line.split(" | ")[0] for line in text.splitlines() if "| layer " in line}) == 27
    assert sum(line.startswith("| `tiny_") for line in text.splitlines()) == 2


def test_the_worst_sae_is_the_one_with_the_hardest_verdict(many) -> None:
    low = with_shift(many, "tiny_topk_L5_mixed", "fp16", jaccard={"value": 0.1, "low": 0.1})
    saes = low.report.portability.model_dump()["saes"]
    saes["tiny_gated_L2_mixed"]["fp16"]["verdict"].update(
        verdict="retrain", decided_by="alive_shift", value=0.9, sentence="retrain: many are idle"
    )
    text = section(many.with_portability(saes=saes))
    assert "\n- `fp16`: `tiny_gated_L2_mixed`, retrain: many are idle\n" in text


@pytest.mark.parametrize("name", ["jaccard", "explained_variance_drop", "d_max"])
def test_a_missing_number_names_itself_and_what_makes_it(release, name: str) -> None:
    saes = saes_of(release)
    del saes[TOPK]["fp16"]["metrics"][name]
    with pytest.raises(MissingMetric) as caught:
        readme(release.with_portability(saes=saes))
    assert f"the metric {name} of the SAE {TOPK} at fp16 is missing" in str(caught.value)
    assert "release portability MANIFEST" in str(caught.value)


def disagreements(release: Any) -> list[tuple[dict[str, Any], str]]:
    found = release.with_portability().report.portability
    inputs, saes, precisions = found.inputs, saes_of(release), found.model_dump()["precisions"]
    weights = f"{TOPK}/{SAE_WEIGHTS}"
    return [
        ({"inputs": {**inputs, weights: "9" * 64}}, f"are of {weights} with the digest 999"),
        ({"inputs": {k: v for k, v in inputs.items() if k != weights}}, f"no digest of {weights}"),
        ({"inputs": {**inputs, "manifest:portability": "9" * 64}}, "made with other settings"),
        (
            {"inputs": {k: v for k, v in inputs.items() if k != "manifest:portability"}},
            "made with other settings",
        ),
        ({"saes": {k: v for k, v in saes.items() if k != TOPK}}, f"lack the SAE {TOPK}"),
        ({"saes": {**saes, "extra": saes[TOPK]}}, "have the SAE extra"),
        (
            {"saes": {**saes, TOPK: {k: v for k, v in saes[TOPK].items() if k != "fp16"}}},
            "for the precision fp16 in part only",
        ),
        (
            {"precisions": {**precisions, "bf16": precisions["fp16"]}},
            "for the precision bf16 in part only",
        ),
        ({"trained_at": "fp16"}, "held against fp16, the manifest's precision is fp32"),
        ({"retrained": {"extra": []}}, "name the retrained SAE extra"),
    ]


@pytest.mark.parametrize("case", range(10))
def test_numbers_of_other_weights_or_settings_are_refused(release, case: int) -> None:
    cases = disagreements(release)
    assert len(cases) == 10
    changes, said = cases[case]
    with pytest.raises(SourcesDisagree) as caught:
        agreeing(release.with_portability(**changes).sources)
    assert said in str(caught.value)
    assert caught.value.next_step == "release portability MANIFEST"


def test_numbers_of_these_weights_and_settings_agree(release) -> None:
    sources = release.with_portability().sources
    assert agreeing(sources) is sources


@pytest.mark.parametrize("attack", ["a | b\n\n# c <i>", "```\n<script>x</script>", "![i](x.png)"])
def test_text_in_the_section_adds_no_cell_and_no_block(release, attack: str) -> None:
    def with_text(text: str) -> str:
        saes = saes_of(release)
        saes[TOPK]["fp16"]["verdict"].update(verdict="not measured", value=None, sentence=text)
        metrics = saes[TOPK]["fp16"]["metrics"]
        metrics["jaccard"] = {"value": None, "n": 0, "reason": text}
        return section(
            release.with_portability(
                saes=saes,
                claimed=[{"precision": "fp16", "holds": False, "sentence": text}],
                environment={"base_model": text},
            )
        )

    harmless, attacked = with_text("harmless"), with_text(attack)
    assert len(attacked.splitlines()) == len(harmless.splitlines())
    assert "<i>" not in attacked and "<script" not in attacked and "![i](x" not in attacked
    for one, other in zip(harmless.splitlines(), attacked.splitlines(), strict=True):
        assert one.replace(r"\|", "").count("|") == other.replace(r"\|", "").count("|")
