"""Sentences and columns that follow from numbers beside them, and snippets' names: each way."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Callable, Iterable

import pytest

from validators.readme.card_text import CardText, read_card
from validators.readme.findings import Finding, SaeFacts, Surroundings
from validators.readme.metric_identities import lint_metric_identities
from validators.readme.metrics_named import lint_metrics
from validators.readme.products import lint_products
from validators.readme.prose_sums import lint_prose_sums
from validators.readme.shares import lint_shares
from validators.readme.snippet_names import name_faults
from validators.readme.snippets import PythonBlock
from validators.readme.table_relations import lint_table_differences
from validators.readme.token_budgets import lint_token_budgets
from validators.readme.verdicts import lint_verdicts
from validators.readme.version_floors import lint_version_floors

NOWHERE = Surroundings()
L0S = "| layer | L0 | dead |\n|---|---|---|\n| 3 | 44.0 | 300 |\n| 6 | 46.0 | 400 |\n\n"
SEEDS = (
    "| layer | seed | L0 |\n|---|---|---|\n| 3 | 0 | 45.0 |\n| 3 | 1 | 46.0 |\n"
    "| 6 | 0 | 58.0 |\n| 6 | 1 | 60.0 |\n\n"
)


def n_found(lint: Callable[[CardText], Iterable[Finding]], text: str) -> int:
    return len({finding.line for finding in lint(read_card(text))})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2·896·14336 + 2·14336 + 896 = 25,719,680 parameters", 0),
        ("2·896·14336 + 2·14336 + 896 = 25,719,860 parameters", 1),
        ("It takes 2 x 3 x (4 x 5 + 6) = 156 steps.", 0),
        ("It takes 3·(4 + 5) + 4·2 + 1 = 36 steps.", 0),
        ("The rate 0.5·4 + 2·3 + 1 = 9 is kept.", 0),
        ("The best is at layer 6 (79.5%, 334 of 420).", 0),
        ("The best is at layer 6 (79.5%, 343 of 420).", 1),
        ("Layer 12 lies at 46% of the depth (12/26).", 0),
        ("Layer 12 lies at 55% of the depth (12/26).", 1),
        ("A rater agreed with four of the five labels (80%).", 0),
        ("A rater agreed with four of the five labels (75%).", 1),
        ("Two of the five SAEs exceed it (95%).", 0),
    ],
)
def test_shares_and_sums(text: str, expected: int) -> None:
    assert n_found(lint_shares, text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("All have 4,608 latents (8 x 576).", 0),
        ("All have 4,608 latents (4 x 576).", 1),
        ("`d_sae = 12288`, i.e. 16 x 512.", 1),
        ("420 short statements, 231 true and 189 false.", 0),
        ("420 short statements, 231 true and 198 false.", 1),
        ("Of 320, 172 and 148; the majority class is therefore 53.8%.", 0),
        ("Of 320, 172 and 148; the majority class is therefore 46.2%.", 1),
        ("20 prompts, 12 layers, 8 folds; the majority class is 53%.", 0),
        ("320 answers; 8 folds of 40 answers.", 0),
        ("320 answers; 10 folds of 40 answers.", 1),
        ("321 answers; 8 folds of 40 answers.", 0),
        ("60 fresh answers; 8 folds of 40 answers.", 0),
        ("Loss: 2.47 without the SAE, 2.56 with it (+0.09 nats).", 0),
        ("Loss: 2.47 without the SAE, 2.56 with it (+0.19 nats).", 1),
        (L0S + "Mean L0 over the two layers: 45.0.", 0),
        (L0S + "Mean L0 over the two layers: 46.0.", 1),
        (L0S + "Mean L0 over the three layers: 46.0.", 0),
        (SEEDS + "Averaged over seeds, L0 is 45.5 and 59.0 for layers 3 and 6.", 0),
        (SEEDS + "Averaged over seeds, L0 is 45.5 and 61.0 for layers 3 and 6.", 1),
        (L0S + "The two SAEs have 700 dead latents between them.", 0),
        (L0S + "The two SAEs have 800 dead latents between them.", 1),
    ],
)
def test_numbers_of_one_paragraph(text: str, expected: int) -> None:
    assert n_found(lint_prose_sums, text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("We trained 6 SAEs, 2 layers \u00d7 3 coefficients.", 0),
        ("We trained 8 SAEs, 2 layers \u00d7 3 coefficients.", 1),
        ("It holds nine JumpReLU SAEs (three layers x three random seeds).", 0),
        ("It holds 18 SAEs (3 layers x 3 seeds per kind).", 0),
        ("It holds 7 SAEs (2 layers x 3 seeds, plus a first try).", 0),
    ],
)
def test_axes_of_a_grid(text: str, expected: int) -> None:
    assert n_found(lambda card: lint_products(card, NOWHERE), text) == expected


LOSSES = """Clean loss is 2.611.

