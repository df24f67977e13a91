"""The code of the study's cards, as printed, on a stand-in of each base model and random SAEs.

The weights are not at hand; one SAE of the manifest's shapes, the one that the card loads, shows
whether names, paths, hooks and arguments are right.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from cards.stage import render
from manifests.build_folder import BuildFolder
from manifests.load import LoadedManifest, load_manifest
from manifests.matrix import SaeSpec
from manifests.progress import Silent
from release.card_blocks import run_card_blocks

MANIFESTS = Path(__file__).resolve().parents[2] / "manifests"
CLASSES = {
    "tinyllama-1-1b": "LlamaForCausalLM",
    "smollm2-135m": "LlamaForCausalLM",
    "nanochat-d32": "NanoChatForCausalLM",
    "gemma4-e2b-gf1": "Gemma4ForConditionalGeneration",
}


def write_random(folder: Path, spec: SaeSpec, k: int) -> None:
    """One SAE in SAELens' format, of the manifest's shapes."""
    import torch
    from safetensors.torch import save_file

    folder.mkdir(parents=True)
    generator = torch.Generator().manual_seed(spec.layer)
    vectors = {"jumprelu": ("b_enc", "threshold"), "gated": ("b_gate", "r_mag", "b_mag")}
    shapes: dict[str, tuple[int, ...]] = {
        "W_enc": (spec.d_in, spec.d_sae),
        "W_dec": (spec.d_sae, spec.d_in),
        "b_dec": (spec.d_in,),
    }
    shapes |= dict.fromkeys(vectors.get(spec.saved_architecture, ("b_enc",)), (spec.d_sae,))
    save_file(
        {name: torch.rand(*shape, generator=generator) for name, shape in shapes.items()},
        folder / "sae_weights.safetensors",
    )
    config = {
        "architecture": spec.saved_architecture,
        "d_in": spec.d_in,
        "d_sae": spec.d_sae,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": True,
        "normalize_activations": "none",
        "reshape_activations": "none",
        "metadata": {
            "sae_lens_version": "6.54.12",
            "hook_name": spec.hook_name,
            "hf_hook_name": spec.hf_hook_name,
        },
    }
    if spec.saved_architecture == "topk":
        config |= {"k": k, "rescale_acts_by_decoder_norm": False}
    (folder / "cfg.json").write_text(json.dumps(config), encoding="utf-8")


def loaded_sae(loaded: LoadedManifest, readme: str) -> SaeSpec:
    """The SAE that the card's first example loads."""
    found = re.search(r'SAE\.from_pretrained\("[^"]+", "([^"]+)"', readme)
    assert found is not None
    return next(spec for spec in loaded.saes if spec.sae_id == found[1])


@pytest.mark.slow
@pytest.mark.parametrize("name", CLASSES)
def test_the_code_of_a_study_card_runs_on_a_stand_in(tmp_path: Path, name: str) -> None:
    loaded = load_manifest(MANIFESTS / f"{name}.yaml")
    build = BuildFolder(tmp_path / name)
    render(loaded, build, progress=Silent())
    spec = loaded_sae(loaded, (build.repository / "README.md").read_text(encoding="utf-8"))
    topk = loaded.manifest.recipe.topk
    write_random(build.sae_folder(spec.sae_id), spec, k=topk.k if topk else 0)
    results = run_card_blocks(loaded, build, progress=Silent())
    assert [(run.line, run.error) for run in results.runs if run.outcome != "ran"] == []
    assert len(results.runs) >= 4
    assert results.base_model is not None
    assert (results.base_model.used, results.base_model.model_class) == ("stand-in", CLASSES[name])
