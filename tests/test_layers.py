"""The packages import each other in one direction, and what must be light stays light."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ORDER = ("manifests", "validators", "retrain", "cards", "release")
HEAVY = {"torch", "transformers", "sae_lens", "sklearn", "datasets", "bitsandbytes", "ray"}


def imports_of(source: str) -> list[tuple[str, int]]:
    """The absolute names that a module imports anywhere in it, functions included, with lines."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.append((node.module, node.lineno))
    return found


def modules_of(package: str) -> list[Path]:
    """The package's modules, sorted."""
    return sorted((ROOT / package).rglob("*.py"))


def test_the_reader_of_imports_sees_those_inside_functions() -> None:
    source = "import torch.nn\ndef f():\n    from retrain.stage import retrain\n"
    assert imports_of(source) == [("torch.nn", 1), ("retrain.stage", 3)]


@pytest.mark.parametrize("package", ORDER)
def test_a_package_imports_only_those_before_it(package: str) -> None:
    later = ORDER[ORDER.index(package) + 1 :]
    offences = [
        f"{path.relative_to(ROOT).as_posix()}:{line} imports {name}"
        for path in modules_of(package)
        for name, line in imports_of(path.read_text(encoding="utf-8"))
        if name.partition(".")[0] in later
    ]
    assert modules_of(package), f"{package} has no modules"
    assert offences == []


def test_no_package_is_imported_by_a_string() -> None:
    # That would get round the order; most of all for validators and retrain, since a checker that
    # shares code with the maker shares its bugs.
    offences = [
        f"{path.relative_to(ROOT).as_posix()}:{node.lineno}"
        for package in ORDER
        for path in modules_of(package)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).rpartition(".")[2] in ("import_module", "__import__")
        and node.args
        and isinstance(node.args[0], ast.Constant)
        and str(node.args[0].value).partition(".")[0] in ORDER
    ]
    assert offences == []


def loaded_after(statement: str) -> set[str]:
    """Which heavy packages a fresh interpreter has loaded after running a statement."""
    program = f"import sys\n{statement}\nprint('loaded:', *sorted({HEAVY!r} & set(sys.modules)))"
    result = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=True,
    )
    last_line = result.stdout.splitlines()[-1]
    assert last_line.startswith("loaded:")
    return set(last_line.split()[1:])


def test_the_probe_sees_a_package_that_was_loaded() -> None:
    assert loaded_after("sys.modules['torch'] = sys") == {"torch"}


@pytest.mark.parametrize(
    "package", ["manifests", "cards", "release/commands", "release/embedded_hub"]
)
def test_importing_any_module_of_a_light_package_loads_no_torch(package: str) -> None:
    names = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in modules_of(package)
        if path.name != "__main__.py"
    ]
    assert loaded_after("\n".join(f"import {name}" for name in names)) == set()


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["show", "manifests/demo-smollm2-135m-instruct.yaml"], ["render", "--help"]],
)
def test_commands_that_only_read_manifests_load_no_torch(arguments: list[str]) -> None:
    statement = f"from release.cli import main\nassert main({arguments!r}) == 0"
    assert loaded_after(statement) == set()
