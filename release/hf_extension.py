"""`hf sae VERB`: the same command line, as an extension of huggingface_hub's `hf`."""

from __future__ import annotations

from release import cli


def main() -> int:
    """Run one command of `hf sae` and return its exit code."""
    return cli.main(program="hf sae")
