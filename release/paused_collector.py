"""A command that makes many small values and few cycles, without the garbage collector's passes."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def paused_collector() -> Iterator[None]:
    """Leave reference cycles alone until the block ends; what it found is restored.

    The collector walks every object of every imported module again and again, which takes about a
    tenth of the time of rendering a few cards.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
