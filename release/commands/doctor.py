"""`release doctor`: what is installed, what is missing, and the line that mends it."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from release.options import DEFAULT_BUILD, BuildOption, HubOption


class DoctorFormat(StrEnum):
    """How to print what was found."""

    text = "text"
    json = "json"


def doctor(
    offline: Annotated[
        bool, typer.Option("--offline", help="Ask no Hub: neither whether it answers nor who I am.")
    ] = False,
    output: Annotated[
        DoctorFormat, typer.Option("--format", help="json prints all lines as one document.")
    ] = DoctorFormat.text,
    hub: HubOption = None,
    build: BuildOption = DEFAULT_BUILD,
) -> int:
    """Look at what this tool rests on here, and say what is missing and how to mend it.

    Looked at are Python, packages and extras, torch and the GPU, folders and disks, the Hub and
    the token, which is never printed. Exit code 0: what is installed works, whatever is missing;
    1: something is broken.

    Example: release doctor --offline
    """
    from manifests.tool_version import tool_version
    from release.console import harmless, say, terminal_width, write_data
    from release.doctor.examination import examination
    from release.doctor.line import exit_code
    from release.doctor.presenting import examination_json, line_text, verdict

    lines = []
    width = terminal_width()
    say("looking at this machine; where torch is installed, starting it takes some seconds")
    for line in examination(hub, build=build, offline=offline):
        lines.append(line)
        if output is DoctorFormat.text:
            write_data(harmless(line_text(line, width=width)))
    if output is DoctorFormat.json:
        write_data(examination_json(lines, version=tool_version()))
    else:
        write_data("\n" + verdict(lines, width=width))
    return exit_code(lines)
