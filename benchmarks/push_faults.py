"""The fault matrix of a push: every kind of request that it makes, and every way to go wrong.

    python -m benchmarks.push_faults [--runs 5] [--client xet lfs] [--former] [--staged]

A clean push to the embedded Hub says which kinds of request there are and how many of each; nobody
lists them by hand. Then each run pushes other random bytes to a repository of its own, in which one
request of one kind, chosen at random, goes wrong: that one alone, from there on all of its kind,
or from there on every request. A kill takes away a process of its own, at the moment in which that
request reaches the Hub, which then acts on it or does not. A push that failed or was killed is run
again without a fault.

Who judges is the Hub's history and tree, not what the push said:

- `one commit`: after the fault `main` has one commit of the release, with exactly its bytes;
- `untouched, then one`: `main` has nothing of it, and that commit once the push was run again;
- `else`: anything else, also a repetition that fails, a tag that is missing, a push that says it
  is done and is not, or an error that is none of the tool's own.

`not hit` counts the runs among them in which the fault was not met: the push made fewer requests of
that kind than the clean one. The client's waits before it tries again are cut to a millisecond.

With `--staged` the release is over what one commit may carry, and goes through a pull request.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal
from unittest import mock

import httpx2

from benchmarks.push_judge import described, judge, write_release
from benchmarks.push_requests import Kind, kinds_of
from manifests.errors import ReleaseError
from manifests.progress import Silent
from release.embedded_hub import EmbeddedHub
from release.embedded_hub.faults import Fault, Faults
from release.hub_connection import HubConnection
from release.publishing import one_commit
from release.publishing.push import Receipt, publish_files

ACTIONS = ("500", "429", "drop_before", "drop_after", "truncate", "kill")
ROOT = Path(__file__).resolve().parents[1]
SIZES = (3_000, 20_000, 200_000)
# The largest SAE is sent in three parts where the client speaks LFS.
HUB: dict[str, Any] = {"multipart_from_bytes": 100_000, "part_size_bytes": 80_000}
STAGED_PART = 3
_UNTIL_IT_GIVES_UP = 10**6
_KILLED_CLIENT = """
import json, sys
from pathlib import Path
from huggingface_hub import HfApi, hf_api
from benchmarks.push_faults import without_waits
from benchmarks.push_judge import described
from manifests.progress import Silent
from release.hub_connection import HubConnection
from release.publishing import one_commit
from release.publishing.push import publish_files

print("ready", flush=True)
job = json.loads(sys.stdin.readline())
connection = HubConnection(job["endpoint"], job["token"])
one_commit.MAX_OPERATIONS = job["max_operations"]
with without_waits():
    files = described(Path(job["folder"]))
    publish_files(job["repo_id"], files, connection, public=True, progress=Silent())
print("finished", flush=True)
"""


class Killed(Exception):
    """The process that pushed was killed."""


@contextmanager
def without_waits() -> Iterator[None]:
    """Let the client's waits before another try take a millisecond."""
    real = time.sleep
    with mock.patch("time.sleep", lambda seconds: real(min(seconds, 0.001))):
        yield


class Killer:
    """Kills a process when the nth matching request reaches the Hub."""

    def __init__(self) -> None:
        self._fault: Fault | None = None
        self._seen = 0
        self._is_acted_upon = False
        self._process: subprocess.Popen[str] | None = None

    def arm(self, fault: Fault, process: subprocess.Popen[str], *, is_acted_upon: bool) -> None:
        """Name the next process to kill, and whether the Hub acts on its last request."""
        self._fault, self._process, self._is_acted_upon = fault, process, is_acted_upon
        self._seen = 0

    def kills_at(self, method: str, path: str) -> bool:
        """Count a request, and kill if it is the one."""
        if self._fault is None or self._process is None or not self._fault.matches(method, path):
            return False
        self._seen += 1
        if self._seen != self._fault.nth:
            return False
        self._process.kill()
        self._process.wait()
        return True

    def last_fault(self) -> Fault | None:
        """What happens to the request in which the process was killed."""
        return None if self._is_acted_upon else self._fault


@dataclass(frozen=True)
class Outcome:
    """What came of one run, whether the fault was met, and what was wrong if anything was."""

    state: Literal["one", "untouched", "else"]
    is_met: bool
    said: str = ""


