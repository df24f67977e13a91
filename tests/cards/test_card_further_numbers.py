"""Numbers that a report may have beside the main ones, and limitations that follow from them."""

from __future__ import annotations

from typing import Any

import pytest

from cards.sections.metrics import MissingMetric
from cards.stage import rendered_files
from release.commands.render import render as render_command
from validators.report import Measurement

TOPK, GATED = "tiny_topk_L1_mixed", "tiny_gated_L1_mixed"


def readme(release: Any) -> str:
    return rendered_files(release.sources)["README.md"].decode("utf-8")


def part(text: str, heading: str) -> str:
    return text.split(f"\n{heading}\n", 1)[1].split("\n#", 1)[0]


def row_of(text: str, first_cell: str) -> str:
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {first_cell} |")]
    return line


def held_out(value: float | None, n: int = 300, **fields: Any) -> Measurement:
    return Measurement(value=value, n=n, split="held_out", **fields)


LOSSES = {
    "ce_recovered": held_out(0.9704),
    "ce_recovered_mean": held_out(-0.25),
    "ce_increase": held_out(0.01234),
    "kl": held_out(0.0567),
    "kl_recovered": held_out(None, reason="the ablation changes nothing"),
}


def test_a_report_without_losses_and_spreads_has_no_such_part(release) -> None:
    text = readme(release)
    assert "### In the base model" not in text and "### Active latents" not in text
    assert "interval" not in part(text, "## Measurements")


def test_losses_stand_with_the_number_of_tokens(release) -> None:
    text = part(readme(release.with_new_metrics(TOPK, **LOSSES)), "### In the base model")
    assert row_of(text, f"`{TOPK}`") == (
        f"| `{TOPK}` | 300 | 0.970 | -0.250 | 0.0123 | 0.0567 "
        "| not measured (the ablation changes nothing) |"
    )
    # Of the others nobody asked.
    assert row_of(text, f"`{GATED}`") == f"| `{GATED}` | - | - | - | - | - | - |"
    assert "trained on one vector for each completion, not on single tokens" in text


def test_losses_that_nobody_could_measure_are_one_sentence(release) -> None:
    none = held_out(None, n=0, reason="no base | model")
    for spec in release.loaded.saes:
        release = release.with_new_metrics(spec.sae_id, **dict.fromkeys(LOSSES, none))
    text = part(readme(release), "### In the base model")
    assert "not measured (no base \\| model)." in text
    assert "| SAE |" not in text


def test_a_loss_on_training_text_stops_the_card(release) -> None:
    wrong = Measurement(value=0.9, n=3, split="train")
    with pytest.raises(MissingMetric, match=r"ce_recovered .* comes from the split train"):
        readme(release.with_new_metrics(TOPK, ce_recovered=wrong))


def test_the_spread_of_l0_stands_with_dense_latents_and_cosine(release) -> None:
    more = release.with_new_metrics(
        TOPK,
        l0_p5=held_out(3.0, 20),
        l0_median=held_out(4.0, 20),
        l0_p95=held_out(5.5, 20),
        dense_fraction=held_out(0.125, 20),
        cosine=held_out(0.91, 19),
    )
    text = part(readme(more), "### Active latents and directions")
    assert "| SAE | n | L0, 5% | L0, median | L0, 95% | dense | cosine |\n|---|---:|" in text
    assert row_of(text, f"`{TOPK}`") == (
        f"| `{TOPK}` | 20 | 3.0 | 4.0 | 5.5 | 12.5% | 0.910 (n = 19) |"
    )
    assert "active on more than 10% of the held-out vectors" in text


def test_a_column_that_no_sae_has_is_left_out(release) -> None:
    none = held_out(None, 0, reason="no vectors")
    text = part(
        readme(release.with_new_metrics(TOPK, cosine=none)), "### Active latents and directions"
    )
    assert "| SAE | n | cosine |\n|---|---:|---:|\n" in text
    assert row_of(text, f"`{TOPK}`") == f"| `{TOPK}` | 0 | not measured (no vectors) |"
    assert row_of(text, f"`{GATED}`") == f"| `{GATED}` | - | - |"
    assert "dense" not in text


def test_an_interval_of_explained_variance_stands_beside_it(release) -> None:
    text = readme(release.with_metric(TOPK, "explained_variance", low=0.5, high=0.62))
    assert f"| `{TOPK}` | 20 | 0.560 (0.500-0.620) | 0.500 |" in text
    assert "In brackets its 95% interval, by drawing scenarios anew." in text
    fewer = release.with_metric(TOPK, "mse", low=0.01, high=0.02, n=7)
    assert "| 0.0123 (0.0100-0.0200; n = 7) |" in readme(fewer)


def test_unequal_l0_within_a_layer_is_a_limitation(release) -> None:
    assert "Not at equal sparsity" not in readme(release)
    # 4.4 is 10% above the others' 4.0, and no more than that.
    assert "Not at equal sparsity" not in readme(release.with_metric(TOPK, "l0", value=4.4))
    text = part(readme(release.with_metric(TOPK, "l0", value=9.0)), "## Limitations")
    assert "more than 10.0% between SAEs of layer 1 (4.0 to 9.0). More" in text


def test_an_l0_that_was_not_measured_is_not_compared(release) -> None:
    text = readme(release.with_metric(TOPK, "l0", value=None, reason="no vectors"))
    assert "Not at equal sparsity" not in text


def test_noted_checks_count_as_passed_as_everywhere(release, outcome) -> None:
    some = release.with_outcomes(
        outcome("F101", "passed"), outcome("N301", "noted"), outcome("W203", "warned")
    )
    assert "; 2 checks passed, and" in readme(some)


def test_the_settings_of_the_optimiser_stand_under_training(release, manifest_data, make) -> None:
    assert "\n\nAdam: `adam_beta2` 0.999, `max_gradient_norm` 1.\n" in readme(release)
    manifest_data["recipe"] |= {"adam_beta2": 0.95, "max_gradient_norm": None}
    text = readme(make(manifest_data))
    assert "Adam: `adam_beta2` 0.95, `max_gradient_norm` none.\n" in text


@pytest.mark.parametrize("choice", ["frozen", "trained"])
def test_the_decoder_of_gated_auxiliary_loss_stands_with_its_recipe(
    manifest_data, make, choice: str
) -> None:
    manifest_data["recipe"]["gated"]["auxiliary_decoder"] = choice
    text = readme(make(manifest_data))
    assert f"- Gated: `l1_coefficient` 0.05, `auxiliary_decoder` {choice}\n" in text


def test_the_command_tells_written_files_from_unchanged_ones(release, capsys) -> None:
    build = release.build.root.parent
    assert render_command([release.loaded.path], build=build) == 0
    assert "6 files written, 0 unchanged, in " in capsys.readouterr().out
    assert render_command([release.loaded.path], build=build) == 0
    assert "0 files written, 6 unchanged, in " in capsys.readouterr().out
    readme_path = release.build.repository / "README.md"
    readme_path.write_bytes(b"edited\n")
    assert render_command([release.loaded.path], build=build) == 0
    assert "1 file written, 5 unchanged, in " in capsys.readouterr().out
