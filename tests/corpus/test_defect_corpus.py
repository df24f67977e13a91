"""Each class of defect, injected into a good release at several places, is noticed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from corpus_effect import vectors_like
from corpus_run import DefectCorpus, Result, counted, line, table
from injection import Injection, Tier
from injections import ALL
from release_copy import ReleaseCopy, targets_of
from safetensors.torch import save_file

from manifests.build_folder import BuildFolder
from manifests.load import LoadedManifest, load_manifest
from manifests.progress import Silent
from retrain.stage import retrain
from validators.claim import local_claim
from validators.registry import all_checks

pytestmark = [
    pytest.mark.filterwarnings(r"ignore:\sThis SAE has non-empty model_from_pretrained_kwargs"),
]

D_IN, D_SAE, K = 24, 96, 6
N_LAYERS = 6
ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "manifests" / "demo-smollm2-135m-instruct.yaml"

# What no check of the load tier notices, and why.
KNOWN_MISSES = frozenset(
    {
        # One value of b_enc becomes -1e37: the latent never fires, and activations show it.
        "damaged files: an exponent bit flipped at the end",
        # The base model can be named on the command line.
        "metadata: no model",
    }
)


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three architectures at two layers in two conditions, with weights as training leaves them."""
    root = tmp_path_factory.mktemp("release") / "saes"
    for number, (layer, condition) in enumerate(
        (layer, condition) for layer in (1, 3) for condition in ("mixed", "deceptive_only")
    ):
        for architecture in ("topk", "jumprelu", "gated"):
            write_sae(
                root / f"tiny_{architecture}_L{layer}_{condition}", architecture, layer, number
            )
    return root


def write_sae(folder: Path, architecture: str, layer: int, seed: int) -> None:
    """Encoder columns near the decoder's rows, and biases and thresholds that all differ."""
    generator = torch.Generator().manual_seed(100 * seed + len(architecture))
    decoder = torch.nn.functional.normalize(torch.randn(D_SAE, D_IN, generator=generator), dim=1)
    noise = torch.randn(D_SAE, D_IN, generator=generator) / 15
    spread = torch.rand(D_SAE, generator=generator)
    tensors = {
        "W_enc": (decoder + noise).T.contiguous(),
        "W_dec": decoder,
        "b_dec": torch.randn(D_IN, generator=generator),
    }
    cfg: dict[str, Any] = {
        "architecture": architecture,
        "d_in": D_IN,
        "d_sae": D_SAE,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": True,
        "normalize_activations": "none",
        "reshape_activations": "none",
        "metadata": {
            "sae_lens_version": "6.54.12",
            "model_name": "tiny/llama",
            "hook_name": f"blocks.{layer}.hook_resid_post",
            "hf_hook_name": f"model.layers.{layer}",
            "prepend_bos": False,
        },
    }
    if architecture == "gated":
        tensors |= {"b_gate": -spread, "b_mag": spread / 9, "r_mag": spread / 7}
    else:
        tensors["b_enc"] = -spread / 5
    if architecture == "jumprelu":
        tensors["threshold"] = 0.3 + spread
    if architecture == "topk":
        cfg |= {"k": K, "rescale_acts_by_decoder_norm": False}
    folder.mkdir(parents=True)
    save_file(tensors, folder / "sae_weights.safetensors")
    (folder / "cfg.json").write_text(json.dumps(cfg), encoding="utf-8", newline="\n")


@pytest.fixture(scope="module")
def results(good: Path) -> list[Result]:
    chosen = [injection for injection in ALL if injection.tier != "activations"]
    with DefectCorpus(good, claim=None, tier="load") as corpus:
        return corpus.run(chosen, per_injection=1)


def test_what_can_be_seen_in_the_files_is_seen(results: list[Result]) -> None:
    missed = {r.injection.label for r in results if r.verdict == "missed"} - KNOWN_MISSES
    named = [line(r) for r in results if r.injection.label in missed and r.verdict == "missed"]
    assert named == [], table(results)


def test_what_is_seen_is_called_by_its_name(results: list[Result]) -> None:
    assert [line(r) for r in results if r.verdict == "other code"] == []


