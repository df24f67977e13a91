"""What was asked of the hub: one JSON line a request, without anything secret."""

from __future__ import annotations

import json
import threading
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any
from urllib.parse import parse_qsl, urlencode

_SECRET_PARAMETERS = frozenset({"signature", "expires", "token", "access_token"})


@dataclass(frozen=True)
class LoggedRequest:
    """One request, as answered."""

    time: str
    origin: str
    """`hub`, or `storage` for the second port, where large files are."""
    method: str
    path: str
    """As sent, percent-encoding included."""
    query: str
    status: int | None
    """None if the connection was closed without an answer."""
    bytes_in: int
    """Size of the request's body."""
    bytes_out: int
    """Size of the answer's body."""


class RequestLog:
    """Requests since this server started, in memory and appended to `requests.jsonl`.

    An entry is written before the last byte of its answer is sent: a client that has its answer
    finds its request in the log.
    """

    def __init__(self, root: Path) -> None:
        self._lock = threading.Lock()
        self._entries: list[LoggedRequest] = []
        self._stream: IO[str] = (root / "requests.jsonl").open(
            "a", encoding="utf-8", newline="\n", buffering=1
        )

    def add(self, **facts: Any) -> None:
        """Append a request; link signatures are cut from the query."""
        parameters = parse_qsl(facts.pop("query"), keep_blank_values=True)
        query = urlencode([pair for pair in parameters if pair[0] not in _SECRET_PARAMETERS])
        time = datetime.now(UTC).isoformat(timespec="milliseconds")
        entry = LoggedRequest(time=time, query=query, **facts)
        with self._lock:
            self._entries.append(entry)
            self._stream.write(json.dumps(asdict(entry), ensure_ascii=False) + "\n")

    def entries(self) -> list[LoggedRequest]:
        """A copy of the log."""
        with self._lock:
            return list(self._entries)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._stream.close()
