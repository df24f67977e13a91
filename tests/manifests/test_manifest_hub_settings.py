"""What a manifest may ask of its repository on the Hub, and what that leaves as it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from manifests.collection import load_collection
from manifests.hub_settings import is_slug
from manifests.load import ManifestError, load_manifest
from manifests.shelf import collection_files, manifest_files

FOLDER = Path(__file__).parents[2] / "manifests"
DEMO = FOLDER / "demo-smollm2-135m-instruct.yaml"
SLUG = "demo/deception-saes-64f9a55bb3115b4f513ec026"


@pytest.fixture
def written(tmp_path):
    def made(stated: str) -> Path:
        path = tmp_path / "m.yaml"
        path.write_text(f"{DEMO.read_text(encoding='utf-8')}\nhub: {stated}\n", encoding="utf-8")
        return path

    return made


def test_a_manifest_states_who_sees_it_who_loads_it_and_what_lists_it(written) -> None:
    hub = load_manifest(
        written(f"{{visibility: public, gated: manual, collection: {SLUG}}}")
    ).manifest.hub
    assert hub is not None
    assert (hub.visibility, hub.gated, hub.collection) == ("public", "manual", SLUG)


def test_what_is_left_out_or_null_is_not_asked_for(written) -> None:
    assert load_manifest(DEMO).manifest.hub is None
    hub = load_manifest(written("{gated: false, visibility: null}")).manifest.hub
    assert hub is not None
    assert (hub.visibility, hub.gated, hub.collection) == (None, False, None)


def test_a_setting_changes_neither_the_evidence_nor_what_is_published(written) -> None:
    before = load_manifest(DEMO)
    after = load_manifest(written("{visibility: public, gated: auto, collection: SAEs}"))
    assert after.evidence_digest == before.evidence_digest
    assert after.digest == before.digest
    assert after.manifest.resolved() == before.manifest.resolved()
    assert "hub" not in after.manifest.resolved()


@pytest.mark.parametrize(
    ("stated", "told"),
    [
        ("{visibility: protected}", "hub.visibility: must be private or public"),
        ("{visibility: true}", "hub.visibility: must be private or public"),
        ("{gated: true}", "hub.gated: must be auto (who asks gets access), manual"),
        ("{gated: no}", "or false (not gated)"),
        ("{gated: 0}", "hub.gated: must be auto"),
        ("{collection: demo/saes}", "24 hexadecimal digits, or its title"),
        (f"{{collection: https://huggingface.co/collections/{SLUG}}}", "not an address"),
        ("{collection: 3}", "hub.collection: Input should be a valid string"),
        ("{collection: ''}", "hub.collection"),
        ("{visible: public}", "did you mean 'visibility'?"),
    ],
)
def test_what_the_hub_has_no_word_for_is_refused_with_its_place(written, stated, told) -> None:
    path = written(stated)
    with pytest.raises(ManifestError) as caught:
        load_manifest(path)
    assert told in str(caught.value)
    line = len(path.read_text(encoding="utf-8").splitlines())
    assert f"m.yaml:{line}:" in str(caught.value)


@pytest.mark.parametrize(
    ("collection", "expected"),
    [
        (SLUG, True),
        ("demo/64f9a55bb3115b4f513ec026", True),
        ("demo/saes-64f9a55bb3115b4f513ec02", False),
        ("demo/saes-64F9A55BB3115B4F513EC026", False),
        ("demo/saes64f9a55bb3115b4f513ec026", False),
        ("Solshine/deception-behavioral-saes-saelens", False),
        ("Deception SAEs", False),
        ("64f9a55bb3115b4f513ec026", False),
    ],
)
def test_a_slug_is_told_from_a_title_and_from_a_repository(collection, expected) -> None:
    assert is_slug(collection) is expected


def test_a_title_may_have_a_slash_among_its_words(written) -> None:
    hub = load_manifest(written("{collection: SAEs on / off}")).manifest.hub
    assert hub is not None
    assert hub.collection == "SAEs on / off"


def test_members_and_their_collection_share_what_the_study_states(tmp_path) -> None:
    study = "defaults: {hub: {collection: All SAEs, gated: auto}}\nbase_models:\n"
    study += "  m: {id: a/m, n_layers: 2, d_model: 4}\n"
    (tmp_path / "study.yaml").write_text(study, encoding="utf-8")
    member = DEMO.read_text(encoding="utf-8") + "\nextends: study.yaml\nhub: {gated: manual}\n"
    (tmp_path / "m.yaml").write_text(member, encoding="utf-8")
    collection = "kind: collection\nschema_version: 1\nrepo_id: x/all\ntitle: All\n"
    collection += "study: study.yaml\nmembers: [{base_model: m, repo_id: x/m}]\n"
    (tmp_path / "all.yaml").write_text(collection, encoding="utf-8")
    hub = load_manifest(tmp_path / "m.yaml").manifest.hub
    assert hub is not None
    assert (hub.collection, hub.gated) == ("All SAEs", "manual")
    loaded = load_collection(tmp_path / "all.yaml")
    assert loaded.collection.hub is not None
    assert (loaded.collection.hub.collection, loaded.collection.hub.gated) == ("All SAEs", "auto")
    (tmp_path / "all.yaml").write_text(collection + "hub: null\n", encoding="utf-8")
    assert load_collection(tmp_path / "all.yaml").digest == loaded.digest


def test_no_manifest_of_this_repository_changes_a_setting_unasked() -> None:
    assert all(load_manifest(path).manifest.hub is None for path in manifest_files(FOLDER))
    assert all(load_collection(path).collection.hub is None for path in collection_files(FOLDER))
