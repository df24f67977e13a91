"""What a shell offers after a Tab: manifests, repositories, check codes, SAE ids, Hubs.

A Tab should not be waited for, so that files are looked at as text here: importing the checks or
the models of manifests takes longer than the rest of a completion. Only `--only` reads a manifest.
Verbs, options and enumerations are completed by the parser itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

_SUFFIXES = (".yaml", ".yml")
_DECLARED = re.compile(r'^@(?:sae|repository)_check\(\s*"([A-Z]\d{3})",\s*"([^"]*)"', re.MULTILINE)
_REPO_ID = re.compile(r"""^repo_id:\s*["']?([\w.-]+/[\w.-]+)""", re.MULTILINE)
# A manifest says which repository it describes among its first lines.
_HEAD_CHARACTERS = 4096
_PRECISIONS = ("fp32", "fp16", "bf16", "fp8", "int8", "nf4", "nf4-dq", "fp4", "fp4-dq")


def manifest_paths(ctx: typer.Context, incomplete: str) -> list[str]:
    """The manifests of --manifests, and YAML files and folders along the path that was begun."""
    return sorted({*_shelf(ctx), *_along(incomplete, _SUFFIXES)})


def plan_or_manifest_paths(ctx: typer.Context, incomplete: str) -> list[str]:
    """Manifests, and JSON files, which plans are."""
    return sorted({*_shelf(ctx), *_along(incomplete, (*_SUFFIXES, ".json"))})


def targets(ctx: typer.Context, incomplete: str) -> list[str]:
    """Manifests, folders, and the repositories that manifests describe."""
    return [*manifest_paths(ctx, incomplete), *repositories(ctx)]


def repositories(ctx: typer.Context) -> list[str]:
    """The ids of the repositories that the manifests of --manifests describe."""
    found = set()
    for path in _shelf(ctx):
        with Path(path).open(encoding="utf-8", errors="replace") as file:
            found.update(_REPO_ID.findall(file.read(_HEAD_CHARACTERS)))
    return sorted(found)


def check_codes(incomplete: str) -> list[tuple[str, str]]:
    """Each check's code with its title, as the decorators of `validators/checks` declare them."""
    begun = incomplete.upper()
    checks = Path(__file__).resolve().parents[1] / "validators" / "checks"
    found: dict[str, str] = {}
    for path in checks.glob("*.py"):
        found.update(_DECLARED.findall(path.read_text(encoding="utf-8")))
    # The shell keeps only what begins as the word does, so that its case is kept.
    return [
        (incomplete + code[len(incomplete) :], title)
        for code, title in sorted(found.items())
        if code.startswith(begun)
    ]


def check_code_lists(incomplete: str) -> list[tuple[str, str]]:
    """Check codes, the last of several between commas."""
    before, comma, last = incomplete.rpartition(",")
    return [(before + comma + code, title) for code, title in check_codes(last)]


def precisions(incomplete: str) -> list[str]:
    """Precisions of base models, the last of several between commas."""
    before, comma, _ = incomplete.rpartition(",")
    return [before + comma + name for name in _PRECISIONS]


def hubs() -> list[str]:
    """What --hub takes most often."""
    return ["embedded", "https://huggingface.co"]


def devices() -> list[str]:
    """What --device takes."""
    return ["cpu", "cuda", "cuda:0"]


def sae_ids(ctx: typer.Context) -> list[str]:
    """The SAEs of the manifest on the command line; none for a target of another kind."""
    from manifests.errors import ReleaseError
    from manifests.load import load_manifest

    # An option without its value keeps the parser from giving arguments their names.
    words: list[Any] = [*ctx.args, ctx.params.get("manifest"), ctx.params.get("target")]
    given = [str(word) for word in words if str(word).endswith(_SUFFIXES)]
    try:
        return [spec.sae_id for spec in load_manifest(Path(given[0])).saes] if given else []
    except ReleaseError:
        # A shell has no place for an error; the command itself will tell it.
        return []


def _shelf(ctx: typer.Context) -> list[str]:
    folder = Path(str(ctx.params.get("manifests") or "manifests"))
    if not folder.is_dir():
        return []
    return [
        path.as_posix()
        for path in folder.iterdir()
        if path.suffix in _SUFFIXES and path.name != "study.yaml" and path.name.isprintable()
    ]


def _along(incomplete: str, suffixes: tuple[str, ...]) -> Iterator[str]:
    """Files and folders whose path begins as was written; a folder ends in a slash."""
    if not incomplete:
        return
    before, slash, name = incomplete.rpartition("/")
    folder = Path(before + slash) if slash else Path()
    if not folder.is_dir():
        return
    for path in folder.iterdir():
        if not path.name.startswith(name) or not path.name.isprintable():
            continue
        if path.name.startswith(".") and not name.startswith("."):
            continue
        if path.is_dir():
            yield f"{before}{slash}{path.name}/"
        elif path.suffix in suffixes:
            yield f"{before}{slash}{path.name}"
