"""The reference page of the command line, from the very parser that reads it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

import typer.main

from release import cli

EXAMPLE = "Example:"


def every_command() -> Iterator[tuple[str, Any]]:
    """Each verb with its parser, those of `release hub` as well: ("hub start", command)."""
    yield from _below(typer.main.get_command(cli.app), "")


def _below(group: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if command.hidden:
            continue
        if hasattr(command, "commands"):
            yield from _below(command, f"{prefix}{name} ")
        else:
            yield f"{prefix}{name}", command


def command_page() -> str:
    """All verbs in the order of `release --help`."""
    lines = [
        "# Command line",
        "",
        "Every verb with its arguments and options, as `release VERB --help` prints them.",
        "",
        "Exit codes: " + _exit_codes(),
        "",
        "| verb | does |",
        "|---|---|",
    ]
    commands = list(every_command())
    for verb, command in commands:
        anchor = f"release-{verb}".replace(" ", "-")
        lines.append(f"| [`release {verb}`](#{anchor}) | {_cell(_summary(command))} |")
    for verb, command in commands:
        lines += ["", f"## release {verb}", "", *_section(command)]
    return "\n".join(lines) + "\n"


def _exit_codes() -> str:
    """The sentence of `release/cli.py` that lists them."""
    paragraphs = (cli.__doc__ or "").split("\n\n")
    (found,) = [text for text in paragraphs if text.startswith("Exit codes:")]
    return " ".join(found.removeprefix("Exit codes:").split())


def _summary(command: Any) -> str:
    return str(command.short_help or (command.help or "").split("\n")[0])


def split_help(text: str) -> tuple[list[str], list[str]]:
    """A command's help as its paragraphs and its examples, which are command lines."""
    paragraphs, examples = [], []
    for paragraph in inspect.cleandoc(text).replace("\b", "").split("\n\n"):
        if paragraph.lstrip().startswith(("Example:", "Examples:")):
            said = paragraph.lstrip().partition(":")[2]
            examples += [line.strip() for line in said.splitlines() if line.strip()]
        elif paragraph.strip():
            paragraphs.append(" ".join(paragraph.split()))
    return paragraphs, examples


def _section(command: Any) -> list[str]:
    paragraphs, examples = split_help(command.help or "")
    lines = [line for paragraph in paragraphs for line in (paragraph, "")]
    if examples:
        lines += ["```console", *(f"$ {example}" for example in examples), "```", ""]
    context = command.context_class(command)
    for kind in ("argument", "option"):
        records = [
            record
            for parameter in command.params
            if parameter.param_type_name == kind
            and (record := parameter.get_help_record(context)) is not None
        ]
        if records:
            lines += [f"| {kind} | meaning |", "|---|---|"]
            lines += [f"| `{_cell(_plain(names))}` | {_cell(said)} |" for names, said in records]
            lines.append("")
    while lines and not lines[-1]:
        lines.pop()
    return lines or ["No arguments and no options."]


def _plain(names: str) -> str:
    """What is typed, without the Python type that the parser shows after an argument."""
    return re.sub(r" <(?:list\[)?(?:str|int|float|Path)\]?>$", "", names)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
