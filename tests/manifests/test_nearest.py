"""What somebody who mistyped a name or a path probably meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from manifests.load import ManifestError, load_manifest
from manifests.nearest import did_you_mean, nearest, nearest_file
from manifests.yaml_source import YamlProblem, read_yaml

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("written", "known", "meant"),
    [
        ("vaildate", ["validate", "verify", "plan"], ["validate"]),
        # A letter for the digit it looks like leaves no other answer.
        ("W1O2", ["W111", "W112", "W102"], ["W102"]),
        ("wl02", ["W111", "W112", "W102"], ["W102"]),
        ("NF4", ["nf4", "fp4"], ["nf4"]),
        ("zzz", ["validate", "verify"], []),
    ],
)
def test_the_nearest_names(written: str, known: list[str], meant: list[str]) -> None:
    assert nearest(written, known) == meant


def test_the_question_names_at_most_as_many_as_asked() -> None:
    known = ["sae_L1", "sae_L2", "sae_L3", "else"]
    assert did_you_mean("sae_L", known, n=3) == "did you mean sae_L3, sae_L2 or sae_L1?"
    assert did_you_mean("sae_L", known) == "did you mean sae_L3?"
    assert did_you_mean("unlike", known) is None


def shelf(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).write_text("kind: x\n", encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    "written",
    [
        "manifests/tinylama.yaml",
        "manifests/tinyllama",
        "manifest/tinyllama.yaml",
        "tinyllama.yaml",
        "manifests/tinyllama.yml",
    ],
)
def test_a_path_that_is_not_there_leads_to_the_nearest_file(
    written: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf(tmp_path / "manifests", "tinyllama.yaml", "gemma.yaml", "notes.txt", "study.yaml")
    monkeypatch.chdir(tmp_path)
    found = nearest_file(Path(written), (".yaml", ".yml"))
    assert found is not None
    assert found.as_posix() == "manifests/tinyllama.yaml"
    with pytest.raises(YamlProblem) as caught:
        read_yaml(Path(written))
    assert caught.value.next_step == "did you mean manifests/tinyllama.yaml?"


def test_a_path_that_is_like_none_leads_to_the_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf(tmp_path / "manifests", "gemma.yaml", "study.yaml")
    monkeypatch.chdir(tmp_path)
    assert nearest_file(Path("manifests/studi.yaml"), (".yaml",)) is None
    with pytest.raises(YamlProblem) as caught:
        read_yaml(Path("manifests/llama.yaml"))
    assert caught.value.next_step == "`release show --all` lists the manifests of ./manifests"


def test_a_folder_without_manifests_says_where_to_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(YamlProblem, match="cannot be read") as caught:
        read_yaml(Path("manifests/llama.yaml"))
    assert "go to the project's folder" in (caught.value.next_step or "")


def test_a_mistyped_architecture_and_precision_get_the_nearest(tmp_path: Path) -> None:
    text = (ROOT / "manifests/demo-smollm2-135m-instruct.yaml").read_text(encoding="utf-8")
    mistyped = text.replace("jumprelu, gated]", "jumpreluu, gated]")
    mistyped = mistyped.replace("weights: fp32", "weights: pf32")
    assert mistyped.count("jumpreluu") == mistyped.count("pf32") == 1
    path = tmp_path / "x.yaml"
    path.write_text(mistyped, encoding="utf-8")
    with pytest.raises(ManifestError) as caught:
        load_manifest(path)
    meant = {problem.next_step for problem in caught.value.problems}
    assert {"did you mean 'jumprelu'?", "did you mean 'fp32'?"} <= meant
