"""SAEs that SAELens' own trainer made and SAELens' own code saved: none may be found fault with."""

from __future__ import annotations

import contextlib
import io
import json
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

Vectors = NDArray[np.float32]
Dtype = Literal["float32", "bfloat16"]

MODEL_ID = "HuggingFaceTB/SmolLM2-135M-Instruct"


@dataclass(frozen=True)
class Recipe:
    """One way to train with SAELens.

    Attributes:
        name: of the folder.
        architecture: as SAELens registers the training class.
        options: of its training config; sizes are given when it is trained.
        normalize: what SAELens does to the activations while training.
        places: `lens` names the hook as HookedTransformer does, `hf` as AutoModelForCausalLM.
        saves: `inference` is what the runner ends with, `model` a user's call of `save_model`,
            `reloaded` an SAE that was loaded and saved again, `folded` one whose decoder norms
            were folded before it was saved.
    """

    name: str
    architecture: str
    options: dict[str, Any] = field(default_factory=dict)
    dtype: Dtype = "float32"
    normalize: str = "expected_average_only_in"
    places: Literal["lens", "hf"] = "lens"
    saves: Literal["inference", "model", "reloaded", "folded"] = "inference"


@dataclass(frozen=True)
class Saved:
    """One SAE that was saved.

    Attributes:
        folder: where.
        recipe: how it was made; None for one that was constructed and not trained.
        explained_variance: of the saved SAE, loaded again, on held-out vectors; None: not trained.
    """

    folder: Path
    recipe: Recipe | None
    explained_variance: float | None


def recipes(
    *, k: int, target_l0: float, threshold: float, l1: float, l1_of_raw: float
) -> tuple[Recipe, ...]:
    """Every architecture that SAELens can train, in both dtypes, and settings that users vary.

    Args:
        k: of TopK and its kin.
        target_l0: of JumpReLU.
        threshold: JumpReLU's first one, in units of activations of norm sqrt(d_in).
        l1: coefficient where activations have norm sqrt(d_in).
        l1_of_raw: the same where the loss is in the activations' own units.
    """
    jumprelu: dict[str, Any] = {
        "jumprelu_sparsity_loss_mode": "quadratic",
        "target_l0": target_l0,
        "l0_coefficient": 5.0,
        "jumprelu_init_threshold": threshold,
        "jumprelu_bandwidth": threshold,
        "decoder_init_norm": 1.0,
    }
    anthropic: dict[str, Any] = {
        "jumprelu_sparsity_loss_mode": "tanh",
        "l0_coefficient": 0.8 * l1,
        "jumprelu_init_threshold": 0.1,
        "jumprelu_bandwidth": 2.0,
        "pre_act_loss_coefficient": 3e-6,
        "jumprelu_ste_to_input": True,
    }
    by_architecture: dict[str, dict[str, Any]] = {
        "standard": {"l1_coefficient": l1},
        "topk": {"k": k},
        "abstopk": {"k": k},
        "jumprelu": jumprelu,
        "gated": {"l1_coefficient": l1},
        # The threshold is a running mean, and these runs are short.
        "batchtopk": {"k": float(k), "topk_threshold_lr": 0.1},
        "matryoshka_batchtopk": {
            "k": float(k),
            "matryoshka_widths": "thirds",
            "topk_threshold_lr": 0.1,
        },
        "matching_pursuit": {"max_iterations": min(k, 16), "residual_threshold": 1e-2},
    }
    plain = [
        Recipe(f"{name}_{dtype}", name, options, dtype=dtype, places=places)
        for name, options in by_architecture.items()
        for dtype, places in (("float32", "lens"), ("bfloat16", "hf"))
    ]
    topk, standard = by_architecture["topk"], by_architecture["standard"]
    varied = [
        Recipe("topk_unscaled", "topk", {**topk, "rescale_acts_by_decoder_norm": False}),
        Recipe("topk_raw_input", "topk", topk, normalize="none"),
        Recipe("topk_uncentred", "topk", {**topk, "apply_b_dec_to_input": False}, places="hf"),
        Recipe("jumprelu_layer_norm", "jumprelu", jumprelu, normalize="layer_norm"),
        Recipe(
            "standard_unit_norm",
            "standard",
            {"l1_coefficient": l1_of_raw},
            normalize="constant_norm_rescale",
        ),
        Recipe("jumprelu_anthropic", "jumprelu", anthropic),
        Recipe("topk_whitened", "topk", topk, normalize="covariance_whitening"),
        Recipe("topk_saved_as_trained", "topk", topk, saves="model"),
        Recipe("standard_saved_as_trained", "standard", standard, saves="model"),
        Recipe("gated_saved_as_trained", "gated", by_architecture["gated"], saves="model"),
        Recipe("jumprelu_saved_as_trained", "jumprelu", jumprelu, saves="model"),
        Recipe("topk_saved_again", "topk", topk, saves="reloaded", places="hf"),
        Recipe("topk_folded", "topk", topk, saves="folded"),
        Recipe("standard_folded", "standard", standard, saves="folded", places="hf"),
        Recipe("batchtopk_folded", "batchtopk", by_architecture["batchtopk"], saves="folded"),
    ]
    return (*plain, *varied)