class Matrix:
    """Runs with faults on one Hub, with one kind of client."""

    def __init__(
        self, hub: EmbeddedHub, work: Path, numbers: random.Random, *, has_former: bool
    ) -> None:
        """Describe it; `numbers` chooses the requests that fail, and makes the files."""
        self._hub, self._work, self._numbers = hub, work, numbers
        self._n_former = int(has_former)
        self._connection = HubConnection(hub.endpoint, hub.token)
        self._n_releases = 0
        self._reserve: subprocess.Popen[str] | None = None

    def kinds(self) -> list[Kind]:
        """What a clean push asks for, and its repetition."""
        repo_id, folder = self._new_release()
        self._publish(repo_id, folder)
        repo_id, folder = self._new_release()
        since = len(self._hub.requests())
        self._publish(repo_id, folder)
        return kinds_of(self._hub, since)

    def run(self, kind: Kind, action: str) -> Outcome:
        """One push with a fault, and its repetition where it failed."""
        repo_id, folder = self._new_release()
        fault = self._fault(kind, action)
        is_total = fault.times > 1 and self._numbers.random() < 0.5
        with self._noted_faults(is_total=is_total) as (met, killer):
            if action == "kill":
                error = self._killed(repo_id, folder, fault, killer)
            else:
                self._set(fault)
                error = self._error_of(repo_id, folder)
        self._hub.clear_faults()
        state, said = self._outcome(repo_id, folder, error)
        lasts = "all" if is_total else "its kind" if fault.times > 1 else "once"
        said = said and f"{fault.nth}th, {lasts}, {fault.fraction:.2f}: first {error!r}; {said}"
        return Outcome(state, bool(met), said)

    def close(self) -> None:
        """End the client that was started ahead and not needed."""
        if self._reserve is not None:
            self._reserve.kill()
            self._reserve.wait()

    def _new_release(self) -> tuple[str, Path]:
        self._n_releases += 1
        repo_id = f"demo/release-{self._n_releases}"
        folders = [self._work / f"{self._n_releases}-{n}" for n in range(1 + self._n_former)]
        for folder in folders:
            write_release(folder, self._numbers, SIZES)
        if self._n_former:
            self._publish(repo_id, folders[0])
        return repo_id, folders[-1]

    def _publish(self, repo_id: str, folder: Path) -> Receipt:
        files = described(folder)
        return publish_files(repo_id, files, self._connection, public=True, progress=Silent())

    def _error_of(self, repo_id: str, folder: Path) -> BaseException | None:
        try:
            self._publish(repo_id, folder)
        except Exception as error:  # noqa: BLE001 - which error it is, is what is judged
            return error
        return None

    def _fault(self, kind: Kind, action: str) -> Fault:
        status = int(action) if action.isdecimal() else None
        simple: Any = "status" if status else "drop_before" if action == "kill" else action
        return Fault(
            action=simple,
            status=status or 500,
            method=kind.method,
            path=kind.pattern,
            nth=self._numbers.randint(1, kind.n_requests),
            times=1 if action == "kill" else self._numbers.choice((1, _UNTIL_IT_GIVES_UP)),
            fraction=self._numbers.random(),
        )

    def _set(self, fault: Fault) -> None:
        httpx2.post(
            f"{self._hub.endpoint}/embedded-hub/faults",
            json=asdict(fault),
            headers={"Authorization": f"Bearer {self._hub.token}"},
        ).raise_for_status()

    @contextmanager
    def _noted_faults(self, *, is_total: bool) -> Iterator[tuple[list[str], Killer]]:
        """The requests that are met by a fault inside the block, and a killer that is asked.

        With `is_total` every request after the first that is met has the same fault.
        """
        met: list[str] = []
        lasting: list[Fault] = []
        killer = Killer()
        real = Faults.for_request

        def noted(self: Faults, method: str, path: str) -> Fault | None:
            is_killed = killer.kills_at(method, path)
            fault = killer.last_fault() if is_killed else real(self, method, path)
            fault = lasting[0] if lasting and not is_killed else fault
            if is_total and fault is not None:
                lasting.append(fault)
            if is_killed or fault is not None:
                met.append(path)
            return fault

        with mock.patch.object(Faults, "for_request", noted):
            yield met, killer

    def _killed(
        self, repo_id: str, folder: Path, fault: Fault, killer: Killer
    ) -> BaseException | None:
        """Push in another process and kill it; None where it was done before its last moment."""
        process = self._reserve or self._client()
        self._reserve = self._client()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        killer.arm(fault, process, is_acted_upon=self._numbers.random() < 0.5)
        job = {
            "endpoint": self._hub.endpoint,
            "token": self._hub.token,
            "repo_id": repo_id,
            "folder": str(folder),
            "max_operations": one_commit.MAX_OPERATIONS,
        }
        process.stdin.write(json.dumps(job) + "\n")
        process.stdin.flush()
        said = process.stdout.read()
        process.wait()
        process.stdin.close()
        process.stdout.close()
        return None if "finished" in said else Killed(f"exit {process.returncode}")

    def _client(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", _KILLED_CLIENT],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
            cwd=ROOT,
        )

    def _outcome(
        self, repo_id: str, folder: Path, error: BaseException | None
    ) -> tuple[Literal["one", "untouched", "else"], str]:
        before = 1 + self._n_former
        tags = tuple(f"release-{number}" for number in range(1, 1 + before))
        first = judge(repo_id, folder, self._connection, before)
        if first.state == "else":
            return "else", first.said
        if error is None:
            is_done = first.state == "one" and first.tags == tags
            return (first.state, "") if is_done else ("else", f"said to be done: {first}")
        again = self._error_of(repo_id, folder)
        last = judge(repo_id, folder, self._connection, before)
        if again is not None or last.state != "one" or last.tags != tags:
            return "else", f"after the repetition: {again!r}, {last}"
        if not isinstance(error, ReleaseError | Killed):
            return "else", "no error of the tool's own"
        return first.state, ""


