from __future__ import annotations

import ast
import re
from dataclasses import replace
from typing import Any

import pytest
import yaml
from huggingface_hub import ModelCard
from markdown_it import MarkdownIt

from cards.licenses import UnknownLicense
from cards.stage import rendered_files

PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
SECTIONS = [
    "Contents",
    "Measurements",
    "Portability",
    "Limitations",
    "Loading",
    "Format",
    "Data and labels",
    "Training",
    "References",
    "Provenance",
]
HOSTILE = "x | y\n\n---\n```\n<script>alert(1)</script> [a](javascript:b) **c** <!-- d"


def readme(release: Any) -> str:
    return rendered_files(release.sources)["README.md"].decode("utf-8")


def body(text: str) -> str:
    return text.split("\n---\n", 1)[1]


def headings(text: str, tag: str) -> list[str]:
    tokens = PARSER.parse(body(text))
    return [
        tokens[index + 1].content
        for index, token in enumerate(tokens)
        if token.type == "heading_open" and token.tag == tag
    ]


def tables(text: str) -> list[list[list[str]]]:
    """Every table as rows of cell sources, the header first."""
    found: list[list[list[str]]] = []
    for token in PARSER.parse(body(text)):
        if token.type == "table_open":
            found.append([])
        elif token.type == "tr_open":
            found[-1].append([])
        elif token.type == "inline" and token.level >= 4 and found and found[-1]:
            found[-1][-1].append(token.content)
    return found


def table_with(text: str, *columns: str) -> dict[str, dict[str, str]]:
    """The table that has these columns: first cell of a row -> column -> cell."""
    for header, *rows in tables(text):
        if set(columns) <= set(header):
            return {row[0].strip("`"): dict(zip(header, row, strict=True)) for row in rows}
    raise AssertionError(f"no table has the columns {columns}")


def code_blocks(text: str) -> list[str]:
    return [token.content for token in PARSER.parse(body(text)) if token.type == "fence"]


def test_the_card_has_its_sections_in_order_under_one_title(release) -> None:
    text = readme(release)
    assert headings(text, "h1") == ["Tiny SAEs"]
    assert headings(text, "h2") == SECTIONS


def test_every_sae_has_one_row_with_its_measurements(release) -> None:
    rows = table_with(readme(release), "EV", "PCA EV")
    assert list(rows) == [spec.sae_id for spec in release.loaded.saes]
    assert rows["tiny_gated_L1_mixed"] == {
        "SAE": "`tiny_gated_L1_mixed`",
        "n": "20",
        "EV": "0.760",  # 0.81 - 1 x 0.05
        "PCA EV": "0.500",
        "above PCA": "yes",
        "EV, train": "0.900",
        "L0": "4.0",
        "MSE": "0.0123",
        "dead": "25.0%",
        "dead, train": "12.5%",
        "difference": "1.5e-07",
    }


def test_saes_that_do_not_beat_pca_are_marked_counted_and_named(release) -> None:
    text = readme(release)
    rows = table_with(text, "EV", "PCA EV")
    below = [sae_id for sae_id, row in rows.items() if row["above PCA"] == "**no**"]
    # The seven with 0.81 - 0.05 x i > 0.5, so i = 0 ... 6, beat it; five do not.
    assert len(below) == 5
    assert "rank-8 PCA, fitted on the same training vectors, is explained by 7 of 12 SAEs." in text
    named = ", ".join(f"`{sae_id}`" for sae_id in below)
    assert f"Not by: {named}." in text
    assert f"5 SAEs do not explain more held-out variance than rank-8 PCA: {named}." in text


def test_equal_to_pca_is_not_above_it(release) -> None:
    equal = release.with_metric("tiny_gated_L1_mixed", "explained_variance", value=0.5)
    rows = table_with(readme(equal), "EV", "PCA EV")
    assert rows["tiny_gated_L1_mixed"]["above PCA"] == "**no**"


