from __future__ import annotations

from manifests.completions import Completion
from manifests.near_duplicates import similarity, without_near_duplicates, word_shingles


def a_row(number: int, completion: str, scenario: str = "vase") -> Completion:
    return Completion(
        id=f"{scenario}-{number}",
        scenario=scenario,
        prompt="Who broke it?",
        opening="I did",
        completion=completion,
        label="honest",
        seed=0,
        temperature=1.0,
        max_new_tokens=24,
        model_digest="0" * 64,
    )


def test_shingles_are_three_consecutive_words_without_case_and_punctuation() -> None:
    assert word_shingles(' "It" was, the CAT.') == {("it", "was", "the"), ("was", "the", "cat")}
    assert word_shingles(" not.") == {("not",)}


def test_similarity_is_shared_over_all() -> None:
    a, b = word_shingles("a b c d e"), word_shingles("a b c d x")
    # {abc, bcd, cde} and {abc, bcd, cdx}: 2 shared of 4
    assert similarity(a, b) == 0.5


def test_the_first_of_two_equal_texts_is_kept() -> None:
    rows = [a_row(0, " not break it."), a_row(1, " Not break it!"), a_row(2, " break it.")]
    assert [row.id for row in without_near_duplicates(rows)] == ["vase-0", "vase-2"]


def test_four_fifths_of_the_shingles_shared_is_a_repetition_and_less_is_not() -> None:
    first = "a b c d e f g h i j k"  # 9 shingles
    # one word changed at the end: 8 shared, 10 in all, 0.8
    at_the_limit = a_row(1, "a b c d e f g h i j x")
    # two words changed at the end: 7 shared, 11 in all, 0.64
    below = a_row(2, "a b c d e f g h i y x")
    rows = (a_row(0, first), at_the_limit, below)
    assert [row.id for row in without_near_duplicates(rows)] == ["vase-0", "vase-2"]


def test_another_scenario_may_say_the_same() -> None:
    rows = (a_row(0, " not."), a_row(0, " not.", scenario="cake"))
    assert without_near_duplicates(rows) == rows


def test_removing_repetitions_twice_changes_nothing() -> None:
    rows = [a_row(i, f" word{i % 3} and {i % 2} so on and so forth") for i in range(12)]
    once = without_near_duplicates(rows)
    assert len(once) == 6
    assert without_near_duplicates(once) == once
