"""The wheel in an environment of its own, with the base's requirements alone: it works, torchless.

The requirements are copied from the environment that runs the tests, so nothing is downloaded;
`tests/workflows/test_tool_release_runs.py` has uv and pipx install it from a package index.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hatchling.builders.wheel import WheelBuilder
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from safetensors.numpy import save_file

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]
D_IN, D_SAE = 4, 8


def required(name: str) -> set[str]:
    """A distribution's requirements without any extra, and theirs, by canonical name."""
    found: set[str] = set()
    todo = [name]
    while todo:
        for text in importlib.metadata.requires(todo.pop()) or []:
            requirement = Requirement(text)
            wanted = canonicalize_name(requirement.name)
            is_needed = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
            if is_needed and wanted not in found:
                found.add(wanted)
                todo.append(wanted)
    return found


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program, in an environment that holds the wheel and what its base asks for."""
    folder = tmp_path_factory.mktemp("isolated")
    wheel = next(WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"]))
    environment = folder / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    programs = environment / ("Scripts" if os.name == "nt" else "bin")
    pip = [sys.executable, "-m", "pip", "--python", str(environment), "install", "--quiet"]
    subprocess.run([*pip, "--no-index", "--no-deps", wheel], check=True)
    asked = subprocess.run(
        [programs / "python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        check=True,
        capture_output=True,
        text=True,
    )
    packages = Path(asked.stdout.strip())
    for name in required("sae-release"):
        distribution = importlib.metadata.distribution(name)
        for file in distribution.files or []:
            source = Path(str(distribution.locate_file(file)))
            if ".." not in file.parts and source.is_file():
                (packages / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, packages / file)
    return programs / "release"


def ran(program: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        [program, *arguments],
        cwd=cwd,
        env=environ | {"HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )


def test_it_has_no_torch_and_says_its_version(release: Path, tmp_path: Path) -> None:
    python = release.with_name("python")
    found = ran(python, "-c", "import release.cli, torch", cwd=tmp_path)
    assert "No module named 'torch'" in found.stderr
    said = ran(release, "--version", cwd=tmp_path)
    assert (said.returncode, said.stdout.split()[0]) == (0, "sae-release")


def test_it_checks_a_folder_of_saes(release: Path, tmp_path: Path) -> None:
    sae = tmp_path / "saes" / "layer_0"
    sae.mkdir(parents=True)
    rng = np.random.default_rng(0)
    directions = rng.standard_normal((D_SAE, D_IN)).astype(np.float32)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    save_file(
        {
            "W_enc": np.ascontiguousarray(directions.T),
            "W_dec": directions,
            "b_enc": np.zeros(D_SAE, np.float32),
            "b_dec": np.zeros(D_IN, np.float32),
        },
        sae / "sae_weights.safetensors",
    )
    config = {"architecture": "standard", "d_in": D_IN, "d_sae": D_SAE, "dtype": "float32"}
    (sae / "cfg.json").write_text(json.dumps(config), encoding="utf-8")
    command = ["validate", "./saes", "--tier", "static", "--format", "json"]
    found = ran(release, *command, cwd=tmp_path)
    assert found.returncode in (0, 1), found.stderr
    checks = json.loads(found.stdout)["checks"]
    assert checks["tiers"] == ["static"]
    header = [each for each in checks["outcomes"] if each["code"] == "F005"]
    assert [each["outcome"] for each in header] == ["passed"]


def test_it_renders_a_card(release: Path, tmp_path: Path) -> None:
    manifest = ROOT / "manifests" / "demo-smollm2-135m-instruct.yaml"
    found = ran(release, "render", str(manifest), "--build", str(tmp_path), cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    card = tmp_path / "demo-smollm2-135m-instruct" / "repository" / "README.md"
    assert card.read_text(encoding="utf-8").startswith("---\n")
