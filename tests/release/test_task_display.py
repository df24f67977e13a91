"""How far a task is: bars on a terminal, lines now and then in a log."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from rich.console import Console

from release.console import TerminalProgress
from release.task_display import LinesTask, shown_duration


class Clock:
    """Seconds that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def lines_of(total: float | None, steps: list[tuple[float, float]]) -> list[str]:
    """What is written when `amount` is done after each pause of some seconds."""
    clock, written = Clock(), list[str]()
    task = LinesTask("training", total=total, clock=clock, write=written.append)
    for pause, amount in steps:
        clock.now += pause
        task.status(f"loss {clock.now - 1000:.0f}")
        task.advance(amount)
    task.finish()
    return written


def test_a_short_task_is_one_line() -> None:
    assert lines_of(100, [(0.2, 1)] * 100) == ["training: 20.0 s; loss 20"]


def test_a_line_is_written_for_every_tenth_and_not_for_every_step() -> None:
    # 100 steps of 10 s: a tenth takes 100 s.
    found = lines_of(100, [(10, 1)] * 100)
    assert len(found) == 10
    # 10 of 100 took 100 s, so 90 take 900 s.
    assert found[0] == "training: 10% (10 of 100), 15 min left; loss 100"
    # 90 took 900 s, so 10 take 100 s.
    assert found[8] == "training: 90% (90 of 100), 2 min left; loss 900"
    assert found[9] == "training: 1000.0 s; loss 1000"


def test_lines_keep_their_distance() -> None:
    # A tenth takes 10 s; a line comes 30 s after the last one at the earliest.
    found = lines_of(100, [(1, 1)] * 100)
    assert [line.partition(" (")[0] for line in found] == [
        "training: 30%",
        "training: 60%",
        "training: 90%",
        "training: 100.0 s; loss 100",
    ]


def test_a_slow_task_shows_that_it_is_alive() -> None:
    # A step of a thousand takes 100 s, a tenth nearly three hours: a line every 300 s.
    found = lines_of(1000, [(100, 1)] * 7)
    assert found[0] == "training: 0% (3 of 1000), 27 h 42 min left; loss 300"
    assert [line.split()[2] for line in found[:2]] == ["(3", "(6"]
    assert len(found) == 3


def test_a_task_of_unknown_size_counts() -> None:
    found = lines_of(None, [(100, 2)] * 4)
    assert found == ["training: 6 done; loss 300", "training: 400.0 s; loss 400"]


def test_a_task_that_takes_up_what_was_done_before_says_no_time_before_it_knows() -> None:
    assert lines_of(10, [(300, 0)])[0] == "training: 0% (0 of 10); loss 300"


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0.4, "0 s"), (99, "99 s"), (100, "2 min"), (5940, "99 min"), (11_100, "3 h 05 min")],
)
def test_durations_are_told_roughly(seconds: float, told: str) -> None:
    assert shown_duration(seconds) == told


def run_on(console: Console, clock: Clock) -> None:
    progress = TerminalProgress(console=console, clock=clock)
    with progress.task("training", total=100) as task:
        for _ in range(100):
            clock.now += 10
            task.status("loss 0.5, L0 64.0, explained variance 0.8, topk_L9 \x1b[2J")
            task.advance()


def console(**options: Any) -> tuple[Console, io.StringIO]:
    stream = io.StringIO()
    return Console(file=stream, width=100, soft_wrap=True, emoji=False, **options), stream


def test_a_log_file_gets_plain_lines() -> None:
    shown, stream = console(force_terminal=False)
    run_on(shown, Clock())
    text = stream.getvalue()
    assert len(text.splitlines()) == 10
    assert "\x1b" not in text
    assert "\r" not in text
    assert r"\x1b[2J" in text


def test_a_terminal_gets_one_bar_with_count_and_status() -> None:
    shown, stream = console(force_terminal=True, color_system="standard", legacy_windows=False)
    run_on(shown, Clock())
    last = stream.getvalue()
    assert "100/100" in last
    assert "loss 0.5, L0 64.0, explained variance" in last
    # The SAE's own name was harmless before it reached the terminal.
    assert "\x1b[2J" not in last


def test_no_color_is_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    shown, stream = console(force_terminal=True, legacy_windows=False)
    run_on(shown, Clock())
    # A change of colour ends with `m` and has a number from 30 on; moving the cursor has not.
    codes = re.findall(r"\x1b\[([0-9;]*)m", stream.getvalue())
    assert not [c for code in codes for c in code.split(";") if c and 30 <= int(c) <= 107]


def test_a_terminal_that_cannot_move_its_cursor_gets_lines(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TERM", "dumb")
    shown, stream = console(force_terminal=True)
    run_on(shown, Clock())
    assert sum(line.startswith("training: ") for line in stream.getvalue().splitlines()) == 10


def test_a_task_that_fails_says_nothing_of_its_end() -> None:
    shown, stream = console(force_terminal=False)
    progress = TerminalProgress(console=shown, clock=Clock())
    with pytest.raises(ValueError, match="broken"), progress.task("training", total=1):
        raise ValueError("broken")
    assert stream.getvalue() == ""
