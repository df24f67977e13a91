"""Configs that SAELens refuses, misreads or loads as something else: each is found, at its SAE.

What SAELens does with a folder is measured here and not taken on trust: `on_disk` is the outcome of
`SAE.load_from_disk`, `by_dict` that of `SAE.from_dict` and `load_state_dict`.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from manifests.progress import Silent
from validators.reading.local_repository import LocalRepository
from validators.registry import checks_up_to
from validators.runner import run_checks
from validators.subjects import RepositorySubject

D_IN, D_SAE, K = 16, 128, 8
HOOK = "blocks.1.hook_resid_post"
Tensors = dict[str, torch.Tensor]
Config = dict[str, Any]

SHARED: Config = {
    "d_in": D_IN,
    "d_sae": D_SAE,
    "dtype": "float32",
    "device": "cpu",
    "apply_b_dec_to_input": True,
    "normalize_activations": "none",
}
PLACE: Config = {"model_name": "tiny/llama", "hook_name": HOOK, "prepend_bos": True}


def _decoder() -> torch.Tensor:
    rows = torch.randn(D_SAE, D_IN, generator=torch.Generator().manual_seed(0))
    return torch.nn.functional.normalize(rows, dim=1)


def weights(architecture: str) -> Tensors:
    """Weights that look trained: the encoder near the decoder, biases that moved."""
    decoder = _decoder()
    noise = torch.randn(D_IN, D_SAE, generator=torch.Generator().manual_seed(1))
    bias = torch.linspace(-0.3, 0.1, D_SAE)
    shared = {"W_enc": decoder.T + noise / 20, "W_dec": decoder}
    shared["b_dec"] = torch.linspace(-1, 1, D_IN)
    if architecture == "gated":
        return shared | {"b_gate": bias, "b_mag": bias / 2, "r_mag": bias / 3}
    shared["b_enc"] = bias
    if architecture == "jumprelu":
        shared["threshold"] = torch.linspace(0.2, 0.9, D_SAE)
    return shared


def flat(architecture: str, /, **changes: Any) -> Config:
    """A config as SAELens wrote it before version 6; a value of `...` takes the key out."""
    own = {"k": K} if architecture == "topk" else {}
    return _changed({**SHARED, **PLACE, "architecture": architecture, **own}, changes)


def nested(architecture: str, /, **changes: Any) -> Config:
    """A config as SAELens 6 writes it."""
    own = {"k": K} if architecture == "topk" else {}
    metadata = {"sae_lens_version": "6.54.12", "hf_hook_name": "model.layers.1", **PLACE}
    return _changed({**SHARED, "architecture": architecture, **own, "metadata": metadata}, changes)


def _changed(cfg: Config, changes: Config) -> Config:
    return {key: value for key, value in {**cfg, **changes}.items() if value is not ...}


def keeping(**changes: Any) -> Callable[[Tensors], Tensors]:
    """Weights with tensors replaced; `None` takes one out."""
    return lambda t: {n: v for n, v in {**t, **changes}.items() if v is not None}


@dataclass(frozen=True)
class Case:
    """One config with its weights.

    Attributes:
        name: what is wrong.
        cfg: cfg.json.
        codes: checks that must fail; the flat format itself is C002.
        on_disk: what load_from_disk does: `architecture k hook`, or the error's name.
        by_dict: the same of from_dict; None: not measured.
        change: what is done to the good weights of `kind`.
        kind: the architecture whose weights these are.
    """

    name: str
    cfg: Config
    codes: str
    on_disk: str
    by_dict: str | None = None
    change: Callable[[Tensors], Tensors] = dict
    kind: str = ""


HALF = torch.full((D_SAE,), 0.5)
LINEAR_GATED = {"encoder.weight": _decoder(), "decoder.weight": _decoder().T.contiguous(),
                "W_enc": None, "W_dec": None}  # fmt: skip
CASES = (
    # Flat, as SAELens wrote it before version 6.
    Case("topk", flat("topk"), "C002", "topk 8 hook", "topk 8 None"),
    Case("topk_with_threshold", flat("topk"), "C002 W001", "RuntimeError", "RuntimeError",
         keeping(threshold=HALF)),
    Case("topk_k_in_kwargs", flat("topk", k=..., activation_fn_kwargs={"k": K}), "C002 C006 C010",
         "topk 8 hook", "topk 100 None"),
    Case("topk_k_missing", flat("topk", k=...), "C002 C006", "topk 100 hook", "topk 100 None"),
    Case("topk_k_is_top_k", flat("topk", k=..., top_k=K), "C002 C006 C010", "topk 100 hook",
         "topk 100 None"),
    Case("topk_labelled_standard",
         flat("standard", activation_fn_str="topk", activation_fn_kwargs={"k": K}), "C002 C010",
         "topk 8 hook", "standard None None"),
    Case("topk_labelled_standard_with_k", flat("standard", k=K), "C002 C017",
         "standard None hook", "standard None None"),
    Case("topk_k_is_a_float", flat("topk", k=4.0), "C002 C006", "topk 4.0 hook", "topk 4.0 None"),
    Case("topk_k_is_text", flat("topk", k="4"), "C002 C006", "topk 4 hook", "topk 4 None"),
    Case("topk_k_is_true", flat("topk", k=True), "C002 C006", "topk True hook", "topk True None"),
    Case("topk_k_above_d_sae", flat("topk", k=D_SAE + 1), "C002 C006", "topk 129 hook"),
    Case("jumprelu", flat("jumprelu"), "C002", "jumprelu None hook", "jumprelu None None"),
    Case("jumprelu_zero_threshold", flat("jumprelu"), "C002 W102", "jumprelu None hook",
         change=keeping(threshold=HALF * 0)),
    Case("jumprelu_negative_threshold", flat("jumprelu"), "C002 W102", "jumprelu None hook",
         change=keeping(threshold=-HALF)),
    Case("jumprelu_log_threshold", flat("jumprelu"), "C002 W102", "jumprelu None hook",
         change=keeping(threshold=HALF.log())),
    Case("jumprelu_without_threshold", flat("jumprelu"), "C002 W001", "RuntimeError",
         "RuntimeError", keeping(threshold=None)),
    Case("jumprelu_only_log_threshold", flat("jumprelu"), "C002 W001", "RuntimeError",
         "RuntimeError", keeping(threshold=None, log_threshold=HALF.log())),
    Case("jumprelu_one_threshold", flat("jumprelu"), "C002 W002", "RuntimeError", "RuntimeError",
         keeping(threshold=torch.tensor(0.5))),
    Case("jumprelu_threshold_of_one", flat("jumprelu"), "C002 W002", "RuntimeError",
         "RuntimeError", keeping(threshold=torch.tensor([0.5]))),
    Case("gated", flat("gated"), "C002", "gated None hook", "gated None None"),
    Case("gated_with_b_enc", flat("gated"), "C002 W001", "RuntimeError", "RuntimeError",
         keeping(b_enc=HALF)),
    Case("gated_of_dictionary_learning", flat("gated"), "C002 W001", "RuntimeError",
         "RuntimeError", keeping(**LINEAR_GATED)),
    Case("gated_without_gates", flat("gated"), "C002 W001", "RuntimeError", "RuntimeError",
         keeping(b_enc=HALF, b_gate=None, b_mag=None, r_mag=None)),
    Case("encoder_transposed", flat("standard"), "C002 W002", "RuntimeError", "RuntimeError",
         keeping(W_enc=_decoder())),
    Case("d_sae_wrong", flat("standard", d_sae=64), "C002 W002", "RuntimeError", "RuntimeError"),
    Case("sizes_swapped", flat("standard", d_in=D_SAE, d_sae=D_IN), "C002 W002", "RuntimeError",
         "RuntimeError"),
    Case("b_dec_missing", flat("standard"), "C002 W001", "RuntimeError", "RuntimeError",
         keeping(b_dec=None)),
    Case("dtype_missing", flat("topk", dtype=...), "C002 C003", "KeyError", "topk 8 None"),
    Case("dtype_fp32", flat("topk", dtype="fp32"), "C002 C009", "ValueError", "ValueError"),
    Case("architecture_missing", flat("topk", architecture=...), "C002 C003",
         "standard None hook", "KeyError", kind="topk"),
    Case("architecture_in_capitals", flat("topk", architecture="TopK"), "C002 C004", "KeyError",
         "KeyError", kind="topk"),
    Case("architecture_jump_relu", flat("jumprelu", architecture="jump_relu"), "C002 C004",
         "KeyError", "KeyError", kind="jumprelu"),
    Case("batchtopk", flat("batchtopk", k=K), "C002 C004", "KeyError", "KeyError", kind="topk"),
    Case("matryoshka", flat("matryoshka_batchtopk", k=K), "C002 C004", "KeyError", "KeyError",
         kind="topk"),
    Case("normalisation_null", flat("topk", normalize_activations=None), "C002 C008",
         "topk 8 hook", "ValueError"),
    Case("normalisation_false", flat("topk", normalize_activations=False), "C002 C008",
         "topk 8 hook", "ValueError"),
    Case("normalisation_true", flat("topk", normalize_activations=True), "C002 C008",
         "topk 8 hook", "ValueError"),
    Case("flat_and_six", flat("topk", sae_lens_version="6.54.12"), "C002", "topk 8 None",
         "topk 8 None"),
    Case("metadata_null", flat("topk", metadata=None), "C002", "AttributeError", "TypeError"),
    Case("hook_z", flat("topk", hook_name="blocks.1.attn.hook_z"), "C002", "topk 8 hook_z",
         "topk 8 None"),
    Case("scaling_factor_of_ones", flat("topk"), "C002 W001", "topk 8 hook", "RuntimeError",
         keeping(scaling_factor=torch.ones(D_SAE))),
    Case("hook_point", flat("topk", hook_name=..., hook_point=HOOK), "C002 C010", "topk 8 hook",
         "topk 8 None"),
    Case("transcoder_without_its_switch",
         flat("transcoder", apply_b_dec_to_input=..., d_out=D_IN), "C002 C003", "ValueError",
         "ValueError", kind="standard"),
    Case("switch_missing", flat("topk", apply_b_dec_to_input=...), "C002 C003", "topk 8 hook",
         "topk 8 None"),
    # Nested, as SAELens 6 writes it; these load, and nothing warns.
    Case("six_k_missing", nested("topk", k=...), "C006", "topk 100 hook"),
    Case("six_k_misnamed", nested("topk", k=..., top_k=K), "C006 C010", "topk 100 hook"),
    Case("six_k_in_kwargs", nested("topk", k=..., activation_fn_kwargs={"k": K}), "C006 C010",
         "topk 100 hook"),
    Case("six_switch_missing", nested("topk", apply_b_dec_to_input=...), "C003", "topk 8 hook"),
    Case("six_architecture_missing", nested("topk", architecture=...), "C003", "KeyError",
         kind="topk"),
    Case("six_labelled_standard", nested("standard", k=K), "C017", "standard None hook"),
    Case("six_old_activation", nested("standard", activation_fn="tanh-relu"), "C010",
         "standard None hook"),
    Case("six_unfolded_scale", nested("topk", normalize_activations="expected_average_only_in"),
         "C008", "topk 8 hook"),
    Case("six_unfolded_whitening", nested("topk", normalize_activations="covariance_whitening"),
         "C008", "topk 8 hook"),
    Case("six_normalisation_null", nested("topk", normalize_activations=None), "C008",
         "ValueError"),
    Case("six_rescaling_dropped", nested("gated", rescale_acts_by_decoder_norm=True), "C017",
         "gated None hook"),
    Case("six_without_version", nested("topk", metadata=dict(PLACE)), "C013", "topk 8 None"),
    Case("six_says_five", nested("topk", metadata={**PLACE, "sae_lens_version": "5.9.0"}), "C013",
         "topk 8 None"),
    Case("six_hook_at_the_top",
         nested("topk", hook_name=HOOK, metadata={"sae_lens_version": "6.54.12"}), "C016",
         "topk 8 None"),
    Case("six_hook_z_elsewhere", nested("topk", reshape_activations="hook_z"), "C019",
         "ValueError"),
    Case("six_transcoder_subtracts", nested("transcoder", d_out=D_IN), "C018", "ValueError",
         kind="standard"),
    Case("six_transcoder_without_d_out", nested("transcoder", apply_b_dec_to_input=False), "C018",
         "RuntimeError", kind="standard"),
    Case("six_threshold_not_finite", nested("jumprelu"), "W101", "jumprelu None hook",
         change=keeping(threshold=HALF * torch.inf)),
    Case("six_weights_not_finite", nested("topk"), "W101", "topk 8 hook",
         change=keeping(b_enc=HALF * torch.nan)),
    Case("six_integers", nested("topk"), "W003", "topk 8 hook",
         change=lambda t: {n: (v * 100).char() for n, v in t.items()}),
    Case("six_halved", nested("topk"), "W003", "topk 8 hook",
         change=lambda t: {n: v.half() for n, v in t.items()}),
)  # fmt: skip
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def write(case: Case, folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "cfg.json").write_text(json.dumps(case.cfg), encoding="utf-8")
    tensors = case.change(weights(case.kind or case.cfg["architecture"]))
    save_file({n: t.contiguous() for n, t in tensors.items()}, folder / "sae_weights.safetensors")


def failures(root: Path) -> set[tuple[str, str]]:
    checks = tuple(c for c in checks_up_to("load") if c.code[0] in "CFW")
    subject = RepositorySubject(LocalRepository(root), None, progress=Silent())
    found = run_checks(subject, checks, Silent())
    assert [o for o in found if o.outcome == "crashed"] == []
    return {(o.code, o.subject) for o in found if o.outcome == "failed"}


def measured(load: Callable[[], Any]) -> str:
    """`architecture k hook` of what is loaded, or the name of the error."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            cfg = load().cfg
    except (AssertionError, AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
        return type(error).__name__
    hook = cfg.metadata.hook_name
    named = {None: "None", HOOK: "hook"}.get(hook) or hook.rpartition(".")[2]
    return f"{cfg.architecture()} {getattr(cfg, 'k', None)} {named}"


@each_case
def test_a_config_that_is_wrong_is_found_at_its_own_sae(case: Case, tmp_path: Path) -> None:
    write(case, tmp_path / "bad")
    kind = "topk"
    write(Case("good", nested(kind), "", ""), tmp_path / "good")
    found = failures(tmp_path)
    assert {subject for _, subject in found} == {"bad"}
    assert set(case.codes.split()) <= {code for code, _ in found}


@each_case
def test_saelens_does_with_it_what_the_table_says(case: Case, tmp_path: Path) -> None:
    from sae_lens import SAE

    write(case, tmp_path / "sae")
    assert measured(lambda: SAE.load_from_disk(tmp_path / "sae")) == case.on_disk
    if case.by_dict is not None:

        def by_dict() -> Any:
            sae = SAE.from_dict(case.cfg)
            sae.load_state_dict(load_file(tmp_path / "sae" / "sae_weights.safetensors"))
            return sae

        assert measured(by_dict) == case.by_dict


@pytest.mark.parametrize("k", [4.0, "4"])
def test_a_k_that_is_no_integer_loads_and_ends_on_the_first_vector(k: Any, tmp_path: Path) -> None:
    from sae_lens import SAE

    write(Case("k", flat("topk", k=k), "", ""), tmp_path / "sae")
    sae = SAE.load_from_disk(tmp_path / "sae")
    with pytest.raises(TypeError):
        sae.encode(torch.ones(1, D_IN))


def test_a_flat_config_is_told_what_becomes_of_its_hook(tmp_path: Path) -> None:
    write(Case("flat", flat("topk"), "", ""), tmp_path / "flat")
    write(Case("six", flat("topk", sae_lens_version="6.1.0"), "", ""), tmp_path / "six")
    write(Case("null", flat("topk", metadata=None), "", ""), tmp_path / "null")
    subject = RepositorySubject(LocalRepository(tmp_path), None, progress=Silent())
    checks = tuple(c for c in checks_up_to("static") if c.code[0] in "CF")
    found = {o.subject: o for o in run_checks(subject, checks, Silent()) if o.code == "C002"}
    assert "only `load_from_disk` keeps it" in found["flat"].found
    assert "with sae_lens_version '6.1.0' SAELens drops the hook" in found["six"].found
    assert "SAELens cannot load it" in found["null"].found
    assert "hook_name" in found["flat"].found
    assert all("--fix" in outcome.next_step for outcome in found.values())
