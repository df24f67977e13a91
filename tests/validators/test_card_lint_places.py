"""What a card and its snippets say of a repository's folders, hooks and sizes, by the configs."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from validators.readme.card_code import code_of
from validators.readme.card_text import CardText, read_card
from validators.readme.config_claims import lint_config_claims
from validators.readme.config_columns import lint_config_columns
from validators.readme.config_sizes import lint_config_sizes
from validators.readme.findings import Finding, SaeFacts, Surroundings
from validators.readme.front_matter import lint_front_matter
from validators.readme.hook_layers import lint_hook_layers
from validators.readme.snippet_facts import snippet_faults
from validators.readme.snippets import python_blocks
from validators.readme.version_floors import lint_version_floors

Lint = Callable[[CardText, Surroundings], Iterable[Finding]]


def sae(layer: int) -> SaeFacts:
    """2 x 512 x 4096 + 4096 + 512 = 4,198,912 parameters of 4 bytes."""
    return SaeFacts(
        f"blocks.{layer}.hook_mlp_out_k32", "topk", 512, 4096, 32, f"blocks.{layer}.hook_mlp_out",
        f"gpt_neox.layers.{layer}.mlp", layer, "tiny/tiny", 16_795_648, 4_198_912,
    )  # fmt: skip


SAES = (sae(0), sae(1), sae(2))
KNOWN = Surroundings(
    n_saes=3, saes=SAES, files=frozenset(f"{each.sae_id}/cfg.json" for each in SAES)
)
STREAM = SaeFacts(
    "l5", "topk", 512, 4096, 32, "blocks.5.hook_resid_post", "model.layers.5", 5, "tiny/tiny"
)


def lines(lint: Lint, text: str) -> list[int]:
    return [finding.line for finding in lint(read_card(text), KNOWN)]


def test_an_id_that_embeds_a_hook_is_no_hook() -> None:
    text = (
        "The hook is `blocks.{layer}.hook_resid_post`.\n\n"
        "Load blocks.1.hook_mlp_out_k32.\n\nOr blocks.1.hook_mlp_out_k64, or blocks.7.hook_mlp_in."
    )
    # Line 5 has an id that is not there, which is R002's, and a hook that no config has.
    assert lines(lint_hook_layers, text) == [1, 5]
    assert lines(lint_hook_layers, text.replace("resid_post", "mlp_out").split("\n\nOr")[0]) == []


def hooks(of_row: str) -> str:
    rows = "".join(
        f"|{n}|`blocks.{n}.{of_row if n == 1 else 'hook_mlp_out'}`|5|\n" for n in range(3)
    )
    return f"|layer|hook|L0|\n|---|---|---|\n{rows}"


@pytest.mark.parametrize(
    ("lint", "right", "old", "new"),
    [
        (lint_config_columns, hooks("hook_mlp_out"), "1.hook_mlp_out", "1.hook_mlp_in"),
        (lint_config_columns, "|layer|SAEs|\n|--|--|\n|0|1|\n|1|1|\n|2|1|", "|2|1|", "|2|3|"),
        (lint_config_columns, "|SAE|L0|\n|--|--|\n|`blocks.1.hook_mlp_out_k32`|31.9|", "31.9",
         "64"),
        (lint_config_columns, "- `blocks.1.hook_mlp_out_k32/cfg.json`", "_k32", "_k321"),
        (lint_config_claims, "# Tiny\n\nThese are 3 TopK SAEs on MLPs.", "are 3", "are 4"),
        (lint_config_claims, "# Tiny\n\nTopK SAEs that are small. There are 3: one for each.",
         "are 3", "are 4"),
        (lint_config_claims, "Tiny. Expansion factor 8.", "8", "16"),
        # 4,198,912 x 4 = 16.8 MB, and three of them 50.4 MB
        (lint_config_sizes, "Each `sae_weights.safetensors` is 16.8 MB in float32.", "16.8", "8.4"),
        (lint_config_sizes, "All of them are small; all 3 are 50.4 MB.", "50.4", "80.4"),
    ],
)  # fmt: skip
def test_what_the_configs_do_not_bear_out(lint: Lint, right: str, old: str, new: str) -> None:
    assert lines(lint, right) == []
    assert len(lines(lint, right.replace(old, new))) == 1


@pytest.mark.parametrize(
    "text",
    [
        # Others' files, a placeholder, and a table of more than these SAEs.
        "`my_own_sae/cfg.json`, `{id}/cfg.json` and `other/sae_weights.safetensors`",
        "|layer|SAEs|\n|--|--|\n|0|1|\n|8|4|\n|9|4|",
        "|hook|\n|--|\n|`blocks.0.hook_mlp_out`|\n|`blocks.1.hook_q`|\n|`blocks.2.hook_k`|",
        "|SAE|L0|\n|--|--|\n|theirs|640|",
    ],
)
def test_what_is_not_about_these_saes(text: str) -> None:
    assert lines(lint_config_columns, text) == []


LOAD = """import torch
from sae_lens import SAE
sae = SAE.from_pretrained("tiny/saes", "l5")
"""
HIDDEN = "with torch.no_grad():\n    h = model(**inputs).hidden_states[6]\nf = sae.encode(h)\n"
CACHE = 'f = sae.encode(cache["blocks.5.hook_resid_post"])\n'
PRINT = "print(sae.cfg.d_in, sae.cfg.d_sae)  # 512 4096\n"


def faults(code: str) -> list[int]:
    blocks = python_blocks(f"```python\n{code}```\n")
    return [line for line, _ in snippet_faults(code_of(blocks), (STREAM,))]


@pytest.mark.parametrize(
    ("code", "old", "new", "line"),
    [
        (LOAD + HIDDEN, "states[6]", "states[5]", 6),
        (LOAD + HIDDEN, "import torch\n", "", 4),
        (LOAD + CACHE, "hook_resid_post", "hook_mlp_out", 5),
        (LOAD + PRINT, "512 4096", "768 4096", 5),
    ],
)
def test_what_a_snippet_gives_to_its_sae(code: str, old: str, new: str, line: int) -> None:
    assert faults(code) == []
    assert faults(code.replace(old, new)) == [line]


@pytest.mark.parametrize(
    "code",
    [
        # Several are compared; another thing is encoded; torch is the reader's own in a fragment.
        LOAD + "a = out.hidden_states[6]\nb = out.hidden_states[5]\nf = sae.encode(a)\n",
        LOAD
        + 'a = cache["blocks.5.hook_mlp_out"]\nb = cache["blocks.5.hook_resid_post"]\nsae(b)\n',
        LOAD + 'probe(cache["blocks.5.hook_mlp_out"])\n',
        LOAD + "h = out.hidden_states[-1]\nf = sae.encode(h)\n",
        "with torch.no_grad():\n    f = sae.encode(h)\n",
        "import torch as t\nimport numpy\nx = t.zeros(3)\n",
    ],
)
def test_what_a_snippet_may_do(code: str) -> None:
    assert faults(code) == []


def test_one_sae_is_returned_since_six() -> None:
    def floors(version: str, code: str) -> int:
        text = f"Requires `sae-lens>={version}`.\n\n```python\n{code}\nprint(sae.cfg)\n```\n"
        return len([*lint_version_floors(read_card(text))])

    one = 'sae = SAE.from_pretrained("a/b", "c")'
    assert floors("3.20", one) == 1
    assert floors("6.0", one) == 0
    assert floors("3.20", 'sae, _, _ = SAE.from_pretrained("a/b", "c")') == 0
    assert floors("3.20", f"{one}[0]") == 0


def test_the_section_on_the_licence_says_what_the_metadata_say() -> None:
    def found(text: str) -> list[int]:
        head = (
            "---\nlicense: apache-2.0\nlibrary_name: saelens\nbase_model: a/b\n"
            "base_model_relation: adapter\ntags:\n- a\n---\n\n"
        )
        return [finding.line for finding in lint_front_matter(read_card(head + text))]

    assert found("## License\n\nMIT, as the base model.") == [12]
    assert found("## License\n\nApache 2.0, as the base model.") == []
    assert found("## License\n\nThe base model is under MIT terms.") == []
    assert found("## Code\n\nMIT.") == []
