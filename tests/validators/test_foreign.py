"""Repositories of other projects are recognised as what they are, and SAELens' own never."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from faults.formats import RunsCode
from safetensors.torch import save_file

from manifests.progress import Silent
from validators.foreign.formats import FORMATS
from validators.foreign.recognise import recognise
from validators.reading.local_repository import LocalRepository
from validators.reading.pickled_weights import PickleRefused, holdings_of
from validators.registry import checks_up_to
from validators.report import Outcome, Tier
from validators.runner import run_checks
from validators.subjects import RepositorySubject

ENCODER = {"W_enc": torch.ones(16, 64), "W_dec": torch.ones(64, 16)}
BIASES = {"b_enc": torch.zeros(64), "b_dec": torch.zeros(16)}
LINEAR = {"encoder.weight": torch.ones(64, 16), "encoder.bias": torch.zeros(64)}


def write_json(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


def write_tensors(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path)


def write_pickle(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(tensors, path)


def sparsify(root: Path) -> None:
    cfg = {"activation": "topk", "expansion_factor": 4, "normalize_decoder": True,
           "num_latents": 0, "k": 8, "multi_topk": False, "skip_connection": False,
           "transcode": False, "d_in": 16}  # fmt: skip
    write_json(root / "config.json", {"model": "tiny/llama", "ctx_len": 64})
    for layer in ("layers.0", "layers.1.mlp"):
        write_json(root / layer / "cfg.json", cfg)
        write_tensors(root / layer / "sae.safetensors", {**LINEAR, "W_dec": torch.ones(64, 16)})


def dictionary_learning(root: Path) -> None:
    trainer = {"dict_class": "AutoEncoderTopK", "activation_dim": 16, "dict_size": 64, "k": 8,
               "layer": 1, "lm_name": "tiny/llama"}  # fmt: skip
    for index in (0, 1):
        folder = root / "resid_post_layer_1" / f"trainer_{index}"
        write_json(folder / "config.json", {"trainer": trainer, "buffer": {"ctx_len": 64}})
        write_pickle(folder / "ae.pt", {**LINEAR, "threshold": torch.tensor(-1.0)})
        write_pickle(folder / "checkpoints" / "ae_100.pt", LINEAR)


def saebench(root: Path) -> None:
    cfg = {"model_name": "tiny/llama", "d_in": 16, "d_sae": 64, "hook_layer": 1,
           "hook_name": "blocks.1.hook_resid_post", "architecture": "relu",
           "training_tokens": -100_000}  # fmt: skip
    write_json(root / "relu" / "config.json", cfg)
    write_tensors(root / "relu" / "weights.safetensors", ENCODER | BIASES)


def gemma_scope_1(root: Path) -> None:
    folder = root / "layer_1" / "width_16k" / "average_l0_68"
    folder.mkdir(parents=True)
    arrays = {name: tensor.numpy() for name, tensor in (ENCODER | BIASES).items()}
    np.savez(folder / "params.npz", threshold=np.ones(64), **arrays)


def gemma_scope_2(root: Path) -> None:
    folder = root / "resid_post" / "layer_1_width_16k_l0_medium"
    write_json(folder / "config.json", {"architecture": "jump_relu", "model_name": "gemma-v3-1b"})
    lower = {name.lower(): tensor for name, tensor in (ENCODER | BIASES).items()}
    write_tensors(folder / "params.safetensors", {**lower, "threshold": torch.ones(64)})


def llama_scope(root: Path) -> None:
    folder = root / "Llama3_1-8B-Base-L1R-4x"
    hyperparameters = {"d_model": 16, "d_sae": 64, "jump_relu_threshold": 0.5,
                       "hook_point_in": "blocks.1.hook_resid_post",
                       "dataset_average_activation_norm": {"in": 4.0}}  # fmt: skip
    write_json(folder / "hyperparams.json", hyperparameters)
    write_tensors(folder / "checkpoints" / "final.safetensors", LINEAR)


def llama_scope_r1(root: Path) -> None:
    folder = root / "800M-Slimpajama" / "L1R"
    cfg = {"d_model": 16, "expansion_factor": 4, "jump_relu_threshold": 0.0,
           "hook_point_in": "blocks.1.hook_resid_post"}  # fmt: skip
    write_json(folder / "config.json", cfg)
    tensors = {**LINEAR, "log_jumprelu_threshold": torch.zeros(64)}
    write_tensors(folder / "sae_weights.safetensors", tensors)


def openmoss(root: Path) -> None:
    cfg = {"sae_type": "sae", "d_model": 16, "expansion_factor": 4, "act_fn": "topk", "top_k": 8}
    write_json(root / "L1" / "config.json", cfg)
    write_tensors(root / "L1" / "sae_weights.safetensors", ENCODER | BIASES)
    write_json(root / "L2" / "config.json", cfg)
    write_pickle(root / "L2" / "sae_weights.pt", ENCODER | BIASES)
    write_json(root / "L3" / "config.json", cfg)
    write_pickle(root / "L3" / "sae_weights.dcp" / "__0_0.distcp", ENCODER)


def qwen_scope(root: Path) -> None:
    write_pickle(root / "layer0.sae.pt", ENCODER | BIASES)
    write_pickle(root / "layer1.sae.pt", ENCODER | BIASES)


def goodfire(root: Path) -> None:
    write_pickle(
        root / "Llama-3.1-8B-Instruct-SAE-l19.pth", {"encoder_linear.weight": BIASES["b_enc"]}
    )


def beside_a_config(root: Path) -> None:
    write_json(root / "L1" / "cfg.json", {"architecture": "topk", "d_in": 16, "d_sae": 64, "k": 8})
    write_pickle(root / "L1" / "weights.pt", ENCODER | BIASES)


def with_its_own_config(root: Path) -> None:
    write_json(root / "gpt2_L0_v9_cfg.json", {"act_size": 16, "dict_size": 64})
    write_pickle(root / "gpt2_L0_v9.pt", ENCODER | BIASES)


def saelens_pickle(root: Path) -> None:
    name = "final_sparse_autoencoder_gpt2-small_blocks.0.hook_resid_pre_24576"
    write_pickle(root / f"{name}.pt", BIASES)
    write_pickle(root / f"{name}_log_feature_sparsity.pt", BIASES)


@dataclass(frozen=True)
class Case:
    """A small repository of one format, and how many SAEs it holds."""

    build: Callable[[Path], None]
    format_id: str
    n_saes: int
    says: str


CASES = (
    Case(sparsify, "sparsify", 2, "d_in 16, k 8"),
    Case(dictionary_learning, "dictionary_learning", 2, "dict_class AutoEncoderTopK"),
    Case(saebench, "saebench", 1, "architecture relu"),
    Case(gemma_scope_1, "gemma_scope_1", 1, "layer 1, width 16k, l0 68"),
    Case(gemma_scope_2, "gemma_scope_2", 1, "layer 1, width 16k, l0 medium"),
    Case(llama_scope, "llama_scope", 1, "d_in 16, d_sae 64"),
    Case(llama_scope_r1, "llama_scope_r1", 1, "expansion 4"),
    Case(openmoss, "openmoss", 3, "sae_type sae"),
    Case(qwen_scope, "qwen_scope", 2, "layer 0"),
    Case(goodfire, "goodfire", 1, "layer 19"),
    Case(beside_a_config, "pickled_state_dict", 1, "cfg.json: architecture topk"),
    Case(with_its_own_config, "pickled_state_dict", 1, "d_in 16, d_sae 64"),
    Case(saelens_pickle, "saelens_pickle", 1, "in one pickle"),
)
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.build.__name__)


def outcomes(root: Path, tier: Tier = "static") -> dict[tuple[str, str], Outcome]:
    checks = tuple(c for c in checks_up_to(tier) if c.code[0] in "CF")
    subject = RepositorySubject(LocalRepository(root), None, progress=Silent())
    return {(o.code, o.subject): o for o in run_checks(subject, checks, Silent())}


def test_every_format_has_a_case() -> None:
    assert {case.format_id for case in CASES} == set(FORMATS)


@each_case
def test_a_format_is_recognised_as_exactly_that_one(case: Case, tmp_path: Path) -> None:
    case.build(tmp_path)
    found = recognise(LocalRepository(tmp_path))
    assert [sae.format for sae in found] == case.n_saes * [case.format_id]
    assert case.says in found[0].detail
    for sae in found:
        assert all((tmp_path / file).is_file() for file in sae.files)
        assert sae.folder == "." or sae.files[0].startswith(f"{sae.folder}/")


@each_case
def test_a_foreign_repository_is_named_and_nothing_crashes(case: Case, tmp_path: Path) -> None:
    case.build(tmp_path)
    found = outcomes(tmp_path, "load")
    assert [key for key, o in found.items() if o.outcome == "crashed"] == []
    named = found["F010", ""]
    assert named.outcome == "failed"
    assert FORMATS[case.format_id].title in named.found
    assert FORMATS[case.format_id].in_saelens in named.expected
    assert ("--fix" in named.next_step) == FORMATS[case.format_id].is_converted
    # That there is no SAELens SAE is said once, by F010, and no SAE is blamed for it.
    assert found["F001", ""].outcome == "skipped"
    assert [o.code for (_, s), o in found.items() if s and o.outcome == "failed"] == []


@each_case
def test_beside_saelens_own_a_foreign_sae_is_a_warning(
    case: Case, good_release: Any, damaged: Any
) -> None:
    case.build(damaged.root)
    found = outcomes(damaged.root)
    assert found["F010", ""].outcome == "warned"
    assert found["F001", ""].outcome == "passed"
    assert found["F001", ""].found == "3 folders"
    assert len(recognise(LocalRepository(good_release.repository))) == 0


@pytest.mark.parametrize(
    "extra",
    ["sae.safetensors", "optimizer.pt", "weights.pt", "sparsity.safetensors", "runner_cfg.json",
     "config.json", "trainer_state.pt"],
)  # fmt: skip
def test_a_file_beside_saelens_two_does_not_make_an_sae_foreign(extra: str, damaged: Any) -> None:
    (damaged.sae("topk") / extra).write_bytes(b"{}")
    assert recognise(LocalRepository(damaged.root)) == ()


def test_saelens_weights_without_their_config_are_not_foreign(damaged: Any) -> None:
    (damaged.sae("topk") / "cfg.json").unlink()
    assert recognise(LocalRepository(damaged.root)) == ()
    found = outcomes(damaged.root)
    assert found["F004", "tiny_topk_L1_mixed"].outcome == "failed"
    assert "cfg.json not there (there: sae_weights.safetensors)" in (
        found["F004", "tiny_topk_L1_mixed"].found
    )


def test_saelens_weights_under_another_name_are_not_foreign(damaged: Any) -> None:
    folder = damaged.sae("topk")
    (folder / "sae_weights.safetensors").rename(folder / "sae.safetensors")
    assert recognise(LocalRepository(damaged.root)) == ()
    assert outcomes(damaged.root)["F004", folder.name].outcome == "failed"


@pytest.mark.parametrize(
    "name", ["pytorch_model.bin", "steering_vectors.pt", "tokenizer/merges.pkl", "probe.pth"]
)
def test_a_pickle_that_may_be_anything_is_not_taken_for_an_sae(name: str, tmp_path: Path) -> None:
    write_pickle(tmp_path / name, BIASES)
    assert recognise(LocalRepository(tmp_path)) == ()
    found = outcomes(tmp_path)
    assert found["F001", ""].outcome == "failed"
    assert name in found["F001", ""].found


def test_damaged_configs_and_headers_leave_recognition_standing(tmp_path: Path) -> None:
    for folder in ("layers.0", "layers.1"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "cfg.json").write_text("{", encoding="utf-8")
        (tmp_path / folder / "sae.safetensors").write_bytes(b"\xff" * 32)
    assert recognise(LocalRepository(tmp_path)) == ()
    assert outcomes(tmp_path)["F004", "layers.0"].outcome == "failed"


def test_at_most_64_files_are_opened_however_many_saes_there_are(tmp_path: Path) -> None:
    reads: list[str] = []

    class Counting(LocalRepository):
        def read_range(self, path: str, start: int, length: int) -> bytes:
            reads.append(path)
            return super().read_range(path, start, length)

    for layer in range(80):
        write_json(tmp_path / f"layers.{layer}" / "cfg.json", {"expansion_factor": 4, "d_in": 16})
        (tmp_path / f"layers.{layer}" / "sae.safetensors").write_bytes(b"")
    found = recognise(Counting(tmp_path))
    assert [sae.format for sae in found] == 80 * ["sparsify"]
    assert len(reads) == 64


def test_nothing_is_opened_where_all_saes_are_saelens_own(good_release: Any) -> None:
    class Unread(LocalRepository):
        def read_range(self, path: str, start: int, length: int) -> bytes:
            raise AssertionError(path)

    assert recognise(Unread(good_release.repository)) == ()


def test_what_a_pickle_holds_is_named_and_how_it_was_opened(tmp_path: Path) -> None:
    write_pickle(tmp_path / "ae.pt", {**LINEAR, "k": torch.tensor(8)})
    found = outcomes(tmp_path, "load")["F110", ""]
    assert found.outcome == "passed"
    assert found.found == (
        "ae.pt holds encoder.bias (64,), encoder.weight (64, 16), k ()"
        " (torch.load, weights_only=True)"
    )


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_pickle_that_wants_to_run_code_is_refused_and_not_run(
    protocol: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "ae.pt").write_bytes(pickle.dumps({"a": RunsCode()}, protocol=protocol))
    found = outcomes(tmp_path, "load")["F110", ""]
    assert found.outcome == "failed"
    assert "ae.pt wants to run" in found.found
    assert "print" in found.found
    assert "this pickle was run" not in capsys.readouterr().out


def test_a_whole_module_is_named_by_its_class(tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(2, 3), tmp_path / "module.pt")
    with pytest.raises(PickleRefused, match=r"wants to run torch\.nn\.modules\.linear\.Linear"):
        holdings_of(tmp_path / "module.pt", where="module.pt")


def test_an_archive_that_grows_beyond_two_gigabytes_is_not_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_pickle(tmp_path / "bomb.pt", ENCODER)
    # 2 matrices of 1024 numbers of 4 bytes: 8192 bytes and more.
    monkeypatch.setattr("validators.reading.pickled_weights.MAX_PICKLE_BYTES", 8000)
    with pytest.raises(PickleRefused, match="when unpacked"):
        holdings_of(tmp_path / "bomb.pt", where="bomb.pt")


def test_a_pickle_of_more_than_two_gigabytes_is_not_opened(tmp_path: Path) -> None:
    with (tmp_path / "ae.pt").open("wb") as stream:
        stream.truncate(2_000_000_001)
    found = outcomes(tmp_path, "load")["F110", ""]
    assert found.outcome == "skipped"
    assert not found.required
    assert found.found == "not opened, since they are too large: ae.pt (2.0 GB)"
