"""Every check has a repository that passes it and one that does not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from manifests.load import load_manifest
from manifests.progress import Silent
from validators.base_model import load_base_model
from validators.claim import local_claim
from validators.evidence import Evidence
from validators.local_repository import LocalRepository
from validators.registry import all_checks, checks_up_to, find_check
from validators.report import Outcome, OutcomeKind
from validators.runner import run_checks
from validators.subjects import RepositorySubject, SaeSubject

Damage = Callable[[Any], None]


@dataclass(frozen=True)
class Fault:
    """One way to damage the good release, named for what is wrong afterwards."""

    code: str
    name: str
    damage: Damage
    subject: str = ""
    outcome: OutcomeKind | None = None

    @property
    def expected(self) -> OutcomeKind:
        kinds: dict[str, OutcomeKind] = {"fail": "failed", "warn": "warned", "note": "noted"}
        return self.outcome or kinds[find_check(self.code).severity]


def cfg(name: str, /, **changes: Any) -> Damage:
    return lambda d: d.edit_cfg(name, lambda c: c.update(changes))


def without(architecture: str, key: str) -> Damage:
    return lambda d: d.edit_cfg(architecture, lambda c: c.pop(key))


def metadata(architecture: str, **changes: Any) -> Damage:
    return lambda d: d.edit_cfg(architecture, lambda c: c["metadata"].update(changes))


def tensor(architecture: str, name: str, change: Callable[[torch.Tensor], Any]) -> Damage:
    return lambda d: d.edit_weights(architecture, lambda t: t.update({name: change(t[name])}))


def filled(value: float) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda t: torch.full_like(t, value)


def without_first_row(t: torch.Tensor) -> torch.Tensor:
    return torch.cat([torch.zeros_like(t[:1]), t[1:]])


def without_positive_directions(b_enc: torch.Tensor) -> torch.Tensor:
    """Of 16 pairs of latents along +v and -v, 12 lose the first: from 4 to 16 stay positive."""
    return torch.cat([torch.full((12,), -1000.0), b_enc[12:]])


def remove_everything(d: Any) -> None:
    shutil.rmtree(d.root)
    d.root.mkdir()


def cut_weights_short(d: Any) -> None:
    path = d.sae("topk") / "sae_weights.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def replace_weights_by_lfs_pointer(d: Any) -> None:
    path = d.sae("topk") / "sae_weights.safetensors"
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")


def link_out_of_the_repository(d: Any) -> None:
    outside = d.root.parent / "outside.txt"
    outside.write_text("secret", encoding="utf-8")
    try:
        (d.root / "link.txt").symlink_to(outside)
    except OSError:
        pytest.skip("this machine does not let tests make links")


def without_format_version(c: dict[str, Any]) -> None:
    c["metadata"].pop("sae_lens_version")


def override_k_by_the_older_format(d: Any) -> None:
    """SAELens takes k = 3 from the older format's key, the formula k = 9."""
    d.edit_cfg("topk", without_format_version)
    cfg("topk", activation_fn="topk", activation_fn_kwargs={"k": 3})(d)


def no_base_model(d: Any) -> None:
    d.base_model = d.root / "nowhere"


def write_text(path: str, text: str) -> Damage:
    return lambda d: (d.root / path).write_text(text, encoding="utf-8")


TOPK, JUMPRELU, GATED = "tiny_topk_L1_mixed", "tiny_jumprelu_L1_mixed", "tiny_gated_L1_mixed"

