"""Options that several verbs share, with the one help text of each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

HubOption = Annotated[
    str | None,
    typer.Option(
        "--hub",
        metavar="URL|embedded",
        help="The Hub to talk to. Default: HF_ENDPOINT, else https://huggingface.co. "
        "'embedded' starts one on loopback with its state under build/hub.",
    ),
]
ManifestsOption = Annotated[
    Path,
    typer.Option("--manifests", metavar="DIR", help="The folder of manifests: what --all means."),
]
BuildOption = Annotated[
    Path,
    typer.Option("--build", metavar="DIR", help="Where the stages put their files."),
]
BaseModelOption = Annotated[
    str | None,
    typer.Option(
        "--base-model",
        metavar="ID_OR_PATH",
        help="Use this base model instead of the manifest's; it is recorded.",
    ),
]
ManifestArgument = Annotated[
    Path, typer.Argument(metavar="MANIFEST", help="A manifest, such as manifests/x.yaml.")
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]

DEFAULT_MANIFESTS = Path("manifests")
DEFAULT_BUILD = Path("build")
