"""Whole repositories, as folders, to manifests that load and to findings."""

from __future__ import annotations

import itertools
import json
import sys
from pathlib import Path

import pytest
import yaml

from manifests.load import load_manifest
from manifests.progress import Silent
from release.importing.base_config import BaseModelFacts, base_model_facts
from release.importing.findings import Finding
from release.importing.stage import Imported, NothingToImport, import_repository
from release.importing.survey import TooManySaes
from validators.reading.local_repository import LocalRepository

ROOT = Path(__file__).resolve().parents[3]
CONDITIONS = ("mixed", "deceptive_only", "honest_only")
TINYLLAMA = "TinyLlama/TinyLlama-1.1B-intermediate-step-1431k-3T"
TINYLLAMA_CONFIG = {"model_type": "llama", "num_hidden_layers": 22, "hidden_size": 2048}
LLAMA = BaseModelFacts(model_type="llama", n_layers=30, d_model=16)

# What no file of such a repository states; a person looks it up in the training code.
RECIPE = {
    "learning_rate": 3e-4,
    "epochs": 300,
    "batch_size": 128,
    "l1_coefficient": 0.05,
    "bandwidth": 0.05,
    "threshold_init": 0.02,
    "target_l0": 64,
    "sparsity_coefficient": 0.1,
    "repo_id": "someone/saes",
    "model_type": "llama",
    "n_layers": 22,
}


def run(folder: Path, base_model: BaseModelFacts | None = None) -> Imported:
    return import_repository(
        LocalRepository(folder), find_base_model=lambda _: base_model, progress=Silent()
    )


def completed(imported: Imported, folder: Path):
    """The manifest after a person filled in the keys that the import names, and no others."""
    data = json.loads(json.dumps(imported.data))
    for key in imported.keys_to_fill_in:
        *parents, last = key.split(".")
        place = data
        for parent in parents:
            place = place[parent]
        assert place[last] is None
        place[last] = RECIPE[last]
    path = folder / "completed.yaml"
    path.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    return load_manifest(path)


def found(imported: Imported, words: str) -> Finding:
    """The one finding that holds some words."""
    (finding,) = [each for each in imported.findings if words in f"{each.where} {each.found}"]
    return finding


def fails(imported: Imported) -> list[str]:
    return [each.found for each in imported.findings if each.severity == "fail"]


def tinyllama_ids() -> set[str]:
    """30 = 5 layers x 2 architectures x 3 conditions, and 9 = 3 layers x 3 conditions."""
    plain = itertools.product((3, 6, 9, 12, 15), ("topk", "jumprelu"), CONDITIONS)
    ids = {f"tinyllama_{a}_L{layer}_{c}" for layer, a, c in plain}
    return ids | {
        f"tinyllama_jumprelu_ste_L{layer}_{c}"
        for layer, c in itertools.product((9, 12, 15), CONDITIONS)
    }


CARD = """---
license: mit
library_name: saelens
base_model: {base_model}
datasets: someone/completions
tags: [sparse-autoencoder, deception]
---

# SAEs of a small model

A first paragraph of plain text.

- **{n} SAEs**: {parts}
- Layers: {layers}
- 2 architectures: TopK (k={k}), JumpReLU
- Dimensions: d_in={d_in}, d_sae={d_sae}

| Parameter | Value |
|---|---|
| Hardware | A graphics card with 4 GB |
| Epochs | 300 |
| Batch size | 128 |
| Training conditions | mixed (n=243), deceptive_only (n=84), honest_only (n=159) |
| LLM classifier | A language model |

    repo_id = "someone/deception-saes"
"""


def card(**changes: object) -> str:
    facts = {
        "base_model": TINYLLAMA,
        "n": 39,
        "parts": "30 of the first run, 9 of the second",
        "layers": "L3, L6, L9, L12, L15",
        "k": 64,
        "d_in": 2048,
        "d_sae": 8192,
    }
    return CARD.format(**{**facts, **changes})


