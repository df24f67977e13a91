"""What a manifest of the same repository decided about its card: no import brings it back."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import yaml

from cards.stage import README, render
from manifests.build_folder import BuildFolder
from manifests.facts import PageResolution
from manifests.load import ManifestError, load_manifest
from manifests.progress import Silent
from release.cli import main
from release.importing.base_config import BaseModelFacts
from release.importing.decided import Decisions, decide, registered_decisions
from release.importing.stage import Imported, import_repository
from validators.reading.local_repository import LocalRepository

LLAMA = BaseModelFacts(model_type="llama", n_layers=12, d_model=16)
REPO_ID = "someone/tiny-saes"
CARD = """# SAEs of a tiny model

Two sparse autoencoders on a tiny model.

- MSE: 0.0123
- Original d_max = 0.753

GPU: Some GPU 9000 (4 GB VRAM, driver 12.3)

## Training

Completions of **a single** prompt
were sampled from one model at temperature 0.7.

## Limitations

**Half-trained model:** The model was stopped early. A model that was trained to the end may differ.

**Short texts:** The completions are short. Longer ones behave alike.

```python
repo_id = "someone/tiny-saes"
```
"""


def resolution(*corrections: dict[str, str], **own: str) -> PageResolution:
    return PageResolution.model_validate(
        {"found": "Line 9 says it.", "resolved": "It is not so.", **own, "corrections": corrections}
    )


@pytest.fixture
def imported(tmp_path, write_sae, config_of):  # type: ignore[no-untyped-def]
    """`imported(*resolutions, caveats={})`: the import of CARD with what was decided about it."""

    def run(
        *resolutions: PageResolution, caveats: dict[str, str] | None = None, find=None
    ) -> Imported:  # type: ignore[no-untyped-def]
        root = tmp_path / "tiny-saes"
        if not root.exists():
            for layer in (3, 5):
                cfg = config_of("owner/model", "topk", layer, "mixed")
                write_sae(root / f"tiny_topk_L{layer}_mixed", cfg)
            (root / "README.md").write_text(CARD, encoding="utf-8", newline="\n")
        decisions = Decisions("tiny.yaml", resolutions, caveats or {})
        return import_repository(
            LocalRepository(root),
            find_base_model=lambda _: LLAMA,
            find_decisions=find or {REPO_ID: decisions}.get,
            progress=Silent(),
        )

    return run


def carried(draft: Imported) -> str:
    """The draft's text without the resolutions, which quote what was left out."""
    data = {key: value for key, value in draft.data.items() if key != "resolutions"}
    return yaml.safe_dump(data, allow_unicode=True, width=10_000)


def test_words_that_were_decided_against_are_not_carried(imported) -> None:
    words = "Half-trained model"
    assert words in carried(imported())
    draft = imported(resolution({"words": words}))
    assert words not in carried(draft)
    assert "trained to the end" not in carried(draft)
    assert "The completions are short. Longer ones behave alike." in carried(draft)


def test_a_sentence_is_left_out_of_a_paragraph_that_keeps_the_rest(imported) -> None:
    draft = imported(resolution({"words": "Longer ones behave alike"}))
    caveats = {each["title"]: each["text"] for each in draft.data["caveats"]}
    assert caveats["Short texts"] == "The completions are short."


def test_a_resolution_names_the_manifest_the_lines_and_the_words(imported) -> None:
    decided = resolution({"words": "Half-trained model"}, {"words": "no such words"})
    draft = imported(decided)
    first = draft.data["resolutions"][0]
    # The caveat begins on the 17th line of CARD.
    assert CARD.splitlines()[16].startswith("**Half-trained model")
    assert first == {
        "found": "Line 9 says it.",
        "resolved": "It is not so. Decided in tiny.yaml, for README.md line 17.",
        "corrections": [{"words": "Half-trained model"}],
    }


def test_words_that_the_card_does_not_have_are_reported_and_nothing_is_dropped(imported) -> None:
    draft = imported(resolution({"words": "The model was not stopped"}))
    (finding,) = (each for each in draft.findings if each.where == "tiny.yaml")
    assert finding.severity == "warn"
    assert "'The model was not stopped'" in finding.found
    assert carried(draft) == carried(imported())
    assert "resolutions" not in draft.data


def test_resolutions_without_words_are_counted(imported) -> None:
    draft = imported(resolution(), resolution({"words": "Longer ones"}))
    notes = [each.found for each in draft.findings if each.where == "tiny.yaml"]
    assert notes == ["1 of its 2 resolutions name no words of the page"]


