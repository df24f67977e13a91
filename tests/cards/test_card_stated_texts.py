"""Texts of a manifest that only the card prints: none can change what the card is made of."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from card_words import PARSER, words_of

from cards.sources import read_sources
from cards.stage import rendered_files
from manifests.build_folder import BuildFolder
from manifests.load import ManifestError, load_manifest

HOSTILE = (
    "x | y\n\n---\n```\n<script>alert(1)</script> [a](javascript:b) **c** <!-- d",
    "# a heading",
    "1. one\n2. two",
    "    indented\n\n- item",
    "```python\nraise SystemExit\n```",
    "{{ title }} {% include 'x' %}",
    "}, url = {javascript:b}\n}\n```\n\n## Free",
    "![i](https://example.org/i.png) --> &lt;b&gt;",
)
REPORTED = [
    {"name": "peak", "metric": "balanced_accuracy", "value": 0.5, "source": "a page"},
    {"name": "low", "metric": "p_value", "value": 0.001, "bound": "below", "source": "a page"},
]


def with_texts(data: dict[str, Any], text: str) -> dict[str, Any]:
    """The manifest with every text that only the card prints, each of them this one."""
    fact = {**REPORTED[0], "split": text, "sae_id": text, "source": text, "name": text}
    return {
        **data,
        "uses": {
            "measures": text,
            "does_not_measure": text,
            "recommended": [text, text],
            "not_recommended": [text],
        },
        "context": [text, text],
        "collection": "demo/collection",
        "code": "https://example.org/a)[b](javascript:c)`d`",
        "citations": [{"key": text, "title": text, "authors": [text, text], "year": 2020}],
        "reported": [fact, REPORTED[1]],
        "resolutions": [{"found": text, "resolved": text}],
        "assumed": {"recipe.topk.k": text, "base_model.precision": text},
        "claims": [{"text": text, "holds_if": "matrix.n_saes == 12"}],
        "hardware": {"ran_on": {"device": text, "system": text, "software": text}},
        "portability": {
            "claimed": [{"precision": "nf4", "memory_gb": 0.5, "source": text}],
            "other_models": [{"id": "demo/other", "relation": text, "d_model": 16}],
        },
        "data": {
            **{key: value for key, value in data["data"].items() if key != "sampling"},
            "scenarios": [{"id": text, "kind": "role_play", "note": text}],
        },
    }


def readme_of(folder: Path, data: dict[str, Any]) -> str:
    """The card of a manifest that nothing was built of."""
    path = folder / "stated.yaml"
    path.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8", newline="\n")
    sources = read_sources(load_manifest(path), BuildFolder(folder / "none"))
    return rendered_files(sources)["README.md"].decode("utf-8")


@pytest.fixture
def stated(tmp_path, manifest_data):
    """The card of a manifest with some text everywhere."""

    def rendered(text: str, **changes: Any) -> str:
        return readme_of(tmp_path, with_texts(manifest_data, text) | changes)

    return rendered


def shape(readme: str) -> list[tuple[str, str]]:
    tokens = PARSER.parse(readme.split("\n---\n", 1)[1])
    return [(token.type, token.tag) for token in tokens if token.type != "inline"]


def links(readme: str) -> set[str]:
    tokens = PARSER.parse(readme.split("\n---\n", 1)[1])
    children = [child for token in tokens for child in token.children or ()]
    return {
        str(child.attrGet("href") or child.attrGet("src"))
        for child in children
        if child.type in ("link_open", "image")
    }


@pytest.mark.parametrize("template", ["single_sae", "multi_sae"])
@pytest.mark.parametrize("text", HOSTILE)
def test_a_text_changes_no_block_no_link_and_no_markup(stated, text: str, template: str) -> None:
    card = {"template": template}
    plain, hostile = stated("plain", card=card), stated(text, card=card)
    assert shape(hostile) == shape(plain)
    assert links(hostile) == links(plain)
    html = PARSER.render(hostile.split("\n---\n", 1)[1])
    assert "<script" not in html and html.count("<img") == 0
    assert words_of(hostile).sections == words_of(plain).sections
    assert len(words_of(hostile).blocks) == len(words_of(plain).blocks)


@pytest.mark.parametrize("text", HOSTILE)
def test_a_bibtex_entry_stays_one_entry(stated, text: str) -> None:
    (entry,) = [code for language, code in words_of(stated(text)).blocks if language == "bibtex"]
    lines = entry.splitlines()
    assert lines[0].startswith("@misc{") and lines[-1] == "}"
    assert [line.split(" = ")[0].strip() for line in lines[1:-1]] == ["title", "author", "year"]
    # Braces that a text brings along are escaped, so those that are left close each other.
    bare = re.sub(r"\\[{}]", "", entry)
    assert bare.count("{") == bare.count("}")


def test_the_template_follows_the_number_of_saes_or_the_manifest(tmp_path, manifest_data):
    one = {
        **manifest_data["saes"], "layers": [1], "architectures": ["topk"], "conditions": ["mixed"],
    }  # fmt: skip

    def is_single(**changes: Any) -> bool:
        readme = readme_of(tmp_path, {**manifest_data, **changes})
        found = words_of(readme).sections
        assert ("Known limitations" in found) != ("Limitations" in found)
        assert ("Classification methodology" in found) == ("Known limitations" in found)
        return "Known limitations" in found

    assert not is_single()
    assert is_single(saes=one)
    assert is_single(card={"template": "single_sae"})
    assert not is_single(saes=one, card={"template": "multi_sae"})


def test_another_template_is_refused_with_its_place(make, manifest_data) -> None:
    with pytest.raises(ManifestError, match=r"card\.template"):
        make({**manifest_data, "card": {"template": "collection"}})


def test_every_link_within_a_card_leads_to_one_of_its_headings(
    release, stated, make, manifest_data
) -> None:
    single = {"template": "single_sae"}
    full = [
        rendered_files(each.with_tables().with_portability().sources)["README.md"].decode("utf-8")
        for each in (release, make({**manifest_data, "card": single}))
    ]
    for readme in (*full, stated("plain"), stated("plain", card=single)):
        slugs = {
            "#" + re.sub(r"[^\w\- ]", "", title).lower().replace(" ", "-")
            for title in words_of(readme).headings
        }
        assert {link for link in links(readme) if link.startswith("#")} <= slugs


@pytest.mark.parametrize(
    ("precision", "lines"),
    [
        ({"weights": "int8", "compute": "fp16"}, ["load_in_8bit=True,"]),
        (
            {"weights": "fp4", "compute": "bf16"},
            [
                "load_in_4bit=True,",
                'bnb_4bit_quant_type="fp4",',
                "bnb_4bit_use_double_quant=False,",
                "bnb_4bit_compute_dtype=torch.bfloat16,",
            ],
        ),
    ],
)
def test_the_quantisation_is_written_as_bitsandbytes_is_told(
    tmp_path, manifest_data, precision: dict[str, str], lines: list[str]
) -> None:
    base_model = {**manifest_data["base_model"], "precision": precision}
    words = words_of(readme_of(tmp_path, {**manifest_data, "base_model": base_model}))
    blocks = [code for language, code in words.blocks if "BitsAndBytesConfig(" in code]
    assert len(blocks) == 2 and "Quantisation caveat" in words.sections
    for block in blocks:
        inside = block.split("BitsAndBytesConfig(\n", 1)[1].split("\n)", 1)[0]
        assert [line.strip() for line in inside.splitlines()] == lines


def test_what_a_manifest_does_not_say_is_said_to_be_unknown(tmp_path, manifest_data) -> None:
    data = dict(manifest_data["data"])
    for key in ("file", "sha256", "pooling", "held_out", "sampling", "label_precision"):
        del data[key]
    changes = {"data": data, "license": None}
    text = words_of(readme_of(tmp_path, {**manifest_data, **changes})).text
    for said in (
        "From completion to vector. Not known",
        "Split. Not known",
        "Where the data lies is not known.",
        "No source says that anybody read a sample of the labels by hand.",
        "On which machine they were made is not known.",
        "License. Not known",
        "From which seeds, and from how many, the SAEs were trained is not recorded.",
        "the example takes each token of the completion",
        "on text or activations of your own",
    ):
        assert said in text


def test_a_temperature_is_stated_once_and_is_no_evidence(tmp_path, manifest_data) -> None:
    def with_data(**changes: Any) -> Any:
        path = tmp_path / "warm.yaml"
        data = {**manifest_data["data"], **changes}
        path.write_text(yaml.safe_dump({**manifest_data, "data": data}), encoding="utf-8")
        return load_manifest(path)

    with pytest.raises(ManifestError, match="temperature is stated twice"):
        with_data(temperature=0.7)
    without, warm = with_data(sampling=None), with_data(sampling=None, temperature=0.7)
    assert warm.evidence_digest == without.evidence_digest and warm.digest != without.digest


def test_keys_of_the_card_are_named_when_they_are_mistyped(tmp_path, manifest_data, make) -> None:
    with pytest.raises(ManifestError, match="did you mean 'recommended'"):
        make({**manifest_data, "uses": {"recomended": ["x"]}})
    assert load_manifest(make(manifest_data).loaded.path).manifest.uses.recommended == ()