@pytest.fixture
def tinyllama(tmp_path: Path, write_sae, config_of) -> Path:
    """39 folders with the seed's shapes: 2048 -> 8192 in float32, 134 MB each on paper."""
    root = tmp_path / "tinyllama"
    for name in tinyllama_ids():
        architecture = name.split("_")[1]
        layer, condition = name.rpartition("_L")[2].split("_", 1)
        k = {"k": 64} if architecture == "topk" else {}
        cfg = config_of(
            TINYLLAMA, architecture, int(layer), condition, **{**k, "d_in": 2048, "d_sae": 8192}
        )
        write_sae(root / name, cfg)
    (root / "README.md").write_text(card(), encoding="utf-8")
    return root


# A file system that has no holes would have to reserve 5 GB.
needs_sparse_files = pytest.mark.skipif(
    sys.platform == "win32", reason="its 5 GB of holes would be reserved on NTFS"
)


@needs_sparse_files
def test_a_copy_of_the_tinyllama_structure_gives_the_same_39_ids(tinyllama, tmp_path) -> None:
    imported = run(tinyllama, base_model_facts(TINYLLAMA_CONFIG))
    loaded = completed(imported, tmp_path)
    assert {spec.sae_id for spec in loaded.saes} == tinyllama_ids()
    assert len(loaded.saes) == 39
    assert {(spec.d_in, spec.d_sae) for spec in loaded.saes} == {(2048, 8192)}
    manifest = loaded.manifest
    assert manifest.saes.id == "tinyllama_{architecture}{variant}_L{layer}_{condition}"
    assert len(manifest.saes.include) == 1
    assert manifest.saes.exclude == ()
    assert manifest.base_model.id == TINYLLAMA
    assert manifest.base_model.n_layers == 22
    assert manifest.recipe.epochs == 300
    assert manifest.recipe.topk is not None
    assert manifest.recipe.topk.k == 64
    assert {name: c.n for name, c in manifest.data.conditions.items()} == {
        "mixed": 243,
        "deceptive_only": 84,
        "honest_only": 159,
    }
    assert manifest.license == "mit"


@needs_sparse_files
def test_the_studys_own_manifest_describes_the_same_saes_as_the_import(tinyllama, tmp_path) -> None:
    path = ROOT / "manifests" / "tinyllama-1-1b.yaml"
    if not path.is_file():
        pytest.skip("the study's manifest is not in this checkout")
    imported = completed(run(tinyllama, base_model_facts(TINYLLAMA_CONFIG)), tmp_path)
    assert set(imported.saes) == set(load_manifest(path).saes)


@needs_sparse_files
def test_what_the_tinyllama_structure_lacks_is_assumed_and_nothing_else(tinyllama) -> None:
    imported = run(tinyllama, base_model_facts(TINYLLAMA_CONFIG))
    assert imported.loads
    assert imported.exit_code == 0
    assert imported.keys_to_fill_in == ()
    assert set(imported.placeholders) == {"data.description", "data.label_precision"}
    learned = ("bandwidth", "threshold_init", "target_l0", "sparsity_coefficient")
    shared = ("learning_rate", "adam_beta2", "max_gradient_norm", "seed", "input_scale")
    assert set(imported.assumed) == {
        "base_model.precision",
        "recipe.topk.auxiliary_coefficient",
        *(f"recipe.{key}" for key in shared),
        *(f"recipe.jumprelu.{key}" for key in learned),
    }
    # The card states these two, and the k of TopK stands in for the L0 that JumpReLU aims at.
    assert imported.data["recipe"]["epochs"] == 300
    assert imported.data["recipe"]["jumprelu"]["target_l0"] == 64
    assert fails(imported) == []
    flat = found(imported, "flat form")
    assert flat.where == "all 39 SAEs"


