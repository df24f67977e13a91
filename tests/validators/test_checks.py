"""Every check has a repository that passes it and one that does not."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from faults import (
    alternatives,
    card_text,
    config,
    files,
    formats,
    hooks,
    loading,
    numbers,
    safety,
    snippets,
    weights,
)
from faults.damage import GATED, JUMPRELU, TOPK, Fault, cfg, filled, metadata, tensor

from manifests.load import load_manifest
from manifests.progress import Silent
from validators.base_models.base_model import load_base_model
from validators.claim import local_claim
from validators.evidence.completions import CompletionEvidence
from validators.evidence.evidence import Evidence
from validators.options import ValidateOptions
from validators.reading.local_repository import LocalRepository
from validators.registry import all_checks, checks_up_to, find_check
from validators.report import Outcome
from validators.runner import run_checks
from validators.subjects import RepositorySubject, SaeSubject

FAMILIES_OF_FAULTS = (
    alternatives,
    card_text,
    config,
    files,
    formats,
    hooks,
    loading,
    numbers,
    safety,
    snippets,
    weights,
)
FAULTS: tuple[Fault, ...] = tuple(
    fault
    for family in (
        alternatives,
        card_text,
        config,
        files,
        formats,
        hooks,
        loading,
        numbers,
        safety,
        snippets,
        weights,
    )
    for fault in family.FAULTS
)

# Faults of a loader or of the data rather than of files; each has a test of its own below, and the
# faults of a manifest (M) have theirs in test_claim_checks.py and test_prose_checks.py.
TESTED_APART = {"H100", "H202", "L103", "N201", "N211", "M001", "M002", "M201", "M003", "M004"}
# Of the loss, the normalisation and the places, in test_alternatives.py and test_model_loss.py.
TESTED_APART |= {"N220", "N231", "N234"}
# Loading from a Hub and running a card's code have theirs in test_loading_checks.py.
TESTED_APART |= {"L104", "L110", "R101", "R102", "R103"}
# Papers need a manifest that cites one: test_card_lint_names.py.
TESTED_APART |= {"R021"}


# There is no Hub and no README here, so these have nothing to ask; they have tests of their own.
NOTHING_TO_ASK = {"N220", "L110"} | {c.code for c in all_checks() if c.code[0] == "R"}

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
        options=ValidateOptions(base_model=str(base_model)),
        progress=Silent(),
    )
    # Capturing is the slow part, and depends on nothing but the model and the places.
    names = (json.dumps(sae.hook_metadata, sort_keys=True) for sae in subject.saes)
    key = (base_model, frozenset(names))
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
        options=ValidateOptions(base_model=str(good_release.base_model)),
        progress=Silent(),
    )
    return run_checks(subject, checks_up_to("activations"), Silent())


def test_the_good_release_passes_every_check(good_outcomes: tuple[Outcome, ...]) -> None:
    bad = [
        (o.code, o.subject, o.outcome, o.found)
        for o in good_outcomes
        if o.outcome != "passed" and (o.code not in NOTHING_TO_ASK or o.required)
    ]
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
    from validators.base_models import access as base_access

    def with_a_spare_block(*args: Any, **kwargs: Any) -> Any:
        base = load_base_model(*args, **kwargs)
        base.model.spare = torch.nn.ModuleList([torch.nn.Identity(), torch.nn.Identity()])
        return base

    monkeypatch.setattr(base_access, "load_base_model", with_a_spare_block)
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
    every = CompletionEvidence.rows
    # 64 latents and 64 vectors: not more vectors than latents.
    monkeypatch.setattr(
        CompletionEvidence, "rows", lambda self, c, *, train: every(self, c, train=train)[:64]
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
    monkeypatch.setattr(SaeSubject, "header", property(lambda self: 1 / 0))
    found = outcomes_of("F005", good_release.repository, good_release, good_release.base_model)
    assert found[TOPK].outcome == "crashed"
    assert "ZeroDivisionError" in found[TOPK].found


def test_checks_that_compare_with_a_manifest_are_skipped_without_one(good_release: Any) -> None:
    found = outcomes_of(
        "C007", good_release.repository, good_release, good_release.base_model, claim=False
    )
    assert {outcome.outcome for outcome in found.values()} == {"skipped"}
    assert not any(outcome.required for outcome in found.values())
    assert "manifest" in found[""].found
