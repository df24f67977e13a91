"""Cards, YAML, records and names of strangers: read, or refused with one error that says where."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hostile_inputs import CORPUS, REFUSED
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests.yaml_source import YamlProblem, parse_yaml
from release.importing import names as importing_names
from release.importing.card import MAX_CARD_BYTES, card_facts
from release.importing.names import NameHints, recover_names
from validators.places.meta_model import ModulePathProblem, read_model_config
from validators.presenting.printable import is_printable, name_of, printable
from validators.published_secrets import secrets_in
from validators.reading.repository import stays_inside
from validators.training_record import MAX_BYTES, UnreadableTrainingRecord, read_training_record

FEW = settings(deadline=None, derandomize=True, max_examples=150)
yaml_like = st.text(alphabet="a0:-?[]{},&*!|>'\"#%@`\\ \n\t~.1e+<=\r\ufeff\x85\u2028", max_size=80)
card_like = st.text(
    alphabet="---\n| #[]()`*:=,.nNLk0123SAEs adin_layers\r\u0661\u2028\x1b", max_size=150
)
file_names = st.text(alphabet="ab./\\:\n\x00\x1b \u202e\u2028C-", max_size=12) | st.text()


@FEW
@given(yaml_like | st.text())
def test_any_text_is_yaml_or_one_problem(text: str) -> None:
    try:
        sourced = parse_yaml(text, shown_as="x.yaml")
    except YamlProblem as error:
        assert (error.where or "").startswith("x.yaml")
        return
    json.dumps(sourced.data, allow_nan=False, ensure_ascii=False).encode("utf-8")


@pytest.mark.parametrize("path", sorted((CORPUS / "yaml").iterdir()), ids=lambda path: path.stem)
def test_every_kept_yaml_is_refused_or_harmless(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    if path.name.startswith(REFUSED):
        with pytest.raises(YamlProblem) as caught:
            parse_yaml(text, shown_as="x.yaml")
        assert len(str(caught.value)) < 500
    else:
        assert isinstance(parse_yaml(text, shown_as="x.yaml").data, dict)


def test_yaml_of_a_million_values_is_refused_before_it_is_built() -> None:
    with pytest.raises(YamlProblem, match="holds more than 200000 keys and values"):
        parse_yaml("[" + "a," * 1_000_000 + "a]", shown_as="x.yaml")


@FEW
@given(card_like | st.text())
def test_any_card_gives_facts_that_can_be_written_down(text: str) -> None:
    assert_plain(card_facts(text)[0])
    assert_plain(card_facts(f"---\n{text}\n---\n- {text}\n|{text}|{text}|\n")[0])


@pytest.mark.parametrize(
    "path", sorted((CORPUS / "front_matter").iterdir()), ids=lambda path: path.stem
)
def test_every_kept_card_gives_facts_that_can_be_written_down(path: Path) -> None:
    facts, findings = card_facts(path.read_text(encoding="utf-8"))
    assert_plain(facts)
    assert all(is_printable(finding.found) for finding in findings)


def assert_plain(facts: Any) -> None:
    """Numbers are finite, and title and summary are lines without control characters."""
    assert all(number < 1e300 for number in facts.recipe.values())
    assert all(is_printable(text) for text in (facts.title or "", facts.summary or ""))


@pytest.mark.parametrize("unit", ["[", "[a", "[](", "](", "*a_", "|", "| ", "1 ", "k = ", "\r"])
def test_a_card_of_a_megabyte_of_one_thing_is_read(unit: str) -> None:
    line = f"- {unit * (1_990 // len(unit))}\n"
    facts, _ = card_facts(line * (MAX_CARD_BYTES // len(line)))
    assert facts.title is None
    facts, _ = card_facts(unit * (MAX_CARD_BYTES // len(unit)))
    assert facts.title is None


def test_a_condition_for_each_of_many_names_is_looked_for_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compiled: list[str] = []
    real = re.escape
    monkeypatch.setattr(
        importing_names.re, "escape", lambda word: compiled.append(word) or real(word)
    )
    n = 300
    recover_names({f"a-{i:03}": NameHints(condition=f"c-{i:03}") for i in range(n)})
    # Every architecture for each name, and no condition, since none is part of a name.
    assert len(compiled) == len(importing_names.ARCHITECTURES) * n


@FEW
@given(st.dictionaries(st.text(max_size=20), st.builds(NameHints, condition=st.text(max_size=9))))
def test_any_folder_names_follow_a_template_or_are_odd(hints: dict[str, NameHints]) -> None:
    recovered = recover_names(hints)
    assert {*recovered.cells, *recovered.odd} == hints.keys()


@FEW
@given(st.binary(max_size=200) | yaml_like.map(str.encode))
def test_any_training_record_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.mktemp("record") / "training.json"
    path.write_bytes(content)
    with pytest.raises(UnreadableTrainingRecord) as caught:
        read_training_record(path)
    assert len(str(caught.value)) < 2_000


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[" * 1_000, "nested too deeply"),
        (b"{" + b'"a":1,' * 500_000, "more than 500000 strings"),
        (b" " * (MAX_BYTES + 1), "is longer than 16000000 bytes"),
        (b'{"saes": {"' + b"k" * 100_000 + b'": 1}}', "is damaged at "),
        (b'{"format": 1}', "is damaged at format"),
        (b'"\xff"', "is damaged at its start"),
    ],
)
def test_a_training_record_that_costs_too_much_is_refused(
    tmp_path: Path, content: bytes, message: str
) -> None:
    (tmp_path / "training.json").write_bytes(content)
    with pytest.raises(UnreadableTrainingRecord, match=message) as caught:
        read_training_record(tmp_path / "training.json")
    assert len(str(caught.value)) < 2_000


@pytest.mark.parametrize(
    "content", [b"[" * 900_000, b'{"a": ' + b"9" * 5_000 + b"}", b"\xff", b"[]", b" " * 1_000_001]
)
def test_the_config_of_a_base_model_is_refused_in_its_own_error(
    tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(ModulePathProblem):
        read_model_config(tmp_path / "config.json")


@FEW
@given(file_names)
def test_a_path_that_stays_inside_does_so_on_every_system(path: str) -> None:
    from pathlib import PurePosixPath, PureWindowsPath

    if not stays_inside(path):
        return
    for flavour in (PurePosixPath, PureWindowsPath):
        joined = flavour("root") / flavour(path)
        assert joined.parts[0] == "root" and ".." not in joined.parts
    assert path.encode("utf-8") and len(path.splitlines()) == 1


@FEW
@given(file_names | st.text(alphabet=st.characters(categories=["C", "Z"])))
def test_what_is_shown_of_any_name_is_one_harmless_line(name: str) -> None:
    text = name_of(name)
    assert is_printable(text) and len(text.splitlines()) <= 1
    assert text.encode("utf-8") is not None
    assert "\x1b" not in printable(name) and "\u202e" not in printable(name)


@FEW
@given(st.text())
def test_no_text_at_random_holds_a_secret(text: str) -> None:
    assert secrets_in(text) == []


_LETTERS = "aQ7bW3cE9dR5eT1fY8gU2hI6jO4kP0lAsDfXcVbNmZqWeRtYuIoP"


@pytest.mark.parametrize(
    ("token", "kind"),
    [
        (f"hf_{_LETTERS[:34]}", "a Hugging Face token"),
        (f"sk-{_LETTERS[:48]}", "an OpenAI key"),
        (f"sk-proj-{_LETTERS}", "an OpenAI key"),
        (f"sk-ant-api03-{_LETTERS}", "an Anthropic key"),
        (f"ghp_{_LETTERS[:36]}", "a GitHub token"),
        (f"AKIA{_LETTERS.upper()[:16]}", "an AWS access key"),
        (f"AIza{_LETTERS[:35]}", "a Google API key"),
        (f"-----BEGIN RSA {'PRIVATE'} KEY-----", "a private key"),
    ],
)
def test_a_secret_is_told_by_kind_and_line(token: str, kind: str) -> None:
    assert secrets_in(f'first\n{{"token": "{token}"}}\n') == [(2, kind)]
    assert secrets_in(f"x{token}") == []


@pytest.mark.parametrize("unit", ["hf_", "sk-", "-----BEGIN ", "A", "ghp_a", "AKIA", "xoxb-a"])
def test_a_megabyte_that_looks_like_the_start_of_a_secret_is_none(unit: str) -> None:
    assert secrets_in(unit * (1_000_000 // len(unit))) == []