def test_smollm2_is_a_full_product_of_54(smollm2, tmp_path) -> None:
    loaded = completed(run(smollm2, LLAMA), tmp_path)
    assert len(loaded.saes) == 54  # 9 x 2 x 3
    assert loaded.manifest.saes.include == loaded.manifest.saes.exclude == ()
    assert {spec.sae_id for spec in loaded.saes} == {path.name for path in smollm2.iterdir()}


def test_nanochat_is_54_by_its_names_and_3_that_follow_no_template(
    tmp_path, write_sae, config_of
) -> None:
    root = tmp_path / "d32"
    product = itertools.product((4, 8, 12, 16, 20, 24), ("topk", "jumprelu", "gated"), CONDITIONS)
    for layer, architecture, condition in product:
        cfg = config_of("karpathy/nanochat-d32", architecture, layer, condition)
        write_sae(root / f"d32_{architecture}_L{layer}_{condition}", cfg)
    for name in ("pilot", "d32-L12-old", "d32_first_try"):
        write_sae(root / name, config_of("karpathy/nanochat-d32", "topk", 12, "mixed"))
    (root / "README.md").write_text(
        card(n=57, layers="L4, L8", k=8, d_in=16, d_sae=64, base_model="karpathy/nanochat-d32"),
        encoding="utf-8",
    )
    imported = run(root, BaseModelFacts("nanochat", 32, 16))
    assert len(completed(imported, tmp_path).saes) == 54
    assert imported.n_folders == 57
    odd = found(imported, "is left out of the manifest")
    assert odd.where == "d32-L12-old, d32_first_try, pilot"
    assert found(imported, "lists layers 4, 8").expected.startswith("4, 8, 12, 16, 20, 24")
    # gated is missing from the card's list of architectures
    assert found(imported, "lists architectures jumprelu, topk")
    assert not [each for each in imported.findings if "lists 57" in each.found]


def test_nested_configs_give_a_manifest_and_no_finding_about_them(
    tmp_path, write_sae, config_of
) -> None:
    root = tmp_path / "demo"
    for layer, architecture in itertools.product((9, 18), ("topk", "jumprelu", "gated")):
        cfg = config_of("owner/model", architecture, layer, "mixed", nested=True)
        write_sae(root / f"demo_{architecture}_L{layer}_mixed", cfg)
    imported = run(root, LLAMA)
    assert [each.where for each in imported.findings] == ["README.md"]
    loaded = completed(imported, tmp_path)
    assert len(loaded.saes) == 6
    assert loaded.manifest.base_model.id == "owner/model"


def test_the_manifest_that_a_release_carries_is_used_when_it_describes_the_folders(
    tmp_path, write_sae, config_of
) -> None:
    source = load_manifest(ROOT / "manifests" / "demo-smollm2-135m-instruct.yaml")
    root = tmp_path / "release"
    for spec in source.saes:
        facts = (spec.architecture, spec.layer, spec.condition)
        sizes = {"d_in": spec.d_in, "d_sae": spec.d_sae}
        cfg = config_of(source.manifest.base_model.id, *facts, nested=True, **sizes)
        write_sae(root / spec.sae_id, cfg)
    (root / "manifest.json").write_text(json.dumps(source.manifest.resolved()), encoding="utf-8")
    imported = run(root)
    assert imported.loads
    path = tmp_path / "again.yaml"
    path.write_text(imported.text, encoding="utf-8", newline="\n")
    assert load_manifest(path).manifest == source.manifest

    (root / source.saes[0].sae_id).rename(root / "demo_topk_L9_other")
    assert found(run(root), "describes 12 SAEs, 1 of which are missing").severity == "fail"


