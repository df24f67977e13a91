"""The pages under `docs/reference/` and `docs/checks/`, all of them made from the code.

`python docs/generator/reference_pages.py` writes them anew; a test holds them to the code.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from command_page import command_page
from model_page import Schema, heading_anchor, model_page

from manifests.model import Manifest
from manifests.schema import manifest_schema
from validators.check import FAMILIES
from validators.presenting import check_book
from validators.registry import all_checks
from validators.report import FORMAT, Report

DOCS = Path(__file__).resolve().parents[1]

_MANIFEST = """Every key that a manifest may have, as the models in `manifests/` read it; any other
key is refused. What the keys are for, and what must agree with what, stands in
[manifest.md](../manifest.md). What is *required* has to be in the manifest or in the study file
that it `extends`."""
_REPORT = f"""Every key of `report.json` (`{FORMAT}`), as the models in `validators/report.py` read
it; any other key is refused. What readers and writers owe each other stands in
[report.md](../report.md), and what each metric means in [terms.md](../terms.md)."""
_CHECKS = """Every check that `release validate` asks. A code is never given another question.
`release explain CODE` prints a check's page on the terminal."""


def reference_pages() -> dict[str, str]:
    """Markdown by file name under `docs/reference/`."""
    return {
        "command-line.md": command_page(),
        "manifest-keys.md": model_page("Keys of a manifest", _MANIFEST, _manifest_schema()),
        "report-keys.md": model_page("Keys of a report", _REPORT, Report.model_json_schema()),
        "checks.md": _check_table(),
    }


def _manifest_schema() -> Schema:
    """The editors' schema, in the order of the models, with what a whole manifest has to state."""
    schema: Schema = json.loads(manifest_schema())
    models = Manifest.model_json_schema()
    for part, model in ((schema, models), *_same_definitions(schema, models)):
        order = list(model.get("properties", {}))
        keys = part.get("properties", {})
        part["properties"] = {key: keys[key] for key in sorted(keys, key=_place_in(order))}
        part["required"] = model.get("required", [])
    return schema


def _same_definitions(schema: Schema, models: Schema) -> list[tuple[Schema, Schema]]:
    return [(schema["$defs"][name], models["$defs"][name]) for name in models["$defs"]]


def _place_in(order: list[str]) -> Callable[[str], int]:
    """A sort key; what the models do not know, `extends` and `use`, comes first."""
    return lambda key: order.index(key) if key in order else -1


def _check_table() -> str:
    lines = [
        "# Checks",
        "",
        _CHECKS,
        "",
        "| code | asks that | tier | severity |",
        "|---|---|---|---|",
    ]
    for check in all_checks():
        family = FAMILIES[check.code[0]].replace(" ", "-")
        anchor = heading_anchor(f"{check.code}: {check.title}")
        link = f"[{check.code}](../checks/{family}.md#{anchor})"
        lines.append(f"| {link} | {check.title} | {check.tier} | {check.severity} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write all pages and take out those that are made no longer."""
    folder = DOCS / "reference"
    folder.mkdir(exist_ok=True)
    pages = reference_pages()
    for path in folder.glob("*.md"):
        if path.name not in pages:
            path.unlink()
    for name, text in pages.items():
        (folder / name).write_text(text, encoding="utf-8", newline="\n")
    check_book.main(DOCS / "checks")


if __name__ == "__main__":
    main()
