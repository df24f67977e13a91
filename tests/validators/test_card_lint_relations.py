"""Columns, totals, budgets and configs: what is reported, and what only looks like a slip."""

from __future__ import annotations

import pytest

from validators.readme.block_counts import lint_block_counts
from validators.readme.card_text import read_card
from validators.readme.comparisons import lint_comparisons
from validators.readme.config_claims import lint_config_claims
from validators.readme.config_model import differ, lint_base_model
from validators.readme.config_rows import lint_config_rows
from validators.readme.config_sizes import lint_config_sizes
from validators.readme.findings import Finding, SaeFacts, Surroundings
from validators.readme.hook_layers import lint_hook_layers
from validators.readme.metric_identities import lint_metric_identities
from validators.readme.prose_sums import lint_prose_sums
from validators.readme.table_relations import lint_table_differences, lint_table_products
from validators.readme.table_totals import lint_table_totals
from validators.readme.tensors_said import lint_tensors
from validators.readme.token_budgets import lint_token_budgets

SAES = tuple(
    SaeFacts(
        f"topk_L{layer}", "topk", 512, 4096, 32, f"blocks.{layer}.hook_resid_post",
        # 2 * 512 * 4096 + 4096 + 512 = 4,198,912 parameters of 4 bytes
        f"model.layers.{layer}", layer, "tiny/tiny-1b", 16_795_648,
    )
    for layer in (3, 6)
)  # fmt: skip
KNOWN = Surroundings(n_saes=2, hook_names=tuple(s.hook_name or "" for s in SAES), saes=SAES)


def of_page(text: str) -> list[Finding]:
    card = read_card(text)
    return [
        found
        for lint in (
            lint_table_differences, lint_table_products, lint_table_totals, lint_token_budgets,
            lint_prose_sums, lint_metric_identities, lint_comparisons,
        )
        for found in lint(card)
    ]  # fmt: skip


def against_configs(text: str) -> list[Finding]:
    card = read_card(text)
    return [
        found
        for lint in (
            lint_config_rows, lint_config_claims, lint_config_sizes, lint_base_model,
            lint_hook_layers, lint_tensors, lint_block_counts,
        )
        for found in lint(card, KNOWN)
    ]  # fmt: skip


def table(*rows: str) -> str:
    names, *others = rows
    return "\n".join([names, "|" + "---|" * (names.count("|") - 1), *others])


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (table("|L|raw|SAE|diff.|", "|1|71.2|72.9|+1.7|", "|2|78.4|77.6|+0.8|",
               "|3|75.9|77.1|+1.2|"), 4),
        (table("|in|EV|change from nf4|", "|nf4|0.846|-|", "|int8|0.839|-0.017|",
               "|bf16|0.838|-0.008|"), 4),
        # 260 x 40 = 10,400 and 205 x 40 = 8,200, so 465 x 40 = 18,600
        (table("|a|per epoch|in total|", "|x|260|10,400|", "|y|205|8,200|", "|z|465|16,800|")
         + "\n\nTrained for 40 epochs.", 5),
        (table("|L|passed|depth|", "|3|4 of 12|33%|", "|6|7 of 12|58%|", "|9|10 of 12|75%|"), 5),
        # 33,564,672 x 2 = 67.1 MB
        (table("|w|parameters|float32|bfloat16|", "|8k|33,564,672|134.3 MB|268.5 MB|"), 3),
        (table("|p|n|", "|a|1,040|", "|b|820|", "|sum|1,680|"), 5),
        ("Of 9 each, in total 9 of 27 SAEs win.\n\n"
         + table("|L|won|", "|3|4 of 9|", "|6|0 of 9|", "|9|3 of 9|"), 1),
        ("Trained on 10M tokens: 50,000 steps of 512 tokens.", 1),
        ("- 2,048 tokens per step\n- 30,000 steps, 61.44 billion tokens per SAE", 2),
        ("122.88 M per SAE, 368.64 M for the four", 1),
        ("Its width is 7168 (16 x 896).", 1),
        ("There are 872 sentences, 444 positive and 482 negative.", 1),
        ("Of the eight SAEs three (25%) win.", 1),
        ("It adds 0.047 for TopK (0.829 to 0.866).", 1),
        ("The smallest is 0.231, the median 0.212 and the largest 1.94.", 1),
        (table("|metric|value|", "|explained variance|0.873|",
               "|fraction of variance unexplained|0.137|"), 4),
    ],
)  # fmt: skip
def test_what_does_not_follow_is_found_at_its_line(text: str, line: int) -> None:
    assert line in {found.line for found in of_page(text)}


