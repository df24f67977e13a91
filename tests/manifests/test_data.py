"""What a manifest may say about its data: completions with labels, or plain text without."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from manifests.data import Data, DataNotAtHand, HubDataset

COMPLETIONS: dict[str, Any] = {
    "file": "rows.jsonl",
    "sha256": "a" * 64,
    "description": "Answers.",
    "label_rule": "By hand.",
    "pooling": "last_token",
    "held_out": {"fraction": 0.2},
    "conditions": {"mixed": {"labels": ["deceptive", "honest"]}},
}
TEXT: dict[str, Any] = {
    "file": "texts",
    "sha256": "a" * 64,
    "text": {"context_size": 128},
    "description": "Prose.",
    "pooling": "every_token",
    "held_out": {"fraction": 0.2},
    "conditions": {"everything": {}},
}


def data(stated: dict[str, Any], **changes: Any) -> Data:
    return Data.model_validate(
        {key: value for key, value in (stated | changes).items() if value != "absent"}
    )


@pytest.mark.parametrize("stated", [COMPLETIONS, TEXT])
def test_data_that_is_complete_is_at_hand(stated: dict[str, Any]) -> None:
    at_hand = data(stated).at_hand()
    assert (at_hand.file, at_hand.sha256) == (stated["file"], "a" * 64)
    assert at_hand.pooling == stated["pooling"]


def test_completions_may_give_every_token() -> None:
    assert data(COMPLETIONS, pooling="every_token").at_hand().pooling == "every_token"


@pytest.mark.parametrize(
    ("stated", "changes", "said"),
    [
        (COMPLETIONS, {"conditions": {"all": {}}}, "conditions.all names no labels"),
        (COMPLETIONS, {"label_rule": "absent"}, "label_rule is missing"),
        (COMPLETIONS, {"sha256": "absent"}, "file has no sha256 beside it"),
        (COMPLETIONS, {"file": "absent"}, "sha256 belongs to a file or a dataset"),
        (TEXT, {"pooling": "last_token"}, "pooling is last_token, but plain text"),
        (TEXT, {"label_rule": "By hand."}, "label_rule belongs to completions"),
        (
            TEXT,
            {"scenarios": [{"id": "a", "kind": "incentive"}]},
            "scenarios belong to completions",
        ),
        (TEXT, {"conditions": {"a": {"labels": ["honest"]}}}, "conditions.a names labels"),
        (TEXT, {"conditions": {"a": {}, "b": {}}}, "so one condition, not 2"),
        (TEXT, {"text": {"context_size": 1}}, "greater than or equal to 2"),
        (TEXT, {"text": {"context_size": 8, "skip_first": 8}}, "leaves nothing of contexts of 8"),
    ],
)
def test_what_cannot_be_true_is_refused(
    stated: dict[str, Any], changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValidationError, match=said):
        data(stated, **changes)


def test_a_data_set_at_a_fixed_revision_is_at_hand_by_its_name() -> None:
    dataset = {"id": "someone/rows", "revision": "v1"}
    stated = data(COMPLETIONS, file="absent", dataset=dataset)
    assert stated.at_hand().file == "someone/rows@v1"
    moving = data(COMPLETIONS, file="absent", dataset={"id": "someone/rows"})
    with pytest.raises(DataNotAtHand, match=r"leaves data\.dataset\.revision open"):
        moving.at_hand()
    unread = data(COMPLETIONS, file="absent", dataset=dataset, sha256="absent")
    with pytest.raises(DataNotAtHand, match=r"leaves data\.sha256 open"):
        unread.at_hand()


def test_a_data_set_is_named_with_what_tells_it_apart() -> None:
    assert HubDataset(id="a/b").name == "a/b"
    named = HubDataset(id="a/b", revision="v1", config="en", split="test")
    assert named.name == "a/b@v1 (en, test)"