def test_a_null_is_printed_as_not_measured_with_its_reason(release) -> None:
    unknown = release.with_metric(
        "tiny_topk_L1_mixed", "explained_variance", value=None, reason="all vectors are equal"
    )
    text = readme(unknown)
    row = table_with(text, "EV", "PCA EV")["tiny_topk_L1_mixed"]
    assert row["EV"] == "not measured (all vectors are equal)"
    assert row["above PCA"] == "not compared"
    assert "These could not be compared: `tiny_topk_L1_mixed`." in text
    assert "`explained_variance` of `tiny_topk_L1_mixed`: all vectors are equal" in text
    front = yaml.safe_load(text.split("\n---\n", 1)[0])
    names = [m["name"] for r in front["model-index"][0]["results"] for m in r["metrics"]]
    of_it = [name for name in names if name.startswith("tiny_topk_L1_mixed: ")]
    assert of_it == ["tiny_topk_L1_mixed: held-out L0, n = 20"] and len(names) == 2 * 12 - 1


def test_a_measurement_on_fewer_vectors_than_its_row_says_so(release) -> None:
    fewer = release.with_metric("tiny_topk_L1_mixed", "path_difference", n=7)
    row = table_with(readme(fewer), "EV", "PCA EV")["tiny_topk_L1_mixed"]
    assert row["difference"] == "1.5e-07 (n = 7)"


def test_what_the_measurements_were_made_with_stands_below_them(release) -> None:
    measurements = release.report.measurements.model_copy(
        update={"environment": {"torch": "2.0", "sae-lens": "6.54", "base_model": "a|b"}}
    )
    report = release.report.model_copy(update={"measurements": measurements})
    text = readme(replace(release, report=report))
    assert "Measured with:\n" in text
    assert "| base_model | a\\|b |\n| sae-lens | 6.54 |\n| torch | 2.0 |\n" in text


def test_thresholds_have_a_table_of_the_jumprelu_saes(release) -> None:
    rows = table_with(readme(release), "threshold before training", "moved")
    assert {tuple(row.values())[1:] for row in rows.values()} == {("0.250", "62.5%")}
    assert list(rows) == [s.sae_id for s in release.loaded.saes if s.architecture == "jumprelu"]


def test_a_release_without_jumprelu_says_nothing_of_thresholds(manifest_data, make) -> None:
    manifest_data["saes"]["architectures"] = ["topk"]
    text = readme(make(manifest_data))
    assert "threshold" not in text.lower()
    assert "JumpReLU" not in text and "Gated" not in text


def test_counts_of_vectors_stand_by_condition(release) -> None:
    rows = table_with(readme(release), "training vectors")
    assert {name: list(row.values())[1:] for name, row in rows.items()} == {
        "deceptive_only": ["`deceptive`", "30", "10", "6"],
        "mixed": ["`deceptive`, `honest`", "60", "20", "6"],
    }


def test_layers_stand_with_depth_and_both_hook_names(release) -> None:
    rows = table_with(readme(release), "depth")
    assert [list(row.values()) for row in rows.values()] == [
        # 100 x (1 + 1) / 4 and 100 x (2 + 1) / 4
        ["1", "50.0%", "`model.layers.1`", "`blocks.1.hook_resid_post`", "6"],
        ["2", "75.0%", "`model.layers.2`", "`blocks.2.hook_resid_post`", "6"],
    ]


def test_tensors_stand_by_architecture_with_their_shapes(release) -> None:
    rows = table_with(readme(release), "tensors")
    assert rows["TopK"]["tensors"] == "`W_enc` [8, 32], `W_dec` [32, 8], `b_dec` [8], `b_enc` [32]"
    assert "`threshold` [32]" in rows["JumpReLU"]["tensors"]
    assert "threshold" not in rows["Gated"]["tensors"] and "b_enc" not in rows["Gated"]["tensors"]


def test_training_stands_as_it_was_recorded(release) -> None:
    text = readme(release)
    row = table_with(text, "seed", "steps")["tiny_gated_L1_mixed"]
    assert list(row.values())[1:] == ["1001", "60", "10", "40", "16", "0.0003", "12.5", "6.2 s"]
    assert "All SAEs together took 1 min 15 s" in text
    assert "| device | cpu |\n| python | 3.11 |\n| torch | 2.0 |" in text
    assert "`bandwidth` 0.05, `threshold_init` 0.02, `sparsity` target_l0, `target_l0` 4" in text


