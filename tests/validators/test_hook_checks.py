"""What the checks H say of hooks that other people's configs name, without a manifest."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from manifests.load import load_manifest
from manifests.progress import Silent
from validators.base_models.gguf_checkpoint import CACHE_VARIABLE, converted_folder
from validators.claim import local_claim
from validators.options import DEFAULTS, ValidateOptions
from validators.places.address import addresses_agree
from validators.places.local_config import local_model_config
from validators.places.notation import read_lens_name, read_module_path
from validators.reading.local_repository import LocalRepository
from validators.registry import checks_up_to, find_check
from validators.report import Outcome
from validators.runner import run_checks
from validators.subjects import RepositorySubject

DEMONSTRATION = Path(__file__).parents[2] / "manifests/demo-smollm2-135m-instruct.yaml"
HOOKS = {f"H00{n}" for n in (1, 2, 3, 5, 6, 7, 8)} | {"H101", "H102", "H103"}

# As SAELens 6.54 writes it: the trainer knows no hf_hook_name.
TRAINED = {
    "sae_lens_version": "6.54.12", "sae_lens_training_version": "6.54.12", "model_name": "tiny",
    "hook_name": "blocks.1.hook_resid_post", "model_class_name": "HookedTransformer",
    "hook_head_index": None, "model_from_pretrained_kwargs": {},
}  # fmt: skip


def found_in(
    folder: Path, metadata: dict[str, Any], *, base_model: Path | None = None, **cfg: Any
) -> dict[str, Outcome]:
    """Outcomes of the checks of hooks that are neither passed nor left out, by code."""
    sae = folder / "sae"
    sae.mkdir(exist_ok=True)
    content = {
        "architecture": "standard", "d_in": 16, "d_sae": 64, "dtype": "float32", "device": "cpu",
        "apply_b_dec_to_input": True, "normalize_activations": "none", **cfg, "metadata": metadata,
    }  # fmt: skip
    (sae / "cfg.json").write_text(json.dumps(content), encoding="utf-8")
    # Only that it is there matters here.
    save_file({"b_dec": np.zeros(16, dtype=np.float32)}, sae / "sae_weights.safetensors")
    options = ValidateOptions(base_model=str(base_model)) if base_model else DEFAULTS
    subject = RepositorySubject(LocalRepository(folder), None, options=options, progress=Silent())
    wanted, waiting = set(), list(HOOKS)
    while waiting:
        code = waiting.pop()
        wanted.add(code)
        waiting += find_check(code).requires
    checks = tuple(c for c in checks_up_to("load") if c.code in wanted)
    outcomes = {o.code: o for o in run_checks(subject, checks, Silent()) if o.code in HOOKS}
    return {
        code: outcome
        for code, outcome in outcomes.items()
        if outcome.outcome != "passed" and (outcome.outcome != "skipped" or outcome.required)
    }


def test_what_the_trainer_of_saelens_writes_raises_no_complaint(
    tmp_path: Path, tiny_llama: Path
) -> None:
    found = found_in(tmp_path, TRAINED, base_model=tiny_llama)
    assert {code: o.outcome for code, o in found.items()} == {"H002": "noted"}


def test_a_module_path_is_right_for_a_model_of_transformers_and_only_there(tmp_path: Path) -> None:
    path = {**TRAINED, "hook_name": "model.layers.1"}
    assert "H001" not in found_in(tmp_path, {**path, "model_class_name": "AutoModelForCausalLM"})
    assert found_in(tmp_path, path)["H001"].outcome == "failed"


@pytest.mark.parametrize(
    ("metadata", "code", "outcome"),
    [
        ({"hook_name": None}, "H001", "warned"),
        ({"hook_name": "model.layers.1.hook_resid_post"}, "H001", "failed"),
        ({"hook_name": "blocks.1.hook_resid_psot"}, "H001", "failed"),
        ({"hook_name": "blocks.1.hook_of_their_own"}, "H001", "warned"),
        ({"hook_name": "layer 1"}, "H001", "failed"),
        ({"hf_hook_name": "blocks.1.hook_resid_post"}, "H002", "failed"),
        ({"hf_hook_name": "model.layers.2"}, "H003", "failed"),
        ({"hook_layer": 0}, "H005", "failed"),
        ({"hook_name_out": "blocks.1.hook_mlp_out"}, "H006", "warned"),
        ({"hook_name": "blocks.1.hook_resid_post", "hook_head_index": 1}, "H007", "failed"),
        ({"model_from_pretrained_kwargs": {"center_writing_weights": True}}, "H008", "noted"),
    ],
)
def test_without_a_manifest_a_wrong_hook_fails_and_a_missing_one_does_not(
    metadata: dict[str, Any], code: str, outcome: str, tmp_path: Path
) -> None:
    assert found_in(tmp_path, {**TRAINED, **metadata})[code].outcome == outcome


@pytest.mark.parametrize(
    "metadata",
    [
        {"hook_name": "blocks.1.attn.hook_z", "hook_head_index": 1},
        {"hook_name": "blocks.1.hook_out"},
        {"hook_name": "blocks.1.attn.q_norm.hook_out"},
        {"hook_name": "hook_embed", "hook_layer": 0},
        {"hook_name": "blocks.1.mixer.hook_ssm_state", "model_class_name": "HookedMamba"},
        {"hf_hook_name": "model.layers.1.output"},
        {"hook_layer": 1, "hook_name_out": "blocks.1.hook_resid_post"},
    ],
)
def test_hooks_that_are_used_in_the_field_pass(metadata: dict[str, Any], tmp_path: Path) -> None:
    found = found_in(tmp_path, {**TRAINED, **metadata})
    assert {code: o.outcome for code, o in found.items()}.items() <= {"H002": "noted"}.items()


def test_a_transcoder_names_what_it_predicts(tmp_path: Path, tiny_llama: Path) -> None:
    one = {**TRAINED, "hook_name": "blocks.1.mlp.hook_in"}
    both = {**one, "hook_name_out": "blocks.1.hook_mlp_out"}
    kind = {"architecture": "transcoder", "apply_b_dec_to_input": False, "d_out": 16}
    assert found_in(tmp_path, one, **kind)["H006"].outcome == "warned"
    assert found_in(tmp_path, {**one, "hook_name_out": "mlp"}, **kind)["H006"].outcome == "failed"
    assert set(found_in(tmp_path, both, base_model=tiny_llama, **kind)) == {"H002"}
    found = found_in(tmp_path, both, base_model=tiny_llama, **{**kind, "d_out": 32})
    assert found["H103"].expected == "d_out 16, the width of model.layers.1.mlp"


def test_hooks_are_looked_up_in_the_base_model_that_is_at_hand(
    tmp_path: Path, tiny_llama: Path
) -> None:
    beyond = {**TRAINED, "hook_name": "blocks.2.hook_resid_post"}
    assert "H101" not in found_in(tmp_path, beyond)
    found = found_in(tmp_path, beyond, base_model=tiny_llama)["H101"]
    assert found.outcome == "failed"
    assert found.found == "metadata.hook_name: layer 2 of a model with 2 blocks"
    other = {**TRAINED, "hook_name": "blocks.1.hook_mlp_in", "hf_hook_name": "model.layers.1.mlp"}
    assert found_in(tmp_path, other, base_model=tiny_llama)["H102"].outcome == "warned"


def test_one_head_is_as_wide_as_a_head(tmp_path: Path, tiny_llama: Path) -> None:
    # Width 16 and 2 heads: 8 for each.
    head = {**TRAINED, "hook_name": "blocks.1.attn.hook_z", "hook_head_index": 1}
    assert "H103" not in found_in(tmp_path, head, base_model=tiny_llama, d_in=8)
    found = found_in(tmp_path, head, base_model=tiny_llama, d_in=16)["H103"]
    assert found.expected.startswith("d_in 8, the width of model.layers.1.self_attn.o_proj")


def test_a_config_in_the_cache_of_the_hub_is_at_hand(
    tmp_path: Path, tiny_llama: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    def cached(repo_id: str, file: str, **_: Any) -> str | None:
        return str(tiny_llama / file) if repo_id == "someone/tiny" else None

    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", cached)
    found = local_model_config(None, "someone/tiny", DEFAULTS)
    assert found is not None and found["num_hidden_layers"] == 2
    assert local_model_config(None, "someone/other", DEFAULTS) is None


@pytest.mark.parametrize("named", [None, 7, "", "../../etc/passwd", "a/b/c", "x" * 500])
def test_a_strange_model_name_is_no_config_and_no_error(named: object) -> None:
    assert local_model_config(None, named, DEFAULTS) is None


@pytest.mark.parametrize(
    ("lens", "path", "agree"),
    [
        ("blocks.5.hook_resid_post", "model.layers.5", True),
        ("blocks.5.hook_resid_pre", "model.layers.4", True),
        ("blocks.5.hook_resid_pre", "model.layers.5.input", True),
        ("blocks.5.hook_resid_pre", "model.layers.5", False),
        ("blocks.5.hook_resid_mid", "model.layers.5", False),
        ("blocks.5.hook_resid_mid", "model.layers.5.post_attention_layernorm.input", True),
        ("blocks.5.hook_mlp_out", "model.layers.5.mlp", True),
        ("blocks.5.hook_mlp_out", "model.layers.5.post_feedforward_layernorm.output", True),
        ("blocks.5.hook_mlp_out", "model.layers.4.post_feedforward_layernorm.output", False),
        ("blocks.5.hook_mlp_out", "model.layers.5.self_attn", False),
        ("blocks.5.attn.hook_z", "model.layers.5.self_attn.o_proj.input", True),
        ("hook_embed", "model.embed_tokens", True),
    ],
)
def test_names_alone_decide_what_they_can(lens: str, path: str, agree: bool) -> None:
    second = read_module_path(path)
    assert second is not None
    assert addresses_agree(read_lens_name(lens), second) is agree


def test_the_config_of_a_packaged_model_is_at_hand_once_it_was_converted(
    tmp_path: Path, tiny_llama: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    claim = local_claim(load_manifest(DEMONSTRATION))
    assert local_model_config(claim, None, DEFAULTS) is None
    spec = claim.manifest.base_model
    assert spec.package is not None
    shutil.copytree(tiny_llama, converted_folder(spec, spec.package))
    found = local_model_config(claim, None, DEFAULTS)
    assert found is not None and found["num_hidden_layers"] == 2
