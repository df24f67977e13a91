"""A user's own partials: `cards/NAME` beside the manifest stands in place of our partial NAME.

The folder is found from the manifest, not from an option, so that rendering, checking and a push
see the same partials without being told.
"""

from __future__ import annotations

import difflib
from importlib.resources import files
from pathlib import Path

from manifests.digests import bytes_sha256
from manifests.errors import ReleaseError
from manifests.load import LoadedManifest

FOLDER = "cards"
_SUFFIX = ".j2"


class BadOverride(ReleaseError):
    """A file in the folder of partials that stands for none of ours, or cannot be read."""

    exit_code = 2


def overrides_folder(manifest: Path) -> Path:
    """The folder in which the partials of a manifest's user lie, if there are any."""
    return manifest.parent / FOLDER


def read_overrides(loaded: LoadedManifest) -> dict[str, str]:
    """The user's partials by the name under which templates include them, in alphabetical order.

    Line ends are Unix ones, so that checkouts on other systems give the same card. Files that do
    not end with `.j2` are nobody's business.

    Raises:
        BadOverride: a name that none of our partials has, or a file that is not UTF-8.
    """
    folder = overrides_folder(loaded.path)
    if not folder.is_dir():
        return {}
    ours = {path.name for path in files("cards").joinpath("templates", "partials").iterdir()}
    found = {}
    for path in sorted(folder.iterdir()):
        if path.suffix != _SUFFIX:
            continue
        if path.name not in ours:
            near = difflib.get_close_matches(path.name, sorted(ours), n=1)
            raise BadOverride(
                "stands for no partial, since none has this name",
                where=str(path),
                expected=f"one of {', '.join(sorted(ours))}",
                next_step=f"did you mean {near[0]}?" if near else None,
            )
        try:
            text = path.read_bytes().decode("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise BadOverride(
                f"cannot be read: {error}", where=str(path), expected="a template in UTF-8"
            ) from error
        found[f"partials/{path.name}"] = text.replace("\r\n", "\n")
    return found


def digests_of(overrides: dict[str, str]) -> dict[str, str]:
    """By the name of each partial the SHA-256 of the text in its place, as card.json has it."""
    return {name: bytes_sha256(text.encode("utf-8")) for name, text in overrides.items()}
