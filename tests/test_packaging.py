"""The wheel holds exactly the packages, and nobody else owns their names."""

from __future__ import annotations

import ast
import importlib.metadata
import importlib.util
import re
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("manifests", "validators", "retrain", "cards", "release")
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The project's wheel, built without the network."""
    folder = tmp_path_factory.mktemp("dist")
    built = next(WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"]))
    return zipfile.ZipFile(built)


def source_files(package: str) -> set[str]:
    """What a package should ship: its files, less compiled ones and the study's own manifests."""
    return {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / package).rglob("*")
        if path.is_file()
        and "__pycache__" not in path.parts
        and not path.is_relative_to(ROOT / "manifests" / "data")
        and not (package == "manifests" and path.suffix == ".yaml")
    }


def test_the_wheel_holds_every_file_of_the_five_packages_and_nothing_else(
    wheel: zipfile.ZipFile,
) -> None:
    shipped = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert shipped == set().union(*(source_files(package) for package in PACKAGES))


def test_what_is_not_python_in_the_wheel_is_a_template_an_asset_a_marker_or_the_schema(
    wheel: zipfile.ZipFile,
) -> None:
    others = {
        name for name in wheel.namelist() if ".dist-info/" not in name and not name.endswith(".py")
    }
    known = ("cards/templates/", "release/report_page/templates/", "release/report_page/assets/")
    unexpected = {name for name in others if not name.startswith(known)}
    typed = {f"{package}/py.typed" for package in PACKAGES}
    assert unexpected == {"manifests/schema.json", *typed}


def test_the_wheel_has_no_tests_and_no_stray_top_level_names(wheel: zipfile.ZipFile) -> None:
    top_level = {name.partition("/")[0] for name in wheel.namelist()}
    version = PYPROJECT["project"]["version"]
    assert top_level == {*PACKAGES, f"sae_release-{version}.dist-info"}


def test_the_wheel_carries_its_licence_and_its_one_command(wheel: zipfile.ZipFile) -> None:
    folder = f"sae_release-{PYPROJECT['project']['version']}.dist-info"
    licence = wheel.read(f"{folder}/licenses/LICENSE").decode("utf-8")
    entry_points = wheel.read(f"{folder}/entry_points.txt").decode("utf-8")
    assert "Apache License" in licence
    assert "END OF TERMS AND CONDITIONS" in licence
    assert entry_points.split() == ["[console_scripts]", "release", "=", "release.cli:main"]


@pytest.mark.parametrize("package", PACKAGES)
def test_no_other_distribution_owns_a_top_level_name(package: str) -> None:
    owners = set(importlib.metadata.packages_distributions().get(package, []))
    spec = importlib.util.find_spec(package)
    assert owners <= {"sae-release"}
    assert spec is not None
    assert spec.origin == str(ROOT / package / "__init__.py")


def normalized(name: str) -> str:
    """A distribution's name as the package index compares it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def requirement_names(requirements: list[str]) -> set[str]:
    """The distributions that a list of requirements names."""
    return {
        normalized(match[0])
        for requirement in requirements
        if (match := re.match(r"[A-Za-z0-9._-]+", requirement))
    }


def imported_at_module_level(path: Path) -> set[str]:
    """Top-level names that a module imports when it is imported itself."""
    names: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module.partition(".")[0])
    return names


@pytest.mark.parametrize("package", ["manifests", "cards", "release"])
def test_a_light_package_imports_only_what_the_base_install_brings(package: str) -> None:
    base = requirement_names(PYPROJECT["project"]["dependencies"])
    owners = importlib.metadata.packages_distributions()
    offences = {
        f"{path.relative_to(ROOT).as_posix()} imports {name}"
        for path in (ROOT / package).rglob("*.py")
        for name in imported_at_module_level(path) - set(PACKAGES)
        if name not in sys.stdlib_module_names
        and not base & {normalized(owner) for owner in owners.get(name, [])}
    }
    assert offences == set()


def pins() -> dict[str, str]:
    """The pinned version of each distribution in constraints.txt."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return dict(
        match.groups()
        for line in lines
        if (
            match := re.match(
                r"([a-z0-9-]+)==([^\s;]+)(?: ; sys_platform == \"\w+\")?(?:  #|$)", line
            )
        )
    )


def test_every_line_of_the_constraints_is_one_exact_public_pin() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    n_lines = sum(1 for line in lines if line and not line.startswith("#"))
    assert len(pins()) == n_lines
    assert [version for version in pins().values() if "+" in version] == []


def test_every_declared_requirement_is_pinned() -> None:
    extras = PYPROJECT["project"]["optional-dependencies"]
    declared = requirement_names(PYPROJECT["project"]["dependencies"])
    declared |= requirement_names([*extras["measure"], *extras["retrain"]])
    declared |= requirement_names(
        [*extras["demo"], *extras["dev"], *extras["docs"], *extras["ray"], *extras["plots"]]
    )
    assert declared - {"sae-release"} - set(pins()) == set()


def test_no_pin_needs_a_later_python_than_the_project() -> None:
    # Debian 12 has Python 3.11.2; a pin that wants 3.11.5 cannot be installed there.
    oldest = PYPROJECT["project"]["requires-python"].removeprefix(">=") + ".0"
    installed = {normalized(found.name): found for found in importlib.metadata.distributions()}
    pinned = installed.keys() & pins()
    needs = {name: installed[name].metadata["Requires-Python"] for name in pinned}
    assert len(needs) > 100
    assert [name for name, need in needs.items() if need and oldest not in SpecifierSet(need)] == []
