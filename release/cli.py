"""The command line: verbs, and the boundary where errors become messages and exit codes.

Exit codes: 0 good; 1 a check failed, a stale head, drift; 2 usage or an unreadable manifest; 3 a
required check was skipped or nothing was checked; 4 Hub or network; 5 a change, where `plan
--detailed-exitcode` asks for it; 70 a bug, with its traceback; 130 interrupted.
"""

from __future__ import annotations

import os
import shutil
import sys
from typing import Annotated

import typer

from manifests.errors import MissingExtra, ReleaseError
from release import commands
from release.console import make_streams_tolerant, say, show_error

EXIT_BUG = 70
EXIT_INTERRUPTED = 130
_PARSERS_LEAST_COLUMNS = 52
_INTERRUPTED = "interrupted; run the same command again to go on"

app = typer.Typer(
    name="release",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Release sparse autoencoders on the Hugging Face Hub: described, remade, loaded, "
    "measured, documented, pushed in one commit and read back.",
)
commands.register(app)


def _print_version(wanted: bool) -> None:
    if wanted:
        from manifests.tool_version import tool_version

        sys.stdout.write(f"sae-release {tool_version()}\n")
        raise typer.Exit


@app.callback()
def _global_options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Hold the options that stand before the verb."""


def main(arguments: list[str] | None = None, *, program: str = "release") -> int:
    """Run one command and return its exit code.

    Args:
        arguments: those after the program's name; None: the process's own.
        program: what the user typed before them.
    """
    make_streams_tolerant()
    if os.environ.get("_RELEASE_COMPLETE"):
        # The parser wraps what it tells a shell, which then takes each line for a candidate.
        os.environ["COLUMNS"] = "10000"
        os.environ.pop("TERM", None)
    try:
        result = app(
            args=arguments, standalone_mode=False, prog_name=program, terminal_width=_help_width()
        )
    except ReleaseError as error:
        if isinstance(error, MissingExtra):
            from release.doctor.installation import installation

            # By the way that this very tool was installed: pip, pipx, uv, a checkout.
            error.next_step = installation().add_extra(error.extra)
        show_error(error)
        return error.exit_code
    except KeyboardInterrupt:
        say(_INTERRUPTED)
        return EXIT_INTERRUPTED
    except typer.Abort:
        say("not done: the question was not answered with yes; --yes does not ask")
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader of our output went away (`release ... | head`); there is nobody to tell, and
        # the interpreter must not try to flush into the closed pipe at exit.
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
        return 0
    except Exception as error:  # noqa: BLE001 - the one boundary: a bug keeps its traceback
        usage_exit_code = getattr(error, "exit_code", None)
        if usage_exit_code is not None and hasattr(error, "show"):
            from release.usage_errors import usage_error

            told = usage_error(error, called=" ".join([program, *_verb(arguments)]))
            if told is None:
                error.show()
            else:
                show_error(told)
            return int(usage_exit_code)
        import traceback

        traceback.print_exc()
        say("this is a bug in sae-release; please report it with the lines above")
        return EXIT_BUG
    if result == EXIT_INTERRUPTED:
        # The parser turns an interrupt inside a command into this exit code.
        say(_INTERRUPTED)
    return result if isinstance(result, int) else 0


def _help_width() -> int | None:
    """Columns for help on a terminal that is narrower than the parser reckons with."""
    columns = shutil.get_terminal_size().columns
    return max(columns - 2, 20) if columns < _PARSERS_LEAST_COLUMNS else None


def _verb(arguments: list[str] | None) -> list[str]:
    words = sys.argv[1:] if arguments is None else arguments
    return words[:1] if words and not words[0].startswith("-") else []
