"""What cards say of their SAEs, against configs and their own numbers: found, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from validators.readme.card_text import read_card
from validators.readme.config_claims import lint_config_claims
from validators.readme.config_model import differ
from validators.readme.config_rows import lint_config_rows
from validators.readme.config_sizes import lint_config_sizes
from validators.readme.findings import Finding, SaeFacts, Surroundings
from validators.readme.hook_layers import lint_hook_layers


def sae(name: str, layer: int, architecture: str = "topk") -> SaeFacts:
    """Of a model 768 wide: 6,144 latents, 2 x 768 x 6144 + 6144 + 768 = 9,444,096 parameters."""
    return SaeFacts(
        sae_id=name, architecture=architecture, d_in=768, d_sae=6144,
        k=32 if architecture == "topk" else None,
        hook_name=f"blocks.{layer}.hook_resid_post", module_path=f"transformer.h.{layer}",
        layer=layer, model_name="gpt2", n_bytes=37_776_384, n_parameters=9_444_096,
    )  # fmt: skip


TWO = Surroundings(n_saes=2, saes=(sae("l5", 5), sae("l8", 8)), files=frozenset({"README.md"}))
GATED = Surroundings(saes=(sae("l5", 5, "gated"), sae("l8", 8, "gated")))


def lines(found: Iterable[Finding]) -> list[int]:
    return [finding.line for finding in found]


@pytest.mark.parametrize(
    "text",
    [
        "The base model has 12 layers with hidden size 1024.",
        "The base model has 12 layers, residual width 1024 and an MLP.",
        "Each has 6,144 latents, an expansion factor of 16.",
        "Widths: 6,144 latents (16x).",
        "d_in        : 896",
        "We use k = 64 for every SAE.",
        "We steered with latent 7417 of the first.",
        "`x` has shape `[batch, seq, 6144]` and is `hidden_states[9]`.",
        "Each SAE has 7,444,096 parameters.",
        "# Two Gated SAEs on GPT-2",
        "These are JumpReLU SAEs.",
        "Each file has a `threshold` tensor.",
        "Tensors per file: `W_enc`, `W_dec`, `b_gate` and `b_dec`.",
        "k = 32 (5% of the latents)",
        "L0 is 30. At layer 5 that is 4.9% of the dictionary.",
        "Of these, 144 latents never fire, which leaves 5,900 alive.",
    ],
)
def test_what_no_config_bears_out(text: str) -> None:
    assert lines(lint_config_claims(read_card(text), TWO)) == [1]


@pytest.mark.parametrize(
    "text",
    [
        "The base model has 12 layers with hidden size 768.",
        "Unlike GPT-2 XL with hidden size 1600, it is small.",
        "The probe is a network with hidden size 64.",
        "Prior work saw no transfer across Llama / Qwen at d_in=2048.",
        "Cross-model transfer fails at a shared d_in = 2048.",
        "A dictionary of hidden size 6144.",
        "Each has 6,144 latents, an expansion factor of 8.",
        "We also tried an expansion factor of 32.",
        "Expansion factors of 8, 16 and 32 are usual.",
        "6,144 latents (8x), where others have 24,576 latents (32x).",
        "The latent 16k dictionary, and latent 6,144-dimensional space.",
        "We steered with latent 6143, and the latent 6144 wide space.",
        "`encode(hidden_states[9])` has shape `[batch, seq, 6144]`.",
        "Each SAE has 9.4M parameters, or 9,444,096 parameters.",
        "The base model has 124,439,808 parameters.",
        "# TopK SAEs on the gated MLP of GPT-2, beside JumpReLU SAEs",
        "# What a gated MLP does",
        "They are standard SAEs in every other way.",
        "Tensors per file: `W_enc`, `W_dec`, `b_enc`, `b_dec`, no `threshold`.",
        "k = 32 (0.5% of the latents)",
        "k = 32, that is 0.5% of the dictionary.",
        "That is 1.5% of the latents, or 92.",
        "144 latents (2.3%) never fire, which leaves 6,000 alive.",
        "512 latents are active at layer 5, leaving 60 for both.",
    ],
)
def test_what_the_configs_bear_out(text: str) -> None:
    assert lines(lint_config_claims(read_card(text), TWO)) == []


def test_a_saved_batchtopk_may_be_called_topk() -> None:
    known = Surroundings(saes=(sae("l5", 5, "jumprelu"),))
    assert lines(lint_config_claims(read_card("# TopK SAEs on GPT-2"), known)) == []
    assert lines(lint_config_claims(read_card("# TopK SAEs on GPT-2"), GATED)) == [1]


def test_a_library_that_loads_no_saes() -> None:
    text = "---\nlibrary_name: transformers\n---\n"
    assert lines(lint_config_claims(read_card(text), TWO)) == [2]
    assert lines(lint_config_claims(read_card(text.replace("transformers", "saelens")), TWO)) == []
    own = Surroundings(saes=TWO.saes, files=frozenset({"config.json"}))
    assert lines(lint_config_claims(read_card(text), own)) == []


DEAD = """| SAE | EV | dead | dead % |
|---|---|---|---|
| a | 0.9 | 37 | 0.6% |
| b | 0.8 | 61 | 1.0% |
| c | 0.7 | 92 | {} |
"""


def test_a_column_of_shares_of_the_dictionary() -> None:
    # 92 of 6,144 are 1.497%.
    assert lines(lint_config_claims(read_card(DEAD.format("15%")), TWO)) == [5]
    assert lines(lint_config_claims(read_card(DEAD.format("1.5%")), TWO)) == []
    # Shares of something else: no row holds, so nothing is said.
    other = DEAD.replace("0.6%", "7.0%").replace("1.0%", "8.0%")
    assert lines(lint_config_claims(read_card(other.format("15%")), TWO)) == []


def test_an_explained_variance_is_no_number_of_latents() -> None:
    """Most of these SAEs have no dead latent, of which nothing beside it is the count."""
    rows = [f"| {name} | 0.4{at} | {dead}% |" for at, (name, dead) in enumerate(SHARES_OF_DEAD)]
    text = "\n".join(["| SAE | EV | dead |", "|---|---|---|", *rows, ""])
    assert lines(lint_config_claims(read_card(text), TWO)) == []


SHARES_OF_DEAD = (
    ("a", "0.0"), ("b", "0.0"), ("c", "0.0"), ("d", "0.0"), ("e", "0.0"), ("f", "2.6"),
)  # fmt: skip


ROWS = """| SAE | size (fp32) | L0 |
|---|---|---|
| `l5` | 37.8 MB | 32 |
| `l8` | {} | 32 |
| {} | 37.8 MB | 32 |
"""


@pytest.mark.parametrize(
    ("size", "last", "expected"),
    [
        ("37.8 MB", "mean", []),
        ("36 MiB", "total", []),
        ("151.1 MB", "mean", [4]),
        ("37.8 MB", "l9", [5]),
        ("37.8 MB", "raw layer 9", []),
    ],
)
def test_rows_of_saes(size: str, last: str, expected: list[int]) -> None:
    assert lines(lint_config_rows(read_card(ROWS.format(size, last)), TWO)) == expected


def test_a_size_without_a_type_may_be_of_half_the_width() -> None:
    text = ROWS.replace(" (fp32)", "").format("18.9 MB", "mean")
    assert lines(lint_config_rows(read_card(text), TWO)) == []
    text = ROWS.format("18.9 MB", "mean")
    assert lines(lint_config_rows(read_card(text), TWO)) == [4]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("9,444,096 parameters: 37.8 MB in float32 and 18.9 MB in bfloat16.", []),
        ("9,444,096 parameters: 37.8 MB in float32 and 9.4 MB in bfloat16.", [1]),
        ("124M parameters, and an SAE takes 37.8 MB in float32.", []),
        ("One takes 37.8 MB, 2 files 75.6 MB.", []),
        ("One takes 37.8 MB, 2 files 175.6 MB.", [1]),
        ("There are 2 files, 37.8 MB each.", []),
        ("The whole repository is about 76 MB.", []),
        ("The whole repository is about 151 MB.", [1]),
    ],
)
def test_sizes_in_sentences(text: str, expected: list[int]) -> None:
    assert lines(lint_config_sizes(read_card(text), TWO)) == expected


def test_what_else_is_large_may_make_a_repository_larger() -> None:
    known = Surroundings(n_saes=2, saes=TWO.saes, files=frozenset({"activations.npz"}))
    text = read_card("The whole repository is about 151 MB.")
    assert lines(lint_config_sizes(text, known)) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("- **Hook:** `blocks.8.hook_resid_pre`\n\nIn code: `blocks.8.hook_resid_post`", [1]),
        ("We read `blocks.{layer}.hook_mlp_out`.", [1]),
        ("`blocks.8.hook_resid_post`, which is what `blocks.9.hook_resid_pre` is.", []),
        ("- Hook: `blocks.8.hook_resid_post` or `blocks.9.hook_resid_pre`", []),
        ("| Module | `transformer.h.7` |\n|---|---|", [1]),
        ("| Module | `transformer.h.8` |\n|---|---|", []),
        ("| Probed at | `transformer.h.7` |\n|---|---|", []),
        ("Layer 8 is `hidden_states[8]`.", [1]),
        ("Layer 8 is `hidden_states[9]`.", []),
        ("Layer 7, which has no SAE, is `hidden_states[8]`.", []),
        ("It is `hidden_states[9]`, not `hidden_states[8]`.", []),
        ("The last entry, `hidden_states[12]`, is normed.", []),
    ],
)
def test_which_activation_is_named(text: str, expected: list[int]) -> None:
    assert lines(lint_hook_layers(read_card(text), TWO)) == expected


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("HuggingFaceTB/SmolLM-135M", "HuggingFaceTB/SmolLM2-135M", True),
        ("Qwen/Qwen2-0.5B", "Qwen/Qwen2.5-0.5B", True),
        ("meta-llama/Llama-3.2-1B", "unsloth/Llama3.2-1B", False),
        ("NousResearch/Meta-Llama-3-8B", "meta-llama/Llama-3-8B", False),
        ("google/gemma-2-2b", "gemma2-2b", False),
        ("gpt2", "openai-community/gpt2", False),
        ("EleutherAI/pythia-160m-deduped", "EleutherAI/pythia-160m", False),
    ],
)
def test_generations_of_a_model(first: str, second: str, expected: bool) -> None:
    assert differ(first, second) is expected