def test_scenarios_and_label_texts_stand_under_data(release) -> None:
    text = readme(release)
    assert table_with(text, "scenario")["door"]["prompt"] == "Is the door locked?"
    assert "**Label rule.** The first word decides." in text
    assert "**Precision of the labels.** Of twenty read by hand, nineteen were right." in text
    assert "The label rule reads the first 30 characters of a completion." in text


def limitation_titles(text: str) -> list[str]:
    section = text.split("## Limitations\n", 1)[1].split("\n## ", 1)[0]
    return re.findall(r"^- \*\*(.+?)\*\*", section, flags=re.MULTILINE)


def test_limitations_follow_from_the_numbers(release, outcome) -> None:
    always = ["Tiny model.", "Labels.", "Held-out completions.", "One run each."]
    # d_sae 32 > 30 training vectors of deceptive_only; five SAEs are below PCA.
    derived = ["Few vectors.", "Below the baseline.", "One precision.", "Base model revision."]
    assert limitation_titles(readme(release)) == always + derived
    worse = release.with_metric("tiny_topk_L1_mixed", "dead_fraction", value=0.5).with_outcomes(
        outcome("W203", "warned", subject="tiny_topk_L1_mixed", found="dense"),
        outcome("W203", "warned", subject="tiny_topk_L2_mixed"),
        outcome("F101", "failed", found="no weights"),
        outcome("F102", "passed"),
    )
    text = readme(worse)
    assert limitation_titles(text) == [
        *always,
        *("Few vectors.", "Below the baseline.", "Dead latents.", "One precision."),
        "Base model revision.",
        *("Check F101 failed", "Check W203 warned"),
    ]
    assert "30 for `deceptive_only`." in text
    assert "`tiny_topk_L1_mixed` (50.0% of 32, n = 20)." in text
    assert "(asks something): `tiny_topk_L1_mixed` (dense), `tiny_topk_L2_mixed`." in text
    assert "1 check passed" in text


def test_a_packaged_base_model_is_told_apart_from_the_hub_repository(manifest_data, make) -> None:
    manifest_data["base_model"]["package"] = {
        "requirement": "llm-tiny==0.1",
        "module": "llm_tiny",
        "gguf_file": "tiny.gguf",
        "sha256": "c" * 64,
    }
    text = readme(make(manifest_data))
    assert "Packaged base model." in limitation_titles(text)
    assert "`tiny.gguf` of the package `llm-tiny==0.1`" in text


def test_the_front_matter_is_what_the_hub_reads(release) -> None:
    text = readme(release)
    data = ModelCard(text).data.to_dict()
    assert list(yaml.safe_load(text.split("\n---\n", 1)[0])) == [
        *("license", "library_name", "base_model", "base_model_relation"),
        *("language", "tags", "model-index"),
    ]
    assert data["license"] == "apache-2.0"
    assert data["library_name"] == "saelens"
    assert data["base_model"] == "demo/tiny-llama"
    assert data["base_model_relation"] == "adapter"
    assert data["tags"] == ["sparse-autoencoder", "demonstration"]
    first, second = data["model-index"][0]["results"]
    assert [first["dataset"]["config"], second["dataset"]["config"]] == ["deceptive_only", "mixed"]
    assert first["dataset"]["name"] == "Held-out completions of data/tiny.jsonl, deceptive_only"
    assert first["dataset"]["revision"] == "d" * 64 and first["dataset"]["split"] == "held_out"
    # 0.81 - 0.05 i, in the order of the manifest's SAEs.
    of_saes = {m["name"]: m["value"] for r in (first, second) for m in r["metrics"]}
    for index, spec in enumerate(release.loaded.saes):
        n = 20 if spec.condition == "mixed" else 10
        name = f"{spec.sae_id}: held-out"
        assert of_saes.pop(f"{name} explained variance, n = {n}") == round(0.81 - 0.05 * index, 3)
        assert of_saes.pop(f"{name} L0, n = {n}") == 4.0
    assert of_saes == {}


