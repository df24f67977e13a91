"""The set-up does its work once, takes torch from where it was told, and passes exit codes on."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]


def load_make() -> ModuleType:
    """make.py as a module; it is no part of a package."""
    spec = importlib.util.spec_from_file_location("project_make", ROOT / "make.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["project_make"] = module
    spec.loader.exec_module(module)
    return module


make = load_make()


class Recorder:
    """Stands for running commands: notes them, makes a venv's files, returns a set exit code."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.commands: list[list[str]] = []
        self.exit_codes: dict[str, int] = {}

    def __call__(self, command: Sequence[str]) -> int:
        self.commands.append(list(command))
        if "venv" in command:
            fake_venv(self.root, "3.11.7")
        return next((code for word, code in self.exit_codes.items() if word in command), 0)


def fake_venv(root: Path, version: str) -> None:
    """The two files by which make.py knows an environment."""
    python = make.venv_python(root)
    python.parent.mkdir(parents=True, exist_ok=True)
    python.write_text("", encoding="utf-8")
    config = f"home = elsewhere\nversion = {version}\n"
    (root / ".venv" / "pyvenv.cfg").write_text(config, encoding="utf-8")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with what a set-up reads."""
    (tmp_path / "pyproject.toml").write_text("[project]\n", encoding="utf-8")
    (tmp_path / "constraints.txt").write_text("numpy==2.4.6\ntorch==2.13.0\n", encoding="utf-8")
    return tmp_path


@pytest.fixture
def run(project: Path) -> Recorder:
    """A recorder for that folder."""
    return Recorder(project)


def test_a_first_set_up_makes_the_environment_and_a_second_runs_nothing(
    project: Path, run: Recorder
) -> None:
    assert make.set_up(project, None, run=run) == 0
    assert [command[1:3] for command in run.commands] == [
        ["-m", "venv"],
        ["-m", "pip"],
        ["-m", "pip"],
    ]
    run.commands.clear()
    assert make.set_up(project, None, run=run) == 0
    assert run.commands == []


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt"])
def test_a_changed_pin_or_requirement_installs_again(
    project: Path, run: Recorder, name: str
) -> None:
    make.set_up(project, None, run=run)
    run.commands.clear()
    with (project / name).open("a", encoding="utf-8") as stream:
        stream.write("# changed\n")
    assert make.set_up(project, None, run=run) == 0
    assert len(run.commands) == 2


def test_another_interpreter_or_another_place_installs_again(project: Path, run: Recorder) -> None:
    make.set_up(project, None, run=run)
    before = make.setup_digest(project)
    fake_venv(project, "3.13.0")
    assert make.setup_digest(project) != before
    fake_venv(project, "3.11.7")
    assert make.setup_digest(project) == before
    moved = project.rename(project.with_name("moved"))
    assert make.setup_digest(moved) != before


def test_an_interrupted_or_failed_install_is_not_taken_for_a_finished_one(
    project: Path, run: Recorder
) -> None:
    run.exit_codes = {"constraints.txt": 7}
    assert make.set_up(project, None, run=run) == 7
    assert make.read_stamp(project) is None
    run.exit_codes = {}
    assert make.set_up(project, None, run=run) == 0
    assert make.read_stamp(project) is not None


def test_a_stamp_that_cannot_be_read_counts_as_none(
    project: Path, run: Recorder, capsys: pytest.CaptureFixture[str]
) -> None:
    make.set_up(project, None, run=run)
    make.stamp_path(project).write_text("{", encoding="utf-8")
    assert make.read_stamp(project) is None
    assert "the set-up runs again" in capsys.readouterr().err


def test_without_an_option_no_index_of_our_own_is_used(project: Path) -> None:
    words = [word for command in make.install_commands(project, None) for word in command]
    assert "--index-url" not in words
    assert "--extra-index-url" not in words
    assert [word for word in words if "://" in word] == []


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS has one build of torch")
@pytest.mark.parametrize(
    ("build", "local"), [("cpu", "cpu"), ("cuda", "cu126"), ("cu130", "cu130")]
)
def test_a_named_build_takes_torch_alone_from_the_pytorch_index(
    project: Path, build: str, local: str
) -> None:
    first, *others = make.install_commands(project, build)
    assert first[-4:] == [
        "--no-deps",
        "--index-url",
        f"https://download.pytorch.org/whl/{local}",
        f"torch==2.13.0+{local}",
    ]
    assert [word for command in others for word in command if "://" in word] == []


def test_the_build_that_was_asked_for_stays_until_another_is(project: Path, run: Recorder) -> None:
    fake_venv(project, "3.11.7")
    make.stamp_path(project).write_text('{"digest": "old", "torch": "cpu"}', encoding="utf-8")
    assert make.set_up(project, None, run=run) == 0
    stamp = make.read_stamp(project)
    assert stamp is not None
    assert stamp.torch == "cpu"


def test_macos_has_no_cuda_and_needs_no_index(project: Path) -> None:
    assert make.torch_requirement(project, "cpu", platform="darwin") is None
    with pytest.raises(make.SetupError, match="no CUDA on macOS"):
        make.torch_requirement(project, "cuda", platform="darwin")


def test_an_environment_of_an_old_python_is_refused_with_the_remedy(project: Path) -> None:
    fake_venv(project, "3.10.4")
    with pytest.raises(make.SetupError, match=r"3\.10.*delete the folder \.venv"):
        make.venv_version(project)


def test_a_failing_venv_module_leaves_nothing_behind(project: Path, run: Recorder) -> None:
    run.exit_codes = {"venv": 1}
    with pytest.raises(make.SetupError, match="python3-venv"):
        make.set_up(project, None, run=run)
    assert not (project / ".venv").exists()


def test_the_interpreter_lies_where_each_system_puts_it(tmp_path: Path) -> None:
    assert make.venv_python(tmp_path, windows=True) == tmp_path / ".venv/Scripts/python.exe"
    assert make.venv_python(tmp_path, windows=False) == tmp_path / ".venv/bin/python"


def test_the_demo_runs_the_pipeline_on_the_embedded_hub() -> None:
    (command,) = make.tool_commands(ROOT, "demo", ["--device", "cpu"])
    assert command[1:] == [
        "-m", "release", "run", "manifests/demo-smollm2-135m-instruct.yaml",
        "--hub", "embedded", "--device", "cpu",
    ]  # fmt: skip
    assert (ROOT / command[4]).is_file()


def test_every_tool_runs_and_the_first_failure_is_the_exit_code(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    codes = {"check": 3, "format": 4}
    ran = []

    def call(command: Sequence[str]) -> int:
        ran.append(command[3])
        return codes[command[3]]

    monkeypatch.setattr(make, "set_up", lambda root, torch: 0)
    monkeypatch.setattr(make, "call", call)
    assert make.main(["lint"]) == 3
    assert ran == ["check", "format"]


def test_a_failed_set_up_runs_no_tool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(make, "set_up", lambda root, torch: 9)
    monkeypatch.setattr(make, "call", lambda command: pytest.fail("a tool ran"))
    assert make.main(["test"]) == 9


def test_a_command_ends_with_the_exit_code_of_what_it_ran() -> None:
    assert make.call([sys.executable, "-c", "raise SystemExit(5)"]) == 5


def test_words_that_a_command_does_not_know_are_a_usage_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as caught:
        make.main(["lint", "--torhc", "cpu"])
    assert caught.value.code == 2
    assert "--torhc cpu" in capsys.readouterr().err


def test_the_makefile_offers_every_command_of_make_py() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.search(r"^(demo .*):$", makefile, re.MULTILINE)
    assert targets is not None
    action = next(a for a in make.argument_parser()._actions if a.dest == "command")
    assert set(targets[1].split()) == set(action.choices)
