"""A collection's texts come from strangers, its shared facts from the study file, its code runs."""

from __future__ import annotations

import copy
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from made_collection import COLLECTION, STUDY, write_collection
from made_release import MANIFEST, make_release
from markdown_it import MarkdownIt

from cards.collection.card import collection_files
from cards.licenses import UnknownLicense
from manifests.collection import load_collection
from manifests.load import ManifestError

PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
ATTACKS = [
    "x | y\n\n---\n```\n<script>alert(1)</script> [a](javascript:b) **c** <!-- d -->",
    "# a heading",
    "1. one\n2. two",
    "    indented\n\n- item",
    "\u202egnp.exe \x7f",
    "<details><summary>open</summary>",
    "![i](https://example.org/i.png)",
    "{{ title }} {% include 'x' %}",
]
PLAIN = "plain words"


def with_text(text: str, folder: Path) -> str:
    """The card with this text wherever the three kinds of file may have a free one."""
    fact = {
        "name": text,
        "metric": "saes_beating_raw_baseline",
        "value": 4,
        "split": text,
        "source": text,
    }
    caveats = [{"title": text, "text": text}]
    assumed = {"recipe.seed": text}
    manifest = {**MANIFEST, "caveats": caveats, "reported": [fact], "assumed": assumed}
    make_release(folder, manifest)
    make_release(folder / "second", {**manifest, "repo_id": "demo/second"})
    collection, study = copy.deepcopy(COLLECTION), copy.deepcopy(STUDY)
    study["base_models"]["same"] = study["base_models"]["tiny"]
    collection["members"].append({"base_model": "same", "manifest": "second/tiny.yaml"})
    collection |= {"title": text, "summary": text, "context": [text, text], "tags": [text]}
    collection["uses"] = dict.fromkeys(("measures", "does_not_measure"), text) | {
        "recommended": [text],
        "not_recommended": [text],
    }
    for member in collection["members"][:2]:
        member["source"] = text
    for total in collection["reported_totals"]:
        total |= {"name": text, "source": text}
    collection["resolutions"][0] |= {"found": text, "resolved": text}
    cited = study["defaults"]["citations"][0]
    cited |= {"title": text, "authors": [text, text]}
    path = write_collection(folder, collection, study)
    return collection_files(path, folder / "no-builds")["README.md"].decode("utf-8")


def shape(text: str) -> list[tuple[str, str]]:
    """The blocks of a card, without what stands in them."""
    tokens = PARSER.parse(text.split("\n---\n", 1)[1])
    return [(token.type, token.tag) for token in tokens if token.type != "inline"]


def marks(text: str) -> list[str]:
    """Inline emphasis, links, images, code and HTML of a card."""
    tokens = PARSER.parse(text.split("\n---\n", 1)[1])
    children = [child for token in tokens for child in token.children or ()]
    return [child.type for child in children if child.type not in ("text", "text_special")]


@pytest.mark.parametrize("attack", ATTACKS)
def test_hostile_text_changes_neither_blocks_nor_marks(tmp_path, attack: str) -> None:
    plain = with_text(PLAIN, tmp_path / "plain")
    card = with_text(attack, tmp_path / "hostile")
    assert shape(card) == shape(plain)
    assert marks(card) == marks(plain)
    assert plain.count(PLAIN) > 20
    assert yaml.safe_load(card.split("\n---\n", 1)[0])["tags"] == [" ".join(attack.split())]


def study_with(**defaults: Any) -> dict[str, Any]:
    study = copy.deepcopy(STUDY)
    study["defaults"] |= defaults
    return study


def test_what_the_study_states_is_the_collections_unless_it_says_otherwise(release) -> None:
    folder = release.loaded.path.parent
    own = {**COLLECTION, "license": "mit", "code": None}
    stated = load_collection(write_collection(folder, own)).collection
    assert (stated.license, stated.code) == ("mit", None)
    assert stated.tags == ("sparse-autoencoder",)
    assert [cited.title for cited in stated.citations] == ["A Title of Some Words"]
    files = collection_files(folder / "all.yaml", folder / "build")
    study = files["README.md"].decode("utf-8").split("## Study\n", 1)[1]
    cited = (
        "- One Author, Two Author (2025): *A Title of Some Words*, "
        "[arXiv:2509.20393](https://arxiv.org/abs/2509.20393)."
    )
    assert cited in study and "Code of the study" not in study


