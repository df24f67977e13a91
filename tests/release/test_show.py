"""`release show`: counts, origins, and nine manifests at once."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from release.cli import main

MANIFESTS = Path(__file__).parents[2] / "manifests"
SEEDS = ("tinyllama-1-1b", "smollm2-135m", "nanochat-d32", "gemma4-e2b-gf1")
N_STAND_INS = 5


@pytest.fixture
def output(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    def run(*arguments: str) -> str:
        assert main(["show", *arguments]) == 0
        return capsys.readouterr().out

    return run


@pytest.fixture(scope="module")
def nine_manifests(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The four seed systems, and stand-ins for systems of which no card is at hand."""
    folder = tmp_path_factory.mktemp("manifests")
    for name in ("study", *SEEDS):
        shutil.copy(MANIFESTS / f"{name}.yaml", folder)
    text = (MANIFESTS / "smollm2-135m.yaml").read_text(encoding="utf-8")
    for number in range(N_STAND_INS):
        stand_in = re.sub(r"(?m)^repo_id: .*", f"repo_id: stand-in/system-{number}", text)
        (folder / f"stand-in-{number}.yaml").write_text(stand_in, encoding="utf-8")
    return folder


@pytest.mark.parametrize(("name", "n_saes"), zip(SEEDS, (39, 54, 54, 1), strict=True))
def test_a_system_has_as_many_saes_as_its_matrix(name: str, n_saes: int, output) -> None:
    shown = " ".join(output(str(MANIFESTS / f"{name}.yaml")).split())
    assert f": {n_saes} SAEs (" in shown
    listed = output(str(MANIFESTS / f"{name}.yaml"), "--saes").split("\n")
    assert sum(line.count(".layers.") for line in listed) == n_saes


def test_each_value_names_where_it_was_written(output) -> None:
    lines = output(str(MANIFESTS / "tinyllama-1-1b.yaml")).splitlines()
    by_key = dict(line.split(": ", 1) for line in lines if "  # " in line)
    source = (MANIFESTS / "tinyllama-1-1b.yaml").read_text(encoding="utf-8").splitlines()
    value, origin = by_key["repo_id"].split("  # ")
    line = int(origin.removeprefix("line "))
    assert json.loads(value) in source[line - 1]
    assert re.fullmatch(r"300  # study\.yaml:\d+", by_key["recipe.epochs"])
    assert by_key["saes.site"].endswith("  # default")


def test_an_override_shows_what_it_replaced(tmp_path: Path, output) -> None:
    for name in ("study", "smollm2-135m"):
        shutil.copy(MANIFESTS / f"{name}.yaml", tmp_path)
    path = tmp_path / "smollm2-135m.yaml"
    text = path.read_text(encoding="utf-8")
    assert text.count("\nrecipe:\n") == 1
    path.write_text(text.replace("\nrecipe:\n", "\nrecipe:\n  epochs: 7\n"), encoding="utf-8")
    assert re.search(r"recipe\.epochs: 7  # line \d+, over study\.yaml:\d+", output(str(path)))


def test_nine_manifests_are_shown_at_once(nine_manifests: Path, output) -> None:
    shown = output("--all", "--manifests", str(nine_manifests))
    # 39 + 54 + 54 + 1, and five stand-ins of 54
    assert f"9 manifests, {39 + 54 + 54 + 1 + 5 * 54} SAEs." in shown


def test_showing_all_loads_no_torch(nine_manifests: Path) -> None:
    code = (
        "import sys; from release.cli import main; "
        "code = main(['show', '--all', '--manifests', sys.argv[1]]); "
        "heavy = {'torch', 'transformers', 'sae_lens', 'numpy'} & set(sys.modules); "
        "sys.exit(f'loaded {heavy}' if heavy else code)"
    )
    finished = subprocess.run(
        [sys.executable, "-c", code, str(nine_manifests)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (finished.returncode, finished.stderr) == (0, "")


def test_the_collection_shows_what_is_accounted_for(output) -> None:
    shown = output(str(MANIFESTS / "deception-behavioral-saes.yaml"))
    assert "9 base models" in shown
    assert "says 57)" in shown


def test_json_is_the_resolved_manifest(output) -> None:
    resolved = json.loads(output(str(MANIFESTS / "nanochat-d32.yaml"), "--format", "json"))
    assert resolved["base_model"]["model_type"] == "nanochat"
    assert resolved["recipe"]["learning_rate"] == 3e-4
