"""What an import carries of a paragraph in which a check, or a person, found something."""

from __future__ import annotations

import pytest

from release.importing.card_faults import find_faults
from release.importing.card_lines import card_lines, has_markup, paragraphs
from release.importing.decided import Correction, Place
from release.importing.stated_numbers import stated_numbers
from release.importing.stated_texts import StatedTexts, stated_texts
from validators.readme.card_text import read_card
from validators.readme.findings import SaeFacts, Surroundings


def texts_of(body: str, *wrong: str, saes: tuple[SaeFacts, ...] = ()) -> StatedTexts:
    """The texts of a card with these words found wrong, each in the one line it stands in."""
    text = f"# A card\n\n{body}\n"
    card = read_card(text)
    places = [
        Place(Correction(words=words), number, words)
        for words in wrong
        for number, line in enumerate(text.splitlines(), 1)
        if words in line
    ]
    assert len(places) == len(wrong)
    lines = card_lines(card)
    parts = tuple(paragraphs(lines, has_markup=has_markup(card)))
    return stated_texts(lines, parts, find_faults(card, Surroundings(saes=saes), places))


def caveats_of(body: str, *wrong: str, saes: tuple[SaeFacts, ...] = ()) -> dict[str, str]:
    texts = texts_of(f"## Limitations\n\n{body}", *wrong, saes=saes)
    return {each.title: each.text for each in texts.caveats}


def test_sentences_without_a_finding_stay() -> None:
    body = "**Small pool:** The pool is small. All runs agree. Seeds were not varied."
    assert caveats_of(body, "All runs agree") == {
        "Small pool": "The pool is small. Seeds were not varied."
    }


@pytest.mark.parametrize(
    "hanging",
    [
        "This is why nothing else was tried.",
        "It was therefore stopped.",
        "However, one run failed.",
        "Combined with the other pool, twenty runs agree.",
        "The same holds elsewhere.",
        "Both were stopped.",
        "Which of them failed is open.",
    ],
)
def test_a_sentence_that_hangs_on_one_that_is_left_out_goes_with_it(hanging: str) -> None:
    body = f"**Small pool:** All runs agree. {hanging} Seeds were not varied."
    assert caveats_of(body, "All runs agree") == {"Small pool": "Seeds were not varied."}
    # Behind a sentence that stays, it stays.
    assert hanging in caveats_of(body)["Small pool"]


def test_a_subject_of_its_own_does_not_hang() -> None:
    body = "**Small pool:** All runs agree. These SAEs saw few vectors."
    assert caveats_of(body, "All runs agree") == {"Small pool": "These SAEs saw few vectors."}


def test_a_paragraph_that_opens_with_a_claim_is_left_out_as_a_whole() -> None:
    body = "**These SAEs find lies.** They were tested on lies. Seeds were not varied."
    assert caveats_of(body, "tested on lies") == {}
    assert "These SAEs find lies" in caveats_of(body)


def test_a_paragraph_whose_label_is_wrong_is_left_out_as_a_whole() -> None:
    body = "**Half-trained model:** It was stopped early. Seeds were not varied."
    assert caveats_of(body, "Half-trained model") == {}


def test_nothing_stays_of_a_paragraph_with_one_sentence() -> None:
    assert caveats_of("**Small pool:** All runs agree with it.", "All runs agree") == {}


def test_uses_are_left_out_as_a_whole() -> None:
    body = "## Intended uses\n\n- A baseline for trainers. All of them agree on it."
    assert texts_of(body, "All of them agree").uses.recommended == ()
    assert len(texts_of(body).uses.recommended) == 1


@pytest.mark.parametrize("mark", ["**The fix ({}):**", "**The fix** ({}):", "The fix ({}):"])
def test_a_date_stays_in_a_title_and_other_asides_do_not(mark: str) -> None:
    text = "Thresholds are learned since then, and gradients reach them."
    for aside, title in (
        ("2026-04-11", "The fix (2026-04-11)"),
        ("11 April 2026", "The fix (11 April 2026)"),
        ("since April 2026", "The fix (April 2026)"),
        ("all 30 SAEs", "The fix"),
    ):
        assert caveats_of(f"{mark.format(aside)} {text}") == {title: text}


def test_a_threshold_of_all_saes_is_said_of_those_that_have_one() -> None:
    saes = tuple(SaeFacts(sae_id=name, architecture=name) for name in ("topk", "jumprelu"))
    body = (
        "**JumpReLU threshold not learned (all SAEs):** All plain SAEs have threshold = 0. "
        "About half of d_sae is active."
    )
    assert caveats_of(f"2 architectures: TopK, JumpReLU\n\n{body}", saes=saes) == {
        "JumpReLU threshold not learned": (
            "All plain JumpReLU SAEs have threshold = 0. About half of d_sae is active."
        )
    }


def test_a_source_that_says_something_else_is_cut_out_of_its_sentence() -> None:
    # The paper's estimator has a rectangle kernel: R020.
    source = "(Rajamanoharan et al. 2024, arXiv:2407.14435)"
    body = f"**The fix:** The code has a Gaussian-kernel STE {source}. Gradients reach thresholds."
    assert caveats_of(body) == {
        "The fix": "The code has a Gaussian-kernel STE. Gradients reach thresholds."
    }
    inline = (
        "**The fix:** As in arXiv:2407.14435 a Gaussian kernel is used. Gradients reach thresholds."
    )
    assert caveats_of(inline) == {"The fix": "Gradients reach thresholds."}


def test_context_keeps_what_stands_and_not_the_description_of_the_data_again() -> None:
    sampled = "Completions were sampled from one prompt, and each was judged by a model."
    body = (
        "## Research context\n\n"
        "This follows a paper on how models hide from others what they know. "
        f"{sampled} It is the first study of all."
    )
    whole = texts_of(body)
    assert whole.description == sampled
    # The last sentence hangs on the one that stands elsewhere, so all stays.
    assert whole.context == (body.splitlines()[-1],)
    part = texts_of(body, "the first study of all")
    assert part.context == ("This follows a paper on how models hide from others what they know.",)


def test_items_on_other_models_are_caveats_in_a_section_on_transfer() -> None:
    items = (
        "1. Same model, 8-bit: likely works, since little changes.\n"
        "2. Tiny-4B (larger variant): No transfer. Another d_model (2560, not 1536).\n"
        "3. owner/tiny-1.5B-it: Unlikely. Trained on other texts.\n"
    )
    texts = texts_of(f"## Portability\n\n{items}", "Unlikely")
    assert {each.title: each.text for each in texts.caveats} == {
        "On another model, Tiny-4B (larger variant)": (
            "No transfer. Another d_model (2560, not 1536)."
        ),
        "On another model, owner/tiny-1.5B-it": "Trained on other texts.",
    }
    assert texts_of(f"## Results\n\n{items}").caveats == ()


def test_a_count_keeps_how_the_rest_of_its_total_splits() -> None:
    card = read_card("# A card\n\n8/9 STE conditions beat TopK (0 collapses, 1 inconclusive).\n")
    lines = card_lines(card)
    parts = tuple(paragraphs(lines, has_markup=has_markup(card)))
    (number,) = stated_numbers(lines, parts, find_faults(card, Surroundings()), {}, d_sae=None)
    assert number.name == "STE conditions beat TopK (0 collapses, 1 inconclusive)"
    assert (number.value, number.out_of) == (8, 9)
