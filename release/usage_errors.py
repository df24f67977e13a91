"""A command line that cannot be parsed, told like every other error, with what was meant.

The parser's own messages come with a usage line, and name near options in the order of the
alphabet; these name the nearest first and the command that lists the rest.
"""

from __future__ import annotations

import re
from typing import Any

from manifests.errors import UsageError
from manifests.nearest import did_you_mean

_NOT_ONE_OF = re.compile(r"(?P<found>'[^']*') is not one of (?P<choices>.+?)\.?$", re.DOTALL)
_NO_COMMAND = re.compile(r"No such command '(?P<found>.*?)'", re.DOTALL)


def usage_error(error: Any, *, called: str) -> UsageError | None:
    """The parser's error in this tool's form; None for what is help and no error.

    Args:
        error: an exception of the parser (`format_message`, `ctx`), of whichever click it carries.
        called: the program and its verb, for an error that does not know its command.
    """
    context: Any = getattr(error, "ctx", None)
    if not hasattr(error, "format_message") or type(error).__name__ == "NoArgsIsHelpError":
        return None
    command = context.command_path if context is not None else called
    see_help = f"`{command} --help` lists all"
    if hasattr(error, "possibilities"):
        options = [name for param in context.command.params for name in param.opts]
        meant = did_you_mean(error.option_name, [*options, "--help"])
        return _told(f"{command} has no option {error.option_name}", meant, see_help)
    message = str(error.format_message()).replace("Value error, ", "").replace("\n\t", " ")
    if found := _NO_COMMAND.match(message):
        verbs = context.command.list_commands(context)
        meant = did_you_mean(found["found"], verbs)
        return _told(f"{command} has no verb {found['found']!r}", meant, see_help)
    if found := _NOT_ONE_OF.search(message):
        choices = re.findall(r"'([^']*)'", found["choices"])
        where = error.param.opts[0] if getattr(error, "param", None) is not None else command
        return UsageError(
            f"{where} got {found['found']}",
            expected=f"one of {', '.join(choices)}",
            next_step=did_you_mean(found["found"].strip("'"), choices),
        )
    what = message[:1].lower() + message[1:].rstrip(".")
    return UsageError(what, where=command, next_step=see_help.replace("lists all", "shows how"))


def _told(what: str, meant: str | None, see_help: str) -> UsageError:
    return UsageError(what, next_step=f"{meant} {see_help}" if meant else see_help)