| layer | CE with SAE | ΔCE | CE zero-ablated | recovered |
|---|---|---|---|---|
| 4 | 2.623 | +0.012 | 2.794 | 93.4% |
| 8 | 2.629 | +0.018 | 2.802 | 90.6% |
| 12 | 2.634 | +0.023 | 2.871 | 91.2% |
| 16 | 2.638 | +0.027 | 2.846 | 88.5% |
"""


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [("4", "4", 0), ("+0.027", "+0.072", 1), ("90.6%", "96.0%", 1), ("Clean loss", "Loss", 0)],
)
def test_columns_that_follow_from_one_number(old: str, new: str, expected: int) -> None:
    assert n_found(lint_table_differences, LOSSES.replace(old, new)) == expected


def test_points_have_a_sign() -> None:
    rows = "| 3 | 66.2% | 62.9% | -3.3 pp |\n| 6 | 78.1% | 79.5% | +1.4 pp |\n"
    text = "| layer | raw | SAE | difference |\n|---|---|---|---|\n" + rows
    assert n_found(lint_table_differences, text + "| 9 | 81.9% | 79.0% | -2.9 pp |\n") == 0
    assert n_found(lint_table_differences, text + "| 9 | 81.9% | 79.0% | +2.9 pp |\n") == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("200M tokens in batches of 4,096, so 48,828 steps.", 0),
        ("200M tokens in batches of 8,192, so 48,828 steps.", 1),
        ("Batches of 64, context length 128, 10,000 steps, 81.92M tokens.", 0),
        ("200M tokens\n\n- batch 2,048 tokens → 97,656 steps", 0),
        ("200M tokens\n\n- batch 2,048 tokens → 9,766 steps", 1),
        ("1.0B tokens; this took 14.5 hours, about 19k tokens per second.", 0),
        ("1.0B tokens; this took 1.45 hours, about 19k tokens per second.", 1),
        ("100M tokens; all runs took 14.5 hours, about 19k tokens per second.", 0),
    ],
)
def test_budgets(text: str, expected: int) -> None:
    assert n_found(lint_token_budgets, text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("With n = 60, p = 0.36, so the effect is not significant.", 0),
        ("With n = 60, p = 0.36, so the effect is significant.", 1),
        ("With n = 60, p = 0.36, so we cannot call it significant.", 0),
        ("With n = 60, p = 0.04, so the effect is significant.", 0),
        ("p = 0.36 for A and p = 0.01 for B, so B is significant.", 0),
        ("p = 0.36 here, so only the other one is significant.", 0),
    ],
)
def test_significance(text: str, expected: int) -> None:
    assert n_found(lint_verdicts, text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Its mean is 0.041 for `a.b/c` (minimum 0.003, maximum 0.388).", 0),
        ("Its mean is 0.041 for `a.b/c` (minimum 0.053, maximum 0.388).", 1),
        ("The mean is 48. The threshold has a minimum 0.003, maximum 0.388.", 0),
        ("Smallest 1.2.3, largest 1.2.", 0),
    ],
)
def test_a_mean_lies_within(text: str, expected: int) -> None:
    assert n_found(lint_metric_identities, text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("## Test\n\nWe took 320 answers.\n\n- p = 0.38 for the best.", 0),
        ("## Test\n\nIt went from 33 of 60 to 27 of 60; p = 0.36.", 0),
        ("## Data\n\nWe took 320 answers.\n\n## Test\n\n- p = 0.38 for the best.", 1),
        ("420 short statements.\n\n| raw accuracy |\n|---|\n| 66.2% |", 0),
        ("Some statements.\n\n| raw accuracy |\n|---|\n| 66.2% |", 1),
    ],
)
def test_a_section_gives_its_n(text: str, expected: int) -> None:
    assert n_found(lint_metrics, text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("transformers >= 4.37 (first release with Qwen2 support)", 0),
        ("transformers >= 4.27 (first release with Qwen2 support)", 1),
        ("transformers >= 4.41 for Gemma-2", 1),
        ("transformers >= 4.40 for Gemma", 0),
    ],
)
def test_versions_of_transformers(text: str, expected: int) -> None:
    assert n_found(lint_version_floors, text) == expected


SAES = (SaeFacts("a", d_in=576, d_sae=4608, module_path="model.layers.3.mlp", layer=3),)


def faults(code: str, *bound: str) -> list[int]:
    block = PythonBlock(1, code, ast.parse(code), "", True)
    return [line for line, _ in name_faults((block,), {*dir(builtins), *bound}, SAES)]


def test_what_is_called_is_imported_or_assigned() -> None:
    assert faults("import torch\nw = load_file('a')") == [2]
    assert faults("import torch\nw = load_file('a')", "load_file") == []
    # A fragment, and a name that is left to the reader.
    assert faults("w = load_file('a')") == []
    assert faults("import torch\nh = activations('text')") == []
    assert faults("from x import *\nw = load_file('a')") == []


def test_a_model_that_is_loaded_under_another_name() -> None:
    loaded = "from transformers import AutoModel\nlm = AutoModel.from_pretrained('a')\n"
    assert faults(loaded + "h = model(1)", "AutoModel", "lm", "h") == [3]
    assert faults(loaded + "h = lm(1)", "AutoModel", "lm", "h") == []
    assert faults(loaded + "h = model(lm)", "AutoModel", "lm", "h") == []
    assert faults(loaded + "h = tokenised(1)", "AutoModel", "lm", "h") == []


def test_widths_of_what_is_encoded() -> None:
    code = "x = torch.randn(4, {})\nf = (x - w['b_dec']) @ w['W_enc']"
    assert faults(code.format(768)) == [1]
    assert faults(code.format(576)) == []
    assert faults(code.format(768).replace("W_enc", "W_dec")) == []


def test_lists_of_blocks_by_their_name() -> None:
    assert faults("lm.transformer.h[3].mlp.register_forward_hook(f)") == [1]
    assert faults("lm.model.layers[3].mlp.register_forward_hook(f)") == []
    assert faults("lm.blocks[3].register_forward_hook(f)") == []
