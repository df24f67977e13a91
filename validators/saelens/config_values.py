"""Values in a config: sizes, near misses of a name, and every text in it with its place."""

from __future__ import annotations

import difflib
from collections import deque
from collections.abc import Collection, Iterator
from typing import Any

# A config has some hundred values; this bounds the work on one that was made to take long.
_MOST_VALUES = 100_000


def is_size(value: Any) -> bool:
    """Whether a value is a positive whole number, and not `true`."""
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def nearest(name: str, known: Collection[str]) -> str | None:
    """The known name that was probably meant: the same letters, or nearly so."""
    if len(name) > 60:
        return None
    plain = {_letters(candidate): candidate for candidate in known}
    if _letters(name) in plain:
        return plain[_letters(name)]
    close = difflib.get_close_matches(_letters(name), plain, n=1, cutoff=0.85)
    return plain[close[0]] if close else None


def texts(value: Any) -> Iterator[tuple[str, str]]:
    """Every text in a JSON value with its place (`metadata.dataset_path`), keys of objects too."""
    pending: deque[tuple[str, Any]] = deque([("", value)])
    for _ in range(_MOST_VALUES):
        if not pending:
            return
        place, item = pending.popleft()
        if isinstance(item, str):
            yield place, item
        elif isinstance(item, dict):
            for key, inner in item.items():
                yield place or "cfg.json", key
                pending.append((f"{place}.{key}" if place else key, inner))
        elif isinstance(item, list):
            pending.extend((f"{place}[{index}]", inner) for index, inner in enumerate(item))


def _letters(name: str) -> str:
    return "".join(c for c in name.lower() if c.isalnum())
