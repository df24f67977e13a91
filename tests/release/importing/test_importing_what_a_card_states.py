"""What a card states beyond its matrix: carried with its line, but for what is wrong on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from cards.stage import README, render
from manifests.build_folder import BuildFolder
from manifests.facts import Citation
from manifests.load import load_manifest
from manifests.progress import Silent
from release.importing.base_config import BaseModelFacts
from release.importing.card_faults import LINTS, NOT_ABOUT_WORDS, find_faults
from release.importing.stage import Imported, import_repository
from validators.check import Passed
from validators.checks import readme_names, readme_numbers, readme_page
from validators.reading.local_repository import LocalRepository
from validators.readme.linted import card_text, surroundings
from validators.registry import all_checks
from validators.subjects import RepositorySubject

MODULES = (readme_names, readme_numbers, readme_page)
LLAMA = BaseModelFacts(model_type="llama", n_layers=12, d_model=16)
PAPER = Citation(
    key="one2024", title="Lies in Small Models", authors=("Ann One", "Ben Two"), year=2024,
    arxiv="2401.12345",
)  # fmt: skip

MARKED = """---
license: mit
---

# SAEs of a tiny model

Six sparse autoencoders on a tiny model.

## Results

| Metric | Value |
|---|---|
| Peak layer | L5 |
| Peak balanced accuracy | ~81% |
| Peak AUROC | 0.861 |
| Best SAE probe accuracy | 83.4% (tiny_topk_L3_mixed) |
| SAEs beating raw baseline | 4/6 (67%) |

On the held-out split (n=120):

| SAE | explained variance | L0 | honest rate |
|---|---|---|---|
| tiny_topk_L3_mixed | 0.91 ± 0.02 | 8.0 | 0.55 |
| tiny_topk_L5_mixed | 0.88 ± 0.03 | 8.0 | 0.61 |

- seed=7: reseeded d_max = 0.4412345678901, top-10 feature overlap = 3/10
- MSE: 0.0123

