"""Numbers that a template writes itself: found where they are, and none in ours."""

from __future__ import annotations

from pathlib import Path

import pytest

import cards
from validators.readme.template_literals import Literal, NoTemplate, literals_in

TEMPLATES = sorted((Path(cards.__file__).parent / "templates").rglob("*.md.j2"))


def numbers(template: str) -> list[tuple[int, str]]:
    return [(found.line, found.number) for found in literals_in(template)]


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_no_template_of_ours_holds_a_number(path: Path) -> None:
    assert literals_in(path.read_text(encoding="utf-8")) == ()


def test_there_are_templates_to_look_at() -> None:
    assert {"multi_sae.md.j2", "limitations.md.j2"} <= {path.name for path in TEMPLATES}


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_a_number_at_the_end_of_a_template_of_ours_is_found_at_its_line(path: Path) -> None:
    text = path.read_text(encoding="utf-8").rstrip("\n") + "\n\nOf all latents 12.5% are dead.\n"
    assert literals_in(text) == (Literal(text.count("\n"), "12.5%"),)


@pytest.mark.parametrize(
    "template",
    [
        "{{ contents.n_saes | count }} SAEs of {{ 54 }} and {{ '54' }}.",
        "{% if contents.n_saes > 54 %}\nmany\n{% endif %}\n{# 54 of them #}",
        "```python\ntop = 54\n```\n\n~~~\n54\n~~~",
        "Depth is `100 * (layer + 1) / n`, and ``54``.",
        "[the paper](https://arxiv.org/abs/2509.20393) at https://example.org/54",
        '<img src="x.svg" width="600"> <!-- 54 --> &#124; &lt;',
        "1. first\n2. second\n   10) third",
        "SHA-256, L0, float32, bfloat16, fp16, int8, nf4, UTF-8, 4-bit and Apache-2.0.",
    ],
)
def test_values_code_addresses_and_names_are_no_literals(template: str) -> None:
    assert numbers(template) == []


@pytest.mark.parametrize(
    ("template", "found"),
    [
        ("There are 54 SAEs.", [(1, "54")]),
        ("{% for a in b %}\n\n- {{ a }}: 72.4 %\n{% endfor %}", [(3, "72.4 %")]),
        ("{{ '\n\n' }}\nIn 1,327 completions.", [(4, "1,327")]),
        ("{#\n a\n#}\n\n{%- if a -%}\n\n  7 of {{ b }}\n{%- endif %}", [(7, "7")]),
        ("| SAEs | 54 |\n|---|---:|\n", [(1, "54")]),
        ("The top-5 latents, L25, T9.", [(1, "5"), (1, "25"), (1, "9")]),
        ("```\n1\n```\nIn 3 of 4.", [(4, "3"), (4, "4")]),
        ("{% raw %}{{ 54 }}{% endraw %}", [(1, "54")]),
        # A fence that is never closed is code to its end, as Markdown has it.
        ("2 SAEs\n```\n3\n", [(1, "2")]),
    ],
)
def test_a_number_in_the_text_is_found(template: str, found: list[tuple[int, str]]) -> None:
    assert numbers(template) == found


def test_what_is_no_template_is_said_to_be_none() -> None:
    with pytest.raises(NoTemplate) as caught:
        literals_in("fine\n{{ ' }}")
    assert "line 2" in str(caught.value)
