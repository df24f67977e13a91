from __future__ import annotations

from pathlib import Path

import pytest

from manifests.collection import CollectionProblem, is_collection, load_collection
from manifests.load import ManifestError

MANIFESTS = Path(__file__).parents[2] / "manifests"
SHIPPED = MANIFESTS / "deception-behavioral-saes.yaml"

STUDY = """\
base_models:
  small: {id: x/small, n_layers: 2}
  large: {id: x/large, n_layers: null}
"""
HEAD = "kind: collection\nschema_version: 1\nrepo_id: x/all\ntitle: All\nstudy: study.yaml\n"


def written(tmp_path: Path, members: str, rest: str = "", study: str = STUDY) -> Path:
    (tmp_path / "study.yaml").write_text(study, encoding="utf-8")
    path = tmp_path / "all.yaml"
    path.write_text(f"{HEAD}members:\n{members}{rest}", encoding="utf-8")
    return path


def test_the_study_has_nine_base_models_of_which_three_have_a_manifest() -> None:
    loaded = load_collection(SHIPPED)
    assert len(loaded.members) == 9 == len({member.base_model_id for member in loaded.members})
    assert all(total.n_models == 9 for total in loaded.collection.reported_totals)
    derived = {m.base_model: (m.n_saes, m.n_variants) for m in loaded.members if m.is_derived}
    assert derived == {
        "nanochat-d32": (54, 0),
        "tinyllama-1.1b": (39, 9),
        "smollm2-135m": (54, 0),
    }


def test_both_totals_of_the_study_leave_three_saes_unaccounted() -> None:
    loaded = load_collection(SHIPPED)
    # derived 54 + 39 + 54; reported 45 + 18 + 36 + 45 + 30 + 42; variants 9 + 9
    assert loaded.n_derived == 147
    assert loaded.n_known == 147 + 216
    assert loaded.n_known_variants == 18
    smaller, larger = loaded.collection.reported_totals
    assert (smaller.n_saes, larger.n_saes) == (348, 366)
    # 366 - 363, and 348 - (363 - 18)
    assert loaded.unaccounted(larger) == 3
    assert loaded.unaccounted(smaller, with_variants=False) == 3
    assert loaded.unaccounted(smaller) == -15
    assert loaded.uncounted == ()


def test_the_member_whose_card_disagrees_with_its_matrix_is_named() -> None:
    (member,) = load_collection(SHIPPED).disputed
    assert (member.base_model, member.n_saes, member.reported_n_saes) == ("nanochat-d32", 54, 57)


def test_a_collection_is_told_from_a_manifest_and_from_a_study_file() -> None:
    assert is_collection(SHIPPED)
    assert not is_collection(MANIFESTS / "smollm2-135m.yaml")
    assert not is_collection(MANIFESTS / "study.yaml")


def test_a_member_that_nobody_counted_stays_unknown(tmp_path) -> None:
    path = written(
        tmp_path,
        "  - {base_model: small, repo_id: x/a, reported_n_saes: 4, source: its card}\n"
        "  - {base_model: large, repo_id: x/b}\n",
        "reported_totals: [{name: t, n_saes: 10, source: a page}]\n",
    )
    loaded = load_collection(path)
    assert [member.n_saes for member in loaded.members] == [4, None]
    assert [member.repo_id for member in loaded.uncounted] == ["x/b"]
    # 10 in total, 4 known: the other member would have to hold 6
    assert loaded.unaccounted(loaded.collection.reported_totals[0]) == 6


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ("  - {base_model: small}\n", "a manifest or a repo_id"),
        ("  - {base_model: small, manifest: m.yaml, repo_id: x/a}\n", "come from the manifest"),
        ("  - {base_model: small, repo_id: x/a, reported_n_saes: 4}\n", "belong together"),
        (
            "  - {base_model: small, repo_id: x/a, reported_n_saes: 4, n_variants: 5, source: s}\n",
            "more than",
        ),
        (
            "  - {base_model: small, repo_id: x/a}\n  - {base_model: small, repo_id: x/b}\n",
            "names small twice",
        ),
        ("  - {base_model: small, repo_id: x/a, count: 3}\n", "Extra inputs"),
    ],
)
def test_a_member_that_cannot_be_is_refused_with_its_place(tmp_path, members, message) -> None:
    with pytest.raises(ManifestError, match=message) as caught:
        load_collection(written(tmp_path, members))
    assert "all.yaml:" in str(caught.value)


def test_a_base_model_outside_the_register_is_refused_with_the_nearest(tmp_path) -> None:
    path = written(tmp_path, "  - {base_model: smal, repo_id: x/a}\n")
    with pytest.raises(CollectionProblem, match="did you mean 'small'"):
        load_collection(path)


def test_a_manifest_of_another_base_model_is_refused(tmp_path) -> None:
    for name in ("study.yaml", "smollm2-135m.yaml"):
        text = (MANIFESTS / name).read_text(encoding="utf-8")
        (tmp_path / name).write_text(text, encoding="utf-8")
    path = tmp_path / "all.yaml"
    members = "members:\n  - {base_model: phi-2, manifest: smollm2-135m.yaml}\n"
    path.write_text(HEAD + members, encoding="utf-8")
    with pytest.raises(CollectionProblem, match="HuggingFaceTB/SmolLM2-135M"):
        load_collection(path)


@pytest.mark.parametrize("study", ["../study.yaml", "a/study.yaml"])
def test_a_study_file_elsewhere_is_refused(tmp_path, study) -> None:
    path = written(tmp_path, "  - {base_model: small, repo_id: x/a}\n")
    text = path.read_text(encoding="utf-8").replace("study: study.yaml", f"study: {study}")
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CollectionProblem, match="study names"):
        load_collection(path)