The largest d (max Cohen's d = 0.52 for TopK L5 mixed) stands out. At L3 the ranking is
TopK (70.1\u201374.5%). The L3 raw baseline of 60.25% is lower.
In one run 61.0% was reached versus 55.0%, a gain of +7.0pp.
Mean STE accuracy = 66.0% vs TopK = 61.5%, and 5/6 STE conditions agree.
Of all runs 13 of 20 (60%) came out well, and a paired t-test gave p<0.003.

## Training

Completions were sampled from one model at temperature 0.7.
They were labelled by a keyword rule on the first word.
Two readers agreed with the labels on 92% of them.

- Hardware: Some GPU 9000 (6 GB VRAM, driver 12.3, compute capability 8.6), Ubuntu 24.04
- Software: torch 2.8.1, transformers 5.9.0 (in a virtual environment)
- Effective precision: ~3.1 bits/parameter (nf4)

```python
bnb = BitsAndBytesConfig(
    load_in_4bit=True,
    bnb_4bit_quant_type="nf4",
    bnb_4bit_use_double_quant=True,
    bnb_4bit_compute_dtype=torch.bfloat16,
)
```

Trained: 2025-11-02T10:00:00

## Limitations

**Short texts.** The completions are short, and longer ones may behave in another way.

**STE.** Trained with a Gaussian-kernel STE (Rajamanoharan et al. 2024), which may not suit all.

## Intended uses

- A baseline for other trainers.

**Not recommended for:** monitoring people, or anything that has consequences for them.

## Citation

Part of the study: someone/all-tiny-saes. Code: https://github.com/someone/tiny-saes

```bibtex
@article{one2024,
  title={Lies in Small Models},
  author={One, Ann},
  journal={arXiv:2401.12345},
  year={2024}
}
```

    repo_id = "someone/tiny-saes"
"""

PASTED = """Tiny deception SAEs

A page that was copied from a browser, without its marks.

Key Findings

Metric Value
Peak layer L5
Peak balanced accuracy 74.2%
Best SAE probe accuracy 78.0% (tiny_jumprelu_L3_mixed)

representation balanced accuracy AUROC
raw activations 0.475 ± 0.215 0.500
this SAE 0.525 ± 0.094 0.525

Training Details

Parameter Value
Hardware Some GPU 9000, 6 GB VRAM, Windows 11 Pro
Epochs 40
Training conditions mixed (n=90)

  • architectures: TopK, JumpReLU

Known Limitations

JumpReLU threshold not learned (all SAEs): All SAEs here have threshold = 0. Half of them may fire.

Small pool: Ninety completions are few, and results on them may not hold elsewhere.

Loading Example

from safetensors.torch import load_file
# Step one of two
repo_id = "someone/tiny-saes"
weights = load_file("tiny_topk_L3_mixed/sae_weights.safetensors")

Limitations of the example

The example reads one file, and whoever wants them all has to write a loop.
"""


@pytest.fixture
def imported(tmp_path: Path, write_sae: Any, config_of: Any) -> Any:
    """`imported(text, find_paper)` of six tiny SAEs with this card."""

    def run(text: str, find_paper: Any = lambda _: None) -> Imported:
        root = tmp_path / "repository"
        for layer in (3, 4, 5):
            for architecture in ("topk", "jumprelu"):
                cfg = config_of("owner/model", architecture, layer, "mixed")
                write_sae(root / f"tiny_{architecture}_L{layer}_mixed", cfg)
        (root / "README.md").write_text(text, encoding="utf-8", newline="\n")
        return import_repository(
            LocalRepository(root),
            find_base_model=lambda _: LLAMA,
            find_paper=find_paper,
            progress=Silent(),
        )

    return run


def by_name(imported: Imported) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in imported.data["reported"]}


def readme_checks() -> list[Any]:
    return [c for c in all_checks() for module in MODULES if c in vars(module).values()]


def line_of(text: str, words: str) -> str:
    number = next(n for n, line in enumerate(text.splitlines(), 1) if words in line)
    return f"README.md line {number}"


def test_numbers_of_a_two_column_table_keep_metric_layer_total_and_line(imported) -> None:
    found = by_name(imported(MARKED))
    assert found["Peak balanced accuracy"] == {
        "name": "Peak balanced accuracy", "metric": "balanced_accuracy", "value": 81.0,
        "approximate": True, "unit": "%", "layer": 5,
        "source": line_of(MARKED, "| Peak balanced"),
    }  # fmt: skip
    assert found["Peak AUROC"]["value"] == 0.861
    best = found["Best SAE probe accuracy"]
    # Whether it is balanced is not said, and it stands below one that is.
    assert best["metric"] == "unspecified_accuracy"
    assert (best["sae_id"], best["layer"]) == ("tiny_topk_L3_mixed", 3)
    beating = found["SAEs beating raw baseline"]
    assert (beating["value"], beating["out_of"], beating["unit"]) == (4, 6, "count")


def test_numbers_of_a_wide_table_keep_spread_and_the_line_above_as_split(imported) -> None:
    found = by_name(imported(MARKED))
    variance = found["explained variance, SAE tiny_topk_L3_mixed"]
    assert (variance["value"], variance["plus_minus"]) == (0.91, 0.02)
    assert variance["split"] == "On the held-out split (n=120)"
    assert found["L0, SAE tiny_topk_L5_mixed"]["metric"] == "l0"
    assert found["honest rate, SAE tiny_topk_L5_mixed"]["value"] == 0.61


def test_numbers_of_lists_and_sentences_are_carried(imported) -> None:
    found = by_name(imported(MARKED))
    # 0.4412345678901 has more digits than can mean anything: R022.
    assert found["seed 7: reseeded d_max"]["value"] == 0.441
    overlap = found["seed 7: top-10 feature overlap"]
    assert (overlap["value"], overlap["out_of"]) == (3, 10)
    assert found["MSE"]["value"] == 0.0123
    largest = found["max Cohen's d"]
    assert (largest["value"], largest["sae_id"]) == (0.52, "tiny_topk_L5_mixed")
    assert found["lowest TopK at L3"]["value"] == 70.1
    assert found["highest TopK at L3"]["value"] == 74.5
    assert found["raw accuracy at L3"]["value"] == 60.25
    assert found["Mean STE accuracy"]["value"] == 66.0
    assert found["TopK, beside Mean STE accuracy"]["value"] == 61.5
    tested = next(each for each in found.values() if each["metric"] == "p_value")
    assert (tested["value"], tested["bound"]) == (0.003, "below")
    (ste,) = (e for e in found.values() if e["metric"] == "conditions_in_which_ste_beats_topk")
    assert (ste["value"], ste["out_of"]) == (5, 6)


def test_what_a_check_finds_is_left_out_and_listed_for_a_person(imported) -> None:
    draft = imported(MARKED)
    text = draft.text
    listed = " ".join(f"{each['found']} {each['resolved']}" for each in draft.data["resolutions"])
    carried = text[: text.index("resolutions:")]
    # 61.0 - 55.0 is 6.0; 13/20 is 65%; nf4 takes more than 4 bits; the paper has a rectangle.
    for code, wrong in (("R007", "7.0pp"), ("R006", "60%"), ("R011", "3.1 bits"),
                        ("R020", "Gaussian")):  # fmt: skip
        assert f"{code}." in listed
        assert wrong not in carried
    assert line_of(MARKED, "+7.0pp") in listed
    (note,) = (each for each in draft.findings if "findings of R" in each.found)
    assert note.severity == "note"
    assert draft.exit_code == 0


def test_limitations_and_uses_are_carried_paragraph_by_paragraph(imported) -> None:
    draft = imported(MARKED)
    caveats = {each["title"]: each["text"] for each in draft.data["caveats"]}
    assert caveats["Short texts"].startswith("The completions are short")
    assert "STE" not in caveats
    assert "The largest d has no null distribution" in caveats
    assert draft.data["uses"]["recommended"] == ["A baseline for other trainers."]
    assert draft.data["uses"]["not_recommended"] == [
        "Monitoring people, or anything that has consequences for them."
    ]


def test_machine_precision_links_and_labels_are_carried(imported) -> None:
    data = imported(MARKED).data
    assert data["hardware"]["ran_on"] == {
        "device": "Some GPU 9000", "memory_gb": 6, "compute_capability": "8.6",
        "system": "Ubuntu 24.04",
        "software": "driver 12.3, torch 2.8.1, transformers 5.9.0",
    }  # fmt: skip
    assert data["base_model"]["precision"] == {
        "weights": "nf4", "compute": "bf16", "double_quantization": True,
    }  # fmt: skip
    assert data["code"] == "https://github.com/someone/tiny-saes"
    assert data["collection"] == "someone/all-tiny-saes"
    assert data["data"]["label_rule"].startswith("They were labelled by a keyword rule")
    assert data["data"]["label_precision"].startswith("Two readers agreed with the labels")
    assert data["data"]["temperature"] == 0.7
    assert by_name_of(data)["MSE"]["date"] == "2025-11-02"


def by_name_of(data: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in data["reported"]}


def test_a_work_is_cited_as_the_card_does_unless_it_is_known_better(imported) -> None:
    (as_stated,) = imported(MARKED).data["citations"]
    assert as_stated == {
        "key": "one2024", "title": "Lies in Small Models", "authors": ["Ann One"], "year": 2024,
        "arxiv": "2401.12345", "url": "https://arxiv.org/abs/2401.12345",
    }  # fmt: skip
    known = imported(MARKED, {PAPER.arxiv: PAPER}.get)
    assert known.data["citations"][0]["authors"] == ["Ann One", "Ben Two"]
    # One author of two is a finding now that both are known.
    assert any("R021" in each["resolved"] for each in known.data["resolutions"])


def test_a_page_without_markup_is_read_by_its_lines(imported) -> None:
    draft = imported(PASTED)
    found = by_name(draft)
    assert draft.data["title"] == "Tiny deception SAEs"
    assert draft.data["summary"].startswith("A page that was copied")
    assert found["Peak balanced accuracy"]["layer"] == 5
    assert found["Best SAE probe accuracy"]["sae_id"] == "tiny_jumprelu_L3_mixed"
    raw = found["balanced accuracy, representation raw activations"]
    assert (raw["value"], raw["plus_minus"]) == (0.475, 0.215)
    assert found["AUROC, representation this SAE"]["value"] == 0.525
    assert draft.data["hardware"]["ran_on"]["system"] == "Windows 11 Pro"
    assert draft.data["recipe"]["epochs"] == 40
    assert draft.data["data"]["conditions"]["mixed"]["n"] == 90
    caveats = {each["title"]: each["text"] for each in draft.data["caveats"]}
    assert caveats["Small pool"].startswith("Ninety completions")
    # Half of the SAEs have no threshold: R012. It is said of those that have one.
    assert caveats["JumpReLU threshold not learned"] == (
        "All JumpReLU SAEs here have threshold = 0. Half of them may fire."
    )
    assert draft.data["recipe"]["jumprelu"] == {"threshold": "fixed_at_zero"}
    # A comment in code that lost its block is no heading, and code is no text.
    assert "Step one" not in draft.text
    assert "load_file" not in draft.text


def test_a_peak_without_an_sae_is_said(imported) -> None:
    text = PASTED.replace("Peak layer L5", "Peak layer L11").replace(
        "  • architectures", "  • Layers: L3, L4, L5\n  • architectures"
    )
    caveats = {each["title"]: each["text"] for each in imported(text).data["caveats"]}
    assert "L11" in caveats["No SAE at the layer of the peak"]


def test_a_number_of_saes_that_cannot_be_is_no_total(imported) -> None:
    text = PASTED.replace(
        "Peak layer L5", "SAEs beating raw baseline 2/9 (30%)\nPeak layer L5"
    ).replace("  • architectures", "  • 9 SAEs across 3 layers (L3, L4, L5)\n  • architectures")
    beating = by_name(imported(text))["SAEs beating raw baseline"]
    # 2/9 is 22%, and there are six SAEs: the count of two is what remains.
    assert beating["value"] == 2
    assert "out_of" not in beating


@pytest.mark.parametrize("text", [MARKED, PASTED])
def test_a_draft_loads_renders_and_says_what_is_not_known(imported, tmp_path, text) -> None:
    draft = imported(text)
    assert draft.loads
    assert yaml.safe_load(draft.text) == draft.data
    path = tmp_path / "draft.yaml"
    path.write_text(draft.text, encoding="utf-8", newline="\n")
    loaded = load_manifest(path)
    build = BuildFolder(tmp_path / "build" / "draft")
    render(loaded, build, progress=Silent())
    card = (build.repository / README).read_text(encoding="utf-8")
    for number in loaded.manifest.reported:
        assert number.source in card
    assert "No file of the repository states it." in card
    assert "7.0pp" not in card


def test_without_a_card_nothing_is_stated(imported, tmp_path) -> None:
    draft = imported("\n")
    assert {"reported", "caveats", "citations", "resolutions", "uses"}.isdisjoint(draft.data)
    assert draft.data["data"]["description"].startswith("Not known")


def test_every_check_of_a_cards_words_is_asked() -> None:
    assert set(LINTS) == {check.code for check in readme_checks()} - set(NOT_ABOUT_WORDS)


@pytest.mark.parametrize("text", [MARKED, PASTED])
def test_the_checks_of_a_repository_find_what_an_import_finds(text, tmp_path, monkeypatch) -> None:
    (tmp_path / "README.md").write_text(text, encoding="utf-8", newline="\n")
    subject = RepositorySubject(LocalRepository(tmp_path), None, progress=Silent())
    found: set[tuple[str, int, str]] = set()
    for check in readme_checks():
        if check.needs_manifest or check.code in NOT_ABOUT_WORDS:
            continue

        def recorded(subject, lint, code=check.code) -> Passed:  # type: ignore[no-untyped-def]
            found.update((code, each.line, each.what) for each in lint(card_text(subject)))
            return Passed()

        for module in MODULES:
            monkeypatch.setattr(module, "linted", recorded, raising=False)
        check.ask(subject)
    faults = find_faults(card_text(subject), surroundings(subject))
    assert found
    assert {(fault.code, fault.line, fault.what) for fault in faults.all} == found