def test_one_sae_in_the_root_is_named_after_its_repository(tmp_path, write_sae, config_of) -> None:
    root = tmp_path / "gemma_topk_k16_L25"
    write_sae(root, config_of("google/gemma-4-E2B", "topk", 25, None, k=16))
    imported = run(root, BaseModelFacts("gemma4", 35, 16))
    assert imported.data["saes"]["id"] == "gemma_{architecture}_k16_L{layer}"
    assert imported.data["saes"]["layers"] == [25]
    assert imported.data["recipe"]["topk"]["k"] == 16
    assert found(imported, "lies in the root").severity == "warn"
    # What its labels were is stated nowhere, so the manifest does not guess.
    assert imported.data["data"]["conditions"] == {"all": {"labels": None, "n": None}}
    assert "data.conditions.all.labels" in imported.keys_to_fill_in


def test_a_pickle_is_said_to_be_one_and_its_sizes_come_from_the_config(tmp_path, config_of) -> None:
    root = tmp_path / "gemma_topk_L25_mixed"
    root.mkdir()
    (root / "cfg.json").write_text(json.dumps(config_of("a/b", "topk", 25, "mixed")))
    (root / "weights.pt").write_bytes(b"\x80\x04.")
    imported = run(root, LLAMA)
    assert found(imported, "holds its weights as .pt").severity == "fail"
    assert imported.data["saes"]["expansion"] == 4  # 64 / 16


def test_the_text_is_the_same_every_time_and_has_its_keys_in_the_models_order(smollm2) -> None:
    first, second = run(smollm2, LLAMA), run(smollm2, LLAMA)
    assert first.text == second.text
    assert first.findings == second.findings
    top_level = [line.split(":")[0] for line in first.text.splitlines() if line[:1].isalpha()]
    assert top_level == [
        *("schema_version", "repo_id", "title", "summary", "license"),
        *("base_model", "saes", "recipe", "data", "assumed"),
    ]
    assert "repo_id: null  # not known: fill in" in first.text
    assert "learning_rate: 0.0003  # assumed" in first.text
    assert yaml.safe_load(first.text) == first.data


def change(sae: Path, **keys: object) -> None:
    """Set keys of one cfg.json; `None` removes one."""
    path = sae / "cfg.json"
    cfg = json.loads(path.read_text(encoding="utf-8"))
    cfg |= keys
    cfg = {key: value for key, value in cfg.items() if value is not None}
    path.write_text(json.dumps(cfg), encoding="utf-8")


@pytest.mark.parametrize(
    ("keys", "words", "expected"),
    [
        ({"k": None}, "states no k", "SAELens would take 100"),
        ({"k": None, "top_k": 8}, "states no k, but top_k", "SAELens would take 100"),
        ({"k": 9}, "says k 9", "8, as in most others"),
        ({"d_sae": 128}, "says d_sae 128", "64, the weights' shape"),
        ({"d_in": 8}, "says d_in 8", "16, the weights' shape"),
        ({"architecture": "jumprelu"}, "says architecture jumprelu", "topk, as the folder"),
        ({"architecture": "jumprelu"}, "the weights lack threshold", "they are those of topk"),
        ({"architecture": "standard"}, "says architecture standard", "topk, as the folder"),
        ({"architecture": "abstopk"}, "says architecture 'abstopk'", "topk, jumprelu, gated"),
        ({"architecture": "batchtopk"}, "says architecture 'batchtopk'", "topk, jumprelu, gated"),
        ({"architecture": None}, "states no architecture", "one SAELens can open"),
        ({"training_condition": "honest_only"}, "condition honest_only", "mixed, as the folder"),
        ({"hook_name": "model.layers.4"}, "names the layers 3, 4", "one layer"),
        ({"hook_name": "model.layers.4"}, "says layer 4", "3, as the folder is named"),
        ({"hook_name": "blocks.3.hook_mlp_out"}, "reads hook_mlp_out", "hook_resid_post"),
        ({"hook_name": None}, "states no hook name", "where the activation is read"),
        ({"dtype": "bfloat16"}, "says dtype bfloat16", "float32, as the weights are stored"),
        ({"dtype": None}, "states no dtype", "to load the weights"),
        ({"model_name": "other/model"}, "base_model other/model", "as in most others"),
    ],
)
def test_one_wrong_config_is_found(smollm2, keys, words, expected) -> None:
    sae = smollm2 / "smollm2_topk_L3_mixed"
    change(sae, **keys)
    finding = next(
        each
        for each in run(smollm2, LLAMA).findings
        if words in each.found and sae.name in each.where
    )
    assert expected in finding.expected
    assert finding.severity == ("warn" if "dtype bfloat16" in words else "fail")


