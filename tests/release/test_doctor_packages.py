"""`release doctor` on packages: Python, how the tool was installed, its extras."""

from __future__ import annotations

import importlib.util
import sys
import tomllib
from importlib.metadata import Distribution
from pathlib import Path
from typing import Any

import pytest

from manifests.errors import MissingExtra
from release.cli import main
from release.doctor.extras import PURPOSES, judged, requirement_lines
from release.doctor.installation import (
    Installation,
    describe,
    installation,
    installation_lines,
    python_command,
)
from release.doctor.line import Line, State

ROOT = Path(__file__).resolve().parents[2]
PIP = Installation("0.1.0", "pip")
REQUIRES = [
    "numpy>=2",
    "torch>=2.8; extra == 'measure'",
    "bitsandbytes>=0.50; extra == 'measure'",
    "sae-release[measure]; extra == 'retrain'",
    "datasets>=4; extra == 'retrain'",
    "pywin32>=300; sys_platform == 'nowhere'",
    "old-only; python_version < '3' and extra == 'measure'",
]
THERE = {"numpy": "2.1.0", "torch": "2.13.0+cu126", "bitsandbytes": "0.50.2", "datasets": "5.0"}


def lines_of(there: dict[str, str]) -> dict[str, Line]:
    """The lines on a machine with these packages."""
    found = judged(REQUIRES, ["retrain", "measure"], PIP, version_of=there.get)
    return {line.topic: line for line in found}


def test_what_is_there_is_told_with_its_version_and_once() -> None:
    found = lines_of(THERE)
    # pywin32 and old-only are for other systems.
    assert found["base"].found == "1 packages in the versions that are needed"
    assert found["extra measure"].found.startswith("bitsandbytes 0.50.2, torch 2.13.0+cu126 (for")
    assert found["extra retrain"].found.startswith("datasets 5.0, 2 of the above (for retrain")
    assert {line.state for line in found.values()} == {State.OK}


def test_an_extra_that_lacks_a_package_is_missing_with_the_line_that_installs_it() -> None:
    found = lines_of({name: THERE[name] for name in ("numpy", "torch", "datasets")})
    measure = found["extra measure"]
    assert measure.state is State.MISSING
    assert "not installed: bitsandbytes>=0.50" in measure.found
    assert "validate --tier activations" in measure.found
    assert measure.mend == 'python -m pip install "sae-release[measure]"'
    assert found["extra retrain"].state is State.MISSING


def test_an_extra_whose_package_is_too_old_is_broken() -> None:
    found = lines_of({**THERE, "torch": "2.7.1"})["extra measure"]
    assert found.state is State.BROKEN
    assert "torch 2.7.1 is installed, >=2.8 is needed" in found.found


def test_a_base_without_a_package_is_broken() -> None:
    found = lines_of({name: v for name, v in THERE.items() if name != "numpy"})["base"]
    assert (found.state, found.found) == (State.BROKEN, "not installed: numpy>=2")
    assert found.mend == 'python -m pip install "sae-release"'


def test_every_extra_of_the_project_says_what_it_is_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert set(project["optional-dependencies"]) == set(PURPOSES)


def test_the_metadata_of_this_very_installation_is_read() -> None:
    found = {line.topic: line for line in requirement_lines(PIP)}
    assert found["base"].state is State.OK
    assert "torch" in found["extra measure"].found


def test_extras_newer_than_an_editable_installation_are_told(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        "[project]\nname='x'\n[project.optional-dependencies]\nfresh=['a']\n", encoding="utf-8"
    )
    found = requirement_lines(Installation("0.1.0", "editable", tmp_path))[-1]
    assert (found.topic, found.state) == ("extras", State.NOTE)
    assert "fresh" in found.found
    assert found.mend == f'python -m pip install -e "{tmp_path}"'


class Installed(Distribution):
    """A distribution with a `direct_url.json`."""

    def __init__(self, direct_url: str | None) -> None:
        self._direct_url = direct_url

    def read_text(self, filename: str) -> str | None:
        if filename == "METADATA":
            return "Metadata-Version: 2.1\nName: sae-release\nVersion: 0.3.0\n"
        return self._direct_url if filename == "direct_url.json" else None

    def locate_file(self, path: Any) -> Any:
        raise NotImplementedError


def described(direct_url: str | None, prefix: Path) -> Installation:
    return describe(Installed(direct_url), prefix=prefix, python="python")


def test_how_it_was_installed_decides_the_line_that_adds_an_extra(tmp_path: Path) -> None:
    index = described(None, tmp_path)
    assert (index.kind, index.version) == ("pip", "0.3.0")
    assert index.add_extra("ray") == 'python -m pip install "sae-release[ray]"'
    git = described(
        '{"url": "https://example.org/r.git", "vcs_info": {"vcs": "git", "commit_id": "abc"}}',
        tmp_path,
    )
    assert git.add_extra("ray") == (
        'python -m pip install "sae-release[ray] @ git+https://example.org/r.git@abc"'
    )


GIT = '{"url": "https://example.org/r.git", "vcs_info": {"vcs": "git", "commit_id": "abc"}'


