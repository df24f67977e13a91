"""Names, links, metadata and verdicts on cards: found where they are wrong, and nowhere else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from faults.card_text import HEAD
from faults.damage import write_text

from manifests.facts import Citation
from manifests.progress import Silent
from validators.claim import local_claim
from validators.reading.local_repository import LocalRepository
from validators.readme.card_links import lint_links
from validators.readme.card_text import read_card
from validators.readme.findings import Finding, Surroundings
from validators.readme.front_matter import lint_front_matter
from validators.readme.hook_mentions import lint_hook_names, mentions
from validators.readme.loose_code import lint_loose_code
from validators.readme.model_family import lint_model_family
from validators.readme.paper_titles import lint_papers
from validators.readme.said_of_others import lint_said_of_others
from validators.readme.tensors_said import lint_tensors
from validators.readme.verdicts import lint_verdicts
from validators.readme.version_floors import FIRST, lint_version_floors
from validators.registry import checks_up_to, find_check
from validators.runner import run_checks
from validators.subjects import RepositorySubject


def seen(found: Any) -> list[tuple[int, str]]:
    assert not isinstance(found, Finding)
    return [(finding.line, finding.severity) for finding in found]


NOWHERE = Surroundings()


@pytest.mark.parametrize(
    ("text", "known", "expected"),
    [
        ("`model.layers.9` and `blocks.9.hook_resid_post`", NOWHERE, []),
        ("model.layers.{layer}.hook_resid_post", NOWHERE, [(1, "fail")]),
        ("not model.layers.9.hook_resid_post", NOWHERE, []),
        ("model.layers.9.mlp and model.layers.3.output.", NOWHERE, []),
        ("model.layers.9\n\ntransformer.h.9", NOWHERE, [(3, "warn")]),
        ("transformer.h.{layer} (not model.layers.{layer})", NOWHERE, []),
        ("transformer.h.3", Surroundings(blocks_path="model.layers"), [(1, "fail")]),
        ("model.layers.3", Surroundings(blocks_path="model.layers"), []),
        ("hook_name is blocks.3.hook_resid_post, hf_hook_name is model.layers.3", NOWHERE, []),
        ("hook_name: blocks.3.hook_resid_post\n\nhook_name: model.layers.3", NOWHERE,
         [(1, "warn"), (3, "warn")]),
        ('```\ncfg["hook_name"] == "model.layers.3"\n```\n\nhook_name: blocks.{layer}.hook_x',
         NOWHERE, [(2, "warn"), (5, "warn")]),
        ("hook_name: model.layers.3",
         Surroundings(hook_names=("blocks.3.hook_resid_post",)), [(1, "warn")]),
        ("hook_name: blocks.3.hook_resid_post",
         Surroundings(hook_names=("blocks.3.hook_resid_post",)), []),
        ("An SAE of layer 25.", NOWHERE, [(1, "warn")]),
        ("An SAE with an L0 of 64 and an L1 penalty.", NOWHERE, []),
        ("Attention at layer 25.", NOWHERE, []),
    ],
)  # fmt: skip
def test_hook_names(text: str, known: Surroundings, expected: list[tuple[int, str]]) -> None:
    assert seen(lint_hook_names(read_card(text), known)) == expected


def test_the_path_of_the_blocks_stands_before_the_layer() -> None:
    paths = "model.language_model.layers.25, gpt_neox.layers.3.mlp, model.layers.L"
    found = [mention.blocks_path for mention in mentions(read_card(paths))]
    assert found == ["model.language_model.layers", "gpt_neox.layers", "model.layers"]


KEYS = '```python\nsae_id = "tiny_{}_L3"\n# Keys: W_enc [16, 64], threshold [64]\n```'


@pytest.mark.parametrize(
    ("text", "subtracts", "expected"),
    [
        (KEYS.format("topk"), None, [(3, "warn")]),
        (KEYS.format("jumprelu"), None, []),
        ("- architectures: TopK, JumpReLU\n\nAll SAEs have threshold = 0.", None, [(3, "warn")]),
        ("- architectures: TopK, JumpReLU\n\nAll JumpReLU SAEs have threshold = 0.", None, []),
        ("- architecture: JumpReLU\n\nAll SAEs have threshold = 0.", None, []),
        ("```\ny = x @ W_enc + b_enc\n```", None, [(2, "warn")]),
        ("```\ny = x @ W_enc + b_enc\n```", True, [(2, "warn")]),
        ("```\ny = x @ W_enc + b_enc\n```", False, []),
        ("```\nx = x - b_dec\ny = x @ W_enc + b_enc\n```", None, []),
        ('```\ny = (x - w["b_dec"]) @ w["W_enc"] + b\n```', None, []),
        ('An SAE.\n\n```\nhf_hub_download(r, "ae.pt")\n```', None, [(4, "warn")]),
        ('A classifier.\n\n```\nhf_hub_download(r, "ae.pt")\n```', None, []),
    ],
)
def test_tensors(text: str, subtracts: bool | None, expected: list[tuple[int, str]]) -> None:
    known = Surroundings(subtracts_b_dec=subtracts)
    assert seen(lint_tensors(read_card(text), known)) == expected


@pytest.mark.parametrize(
    ("text", "n"),
    [
        ("- topk architecture: SAELens ≥ 3.0", 1),
        ("- topk architecture: SAELens >= 3.9", 0),
        ("- jumprelu: SAELens >= 3.13.9", 1),
        ("- gated | SAELens >= 3.6.0", 0),
        ("SAELens (≥3.0 required for jumprelu/topk; ≥3.5 for gated)", 3),
        ("SAELens >=6.54 for topk, jumprelu and gated", 0),
        ("torch >=2.0 for topk", 0),
    ],
)
def test_version_floors(text: str, n: int) -> None:
    assert seen(lint_version_floors(read_card(text))) == [(1, "warn")] * n


def test_the_first_versions_are_those_of_saelens_tags() -> None:
    assert FIRST == {"gated": (3, 6, 0), "topk": (3, 9, 0), "jumprelu": (3, 14, 0)}


FULL = {
    "license": "mit", "base_model": "a/b", "library_name": "saelens",
    "base_model_relation": "adapter", "tags": "[x]",
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"license": None}, ["warn"]),
        ({"license": None, "base_model": None}, ["warn"]),
        ({"library_name": "sae_lens"}, ["warn"]),
        ({"library_name": "dictionary_learning"}, []),
        ({"base_model_relation": None}, ["note"]),
        ({"tags": None}, ["note"]),
    ],
)
def test_metadata(changes: dict[str, str | None], expected: list[str]) -> None:
    keys = {key: value for key, value in (FULL | changes).items() if value is not None}
    text = "---\n" + "".join(f"{key}: {value}\n" for key, value in keys.items()) + "---\n# A\n"
    found = [finding.severity for finding in lint_front_matter(read_card(text))]
    assert found == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[a](cfg.json) ![b](./figures/x.svg) [c](figures) [d](figures/#top)", []),
        ("[a](cfg.jsn)", [(1, "fail")]),
        ("![a](figures/y.svg)", [(1, "fail")]),
        ('<img src="figures/y.svg">', [(1, "fail")]),
        ("[a]\n\n[a]: missing.md", [(3, "fail")]),
        ("[a](https://example.org/x) [b](mailto:a@b) [c](/docs/hub) [d](//x/y)", []),
        ("`[a](missing)` and\n\n```\n[b](missing)\n```", []),
        ("<!-- [a](missing) -->", []),
        ("# Known Limits: all\n\n[a](#known-limits-all)", []),
        ("# Data & labels\n\n[a](#data--labels) [b](#data-labels)", []),
        ("# A\n\n[a](#b)", [(3, "warn")]),
        ('<a id="b"></a>\n\n[a](#b)', []),
        ("[a]()", [(1, "warn")]),
        ("For all of it, see:\n\n# Next", [(1, "warn")]),
        ("For all of it, see:\n\nLoading is easy.", [(1, "warn")]),
        ("For all of it, see:\n\nhttps://example.org", []),
        ("For all of it, see:\n\n```\nrelease explain\n```", []),
        ("For all of it, see:\n\n- [a](cfg.json)", []),
    ],
)
def test_links(text: str, expected: list[tuple[int, str]]) -> None:
    known = Surroundings(files=frozenset(("cfg.json", "figures/x.svg")))
    assert seen(lint_links(read_card(text), known)) == expected


@pytest.mark.parametrize(
    ("text", "model_type", "n"),
    [
        ("It uses the Llama2 architecture, a LLaMA-style architecture.", None, 0),
        ("A GPT-NeoX base model.\n\nnanochat uses GPT-2 architecture.", None, 1),
        ("A GPT-NeoX base model, unlike the GPT-2 architecture.", None, 0),
        ("A GPT-NeoX base model.", "nanochat", 1),
        ("It uses the Llama architecture.", "llama", 0),
        ("It uses the Gemma 3 architecture.", "gemma3_text", 0),
    ],
)
def test_model_family(text: str, model_type: str | None, n: int) -> None:
    found = lint_model_family(read_card(text), Surroundings(model_type=model_type))
    assert len(seen(found)) == n


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("```python\nimport json\ncfg = json.load(f)\n```", []),
        ("import json\ncfg = json.load(f)", [1]),
        ("from x import y\ndef f(x):\nreturn x\n", [1, 3]),
        ("from x import y\ndef f(x):\n    return x\n", [1]),
        ("import controls are strict.\nNothing else is.", []),
        ("from this point on, numbers rise:\nfor all layers.", []),
    ],
)
def test_loose_code(text: str, lines: list[int]) -> None:
    assert [line for line, _ in seen(lint_loose_code(read_card(text)))] == lines


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Peak accuracy ~69%\nBest SAE probe accuracy 67.2%\nSAEs help detection", [(3, "warn")]),
        ("Peak accuracy ~69%\nBest SAE probe accuracy 69.2%\nSAEs help detection", []),
        ("SAEs beating raw baseline 2/57\n\nSAEs hurt detection.", [(3, "warn")]),
        ("SAEs beating raw baseline 0/57\n\nSAEs hurt detection.", []),
        ("Tiny-135M is the smallest model in the study, alongside Big-160M", [(1, "warn")]),
        ("Tiny-160M is the smallest model in the study, alongside Big-160M", []),
        ("The first-ever SAEs of it.", [(1, "note")]),
        ("The first-ever SAEs of it (arXiv:2401.00001).", []),
        ("A single scenario prompt.\n\nAll scenarios are given.", [(1, "warn")]),
        ("A single prompt for each scenario.\n\nAll scenarios are given.", []),
        ("# Exact settings\n\nbitsandbytes 0.44+", [(3, "note")]),
        ("# Exact settings\n\ntorch 2.10.0+cu128", []),
        ("# Settings\n\nbitsandbytes 0.44+", []),
    ],
)
def test_verdicts(text: str, expected: list[tuple[int, str]]) -> None:
    assert seen(lint_verdicts(read_card(text))) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A Gaussian-kernel STE (Rajamanoharan et al. 2024)", [(1, "warn")]),
        ("A rectangle-kernel STE (Rajamanoharan et al. 2024)", []),
        ("A Gaussian kernel of our own.", []),
        ("SAE.from_pretrained() with automatic model running will not work", [(1, "warn")]),
        ("- Format: SAELens/Neuronpedia-compatible", [(1, "note")]),
        ("Neuronpedia-compatible: https://neuronpedia.org/gpt2-small", []),
    ],
)
def test_said_of_others(text: str, expected: list[tuple[int, str]]) -> None:
    assert seen(lint_said_of_others(read_card(text))) == expected


PAPER = {"2401.00001": ("Sparse Features: How They Are Found", ("Ann One", "Bo Two"))}
ENTRY = "@article{{a,\n  title={{{}}},\n  author={{{}}},\n  journal={{arXiv:2401.00001}},\n}}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('See "Sparse Features: How They Are Found" (arXiv:2401.00001).', []),
        ('See "Sparse Features" (arXiv:2401.00001).', []),
        ('See "Sparse Features: How They Are Lost" (arXiv:2401.00001).', [(1, "warn")]),
        ('See "Sparse Features: How They Are Lost" (arXiv:2401.00002).', []),
        ('Of "no strategic lie at all", see arXiv:2401.00001.', []),
        (ENTRY.format("Sparse features: how they are found", "One, Ann and Two, Bo"), []),
        (ENTRY.format("Sparse Features", "One, Ann and others"), []),
        (ENTRY.format("Sparse Features", "One, Ann"), [(3, "warn")]),
        (f"```bibtex\n{ENTRY.format('Sparse Features Found', 'One, Ann')}\n```",
         [(3, "warn"), (4, "warn")]),
    ],
)  # fmt: skip
def test_papers(text: str, expected: list[tuple[int, str]]) -> None:
    assert seen(lint_papers(read_card(text), Surroundings(papers=PAPER))) == expected


def test_r021_asks_the_manifest(good_release: Any, damaged: Any) -> None:
    cited = Citation(
        key="a", title=PAPER["2401.00001"][0], authors=PAPER["2401.00001"][1], year=2024,
        arxiv="2401.00001",
    )  # fmt: skip
    claim = local_claim(good_release.loaded)
    citing = replace(claim, manifest=claim.manifest.model_copy(update={"citations": (cited,)}))
    write_text("README.md", ENTRY.format("Sparse Features", "One, Ann"))(damaged)
    check = find_check("R021")
    outcomes = {
        name: run_checks(
            RepositorySubject(LocalRepository(damaged.root), held, progress=Silent()),
            (check,),
            Silent(),
        )[0]
        for name, held in (("citing", citing), ("silent", claim), ("none", None))
    }
    assert outcomes["citing"].outcome == "warned"
    assert "1 of the 2 authors" in outcomes["citing"].found
    assert not outcomes["silent"].required
    assert outcomes["none"].outcome == "skipped"


def test_the_card_that_the_faults_are_put_into_is_good(good_release: Any, damaged: Any) -> None:
    write_text("README.md", HEAD)(damaged)
    for claim in (local_claim(good_release.loaded), None):
        subject = RepositorySubject(LocalRepository(damaged.root), claim, progress=Silent())
        checks = tuple(c for c in checks_up_to("static") if c.code[0] == "R")
        bad = [o for o in run_checks(subject, checks, Silent()) if o.outcome not in
               ("passed", "skipped")]  # fmt: skip
        assert bad == []
