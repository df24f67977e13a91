"""What an outcome says of the folder that was checked: its name, and never where it lies."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from manifests.errors import ReleaseError
from manifests.progress import Silent
from validators.answers import ask
from validators.check import Check, Passed, Problem, Skipped, Verdict, repository_check
from validators.reading.local_repository import LocalRepository
from validators.report import Outcome
from validators.subjects import RepositorySubject


def outcome_of(folder: Path, answer: Callable[[RepositorySubject], Verdict]) -> Outcome:
    """The outcome of one check of the folder, which is named as it is given."""

    def asked(subject: RepositorySubject) -> Verdict:
        """A page."""
        return answer(subject)

    check: Check = repository_check("R099", "something holds", tier="static")(asked)
    subject = RepositorySubject(LocalRepository(folder), None, progress=Silent())
    return ask(check, subject, None)


@pytest.fixture
def saes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder `saes`, reached through a link as well; the working folder is the one above."""
    made = tmp_path.resolve() / "really" / "saes"
    made.mkdir(parents=True)
    (made / "cfg.json").write_text(json.dumps({}), encoding="utf-8")
    monkeypatch.chdir(made.parent)
    return made


@pytest.mark.parametrize("name", ["saes", "./saes", "../really/saes"])
def test_a_folder_that_is_named_by_its_way_from_here_is_told_by_paths_within(
    saes: Path, name: str
) -> None:
    def refuses(subject: RepositorySubject) -> Verdict:
        where = str(subject.repository.fetch("cfg.json"))
        raise ReleaseError("is damaged", where=where, expected=f"another {where}")

    found = outcome_of(Path(name), refuses)
    assert (found.found, found.expected) == ("cfg.json: is damaged", "another cfg.json")


def test_a_linked_folder_is_told_by_paths_within_however_it_is_written(saes: Path) -> None:
    link = saes.parent.parent / "link"
    try:
        link.symlink_to(saes, target_is_directory=True)
    except OSError:
        pytest.skip("this system makes no links here")
    text = f"{link / 'a.json'} and {saes / 'b.json'} of {saes}"
    for place in (link, Path(os.path.relpath(link))):
        assert outcome_of(place, lambda _, t=text: Problem(t)).found == "a.json and b.json of saes"
        assert outcome_of(place, lambda _, t=text: Passed(t)).found == "a.json and b.json of saes"
        assert outcome_of(place, lambda _, t=text: Skipped(t)).found == "a.json and b.json of saes"


def test_an_error_of_the_system_tells_no_folder(saes: Path) -> None:
    # It prints the path as Python writes it, on Windows with each backslash twice.
    message = f"[Errno 2] no such file: {str(saes / 'a.json')!r}"
    found = outcome_of(Path("saes"), lambda _: Problem(message)).found
    assert found == "[Errno 2] no such file: 'a.json'"
    windows = message.replace(repr(str(saes))[1:-1] + "/", repr(str(saes))[1:-1] + "\\\\")
    assert outcome_of(Path("saes"), lambda _: Problem(windows)).found == found


def test_a_crash_keeps_its_traceback_without_the_folder(saes: Path) -> None:
    def crashes(subject: RepositorySubject) -> Verdict:
        raise KeyError(str(subject.repository.fetch("cfg.json")))

    found = outcome_of(Path("saes"), crashes)
    assert found.outcome == "crashed"
    assert found.found.splitlines()[-1] == "KeyError: 'cfg.json'"
    assert "Traceback" in found.found
    assert str(saes) not in found.found