FAULTS = (
    Fault("F001", "empty_repository", remove_everything),
    Fault("F002", "missing_folder", lambda d: shutil.rmtree(d.sae("topk")), TOPK),
    Fault(
        "F003",
        "left_over_folder",
        lambda d: shutil.copytree(d.sae("topk"), d.root / "tiny_topk_L0_mixed"),
        "tiny_topk_L0_mixed",
    ),
    Fault("F004", "no_config", lambda d: (d.sae("topk") / "cfg.json").unlink(), TOPK),
    Fault("F005", "weights_cut_short", cut_weights_short, TOPK),
    Fault("F005", "lfs_pointer", replace_weights_by_lfs_pointer, TOPK),
    Fault("F006", "pickled_weights", write_text("ae.pt", "x")),
    Fault("F007", "link_out_of_the_repository", link_out_of_the_repository),
    Fault("F008", "no_training_record", lambda d: (d.root / "training.json").unlink()),
    Fault(
        "F008",
        "weights_of_other_data",
        lambda d: d.edit_training(lambda r: r["data"].update(sha256="1" * 64)),
    ),
    Fault("F009", "config_edited_after_training", cfg("topk", device="cuda:0"), TOPK),
    Fault(
        "F009",
        "sae_not_in_training_record",
        lambda d: d.edit_training(lambda r: r["saes"].pop(TOPK)),
        TOPK,
    ),
    Fault("C001", "merge_conflict", write_text(f"{TOPK}/cfg.json", "<<<<<<< HEAD\n{}"), TOPK),
    Fault("C001", "config_is_a_list", write_text(f"{TOPK}/cfg.json", "[]"), TOPK),
    Fault("C002", "flat_config", without("topk", "metadata"), TOPK),
    Fault("C002", "metadata_null", cfg("topk", metadata=None), TOPK),
    Fault("C003", "dtype_missing", without("topk", "dtype"), TOPK),
    Fault("C003", "d_in_is_text", cfg("topk", d_in="16"), TOPK),
    Fault("C004", "architecture_in_wrong_case", cfg("topk", architecture="TopK"), TOPK),
    Fault("C004", "training_only", cfg("topk", architecture="batchtopk"), TOPK),
    Fault("C005", "standard_in_a_topk_folder", cfg("topk", architecture="standard"), TOPK),
    Fault("C006", "k_missing", without("topk", "k"), TOPK),
    Fault("C006", "k_is_a_float", cfg("topk", k=9.0), TOPK),
    Fault("C006", "k_is_true", cfg("topk", k=True), TOPK),
    Fault("C007", "k_of_another_recipe", cfg("topk", k=8), TOPK),
    Fault(
        "C008", "unfolded_scale", cfg("gated", normalize_activations="layer_norm"), GATED
    ),
    Fault("C009", "dtype_fp32", cfg("topk", dtype="fp32"), TOPK),
    Fault("C010", "old_activation_key", cfg("topk", activation_fn="tanh-relu"), TOPK),
    Fault("C011", "other_base_model", metadata("topk", model_name="tiny/llama-base"), TOPK),
    Fault("C012", "path_of_a_machine", metadata("topk", dataset_path="/home/jane/data"), TOPK),
    Fault("C013", "no_format_version", lambda d: d.edit_cfg("topk", without_format_version), TOPK),
    Fault(
        "H001", "mixed_notation", metadata("topk", hook_name="model.layers.1.hook_resid_post"), TOPK
    ),
    Fault("H002", "lens_name_twice", metadata("topk", hf_hook_name="blocks.1.hook_out"), TOPK),
    Fault("H003", "layers_differ", metadata("topk", hf_hook_name="model.layers.0"), TOPK),
    Fault(
        "H004",
        "layer_of_another_folder",
        metadata("topk", hook_name="blocks.0.hook_resid_post", hf_hook_name="model.layers.0"),
        TOPK,
    ),
    Fault("H200", "base_model_not_at_hand", no_base_model, outcome="skipped"),
    Fault("H201", "no_such_module", metadata("topk", hf_hook_name="transformer.h.1"), TOPK),
    Fault("W001", "topk_with_threshold", lambda d: d.edit_weights(
        "topk", lambda t: t.update(threshold=torch.ones(64))), TOPK),
    Fault("W001", "gated_with_b_enc", lambda d: d.edit_weights(
        "gated", lambda t: t.update(b_enc=torch.ones(64))), GATED),
    Fault("W002", "transposed_encoder", tensor("topk", "W_enc", torch.t), TOPK),
    Fault("W003", "half_precision_weights", tensor("topk", "W_enc", torch.Tensor.half), TOPK),
    Fault("W003", "integer_weights", tensor("topk", "W_enc", torch.Tensor.char), TOPK),
    Fault("W101", "nan_in_b_dec", tensor("topk", "b_dec", filled(torch.nan)), TOPK),
    Fault("W101", "infinite_threshold", tensor("jumprelu", "threshold", filled(torch.inf)),
          JUMPRELU),
    Fault("W102", "zero_thresholds", tensor("jumprelu", "threshold", filled(0.0)), JUMPRELU),
    Fault("W102", "log_thresholds", tensor("jumprelu", "threshold", torch.log), JUMPRELU),
    Fault("W103", "thresholds_at_init", tensor("jumprelu", "threshold", filled(0.1)), JUMPRELU),
    Fault("W103", "constant_thresholds", tensor("jumprelu", "threshold", filled(0.7)), JUMPRELU),
    Fault("W104", "zero_decoder_row", tensor("topk", "W_dec", without_first_row), TOPK),
    Fault("W105", "permuted_decoder", tensor("topk", "W_dec", lambda t: t.roll(1, 0)), TOPK),
    Fault("L101", "missing_bias", lambda d: d.edit_weights("topk", lambda t: t.pop("b_enc")), TOPK),
    Fault("L102", "metadata_lost", lambda d: d.edit_cfg("topk", without_format_version), TOPK),
    Fault("N200", "other_base_model_weights", lambda d: d.edit_training(
        lambda r: r["base_model"].update(digest="1" * 64))),
    Fault("N202", "k_of_the_older_format", override_k_by_the_older_format, TOPK),
    Fault("N203", "k_of_the_older_format", override_k_by_the_older_format, TOPK),
    Fault("N204", "bias_lost", tensor("topk", "b_dec", lambda t: t + 1000), TOPK),
    Fault("N205", "k_of_the_older_format", override_k_by_the_older_format, TOPK),
    Fault("N206", "too_few_live_latents", 
          tensor("topk", "b_enc", without_positive_directions), TOPK),
    Fault("N207", "dense_code", tensor("gated", "b_gate", filled(1000.0)), GATED),
    Fault("N208", "too_sparse", tensor("jumprelu", "threshold", lambda t: t + 1000), JUMPRELU),
    Fault("N209", "dead_latents", tensor("jumprelu", "threshold", lambda t: t + 1000), JUMPRELU),
    Fault("N210", "worse_than_pca", tensor("topk", "b_dec", lambda t: t + 1000), TOPK),
)  # fmt: skip

