"""Which text the token-level activations are read on."""

from __future__ import annotations

from benchmarks.token_activations import CONTEXT, Document, contexts_of, each_paragraph_once

LICENCE = "Permission is granted to everybody. " * 10
OWN = "What this one does nobody else does. " * 10


def test_a_paragraph_that_two_documents_share_is_read_once() -> None:
    first = Document("a", f"{OWN}\n\n{LICENCE}")
    second = Document("b", f"{'  '.join(LICENCE.split())}\n\n{OWN.replace('one', 'other')}")
    kept, n_repeated = each_paragraph_once([first, second])
    assert n_repeated == 1
    assert "Permission" in kept[0].text
    assert "Permission" not in kept[1].text


def test_a_document_of_repeated_paragraphs_alone_is_dropped() -> None:
    kept, n_repeated = each_paragraph_once([Document("a", LICENCE), Document("b", LICENCE)])
    assert [document.source for document in kept] == ["a"]
    assert n_repeated == 1


def test_a_long_document_gives_eight_contexts_and_a_short_rest_none() -> None:
    assert [len(c) for c in contexts_of(range(20 * CONTEXT))] == [CONTEXT] * 8
    # 128 + 31 tokens: the rest is below 32.
    assert [len(c) for c in contexts_of(range(CONTEXT + 31))] == [CONTEXT]
    assert [len(c) for c in contexts_of(range(CONTEXT + 32))] == [CONTEXT, 32]


def test_about_one_document_in_ten_is_held_out_by_its_text_alone() -> None:
    documents = [Document("a", f"text {number}") for number in range(2000)]
    n_held_out = sum(document.is_held_out for document in documents)
    # 200 expected, with a standard deviation of sqrt(2000 * 0.1 * 0.9) = 13.4.
    assert 140 < n_held_out < 260
    assert Document("b", "text 7").is_held_out == Document("a", "text 7").is_held_out
