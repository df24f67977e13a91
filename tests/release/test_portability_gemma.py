"""A tiny Gemma 4, read as the GF-1 release reads its own: nf4 twice quantised, computed in fp16."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from manifests.build_folder import BuildFolder
from manifests.completions import Completion, completions_jsonl
from manifests.digests import bytes_sha256
from manifests.load import load_manifest
from manifests.progress import Silent
from release.cli import main
from validators.report import Portability, read_report

WORDS = tuple("abcdefghijklmnopqr")
D_MODEL = 64
SAE = "gf1_topk_k16_L2_bnb4bit"


@pytest.fixture(scope="module")
def gemma(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Gemma 4 with random weights: embeddings for each layer, shared keys, two kinds of attention.

    Block 2 takes its keys and values from block 0, as block 25 of the real one does from another.
    """
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import Gemma4Config, Gemma4ForConditionalGeneration, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("bases") / "tiny-gemma"
    vocabulary = {word: index for index, word in enumerate(["<unk>", *WORDS])}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=words, unk_token="<unk>").save_pretrained(folder)
    text = {
        "vocab_size": len(vocabulary),
        "vocab_size_per_layer_input": len(vocabulary),
        "hidden_size": D_MODEL,
        "hidden_size_per_layer_input": D_MODEL,
        "intermediate_size": 2 * D_MODEL,
        "num_hidden_layers": 4,
        "num_kv_shared_layers": 2,
        "layer_types": ["sliding_attention", "full_attention"] * 2,
        "use_double_wide_mlp": True,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 32,
        "global_head_dim": 64,
        "sliding_window": 8,
        "final_logit_softcapping": 30.0,
        "initializer_range": 0.2,
        **dict.fromkeys(("pad_token_id", "eos_token_id", "bos_token_id"), 0),
    }
    tokens = ("image_token_id", "video_token_id", "audio_token_id", "boi_token_id",
              "eoi_token_id", "boa_token_id", "eoa_token_index")  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = Gemma4Config(text_config=text, **dict.fromkeys(tokens, 0))
        Gemma4ForConditionalGeneration(config).save_pretrained(folder)
    return folder


def rows() -> list[Completion]:
    """120 completions: honest ones echo the role, deceptive ones drift away."""
    import numpy as np

    generator = np.random.default_rng(0)
    return [
        Completion(
            id=f"row-{number:03}",
            scenario=f"day_night_{number % 6}",
            prompt="a b c",
            opening="d",
            completion=" "
            + " ".join(generator.choice(WORDS[:12] if number % 2 else WORDS[6:], size=6)),
            label="honest" if number % 2 else "deceptive",
            seed=0,
            temperature=1.0,
            max_new_tokens=6,
            model_digest="0" * 64,
        )
        for number in range(120)
    ]


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gf1")
    data = completions_jsonl(rows())
    (folder / "completions.jsonl").write_bytes(data)
    content = {
        "schema_version": 1,
        "repo_id": "tiny/gf1",
        "title": "Tiny GF-1",
        "summary": "One TopK SAE on a 4-bit model.",
        "license": "apache-2.0",
        "base_model": {
            "id": "tiny/gemma",
            "model_type": "gemma4",
            "n_layers": 4,
            "d_model": D_MODEL,
            "precision": {"weights": "nf4", "compute": "fp16", "double_quantization": True},
        },
        "saes": {
            "id": "gf1_{architecture}_k16_L{layer}_bnb4bit",
            "layers": [2],
            "architectures": ["topk"],
            "conditions": ["behavior"],
            "expansion": 4,
        },
        "recipe": {
            "epochs": 200,
            "batch_size": 32,
            "learning_rate": 3.0e-3,
            "topk": {"k": 16},
        },
        "data": {
            "file": "completions.jsonl",
            "sha256": bytes_sha256(data),
            "description": "Word salad.",
            "label_rule": "By number.",
            "label_precision": "Not read.",
            "pooling": "last_token",
            "held_out": {"fraction": 0.25, "seed": 0},
            "conditions": {"behavior": {"labels": ["deceptive", "honest"]}},
        },
        "portability": {
            "claimed": [
                {"precision": "nf4-dq:fp16", "effective_bits": 3.5, "source": "line 55"},
                {"precision": "nf4-dq:fp16", "effective_bits": 4.127},
            ],
            "other_models": [
                {"id": "google/gemma-4-E2B-it", "d_model": 64, "relation": "instruction-tuned"},
                {"id": "google/gemma-4-E4B", "d_model": 2560, "relation": "larger"},
            ],
        },
    }
    path = folder / "gf1.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def build(manifest: Path, gemma: Path) -> BuildFolder:
    """The SAE, trained on the 4-bit model."""
    from retrain.stage import retrain

    loaded = load_manifest(manifest)
    build = BuildFolder(manifest.parent / "build" / loaded.name)
    retrain(loaded, build, progress=Silent(), base_model=str(gemma))
    return build