# Faults of a loader or of the data rather than of files; each has a test of its own below, and the
# faults of a manifest (M) have theirs in test_claim_checks.py.
TESTED_APART = {"H100", "H202", "L103", "N201", "N211", "M001", "M002", "M201"}


EVIDENCE: dict[tuple[Path, frozenset[str]], Evidence] = {}


def outcomes_of(
    code: str, root: Path, release: Any, base_model: Path, *, claim: bool = True
) -> dict[str, Outcome]:
    """Run one check and all that it requires; outcomes of that check by subject."""
    wanted: set[str] = set()

    def need(needed: str) -> None:
        wanted.add(needed)
        for required in find_check(needed).requires:
            need(required)

    need(code)
    subject = RepositorySubject(
        LocalRepository(root),
        local_claim(release.loaded) if claim else None,
        base_model=str(base_model),
        progress=Silent(),
    )
    # Capturing is the slow part, and depends on nothing but the model and the places.
    key = (base_model, subject.evidence.hook_names)
    if claim:
        subject.evidence = EVIDENCE.setdefault(key, subject.evidence)
    checks = tuple(check for check in checks_up_to("activations") if check.code in wanted)
    outcomes = run_checks(subject, checks, Silent())
    return {outcome.subject: outcome for outcome in outcomes if outcome.code == code}


@pytest.fixture(scope="module")
def good_outcomes(good_release: Any) -> tuple[Outcome, ...]:
    subject = RepositorySubject(
        LocalRepository(good_release.repository),
        local_claim(good_release.loaded),
        base_model=str(good_release.base_model),
        progress=Silent(),
    )
    return run_checks(subject, checks_up_to("activations"), Silent())


def test_the_good_release_passes_every_check(good_outcomes: tuple[Outcome, ...]) -> None:
    bad = [(o.code, o.subject, o.outcome, o.found) for o in good_outcomes if o.outcome != "passed"]
    assert bad == []
    assert {o.code for o in good_outcomes} == {check.code for check in all_checks()}


def test_every_check_has_a_repository_that_does_not_pass_it() -> None:
    assert {fault.code for fault in FAULTS} | TESTED_APART == {c.code for c in all_checks()}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.code}-{fault.name}")
def test_a_check_notices_the_fault(fault: Fault, good_release: Any, damaged: Any) -> None:
    class Target:
        base_model = good_release.base_model

        def __getattr__(self, name: str) -> Any:
            return getattr(damaged, name)

    target = Target()
    fault.damage(target)
    found = outcomes_of(fault.code, damaged.root, good_release, target.base_model)
    outcome = found[fault.subject]
    assert outcome.outcome == fault.expected, outcome
    assert outcome.found
    if outcome.outcome != "skipped":
        assert outcome.next_step, "a problem says what to do next"
    if fault.subject in (TOPK, JUMPRELU, GATED):
        others = [o for subject, o in found.items() if subject not in (fault.subject, "")]
        assert all(o.outcome == "passed" for o in others), "only the damaged SAE is blamed"


