from __future__ import annotations

from pathlib import Path

import pytest

from manifests.extends import read_resolved
from manifests.yaml_source import YamlProblem

STUDY = """\
defaults:
  license: mit
  recipe: {epochs: 300, topk: {k: 64}}
  tags: [a, b]
base_models:
  small: {id: x/small, n_layers: 2}
caveats:
  threshold: {title: T, text: never moved}
"""


def resolve(tmp_path: Path, own: str, study: str = STUDY):
    (tmp_path / "study.yaml").write_text(study, encoding="utf-8")
    path = tmp_path / "m.yaml"
    path.write_text(own, encoding="utf-8")
    return read_resolved(path)


def place(resolved, *path) -> tuple[str, int]:
    origin = resolved.origins[path]
    return Path(origin.file).name, origin.line


def test_defaults_stand_where_the_manifest_says_nothing(tmp_path) -> None:
    resolved = resolve(tmp_path, "extends: study.yaml\ntitle: x\n")
    assert resolved.data == {
        "license": "mit",
        "recipe": {"epochs": 300, "topk": {"k": 64}},
        "tags": ["a", "b"],
        "title": "x",
    }
    assert place(resolved, "recipe", "topk", "k") == ("study.yaml", 3)
    assert place(resolved, "title") == ("m.yaml", 2)


def test_an_override_wins_and_stays_visible(tmp_path) -> None:
    resolved = resolve(tmp_path, "extends: study.yaml\nrecipe:\n  epochs: 5\ntags: [c]\n")
    assert resolved.data["recipe"] == {"epochs": 5, "topk": {"k": 64}}
    assert resolved.data["tags"] == ["c"]
    assert place(resolved, "recipe", "epochs") == ("m.yaml", 3)
    assert resolved.overridden[("recipe", "epochs")].line == 3
    assert Path(resolved.overridden[("recipe", "epochs")].file).name == "study.yaml"
    assert ("recipe", "topk", "k") not in resolved.overridden


def test_a_base_model_is_named_once_in_the_study(tmp_path) -> None:
    resolved = resolve(tmp_path, "extends: study.yaml\nbase_model: small\n")
    assert resolved.data["base_model"] == {"id": "x/small", "n_layers": 2}
    assert place(resolved, "base_model", "id") == ("study.yaml", 6)


def test_a_named_base_model_can_be_amended(tmp_path) -> None:
    own = "extends: study.yaml\nbase_model: {use: small, n_layers: 3}\n"
    resolved = resolve(tmp_path, own)
    assert resolved.data["base_model"] == {"id": "x/small", "n_layers": 3}
    assert place(resolved, "base_model", "n_layers") == ("m.yaml", 2)


def test_caveats_are_named_or_written_out(tmp_path) -> None:
    own = "extends: study.yaml\ncaveats: [threshold, {title: U, text: v}]\n"
    resolved = resolve(tmp_path, own)
    assert resolved.data["caveats"] == [
        {"title": "T", "text": "never moved"},
        {"title": "U", "text": "v"},
    ]
    assert place(resolved, "caveats", 0, "text") == ("study.yaml", 8)
    assert place(resolved, "caveats", 1, "text") == ("m.yaml", 2)


def test_an_unknown_name_gets_the_nearest(tmp_path) -> None:
    with pytest.raises(YamlProblem, match=r"did you mean 'small'\?") as caught:
        resolve(tmp_path, "extends: study.yaml\nbase_model: smal\n")
    assert caught.value.where.endswith("m.yaml:2:1")


@pytest.mark.parametrize("name", ["../study.yaml", "a/study.yaml", "3", "absent.yaml"])
def test_a_study_file_elsewhere_is_refused(tmp_path, name) -> None:
    with pytest.raises(YamlProblem):
        resolve(tmp_path, f"extends: {name}\n")


def test_an_unknown_key_of_the_study_file_is_refused(tmp_path) -> None:
    with pytest.raises(YamlProblem, match="default"):
        resolve(tmp_path, "extends: study.yaml\n", study="default: {}\n")


def test_a_manifest_of_its_own_is_read_as_it_is(tmp_path) -> None:
    path = tmp_path / "m.yaml"
    path.write_text("title: x\n", encoding="utf-8")
    assert read_resolved(path).data == {"title": "x"}


def test_the_study_is_not_changed_by_an_override(tmp_path) -> None:
    own = "extends: study.yaml\nbase_model: {use: small, id: y/other}\n"
    assert resolve(tmp_path, own).data["base_model"]["id"] == "y/other"
    assert resolve(tmp_path, own.replace("{use: small, id: y/other}", "small")).data[
        "base_model"
    ] == {"id": "x/small", "n_layers": 2}