def main() -> None:
    """Print a table for each client; exit with 1 if anything but the two good ends was seen."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--client", nargs="+", choices=("xet", "lfs"), default=["xet", "lfs"])
    parser.add_argument("--only", default="", help="kinds whose method and path match this")
    parser.add_argument("--actions", nargs="+", choices=ACTIONS, default=ACTIONS)
    parser.add_argument("--former", action="store_true", help="push over a former release")
    parser.add_argument(
        "--staged", action="store_true", help=f"in parts of {STAGED_PART} files, then merged"
    )
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.staged:
        one_commit.MAX_OPERATIONS = STAGED_PART
    wrong = []
    with tempfile.TemporaryDirectory(prefix="push-faults-", ignore_cleanup_errors=True) as folder:
        # Both are read when the client is imported or first used; the children take them over.
        os.environ["HF_HOME"] = str(Path(folder) / "home")
        os.environ["HF_XET_CLIENT_RETRY_BASE_DELAY"] = "1ms"
        logging.disable(logging.CRITICAL)
        for client in arguments.client:
            wrong += _table(client, Path(folder) / client, arguments)
    for line in wrong:
        print(line)
    print(f"{len(wrong)} runs ended otherwise.")
    sys.exit(1 if wrong else 0)


def _table(client: str, work: Path, arguments: argparse.Namespace) -> list[str]:
    from huggingface_hub import constants

    wrong: list[str] = []
    numbers = random.Random(f"{arguments.seed} {client}")  # noqa: S311 - no secret
    is_lfs = client == "lfs"
    os.environ["HF_HUB_DISABLE_XET"] = str(int(is_lfs))
    started = time.perf_counter()
    totals: dict[str, Counter[str]] = {action: Counter() for action in arguments.actions}
    print(f"\n{client}\n{'':74}{'runs':>6}{'one':>6}{'none':>6}{'else':>6}{'not hit':>9}")
    with (
        mock.patch.object(constants, "HF_HUB_DISABLE_XET", is_lfs),
        EmbeddedHub(work / "hub", xet=not is_lfs, **HUB) as hub,
        without_waits(),
    ):
        matrix = Matrix(hub, work, numbers, has_former=arguments.former)
        for kind in matrix.kinds():
            name = f"{kind.method} {kind.path}"
            if not re.search(arguments.only, name):
                continue
            for action in arguments.actions:
                if action == "truncate" and not kind.has_body:
                    continue
                cell: Counter[str] = Counter()
                for _ in range(arguments.runs):
                    outcome = matrix.run(kind, action)
                    cell.update([outcome.state, *([] if outcome.is_met else ["missed"]), "runs"])
                    wrong += [f"{client} {name} {action} {outcome.said}"] if outcome.said else []
                _show(f"{name:62} {action}", cell)
                totals[action] += cell
        matrix.close()
    for action, total in totals.items():
        _show(f"{client}, all kinds: {action}", total)
    seconds = time.perf_counter() - started
    _show(f"{client}, all, in {seconds:.0f} s", sum(totals.values(), Counter()))
    return wrong


def _show(name: str, cell: Counter[str]) -> None:
    counts = "".join(f"{cell[key]:6}" for key in ("runs", "one", "untouched", "else"))
    print(f"{name:74}{counts}{cell['missed']:9}", flush=True)


if __name__ == "__main__":
    main()