@pytest.mark.parametrize(
    ("leaves", "tool"), [("pipx_metadata.json", "pipx"), ("uv-receipt.toml", "uv tool")]
)
def test_a_tool_gets_an_extra_from_where_it_came_from(
    leaves: str, tool: str, tmp_path: Path
) -> None:
    (tmp_path / leaves).touch()

    def line(direct_url: str | None) -> str:
        return described(direct_url, tmp_path).add_extra("ray")

    assert line(None) == f'{tool} install --force "sae-release[ray]"'
    at_commit = "git+https://example.org/r.git@abc"
    assert line(GIT + "}") == f'{tool} install --force "sae-release[ray] @ {at_commit}"'
    inside = GIT + ', "subdirectory": "tools"}'
    assert line(inside).endswith(f'"sae-release[ray] @ {at_commit}#subdirectory=tools"')
    source = tmp_path / "with a blank"
    assert line(f'{{"url": "{source.as_uri()}", "dir_info": {{}}}}') == (
        f'{tool} install --force "{source}[ray]"'
    )


def test_a_folder_is_installed_from_again_and_is_not_taken_for_an_editable_one(
    tmp_path: Path,
) -> None:
    (tmp_path / "pyproject.toml").write_text(
        "[project]\nname='x'\n[project.optional-dependencies]\nfresh=['a']\n", encoding="utf-8"
    )
    found = described(f'{{"url": "{tmp_path.as_uri()}", "dir_info": {{}}}}', tmp_path / "venv")
    assert (found.kind, found.folder) == ("pip", tmp_path)
    assert found.add_extra("ray") == f'python -m pip install "{tmp_path}[ray]"'
    assert [line.topic for line in requirement_lines(found) if line.topic == "extras"] == []
    tool = next(line for line in installation_lines(found) if line.topic == "tool")
    assert tool.found == f"sae-release 0.3.0, by pip from {tmp_path}"


def test_without_pip_in_its_environment_uv_is_what_installs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `hf extensions install` makes one where uv is on the PATH."""
    uv = f'uv pip install --python "{sys.executable}"'
    bare = Installation("0.3.0", "pip", has_pip=False)
    assert bare.add_extra("ray") == f'{uv} "sae-release[ray]"'
    assert bare.take_torch("2.13.0", "cu126").startswith(f"{uv} --index-url")
    assert bare.reinstall() == f'{uv} --force-reinstall "sae-release"'
    editable = Installation("0.3.0", "editable", tmp_path, has_pip=False)
    assert editable.add_extra("ray") == f'{uv} -e "{tmp_path}[ray]"'
    tool = next(line for line in installation_lines(bare) if line.topic == "tool")
    assert tool.found == "sae-release 0.3.0, by uv"
    assert installation().has_pip is (importlib.util.find_spec("pip") is not None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert installation().has_pip is False


def test_a_checkout_is_an_editable_installation_beside_make_py(tmp_path: Path) -> None:
    direct = f'{{"url": "{tmp_path.as_uri()}", "dir_info": {{"editable": true}}}}'
    other = described(direct, tmp_path / "elsewhere")
    assert (other.kind, other.folder) == ("editable", tmp_path)
    (tmp_path / "make.py").touch()
    (tmp_path / "constraints.txt").touch()
    checkout = described(direct, tmp_path / ".venv")
    assert checkout.kind == "checkout"
    assert checkout.add_extra("ray") == (
        f'python -m pip install -c "{tmp_path / "constraints.txt"}" -e "{tmp_path}[ray]"'
    )
    assert checkout.take_torch("2.13.0+cpu", "cu126") == "python make.py setup --torch cuda"
    assert checkout.take_torch("2.13.0+cpu", "cu130") == "python make.py setup --torch cu130"


def test_a_tool_that_runs_from_its_source_is_a_note() -> None:
    found = installation_lines(describe(None, prefix=Path(), python="python"))
    assert [(line.topic, line.state) for line in found] == [
        ("python", State.OK),
        ("tool", State.NOTE),
    ]


def test_an_old_python_is_broken() -> None:
    found = installation_lines(PIP, version_info=(3, 10, 4))[0]
    assert found.state is State.BROKEN
    assert "3.10.4" in found.found and "3.11 is the oldest" in found.found


def test_the_command_that_is_not_on_the_path_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    found = {line.topic: line for line in installation_lines(PIP)}
    assert found["command"].mend == "python -m release"


def test_a_python_with_a_space_in_its_path_is_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert python_command("my envs/python", windows=False) == '"my envs/python"'
    assert python_command(r"my envs\python.exe", windows=True) == r'& "my envs\python.exe"'
    assert python_command(sys.executable.replace(" ", "_")) == sys.executable.replace(" ", "_")


def test_a_missing_extra_is_told_in_the_words_of_how_the_tool_was_installed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(**_: Any) -> int:
        raise MissingExtra(needed_for="signing", package="model-signing", extra="sign")

    found = Installation("0.1.0", "pipx", origin="git+https://example.org/r.git@abc")
    monkeypatch.setattr("release.doctor.installation.installation", lambda: found)
    monkeypatch.setattr("release.cli.app", refused)
    assert main(["push", "x.yaml"]) == 3
    assert found.add_extra("sign") in " ".join(capsys.readouterr().err.split())
    assert found.add_extra("sign").startswith("pipx ")
