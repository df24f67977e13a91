"""`release hub serve`: the embedded Hub in the foreground."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from release.help_text import help_text

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="A Hub on loopback, for demonstrations, tests and rehearsals without a network.",
)


@app.callback()
def _group() -> None:
    """Keep `serve` a verb of its own."""


def serve(
    root: Annotated[Path, typer.Option(metavar="DIR", help="Where its repositories persist.")],
    port: Annotated[int, typer.Option(help="The port on 127.0.0.1; 0 takes a free one.")] = 8790,
) -> None:
    """Serve the Hub under DIR until interrupted.

    Example: release hub serve --root build/hub --port 8790
    """
    from release.console import show
    from release.embedded_hub import serve as serve_hub

    def on_ready(endpoint: str, token: str) -> None:
        show(
            f"Serving {root} at {endpoint}; stop with Ctrl-C.\n"
            f"To use it, set HF_ENDPOINT to {endpoint}, and HF_TOKEN to {token} to write."
        )

    serve_hub(root, port, on_ready=on_ready)


app.command("serve", help=help_text(serve))(serve)
