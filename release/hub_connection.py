"""Which Hub a command talks to, with which token, and what its errors mean."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from manifests.errors import UsageError
from manifests.nearest import did_you_mean
from release.publishing.client_log import hide_signed_urls
from validators.reading.hub_repository import hub_errors
from validators.reading.repository import HubUnavailable

if TYPE_CHECKING:
    from huggingface_hub import HfApi

EMBEDDED = "embedded"


class UnusableToken(UsageError):
    """There is a token, and it cannot be read or cannot be sent."""


@dataclass(frozen=True)
class HubConnection:
    """A Hub's address and the token to use there, which is never printed.

    Attributes:
        endpoint: the Hub's URL, without a final slash.
        token_source: the token, None for anonymous access, or what to ask for one each time: a
            token of keyless publishing is valid for an hour only.
        is_embedded: whether it is the embedded Hub.
    """

    endpoint: str
    token_source: str | Callable[[], str | None] | None = field(repr=False)
    is_embedded: bool = False

    def __post_init__(self) -> None:
        """Whoever holds a connection reads or writes by signed URLs."""
        hide_signed_urls()

    @property
    def option(self) -> str:
        """What a command line adds to reach this Hub again; nothing for the client's default."""
        from huggingface_hub import constants

        if self.is_embedded:
            return f" --hub {EMBEDDED}"
        return "" if self.endpoint == constants.ENDPOINT else f" --hub {self.endpoint}"

    @property
    def token(self) -> str | None:
        """A token that is valid for minutes at least; ask again after a long step.

        Raises:
            HubUnavailable: keyless publishing gives none.
        """
        if not callable(self.token_source):
            return self.token_source
        with _exchange_explained(self.endpoint):
            return self.token_source()

    def api(self) -> HfApi:
        """The real client, bound to this Hub and this token.

        A token that has to be renewed is asked for by the client, before each request.

        Raises:
            HubUnavailable: keyless publishing gives no token.
        """
        from huggingface_hub import HfApi

        if callable(self.token_source):
            return HfApi(endpoint=self.endpoint, token=self.token is not None)
        # token=False keeps the client from sending a saved token of another Hub.
        return HfApi(endpoint=self.endpoint, token=self.token or False)


@contextmanager
def connect(hub: str | None, *, build: Path) -> Iterator[HubConnection]:
    """The Hub that `--hub` names, started first when it is the embedded one.

    Args:
        hub: a URL, `embedded`, or None for huggingface_hub's own default (`HF_ENDPOINT`).
        build: the build folder; the embedded Hub keeps its state in `hub/` below it.

    Raises:
        UsageError: `hub` is neither a URL nor `embedded`, or `HF_ENDPOINT` is no URL.
        UnusableToken: the token cannot be read, or no request can carry it.
        HubUnavailable: `HF_OIDC_RESOURCE` asks for keyless publishing, and there is no token.
        PortInUse, HubRootInUse: the embedded Hub cannot be started.
    """
    if hub == EMBEDDED:
        from release.embedded_hub import EmbeddedHub

        with EmbeddedHub(build / "hub") as embedded:
            yield HubConnection(embedded.endpoint, embedded.token, is_embedded=True)
        return
    from huggingface_hub import constants, get_token

    endpoint = address_of(hub)
    if endpoint == constants.ENDPOINT.rstrip("/") and not constants.HF_HUB_DISABLE_IMPLICIT_TOKEN:
        if os.environ.get("HF_OIDC_RESOURCE"):
            # The client keeps the token and exchanges it anew five minutes before it expires.
            keyless = HubConnection(endpoint, get_token)
            _ = keyless.token
            yield keyless
        else:
            yield HubConnection(endpoint, _usable(get_token, endpoint))
    else:
        # The saved token is for the default Hub; another address gets one only when it is given.
        token = _usable(lambda: os.environ.get("HF_TOKEN"), endpoint)
        yield HubConnection(endpoint, token)


