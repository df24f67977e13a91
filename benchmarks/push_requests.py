"""The kinds of request that a push makes, as the embedded Hub logged them."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from urllib.parse import unquote

from release.embedded_hub import EmbeddedHub

_NAMES = {
    "{repo}": "[^/]+/[^/]+",
    "{file}": ".+",
    "{oid}": "[0-9a-f]{16,64}",
    "{n}": "[0-9]+",
}


@dataclass(frozen=True)
class Kind:
    """Requests that differ only in names: how many a push makes, whether an answer has a body."""

    method: str
    path: str
    n_requests: int
    has_body: bool

    @property
    def pattern(self) -> str:
        """Matches the paths of this kind and no others."""
        parts = re.split(r"(\{\w+\})", self.path)
        return "^" + "".join(_NAMES.get(part, re.escape(part)) for part in parts) + "$"


def kinds_of(hub: EmbeddedHub, since: int) -> list[Kind]:
    """The kinds of request in the Hub's log from an entry on, in the order of their first ones."""
    counts: Counter[tuple[str, str]] = Counter()
    bodies: Counter[tuple[str, str]] = Counter()
    for request in hub.requests()[since:]:
        path = re.sub(r"(/resolve/[0-9a-f]{40}/).*", r"\1{file}", unquote(request.path))
        path = re.sub(r"/demo/[^/.]+", "/{repo}", path)
        path = re.sub(r"/(?:[0-9a-f]{64}|[0-9a-f]{40}|[0-9a-f]{16})(?=/|$)", "/{oid}", path)
        path = re.sub(r"/[0-9]+(?=/|$)", "/{n}", path)
        counts[request.method, path] += 1
        bodies[request.method, path] += request.bytes_out
    return [Kind(*key, n_requests=n, has_body=bodies[key] > 0) for key, n in counts.items()]
