from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifests.yaml_source import YamlProblem, parse_yaml, read_yaml


def test_scalars_follow_the_core_schema() -> None:
    text = "a: no\nb: 3e-4\nc: 1.5\nd: 12\ne: true\nf: null\ng: ~\nh: 2026-04-11\ni: 0x10\nj:\n"
    assert parse_yaml(text, shown_as="x.yaml").data == {
        "a": "no",
        "b": 3e-4,
        "c": 1.5,
        "d": 12,
        "e": True,
        "f": None,
        "g": None,
        "h": "2026-04-11",
        "i": "0x10",
        "j": None,
    }


def test_every_value_has_its_line_and_column() -> None:
    source = parse_yaml("a: 1\nb:\n  c: [x, yy]\n", shown_as="m.yaml")
    assert str(source.origins[("b", "c", 1)]) == "m.yaml:3:10"
    assert str(source.origins[("a",)]) == "m.yaml:1:1"


def test_the_origin_of_a_missing_key_is_its_enclosing_value() -> None:
    source = parse_yaml("a:\n  b: 1\n", shown_as="m.yaml")
    assert source.origin_of(("a", "nothing", 3)) == source.origins[("a",)]


@pytest.mark.parametrize(
    ("text", "message", "place"),
    [
        ("a: 1\na: 2\n", "states the key 'a' twice (first in line 1)", "m.yaml:2:1"),
        ("a: !!python/object:os.system {}\n", "would build an object", "m.yaml:1:4"),
        ("a: !thing 3\n", "carries the tag '!thing'", "m.yaml:1:4"),
        ("1: x\n", "key that is not a string", "m.yaml:1:1"),
        ("true: x\n", "key that is not a string", "m.yaml:1:1"),
        ("a: [1\n", "is not valid YAML", "m.yaml:2:1"),
        ("a: 1\n---\nb: 2\n", "is not valid YAML", "m.yaml:2:1"),
        ("", "is empty", "m.yaml"),
        (f"a: {'9' * 5000}\n", "integer of 5000 digits", "m.yaml:1:4"),
    ],
)
def test_a_refused_form_names_its_place(text: str, message: str, place: str) -> None:
    with pytest.raises(YamlProblem) as caught:
        parse_yaml(text, shown_as="m.yaml")
    assert message in str(caught.value)
    assert caught.value.where == place


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("a:\n\tb: 1\n", "indent with spaces"),
        ("a: 1\n  b: 2\n", "a line indented otherwise"),
        ("a: this: that\n", "needs quotes"),
        ("a: [1\n", "a bracket or a quote left open"),
        ("a: 1\n---\nb: 2\n", "take the line '---' out"),
    ],
)
def test_what_is_not_yaml_gets_advice(text: str, advice: str) -> None:
    with pytest.raises(YamlProblem, match="is not valid YAML") as caught:
        parse_yaml(text, shown_as="m.yaml")
    assert advice in (caught.value.next_step or "")


def test_aliases_that_multiply_are_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 8)]
    with pytest.raises(YamlProblem, match="expands to more than"):
        parse_yaml("\n".join(lines), shown_as="m.yaml")


def test_deep_nesting_is_refused() -> None:
    for depth in (100, 5000):
        with pytest.raises(YamlProblem, match="nested"):
            parse_yaml("[" * depth + "]" * depth, shown_as="m.yaml")


def test_an_alias_used_once_is_an_ordinary_value() -> None:
    assert parse_yaml("a: &x [1]\nb: *x\n", shown_as="m.yaml").data == {"a": [1], "b": [1]}


def test_a_missing_file_says_what_to_do(tmp_path) -> None:
    with pytest.raises(YamlProblem) as caught:
        read_yaml(tmp_path / "absent.yaml")
    assert "cannot be read" in caught.value.what
    assert caught.value.exit_code == 2


def test_a_file_that_is_not_utf8_is_refused(tmp_path) -> None:
    path = tmp_path / "latin.yaml"
    path.write_bytes("a: é\n".encode("latin-1"))
    with pytest.raises(YamlProblem, match="not UTF-8"):
        read_yaml(path)


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused_but_never_crashes(text: str) -> None:
    try:
        source = parse_yaml(text, shown_as="m.yaml")
    except YamlProblem as problem:
        assert problem.where is not None
    else:
        assert source.origins[()].line >= 1