def address_of(hub: str | None) -> str:
    """The URL of a Hub that is not the embedded one, without a final slash.

    Args:
        hub: as `--hub` names it; None for huggingface_hub's own default (`HF_ENDPOINT`).

    Raises:
        UsageError: what names it is no URL.
    """
    from huggingface_hub import constants

    if hub is not None and not _is_url(hub):
        raise UsageError(
            f"--hub got {hub!r}",
            expected="a URL such as https://huggingface.co, or the word embedded",
            next_step=did_you_mean(hub, (EMBEDDED,)),
        )
    endpoint = (hub or constants.ENDPOINT).rstrip("/")
    if not _is_url(endpoint):
        is_host = re.fullmatch(r"[\w.-]+(:\d+)?", endpoint)
        scheme = "http" if endpoint.startswith(("localhost", "127.")) else "https"
        raise UsageError(
            f"HF_ENDPOINT is no URL: {endpoint!r}",
            expected="an address that begins with https:// or http://",
            next_step=f"write {scheme}://{endpoint}" if is_host else "write https://huggingface.co",
        )
    return endpoint


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def _usable(token_of: Callable[[], str | None], endpoint: str) -> str | None:
    """A token for a Hub, without the blanks around it; it is never printed.

    Raises:
        UnusableToken: its file cannot be read, or it has characters that no header may carry.
    """
    from huggingface_hub import constants

    from release.token_source import token_source

    file = Path(constants.HF_TOKEN_PATH)
    try:
        token = (token_of() or "").strip()
        is_sendable = all("!" <= character <= "~" for character in token)
    except UnicodeDecodeError:
        token, is_sendable = "", False
    except OSError as error:
        raise UnusableToken(
            f"the saved token cannot be read ({error.strerror or type(error).__name__})",
            where=str(file),
            expected="a file that this user may read",
            next_step="move it with HF_HOME, or set HF_TOKEN",
        ) from error
    if not is_sendable:
        raise UnusableToken(
            "the token holds characters that no token has",
            where=token_source(file).name,
            expected="letters, digits and signs of ASCII, without blanks",
            next_step=f"copy it again from {endpoint}/settings/tokens",
        )
    return token or None


@contextmanager
def _exchange_explained(endpoint: str) -> Iterator[None]:
    from huggingface_hub.errors import OIDCError

    resource = os.environ.get("HF_OIDC_RESOURCE")
    where = f"keyless publishing of {resource} at {endpoint}"
    next_step = (
        "give the job `id-token: write`, and let the repository's settings trust this workflow; "
        "or unset HF_OIDC_RESOURCE"
    )
    try:
        with hub_errors(where, endpoint=endpoint):
            yield
    except OIDCError as error:
        raise HubUnavailable(
            " ".join(str(error).split())[:300],
            where=where,
            expected="an identity token of this job",
            next_step=next_step,
        ) from error
    except HubUnavailable as error:
        raise HubUnavailable(
            f"no token for this job: {error.what}",
            where=where,
            expected="a trusted publisher that matches the job",
            next_step=next_step,
        ) from error


@contextmanager
def without_client_bars() -> Iterator[None]:
    """Keep huggingface_hub from drawing bars of its own, which would land in log files."""
    from huggingface_hub.utils.tqdm import disable_progress_bars, enable_progress_bars

    disable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bars()


@contextmanager
def hub_errors_explained(doing: str, connection: HubConnection) -> Iterator[None]:
    """Turn the client's errors into ones that say what was being done, where, and what to do.

    Raises:
        HubUnavailable: any error of the Hub's client or of the network inside the block.
    """
    where = f"{doing} at {connection.endpoint}"
    try:
        with hub_errors(where, endpoint=connection.endpoint):
            yield
    except RuntimeError as error:
        # hf_xet reports what goes wrong on its way to the store as a RuntimeError.
        raise HubUnavailable(
            f"the upload broke off: {' '.join(str(error).split())[:200]}",
            where=where,
            expected="a store that takes the files",
            next_step="run the same command again; what has arrived is not sent twice",
        ) from error
