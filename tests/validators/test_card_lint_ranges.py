"""Ranges, spelled-out sums and sentences on tables: what cannot be, and what only looks like it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from validators.readme.block_counts import lint_block_counts
from validators.readme.card_text import CardText, read_card
from validators.readme.comparisons import lint_comparisons
from validators.readme.depths import lint_depths
from validators.readme.differences import lint_differences
from validators.readme.findings import Finding, Surroundings
from validators.readme.metric_identities import lint_metric_identities
from validators.readme.prose_sums import lint_prose_sums
from validators.readme.ranges import lint_ranges
from validators.readme.sentences_on_tables import lint_sentences_on_tables
from validators.readme.shares import lint_shares
from validators.readme.sizes import lint_sizes
from validators.readme.sums_said import lint_sums_said
from validators.readme.table_shares import lint_table_shares
from validators.readme.token_budgets import lint_token_budgets

Lint = Callable[[CardText], Iterable[Finding]]


def lines(lint: Lint, text: str) -> list[int]:
    return [finding.line for finding in lint(read_card(text))]


def table(*rows: str) -> str:
    names, *others = rows
    return "\n".join([names, "|" + "---|" * (names.count("|") - 1), *others, "", ""])


@pytest.mark.parametrize(
    "text",
    [
        "L0 falls with depth, from 88.3 to 120.4.",
        "Explained variance rises from 0.995 at layer 0 to 0.861 at layer 11.",
        "Steering lowers the refusal rate from 34.2% to 85.0%.",
        "L0 grew from 64 to 32.",
        "95% confidence interval 90.3% to 77.5%.",
        "The 95% CI is [0.765, 0.746].",
        "The best probe has 95.9% (95% CI 96.4% to 97.2%).",
        "The best probe (95.9%, 614 of 640; 95% CI 96.4% to 97.2%) is of layer 18.",
        "It is better at all four layers, by 0.014 to 0.007.",
        "L0 ranges from 120.4 to 88.3.",
        "It ran from 19 January to 11 January 2025.",
        "It ran from 2025-03-04 to 2025-02-11.",
    ],
)
def test_a_range_that_cannot_be(text: str) -> None:
    assert lines(lint_ranges, text) == [1]


@pytest.mark.parametrize(
    "text",
    [
        "L0 grows with depth, from 88.3 to 120.4.",
        "Explained variance falls from 0.995 at layer 0 to 0.861 at layer 11.",
        # Which way the other number goes is said by another verb, or is no number of theirs.
        "Accuracy drops as k rises from 16 to 64.",
        "Explained variance falls when going from 16 to 64 latents.",
        "Accuracy rises with a smaller k, from 64 to 16.",
        "Explained variance falls with depth, from 3 to 21.",
        "It never rises from 0.9 to 0.8.",
        "Its rank rises from 12 to 3.",
        "The script drops rows from 2,000 to 4,000.",
        "The loss fell from 3.4 to 3.1.",
        "It falls from 1.2 GB to 800 MB.",
        "Accuracy drops from 70-85% to 40-50%.",
        "95% confidence interval 77.5% to 90.3%.",
        "The 95% CI is [-0.0617%, 0.0012%].",
        "We print confidence intervals of 95% and 90%.",
        "The 95% CI of the effect is -0.17 to -0.30.",
        "(raw 93.4%; 95% CI of the difference 0.2% to 0.9%)",
        "Estimate (RSE 9.54 %; 95% CI 0.82-1.21)",
        "The best probe has 95.9% (95% CI 94.1% to 97.2%).",
        "It is better than chance, and fell by 0.05 to 0.02.",
        "L0 ranges from 88.3 to 120.4.",
        "It ran from 19 December to 11 January 2025.",
        "It ran from 2025-01-11 to 2025-02-01.",
    ],
)
def test_a_range_that_may_be(text: str) -> None:
    assert lines(lint_ranges, text) == []


def test_a_value_outside_of_the_interval_in_its_own_cell() -> None:
    rows = "|a|0.728 (0.692-0.761)|", "|b|{} (0.746-0.765)|", "|c|0.577 (0.549-0.605)|"
    wrong = table("|SAE|EV|", *rows).replace("{}", "0.775")
    assert lines(lint_ranges, wrong) == [4]
    assert lines(lint_ranges, wrong.replace("0.775", "0.755")) == []
    # Brackets that hold something else do so in more rows than one.
    other = table("|SAE|EV|", "|a|0.7 (0.1-0.2)|", "|b|0.6 (0.2-0.3)|", "|c|0.5 (0.4-0.6)|")
    assert lines(lint_ranges, other) == []


PARTS = (
    "Of 600 latents, it called {} of them (62.0%) clear, 150 (25.0%) unclear and 78 (13.0%) not."
)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        (PARTS.format("372"), PARTS.format("327")),
        ("I checked 50 of these by hand and agreed with 44 (88%).",
         "I checked 50 of these by hand and agreed with 44 (84%)."),
        ("34 of 40 were right when read: 16 of 20 deceptive and 18 of 20 honest ones.",
         "36 of 40 were right when read: 16 of 20 deceptive and 18 of 20 honest ones."),
        ("400 epochs, batch size 128 (20 steps per epoch for both, 8,000 in all)",
         "400 epochs, batch size 128 (20 steps per epoch for both, 80,000 in all)"),
        ("38 vectors with 16 latents each can use 608 latents at most.",
         "38 vectors with 16 latents each can use 680 latents at most."),
        ("They saw 1.0B tokens (4 x 100M + 4 x 150M).",
         "They saw 2.0B tokens (4 x 100M + 4 x 150M)."),
        ("The cards total 348, the page 366. They differ by 18.",
         "The cards total 348, the page 366. They differ by 28."),
    ],
)  # fmt: skip
def test_sums_that_a_sentence_spells_out(right: str, wrong: str) -> None:
    assert lines(lint_sums_said, right) == []
    assert lines(lint_sums_said, wrong) == [1]


@pytest.mark.parametrize(
    "text",
    [
        # Of wholes that differ, of a whole that is elsewhere, and of more than two numbers.
        "30 (50%) of the first 60, 20 (10%) of 200 and 5 (5%) of the last 100.",
        "I checked 50 of the 600 latents and kept 44 (7.3%).",
        "30 of 50 were right: 16 of 20 deceptive and 18 of 20 honest ones.",
        "The cards total 348, the page 366, the list 400. They differ by 28.",
    ],
)
def test_sums_of_something_else(text: str) -> None:
    assert lines(lint_sums_said, text) == []


BY_LAYER = table("|layer|k=16|k=32|", "|0|0.812|0.868|", "|2|0.701|0.769|", "|3|0.688|0.757|")
D = table("|layer|d|L0|", "|6|1.12|88.3|", "|12|1.57|95.1|", "|18|1.84|101.6|")
P = table("|SAE|p|d|p|", "|a|0.004|1|0.3|", "|b|&lt;0.001|2|0.02|", "|c|0.173|3|0.5|")
YES = table("|SAE|above PCA|n|", "|a|yes|5|", "|b|yes|6|", "|c|no|7|")
SPLIT = table("|set|train|test|", "|a|1,280|320|", "|b|2,560|640|")
TIME = table("|SAE|time|", "|a|1 min 10 s|", "|b|50.4 s|", "|c|20 s|")


@pytest.mark.parametrize(
    ("above", "right", "wrong"),
    [
        (BY_LAYER, "Layer 3 is the worst at every k.", "Layer 2 is the worst at every k."),
        (BY_LAYER, "Layer 0 is the best at every k.", "Layer 2 is the best at every k."),
        (D, "The largest d of all is 1.84, at layer 18.", "The largest is 1.84, at layer 12."),
        # 1.57 is at no end of its column, and layer 24 has no row.
        (D, "The best of the others is 1.57 at layer 18.", "The lowest L0 is 88.3 at layer 18."),
        (D, "The largest d of a pilot was 1.84 at layer 24.", "The peak is 1.84 at layer 6."),
        (P, "A p below 0.05 in 2 of 3 SAEs.", "A p below 0.05 in 3 of 3 SAEs."),
        (P, "A p below 0.05 in 1 of 3 SAEs.", "A p below 0.01 in 1 of 3 SAEs."),
        (YES, "More than by PCA is explained by 2 of 3 SAEs.",
         "More than by PCA is explained by 1 of 3 SAEs."),
        (YES, "Less than by PCA is explained by 1 of 3 SAEs.",
         "PCA is beaten by 3 of 3 SAEs."),
        (SPLIT, "The split is 80/20, by label.", "The split is 90/10, by label."),
        (TIME, "All SAEs together took 2 min 20 s, on:", "All SAEs together took 4 min 20 s, on:"),
    ],
)  # fmt: skip
def test_what_a_sentence_says_of_the_table_above(above: str, right: str, wrong: str) -> None:
    assert lines(lint_sentences_on_tables, above + right) == []
    assert lines(lint_sentences_on_tables, above + wrong) == [above.count("\n") + 1]
    # Another section is about something else.
    assert lines(lint_sentences_on_tables, f"{above}# Other\n\n{wrong}") == []


MEANS = table("|layer|L0|EV|", "|0|12.4|0.9|", "|1|21.8|0.8|", "|2|30.5|0.7|")
CE = table("|metric|value|", "|CE loss, base model|1.842|", "|CE loss, with SAE|1.951|",
           "|CE loss, zero ablation|11.620|", "|CE recovered|98.9%|")  # fmt: skip
ENDS = table("|accuracy|value|n|", "|lowest Gated probe|82%|5|", "|highest Gated probe|83.3%|5|")
AHEAD = table("|layer|difference|", "|6|-1.7|", "|12|+0.8|", "|18|+0.9|", "|24|-0.6|")
RUNS = table("||chat|web|", "|tokens per SAE|100M|150M|", "|batch size (tokens)|4,096|4,096|",
             "|steps|24,414|36,621|")  # fmt: skip
DEPTH = "The model has 35 blocks. Depth is the share of blocks passed.\n\n|layer|depth|\n|--|--|\n"


@pytest.mark.parametrize(
    ("lint", "right", "old", "new"),
    [
        # (12.4 + 21.8 + 30.5) / 3 = 21.57
        (lint_prose_sums, MEANS + "Over the three layers the mean L0 is 21.6 and the mean EV 0.8.",
         "L0 is 21.6", "L0 is 12.6"),
        (lint_prose_sums, MEANS + "Over the three layers the mean L0 is 21.6 and the mean EV 0.8.",
         "EV 0.8.", "EV 0.95."),
        # (11.620 - 1.951) / (11.620 - 1.842) = 0.9889, and 1.951 - 1.842 = 0.109
        (lint_metric_identities, CE, "98.9%", "89.8%"),
        (lint_metric_identities, CE + "The SAE costs 0.109 nats.", "0.109", "1.09"),
        (lint_metric_identities, ENDS, "82%", "84.9%"),
        (lint_comparisons, AHEAD + "The SAE is ahead at 2 of 4 layers.", "2 of", "3 of"),
        (lint_shares, "The best (95.9%, 614 of 640 prompts; 95% CI 94% to 97%)", "614", "604"),
        (lint_differences, "Steering takes the rate of refusals from 34.2% to 85.0%, by 50.8\n"
         "percentage points.",
         "50.8", "48.5"),
        (lint_token_budgets, RUNS, "36,621", "63,621"),
        (lint_token_budgets,
         "61,035 steps, batch size of 8,192 tokens, in 31 hours (about 4,500 tokens per\n"
         "second). The mean is of each batch.", "4,500", "45,000"),
        # 4 + 32 / 64 = 4.5 bits
        (lint_sizes, "It is int8 or nf4. NF4 without double quantization takes 4.5 bits per "
         "parameter: 4 bits and a scale.", "4.5", "3.5"),
        (lint_sizes, 'Made for nf4.\n\n```python\nf(bnb_4bit_quant_type="nf4")\n```\n',
         '"nf4"', '"fp4"'),
        # 26 of 35 blocks are 74.3%, and 25 of them 71.4%
        (lambda card: lint_depths(card, Surroundings()), DEPTH + "|25|74.3%|", "74.3", "71.4"),
        (lambda card: lint_block_counts(card, Surroundings()),
         "SAEs of all 6 layers, with layers counted from 0 to 5.", "0 to 5", "0 to 6"),
        # 202 of 348 are 58.0%, 55 of 175 31.4%, 80 of 219 36.5% and 118 of 191 61.8%
        (lint_table_shares, table("|L|on a|on b|a of both|", "|1|202|146|58.0% (52%-63%)|",
                                  "|2|55|120|31.4%|", "|3|80|139|36.5%|", "|4|118|73|61.8%|"),
         "58.0%", "53.8%"),
        # 0.839 / 0.842 = 0.9964 and 0.811 / 0.842 = 0.9632
        (lint_table_shares, table("|precision|EV|relative change|", "|bf16|0.842|-|",
                                  "|int8|0.839|-0.4%|", "|nf4|0.811|-3.7%|"), "-3.7%", "-37%"),
        (lint_metric_identities, table("|metric|value|", "|L0|126.4|") + "At an L0 of 126.4 it is.",
         "|126.4|", "|1264|"),
        (lint_sentences_on_tables, table("|SAE|FVU|", "|a|0.18|", "|b|0.29|")
         + "All two explain more than 70% of the variance.", "0.29", "0.39"),
    ],
)  # fmt: skip
def test_one_number_of_several_that_agree(lint: Lint, right: str, old: str, new: str) -> None:
    assert lines(lint, right) == []
    assert len(lines(lint, right.replace(old, new))) == 1


@pytest.mark.parametrize(
    "text",
    [
        # Shares of something else, of which one is that of the two by chance.
        table("|L|a|b|c|", "|1|20|80|20%|", "|2|5|9|11%|", "|3|8|3|1%|", "|4|7|7|2%|"),
        table("|L|EV|relative change|", "|x|0.8|-|", "|y|0.7|4%|", "|z|0.6|9%|"),
    ],
)
def test_columns_that_have_no_such_relation(text: str) -> None:
    assert lines(lint_table_shares, text) == []


@pytest.mark.parametrize("said", ["L0 of 64", "L0 of 45.2", "EV of 1264", "L0 of 1,264"])
def test_another_number_under_the_same_name(said: str) -> None:
    text = table("|metric|value|", "|L0|1264|") + f"The other one has an {said}."
    assert lines(lint_metric_identities, text) == []


def test_the_layers_with_saes_may_be_fewer_than_the_models() -> None:
    text = "It holds at all 6 layers, with layers counted from 0 to 29."
    assert [*lint_block_counts(read_card(text), Surroundings())] == []
