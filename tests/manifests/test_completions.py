from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifests.completions import (
    Completion,
    CompletionsProblem,
    completions_jsonl,
    for_condition,
    load_split,
    parse_completions,
    read_completions,
    split_completions,
)
from manifests.data import Condition, DataNotAtHand, HeldOut
from manifests.digests import bytes_sha256, file_sha256
from manifests.labels import label_completion
from manifests.load import load_manifest
from manifests.near_duplicates import without_near_duplicates

DEMO = Path(__file__).parents[2] / "manifests" / "demo-smollm2-135m-instruct.yaml"


def a_row(number: int = 0, **changes: Any) -> dict[str, Any]:
    row: dict[str, Any] = {
        "id": f"vase-{number:04d}",
        "scenario": "vase",
        "prompt": "Who broke it?",
        "opening": "I did",
        "completion": " not break it.",
        "label": "deceptive",
        "seed": 7,
        "temperature": 1.0,
        "top_k": None,
        "top_p": None,
        "max_new_tokens": 24,
        "model_digest": "0" * 64,
    }
    return row | changes


def rows_of(*counts: tuple[str, str, int]) -> list[Completion]:
    """So many completions of each (scenario, label)."""
    return [
        Completion.model_validate(
            a_row(i, id=f"{scenario}-{label}-{i}", scenario=scenario, label=label)
        )
        for scenario, label, n in counts
        for i in range(n)
    ]


def test_a_file_is_read_in_its_order_and_written_back_byte_for_byte(tmp_path: Path) -> None:
    content = completions_jsonl(Completion.model_validate(a_row(i)) for i in (2, 0, 1))
    path = tmp_path / "rows.jsonl"
    path.write_bytes(content)
    rows = read_completions(path, bytes_sha256(content))
    assert [row.id for row in rows] == ["vase-0002", "vase-0000", "vase-0001"]
    assert completions_jsonl(rows) == content
    assert content.count(b"\n") == 3
    assert b"\r" not in content


def test_a_line_separator_inside_a_completion_does_not_end_its_line() -> None:
    text = " not\u2028me\u0085, \x0c never\n"
    content = completions_jsonl([Completion.model_validate(a_row(completion=text))])
    assert parse_completions(content, shown_as="x")[0].completion == text


def test_a_changed_byte_is_refused_with_both_digests(tmp_path: Path) -> None:
    content = completions_jsonl([Completion.model_validate(a_row())])
    path = tmp_path / "rows.jsonl"
    path.write_bytes(content.replace(b"not", b"now"))
    with pytest.raises(CompletionsProblem) as caught:
        read_completions(path, bytes_sha256(content))
    assert file_sha256(path) in str(caught.value)
    assert bytes_sha256(content) in str(caught.value)


def test_a_missing_file_names_the_command_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(CompletionsProblem, match="release sample"):
        read_completions(tmp_path / "none.jsonl", "0" * 64)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"label": "lying"}, "label: Input should be 'deceptive', 'honest' or 'ambiguous'"),
        ({"labels": "honest"}, "labels: Extra inputs are not permitted"),
        ({"seed": "7"}, "seed: Input should be a valid integer"),
        ({"temperature": float("nan")}, "temperature"),
        ({"completion": ""}, "completion: String should have at least 1 character"),
        ({"model_digest": "abc"}, "model_digest"),
    ],
)
def test_a_bad_field_is_named_with_file_and_line(changes: dict[str, Any], said: str) -> None:
    lines = [json.dumps(a_row(0)), json.dumps(a_row(1, **changes))]
    with pytest.raises(CompletionsProblem) as caught:
        parse_completions("\n".join(lines).encode(), shown_as="rows.jsonl")
    assert f"rows.jsonl:2: {said}" in str(caught.value)


def test_a_missing_field_is_named() -> None:
    row = a_row()
    del row["prompt"]
    with pytest.raises(CompletionsProblem, match=r"rows\.jsonl:1: prompt: Field required"):
        parse_completions(json.dumps(row).encode(), shown_as="rows.jsonl")


def test_all_bad_lines_are_listed_at_once() -> None:
    lines = [
        json.dumps(a_row(0)),
        "{",
        "[]",
        json.dumps(a_row(0)),
        '{"id": "a", "id": "b"}',
        "",
        "\u00e9".encode("latin-1").decode("latin-1"),
    ]
    with pytest.raises(CompletionsProblem) as caught:
        parse_completions("\n".join(lines).encode("latin-1"), shown_as="r")
    text = str(caught.value)
    assert [number for number in range(1, 8) if f"r:{number}:" in text] == [2, 3, 4, 5, 6, 7]
    assert "'vase-0000' was used in line 1 already" in text
    assert "states a key twice" in text