def test_the_corpus_is_broad(results: list[Result]) -> None:
    n = counted(results)
    assert n["caught"] > 120
    assert {r.injection.strength for r in results} == {"gross", "medium", "subtle"}
    assert {r.sae_id.split("_")[1] for r in results} == {"topk", "jumprelu", "gated"}


def test_every_injection_can_be_done_and_leaves_the_good_release_as_it_was(
    good: Path, tmp_path: Path
) -> None:
    before = {path: path.read_bytes() for path in sorted(good.rglob("*")) if path.is_file()}
    targets = targets_of(good, n_layers=N_LAYERS)
    never = []
    for number, injection in enumerate(ALL):
        target = next((target for target in targets if injection.fits(target)), None)
        if target is None:
            never.append(injection.label)
            continue
        copy = ReleaseCopy(good, tmp_path / str(number))
        injection.damage(copy, target)
        assert _bytes(copy.root) != _bytes(good), injection.label
        shutil.rmtree(copy.root)
    assert {path: path.read_bytes() for path in before} == before
    assert never == []


def test_injections_have_names_of_their_own_and_expect_checks_that_exist() -> None:
    assert len({injection.label for injection in ALL}) == len(ALL)
    known = {check.code for check in all_checks()}
    unknown = {code for injection in ALL for code in injection.codes - known}
    assert unknown == set()
    assert [i.label for i in ALL if not i.codes and i.knowable != "never"] == []


def test_a_damage_that_computes_the_same_is_not_counted(good: Path) -> None:
    def rescale(copy: ReleaseCopy, target: Any) -> None:
        # A ReLU passes a positive factor on: latents double, their rows halve.
        copy.edit_tensors(
            target.sae_id,
            lambda t: t.update(W_dec=t["W_dec"] * (1 + 1e-12)),
        )

    injection = Injection(
        row="scaled weights", name="by nothing", strength="subtle", tier="load",
        codes=frozenset({"W104"}), damage=rescale, changes_function=True,
    )  # fmt: skip
    with DefectCorpus(good, claim=None, tier="load") as corpus:
        assert corpus.inject(injection, corpus.targets[0]).verdict == "equivalent"


def test_the_good_release_is_good(good: Path) -> None:
    with DefectCorpus(good, claim=None, tier="load") as corpus:
        for target in corpus.targets:
            assert corpus._baseline_codes(target) == frozenset()


def _bytes(root: Path) -> dict[str, bytes]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}


def test_vectors_that_were_never_seen_still_make_latents_fire(good: Path) -> None:
    vectors = vectors_like(good / "tiny_topk_L1_mixed")
    assert vectors.shape == (256, D_IN)
    assert np.isfinite(vectors).all()


@pytest.fixture(scope="module")
def demonstration(
    tmp_path_factory: pytest.TempPathFactory, packaged_model: None
) -> tuple[Path, LoadedManifest]:
    """The demonstration's twelve SAEs: those that were built, else trained now."""
    loaded = load_manifest(DEMO)
    built = BuildFolder(ROOT / "build" / DEMO.stem)
    if all((built.sae_folder(spec.sae_id) / "cfg.json").exists() for spec in loaded.saes):
        return built.repository, loaded
    build = BuildFolder(tmp_path_factory.mktemp("demo") / "build")
    retrain(loaded, build, progress=Silent())
    return build.repository, loaded


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("has_manifest", [True, False], ids=["with-manifest", "without"])
def test_defects_of_real_saes_are_noticed(
    demonstration: tuple[Path, LoadedManifest], has_manifest: bool, record_property: Any
) -> None:
    """On activations of the base model where there is a manifest; training.json is left out.

    The demonstration's SAEs are of pooled vectors, so without the manifest, which names their data,
    activations of prose say nothing of them.
    """
    root, loaded = demonstration
    tier: Tier = "activations" if has_manifest else "load"
    claim = local_claim(loaded) if has_manifest else None
    with DefectCorpus(root, claim=claim, tier=tier, every=4) as corpus:
        results = corpus.run(ALL, per_injection=2)
    record_property("defects", table(results))
    surprising = [
        line(r) for r in results if r.verdict == "missed" and r.injection.label not in KNOWN_MISSES
    ]
    assert surprising == [], table(results)
    assert [r for r in results if r.verdict == "missed" and r.injection.strength == "gross"] == []
