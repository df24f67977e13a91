"""Every kept and made hostile repository is refused or found out, harmlessly and within bounds."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hostile_inputs import CANARY, CORPUS, EVERY, HARMLESS, PLACES, REFUSED, Hostile

from manifests.errors import ReleaseError
from manifests.progress import Silent
from validators.presenting.present import report_text
from validators.reading.local_repository import LocalRepository
from validators.registry import find_check
from validators.report import Report
from validators.stage import validate

# Above what any of them needs; the text of the longest config that is read has 8 MB.
MAX_MEBIBYTES = 150


@pytest.fixture
def damaged_copy(good_repository: Path, tmp_path: Path) -> Path:
    return shutil.copytree(good_repository, tmp_path / "outside" / "repository")


def tree(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of the last change of all that lies in a folder, links not followed."""
    found = {}
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            facts = os.lstat(os.path.join(parent, name))  # noqa: PTH118 - names of bytes
            found[os.path.join(parent, name)] = (facts.st_size, facts.st_mtime_ns)  # noqa: PTH118
    return found


def test_the_repository_to_damage_is_good(good_repository: Path) -> None:
    report = validate(
        LocalRepository(good_repository), manifest=None, tier="load", progress=Silent()
    )
    assert report.checks is not None
    assert report.checks.exit_code == 0
    assert report.checks.count("warned") == 0


@pytest.mark.parametrize("hostile", EVERY, ids=str)
def test_a_hostile_repository_is_found_out_and_harms_nothing(
    hostile: Hostile, damaged_copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    canary = tmp_path / "canary"
    monkeypatch.setenv(CANARY, str(canary))
    hostile.make(damaged_copy)
    before = tree(tmp_path)
    if hostile.code == REFUSED:
        with pytest.raises(ReleaseError) as caught:
            validate(LocalRepository(damaged_copy), manifest=None, tier="load", progress=Silent())
        assert len(str(caught.value)) < 5_000
    else:
        report = validate(
            LocalRepository(damaged_copy), manifest=None, tier="load", progress=Silent()
        )
        assert_found_out(report, hostile.code)
    assert not canary.exists(), "code of the repository was run"
    assert tree(tmp_path) == before, "something was written"


def assert_found_out(report: Report, code: str) -> None:
    assert report.checks is not None
    outcomes = report.checks.outcomes
    assert [o.found for o in outcomes if o.outcome == "crashed"] == []
    if code == HARMLESS:
        assert report.checks.exit_code == 0
    else:
        bad = {o.code: o for o in outcomes if o.outcome in ("failed", "warned")}
        assert code in bad
        assert len(bad[code].found) < 5_000
        assert bad[code].next_step
        if find_check(code).severity == "fail":
            assert report.checks.exit_code == 1
    assert json.loads(report.model_dump_json()), "the report can be written"
    text = report_text(report)
    assert "\x1b" not in text and "\u202e" not in text
    assert not any(line.startswith("PASSED: 99 checks") for line in text.splitlines())


def test_every_file_of_the_corpus_stands_in_a_known_place_and_names_its_check() -> None:
    assert {path.name for path in CORPUS.iterdir()} == {*PLACES, "front_matter", "yaml"}
    for hostile in EVERY:
        assert hostile.code in (REFUSED, HARMLESS) or find_check(hostile.code)
    assert len({str(hostile) for hostile in EVERY}) == len(EVERY)


_CHILD = """
import json, resource, shutil, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
good, work = Path(sys.argv[2]), Path(sys.argv[3])
import pytest
from hostile_inputs import EVERY
from manifests.errors import ReleaseError
from manifests.progress import Silent
from validators.reading.local_repository import LocalRepository
from validators.stage import validate

# No input may take what a laptop has; a limit turns a runaway into an error with a name.
resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
UNIT = 1024 if sys.platform == "darwin" else 1

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // UNIT // 1024

def check(root):
    try:
        validate(LocalRepository(root), manifest=None, tier="static", progress=Silent())
    except ReleaseError:
        pass

check(good)
grown = {}
for hostile in EVERY:
    root = shutil.copytree(good, work / "repository")
    try:
        hostile.make(root)
    except pytest.skip.Exception:
        pass
    before = peak()
    check(root)
    grown[str(hostile)] = peak() - before
    shutil.rmtree(root)
print(json.dumps(grown))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit of this kind to set")
def test_no_hostile_repository_takes_much_memory_or_ends_the_process(
    good_repository: Path, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, str(Path(__file__).parent), str(good_repository), tmp_path],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, CANARY: str(tmp_path / "canary")},
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    grown = json.loads(done.stdout)
    assert len(grown) == len(EVERY)
    assert {name: n for name, n in grown.items() if n > MAX_MEBIBYTES} == {}
    assert not (tmp_path / "canary").exists()