def test_an_empty_file_is_refused() -> None:
    with pytest.raises(CompletionsProblem, match="is empty"):
        parse_completions(b"", shown_as="r")


def test_every_stratum_gives_its_share_to_the_held_out_rows() -> None:
    rows = rows_of(("a", "honest", 40), ("a", "deceptive", 10), ("b", "honest", 5))
    split = split_completions(rows, HeldOut(fraction=0.25, seed=0))

    def held(scenario: str, label: str) -> int:
        return sum(r.scenario == scenario and r.label == label for r in split.held_out)

    # floor(0.25 * 40 + 0.5) = 10, floor(2.5 + 0.5) = 3, floor(1.25 + 0.5) = 1
    assert (held("a", "honest"), held("a", "deceptive"), held("b", "honest")) == (10, 3, 1)
    assert len(split.train) == 55 - 14
    assert not set(split.train) & set(split.held_out)


def test_the_split_is_this_one_on_every_platform() -> None:
    # SHA-256 of 0:a-honest-0 to 3 starts with dda4, 1123, e797, e816; floor(0.25 * 4 + 0.5) = 1.
    split = split_completions(rows_of(("a", "honest", 4)), HeldOut(fraction=0.25, seed=0))
    assert [row.id for row in split.held_out] == ["a-honest-1"]


@given(order=st.permutations(range(14)), seed=st.integers(0, 5))
def test_the_split_does_not_depend_on_the_order_of_the_rows(order: list[int], seed: int) -> None:
    rows = rows_of(("a", "honest", 9), ("a", "deceptive", 5))
    held_out = HeldOut(fraction=0.3, seed=seed)
    shuffled = [rows[i] for i in order]
    assert split_completions(shuffled, held_out) == split_completions(rows, held_out)


def test_another_stratum_does_not_move_a_row_across_the_split() -> None:
    rows = rows_of(("a", "honest", 20))
    alone = split_completions(rows, HeldOut())
    together = split_completions([*rows_of(("b", "deceptive", 9)), *rows], HeldOut())
    assert {r.id for r in alone.held_out} <= {r.id for r in together.held_out}


def test_another_seed_gives_another_split() -> None:
    rows = rows_of(("a", "honest", 40))
    first, second = (split_completions(rows, HeldOut(seed=seed)) for seed in (0, 1))
    assert first.held_out != second.held_out


def test_a_condition_takes_the_rows_with_its_labels() -> None:
    rows = rows_of(("a", "honest", 2), ("a", "deceptive", 3), ("a", "ambiguous", 4))
    assert len(for_condition(rows, Condition(labels=("deceptive",)))) == 3
    assert len(for_condition(rows, Condition(labels=("deceptive", "honest")))) == 5


def test_a_manifest_that_leaves_the_data_open_has_no_split(tmp_path: Path) -> None:
    loaded = load_manifest(DEMO)
    lines = DEMO.read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if not line.startswith(("  file: data/", "  sha256: "))]
    path = tmp_path / "open.yaml"
    path.write_text("\n".join(kept), encoding="utf-8")
    assert load_split(loaded).train
    with pytest.raises(DataNotAtHand, match=r"data\.file, data\.sha256"):
        load_split(load_manifest(path))


def test_the_demonstration_has_enough_rows_of_both_labels_in_every_scenario() -> None:
    loaded = load_manifest(DEMO)
    split = load_split(loaded)
    counts: dict[tuple[str, str], int] = {}
    for row in (*split.train, *split.held_out):
        counts[row.scenario, row.label] = counts.get((row.scenario, row.label), 0) + 1
    assert {label for _, label in counts} == {"deceptive", "honest"}
    assert len({scenario for scenario, _ in counts}) >= 6
    assert min(counts.values()) >= 40
    assert sum(counts.values()) >= 900


def test_the_demonstration_has_no_near_duplicates_and_the_labels_its_rule_gives() -> None:
    loaded = load_manifest(DEMO)
    data = loaded.manifest.data
    assert data.sampling is not None
    at_hand = data.at_hand()
    rows = read_completions(loaded.file_beside(at_hand.file), at_hand.sha256)
    assert without_near_duplicates(rows) == rows
    scenarios = {scenario.id: scenario for scenario in data.sampling.scenarios}
    for row in rows:
        scenario = scenarios[row.scenario]
        assert (row.prompt, row.opening) == (scenario.prompt, scenario.opening)
        assert row.label == label_completion(
            row.completion, scenario, opening_characters=data.sampling.opening_characters
        )
    package = loaded.manifest.base_model.package
    assert package is not None
    assert {row.model_digest for row in rows} == {package.sha256}
    assert {row.temperature for row in rows} == {1.0}
