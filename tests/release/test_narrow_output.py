"""Output of the same quality on a narrow terminal, without colour, and in a log file."""

from __future__ import annotations

import io
import json
import os
import re
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from safetensors.numpy import save_file

from release.cli import main
from release.console import TerminalProgress, stderr_console, terminal_width
from release.text_table import TextTable

Capture = pytest.CaptureFixture[str]
ROOT = Path(__file__).resolve().parents[2]
D_IN, D_SAE = 8, 16
IDS = ("a_topk_sae_with_a_rather_long_name_L3_deceptive_only", "a_topk_sae_L9_mixed")
COLUMNS = 40
TABLE = TextTable(("id", "hook", "size"), (("one", "layers.9", "576"), ("two_long", "", "8")))


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two small SAEs; of the first, a decoder row is NaN, so that a check fails."""
    root = tmp_path_factory.mktemp("narrow") / "saes"
    for number, name in enumerate(IDS):
        rows = np.random.default_rng(number).standard_normal((D_SAE, D_IN)).astype(np.float32)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        folder = root / name
        folder.mkdir(parents=True)
        tensors = {
            "W_enc": np.ascontiguousarray(rows.T),
            "W_dec": rows if number else np.full_like(rows, np.nan),
            "b_enc": np.zeros(D_SAE, np.float32),
            "b_dec": np.zeros(D_IN, np.float32),
        }
        save_file(tensors, folder / "sae_weights.safetensors")
        config = {
            "architecture": "topk",
            "k": 4,
            "d_in": D_IN,
            "d_sae": D_SAE,
            "dtype": "float32",
            "metadata": {"model_name": "gpt2", "hook_name": "blocks.3.hook_resid_post"},
        }
        (folder / "cfg.json").write_text(json.dumps(config), encoding="utf-8")
    return root


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "release", *map(str, arguments)]


def environment(**more: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "NO_COLOR", "TERM")}
    return {**kept, "PYTHONIOENCODING": "utf-8", **more}


def on_a_terminal(*arguments: object, term: str = "xterm-256color", **more: str) -> str:
    """What a command writes to a terminal of 40 columns, results and notes together."""
    pty = pytest.importorskip("pty", reason="there are no pseudo-terminals here")
    fcntl, termios = pytest.importorskip("fcntl"), pytest.importorskip("termios")
    reading, writing = pty.openpty()
    fcntl.ioctl(writing, termios.TIOCSWINSZ, struct.pack("HHHH", 30, COLUMNS, 0, 0))
    process = subprocess.Popen(
        command(*arguments),
        cwd=ROOT,
        env=environment(TERM=term, **more),
        stdin=writing,
        stdout=writing,
        stderr=writing,
    )
    os.close(writing)
    written = b""
    while True:
        try:
            part = os.read(reading, 65536)
        except OSError:  # Linux's end of a terminal whose other side is closed
            break
        if not part:
            break
        written += part
    process.wait()
    os.close(reading)
    return written.decode("utf-8").replace("\r\n", "\n")


def in_a_file(*arguments: object) -> tuple[str, str]:
    done = subprocess.run(
        command(*arguments), cwd=ROOT, env=environment(), capture_output=True, check=False
    )
    return done.stdout.decode("utf-8"), done.stderr.decode("utf-8")


def plain(text: str) -> str:
    """Text without colours and without the bars that were drawn over."""
    without_bars = re.sub(r"\x1b\[\?25l.*?\x1b\[\?25h", "", text, flags=re.DOTALL)
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", without_bars)


def breakable(lines: list[str]) -> list[str]:
    """Lines too long for the terminal that could have ended earlier, between two words."""
    without_commands = (re.sub(r"`[^`]*`|release \w+ .*", "", line) for line in lines)
    return [line for line in without_commands if len(line) > COLUMNS and " " in line.strip()]


VERBS = (
    ("show", "--all"),
    ("show", "manifests/demo-smollm2-135m-instruct.yaml", "--saes"),
    ("explain", "W102"),
    ("retrain", "manifests/tinyllama-1-1b.yaml", "--only", "nosuch"),
    ("plan", "manifests/tinyllama-1-1b.yaml", "--hub", "embedded"),
    ("status", "manifests/tinyllama-1-1b.yaml", "--hub", "embedded"),
)


@pytest.mark.parametrize("words", VERBS, ids=" ".join)
def test_lines_end_between_words_on_a_narrow_terminal(
    words: tuple[str, ...], tmp_path: Path
) -> None:
    build = ("--build", str(tmp_path)) if words[0] in ("retrain", "plan", "status") else ()
    shown = plain(on_a_terminal(*words, *build))
    assert shown.strip()
    assert breakable(shown.replace(str(tmp_path), "").splitlines()) == []


def test_ids_are_whole_on_a_narrow_terminal() -> None:
    shown = plain(on_a_terminal("show", "--all"))
    assert "Solshine/gemma4_e2b_gf1_behaviorSAE_topk_k16_L25_bnb4bit" in shown
    assert "TinyLlama/TinyLlama-1.1B-intermediate-step-1431k-3T" in shown


def test_a_report_is_whole_on_a_narrow_terminal(repository: Path) -> None:
    shown = plain(on_a_terminal("validate", repository, "--tier", "load"))
    assert "FAILED" in shown
    assert all(sae_id in shown for sae_id in IDS)
    assert breakable(shown.replace(str(repository), "").splitlines()) == []


def test_a_terminal_without_colour_gets_none(repository: Path) -> None:
    coloured = on_a_terminal("validate", repository, "--tier", "load")
    assert re.search(r"\x1b\[3\d", coloured)
    without = on_a_terminal("validate", repository, "--tier", "load", NO_COLOR="1")
    assert not re.search(r"\x1b\[[0-9;]*3\d+m", without)
    dumb = on_a_terminal("validate", repository, "--tier", "load", term="dumb")
    assert "\x1b" not in dumb
    # How long it took stands on a line where no bar can be drawn.
    timed, _, rest = dumb.partition("\n")
    assert re.fullmatch(r"checking SAEs: \d+\.\d s", timed)
    assert rest.split() == plain(coloured).split()
    assert breakable(dumb.replace(str(repository), "").splitlines()) == []


def test_a_log_file_has_whole_lines_and_no_control_characters(repository: Path) -> None:
    out, err = in_a_file("validate", repository, "--tier", "load")
    assert "FAILED" in out
    for text in (out, err):
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", text)
    assert re.search(r"^checking SAEs: \d+\.\d s$", err, re.MULTILINE)
    table, _ = in_a_file("show", "--all")
    row = next(line for line in table.splitlines() if "bnb4bit" in line)
    assert row.split() == [
        "gemma4-e2b-gf1.yaml",
        "Solshine/gemma4_e2b_gf1_behaviorSAE_topk_k16_L25_bnb4bit",
        "google/gemma-4-E2B",
        "1",
    ]


@pytest.mark.parametrize(
    ("columns", "is_cut"), [(None, False), ("0", False), ("wide", False), ("60", True)]
)
def test_without_a_terminal_no_line_is_broken_but_to_the_width_that_is_asked_for(
    columns: str | None, is_cut: bool, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    """The width of all results, and so the longest line of one of them."""
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    monkeypatch.delenv("COLUMNS", raising=False)
    if columns is not None:
        monkeypatch.setenv("COLUMNS", columns)
    assert terminal_width() == (60 if is_cut else stderr_console().width)
    assert main(["explain"]) == 0
    longest = max(map(len, capsys.readouterr().out.splitlines()))
    assert (longest <= 60) is is_cut
    assert (longest > 80) is not is_cut


def test_a_terminal_of_which_columns_says_0_has_its_own_width(repository: Path) -> None:
    shown = plain(on_a_terminal("validate", repository, "--tier", "load", COLUMNS="0"))
    assert "FAILED" in shown
    assert breakable(shown.replace(str(repository), "").splitlines()) == []


def test_a_table_has_columns_where_they_fit_and_lines_where_they_do_not() -> None:
    columns = ["id        hook      size", "one       layers.9  576", "two_long            8"]
    assert TABLE.text(24).splitlines() == columns
    assert TABLE.text(10_000).splitlines() == columns
    # A cell that is empty needs no line.
    assert TABLE.text(23).splitlines() == ["one", "  hook: layers.9", "  size: 576", *TWO]
    assert TABLE.text(60).splitlines() == columns


TWO = ("two_long", "  size: 8")


def test_a_table_of_wide_characters_counts_their_columns() -> None:
    table = TextTable(("id", "n"), (("名前", "1"), ("x", "2")))
    assert table.text(10_000).splitlines() == ["id    n", "名前  1", "x     2"]


def test_a_bar_on_a_narrow_terminal_shows_how_many_are_done() -> None:
    stream = io.StringIO()
    shown = Console(file=stream, force_terminal=True, width=COLUMNS, legacy_windows=False)
    with TerminalProgress(console=shown).task("Reading 12 configs and headers", total=12) as task:
        task.advance(12)
    last = stream.getvalue().rpartition("\x1b[2K")[2]
    assert "12/12" in last
    assert "Reading 12 configs" in last
