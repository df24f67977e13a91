"""Whether the Hub answers, how fast, and whether its clock and this machine's agree."""

from __future__ import annotations

import os
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from release.doctor.line import Line, State

_TIMEOUT_SECONDS = 15.0
_MOST_SKEW_SECONDS = 300.0
_SERVER_ERROR = 500
_PROXIES = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "HTTP_PROXY", "http_proxy")


@dataclass(frozen=True)
class Answer:
    """One answer of a Hub: its status, its Date header or an empty text, seconds it took."""

    status: int
    date: str
    seconds: float


Ask = Callable[[str], Answer]


def ask(url: str) -> Answer:
    """One request, as huggingface_hub sends them: its client, proxies and certificates.

    Raises:
        OSError, httpx2.TransportError: there is no answer.
    """
    from huggingface_hub import get_session

    started = time.monotonic()
    response = get_session().get(url, timeout=_TIMEOUT_SECONDS)
    seconds = time.monotonic() - started
    return Answer(response.status_code, response.headers.get("date", ""), seconds)


def hub_lines(
    endpoint: str,
    *,
    named_by: str,
    ask: Ask = ask,
    environment: Mapping[str, str] = os.environ,
    now: datetime | None = None,
) -> list[Line]:
    """Ask a Hub for one public model, without a token.

    Args:
        endpoint: its address.
        named_by: what chose it, such as HF_ENDPOINT.
        ask: sends the request; a test answers in its place.
        environment: the variables, for the proxy's.
        now: this machine's time; a test gives another.
    """
    import httpx2

    try:
        answer = ask(f"{endpoint}/api/models?limit=1")
    except (OSError, httpx2.TransportError, httpx2.InvalidURL) as error:
        what, mend = explained(error, endpoint, environment=environment)
        return [Line("hub", State.BROKEN, f"{endpoint} ({named_by}): {what}", mend)]
    if answer.status >= _SERVER_ERROR:
        what = f"{endpoint} ({named_by}) answers with {answer.status}, a fault of its own"
        return [Line("hub", State.BROKEN, what, "try again later; https://status.huggingface.co")]
    took = f"{endpoint} ({named_by}) answers in {answer.seconds:.1f} s"
    return [Line("hub", State.OK, took), *_clock(answer.date, now or datetime.now(UTC))]


def explained(
    error: BaseException, endpoint: str, *, environment: Mapping[str, str] = os.environ
) -> tuple[str, str]:
    """Why there was no answer, and what to do, from the error and those it came from."""
    chain = list(_chain(error))
    text = " ".join(str(one) for one in chain)
    host = urlsplit(endpoint).hostname or endpoint
    proxy = next((name for name in _PROXIES if environment.get(name)), None)
    if any(isinstance(one, ssl.SSLError) for one in chain) or "CERTIFICATE_VERIFY_FAILED" in text:
        return (
            "its certificate is not trusted here; often a proxy of the network signs with its own",
            "set SSL_CERT_FILE to the file (PEM) with the certificates of your network",
        )
    if type(error).__name__ == "ProxyError" or "proxy" in text.lower():
        # The address of a proxy may hold a password, so that only the variable is named.
        return (
            f"the proxy does not let it through: {_first(error)}",
            f"look at {proxy or 'proxies'}",
        )
    by = f" by way of the proxy of {proxy}" if proxy else ""
    if any(isinstance(one, socket.gaierror) for one in chain) or "Name or service" in text:
        return f"the name {host} is not found{by}", "look at the network, DNS and HF_ENDPOINT"
    if "timed out" in text.lower() or "Timeout" in type(error).__name__:
        return f"no answer in time{by}", "look at the network, a firewall, and HTTPS_PROXY"
    if any(isinstance(one, ConnectionRefusedError) for one in chain) or "refused" in text.lower():
        return f"the connection is refused{by}", "look at HF_ENDPOINT; is a Hub running there?"
    return f"no answer{by} ({type(error).__name__})", "look at the network and HF_ENDPOINT"


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        yield one
        one = one.__cause__ or one.__context__


def _first(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def _clock(date: str, now: datetime) -> list[Line]:
    """A note where the clocks differ by more than signatures and tokens of minutes bear."""
    try:
        theirs = parsedate_to_datetime(date)
    except ValueError:
        return []
    if theirs.tzinfo is None:
        theirs = theirs.replace(tzinfo=UTC)
    ahead = (now - theirs).total_seconds()
    if abs(ahead) <= _MOST_SKEW_SECONDS:
        return []
    way = "ahead of" if ahead > 0 else "behind"
    what = f"this machine's is {abs(ahead) / 60:.0f} min {way} the Hub's; signing would fail"
    return [Line("clock", State.NOTE, what, "set the clock by the network")]