def test_what_is_true_instead_stands_where_the_words_stood(imported) -> None:
    draft = imported(
        resolution({"words": "of a single prompt were", "instead": "of nine prompts were"})
    )
    # Marks and the line break on the page are no part of the words.
    assert draft.data["data"]["description"] == (
        "Completions of nine prompts were sampled from one model at temperature 0.7."
    )
    assert draft.data["data"]["temperature"] == 0.7


def test_a_number_is_matched_whole(imported) -> None:
    names = [each["value"] for each in imported().data["reported"]]
    assert 0.753 in names
    part = imported(resolution({"words": "Original d_max = 0.75"}))
    assert 0.753 in [each["value"] for each in part.data["reported"]]
    whole = imported(resolution({"words": "Original d_max = 0.753"}))
    assert [each["value"] for each in whole.data["reported"]] == [0.0123]


def test_memory_that_was_decided_against_leaves_the_machine_and_brings_its_caveat(imported) -> None:
    assert imported().data["hardware"]["ran_on"]["memory_gb"] == 4
    title = "It does not fit the GPU"
    decided = resolution({"words": "4 GB VRAM"}, caveat=title)
    draft = imported(decided, caveats={title: "Its embeddings alone take five."})
    assert draft.data["hardware"]["ran_on"] == {
        "device": "Some GPU 9000", "software": "driver 12.3",
    }  # fmt: skip
    assert {"title": title, "text": "Its embeddings alone take five."} in draft.data["caveats"]
    assert draft.data["resolutions"][0]["caveat"] == title
    assert draft.loads


def test_lines_keep_their_numbers_where_words_are_replaced() -> None:
    text = "One of\ntwo lines, then\nthe third"
    correction = {"words": "One of two lines", "instead": "Both"}
    decided = decide(text, Decisions("tiny.yaml", (resolution(correction),)))
    assert decided.text.splitlines() == ["Both", ", then", "the third"]
    longer = {"words": "One of two lines", "instead": "Each of them"}
    decided = decide(text, Decisions("tiny.yaml", (resolution(longer),)))
    assert decided.text.splitlines() == ["Each of", "them, then", "the third"]


def test_a_draft_decides_for_the_import_after_it(imported, tmp_path) -> None:
    folder = tmp_path / "manifests"
    folder.mkdir()
    draft = imported(resolution({"words": "Half-trained model"}))
    (folder / "draft.yaml").write_text(draft.text, encoding="utf-8", newline="\n")
    again = imported(find=partial(registered_decisions, manifests=folder))
    assert "Half-trained model" not in carried(again)
    assert again.data["resolutions"][0]["resolved"] == (
        "It is not so. Decided in draft.yaml, for README.md line 17."
    )
    assert registered_decisions("someone/else", manifests=folder) is None
    loaded = load_manifest(folder / "draft.yaml")
    render(loaded, BuildFolder(tmp_path / "build"), progress=Silent())
    card = (tmp_path / "build" / "repository" / README).read_text(encoding="utf-8")
    assert "Half-trained" not in card
    assert "Longer ones behave alike" in card


def test_the_command_goes_by_the_manifests_in_its_folder(imported, tmp_path, capsys) -> None:
    folder, out = tmp_path / "manifests", tmp_path / "again.yaml"
    folder.mkdir()
    draft = imported(resolution({"words": "Half-trained model"}))
    (folder / "draft.yaml").write_text(draft.text, encoding="utf-8", newline="\n")
    command = ["import", str(tmp_path / "tiny-saes"), "--out", str(out)]
    # No study file says of which type the base model is, so neither draft loads yet.
    assert main([*command, "--manifests", str(folder)]) == 1
    text = out.read_text(encoding="utf-8")
    assert "Half-trained" not in text[: text.index("resolutions:")]
    said = " ".join(capsys.readouterr().err.split())
    assert "has words that 1 of the resolutions of draft.yaml correct" in said
    assert main([*command, "--force", "--manifests", str(tmp_path / "empty")]) == 1
    assert "Half-trained" in out.read_text(encoding="utf-8")


def test_a_manifest_is_refused_whose_resolution_names_no_caveat_of_it(imported, tmp_path) -> None:
    draft = imported(resolution({"words": "Half-trained model"}))
    data = yaml.safe_load(draft.text)
    data["resolutions"][0]["caveat"] = "Nowhere"
    path = Path(tmp_path / "draft.yaml")
    path.write_text(yaml.safe_dump(data), encoding="utf-8")
    with pytest.raises(ManifestError, match="'Nowhere', which is not there"):
        load_manifest(path)
