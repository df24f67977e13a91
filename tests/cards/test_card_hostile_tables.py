"""Completions, verdicts, reasons and names in tables are written by models and by strangers."""

from __future__ import annotations

import re
from typing import Any

import pytest
from markdown_it import MarkdownIt

from cards.stage import rendered_files

PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
SAE = "tiny_topk_L1_mixed"
# What the release has numbers for.
FIGURES = {f"figures/{name}.svg" for name in ("sparsity", "probe_profile")}
ATTACKS = [
    "x | y\n\n---\n```\n<script>alert(1)</script> [a](javascript:b) **c** <!-- d",
    "# a heading",
    "1. one\n2. two",
    "    indented\n\n- item",
    "\u202egnp.exe \x00\x1b[31m",
    "<details><summary>open</summary>",
    "![i](https://example.org/i.png)",
    "{{ title }} {% include 'x' %}",
]


def readme(release: Any) -> str:
    return rendered_files(release.sources)["README.md"].decode("utf-8")


def shape(text: str) -> list[tuple[str, str]]:
    """The blocks of a card, without what stands in them."""
    tokens = PARSER.parse(text.split("\n---\n", 1)[1])
    return [(token.type, token.tag) for token in tokens if token.type != "inline"]


def marks(text: str) -> list[str]:
    """Inline emphasis, links, images, code and HTML of a card."""
    tokens = PARSER.parse(text.split("\n---\n", 1)[1])
    children = [child for token in tokens for child in token.children or ()]
    return [child.type for child in children if child.type not in ("text", "text_special")]


def with_text(release: Any, text: str) -> Any:
    """The release with tables that have this text wherever a report may have a free one."""
    tables = release.with_tables().report.tables.model_dump()
    metrics = tables["saes"][SAE]["metrics"]
    metrics["d_max_held_out"] = {"value": None, "n": 20, "split": "held_out", "reason": text}
    metrics["probe_auroc"] = {"value": None, "n": 80, "reason": text}
    tables["saes"][SAE]["verdicts"]["stability_splits"] = text
    tables["saes"][SAE]["features"] = [
        {
            "latent": 7,
            "d": {"value": 0.72, "n": 60, "split": "train"},
            "d_held_out": {"value": None, "n": 20, "split": "held_out", "reason": text},
            "active_positive": 6,
            "active_negative": 2,
            "positive_rate": {"value": None, "n": 8, "reason": text},
            "examples": [
                {"completion_id": text, "label": "honest", "text": text, "activation": 3.0}
            ],
        }
    ]
    point = {
        "alpha": 1.0,
        "n": 4,
        "labels": {"deceptive": 1, "honest": 1},
        "positive_rate": {"value": None, "n": 0, "reason": text},
    }
    steering = {
        "sae_id": SAE,
        "scale": {"value": None, "n": 1, "reason": text},
        "cosine_with_mean_difference": {"value": None, "n": 1, "reason": text},
        "trend": {"value": None, "n": 1, "reason": text},
        "random_trend": {"value": None, "n": 1, "reason": text},
        "points": [point],
    }
    nothing = {"value": None, "n": 20, "split": "held_out", "reason": text}
    contrast = {
        "kind": "architecture",
        "first": SAE,
        "second": "tiny_gated_L1_mixed",
        "differs_in_l0": False,
        "differences": {"explained_variance": nothing, "l0": nothing, "cosine": nothing},
    }
    return release.with_tables(
        saes=tables["saes"],
        environment={"base_model": text, "scipy": text},
        steering=[steering],
        contrasts=[contrast],
    )


@pytest.mark.parametrize("attack", ATTACKS)
def test_text_in_tables_changes_no_block_and_no_mark(release, attack: str) -> None:
    harmless, attacked = readme(with_text(release, "harmless")), readme(with_text(release, attack))
    assert shape(attacked) == shape(harmless)
    assert marks(attacked) == marks(harmless)
    html = PARSER.render(attacked.split("\n---\n", 1)[1])
    assert "<script" not in html and "<details" not in html
    assert set(re.findall(r'<img src="([^"]*)"', html)) == FIGURES
    assert not set("\u202e\x00\x1b") & set(attacked)


def test_names_of_labels_in_a_report_are_code(release) -> None:
    attack = "a | b\n# c <i>"
    text = with_text(release, "harmless")
    (table,) = text.report.tables.steering
    steering = table.model_dump()
    steering["points"][0]["labels"][attack] = 2
    attacked = readme(release.with_tables(labels={attack: 80}, steering=[steering]))
    shown = r"<code>a \| b \# c &lt;i&gt;</code>"
    assert f"on 80 {shown} of 5 scenarios" in attacked
    assert f"| {shown} | `ambiguous` | `empty` |" in attacked
    assert re.search(
        r"^\| 1 \| 4 \| .* \| 50\.0% \| 0\.0% \| 0\.0% \|$", attacked, flags=re.MULTILINE
    )
