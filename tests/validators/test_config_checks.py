"""Checks of a config, where they amount to less than a failure, or to nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from manifests.progress import Silent
from validators.reading.local_repository import LocalRepository
from validators.registry import checks_up_to
from validators.report import Outcome
from validators.runner import run_checks
from validators.saelens.config_values import nearest, texts
from validators.subjects import RepositorySubject

SECRET = "hf_" + 34 * "a"
CONFIG: dict[str, Any] = {
    "architecture": "topk",
    "d_in": 16,
    "d_sae": 64,
    "k": 8,
    "dtype": "float32",
    "device": "cpu",
    "apply_b_dec_to_input": True,
    "normalize_activations": "none",
}
METADATA: dict[str, Any] = {
    "sae_lens_version": "6.54.12",
    "model_name": "gpt2",
    "hook_name": "blocks.8.hook_resid_post",
}


def write(root: Path, folder: str, *, metadata: dict[str, Any] | None = None, **cfg: Any) -> None:
    (root / folder).mkdir(parents=True)
    content = {**CONFIG, **cfg, "metadata": {**METADATA, **(metadata or {})}}
    (root / folder / "cfg.json").write_text(json.dumps(content), encoding="utf-8")
    (root / folder / "sae_weights.safetensors").write_bytes(b"")


def outcomes(root: Path) -> dict[tuple[str, str], Outcome]:
    checks = tuple(c for c in checks_up_to("static") if c.code[0] == "C" or c.code == "F004")
    needed = {code for c in checks for code in c.requires}
    checks += tuple(c for c in checks_up_to("static") if c.code in needed and c not in checks)
    order = [c for c in checks_up_to("static") if c in checks]
    subject = RepositorySubject(LocalRepository(root), None, progress=Silent())
    return {(o.code, o.subject): o for o in run_checks(subject, tuple(order), Silent())}


def outcome(root: Path, code: str, **changes: Any) -> Outcome:
    write(root, "sae", **changes)
    return outcomes(root)[code, "sae"]


@pytest.mark.parametrize("setting", ["layer_norm", "constant_norm_rescale"])
def test_normalising_every_vector_is_noted_on_someone_elses_sae(
    setting: str, tmp_path: Path
) -> None:
    assert outcome(tmp_path, "C008", normalize_activations=setting).outcome == "noted"


@pytest.mark.parametrize(
    ("architecture", "expected"), [("temporal", "noted"), ("standard", "failed")]
)
def test_a_constant_scale_is_for_temporal_saes_alone(
    architecture: str, expected: str, tmp_path: Path
) -> None:
    found = outcome(
        tmp_path, "C008", architecture=architecture, normalize_activations="constant_scalar_rescale"
    )
    assert found.outcome == expected


@pytest.mark.parametrize(
    ("old", "expected"),
    [
        ({"activation_fn": "topk", "activation_fn_kwargs": {"k": 8}}, "warned"),
        ({"activation_fn_str": "topk", "hook_point": "blocks.8.hook_resid_post"}, "warned"),
        ({"activation_fn": "relu"}, "failed"),
        ({"activation_fn_kwargs": {"k": 9}}, "failed"),
        ({"hook_point": "blocks.7.hook_resid_post"}, "failed"),
        ({"scaling_factor": 2.0}, "failed"),
    ],
)
def test_an_old_key_that_says_the_same_is_a_warning(
    old: dict[str, Any], expected: str, tmp_path: Path
) -> None:
    assert outcome(tmp_path, "C010", **old).outcome == expected


def test_a_token_is_never_printed(tmp_path: Path) -> None:
    found = outcome(tmp_path, "C021", metadata={"deep": [{"er": f"use {SECRET}"}]})
    assert found.outcome == "failed"
    assert found.found == "a Hugging Face token in metadata.deep[0].er"
    every = " ".join(o.found + o.expected for o in outcomes(tmp_path).values())
    assert SECRET not in every


@pytest.mark.parametrize(
    "text",
    [
        "blocks.8.hook_resid_post",
        "HuggingFaceTB/SmolLM2-135M-Instruct",
        "monology/pile-uncopyrighted@v1.0",
        "git@github.com:owner/repository.git",
        "https://huggingface.co/datasets/owner/name?split=train",
        "sk-learn",
        "hf_hub",
        "https://example.org/home/page",
        "a/home/b",
        "0" * 40,
    ],
)
def test_what_is_neither_secret_nor_private_passes(text: str, tmp_path: Path) -> None:
    write(tmp_path, "sae", metadata={"note": text, "sequence_separator_token": "bos"})
    found = outcomes(tmp_path)
    assert [c for c in ("C012", "C021", "C022") if found[c, "sae"].outcome != "passed"] == []


@pytest.mark.parametrize(
    "text", ["/home/jane/data", "file:///home/jane/x", "csv:/mnt/disk/x.csv", "D:\\data", "~/data",
             "\\\\server\\share", "see /Users/jane/run7"]
)  # fmt: skip
def test_paths_of_machines(text: str, tmp_path: Path) -> None:
    assert outcome(tmp_path, "C012", metadata={"note": text}).outcome == "warned"


def test_an_unknown_key_is_named_with_the_nearest_that_is_absent(tmp_path: Path) -> None:
    cfg = {"reshapeActivations": "none", "favourite": 1}
    found = outcome(tmp_path, "C014", **cfg)
    assert found.outcome == "warned"
    assert found.found == (
        "SAELens drops 'favourite', 'reshapeActivations' (meant: reshape_activations)"
    )


def test_any_key_may_stand_in_metadata(tmp_path: Path) -> None:
    found = outcome(tmp_path, "C015", metadata={"trained_by": "us", "explained_variance": 0.8})
    assert found.outcome == "passed"


@pytest.mark.parametrize(
    ("folder", "expected"),
    [
        ("topk_L8_k8", "passed"),
        ("layer_8/width_64", "passed"),
        ("layer_9", "warned"),
        ("gated_L8", "warned"),
        ("topk_k16", "warned"),
        ("topk_x8", "warned"),
        ("width_16k", "warned"),
        ("anything", "passed"),
    ],
)
def test_a_folder_is_held_against_its_config(folder: str, expected: str, tmp_path: Path) -> None:
    write(tmp_path, folder)
    assert outcomes(tmp_path)["C023", folder].outcome == expected


@pytest.mark.parametrize("folder", ["L7", "L8"])
def test_what_goes_into_a_block_comes_out_of_the_one_before(folder: str, tmp_path: Path) -> None:
    write(tmp_path, folder, metadata={"hook_name": "blocks.8.hook_resid_pre"})
    assert outcomes(tmp_path)["C023", folder].outcome == "passed"


def test_saes_of_several_models_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    write(tmp_path, "gpt2/L8")
    write(tmp_path, "pythia-70m/L8", metadata={"model_name": "EleutherAI/pythia-70m"})
    assert outcomes(tmp_path)["C024", ""].outcome == "passed"
    write(tmp_path, "gpt2/L8_new", metadata={"model_name": "gpt2-medium"})
    found = outcomes(tmp_path)["C024", ""]
    assert found.outcome == "warned"
    assert "'gpt2-medium'" in found.found


def test_the_nearest_name_is_the_same_in_other_letters_or_almost() -> None:
    known = ("jumprelu", "topk", "hook_name")
    assert nearest("JumpReLU", known) == "jumprelu"
    assert nearest("top_k", known) == "topk"
    assert nearest("hook_nmae", known) is not None
    assert nearest("crosscoder", known) is None
    assert nearest("t" * 1000, known) is None


def test_every_text_of_a_config_has_its_place() -> None:
    found = list(texts({"a": "x", "b": [{"c": "y"}, 1, None]}))
    assert ("a", "x") in found
    assert ("b[0].c", "y") in found
    assert ("b[0]", "c") in found
    assert ("cfg.json", "b") in found
    assert len(list(texts({"a": ["x"] * 200_000}))) < 100_001