@pytest.mark.parametrize(
    "text",
    [
        # Nothing differs between most rows, and the column is of something else.
        table("|id|dead|silent|largest difference|", "|a|0.0%|0.0%|0.0e+00|",
              "|b|0.0%|0.0%|0.0e+00|", "|c|0.0%|0.0%|0.0e+00|", "|d|2.9%|0.2%|0.0e+00|"),
        # Rounded means: 0.8647, 0.8887 and 0.0240.
        table("|L|8k|16k|gain|", "|1|0.962|0.971|+0.009|", "|2|0.901|0.919|+0.018|",
              "|mean|0.93|0.94|+0.01|"),
        # A mean that is weighted differs in every column.
        table("|d|raw|SAE|", "|a|80.0|70.0|", "|b|84.0|72.0|", "|mean|83.1|71.6|"),
        # The batch doubles, and the card does not say by a product of columns.
        table("|w|steps|tokens|", "|16k|1,220|4,997,120|", "|32k|2,440|9,994,240|"),
        table("|p|accuracy|", "|a|70|", "|b|80|", "|all|75|"),
        "Trained on about 51 million tokens: 50k steps, 1,024 tokens each, 1,500 of warm-up.",
        "300 sentences, 12 layers and 3 architectures.",
        "It saw 307 200 000 tokens: 75 000 steps of 4 096 tokens.",
        "EV is 0.71, that is 0.08 lower, and the threshold is above zero.",
        "9 x 9 tables; 640 (640 x 480).",
    ],
)  # fmt: skip
def test_what_follows_or_is_no_relation_raises_nothing(text: str) -> None:
    assert of_page(text) == []


@pytest.mark.parametrize(
    "text",
    [
        table("|id|layer|hook|", "|`topk_L3`|3|`blocks.4.hook_resid_post`|"),
        table("|id|layer|", "|`topk_L6`|7|"),
        "All SAEs have d_in = 512 and d_sae = 4906.",
        "The base model has d_model 768.",
        table("| | |", "|layers|L3, L9|"),
        table("| | |", "|architecture|gated|"),
        "# A set\n\nThree TopK autoencoders for a tiny model.",
        "L0 is 61 on every token.",
        # 2 x 16.8 MB = 33.6 MB
        "The weights of all 2 SAEs come to 336 MB.",
        "---\nbase_model: tiny/tiny-3b\n---\n\n# SAEs",
        "# SAEs for Tiny-7B",
        "The output of `transformer.h.3`.",
        "`blocks.3.hook_resid_post` (= output of `model.layers.4`)",
        "Only `topk_L3` has a threshold tensor.",
        "It has 12 blocks. Read after 7 of 16 blocks.",
    ],
)
def test_what_no_config_says_is_found(text: str) -> None:
    assert against_configs(text)


@pytest.mark.parametrize(
    "text",
    [
        table("|id|layer|hook|EV|", "|`topk_L3`|3|`blocks.3.hook_resid_post`|0.81|"),
        table("|id|arch.|", "|`topk_L3`|Batch TopK|"),
        table("|best|SAE|", "|71.2|`topk_L3`|"),
        "d_in is 512, d_sae 4k (4,096), eight times as wide.",
        "k = 16 was tried and dropped.",
        "Two TopK autoencoders. One of 12 blocks has an SAE.",
        "# SAEs for Tiny-1B\n\nThe 2 SAEs take 33.6 MB, or 32.0 MiB.",
        "STE variants and Standard variants have threshold parameters.",
        "TopK SAEs have no thresholds; the JumpReLU SAE has a threshold.",
        "blocks.6.hook_resid_post is read, not the input of model.layers.3.",
    ],
)
def test_what_the_configs_say_raises_nothing(text: str) -> None:
    assert against_configs(text) == []


def test_two_names_of_one_model_do_not_differ() -> None:
    assert not differ("EleutherAI/pythia-160m", "pythia-160m-deduped")
    assert not differ("openai-community/gpt2", "gpt2-small")
    assert differ("Qwen/Qwen2.5-0.5B", "Qwen/Qwen2.5-0.5B-Instruct")
    assert differ("gpt2", "gpt2-medium")
