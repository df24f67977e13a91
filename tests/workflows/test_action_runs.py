"""The action in somebody else's workflow, run by act: what it says of SAEs, and what it leaves."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rehearsal import TOOL_REPOSITORY, Ran, Rehearsal, copy_working_tree

from release.embedded_hub import EmbeddedHub

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

PIN = "0123456789abcdef0123456789abcdef01234567"
WORKFLOW = f"""
on: push
permissions: {{}}
jobs:
  saes:
    runs-on: ubuntu-24.04
    steps:
      - uses: actions/checkout@{PIN}
      - id: good
        uses: {TOOL_REPOSITORY}@{PIN}
        with:
          target: ./good
      - id: bad
        continue-on-error: true
        uses: {TOOL_REPOSITORY}@{PIN}
        with:
          target: ./bad
      - id: nothing
        continue-on-error: true
        uses: {TOOL_REPOSITORY}@{PIN}
        with:
          target: ./nothing
      - id: tool
        uses: {TOOL_REPOSITORY}@{PIN}
      - shell: bash
        env:
          OUTCOMES: >-
            ${{{{ steps.good.outputs.outcome }}}} ${{{{ steps.good.outputs.exit-code }}}}
            ${{{{ steps.bad.outputs.outcome }}}} ${{{{ steps.bad.outputs.exit-code }}}}
            ${{{{ steps.nothing.outputs.outcome }}}} ${{{{ steps.nothing.outputs.exit-code }}}}
          GOOD: ${{{{ steps.good.outputs.report }}}}
          BAD: ${{{{ steps.bad.outputs.report }}}}
          RELEASE: ${{{{ steps.tool.outputs.release }}}}
        run: |
          echo "outcomes: $OUTCOMES"
          echo "named: $RELEASE"
          echo "on the PATH: $(command -v release)"
          "$RELEASE" --version
          test -s "$GOOD"
          test -s "$BAD"
          test "$GOOD" != "$BAD"
"""


@pytest.fixture(scope="module")
def theirs(
    act: Path, study: Any, published: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Rehearsal, Ran]]:
    """A repository with a good release and one whose weights are cut short, and its run."""
    folder = tmp_path_factory.mktemp("theirs")
    with EmbeddedHub(folder / "hub") as hub:
        made = Rehearsal(folder, hub, act)
        copy_working_tree(made.tool)
        release = study.build.root / "tiny" / "repository"
        for name in ("good", "bad"):
            shutil.copytree(release, made.clone / name)
        weights = next(iter((made.clone / "bad").rglob("*.safetensors")))
        weights.write_bytes(weights.read_bytes()[:-4])
        workflows = made.clone / ".github" / "workflows"
        workflows.mkdir(parents=True)
        (workflows / "saes.yml").write_text(WORKFLOW, encoding="utf-8", newline="\n")
        made.git("init", "--quiet", "--initial-branch", "main", ".")
        made.commit("SAEs")
        yield made, made.run("action", "saes.yml", "push", {})


def test_outputs_say_what_was_found_and_a_failure_fails_the_step(
    theirs: tuple[Rehearsal, Ran],
) -> None:
    ran = theirs[1]
    assert ran.code == 0, ran.log[-8000:]
    assert "outcomes: passed 0 failed 1 error 2" in " ".join(ran.log.split())


def test_summary_and_annotations_name_the_weights_that_are_cut_short(
    theirs: tuple[Rehearsal, Ran],
) -> None:
    ran = theirs[1]
    said = ran.summary.replace("\\", "")
    assert "PASSED" in said and "FAILED" in said
    assert "## Nothing was checked" in said and "nothing" in said
    assert any("sae_weights.safetensors" in each for each in ran.annotations)


def test_the_program_is_an_output_and_the_path_stays_the_callers(
    theirs: tuple[Rehearsal, Ran],
) -> None:
    log = theirs[1].log
    named = re.findall(r"named: (/.*)", log)
    assert len(named) == 1 and named[0].endswith("/sae-release/bin/release")
    assert f"on the PATH: {named[0]}" not in log
    assert re.search(r"sae-release \d+\.\d+\.\d+", log)
