"""Runs the steps of one documentation page in a process of its own, as a user's shell would.

`python page_worker.py STEPS.json RESULTS.json`, in the folder where the steps are to run. One
process for a page keeps torch from being imported for every command; the Hub that HF_ENDPOINT
names is read when the client is imported, so it has to be a process of its own.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

# A command that is to be interrupted and does not say that it is at work is ended after this.
LONGEST_S = 300


def _run(step: dict[str, Any], prompt: dict[str, Any]) -> int:
    if step["kind"] == "release":
        from release.cli import main

        if step.get("without"):
            Path(step["without"]).unlink(missing_ok=True)
        return main(step["words"])
    if step["kind"] == "python":
        exec(compile(step["code"], step["where"], "exec"), prompt)
        return 0
    if step["kind"] == "interrupted":
        return _interrupt(step["words"], step["until"])
    # Other programs, such as `hf`, send the token of their own accord.
    environment = dict(os.environ)
    environment.pop("HF_HUB_DISABLE_IMPLICIT_TOKEN", None)
    done = subprocess.run(
        step["words"], capture_output=True, text=True, encoding="utf-8", env=environment
    )
    sys.stdout.write(done.stdout)
    sys.stderr.write(done.stderr)
    return done.returncode


def _interrupt(words: list[str], until: str) -> int:
    """Call the command line until it has said something; then press Ctrl-C, and await its end."""
    # A background job's children ignore the signal until they ask for it.
    asked = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    program = f"{asked}; from release.cli import main; raise SystemExit(main())"
    with subprocess.Popen(
        [sys.executable, "-u", "-c", program, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
    ) as process:
        assert process.stdout is not None
        mute = threading.Timer(LONGEST_S, process.kill)
        mute.start()
        said = ""
        for line in process.stdout:
            said += line
            if until in line:
                process.send_signal(signal.SIGINT)
        mute.cancel()
        sys.stdout.write(said)
    if until not in said:
        raise EOFError(f"it ended without saying {until!r}")
    return process.returncode


def _result(step: dict[str, Any], prompt: dict[str, Any]) -> dict[str, Any]:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = _run(step, prompt)
        except Exception:  # noqa: BLE001 - a step that ends in a traceback has failed
            traceback.print_exc()
            code = 70
    return {"code": code, "out": out.getvalue(), "err": err.getvalue()}


if __name__ == "__main__":
    steps = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    python_prompt: dict[str, Any] = {"__name__": "__main__"}
    results = [_result(step, python_prompt) for step in steps]
    Path(sys.argv[2]).write_text(json.dumps(results), encoding="utf-8")
