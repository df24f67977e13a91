"""`--help` of every verb: one real example in one line, whatever the width."""

from __future__ import annotations

import shlex
import subprocess
import sys
from typing import Any

import pytest
import typer

from release.cli import app, main
from release.help_text import EXAMPLE

ROOT_COMMAND: Any = typer.main.get_command(app)


def verbs(command: Any = ROOT_COMMAND, before: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    """Every command that does something, by the words that call it."""
    found = {}
    for name, inner in command.commands.items():
        if hasattr(inner, "commands"):
            found |= verbs(inner, (*before, name))
        else:
            found[*before, name] = inner
    return found


def example_lines(command: Any) -> list[str]:
    return [line.strip() for line in (command.help or "").splitlines() if EXAMPLE in line]


def parsed(words: list[str]) -> Any:
    """The context in which the parser would run a command line; nothing is run."""
    context = ROOT_COMMAND.make_context("release", list(words))
    while hasattr(context.command, "commands"):
        rest = [*context._protected_args, *context.args]
        name, inner, rest = context.command.resolve_command(context, rest)
        context = inner.make_context(name, rest, parent=context)
    return context


def test_the_walk_finds_the_verbs() -> None:
    assert {("validate",), ("hub", "serve"), ("doctor",)} <= set(verbs())


@pytest.mark.parametrize("words", sorted(verbs()), ids=" ".join)
def test_each_verb_has_one_example_that_the_parser_takes(words: tuple[str, ...]) -> None:
    lines = example_lines(verbs()[words])
    assert len(lines) == 1, f"{' '.join(words)} has {len(lines)} examples"
    program, *arguments = shlex.split(lines[0].removeprefix(EXAMPLE))
    assert program == "release"
    assert tuple(arguments[: len(words)]) == words
    assert parsed(arguments).command is verbs()[words]


def test_an_example_that_the_parser_refuses_would_be_noticed() -> None:
    with pytest.raises(Exception, match="No such option") as caught:
        parsed(["validate", "x", "--teir", "load"])
    assert caught.value.exit_code == 2  # type: ignore[attr-defined]


@pytest.mark.parametrize("words", sorted(verbs()), ids=" ".join)
def test_each_option_and_argument_says_what_it_is(words: tuple[str, ...]) -> None:
    silent = [param.name for param in verbs()[words].params if not param.help]
    assert silent == []


@pytest.mark.parametrize("columns", ["40", "60", "80"])
def test_help_keeps_the_example_in_one_line_and_the_rest_in_the_width(
    columns: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert main(["plan", "--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    examples = [line for line in lines if EXAMPLE in line]
    assert len(examples) == 1
    assert examples[0].endswith("--hub embedded --out plan.json")
    prose = lines[lines.index("") : lines.index("Arguments:")]
    assert len(prose) >= 3
    assert [line for line in prose if len(line) > int(columns) and EXAMPLE not in line] == []


def test_help_without_arguments_is_help_and_no_error_message() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "release"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "Commands:" in done.stdout + done.stderr
    assert "error:" not in done.stderr