def train_and_save(
    recipe: Recipe,
    root: Path,
    train: Vectors,
    held_out: Vectors,
    *,
    d_sae: int,
    steps: int,
    layer: int,
    batch_size: int = 256,
    lr: float = 1e-3,
) -> Saved:
    """Train with SAELens' trainer, save with SAELens, load with SAELens, and measure.

    Args:
        recipe: what to train.
        root: the SAE's folder is made below it.
        train: activation vectors [n, d_in].
        held_out: others, to measure on.
        d_sae: number of latents.
        steps: of the optimiser.
        layer: named in the metadata.
        batch_size: vectors in a step.
        lr: of Adam.
    """
    from sae_lens import SAE, SAETrainer, TrainingSAE
    from sae_lens.config import LoggingConfig, SAETrainerConfig
    from sae_lens.registry import get_sae_training_class

    options = dict(recipe.options)
    if options.get("matryoshka_widths") == "thirds":
        options["matryoshka_widths"] = [d_sae // 3, 2 * d_sae // 3]
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        # SAELens warns of its own defaults; the progress bar is of no use here.
        warnings.simplefilter("ignore")
        # Two SAEs with the same weights are a defect of their own.
        torch.manual_seed(sum(map(ord, recipe.name)))
        cfg = get_sae_training_class(recipe.architecture)[1](
            d_in=train.shape[1],
            d_sae=d_sae,
            dtype=recipe.dtype,
            device="cpu",
            normalize_activations=recipe.normalize,
            **options,
        )
        sae = TrainingSAE.from_dict(cfg.to_dict())
        state_run(sae, recipe, layer, d_in=train.shape[1])
        trainer = SAETrainer(
            cfg=SAETrainerConfig(
                total_training_samples=steps * batch_size,
                train_batch_size_samples=batch_size,
                lr=lr,
                lr_end=lr / 10,
                lr_decay_steps=steps // 4,
                n_batches_for_norm_estimate=8,
                dead_feature_window=max(50, steps // 4),
                feature_sampling_window=max(50, steps // 4),
                logger=LoggingConfig(log_to_wandb=False),
            ),
            sae=sae,
            data_provider=batches(train, batch_size, recipe.dtype),
        )
        trainer.fit()
        folder = root / recipe.name
        if recipe.saves == "folded":
            sae.fold_W_dec_norm()
        if recipe.saves == "model":
            sae.save_model(folder)
        else:
            sae.save_inference_model(folder)
        sparsity = trainer.log_feature_sparsity
        save_file({"sparsity": sparsity.contiguous()}, folder / "sparsity.safetensors")
        if recipe.saves == "reloaded":
            SAE.load_from_disk(folder).save_model(folder)
        loaded = SAE.load_from_disk(folder, dtype="float32")
        return Saved(folder, recipe, explained_variance(loaded, held_out))


def state_run(sae: Any, recipe: Recipe, layer: int, *, d_in: int) -> None:
    """Write the metadata that SAELens' runner for language models writes, by its own code."""
    from sae_lens.config import LanguageModelSAERunnerConfig, LoggingConfig
    from sae_lens.llm_sae_training_runner import LanguageModelSAETrainingRunner
    from sae_lens.saes.standard_sae import StandardTrainingSAEConfig

    is_lens = recipe.places == "lens"
    run = LanguageModelSAERunnerConfig(
        sae=StandardTrainingSAEConfig(d_in=d_in, d_sae=2 * d_in),
        model_name=MODEL_ID,
        model_class_name="HookedTransformer" if is_lens else "AutoModelForCausalLM",
        hook_name=f"blocks.{layer}.hook_resid_post" if is_lens else f"model.layers.{layer}",
        dataset_path="monology/pile-uncopyrighted",
        context_size=128,
        prepend_bos=is_lens,
        exclude_special_tokens=True,
        training_tokens=1_000_000,
        logger=LoggingConfig(log_to_wandb=False),
    )
    LanguageModelSAETrainingRunner._set_sae_metadata(SimpleNamespace(cfg=run, sae=sae))  # type: ignore[arg-type]


def batches(train: Vectors, batch_size: int, dtype: Dtype) -> Iterator[torch.Tensor]:
    """Batches of the training vectors, in a fresh order each time that all were seen."""
    data = torch.from_numpy(train).to(getattr(torch, dtype))
    generator = torch.Generator().manual_seed(0)
    while True:
        order = torch.randperm(len(data), generator=generator)
        for start in range(0, len(data) - batch_size + 1, batch_size):
            yield data[order[start : start + batch_size]]


def explained_variance(sae: Any, vectors: Vectors) -> float:
    """1 - sum ||x - x_hat||^2 / sum ||x - mean||^2."""
    missed = 0.0
    with torch.inference_mode():
        for start in range(0, len(vectors), 512):
            x = torch.from_numpy(vectors[start : start + 512])
            latents = sae.encode(x)
            x_hat = sae.decode(latents.to_dense() if latents.is_sparse else latents)
            missed += float((x - x_hat).double().square().sum())
    centred = vectors.astype(np.float64) - vectors.mean(axis=0, dtype=np.float64)
    return 1 - missed / float(np.square(centred).sum())


def construct_inference_only(root: Path, *, d_in: int, d_sae: int, layer: int) -> list[Saved]:
    """SAEs of the architectures that SAELens loads and cannot train, with random weights."""
    from sae_lens.registry import get_sae_class

    made = []
    for architecture, options in (
        ("transcoder", {"d_out": d_in, "apply_b_dec_to_input": False}),
        ("skip_transcoder", {"d_out": d_in, "apply_b_dec_to_input": False}),
        ("jumprelu_transcoder", {"d_out": d_in, "apply_b_dec_to_input": False}),
        ("jumprelu_skip_transcoder", {"d_out": d_in, "apply_b_dec_to_input": False}),
        ("temporal", {"n_heads": 2, "bottleneck_factor": 4, "kval_topk": 4}),
    ):
        for dtype in ("float32", "bfloat16"):
            torch.manual_seed(0)
            sae_class, config_class = get_sae_class(architecture)
            sae = sae_class(config_class(d_in=d_in, d_sae=d_sae, dtype=dtype, **options))
            metadata = sae.cfg.metadata
            metadata.model_name, metadata.hook_name = (
                MODEL_ID,
                f"blocks.{layer}.ln2.hook_normalized",
            )
            if "transcoder" in architecture:
                metadata.hook_name_out = f"blocks.{layer}.hook_mlp_out"
            with torch.no_grad():
                for name, parameter in sae.named_parameters():
                    if not bool(parameter.any()):
                        parameter.normal_(std=0.1)
                    if name == "threshold":
                        parameter.abs_().add_(0.01)
            folder = root / f"{architecture}_{dtype}"
            sae.save_model(folder)
            made.append(Saved(folder, None, None))
    return made


def tiny_activations(checkpoint: Path, n_sequences: int = 200) -> Vectors:
    """Block 1's output of a tiny Llama on random words; [n, d_in]."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(checkpoint).eval()
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(1, model.config.vocab_size, (n_sequences, 12), generator=generator)
    seen: list[torch.Tensor] = []
    handle = model.model.layers[1].register_forward_hook(
        lambda _module, _inputs, output: seen.append(
            output[0] if isinstance(output, tuple) else output
        )
    )
    with torch.inference_mode():
        model(ids)
    handle.remove()
    return seen[0][:, 1:].reshape(-1, seen[0].shape[-1]).numpy().copy()


def model_activations(model: Any, tokenizer: Any, *, layer: int, n_tokens: int) -> Vectors:
    """Block `layer`'s output on texts that come with Python; without each context's first token.

    Returns:
        [n, d_model]; contexts of 128 tokens, the first of them the tokenizer's BOS.
    """
    from pydoc_data.topics import topics

    ids = tokenizer.encode("\n\n".join(topics.values()), add_special_tokens=False)[:n_tokens]
    contexts = [[tokenizer.bos_token_id, *ids[at : at + 127]] for at in range(0, len(ids), 127)]
    contexts = [context for context in contexts if len(context) == 128]
    seen: list[torch.Tensor] = []
    every = model.model.layers
    model.model.layers = every[: layer + 1]
    handle = every[layer].register_forward_hook(
        lambda _module, _inputs, output: seen.append(
            output[0] if isinstance(output, tuple) else output
        )
    )
    try:
        with torch.inference_mode():
            for start in range(0, len(contexts), 8):
                model.model(torch.tensor(contexts[start : start + 8]), use_cache=False)
    finally:
        handle.remove()
        model.model.layers = every
    vectors = torch.cat([block[:, 1:].reshape(-1, block.shape[-1]) for block in seen])
    return vectors.float().numpy()


def stated(saved: Saved) -> dict[str, Any]:
    """The config as saved."""
    cfg: dict[str, Any] = json.loads((saved.folder / "cfg.json").read_text(encoding="utf-8"))
    return cfg
