"""What is written for an SAE, and that SAELens computes from it what the papers' formulas say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sae_lens import SAE

from manifests.load import LoadedManifest
from manifests.matrix import SaeSpec
from manifests.sae_recipes import Architecture, saved_architecture
from retrain.architectures.build import build_saes
from retrain.export import DataSource, sae_config, sae_files
from retrain.input_scale import fit_input_scale
from retrain.vectors import InMemory
from validators.saelens.format import TENSOR_SHAPES

Array = NDArray[np.float64]
ALL = get_args(Architecture)
D_IN, D_SAE, K = 16, 32, 4


@pytest.fixture
def loaded(project: Any) -> LoadedManifest:
    """The tiny project with all six architectures, and a JumpReLU variant fixed at zero."""
    content = project.content
    content["recipe"] |= {
        "batchtopk": {"k": 6},
        "matryoshka_batchtopk": {"k": 6, "widths": [8, 16]},
        "standard": {"l1_coefficient": 0.05},
        "variants": {
            "fixed": {"jumprelu": {"threshold": "fixed_at_zero", "sparsity_coefficient": 0.1}}
        },
    }
    content["saes"] |= {
        "id": "{architecture}{variant}_L{layer}_{condition}",
        "architectures": list(ALL),
        "include": [{"architectures": ["jumprelu"], "variants": ["fixed"]}],
    }
    found: LoadedManifest = project.load()
    return found


def spec_of(loaded: LoadedManifest, architecture: str, variant: str = "") -> SaeSpec:
    return next(
        spec for spec in loaded.saes if (spec.architecture, spec.variant) == (architecture, variant)
    )


def plausible_tensors(spec: SaeSpec) -> dict[str, torch.Tensor]:
    """Weights that use every term: unit decoder rows, an encoder near their transpose."""
    generator = torch.Generator().manual_seed(3)

    def noise(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    decoder = torch.nn.functional.normalize(noise(D_SAE, D_IN), dim=1)
    tensors = {
        "W_enc": decoder.T + 0.1 * noise(D_IN, D_SAE),
        "W_dec": decoder,
        "b_dec": 5 + noise(D_IN),
    }
    if spec.architecture == "gated":
        biases = {"b_gate": -2 + noise(D_SAE), "b_mag": noise(D_SAE), "r_mag": 0.3 * noise(D_SAE)}
        return tensors | biases
    tensors["b_enc"] = noise(D_SAE)
    if spec.variant == "fixed":
        tensors["threshold"] = torch.zeros(D_SAE)
    elif spec.architecture == "jumprelu":
        tensors["threshold"] = 1 + noise(D_SAE).abs()
    elif spec.saved_architecture == "jumprelu":
        tensors["threshold"] = torch.full((D_SAE,), 2.5)
    return tensors


def written(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def by_the_formula(spec: SaeSpec, tensors: dict[str, torch.Tensor], x: Array) -> Array:
    """Latents in float64, from the equations of each paper."""
    w = {name: tensor.numpy().astype(np.float64) for name, tensor in tensors.items()}
    q = (x - w["b_dec"]) @ w["W_enc"]
    relu = lambda values: np.maximum(values, 0)  # noqa: E731
    if spec.architecture == "gated":
        magnitude = relu(np.exp(w["r_mag"]) * q + w["b_mag"])
        return np.where(q + w["b_gate"] > 0, magnitude, 0)
    p = q + w["b_enc"]
    if spec.architecture == "topk":
        smallest_kept = np.sort(p, axis=1)[:, -K][:, None]
        return np.where(p >= smallest_kept, relu(p), 0)
    if spec.architecture == "standard" or spec.variant == "fixed":
        return relu(p)
    if spec.architecture == "jumprelu":
        return np.where(p > w["threshold"], p, 0)
    # The BatchTopK family: one threshold for all latents.
    return np.where(p > 2.5, p, 0)


@pytest.mark.parametrize(
    ("architecture", "variant"), [*((name, "") for name in ALL), ("jumprelu", "fixed")]
)
def test_saelens_computes_the_formula_from_the_written_folder(
    architecture: str, variant: str, loaded: LoadedManifest, tmp_path: Path
) -> None:
    spec = spec_of(loaded, architecture, variant)
    tensors = plausible_tensors(spec)
    files = sae_files(spec, loaded.manifest, tensors, context_size=9)
    sae = SAE.load_from_disk(written(tmp_path / "sae", files))
    # A mean far from zero and norms of about 40, as residual streams have.
    x = 5 + 4 * torch.randn(40, D_IN, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        latents = sae.encode(x)
        x_hat = sae.decode(latents)
    expected = by_the_formula(spec, tensors, x.numpy().astype(np.float64))
    decoder, b_dec = tensors["W_dec"].numpy(), tensors["b_dec"].numpy()
    assert sae.cfg.architecture() == saved_architecture(spec.architecture)
    # Neither all latents nor none: each formula's condition decides something.
    assert 0 < np.count_nonzero(expected) < expected.size
    assert np.abs(latents.numpy() - expected).max() <= 1e-5 * np.abs(expected).max()
    expected_x_hat = expected @ decoder + b_dec
    assert np.abs(x_hat.numpy() - expected_x_hat).max() <= 1e-5 * np.abs(expected_x_hat).max()


@pytest.mark.parametrize(
    ("architecture", "variant"), [*((name, "") for name in ALL), ("jumprelu", "fixed")]
)
@pytest.mark.parametrize("input_scale", ["unit_mean_norm", "none"])
def test_saelens_reproduces_the_trainers_forward_on_raw_activations(
    architecture: str, variant: str, input_scale: Any, loaded: LoadedManifest, tmp_path: Path
) -> None:
    spec = spec_of(loaded, architecture, variant)
    generator = torch.Generator().manual_seed(0)
    # A mean far from zero and norms of about 40, as residual streams have.
    x = 10 * torch.randn(30, D_IN, generator=generator) + 7
    scale = fit_input_scale(InMemory(x), input_scale)
    dictionary = torch.nn.functional.normalize(
        torch.randn(1, D_SAE, D_IN, generator=generator), dim=2
    )
    recipe = loaded.manifest.recipe.of(spec.architecture, variant)
    trained = build_saes(recipe, dictionary, dead_after=10, micro_batch=30)
    # Every bias gets a part that is not its initial value.
    for parameter in (trained.W_enc, *trained.small.values()):
        parameter += 0.05 * torch.randn(parameter.shape, generator=generator)
    trained.after_step()
    z = scale.apply(x).unsqueeze(0)
    # BatchTopK learns its threshold from batches.
    trained.step(z, n_batch=30)
    latents = trained.encode(z)[0]
    x_hat = scale.centre + scale.scale * trained.decode(latents.unsqueeze(0))[0]
    files = sae_files(spec, loaded.manifest, trained.exported(0, scale), context_size=9)
    sae = SAE.load_from_disk(written(tmp_path / "sae", files))
    with torch.no_grad():
        acts = sae.encode(x)
        out = sae.decode(acts)
    assert 0 < np.count_nonzero(acts.numpy()) < acts.numel()
    # Both compute in float32, in other orders: 1e-5 of the largest value.
    assert (out - x_hat).abs().max() <= 1e-5 * x_hat.abs().max()
    assert (acts - scale.scale * latents).abs().max() <= 1e-5 * acts.abs().max()
    torch.testing.assert_close(sae.W_dec.detach().norm(dim=1), torch.ones(D_SAE))


@pytest.mark.parametrize("architecture", ALL)
def test_the_file_holds_exactly_the_tensors_of_the_saved_architecture(
    architecture: str, loaded: LoadedManifest
) -> None:
    from safetensors.torch import load

    spec = spec_of(loaded, architecture)
    files = sae_files(spec, loaded.manifest, plausible_tensors(spec), context_size=9)
    found = load(files["sae_weights.safetensors"])
    sizes = {"d_in": D_IN, "d_sae": D_SAE}
    assert {name: tuple(tensor.shape) for name, tensor in found.items()} == {
        name: tuple(sizes[axis] for axis in axes)
        for name, axes in TENSOR_SHAPES[spec.saved_architecture].items()
    }
    again = sae_files(spec, loaded.manifest, plausible_tensors(spec), context_size=9)
    assert again == files


@pytest.mark.parametrize("architecture", ALL)
def test_cfg_json_has_every_key_that_saelens_writes_for_inference(
    architecture: str, loaded: LoadedManifest, tmp_path: Path
) -> None:
    spec = spec_of(loaded, architecture)
    files = sae_files(spec, loaded.manifest, plausible_tensors(spec), context_size=9)
    sae = SAE.load_from_disk(written(tmp_path / "sae", files))
    ours, theirs = json.loads(files["cfg.json"]), sae.cfg.to_dict()
    assert {**ours, "metadata": None} == {**theirs, "metadata": None}
    assert ours["metadata"] == theirs["metadata"]


def test_saelens_keeps_the_place_the_condition_and_what_was_trained(
    loaded: LoadedManifest, tmp_path: Path
) -> None:
    spec = next(s for s in loaded.saes if s.sae_id == "matryoshka_batchtopk_L1_deceptive_only")
    files = sae_files(spec, loaded.manifest, plausible_tensors(spec), context_size=9)
    metadata = SAE.load_from_disk(written(tmp_path / "sae", files)).cfg.metadata
    assert metadata.hook_name == "blocks.1.hook_resid_post"
    assert metadata.hf_hook_name == "model.layers.1"
    assert metadata.model_name == "someone/tiny-llama"
    assert metadata.training_condition == "deceptive_only"
    assert metadata.training_architecture == "matryoshka_batchtopk"
    details = metadata.training_architecture_details
    assert (details["k"], details["widths"]) == (6, [8, 16])


def test_a_topk_sae_states_its_k_and_nothing_else_does(loaded: LoadedManifest) -> None:
    stated = {
        spec.architecture: sae_config(spec, loaded.manifest, context_size=9).get("k")
        for spec in loaded.saes
    }
    assert {name: k for name, k in stated.items() if k is not None} == {"topk": K}


def test_thresholds_fixed_at_zero_are_said_to_be_so_in_the_config(loaded: LoadedManifest) -> None:
    spec = spec_of(loaded, "jumprelu", "fixed")
    metadata = sae_config(spec, loaded.manifest, context_size=9)["metadata"]
    assert metadata["training_architecture_details"] == {
        "threshold": "fixed_at_zero",
        "sparsity_coefficient": 0.1,
    }
    plain = sae_config(spec_of(loaded, "jumprelu"), loaded.manifest, context_size=9)["metadata"]
    assert plain["training_architecture_details"]["threshold"] == "learned"


def test_the_data_is_the_manifests_file_unless_it_was_another(loaded: LoadedManifest) -> None:
    spec = loaded.saes[0]
    data = loaded.manifest.data
    config = sae_config(spec, loaded.manifest, context_size=9)["metadata"]
    assert (config["dataset_path"], config["dataset_sha256"]) == (data.file, data.sha256)
    assert config["pooling"] == "last_token"
    assert config["prepend_bos"] is False and "seqpos_slice" not in config
    other = DataSource("sampled.jsonl", sha256="1" * 64)
    config = sae_config(spec, loaded.manifest, context_size=9, data=other)["metadata"]
    assert (config["dataset_path"], config["dataset_sha256"]) == ("sampled.jsonl", "1" * 64)


def test_plain_text_of_the_hub_is_named_with_its_revision_and_positions(project: Any) -> None:
    project.content["data"] = {
        "dataset": {"id": "someone/documents", "revision": "v2"},
        "sha256": "2" * 64,
        "text": {"context_size": 64, "skip_first": 1},
        "description": "Documents.",
        "pooling": "every_token",
        "conditions": {"text": {}},
        "held_out": {"fraction": 0.1, "seed": 0},
    }
    project.content["saes"] |= {"conditions": ["text"], "architectures": ["topk"]}
    loaded = project.load()
    metadata = sae_config(loaded.saes[0], loaded.manifest, context_size=64)["metadata"]
    assert metadata["dataset_path"] == "someone/documents"
    assert metadata["dataset_revision"] == "v2"
    assert metadata["pooling"] == "every_token"
    assert metadata["training_condition"] == "text"
    # SAELens reads both: every context starts with the token, whose position gives no vector.
    assert metadata["prepend_bos"] is True
    assert metadata["seqpos_slice"] == [1, None]


@pytest.fixture
def saved_sae(loaded: LoadedManifest, tmp_path: Path) -> Any:
    """A BatchTopK SAE of layer 1 as SAELens loads it; its context is 9 tokens."""
    spec = next(s for s in loaded.saes if s.sae_id == "batchtopk_L1_mixed")
    files = sae_files(spec, loaded.manifest, plausible_tensors(spec), context_size=9)
    return SAE.load_from_disk(written(tmp_path / "sae", files))


def token_rows() -> Any:
    from datasets import Dataset

    tokens = torch.randint(1, 12, (64, 9), generator=torch.Generator().manual_seed(0))
    return Dataset.from_dict({"tokens": tokens.tolist()})


def store_of(model: Any, sae: Any) -> Any:
    from sae_lens import ActivationsStore

    return ActivationsStore.from_sae(
        model,
        sae,
        dataset=token_rows(),
        streaming=False,
        store_batch_size_prompts=4,
        n_batches_in_buffer=2,
        train_batch_size_tokens=16,
        total_tokens=64,
    )


# What SAELens itself warns of while it copies tokens and counts rows.
_SAELENS_WARNS = [
    pytest.mark.filterwarnings(f"ignore:{start}:UserWarning")
    for start in ("To copy construct", "The training dataset contains fewer samples")
]


def saelens_warns(test: Any) -> Any:
    for mark in _SAELENS_WARNS:
        test = mark(test)
    return test


@saelens_warns
def test_saelens_activations_store_finds_the_place_in_a_hooked_transformer(saved_sae: Any) -> None:
    from transformer_lens import HookedTransformer, HookedTransformerConfig

    config = HookedTransformerConfig(
        n_layers=2, d_model=D_IN, n_ctx=16, d_head=8, n_heads=2, d_vocab=13, act_fn="relu", seed=0
    )
    model = HookedTransformer(config)
    store = store_of(model, saved_sae)
    tokens = store.get_batch_tokens(batch_size=4)
    found = store.get_activations(tokens)
    _, cache = model.run_with_cache(tokens)
    assert found.shape == (4, 9, D_IN)
    torch.testing.assert_close(found, cache["blocks.1.hook_resid_post"])
    assert saved_sae.encode(found).shape == (4, 9, D_SAE)


@saelens_warns
def test_saelens_evaluation_runs_with_what_the_config_states(saved_sae: Any) -> None:
    from sae_lens.evals import EvalConfig, run_evals
    from sae_lens.training.activation_scaler import ActivationScaler
    from transformer_lens import HookedTransformer, HookedTransformerConfig

    config = HookedTransformerConfig(
        n_layers=2, d_model=D_IN, n_ctx=16, d_head=8, n_heads=2, d_vocab=13, act_fn="relu", seed=0
    )
    # As SAELens' evaluation of registered SAEs does: it unpacks this of the metadata.
    model = HookedTransformer(config, **saved_sae.cfg.metadata.model_from_pretrained_kwargs)
    wanted = EvalConfig(
        batch_size_prompts=4,
        n_eval_reconstruction_batches=1,
        n_eval_sparsity_variance_batches=1,
        compute_ce_loss=True,
        compute_l2_norms=True,
        compute_sparsity_metrics=True,
        compute_variance_metrics=True,
    )
    metrics, _ = run_evals(
        saved_sae,
        store_of(model, saved_sae),
        model,
        ActivationScaler(),
        wanted,
        exclude_special_tokens=False,
    )
    assert metrics["sparsity"]["l0"] > 0
    assert metrics["model_performance_preservation"]["ce_loss_with_sae"] > 0


@saelens_warns
def test_the_module_path_fits_saelens_model_of_transformers_and_the_lens_name_does_not(
    saved_sae: Any, tiny_checkpoint: Path
) -> None:
    from sae_lens.load_model import load_model

    metadata = saved_sae.cfg.metadata
    assert "model_class_name" not in metadata
    path = str(tiny_checkpoint)
    with pytest.raises(ValueError, match="not found as submodules"):
        load_model("AutoModelForCausalLM", path, "cpu", hook_names=[metadata.hook_name])
    model: Any = load_model("AutoModelForCausalLM", path, "cpu", hook_names=[metadata.hf_hook_name])
    metadata.hook_name = metadata.hf_hook_name
    store = store_of(model, saved_sae)
    tokens = store.get_batch_tokens(batch_size=4)
    found = store.get_activations(tokens)
    seen: list[Any] = []
    block = model.model.get_submodule("model.layers.1")
    block.register_forward_hook(lambda module, args, output: seen.append(output))
    model.model(tokens)
    torch.testing.assert_close(found, seen[0][0] if isinstance(seen[0], tuple) else seen[0])