def test_a_license_that_the_hub_does_not_know_is_refused(manifest_data, make) -> None:
    manifest_data["license"] = "Apache-2.0"
    with pytest.raises(UnknownLicense, match="lower case"):
        rendered_files(make(manifest_data).sources)


def test_a_comment_names_the_digests_and_the_version(release) -> None:
    (comment,) = re.findall(r"<!--(.*?)-->", readme(release), flags=re.DOTALL)
    assert release.loaded.digest in comment
    assert "report " + "e" * 64 in comment and "sae-release 0.0.test" in comment


def test_every_code_block_parses_and_names_the_repository(release) -> None:
    blocks = code_blocks(readme(release))
    assert len(blocks) == 4
    for block in blocks:
        ast.parse(block)
    assert 'SAE.from_pretrained("demo/tiny-saes", "tiny_gated_L1_deceptive_only"' in blocks[0]


@pytest.mark.parametrize("pooling", ["last_token", "completion_mean"])
@pytest.mark.parametrize("revision", [None, "v1.0"])
@pytest.mark.parametrize("architecture", ["topk", "jumprelu", "gated"])
def test_code_blocks_parse_for_every_choice(
    manifest_data, make, pooling: str, revision: str | None, architecture: str
) -> None:
    manifest_data["data"]["pooling"] = pooling
    manifest_data["base_model"]["revision"] = revision
    manifest_data["saes"]["architectures"] = [architecture]
    blocks = code_blocks(readme(make(manifest_data)))
    for block in blocks:
        ast.parse(block)
    assert f'revision = "{revision or "main"}"' in blocks[2]


def test_hostile_text_changes_neither_the_sections_nor_the_tables(
    release, manifest_data, make, outcome
) -> None:
    manifest_data["title"] = manifest_data["summary"] = HOSTILE
    manifest_data["tags"] = [HOSTILE, "a: b", "- c"]
    manifest_data["caveats"] = [{"title": HOSTILE, "text": HOSTILE}]
    for key in ("description", "label_rule", "label_precision"):
        manifest_data["data"][key] = HOSTILE
    scenario = manifest_data["data"]["sampling"]["scenarios"][0]
    scenario["prompt"] = scenario["opening"] = HOSTILE
    hostile = (
        make(manifest_data)
        .with_metric("tiny_topk_L1_mixed", "mse", value=None, reason=HOSTILE)
        .with_outcomes(outcome("F1", "failed", title=HOSTILE, subject=HOSTILE, found=HOSTILE))
    )
    text = readme(hostile)
    assert headings(text, "h2") == SECTIONS
    assert [[len(row) for row in table] for table in tables(text)] == [
        [len(row) for row in table] for table in tables(readme(release))
    ]
    assert len(code_blocks(text)) == 4
    ast.parse(code_blocks(text)[2])
    html = PARSER.render(body(text))
    assert "<script" not in html and "javascript:b" not in re.findall(r'href="([^"]*)"', html)
    front = yaml.safe_load(text.split("\n---\n", 1)[0])
    assert front["tags"] == [" ".join(HOSTILE.split()), "a: b", "- c"]
    assert ModelCard(text).data.to_dict()["license"] == "apache-2.0"


def test_one_sae_is_not_written_in_the_plural(manifest_data, make) -> None:
    manifest_data["saes"] |= {
        "layers": [1],
        "architectures": ["topk"],
        "conditions": ["mixed"],
    }
    text = readme(make(manifest_data))
    assert "1 sparse autoencoder of the residual stream" in text
    assert "is explained by 1 of 1 SAE.\n" in text


def test_the_card_has_no_trailing_spaces_and_no_gaps(release) -> None:
    text = readme(release)
    assert [line for line in text.split("\n") if line != line.rstrip()] == []
    assert "\n\n\n" not in re.sub(r"```.*?```", "code", text, flags=re.DOTALL)
