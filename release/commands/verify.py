"""`release verify TARGET`: is a release what its provenance says, and who signed it?"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from release import completion
from release.options import (
    DEFAULT_BUILD,
    DEFAULT_MANIFESTS,
    BuildOption,
    HubOption,
    ManifestsOption,
)


class VerifyFormat(StrEnum):
    """How to print what was verified."""

    text = "text"
    json = "json"


def verify(
    target: Annotated[
        str,
        typer.Argument(
            metavar="TARGET",
            help="owner/name[@revision], a folder, or a manifest (.yaml).",
            autocompletion=completion.targets,
        ),
    ],
    key: Annotated[
        Path | None,
        typer.Option(
            "--key", metavar="FILE", help="The public key (PEM) that must have signed it."
        ),
    ] = None,
    identity: Annotated[
        str | None,
        typer.Option(
            "--identity",
            metavar="URI",
            help="The workflow or address that must have signed it without a key, such as "
            "https://github.com/owner/name/.github/workflows/publish.yml@refs/heads/main.",
        ),
    ] = None,
    issuer: Annotated[
        str | None,
        typer.Option(
            "--issuer",
            metavar="URL",
            help="Who vouches for --identity. Default: GitHub Actions.",
        ),
    ] = None,
    download: Annotated[
        bool,
        typer.Option(
            "--download", help="Download and hash the weights too, taking the Hub's word for none."
        ),
    ] = False,
    output: Annotated[
        VerifyFormat, typer.Option("--format", help="json prints every finding as one document.")
    ] = VerifyFormat.text,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Download more than 2 GB of weights unasked.")
    ] = False,
    hub: HubOption = None,
    manifests: ManifestsOption = DEFAULT_MANIFESTS,
    build: BuildOption = DEFAULT_BUILD,
) -> int:
    """Check the files of a release against its provenance and its signature.

    Exit code 0: all that there is holds; 1: something does not; 3: there is no provenance, or a
    signature that no --key or --identity was given for; 4: the Hub or Sigstore does not answer.

    Example: release verify Solshine/deception-saes-tinyllama-1-1b --key publisher.pem
    """
    import tempfile

    from manifests.errors import UsageError
    from release.console import TerminalProgress, terminal_width, write_data
    from release.hub_connection import connect, without_client_bars
    from release.provenance.model_signature import GITHUB_ISSUER, ExpectedIdentity, PublicKey
    from release.provenance.presenting import verification_json, verification_text
    from release.provenance.target import verify_target
    from release.targets import parse_target

    if key is not None and identity is not None:
        raise UsageError(
            "--key and --identity were both given",
            expected="one of them: a release has one signature",
        )
    if issuer is not None and identity is None:
        raise UsageError("--issuer was given without --identity", expected="both")
    signed_by: PublicKey | ExpectedIdentity | None = None
    if key is not None:
        signed_by = PublicKey(key)
    elif identity is not None:
        signed_by = ExpectedIdentity(identity, issuer or GITHUB_ISSUER)
    with (
        connect(hub, build=build) as connection,
        # An empty cache: the client answers from an old one without a word when a Hub fails.
        tempfile.TemporaryDirectory(prefix="sae-release-", ignore_cleanup_errors=True) as cache,
        without_client_bars(),
    ):
        found = verify_target(
            parse_target(target, manifests=manifests),
            connection,
            build_root=build,
            signed_by=signed_by,
            download=download,
            is_large_wanted=yes,
            cache=Path(cache),
            progress=TerminalProgress(),
        )
    if output is VerifyFormat.json:
        write_data(verification_json(found))
    else:
        write_data(verification_text(found, width=terminal_width()))
    return found.exit_code
