"""`release sample MANIFEST`: make the data set of labelled completions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from release.options import BaseModelOption, ManifestArgument


def sample(
    manifest: ManifestArgument,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Where to write; default: the manifest's data.file."),
    ] = None,
    base_model: BaseModelOption = None,
) -> None:
    """Sample completions of the manifest's scenarios and label them by its keyword rule.

    Example: release sample manifests/demo-smollm2-135m-instruct.yaml
    """
    raise SystemExit(f"{manifest} {out} {base_model}")
