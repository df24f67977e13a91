"""`release schema`: the JSON Schema of manifests, for editors."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def schema(
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write it there instead of to stdout.")
    ] = None,
) -> None:
    """Print the JSON Schema of a manifest.

    Example: release schema --out manifests/schema.json
    """
    from manifests.build_folder import write_atomically
    from manifests.schema import manifest_schema
    from release.console import write_data

    text = manifest_schema()
    if out is None:
        write_data(text)
    else:
        write_atomically(out, text.encode("utf-8"))
