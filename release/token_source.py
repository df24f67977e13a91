"""Where huggingface_hub takes its token from; the token itself is never read here."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_VARIABLES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")


@dataclass(frozen=True)
class TokenSource:
    """Where a token was found.

    Attributes:
        name: a variable's or a file's; None where there is no token.
        hides: the next one, which is not used.
        refused: the file of the saved token where the system does not let this user look at it.
    """

    name: str | None
    hides: str | None = None
    refused: str | None = None


def token_source(file: Path, *, environment: Mapping[str, str] = os.environ) -> TokenSource:
    """Where huggingface_hub takes its token from, in its order.

    Args:
        file: where `hf auth login` keeps it.
        environment: the variables.
    """
    found = [name for name in _VARIABLES if environment.get(name, "").strip()]
    if environment.get("HF_OIDC_RESOURCE", "").strip():
        found.insert(0, "HF_OIDC_RESOURCE (a short-lived token of a workflow)")
    refused = None
    try:
        with suppress(FileNotFoundError, NotADirectoryError):
            status = file.stat()
            if stat.S_ISREG(status.st_mode) and status.st_size:
                found.append(str(file))
    except OSError:
        refused = str(file)
    first, second = [*found, None, None][:2]
    return TokenSource(first, second, refused)
