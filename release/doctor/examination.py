"""All that is looked at, in the order in which one thing rests on another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from manifests.errors import ReleaseError, UsageError
from release.doctor.line import Line, State

if TYPE_CHECKING:
    from release.hub_connection import HubConnection
    from release.token_source import TokenSource

Part = Callable[[], Iterable[Line]]


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


def guarded(topic: str, part: Part) -> Iterator[Line]:
    """A part's lines; one that breaks off is itself a finding, after the lines before it.

    Raises:
        UsageError: the command was called with what no part can use.
    """
    try:
        yield from part()
    except UsageError:
        raise
    except ReleaseError as error:
        what = f"{error.where}: {error.what}" if error.where else error.what
        yield Line(topic, State.BROKEN, what, error.next_step)
    except Exception as error:  # noqa: BLE001 - what is broken may be anything; it is told
        why = (str(error).splitlines() or [""])[0][:200]
        what = f"could not be looked at: {type(error).__name__}: {why}"
        yield Line(topic, State.BROKEN, what, _mend(error))


def _mend(error: Exception) -> str:
    """What may help against an error that no part expects."""
    import httpx2

    from release.doctor.installation import Installation, installation

    if isinstance(error, httpx2.HTTPError):
        return "look at the network, and try again later"
    if isinstance(error, OSError):
        return "look at what it names: whether it is there, and what this user may do with it"
    try:
        return installation().reinstall()
    except Exception:  # noqa: BLE001 - metadata that cannot be read may be what is broken
        return Installation("", "pip").reinstall()


def _packages() -> Iterator[Line]:
    from release.doctor.extras import requirement_lines
    from release.doctor.installation import installation, installation_lines

    found = installation()
    yield from installation_lines(found)
    yield from requirement_lines(found)


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
            installation().pip_install("--force-reinstall --no-deps bitsandbytes"),
        )
    ]


def _folders(build: Path) -> Iterator[Line]:
    from release.doctor.folders import folder_line, places
    from release.doctor.windows import windows_lines

    found = places(build)
    for place in found:
        yield folder_line(place)
    yield from windows_lines(found[0].path)


def _hub(hub: str | None, *, build: Path, offline: bool) -> Iterator[Line]:
    import os

    from huggingface_hub import constants

    from release.doctor.hub import hub_lines
    from release.doctor.token import not_looked_up_line, unusable_line
    from release.hub_connection import EMBEDDED, UnusableToken, address_of, connect
    from release.token_source import TokenSource, token_source
    from validators.reading.repository import HubUnavailable

    source = token_source(Path(constants.HF_TOKEN_PATH))
    if offline or constants.HF_HUB_OFFLINE:
        why = "--offline" if offline else "HF_HUB_OFFLINE is set"
        yield Line("hub", State.NOTE, f"not asked ({why})")
        yield not_looked_up_line(source)
        return
    if hub == EMBEDDED:
        with connect(hub, build=build) as connection:
            yield from hub_lines(connection.endpoint, named_by="--hub")
            yield _token(connection, TokenSource(None), answers=True)
        return
    named_by = "--hub" if hub else "HF_ENDPOINT" if "HF_ENDPOINT" in os.environ else "the default"
    try:
        endpoint = address_of(hub)
    except UsageError as error:
        if hub is not None:
            raise
        yield Line("hub", State.BROKEN, error.what, error.next_step)
        yield not_looked_up_line(source)
        return
    lines = hub_lines(endpoint, named_by=named_by)
    yield from lines
    answers = lines[0].state is not State.BROKEN
    try:
        # The Hub itself is asked before, since it answers without a token too.
        with connect(hub, build=build) as connection:
            token = _token(connection, source, answers=answers)
    except (UnusableToken, HubUnavailable) as error:
        token = unusable_line(error)
    yield token


def _token(connection: HubConnection, source: TokenSource, *, answers: bool) -> Line:
    """Whose the token of a connection is, asked of a Hub that answers."""
    import httpx2
    from huggingface_hub import constants, errors

    from release.doctor.token import (
        no_token_line,
        not_looked_up_line,
        refused_line,
        token_line,
        unknown_line,
    )

    if connection.token is None:
        return no_token_line(source, connection.endpoint, saved_is_for=constants.ENDPOINT)
    if not answers:
        return not_looked_up_line(source)
    try:
        told = connection.api().whoami()
    except errors.HfHubHTTPError as error:
        status = error.response.status_code
        if status in (401, 403):
            return refused_line(source, connection.endpoint)
        return unknown_line(str(status))
    except (OSError, httpx2.TransportError) as error:
        return unknown_line(f"no answer, {type(error).__name__}")
    return token_line(told, source, connection.endpoint)
