"""Rules about the source that no linter holds."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("manifests", "validators", "retrain", "cards", "release")
TEXT = {".py", ".md", ".toml", ".yaml", ".yml", ".txt", ".j2", ".json", ".jsonl", ""}
LONGEST_MODULE = 400
# Names that stand for anybody, in explanations of what a release must not contain.
ANYBODY = r"(?:me|user|jane|alice)\b"
MACHINE_PATH = re.compile(
    rf"(?<![\w.~>}}*-])/(?:home|Users)/(?!{ANYBODY})[\w.]"
    r"|(?<![\w.~>}*-])/(?:root|work|opt)/[\w.]"
    rf"|\b[A-Z]:\\+Users\\+(?!\\|{ANYBODY})"
)
PARAPHRASED_NAMES = {"utils", "helpers", "common", "misc", "util", "helper"}


def sources(*folders: str) -> list[Path]:
    """The Python files under the given folders, sorted."""
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def shown(path: Path) -> str:
    """A path as a message names it."""
    return path.relative_to(ROOT).as_posix()


def text_files() -> Iterator[Path]:
    """Every text file of the repository that people or tools read."""
    for folder in (*PACKAGES, "tests", "docs", "benchmarks", ".github", ".ci"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file() and path.suffix in TEXT and "__pycache__" not in path.parts:
                yield path
    yield from (path for path in sorted(ROOT.glob("*")) if path.is_file() and path.suffix in TEXT)


def swallowed(source: str) -> list[int]:
    """Lines that catch something and do nothing about it.

    Going on with the next of several attempts (`except Refusal: continue`) is an answer to one
    kind of error, but not to every kind.
    """
    lines = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ExceptHandler):
            broad = node.type is None or ast.unparse(node.type) in ("Exception", "BaseException")
            idle = (ast.Pass, ast.Expr, ast.Continue) if broad else (ast.Pass,)
            does_nothing = all(
                isinstance(statement, idle)
                and not isinstance(getattr(statement, "value", None), ast.Call)
                for statement in node.body
            )
            if does_nothing:
                lines.append(node.lineno)
        if (
            isinstance(node, ast.Call)
            and ast.unparse(node.func).endswith("suppress")
            and any(ast.unparse(kind) in ("Exception", "BaseException") for kind in node.args)
        ):
            lines.append(node.lineno)
    return lines


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("try:\n    f()\nexcept ValueError:\n    pass\n", [3]),
        ("for x in y:\n    try:\n        f()\n    except Exception:\n        continue\n", [4]),
        ("for x in y:\n    try:\n        f()\n    except Refusal:\n        continue\n", []),
        ("try:\n    f()\nexcept Exception:\n    log(x)\n", []),
        ("with contextlib.suppress(Exception):\n    f()\n", [1]),
        ("with contextlib.suppress(FileNotFoundError):\n    f()\n", []),
        ("try:\n    f()\nexcept ValueError as error:\n    raise Bad from error\n", []),
    ],
)
def test_the_finder_of_swallowed_exceptions_tells_them_apart(source: str, lines: list[int]) -> None:
    assert swallowed(source) == lines


def test_no_exception_is_swallowed() -> None:
    offences = [
        f"{shown(path)}:{line}"
        for path in [*sources(*PACKAGES, "tests"), ROOT / "make.py"]
        for line in swallowed(path.read_text(encoding="utf-8"))
    ]
    assert offences == []


def test_no_file_names_a_path_of_somebodys_machine() -> None:
    offences = [
        f"{shown(path)}:{number}"
        for path in text_files()
        if path != Path(__file__).resolve()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if MACHINE_PATH.search(line)
    ]
    assert offences == []


def test_only_the_console_prints() -> None:
    offences = [
        f"{shown(path)}:{node.lineno}"
        for path in sources(*PACKAGES)
        if shown(path) != "release/console.py"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "print"
    ]
    assert offences == []


def test_modules_stay_short_and_are_named_for_their_idea() -> None:
    too_long = {
        shown(path): n_lines
        for path in sources(*PACKAGES)
        if (n_lines := len(path.read_text(encoding="utf-8").splitlines())) > LONGEST_MODULE
    }
    unnamed = [shown(path) for path in sources(*PACKAGES) if path.stem in PARAPHRASED_NAMES]
    assert too_long == {}
    assert unnamed == []


def asserts_something(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether a test asserts, expects an error, fails by itself or calls an `assert_...`."""
    for node in ast.walk(function):
        if isinstance(node, ast.Assert):
            return True
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func).rpartition(".")[2]
            if name in ("raises", "warns", "fail") or name.startswith("assert_"):
                return True
    return False


def test_every_test_asserts_something() -> None:
    offences = [
        f"{shown(path)}:{node.lineno} {node.name}"
        for path in sources("tests")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and not asserts_something(node)
    ]
    assert offences == []


def test_test_files_have_names_of_their_own_and_no_package_files() -> None:
    names = Counter(path.name for path in sources("tests"))
    assert "__init__.py" not in names
    assert [name for name, n in names.items() if n > 1 and name != "conftest.py"] == []


def test_every_relative_link_in_the_documents_leads_to_a_file() -> None:
    broken = []
    for document in [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]:
        for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text(encoding="utf-8")):
            path = target.partition("#")[0]
            if path and "://" not in path and not (document.parent / path).exists():
                broken.append(f"{shown(document)} -> {target}")
    assert broken == []
