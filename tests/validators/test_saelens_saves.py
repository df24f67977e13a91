"""What SAELens itself saves passes: every architecture, no manifest, nothing to complain of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from manifests.progress import Silent
from validators.foreign.recognise import recognise
from validators.reading.local_repository import LocalRepository
from validators.registry import checks_up_to
from validators.report import Outcome
from validators.runner import run_checks
from validators.saelens.config import (
    ARCHITECTURE_KEYS,
    PLACE_KEYS,
    SHARED_KEYS,
    TRAINING_KEYS,
)
from validators.saelens.format import INFERENCE_ARCHITECTURES, TRANSCODERS
from validators.subjects import RepositorySubject

# SAELens' own remarks while it builds an SAE: how to load the model, and what it corrected.
pytestmark = [
    pytest.mark.filterwarnings(f"ignore:{start}:UserWarning")
    for start in (
        r"\s*This SAE has non-empty",
        "decoder_init_norm",
        "WARNING. The final matryoshka",
    )
]

D_IN, D_SAE = 16, 32
OF_AN_LLM_RUN = {
    "dataset_path": "NeelNanda/pile-10k",
    "hook_name": "blocks.1.hook_resid_post",
    "model_name": "gpt2",
    "model_class_name": "HookedTransformer",
    "hook_head_index": None,
    "context_size": 128,
    "seqpos_slice": [None],
    "model_from_pretrained_kwargs": {"center_writing_weights": False},
    "prepend_bos": True,
    "exclude_special_tokens": False,
    "sequence_separator_token": "bos",
    "disable_concat_sequences": False,
    "l0": 12.5,
    "num_dead_features": 0,
}


def config_and_file_outcomes(root: Path) -> list[Outcome]:
    """What the checks C and F say of a folder, without a manifest."""
    checks = tuple(c for c in checks_up_to("static") if c.code[0] in "CF")
    subject = RepositorySubject(LocalRepository(root), None, progress=Silent())
    return list(run_checks(subject, checks, Silent()))


def complaints(root: Path) -> list[tuple[str, str, str]]:
    found = config_and_file_outcomes(root)
    assert {o.code for o in found} >= {"C001", "C004", "C008", "C014", "C023", "F001", "F010"}
    # Where there is nothing to ask about, as without a manifest, a check is skipped.
    # The one training is saved in two ways side by side, which is what F012 warns of.
    found = [o for o in found if o.code != "F012"]
    open_ones = [o for o in found if o.outcome != "skipped" or o.required]
    return [(o.code, o.subject, o.found) for o in open_ones if o.outcome != "passed"]


def settings(architecture: str, dtype: str) -> dict[str, Any]:
    values: dict[str, Any] = {"d_in": D_IN, "d_sae": D_SAE, "dtype": dtype}
    if architecture in TRANSCODERS:
        values |= {"d_out": 24, "apply_b_dec_to_input": False}
    if "topk" in architecture:
        values["k"] = 4
    if architecture == "temporal":
        values |= {"n_heads": 2, "bottleneck_factor": 4, "kval_topk": 4}
    return values


def written(metadata: dict[str, Any]) -> Any:
    from sae_lens.saes.sae import SAEMetadata

    return SAEMetadata(**json.loads(json.dumps(metadata)))


@pytest.mark.parametrize("metadata", [OF_AN_LLM_RUN, {}], ids=["llm_run", "empty"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("architecture", INFERENCE_ARCHITECTURES)
def test_an_inference_sae_that_saelens_saves_passes(
    architecture: str, dtype: str, metadata: dict[str, Any], tmp_path: Path
) -> None:
    from sae_lens.registry import get_sae_class

    sae_class, config_class = get_sae_class(architecture)
    config = config_class(**settings(architecture, dtype))
    config.metadata = written(metadata)
    sae_class(config).save_model(tmp_path / "sae")
    assert complaints(tmp_path) == []
    assert recognise(LocalRepository(tmp_path)) == ()


@pytest.mark.parametrize("metadata", [OF_AN_LLM_RUN, {}], ids=["llm_run", "empty"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("architecture", sorted(TRAINING_KEYS))
def test_a_trained_sae_that_saelens_saves_for_inference_passes(
    architecture: str, dtype: str, metadata: dict[str, Any], tmp_path: Path
) -> None:
    from sae_lens.registry import get_sae_training_class

    sae_class, config_class = get_sae_training_class(architecture)
    widths = {"matryoshka_widths": [8, 16]} if architecture.startswith("matryoshka") else {}
    config = config_class(**settings(architecture, dtype), **widths)
    config.metadata = written(metadata)
    sae = sae_class(config)
    sae.save_inference_model(tmp_path / "inference")
    assert complaints(tmp_path) == []
    sae.save_model(tmp_path / "checkpoint")
    # Only while training there are batchtopk and matryoshka_batchtopk: nobody can load those.
    only_training = architecture.endswith("batchtopk")
    refused = {code for code, subject, found in complaints(tmp_path) if "while training" in found}
    assert refused == ({"C004"} if only_training else set())
    assert only_training or complaints(tmp_path) == []


def test_the_keys_are_those_of_the_installed_saelens() -> None:
    import dataclasses

    import sae_lens  # noqa: F401 - registers its classes when it is imported
    from sae_lens.loading.pretrained_sae_loaders import LLM_METADATA_KEYS
    from sae_lens.registry import SAE_CLASS_REGISTRY, SAE_TRAINING_CLASS_REGISTRY

    beside = {"architecture", "sae_lens_version"}
    for registry, own in (
        (SAE_CLASS_REGISTRY, ARCHITECTURE_KEYS),
        (SAE_TRAINING_CLASS_REGISTRY, TRAINING_KEYS),
    ):
        assert registry.keys() == own.keys()
        for name, (_, config) in registry.items():
            fields = {field.name for field in dataclasses.fields(config)}
            assert fields | beside == SHARED_KEYS | own[name], name
    assert LLM_METADATA_KEYS == PLACE_KEYS


def test_scaling_of_training_does_nothing_at_inference_and_layer_norm_does() -> None:
    import torch
    from sae_lens.saes.standard_sae import StandardSAE, StandardSAEConfig

    x = torch.linspace(-3, 5, D_IN).reshape(1, D_IN)

    def seen(setting: str) -> Any:
        config = StandardSAEConfig(d_in=D_IN, d_sae=D_SAE, normalize_activations=setting)
        return StandardSAE(config).process_sae_in(x)

    for setting in ("expected_average_only_in", "covariance_whitening"):
        assert torch.equal(seen(setting), x), setting
    for setting in ("layer_norm", "constant_norm_rescale"):
        assert not torch.allclose(seen(setting), x), setting
