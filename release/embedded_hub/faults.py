"""Faults on demand: which request goes wrong, and how."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args

Action = Literal["status", "drop_before", "drop_after", "truncate", "slow", "slow_body"]


@dataclass(frozen=True)
class Fault:
    """A fault for the `nth` request that matches, and for `times - 1` after it.

    - `status`: answer with `status` and `headers` instead of handling the request.
    - `drop_before`: read the request, do nothing, close the connection.
    - `drop_after`: handle the request completely, then close the connection without an answer.
    - `truncate`: send the answer's head and the share `fraction` of its body, then close.
    - `slow`: wait `seconds`, then handle the request as usual.
    - `slow_body`: handle the request, send the answer's head and the share `fraction` of its body,
      wait `seconds`, then send the rest.

    A 429 without `headers` gets the Hub's `RateLimit` headers, saying that `seconds` (or 1) are
    left of the window: of the limit on downloads for a path with `/resolve/`, else of that on calls
    of the API (https://huggingface.co/docs/hub/rate-limits, a free account's).
    """

    action: Action
    method: str = ".*"
    path: str = ".*"
    """Regular expressions; the method's must match entirely, the path's anywhere in the path."""
    nth: int = 1
    times: int = 1
    status: int = 500
    seconds: float = 0.0
    headers: Mapping[str, str] = field(default_factory=dict)
    fraction: float = 0.5
    """Of the body's bytes, rounded down: at least the last one is missing."""

    def __post_init__(self) -> None:
        if self.action not in get_args(Action):
            raise ValueError(f"action must be one of {get_args(Action)}, not {self.action!r}")
        if self.nth < 1 or self.times < 1:
            raise ValueError("nth and times start at 1")
        if not 400 <= self.status <= 599:
            raise ValueError(f"status must be an error, 400 to 599, not {self.status}")
        if not 0 <= self.fraction < 1:
            raise ValueError(f"fraction must be at least 0 and below 1, not {self.fraction}")
        re.compile(self.method)
        re.compile(self.path)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Fault:
        """A fault from the admin endpoint's JSON.

        Raises:
            ValueError: an unknown key, or a value that makes no sense.
        """
        known = {part.name for part in fields(cls)}
        if unknown := sorted(set(value) - known):
            raise ValueError(f"unknown keys {unknown}; known are {sorted(known)}")
        if "action" not in value:
            raise ValueError("the key 'action' is missing")
        return cls(**value)

    def matches(self, method: str, path: str) -> bool:
        """Whether a request is one of those that are counted."""
        return bool(re.fullmatch(self.method, method) and re.search(self.path, path))

    def answer_headers(self, path: str) -> dict[str, str]:
        """The headers of the answer to a `status` fault."""
        if self.status != 429 or self.headers:
            return dict(self.headers)
        left = max(1, round(self.seconds))
        name, n_allowed = ("resolvers", 5000) if "/resolve/" in path else ("api", 1000)
        return {
            "RateLimit": f'"{name}";r=0;t={left}',
            "RateLimit-Policy": f'"fixed window";"{name}";q={n_allowed};w=300',
        }


class Faults:
    """The faults that are set, with how many matching requests each has seen."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: list[tuple[Fault, list[int]]] = []

    def add(self, fault: Fault) -> None:
        """Set a fault; its count starts now."""
        with self._lock:
            self._seen.append((fault, [0]))

    def clear(self) -> None:
        """Forget all faults."""
        with self._lock:
            self._seen.clear()

    def for_request(self, method: str, path: str) -> Fault | None:
        """Count a request and return the first fault that is due for it."""
        due: Fault | None = None
        with self._lock:
            for fault, seen in self._seen:
                if fault.matches(method, path):
                    seen[0] += 1
                    if due is None and fault.nth <= seen[0] < fault.nth + fault.times:
                        due = fault
        return due
