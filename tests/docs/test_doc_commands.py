"""Every command of the documentation exists, with its options, and the light ones are run."""

from __future__ import annotations

import importlib.util
import re
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import typer.main
from doc_commands import PARSED_ONLY, ROOT, DocStep, mentions, read_steps, steps, steps_of
from doc_sandbox import Sandbox, light_sandbox, run_page

from release.cli import app
from validators.check import Check, Passed, Problem
from validators.registry import find_check

ALL = steps()
PARSER = typer.main.get_command(app)
COMMANDS = [step for step in ALL if step.kind == "command"]
LIGHT = [step for step in ALL if step.how == "run"]


def verb_of(words: list[str]) -> tuple[Any, list[str]]:
    """The parser of a verb, and the words behind it.

    Raises:
        LookupError: there is no such verb.
    """
    group: Any = PARSER
    rest = list(words)
    while hasattr(group, "commands"):
        name = rest.pop(0) if rest else ""
        if name not in group.commands:
            raise LookupError(f"release has no verb {name!r}")
        group = group.commands[name]
    return group, rest


def parse(words: list[str]) -> None:
    """Read the words behind `release` with the real parser; any mistake in them raises."""
    command, rest = verb_of(words)
    with command.make_context("release", rest):
        pass


def load_make() -> Any:
    spec = importlib.util.spec_from_file_location("project_make_of_docs", ROOT / "make.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # A dataclass looks its module up while the module is made.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def check_words(words: list[str]) -> None:
    """Hold a command against whatever reads it: a parser, a file, a list of extras."""
    match words:
        case ["release", *rest] | ["hf", "sae", *rest]:
            parse(rest)
        case ["python", "make.py", *rest] | ["make", *rest]:
            chosen, further = load_make().argument_parser().parse_known_args(rest)
            assert not further or chosen.command in ("demo", "test", "test-all")
        case ["python", "-m", module, *options] if module.startswith("benchmarks."):
            source = (ROOT / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8")
            for option in options:
                assert not option.startswith("--") or f'"{option}"' in source, option
        case ["python", "-m", "pip", "install", *requirements]:
            extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
            for extra in re.findall(r"\[([\w,]+)\]", " ".join(requirements)):
                assert {*extra.split(",")} <= {*extras["optional-dependencies"]}
        case ["python", script, *_] if script.endswith(".py"):
            assert (ROOT / script).is_file(), script
        case ["uv", "pip", "compile", *options]:
            extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
            named = [options[i + 1] for i, word in enumerate(options) if word == "--extra"]
            assert {*named} <= {*extras["optional-dependencies"]}
        case ["git" | "cd" | "source" | "openssl", *_] | ["hf", "extensions" | "upload", *_]:
            pass
        case _:
            raise LookupError(f"nobody knows this command: {' '.join(words)}")


def test_commands_are_taken_from_every_kind_of_block() -> None:
    text = (
        "```console\n$ release show x.yaml   # why\nits output\n"
        "$ release plan \\\n    x.yaml\n```\n"
        "```bash\n# a remark\npython make.py docs\n```\n"
        "```\nrelease status\nsome output\n```\n"
        "```yaml\nrelease: 1\n```\n"
        "  ```python\n  1 + 1\n  ```\n"
    )
    found = [(step.line, step.kind, step.text) for step in read_steps("a.md", text)]
    assert found == [
        (2, "command", "release show x.yaml   # why"),
        (5, "command", "release plan x.yaml"),
        (9, "command", "python make.py docs"),
        (12, "command", "release status"),
        (19, "python", "  1 + 1\n"),
    ]


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["release", "validat", "owner/name"], LookupError),
        (["release", "validate", "owner/name", "--teir", "load"], Exception),
        (["release", "validate", "owner/name", "--tier", "everything"], Exception),
        (["release", "validate"], Exception),
        (["release", "hub", "serve", "--prot", "1"], Exception),
        (["python", "make.py", "dem"], SystemExit),
        (["python", "-m", "benchmarks.portability", "--no-such"], AssertionError),
        (["rm", "-r", "build"], LookupError),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_in_a_command_is_noticed(words: list[str], error: type[BaseException]) -> None:
    with pytest.raises(error):
        check_words(words)


@pytest.mark.parametrize("step", COMMANDS, ids=lambda step: f"{step.where} {step.text[:60]}")
def test_every_command_is_one_that_its_parser_takes(step: DocStep) -> None:
    assert step.words, "a prompt without a command"
    check_words(step.words)


def test_every_verb_and_option_in_running_text_exists() -> None:
    found = mentions()
    assert len(found) > 100
    unknown = []
    for page, text in found:
        try:
            command, rest = verb_of(text.split()[1:])
        except LookupError as error:
            unknown.append(f"{page}: {text}: {error}")
            continue
        known = {name for p in command.params for name in (*p.opts, *p.secondary_opts)} | {"--help"}
        unknown += [
            f"{page}: {text}: no {word}"
            for word in rest
            if word.startswith("--") and word.partition("=")[0].rstrip(",.;") not in known
        ]
    assert unknown == []


def test_what_is_only_parsed_has_a_reason_and_every_reason_has_a_command() -> None:
    parsed = [step for step in COMMANDS if step.how == "parsed only"]
    assert {step.reason for step in parsed} <= {why for _, why in PARSED_ONLY}
    unused = [form for form, _ in PARSED_ONLY if not any(re.search(form, s.text) for s in COMMANDS)]
    assert unused == []


def test_most_commands_are_run(record_property: Any, capsys: Any) -> None:
    count = Counter(step.how for step in ALL)
    n_run = count["run"] + count["run, slow"]
    record_property("documentation commands", f"{n_run} run / {len(ALL)} total")
    with capsys.disabled():
        sys.stdout.write(
            f"\ndocumentation: {len(ALL)} commands and Python blocks; {count['run']} run here, "
            f"{count['run, slow']} by the slow tests, {count['parsed only']} parsed only\n"
        )
    assert n_run + count["parsed only"] == len(ALL)
    assert n_run > count["parsed only"]


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with light_sandbox(tmp_path_factory.mktemp("docs")) as made:
        yield made


def test_the_light_commands_do_what_their_pages_say(sandbox: Sandbox) -> None:
    assert len({step.page for step in LIGHT}) > 5
    assert run_page(sandbox, LIGHT) == []


def test_a_command_that_fails_is_noticed(sandbox: Sandbox) -> None:
    missing = DocStep("a.md", 1, "command", "release show manifests/nobody.yaml")
    (said,) = run_page(sandbox, [missing])
    assert said.startswith("a.md:1: release show manifests/nobody.yaml ended with 2, not 0")


def example_check() -> Check:
    (block,) = [s for s in steps_of("docs/howto/add-a-check.md") if s.kind == "python"]
    names: dict[str, Any] = {}
    exec(compile(block.text, block.where, "exec"), names)
    (check,) = [value for value in names.values() if isinstance(value, Check)]
    return check


def test_the_check_of_the_how_to_passes_and_fails() -> None:
    check = example_check()
    spread = SimpleNamespace(tensors={"W_dec": np.full((4, 3), 0.5)})
    axis = SimpleNamespace(tensors={"W_dec": np.array([[0.0, 2.0, 0.0], [1.0, 1.0, 0.0]])})
    assert check.ask(spread) == Passed("none of 4 rows")
    found = check.ask(axis)
    assert isinstance(found, Problem) and found.found.startswith("1 of 2 rows")
    assert "To mend it:" in check.page
    with pytest.raises(Exception, match="W198"):
        find_check(check.code)


@pytest.mark.parametrize("page", ["docs/explanation/loading.md"])
def test_the_checks_that_an_explanation_names_exist(page: str) -> None:
    text = Path(ROOT / page).read_text(encoding="utf-8")
    codes = {*re.findall(r"\b[CFHLMNRSW]\d{3}\b", text)}
    assert len(codes) > 15
    assert {code: find_check(code).code for code in codes} == {code: code for code in codes}
