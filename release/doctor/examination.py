"""All that is looked at, in the order in which one thing rests on another."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from manifests.errors import UsageError
from release.doctor.line import Line, State

Part = Callable[[], list[Line]]


def examination(hub: str | None, *, build: Path, offline: bool) -> Iterator[Line]:
    """Look at everything, and give each line as soon as it is known.

    Args:
        hub: as `--hub` names it.
        build: the build folder.
        offline: ask no Hub.
    """
    parts: list[tuple[str, Part]] = [
        ("packages", _packages),
        ("torch", _torch),
        ("bitsandbytes", _quantiser),
        ("folders", lambda: _folders(build)),
        ("hub", lambda: _hub(hub, build=build, offline=offline)),
    ]
    for topic, part in parts:
        yield from guarded(topic, part)


def guarded(topic: str, part: Part) -> list[Line]:
    """A part's lines; one that breaks off is itself a finding, and ends no other.

    Raises:
        UsageError: the command was called with what no part can use.
    """
    try:
        return part()
    except UsageError:
        raise
    except Exception as error:  # noqa: BLE001 - what is broken may be anything; it is told
        why = (str(error).splitlines() or [""])[0][:200]
        what = f"could not be looked at: {type(error).__name__}: {why}"
        mend = 'python -m pip install --force-reinstall "sae-release"'
        return [Line(topic, State.BROKEN, what, mend)]


def _packages() -> list[Line]:
    from release.doctor.extras import requirement_lines
    from release.doctor.installation import installation, installation_lines

    found = installation()
    return [*installation_lines(found), *requirement_lines(found)]


def _torch() -> list[Line]:
    from release.doctor.accelerator import accelerator_lines
    from release.doctor.extras import installed_version
    from release.doctor.gpus import gpus
    from release.doctor.installation import installation
    from release.doctor.torch_probe import torch_facts

    facts = torch_facts() if installed_version("torch") else None
    return accelerator_lines(gpus(), facts, installation())


def _quantiser() -> list[Line]:
    from release.doctor.extras import installed_version
    from release.doctor.installation import installation
    from release.doctor.torch_probe import import_failure

    if (version := installed_version("bitsandbytes")) is None:
        return []
    if (failure := import_failure("bitsandbytes")) is None:
        return [Line("bitsandbytes", State.OK, f"{version}, for int8, nf4 and fp4")]
    return [
        Line(
            "bitsandbytes",
            State.BROKEN,
            f"{version} is installed and cannot be imported: {failure.why}",
            f"{installation().python} -m pip install --force-reinstall --no-deps bitsandbytes",
        )
    ]


def _folders(build: Path) -> list[Line]:
    from release.doctor.folders import folder_line, places
    from release.doctor.windows import windows_lines

    found = places(build)
    return [*map(folder_line, found), *windows_lines(found[0].path)]


def _hub(hub: str | None, *, build: Path, offline: bool) -> list[Line]:
    import os

    from huggingface_hub import constants, errors

    from release.doctor.hub import hub_lines
    from release.doctor.token import (
        TokenSource,
        no_token_line,
        refused_line,
        token_line,
        token_source,
    )
    from release.hub_connection import connect

    source = token_source(Path(constants.HF_TOKEN_PATH))
    if offline or constants.HF_HUB_OFFLINE:
        why = "--offline" if offline else "HF_HUB_OFFLINE is set"
        from_where = f"from {source.name}, not looked up" if source.name else "none"
        return [
            Line("hub", State.NOTE, f"not asked ({why})"),
            Line("token", State.NOTE, from_where),
        ]
    named_by = "--hub" if hub else "HF_ENDPOINT" if "HF_ENDPOINT" in os.environ else "the default"
    with connect(hub, build=build) as connection:
        lines = hub_lines(connection.endpoint, named_by=named_by)
        if connection.is_embedded:
            source = TokenSource(None)
        if connection.token is None:
            saved_is_for = constants.ENDPOINT
            lines.append(no_token_line(source, connection.endpoint, saved_is_for=saved_is_for))
        elif lines[0].state is not State.BROKEN:
            try:
                told = connection.api().whoami()
            except errors.HfHubHTTPError as error:
                status = error.response.status_code
                if status not in (401, 403):
                    raise
                lines.append(refused_line(source, connection.endpoint))
            else:
                lines.append(token_line(told, source, connection.endpoint))
    return lines