def test_a_good_repository_has_no_failure(smollm2) -> None:
    assert fails(run(smollm2, LLAMA)) == []


def test_hook_names_in_three_notations_are_one_finding_with_counts(smollm2) -> None:
    change(smollm2 / "smollm2_topk_L3_mixed", hook_name="blocks.3.hook_resid_post")
    for condition in ("mixed", "honest_only"):
        sae = smollm2 / f"smollm2_topk_L21_{condition}"
        change(sae, hook_name="model.layers.21.hook_resid_post")
    imported = run(smollm2, LLAMA)
    finding = found(imported, "stands in 3 notations")
    # 54 - 1 - 2 = 51
    assert "blocks.L.hook_resid_post in 1" in finding.found
    assert "model.layers.L in 51" in finding.found
    assert "model.layers.L.hook_resid_post in 2" in finding.found
    neither = found(imported, "hook_name is written as model.layers.L.hook_resid_post")
    assert neither.where == "smollm2_topk_L21_honest_only, smollm2_topk_L21_mixed"


def test_the_card_is_held_against_folders_and_configs(smollm2) -> None:
    text = card(n=57, k=32, layers="L3, L4, L99", d_in=17, d_sae=64, base_model="other/model")
    (smollm2 / "README.md").write_text(text, encoding="utf-8")
    imported = run(smollm2, LLAMA)
    assert found(imported, "lists 57 SAEs").expected.startswith("54")
    assert found(imported, "lists layers 3, 4, 99")
    assert found(imported, "lists k 32").expected.startswith("8")
    assert found(imported, "lists d_in 17").expected.startswith("16")
    assert found(imported, "front matter names base_model other/model")
    assert "HuggingFaceTB/SmolLM2-135M" in found(imported, "front matter names").expected
    assert not [each for each in imported.findings if "lists d_sae" in each.found]


def test_a_base_model_that_is_too_narrow_or_too_shallow_is_found(smollm2) -> None:
    imported = run(smollm2, BaseModelFacts("llama", 21, 32))
    assert found(imported, "is 32 wide").expected == "16, the SAEs' d_in"
    assert found(imported, "has 21 blocks").expected == "more than 21, an SAE's layer"


def test_missing_files_are_findings(smollm2) -> None:
    (smollm2 / "smollm2_topk_L3_mixed" / "cfg.json").unlink()
    (smollm2 / "smollm2_topk_L4_mixed" / "sae_weights.safetensors").unlink()
    imported = run(smollm2, LLAMA)
    assert found(imported, "has weights but no cfg.json").where == "smollm2_topk_L3_mixed"
    assert found(imported, "has a cfg.json but no weights").where == "smollm2_topk_L4_mixed"
    assert len(imported.data["saes"]["layers"]) == 9


DEEP = b"[" * 50_000 + b"]" * 50_000
HOSTILE_CONFIGS = {
    "a list": b"[1, 2]",
    "nested deeply": DEEP,
    "too long": b"{" + b" " * 1_100_000 + b"}",
    "not UTF-8": b"\xff\xfe{}",
    "a key twice": b'{"k": 1, "k": 2}',
    "an endless number": b'{"k": ' + b"9" * 10_000 + b"}",
    "NaN": b'{"k": NaN}',
    "nothing": b"",
}


