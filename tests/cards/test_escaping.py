from __future__ import annotations

import ast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from cards.escaping import code_span, code_spans, markdown_text, python_literal

PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
# Characters that mean something to Markdown, HTML, YAML or a terminal, far more often than chance.
HOSTILE = st.text(
    st.one_of(
        st.sampled_from("\\`*_{}[]()#+-.!|~<>&:=\"'$@/ \n\r\t\u2028\u202e\x00\x1b019a;"),
        st.characters(),
    ),
    max_size=60,
)
ATTACKS = [
    "a | b | c",
    "```\nimport os\n```",
    "~~~",
    "<script>alert(1)</script>",
    "<!-- hidden -->",
    "[text](javascript:alert(1))",
    "![image](https://example.org/x.png)",
    "<https://example.org>",
    "[ref]: https://example.org",
    "---\nlicense: mit\n---",
    "===",
    "# heading",
    "heading #",
    "1. item",
    "- item",
    "+ item",
    "> quote",
    "&lt;b&gt;",
    "&#60;b>",
    "*a* **b** _c_ __d__ ~~e~~",
    "a\\",
    "\\| escaped bar",
    "snake_case and _leading_",
    "{{ config }} {% raw %}",
    ":---",
    "    indented code",
]


def with_attacks(test):
    for attack in ATTACKS:
        test = example(attack)(test)
    return test


def one_line(text: str) -> str:
    """What is left of a text whose white space is collapsed, hidden characters replaced."""
    controls = (*range(0x20), *range(0x7F, 0xA0))
    directions = (*range(0x202A, 0x202F), *range(0x2066, 0x206A))
    hidden = {*map(chr, (*controls, *directions, *range(0xD800, 0xE000)))}
    kept = ["\ufffd" if c in hidden and not c.isspace() else c for c in text]
    return " ".join("".join(kept).split())


def plain_text(inline: Token) -> str:
    """The text of an inline token, which must hold nothing but text."""
    assert inline.children is not None
    assert {child.type for child in inline.children} <= {"text", "text_special"}, inline.children
    return "".join(child.content for child in inline.children)


@given(HOSTILE.filter(lambda text: one_line(text) != ""))
@with_attacks
def test_escaped_text_is_one_paragraph_that_reads_as_it_was_written(text: str) -> None:
    tokens = PARSER.parse(f"{markdown_text(text)}\n")
    assert [token.type for token in tokens] == ["paragraph_open", "inline", "paragraph_close"]
    assert plain_text(tokens[1]) == one_line(text)


@given(HOSTILE.filter(lambda text: one_line(text) != ""))
@with_attacks
def test_escaped_text_stays_in_its_table_cell(text: str) -> None:
    table = f"| a | b |\n|---|---|\n| {markdown_text(text)} | second |\n| third | fourth |\n"
    cells = [token for token in PARSER.parse(table) if token.type == "inline"]
    assert [plain_text(cell) for cell in cells] == [
        *("a", "b"),
        *(one_line(text), "second"),
        *("third", "fourth"),
    ]


@given(HOSTILE.filter(lambda text: one_line(text) != ""))
@with_attacks
def test_escaped_text_is_the_whole_of_its_heading_and_of_its_list_item(text: str) -> None:
    tokens = PARSER.parse(f"# {markdown_text(text)}\n\n- {markdown_text(text)}\n")
    assert [token.type for token in tokens] == [
        *("heading_open", "inline", "heading_close"),
        *("bullet_list_open", "list_item_open", "paragraph_open", "inline"),
        *("paragraph_close", "list_item_close", "bullet_list_close"),
    ]
    assert plain_text(tokens[1]) == plain_text(tokens[6]) == one_line(text)


@given(HOSTILE.filter(lambda text: one_line(text) != ""))
@with_attacks
def test_a_code_span_stays_in_its_table_cell_and_shows_the_text(text: str) -> None:
    table = f"| a | b |\n|---|---|\n| {code_span(text)} | second |\n"
    cells = [token for token in PARSER.parse(table) if token.type == "inline"]
    assert [cell.content for cell in cells][-1] == "second" and len(cells) == 4
    children = cells[2].children
    assert children is not None
    tags = [child.content for child in children if child.type == "html_inline"]
    assert tags in ([], ["<code>", "</code>"])
    shown = [c.content for c in children if c.type in ("text", "text_special", "code_inline")]
    assert "".join(shown) == one_line(text)


@given(st.one_of(HOSTILE, st.text(), st.integers(), st.booleans()))
@with_attacks
def test_a_python_literal_is_one_ascii_line_that_evaluates_to_the_value(value: object) -> None:
    source = python_literal(value)
    assert source.isascii() and "\n" not in source
    assert ast.literal_eval(source) == value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("deceptive_only", "deceptive_only"),
        ("version 0.1.0", "version 0.1.0"),
        ("0.1.0", "0.1.0"),
        ("C# and #5", r"C# and \#5"),
        ("https://example.org/a_b?c=1", "https://example.org/a_b?c=1"),
        ("lone \ud800 surrogate", "lone \ufffd surrogate"),
    ],
)
def test_ordinary_text_is_left_readable(text: str, expected: str) -> None:
    assert markdown_text(text) == expected


def test_code_spans_say_so_when_there_is_nothing_to_list() -> None:
    assert code_spans(()) == "none"
    assert code_spans(("a_b", "c|d")) == "`a_b`, <code>c\\|d</code>"
