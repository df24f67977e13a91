"""The tool's own release, run by act up to its upload: built, checked, installed by uv and pipx.

It installs from a package index, and is passed over where none is within reach.
"""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from rehearsal import ROOT, Rehearsal, copy_working_tree

from release.embedded_hub import EmbeddedHub

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Passes the tests over where pip finds no package index."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "pipx==1.18.4"]
    folder = tmp_path_factory.mktemp("downloaded")
    done = subprocess.run([*command, "--dest", str(folder)], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("no package index is within reach")


def test_what_is_built_installs_as_an_application_without_torch(
    index: None, act: Path, tmp_path: Path
) -> None:
    with EmbeddedHub(tmp_path / "hub") as hub:
        rehearsal = Rehearsal(tmp_path, hub, act)
        copy_working_tree(rehearsal.clone, with_study=True)
        rehearsal.git("init", "--quiet", "--initial-branch", "main", ".")
        rehearsal.commit("The tool")
        applications = tmp_path / "applications"
        ran = rehearsal.run(
            "tool release",
            "tool-release.yml",
            "push",
            {"ref": f"refs/tags/v{VERSION}"},
            environ={
                "GITHUB_REF_NAME": f"v{VERSION}",
                "PIPX_BIN_DIR": str(applications / "pipx-bin"),
                "PIPX_HOME": str(applications / "pipx"),
                "PIP_NO_INDEX": "0",
                "PYTHONPATH": "",
                "UV_NATIVE_TLS": "1",
                "UV_TOOL_BIN_DIR": str(applications / "uv-bin"),
                "UV_TOOL_DIR": str(applications / "uv"),
            },
            arguments=("--job", "install", "--matrix", "system:ubuntu-24.04"),
        )
        assert ran.code == 0, ran.log[-8000:]
        assert ran.results("build") == ran.results("install") == {"success"}
        assert len([job for job in ran.jobs if job.startswith("install/")]) == 2
        built = {path.name for path in (rehearsal.artifacts / "dist").iterdir()}
    assert built == {f"sae_release-{VERSION}-py3-none-any.whl", f"sae_release-{VERSION}.tar.gz"}
    for folder in ("pipx", "uv"):
        packages = {path.name for path in (applications / folder).rglob("site-packages/*")}
        assert "typer" in packages
        assert not packages & {"torch", "transformers", "sae_lens"}
