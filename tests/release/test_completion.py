"""What a shell offers after a Tab, by the protocol that each shell's script speaks."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from manifests.load import load_manifest
from manifests.portability import WEIGHTS_NAMES
from release import completion
from validators.registry import all_checks

ROOT = Path(__file__).resolve().parents[2]
DEMO = "manifests/demo-smollm2-135m-instruct.yaml"
SHELLS = ("bash", "zsh", "fish", "powershell", "pwsh")
PROGRAM = "from release.cli import main; raise SystemExit(main())"


def called(program: str = PROGRAM, *, cwd: Path = ROOT, **environment: str) -> str:
    """What the command prints to a shell that asks it."""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8", **environment},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert done.stderr == ""
    return done.stdout


def offered(line: str, *, shell: str = "bash", cwd: Path = ROOT) -> list[str]:
    """The words that a shell is given for an unfinished line, as its own script asks for them."""
    words = line.split(" ")
    if shell == "bash":
        told = called(
            cwd=cwd,
            _RELEASE_COMPLETE="complete_bash",
            COMP_WORDS=line,
            COMP_CWORD=str(len(words) - 1),
        )
        return told.split()
    told = called(
        cwd=cwd,
        _RELEASE_COMPLETE=f"complete_{shell}",
        _TYPER_COMPLETE_ARGS=line,
        _TYPER_COMPLETE_WORD_TO_COMPLETE=words[-1],
        _TYPER_COMPLETE_FISH_ACTION="get-args",
    )
    if shell == "zsh":
        # _arguments '*: :(("word":"help"
        # "word":"help"))'
        body = told.partition("((")[2].rpartition("))")[0]
        return [row.split('"')[1] for row in body.splitlines() if row]
    separator = "\t" if shell == "fish" else ":::"
    return [row.partition(separator)[0] for row in told.splitlines() if row]


@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_completes_verbs_options_values_and_codes(shell: str) -> None:
    assert offered("release va", shell=shell) == ["validate"]
    assert offered("release validate --ti", shell=shell) == ["--tier"]
    assert offered("release validate --tier ", shell=shell) == ["static", "load", "activations"]
    assert offered("release explain W10", shell=shell) == [f"W10{n}" for n in range(1, 10)]
    assert offered("release show manifests/demo", shell=shell) == [DEMO]


def test_the_verbs_are_all_offered_with_what_they_do() -> None:
    told = called(
        _RELEASE_COMPLETE="complete_fish",
        _TYPER_COMPLETE_ARGS="release ",
        _TYPER_COMPLETE_FISH_ACTION="get-args",
    )
    rows = dict(row.split("\t") for row in told.splitlines())
    assert {"run", "validate", "doctor", "hub"} <= set(rows)
    assert all(rows.values())


@pytest.mark.parametrize("shell", ["zsh", "fish", "powershell"])
def test_what_is_told_of_an_option_is_one_line(shell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # A second line would be offered as a word of its own.
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("TERM", "dumb")
    for verb in ("validate", "retrain", "verify"):
        found = offered(f"release {verb} --", shell=shell)
        assert len(found) > 5
        assert [word for word in found if not word.startswith("--")] == []


@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_gets_a_script_that_calls_the_command(shell: str) -> None:
    script = called(_RELEASE_COMPLETE=f"source_{shell}")
    assert "_RELEASE_COMPLETE" in script
    complete = "powershell" if shell == "pwsh" else shell
    assert f"complete_{complete}" in script
    assert "release" in script.replace("_RELEASE_COMPLETE", "")


def asked_of(shell: str, folder: Path, program: str, *options: str) -> str:
    """What a program of the shell writes in the project's folder, with `release` on its path."""
    found = shutil.which(shell)
    if found is None:
        pytest.skip(f"there is no {shell} here")
    command = folder / "release"
    command.write_text(f"#!/bin/sh\nexec '{sys.executable}' -m release \"$@\"\n", encoding="utf-8")
    command.chmod(0o755)
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"
    home = {"HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "XDG_DATA_HOME": str(folder)}
    done = subprocess.run(
        [found, *options, "-c", program],
        cwd=ROOT,
        env={**os.environ, **home, "PATH": path, "TERM": "dumb"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=True,
        timeout=120,
    )
    return done.stdout


def test_bash_completes_a_line_by_its_script(tmp_path: Path) -> None:
    script = called(_RELEASE_COMPLETE="source_bash")
    program = (
        f"{script}\nCOMP_WORDS=(release validate --tier st) COMP_CWORD=3\n"
        '_release_completion release\necho "${COMPREPLY[@]}"\n'
    )
    assert asked_of("bash", tmp_path, program, "--norc").split() == ["static"]


def test_fish_completes_a_line_by_its_script(tmp_path: Path) -> None:
    script = called(_RELEASE_COMPLETE="source_fish")
    lines = ("release validate --tier st", "release explain W102")
    program = "\n".join([script, *(f"complete -C '{line}'" for line in lines)])
    told = asked_of("fish", tmp_path, program, "--no-config")
    assert told.splitlines() == ["static", "W102\tthresholds are above zero"]


def test_zsh_completes_what_is_typed_by_its_script(tmp_path: Path) -> None:
    # Only its line editor completes, so the line is typed with its Tab, on a terminal; Enter calls
    # the function in the command's place, while the script asks the command itself.
    (tmp_path / "script.zsh").write_text(called(_RELEASE_COMPLETE="source_zsh"), encoding="utf-8")
    setup = (
        f"autoload -Uz compinit; compinit -u -D; source {tmp_path}/script.zsh; "
        "release() { print -r -- given: $* }; print rea''dy"
    )
    program = f"""zmodload zsh/zpty
zpty shell "$(whence -p zsh) -f -i"
zpty -w shell {shlex.quote(setup)}
zpty -r -m shell begun '*ready*'
zpty -w shell $'release validate --tier st\\t'
zpty -r -m shell answer '*given: validate *[[:cntrl:]]*'
print -r -- "$answer"
"""
    told = asked_of("zsh", tmp_path, program, "-f")
    assert re.findall("given: (.*)", told)[-1].split() == ["validate", "--tier", "static"]


def test_the_codes_are_those_of_the_registry_with_their_titles() -> None:
    assert completion.check_codes("") == [(check.code, check.title) for check in all_checks()]


def test_codes_complete_in_any_case_and_after_a_comma() -> None:
    assert [code for code, _ in completion.check_codes("w10")][:2] == ["w101", "w102"]
    assert next(code for code, _ in completion.check_code_lists("W101,C00")) == "W101,C001"
    assert completion.check_codes("X") == []


def test_the_precisions_are_those_there_are() -> None:
    assert set(completion.precisions("")) == set(WEIGHTS_NAMES)
    assert "fp32,nf4-dq" in completion.precisions("fp32,n")


def test_the_saes_of_the_manifest_on_the_line_are_offered() -> None:
    ids = [spec.sae_id for spec in load_manifest(ROOT / DEMO).saes]
    assert offered(f"release retrain {DEMO} --only ") == ids
    topk = [sae_id for sae_id in ids if sae_id.startswith("smollm2_topk_L9")]
    assert len(topk) == 2
    assert offered(f"release validate {DEMO} --only smollm2_topk_L9") == topk
    assert offered("release validate someone/saes --only ") == []


def test_a_target_is_a_manifest_or_the_repository_of_one() -> None:
    assert offered("release validate demo/dec") == ["demo/deception-saes-smollm2-135m-instruct"]
    assert offered("release rollback demo/dec") == ["demo/deception-saes-smollm2-135m-instruct"]
    assert offered("release report demo/dec") == ["demo/deception-saes-smollm2-135m-instruct"]
    assert offered("release report manifests/demo") == [DEMO]


def test_paths_are_followed_and_other_files_left_out(tmp_path: Path) -> None:
    (tmp_path / "shelf" / "inner").mkdir(parents=True)
    for name in ("a.yaml", "b.yml", "notes.txt", "plan.json", ".hidden.yaml", "two\nlines.yaml"):
        if "\n" not in name or os.name != "nt":
            (tmp_path / "shelf" / name).write_text("title: x\n", encoding="utf-8")
    assert offered("release show sh", cwd=tmp_path) == ["shelf/"]
    found = offered("release show shelf/", cwd=tmp_path)
    assert found == ["shelf/a.yaml", "shelf/b.yml", "shelf/inner/"]
    assert "shelf/plan.json" in offered("release push shelf/", cwd=tmp_path)
    # Elsewhere than in a project there is nothing to offer, and nothing breaks.
    assert offered("release show ", cwd=tmp_path) == []


def test_a_manifest_that_cannot_be_read_offers_no_saes(tmp_path: Path) -> None:
    (tmp_path / "broken.yaml").write_text("saes: [", encoding="utf-8")
    assert offered("release retrain broken.yaml --only ", cwd=tmp_path) == []


@pytest.mark.parametrize("line", ["release ", "release explain W", "release show ", "release va"])
def test_a_completion_loads_nothing_slow(line: str) -> None:
    slow = {"torch", "numpy", "yaml", "jinja2", "huggingface_hub", "validators", "cards", "retrain"}
    program = (
        "import sys\nfrom release.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n"
        f"    print('loaded:', *sorted({slow!r} & set(sys.modules)))"
    )
    told = called(
        program,
        _RELEASE_COMPLETE="complete_bash",
        COMP_WORDS=line,
        COMP_CWORD=str(len(line.split(" ")) - 1),
    )
    assert told.splitlines()[-1] == "loaded:"
