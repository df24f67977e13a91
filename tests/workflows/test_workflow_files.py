"""The workflow files: linters say nothing of them, and they keep rules that no linter holds."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from rehearsal import installed

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
ACTION = ROOT / "action.yml"
HOOKS = ROOT / ".pre-commit-hooks.yaml"
# Neither `./` nor `$/`, by which a workflow names an action of its own repository: linters and
# runners do not agree on either.
PIN = re.compile(r"[\w.-]+/[\w.-]+(/[\w.-]+)*@[0-9a-f]{40} # v\d+(\.\d+)+")
# What publishing a site to GitHub Pages takes.
PAGES = {"id-token": "write", "pages": "write"}


def ended(program: str, *arguments: str, cwd: Path = ROOT) -> tuple[int, str]:
    """Run a linter and return its exit code and all that it printed."""
    path = installed(program)
    if path is None:
        pytest.skip(f"{program} is not installed; `python make.py setup` installs it (extra dev)")
    done = subprocess.run(
        [path, *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    return done.returncode, (done.stdout + done.stderr).strip()


def read(path: Path) -> dict[str, Any]:
    """A workflow; YAML 1.1 reads its key `on` as true."""
    content: dict[Any, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return {"on" if key is True else str(key): value for key, value in content.items()}


def steps_of(path: Path) -> list[dict[str, Any]]:
    content = read(path)
    jobs = content["jobs"].values() if "jobs" in content else [content["runs"]]
    return [step for job in jobs for step in job["steps"]]


@pytest.fixture
def bad_workflow(tmp_path: Path) -> Path:
    """A repository whose one workflow has a template injection, a wrong context and a loose pin."""
    folder = tmp_path / ".github" / "workflows"
    folder.mkdir(parents=True)
    (folder / "bad.yml").write_text(
        "on: pull_request_target\njobs:\n  a:\n    runs-on: ubuntu-24.04\n    steps:\n"
        "      - uses: actions/checkout@v6\n"
        "      - run: echo ${{ github.event.pull_request.title }} ${{ matrx.a }}\n",
        encoding="utf-8",
    )
    return tmp_path


def test_actionlint_says_nothing() -> None:
    assert ended("actionlint", "-no-color", *map(str, WORKFLOWS)) == (0, "")


def test_actionlint_would_say_something(bad_workflow: Path) -> None:
    workflow = bad_workflow / ".github" / "workflows" / "bad.yml"
    code, said = ended("actionlint", "-no-color", str(workflow), cwd=bad_workflow)
    assert code == 1
    assert "matrx" in said and "untrusted" in said


def test_zizmor_finds_nothing() -> None:
    code, said = ended("zizmor", "--offline", "--no-progress", "--quiet", "--color=never", ".")
    assert code == 0, said
    assert said == "No findings to report. Good job!"


def test_nothing_is_kept_from_the_linters() -> None:
    linted = [*WORKFLOWS, ACTION, HOOKS, *(ROOT / "tests" / "workflows").rglob("action.yml")]
    configured = [*ROOT.glob(".github/*zizmor*"), *ROOT.glob(".github/*actionlint*")]
    configured += [*ROOT.glob("*zizmor*"), *ROOT.glob("*actionlint*")]
    assert configured == []
    for path in linted:
        assert not re.search(r"zizmor:|shellcheck disable", path.read_text(encoding="utf-8")), path


def test_zizmor_would_find_something(bad_workflow: Path) -> None:
    code, said = ended("zizmor", "--offline", "--no-progress", "--quiet", ".", cwd=bad_workflow)
    assert code != 0
    assert {"template-injection", "unpinned-uses", "dangerous-triggers"} <= set(
        re.findall(r"\[([a-z-]+)\]", said)
    )


@pytest.mark.parametrize(
    ("schema", "paths"),
    [("github-workflows", WORKFLOWS), ("github-actions", [ACTION])],
    ids=["workflows", "action"],
)
def test_the_files_follow_the_published_schemas(schema: str, paths: list[Path]) -> None:
    command = ["--builtin-schema", f"vendor.{schema}", "--color", "never"]
    code, said = ended("check-jsonschema", *command, *map(str, paths))
    assert (code, said.splitlines()[-1:]) == (0, ["ok -- validation done"])


@pytest.mark.parametrize("path", [*WORKFLOWS, ACTION], ids=lambda path: path.name)
def test_every_action_is_pinned_to_a_commit_whose_version_is_told(path: Path) -> None:
    used = re.findall(r"uses: (.+)", path.read_text(encoding="utf-8"))
    assert used
    assert [use for use in used if not PIN.fullmatch(use)] == []


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_permissions_are_none_but_for_what_a_job_names_with_its_reason(path: Path) -> None:
    content = read(path)
    assert content["permissions"] == {}
    for name, job in content["jobs"].items():
        granted = job["permissions"]
        assert granted in ({}, {"contents": "read"}, {"id-token": "write"}, PAGES), name
        assert "timeout-minutes" in job, name
    text = path.read_text(encoding="utf-8")
    assert re.findall(r"(?:contents: read|(?:id-token|pages): write)(?! # \w)", text) == []


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_job_that_may_prove_its_identity_runs_no_code_of_the_checkout(path: Path) -> None:
    for name, job in read(path)["jobs"].items():
        if "id-token" in job["permissions"]:
            assert job["environment"] in ("hub", "pypi", "github-pages"), name
            used = {step["uses"].partition("@")[0] for step in job["steps"] if "uses" in step}
            assert "actions/checkout" not in used, name


@pytest.mark.parametrize("path", [*WORKFLOWS, ACTION], ids=lambda path: path.name)
def test_no_expression_reaches_a_shell_but_by_the_environment(path: Path) -> None:
    assert [step["run"] for step in steps_of(path) if "${{" in step.get("run", "")] == []


@pytest.mark.parametrize("path", [*WORKFLOWS, ACTION], ids=lambda path: path.name)
def test_checkouts_keep_no_credentials(path: Path) -> None:
    for step in steps_of(path):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


def test_what_writes_to_the_hub_never_runs_for_a_pull_request() -> None:
    for path in WORKFLOWS:
        content = read(path)
        writes = any(
            job["permissions"] == {"id-token": "write"} for job in content["jobs"].values()
        )
        assert not (writes and {"pull_request", "pull_request_target"} & set(content["on"]))


def commands(text: str) -> set[tuple[str, ...]]:
    """Each `release VERB` of a text, with the options that follow on its line."""
    found = set()
    for line in re.findall(r"""(?:(?<![\w./-])release|"\$RELEASE") ([a-z]+[^|`>\n]*)""", text):
        words = line.split()
        found.add((words[0], *(word.partition("=")[0] for word in words if word.startswith("--"))))
    return found


def test_every_release_command_and_option_in_the_files_exists() -> None:
    import typer.main

    from release.cli import app

    verbs = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    runs = [step.get("run", "") for path in [*WORKFLOWS, ACTION] for step in steps_of(path)]
    entries = [hook["entry"] for hook in yaml.safe_load(HOOKS.read_text(encoding="utf-8"))]
    used = commands("\n".join([*runs, *entries]))
    assert {verb for verb, *_ in used} >= {"affected", "fetch", "plan", "push", "render", "status"}
    unknown = [
        (verb, option)
        for verb, *options in used
        for option in options
        if option != "--"
        and option not in {o for p in verbs[verb].params for o in (*p.opts, *p.secondary_opts)}
    ]
    assert unknown == []


def test_hooks_have_all_that_pre_commit_needs() -> None:
    hooks = yaml.safe_load(HOOKS.read_text(encoding="utf-8"))
    assert [hook["id"] for hook in hooks] == [
        "sae-release-validate",
        "sae-release-manifests",
        "sae-release-cards",
    ]
    for hook in hooks:
        assert hook["entry"].startswith("release ") and hook["language"] == "python"
        re.compile(hook["files"])
