"""Architectures that a config's metadata alone tells, and words in names that mean another one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from manifests.progress import Silent
from manifests.sae_recipes import saved_architecture
from release.importing.base_config import BaseModelFacts
from release.importing.names import Cell, NameHints, recover_names
from release.importing.stage import Imported, import_repository
from validators.reading.local_repository import LocalRepository

# No file states it, so a draft assumes the usual 1/32.
AUXILIARY = {"auxiliary_coefficient": 0.03125}
LLAMA = BaseModelFacts(model_type="llama", n_layers=30, d_model=16)
Save = Callable[..., None]


def run(folder: Path) -> Imported:
    return import_repository(
        LocalRepository(folder), find_base_model=lambda _: LLAMA, progress=Silent()
    )


def fails(imported: Imported) -> list[str]:
    return [each.found for each in imported.findings if each.severity == "fail"]


@pytest.fixture
def save(tmp_path: Path, write_sae: Any, config_of: Any) -> Save:
    """`save(name, trained_as, **details)`: an SAE of layer 3, as SAELens saves what was trained."""

    def write(name: str, trained_as: str, **details: Any) -> None:
        saved_as = saved_architecture(trained_as)  # type: ignore[arg-type]
        cfg = config_of("owner/model", saved_as, 3, "mixed", nested=True)
        cfg["metadata"] |= {
            "training_architecture": trained_as,
            "training_architecture_details": details,
        }
        write_sae(tmp_path / "repository" / name, cfg)

    return write


def test_what_the_metadata_says_was_trained_becomes_the_architecture(
    save: Save, tmp_path: Path
) -> None:
    save("tiny_batchtopk_L3_mixed", "batchtopk", k=6)
    save("tiny_matryoshka_batchtopk_L3_mixed", "matryoshka_batchtopk", k=7,
         matryoshka_widths=[16, 32, 64])  # fmt: skip
    save("tiny_standard_L3_mixed", "standard")
    save("tiny_jumprelu_L3_mixed", "jumprelu")
    imported = run(tmp_path / "repository")
    assert imported.data["saes"]["id"] == "tiny_{architecture}_L{layer}_{condition}"
    assert imported.data["saes"]["architectures"] == [
        *("jumprelu", "batchtopk", "matryoshka_batchtopk", "standard")
    ]
    recipe = imported.data["recipe"]
    assert recipe["batchtopk"] == {"k": 6, **AUXILIARY}
    # d_sae is 64, which SAELens counts as the last width and the manifest does not.
    assert recipe["matryoshka_batchtopk"] == {"k": 7, **AUXILIARY, "widths": [16, 32]}
    assert recipe["standard"] == {"l1_coefficient": 0.05}
    assert "recipe.standard.l1_coefficient" in imported.assumed
    assert "recipe.batchtopk.k" not in imported.assumed
    assert fails(imported) == []


def test_a_batchtopk_sae_may_be_named_after_its_file(save: Save, tmp_path: Path) -> None:
    save("tiny_jumprelu_L3_mixed", "batchtopk", k=6)
    imported = run(tmp_path / "repository")
    assert imported.data["saes"]["id"] == "tiny_jumprelu_L{layer}_{condition}"
    assert imported.data["saes"]["architectures"] == ["batchtopk"]
    assert fails(imported) == []


def test_without_metadata_the_file_decides_as_before(
    tmp_path: Path, write_sae: Any, config_of: Any
) -> None:
    cfg = config_of("owner/model", "jumprelu", 3, "mixed", nested=True)
    write_sae(tmp_path / "repository" / "tiny_batchtopk_L3_mixed", cfg)
    imported = run(tmp_path / "repository")
    assert imported.data["saes"]["id"] == "tiny_batchtopk_L{layer}_{condition}"
    assert imported.data["saes"]["architectures"] == ["jumprelu"]


def test_a_trained_architecture_that_the_file_cannot_hold_is_not_believed(
    tmp_path: Path, write_sae: Any, config_of: Any
) -> None:
    cfg = config_of("owner/model", "gated", 3, "mixed", nested=True)
    cfg["metadata"]["training_architecture"] = "batchtopk"
    write_sae(tmp_path / "repository" / "tiny_gated_L3_mixed", cfg)
    assert run(tmp_path / "repository").data["saes"]["architectures"] == ["gated"]


def test_thresholds_fixed_at_zero_are_drafted_so_where_every_config_says_it(
    save: Save, tmp_path: Path
) -> None:
    save("tiny_jumprelu_L3_mixed", "jumprelu", threshold="fixed_at_zero")
    imported = run(tmp_path / "repository")
    assert imported.data["recipe"]["jumprelu"] == {"threshold": "fixed_at_zero"}
    save("tiny_jumprelu_L3_honest_only", "jumprelu", threshold="learned")
    assert "threshold" not in run(tmp_path / "repository").data["recipe"]["jumprelu"]


@pytest.mark.parametrize("details", [{"k": "six"}, {"k": -1}, "six", None, [6]])
def test_details_of_the_wrong_type_count_as_not_stated(
    tmp_path: Path, write_sae: Any, config_of: Any, details: Any
) -> None:
    cfg = config_of("owner/model", "jumprelu", 3, "mixed", nested=True)
    cfg["metadata"] |= {
        "training_architecture": "batchtopk",
        "training_architecture_details": details,
    }
    write_sae(tmp_path / "repository" / "tiny_batchtopk_L3_mixed", cfg)
    assert run(tmp_path / "repository").data["recipe"]["batchtopk"] == {"k": None, **AUXILIARY}


@pytest.mark.parametrize(
    ("name", "stated", "template", "architecture"),
    [
        ("a_matryoshka_batchtopk_L3", None, "a_{architecture}_L{layer}", "matryoshka_batchtopk"),
        ("a_batchtopk_L3", None, "a_{architecture}_L{layer}", "batchtopk"),
        ("a_batch_topk_L3", "batchtopk", "a_batch_topk_L{layer}", "batchtopk"),
        # The word `topk` is a part of another one here.
        ("a_batch-topk_L3", "jumprelu", "a_batch-topk_L{layer}", "jumprelu"),
        ("standard_prompts_topk_L3", "topk", "standard_prompts_{architecture}_L{layer}", "topk"),
        ("standard_prompts_topk_L3", None, "standard_prompts_{architecture}_L{layer}", "topk"),
        ("a_standard_L3", "standard", "a_{architecture}_L{layer}", "standard"),
    ],
)
def test_words_of_architectures_in_names(
    name: str, stated: str | None, template: str, architecture: Any
) -> None:
    recovered = recover_names({name: NameHints(architecture=stated, condition="mixed")})
    assert recovered.template == template
    assert recovered.cells[name] == Cell(3, architecture, "mixed", "")


@pytest.mark.parametrize(
    ("words", "is_wrong"),
    [
        ("BatchTopK (k=6), Gated", False),
        ("Batch TopK (k=6), Gated", False),
        ("JumpReLU, Gated", False),
        ("TopK (k=6), Gated", True),
        ("BatchTopK (k=6)", True),
        ("the standard BatchTopK (k=6), and Gated", False),
    ],
)
def test_a_card_may_call_a_batchtopk_sae_by_either_name(
    save: Save, tmp_path: Path, words: str, is_wrong: bool
) -> None:
    save("tiny_batchtopk_L3_mixed", "batchtopk", k=6)
    save("tiny_gated_L3_mixed", "gated")
    (tmp_path / "repository" / "README.md").write_text(
        f"- 2 architectures: {words}\n", encoding="utf-8"
    )
    found = [each.found for each in run(tmp_path / "repository").findings]
    assert any("lists architectures" in each for each in found) is is_wrong