def test_a_loader_that_changes_a_tensor_is_noticed(
    good_release: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sae_lens import SAE

    real = SAE.load_from_disk

    def doubling(*args: Any, **kwargs: Any) -> Any:
        sae = real(*args, **kwargs)
        sae.W_enc.data *= 2
        return sae

    monkeypatch.setattr(SAE, "load_from_disk", doubling)
    found = outcomes_of("L103", good_release.repository, good_release, good_release.base_model)
    assert found[TOPK].outcome == "failed"
    assert found[TOPK].found.startswith("W_enc differ")


def test_a_base_model_unlike_its_own_config_is_noticed(good_release: Any, tmp_path: Path) -> None:
    # The manifest says 2 blocks of width 16; this config, 3 blocks.
    config = json.loads((good_release.base_model / "config.json").read_text(encoding="utf-8"))
    folder = tmp_path / "manifests"
    shutil.copytree(good_release.loaded.path.parent, folder)
    name = good_release.loaded.path.name
    text = (folder / name).read_text(encoding="utf-8")
    (folder / name).write_text(
        text.replace("base_model: {", "base_model: {config: config.json, "), encoding="utf-8"
    )
    for n_layers, expected in ((2, "passed"), (3, "failed")):
        content = json.dumps({**config, "num_hidden_layers": n_layers})
        (folder / "config.json").write_text(content, encoding="utf-8")
        release = replace(good_release, loaded=load_manifest(folder / name))
        (found,) = outcomes_of(
            "H100", good_release.repository, release, good_release.base_model
        ).values()
        assert found.outcome == expected, found
    assert "base_model.n_layers" in found.found


def test_a_module_that_never_runs_is_noticed(
    good_release: Any, damaged: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from validators import evidence

    def with_a_spare_block(*args: Any, **kwargs: Any) -> Any:
        base = load_base_model(*args, **kwargs)
        base.model.spare = torch.nn.ModuleList([torch.nn.Identity(), torch.nn.Identity()])
        return base

    monkeypatch.setattr(evidence, "load_base_model", with_a_spare_block)
    metadata("topk", hf_hook_name="spare.1")(damaged)
    found = outcomes_of("H202", damaged.root, good_release, good_release.base_model)
    assert found[TOPK].outcome == "failed"
    assert found[TOPK].found == "spare.1: 0 calls in 120 passes"
    assert found[GATED].outcome == "passed"


def test_an_sae_that_cannot_run_on_its_activations_fails_and_does_not_crash(
    good_release: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sae_lens.saes.topk_sae import TopKSAE

    def broken(*_: Any) -> Any:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(TopKSAE, "encode", broken)
    found = outcomes_of("N201", good_release.repository, good_release, good_release.base_model)
    assert found[TOPK].outcome == "failed"
    assert "RuntimeError: mat1 and mat2" in found[TOPK].found
    assert found[GATED].outcome == "passed"


def test_fewer_training_vectors_than_latents_are_noted(
    good_release: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = Evidence.rows
    # 64 latents and 64 vectors: not more vectors than latents.
    monkeypatch.setattr(
        Evidence, "rows", lambda self, c, *, train: every(self, c, train=train)[:64]
    )
    found = outcomes_of("N211", good_release.repository, good_release, good_release.base_model)
    assert found[TOPK].outcome == "noted"
    assert found[TOPK].found == "64 training vectors for 64 latents"


def test_a_fault_of_one_sae_skips_what_depends_on_it_and_says_why(
    good_release: Any, damaged: Any
) -> None:
    cfg("topk", architecture="TopK")(damaged)
    found = outcomes_of("L102", damaged.root, good_release, good_release.base_model)
    assert found[TOPK].outcome == "skipped"
    assert found[TOPK].found == "L101 skipped: SAELens loads it" or "C004" in found[TOPK].found
    assert found[GATED].outcome == "passed"


def test_a_float32_threshold_beside_bfloat16_weights_is_right(
    good_release: Any, damaged: Any
) -> None:
    def halve(tensors: dict[str, torch.Tensor]) -> None:
        tensors.update({n: t.bfloat16() for n, t in tensors.items() if n != "threshold"})

    damaged.edit_weights("jumprelu", halve)
    cfg("jumprelu", dtype="bfloat16")(damaged)
    found = outcomes_of("W003", damaged.root, good_release, good_release.base_model)
    assert found[JUMPRELU].outcome == "passed"


def test_the_one_threshold_of_a_batchtopk_sae_is_right(good_release: Any, damaged: Any) -> None:
    tensor("jumprelu", "threshold", filled(0.7))(damaged)
    metadata("jumprelu", training_architecture="batchtopk")(damaged)
    found = outcomes_of("W103", damaged.root, good_release, good_release.base_model)
    assert found[JUMPRELU].outcome == "passed"


def test_a_check_that_raises_has_crashed_and_keeps_the_traceback(
    good_release: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SaeSubject, "metadata", property(lambda self: 1 / 0))
    found = outcomes_of("H001", good_release.repository, good_release, good_release.base_model)
    assert found[TOPK].outcome == "crashed"
    assert "ZeroDivisionError" in found[TOPK].found


def test_checks_that_compare_with_a_manifest_are_left_out_without_one(good_release: Any) -> None:
    found = outcomes_of(
        "C007", good_release.repository, good_release, good_release.base_model, claim=False
    )
    assert found == {}