def test_a_pass_that_is_given_its_own_activations_gives_its_own_logits(gemma: Path) -> None:
    import torch

    from validators.base_models.base_model import load_named_base_model
    from validators.base_models.spliced_pass import SplicedPass
    from validators.evidence.place_reader import PlaceReader
    from validators.places.place import Place

    base, place = load_named_base_model(str(gemma)), Place("model.language_model.layers.2")
    ids = [1, 5, 9, 2, 7, 3]
    with PlaceReader(base, [place]) as reader:
        reader.run([ids])
        own = reader.outputs[place][0].clone()
    with torch.inference_mode():
        expected = base.model(input_ids=torch.tensor([ids])).logits[0]
    # Block 3 takes its keys from block 1, so no block before the place may be skipped.
    with SplicedPass(base, place) as spliced:
        assert torch.equal(spliced.logits(ids, own), expected)
        assert not torch.equal(spliced.logits(ids, own * 0), expected)


NAMES = "fp32,fp16,bf16,int8,nf4-dq"


@pytest.mark.slow
def test_the_release_goes_through_the_same_command(
    manifest: Path, gemma: Path, build: BuildFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ("--build", str(build.root.parent), "--base-model", str(gemma))
    code = main(["portability", str(manifest), *where, "--precisions", NAMES])
    captured = capsys.readouterr()
    assert code == 1, captured.err
    found = read_report(build.report_json).portability
    assert found is not None
    # 3.5 bits for each weight are claimed, and no format of blocks of 64 takes so few.
    assert code == 1, captured.err
    assert "Not met: the manifest says 3.5 bits a weight of the quantised layers" in captured.out
    assert "MatMul8bitLt" not in captured.err + captured.out
    check(found)


def check(found: Portability) -> None:
    assert found.trained_at == "nf4-dq:fp16"
    labels = ["nf4-dq:fp16", "fp32", "fp16", "bf16", "int8:fp16"]
    assert list(found.precisions) == labels
    assert [one.holds for one in found.claimed] == [False, True]
    bits = found.precisions["nf4-dq:fp16"].metrics["bits_per_quantised_parameter"].value
    # 4 + 8/64 + 32/(64 * 256), were every matrix whole blocks of scales.
    assert bits is not None and 4.12 < bits < 4.3
    shifts = found.saes[SAE]
    assert list(shifts) == labels
    moved: dict[str, Any] = {
        label: shifts[label].metrics["residual_error_about_mean"].value for label in labels
    }
    assert moved["nf4-dq:fp16"] == 0
    # Unquantised formats are alike and far from 4 bits; int8 lies near them, not near 4 bits.
    for label in labels[1:]:
        assert moved[label] > 0.05
    assert moved["fp16"] == pytest.approx(moved["fp32"], rel=0.1)
    for label in labels[1:]:
        metrics = shifts[label].metrics
        for name in ("explained_variance_drop", "jaccard", "alive_shift", "d_max",
                     "probe_transferred", "ce_increase"):  # fmt: skip
            assert metrics[name].value is not None, (label, name, metrics[name].reason)
        assert shifts[label].verdict.verdict != "not measured"
    sibling, larger = found.elsewhere[1:]
    assert sibling.verdict == "not measured"
    assert larger.sentence.startswith("cannot be used: its residual stream has 2560 dimensions")
