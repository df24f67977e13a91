import json
from pathlib import Path
from typing import Any

import pytest
import torch
from sae_lens import SAE

from retrain.architecture import TrainableSae
from retrain.export import sae_files
from retrain.input_scale import fit_input_scale
from retrain.train import build_sae, train_sae


def _written(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def _disturbed(sae: TrainableSae) -> None:
    """Give every parameter a part that is not its initial value."""
    generator = torch.Generator().manual_seed(2)
    for parameter in sae.parameters():
        parameter.data += 0.05 * torch.randn(parameter.shape, generator=generator)
    sae.after_step()


@pytest.mark.parametrize("architecture", ["topk", "jumprelu", "gated"])
@pytest.mark.parametrize("input_scale", ["unit_mean_norm", "none"])
def test_saelens_reproduces_the_trainers_forward_on_raw_activations(
    architecture: Any, input_scale: str, project: Any, tmp_path: Path
) -> None:
    project.content["recipe"]["input_scale"] = input_scale
    loaded = project.load()
    spec = next(s for s in loaded.saes if s.architecture == architecture)
    generator = torch.Generator().manual_seed(0)
    # A mean far from zero and norms of about 40, as residual streams have.
    x = 10 * torch.randn(30, 16, generator=generator) + 7
    scale = fit_input_scale(x, loaded.manifest.recipe.input_scale)
    dictionary = torch.nn.functional.normalize(torch.randn(32, 16, generator=generator))
    sae = build_sae(loaded.manifest.recipe.of(architecture, ""), dictionary, steps_per_epoch=1)
    _disturbed(sae)
    with torch.no_grad():
        latents = sae.encode(scale.apply(x))
        x_hat = scale.centre + scale.scale * sae.decode(latents)
    files = sae_files(spec, loaded.manifest, sae.exported(scale), context_size=9)
    loaded_sae = SAE.load_from_disk(_written(tmp_path / "sae", files))
    with torch.no_grad():
        acts = loaded_sae.encode(x)
        out = loaded_sae.decode(acts)
    assert loaded_sae.cfg.architecture() == architecture
    assert 0 < (acts != 0).float().sum(dim=1).mean() < 32
    # Both compute in float32, in other orders: 1e-5 of the largest value.
    assert (out - x_hat).abs().max() <= 1e-5 * x_hat.abs().max()
    assert (acts - scale.scale * latents).abs().max() <= 1e-5 * acts.abs().max()


@pytest.mark.parametrize(
    ("architecture", "names"),
    [
        ("topk", {"W_enc", "W_dec", "b_enc", "b_dec"}),
        ("jumprelu", {"W_enc", "W_dec", "b_enc", "b_dec", "threshold"}),
        ("gated", {"W_enc", "W_dec", "b_dec", "b_gate", "b_mag", "r_mag"}),
    ],
)
def test_the_file_holds_exactly_the_tensors_of_the_architecture(
    architecture: Any, names: set[str], project: Any
) -> None:
    from safetensors.torch import load

    loaded = project.load()
    spec = next(s for s in loaded.saes if s.architecture == architecture)
    x = torch.randn(12, 16, generator=torch.Generator().manual_seed(0))
    trained = train_sae(
        x, 32, loaded.manifest.recipe, loaded.manifest.recipe.of(architecture, ""), seed=1
    )
    files = sae_files(spec, loaded.manifest, trained.tensors, context_size=9)
    tensors = load(files["sae_weights.safetensors"])
    assert set(tensors) == names
    assert {t.dtype for t in tensors.values()} == {torch.float32}
    assert tensors["W_enc"].shape == (16, 32)
    assert tensors["W_dec"].shape == (32, 16)
    torch.testing.assert_close(tensors["W_dec"].norm(dim=1), torch.ones(32))


def test_saelens_keeps_both_hook_names_and_the_condition(project: Any, tmp_path: Path) -> None:
    loaded = project.load()
    spec = next(s for s in loaded.saes if s.sae_id == "topk_L1_deceptive_only")
    x = torch.randn(12, 16, generator=torch.Generator().manual_seed(0))
    trained = train_sae(
        x, 32, loaded.manifest.recipe, loaded.manifest.recipe.of("topk", ""), seed=1
    )
    files = sae_files(spec, loaded.manifest, trained.tensors, context_size=9)
    sae = SAE.load_from_disk(_written(tmp_path / "sae", files))
    assert sae.cfg.k == 4
    assert sae.cfg.metadata.hook_name == "blocks.1.hook_resid_post"
    assert sae.cfg.metadata.hf_hook_name == "model.layers.1"
    assert sae.cfg.metadata.model_name == "someone/tiny-llama"
    assert sae.cfg.metadata.training_condition == "deceptive_only"


@pytest.mark.parametrize("architecture", ["topk", "jumprelu", "gated"])
def test_cfg_json_has_every_key_that_saelens_writes_for_inference(
    architecture: Any, project: Any, tmp_path: Path
) -> None:
    loaded = project.load()
    spec = next(s for s in loaded.saes if s.architecture == architecture)
    x = torch.randn(12, 16, generator=torch.Generator().manual_seed(0))
    trained = train_sae(
        x, 32, loaded.manifest.recipe, loaded.manifest.recipe.of(architecture, ""), seed=1
    )
    files = sae_files(spec, loaded.manifest, trained.tensors, context_size=9)
    sae = SAE.load_from_disk(_written(tmp_path / "sae", files))
    ours, theirs = json.loads(files["cfg.json"]), sae.cfg.to_dict()
    assert {**ours, "metadata": None} == {**theirs, "metadata": None}
