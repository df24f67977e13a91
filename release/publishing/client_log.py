"""Keep signed URLs out of what huggingface_hub logs: who has one can write or read the object."""

from __future__ import annotations

import logging
import re

# Where the client names the URL of a request: of one that it tries again, or of each (httpx2).
_LOGGERS = ("huggingface_hub.utils._http", "huggingface_hub.file_download", "httpx2")
_QUERY = re.compile(r"(https?://[^\s?'\"]+)\?[^\s'\"]+")


def hide_signed_urls() -> None:
    """Cut the query from every URL in the client's log, from here on; twice is as good as once."""
    for name in _LOGGERS:
        # A logger takes an equal filter only once.
        logging.getLogger(name).addFilter(_without_queries)


def _without_queries(record: logging.LogRecord) -> bool:
    record.msg, record.args = _QUERY.sub(r"\1?...", record.getMessage()), ()
    return True
