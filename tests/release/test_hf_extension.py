"""`hf sae`: the folder hf-sae installs as an extension of `hf`, and runs the same verbs."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hatchling.builders.wheel import WheelBuilder

from release import hf_extension

ROOT = Path(__file__).resolve().parents[2]
OWN = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTENSION = tomllib.loads((ROOT / "hf-sae" / "pyproject.toml").read_text(encoding="utf-8"))[
    "project"
]

# `hf` with GitHub's answers as its own source expects them, and pip kept from the network: the
# packages that the tool needs are those of this environment.
STAND_IN = """
import pathlib, subprocess, sys
import httpx2
from huggingface_hub.cli import extensions
from huggingface_hub.cli.hf import main

archive, wheel, packages = sys.argv[1:4]
del sys.argv[1:4]
really_run = subprocess.run

def github(method, url, *, params=None, timeout=None):
    request = httpx2.Request(method, url)
    if url == "https://github.com/someone/hf-sae":
        return httpx2.Response(200, request=request)
    if url == "https://github.com/someone/hf-sae.git/info/refs":
        return httpx2.Response(200, request=request, text="0" * 40 + " HEAD\\x00")
    raise httpx2.HTTPStatusError("404", request=request, response=httpx2.Response(404))

def run(command, **options):
    if "pip" in command:
        assert command[-1] == "https://github.com/someone/hf-sae/archive/HEAD.zip", command
        python = pathlib.Path(command[0])
        (site,) = python.parents[1].rglob("site-packages")
        (site / "host.pth").write_text(packages + "\\n", encoding="utf-8")
        offline = ["--no-index", "--no-deps", "--no-build-isolation", "--quiet"]
        command = [*command[:-1], *offline, archive, wheel]
    return really_run(command, **options)

extensions._github_request = github
extensions.subprocess.run = run
extensions.shutil.which = lambda name: None
main()
"""


def test_the_extension_is_of_the_tools_version_and_names_what_exists() -> None:
    assert EXTENSION["version"] == OWN["version"]
    assert EXTENSION["requires-python"] == OWN["requires-python"]
    module, _, function = EXTENSION["scripts"]["hf-sae"].partition(":")
    assert callable(getattr(importlib.import_module(module), function))
    assert EXTENSION["optional-dependencies"].keys() <= OWN["optional-dependencies"].keys()


def test_help_speaks_of_what_was_typed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["hf-sae", "validate", "--help"])
    assert hf_extension.main() == 0
    assert "Usage: hf sae validate" in capsys.readouterr().out


@pytest.mark.slow
def test_it_is_installed_and_run_by_hf(tmp_path: Path) -> None:
    wheel = next(WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"]))
    archive = shutil.make_archive(str(tmp_path / "HEAD"), "zip", ROOT, "hf-sae")
    script = tmp_path / "hf_on_this_machine.py"
    script.write_text(STAND_IN, encoding="utf-8")
    packages = str(Path(pytest.__file__).parents[1])
    environment = os.environ | {
        "HOME": str(tmp_path),
        "USERPROFILE": str(tmp_path),
        "HF_HUB_DISABLE_UPDATE_CHECK": "1",
    }

    def hf(*arguments: str) -> Any:
        return subprocess.run(
            [sys.executable, str(script), archive, wheel, packages, *arguments],
            capture_output=True,
            encoding="utf-8",
            env=environment,
            check=False,
        )

    installed = hf("extensions", "install", "someone/hf-sae")
    assert installed.returncode == 0, installed.stdout + installed.stderr

    folder = tmp_path / "saes"
    (folder / "one").mkdir(parents=True)
    (folder / "one" / "cfg.json").write_text("{}", encoding="utf-8")
    ran = hf("sae", "validate", str(folder), "--tier", "static", "--format", "json")
    assert ran.returncode == 1, ran.stderr
    outcomes = json.loads(ran.stdout)["checks"]["outcomes"]
    assert "failed" in {outcome["outcome"] for outcome in outcomes if outcome["subject"] == "one"}

    assert "Usage: hf sae" in hf("sae", "--help").stdout