def test_a_study_that_shares_something_impossible_is_told_with_its_place(release) -> None:
    path = write_collection(release.loaded.path.parent, COLLECTION, study_with(code="ftp://x"))
    with pytest.raises(ManifestError, match=r"study\.yaml:\d+:\d+: code") as caught:
        load_collection(path)
    assert "all.yaml" not in str(caught.value)


def test_a_base_model_whose_id_would_be_no_link_is_refused(release) -> None:
    study = copy.deepcopy(STUDY)
    study["base_models"]["other"]["id"] = "x](javascript:alert(1))"
    path = write_collection(release.loaded.path.parent, COLLECTION, study)
    with pytest.raises(ManifestError, match=r"study\.yaml:\d+:\d+: base_models\.other\.id"):
        load_collection(path)


def test_a_license_that_the_hub_does_not_know_stops_the_card(release) -> None:
    folder = release.loaded.path.parent
    path = write_collection(folder, {**COLLECTION, "license": "apache-3.0"})
    with pytest.raises(UnknownLicense, match=r"apache-3\.0"):
        collection_files(path, folder / "build")


def test_the_digest_follows_what_the_card_takes_from_the_study(release) -> None:
    folder = release.loaded.path.parent

    def digest(study: dict[str, Any]) -> str:
        return load_collection(write_collection(folder, COLLECTION, study)).digest

    wider = copy.deepcopy(STUDY)
    wider["base_models"]["other"]["d_model"] = 16
    digests = {digest(STUDY), digest(wider), digest(study_with(license="mit"))}
    assert len(digests) == 3
    # Recipes are the manifests' own business, which have digests of their own.
    assert digest(study_with(recipe={"epochs": 9})) == digest(STUDY)


def blocks_of(files: dict[str, bytes]) -> list[str]:
    card = files["README.md"].decode("utf-8")
    return re.findall(r"^```python\n(.*?)^```$", card, flags=re.MULTILINE | re.DOTALL)


def test_the_code_block_lists_the_members_and_loads_a_configuration(release, tmp_path) -> None:
    folder = release.loaded.path.parent
    files = collection_files(write_collection(folder, COLLECTION), folder / "build")
    (block,) = blocks_of(files)
    first = release.loaded.saes[0].sae_id
    config = {"architecture": "topk", "d_in": 8, "d_sae": 32}
    commit = "a" * 40
    for repo_id, path, content in (
        ("demo/all-saes", "config.json", files["config.json"]),
        ("demo/tiny-saes", f"{first}/cfg.json", json.dumps(config).encode()),
    ):
        repository = tmp_path / "hub" / f"models--{repo_id.replace('/', '--')}"
        (repository / "refs").mkdir(parents=True)
        (repository / "refs" / "main").write_text(commit, encoding="utf-8")
        target = repository / "snapshots" / commit / path
        target.parent.mkdir(parents=True)
        target.write_bytes(content)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", block],
        env={**os.environ, "HF_HUB_CACHE": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "demo/tiny-saes demo/tiny-llama 12 manifest",
        "demo/other-saes demo/other 5 reported",
        "topk 8 32",
    ]


def test_an_sae_is_loaded_only_from_a_repository_that_has_its_configuration(make) -> None:
    pickled = {"repo_id": "demo/tiny-saes", "format": "pickle"}
    made = make({**MANIFEST, "weights": pickled})
    path = write_collection(made.loaded.path.parent, COLLECTION)
    (block,) = blocks_of(collection_files(path, path.parent / "no-builds"))
    assert "cfg.json" not in block and 'index["members"]' in block
    (block,) = blocks_of(collection_files(path, path.parent / "build"))
    assert f'"demo/tiny-saes", "{made.loaded.saes[0].sae_id}"' in block
