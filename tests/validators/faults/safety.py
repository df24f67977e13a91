"""Faults that the checks of names and secrets notice."""

from __future__ import annotations

from typing import Any

import pytest
from faults.damage import Fault, write_text

# Put together here, so that no search for secrets finds one in this file.
_LETTERS = "aQ7bW3cE9dR5eT1fY8gU2hI6jO4kP0lAsDf"
HUB_TOKEN = "hf_" + _LETTERS[:34]
RUNS_BACKWARDS = "weights\u202etxt.md"


def two_spellings_of_one_name(d: Any) -> None:
    # é as one character and as e with an accent: one name on macOS, two elsewhere.
    for name in ("r\u00e9sum\u00e9.md", "re\u0301sume\u0301.md"):
        (d.root / name).write_text(name, encoding="utf-8")
    if len(list(d.root.glob("r*sum*.md"))) < 2:
        pytest.skip("this file system takes both spellings for one name")


def folders_below_folders(d: Any) -> None:
    (d.root.joinpath(*["d"] * 40)).mkdir(parents=True)


FAULTS = (
    Fault("F030", "two_spellings_of_one_name", two_spellings_of_one_name),
    Fault("F031", "folders_40_deep", folders_below_folders),
    Fault("S002", "name_that_runs_backwards", write_text(RUNS_BACKWARDS, "x")),
    Fault("S003", "token_in_the_card", write_text("README.md", f"login(token='{HUB_TOKEN}')\n")),
)