@pytest.mark.parametrize("kind", HOSTILE_CONFIGS)
def test_a_hostile_config_is_a_finding_and_no_crash(smollm2, kind) -> None:
    (smollm2 / "smollm2_topk_L3_mixed" / "cfg.json").write_bytes(HOSTILE_CONFIGS[kind])
    imported = run(smollm2, LLAMA)
    (finding,) = [each for each in imported.findings if each.where.endswith("cfg.json")]
    assert finding.severity == "fail"
    assert imported.exit_code == 1


@pytest.mark.parametrize(
    "keys",
    [
        {"hook_name": 3, "architecture": ["topk"], "k": "8", "d_in": -1, "d_sae": True},
        {"hook_name": "../../model.layers.3", "model_name": "../../etc"},
        {"training_condition": "../x", "hook_layer": 10**30},
        {"metadata": None},
        {"metadata": [1], "activation_fn_kwargs": 7},
        {"model_name": "x\u2028# y: {z}\n\x1b[31m"},
    ],
)
def test_values_of_the_wrong_kind_are_no_crash_and_do_not_reach_the_manifest(smollm2, keys) -> None:
    change(smollm2 / "smollm2_topk_L3_mixed", **keys)
    imported = run(smollm2, LLAMA)
    assert yaml.safe_load(imported.text) == imported.data
    assert ".." not in imported.text
    assert "\x1b" not in imported.text
    shown = json.dumps([each.as_json() for each in imported.findings])
    assert "\\u001b" not in shown


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00" * 8,
        (1 << 62).to_bytes(8, "little") + b"{}",
        (2).to_bytes(8, "little") + b"[]",
        b"version https://git-lfs.github.com/spec/v1\n",
        (2_000_000).to_bytes(8, "little") + b" " * 2_000_000,
    ],
)
def test_a_hostile_header_is_a_finding_and_no_crash(smollm2, content) -> None:
    (smollm2 / "smollm2_topk_L3_mixed" / "sae_weights.safetensors").write_bytes(content)
    (finding,) = [e for e in run(smollm2, LLAMA).findings if e.where.endswith(".safetensors")]
    assert finding.severity == "fail"


@pytest.mark.parametrize(
    "front",
    [
        "base_model: !!python/object/apply:os.system [x]",
        "a: &a [1,1]\nb: [*a, *a]\nlicense: [mit, {x: y}]\nbase_model: {a: b}\ntags: 7",
        "license: 'a b: c'\ntags: ['x: y', \"z\\n# q\"]\nbase_model: ../../etc",
        "x: [" * 500,
    ],
)
def test_hostile_front_matter_is_no_crash(smollm2, front) -> None:
    (smollm2 / "README.md").write_text(f"---\n{front}\n---\n# t: # \u2028x\n", encoding="utf-8")
    imported = run(smollm2, LLAMA)
    assert yaml.safe_load(imported.text) == imported.data
    assert imported.data["base_model"]["id"] == "HuggingFaceTB/SmolLM2-135M"


def test_a_folder_below_another_is_a_finding(smollm2, write_sae, config_of) -> None:
    write_sae(smollm2 / "old" / "smollm2_topk_L3_mixed", config_of("a/b", "topk", 3, "mixed"))
    imported = run(smollm2, LLAMA)
    assert "cannot be an SAE id" in found(imported, "old/smollm2_topk_L3_mixed is left").found


def test_more_saes_than_an_import_reads_are_refused(smollm2, monkeypatch) -> None:
    monkeypatch.setattr("release.importing.survey.MAX_SAES", 53)
    with pytest.raises(TooManySaes, match="54 folders hold SAEs"):
        run(smollm2, LLAMA)


def test_a_folder_without_saes_is_refused(tmp_path) -> None:
    (tmp_path / "README.md").write_text("# nothing", encoding="utf-8")
    with pytest.raises(NothingToImport, match="holds no SAE"):
        run(tmp_path)
