"""What a push asks for and sends, and what becomes of eight at once, on the embedded Hub.

    python -m benchmarks.push_costs [--rounds 5] [--saes 54] [--size-bytes 200000]

- Eight threads push different releases from one head; all have planned and uploaded before the
  first commits. The rounds begin in turn with a new repository and with one that has a release.
- SAEs of random bytes are pushed, pushed again, and pushed to another repository with an upload
  that breaks off half-way and is repeated. `sent twice` are the bytes of large objects that the
  store took more than once; with xet they are counted by the xorb, in which chunks travel.
- The cards of 9 repositories with 348 stand-ins for SAEs get another line, as a changed template
  would give them, and are pushed alone.

Requests and bytes are the server's own count; those of xet that the Hub asks of its own store while
it makes the commit are among them.
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import re
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Barrier
from typing import Any
from unittest import mock

from benchmarks.push_faults import HUB, SIZES, without_waits
from benchmarks.push_judge import described, judge, write_release
from benchmarks.render_all import make_builds, seconds_of
from cards.stage import README
from manifests.build_folder import SAE_CONFIG, SAE_WEIGHTS, BuildFolder
from manifests.load import load_manifest
from manifests.progress import Silent
from release.embedded_hub import EmbeddedHub, LoggedRequest
from release.hub_connection import HubConnection
from release.publishing.card_release import card_release
from release.publishing.one_commit import HeadMoved
from release.publishing.push import Receipt, publish_files
from release.publishing.release_files import ReleaseFile
from release.publishing.remote_tree import remote_tree
from validators.reading.repository import HubUnavailable

_N_AT_ONCE = 8
_STORED = re.compile(r"/objects/[0-9a-f]{64}(/parts/[0-9]+)?$|/xorbs/default/[0-9a-f]{64}$")


def main() -> None:
    """Print the three tables for both clients."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--saes", type=int, default=54)
    parser.add_argument("--size-bytes", type=int, default=200_000)
    parser.add_argument("--client", nargs="+", choices=("xet", "lfs"), default=["xet", "lfs"])
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="push-costs-", ignore_cleanup_errors=True) as folder:
        os.environ["HF_HOME"] = str(Path(folder) / "home")
        os.environ["HF_XET_CLIENT_RETRY_BASE_DELAY"] = "1ms"
        logging.disable(logging.CRITICAL)
        for client in arguments.client:
            work = Path(folder) / client
            with _hub(work, client) as hub:
                print(f"\n{client}")
                _races(hub, work / "races", arguments.rounds)
                _one_release(hub, work, [arguments.size_bytes] * arguments.saes)
        work = Path(folder) / "cards"
        with _hub(work, "xet") as hub:
            _cards_only(hub, work)


@contextmanager
def _hub(work: Path, client: str) -> Iterator[EmbeddedHub]:
    from huggingface_hub import constants

    with (
        mock.patch.object(constants, "HF_HUB_DISABLE_XET", client == "lfs"),
        EmbeddedHub(work / "hub", xet=client == "xet", **HUB) as hub,
    ):
        yield hub


def _publish(hub: EmbeddedHub, repo_id: str, files: dict[str, ReleaseFile]) -> Receipt:
    connection = HubConnection(hub.endpoint, hub.token)
    return publish_files(repo_id, files, connection, public=True, progress=Silent())


def _races(hub: EmbeddedHub, work: Path, rounds: int) -> None:
    """Eight at once, so many times; how they ended."""
    from huggingface_hub import HfApi

    ends: Counter[str] = Counter()
    numbers = random.Random(0)  # noqa: S311 - stand-ins, no secret
    for number in range(rounds):
        repo_id = f"demo/race-{number}"
        if number % 2:
            write_release(work / f"{number}-before", numbers, SIZES)
            _publish(hub, repo_id, described(work / f"{number}-before"))
        else:
            HubConnection(hub.endpoint, hub.token).api().create_repo(repo_id)
        folders = [work / f"{number}-{each}" for each in range(_N_AT_ONCE)]
        for folder in folders:
            write_release(folder, numbers, SIZES)
        together = _after(Barrier(_N_AT_ONCE), HfApi.create_commit)
        with (
            mock.patch.object(HfApi, "create_commit", together),
            # Threads that hide the client's bars would show them again for each other.
            mock.patch("huggingface_hub.utils.tqdm.enable_progress_bars"),
            ThreadPoolExecutor(_N_AT_ONCE) as pool,
        ):
            found = list(pool.map(partial(_end, hub, repo_id), folders))
        winner = found.index("won")
        n_former = 1 + number % 2
        state = judge(repo_id, folders[winner], HubConnection(hub.endpoint, hub.token), n_former)
        ends.update([*found, "mixed" if state.state != "one" else "the winner's bytes alone"])
    print(f"eight at once, {rounds} rounds: " + ", ".join(f"{k} {v}" for k, v in ends.items()))


def _after(barrier: Barrier, real: Callable[..., Any]) -> Callable[..., Any]:
    def create_commit(*arguments: Any, **options: Any) -> Any:
        barrier.wait(timeout=120)
        return real(*arguments, **options)

    return create_commit


def _end(hub: EmbeddedHub, repo_id: str, folder: Path) -> str:
    try:
        _publish(hub, repo_id, described(folder))
    except HeadMoved:
        return "refused"
    return "won"


def _one_release(hub: EmbeddedHub, work: Path, sizes: Sequence[int]) -> None:
    """A first push, its repetition, and one that broke off."""
    folder, other = work / "release", work / "other"
    for number, each in enumerate((folder, other)):
        write_release(each, random.Random(1 + number), tuple(sizes))  # noqa: S311 - no secret
    files, others = described(folder), described(other)
    # The first push of a process imports the client.
    _publish(hub, "demo/warm-up", {"README.md": files["README.md"]})
    _head()
    with _measured(hub, f"first push, {len(sizes)} SAEs of {sizes[0]:,} bytes", files):
        _publish(hub, "demo/whole", files)
    with _measured(hub, "the same push again", files):
        _publish(hub, "demo/whole", files)
    with _measured(hub, "a push that broke off, and its repetition", others), without_waits():
        # By xet a batch of files travels in one xorb or a few.
        n_uploads = 4 if work.name == "xet" else len(sizes)
        fault = {"method": "PUT|POST", "path": _STORED.pattern, "times": 10**6}
        hub.inject("status", nth=max(1, n_uploads // 2), **fault)  # type: ignore[arg-type]
        try:
            _publish(hub, "demo/broken-off", others)
        except HubUnavailable:
            hub.clear_faults()
            _publish(hub, "demo/broken-off", others)
        else:
            raise AssertionError("the upload did not break off")


def _cards_only(hub: EmbeddedHub, work: Path) -> None:
    """All cards of nine repositories after a change, pushed beside SAEs that stay."""
    n_saes = make_builds(work)
    seconds_of(work)
    manifests = sorted((work / "manifests").glob("*.yaml"))
    connection = HubConnection(hub.endpoint, hub.token)
    for path in manifests:
        loaded = load_manifest(path)
        build = BuildFolder(work / "builds" / path.stem)
        for spec in loaded.saes:
            sae = build.repository / spec.sae_id
            sae.mkdir(exist_ok=True)
            (sae / SAE_CONFIG).write_bytes(b'{"id": "%s"}' % spec.sae_id.encode())
            (sae / SAE_WEIGHTS).write_bytes(os.urandom(2_000))
        _publish(hub, loaded.manifest.repo_id, described(build.repository))
        with (build.repository / README).open("a", encoding="utf-8", newline="\n") as card:
            card.write("\nOne more line.\n")
    print(f"\ncards of {len(manifests)} repositories with {n_saes} SAEs")
    _head()
    sent: list[str] = []
    for name in ("cards only", "cards only, again"):
        with _measured(hub, name, {}):
            for path in manifests:
                loaded = load_manifest(path)
                build = BuildFolder(work / "builds" / path.stem)
                tree = remote_tree(loaded.manifest.repo_id, connection)
                files = card_release(loaded, build, tree, connection).files
                sent += [name for name in files if name.endswith(SAE_WEIGHTS)]
                _publish(hub, loaded.manifest.repo_id, files)
    print(f"weight files among what was sent: {len(sent)}")


@dataclass
class _Traffic:
    requests: list[LoggedRequest]

    @property
    def n_commits(self) -> int:
        return sum("/commit/" in each.path and each.status == 200 for each in self.requests)

    @property
    def stored(self) -> list[LoggedRequest]:
        """The large objects that the store took."""
        return [
            each
            for each in self.requests
            if each.method != "GET" and each.status == 200 and _STORED.search(each.path)
        ]

    @property
    def bytes_twice(self) -> int:
        once = {each.path: each.bytes_in for each in self.stored}
        return sum(each.bytes_in for each in self.stored) - sum(once.values())


@contextmanager
def _measured(hub: EmbeddedHub, name: str, files: dict[str, ReleaseFile]) -> Iterator[None]:
    """One line of the table about what is done inside the block."""
    since, started = len(hub.requests()), time.perf_counter()
    yield
    seconds = time.perf_counter() - started
    traffic = _Traffic(hub.requests()[since:])
    weights = sum(f.size_bytes for f in files.values() if f.path_in_repo.endswith(SAE_WEIGHTS))
    print(
        f"{name:48}{len(traffic.requests):9}{sum(r.bytes_in for r in traffic.requests):13,}"
        f"{weights:13,}{sum(r.bytes_in for r in traffic.stored):13,}{traffic.bytes_twice:12,}"
        f"{sum(r.bytes_out for r in traffic.requests):13,}{traffic.n_commits:8}{seconds:9.1f}",
        flush=True,
    )


def _head() -> None:
    columns = (("requests", 9), ("sent", 13), ("of weights", 13), ("stored", 13))
    more = (("sent twice", 12), ("received", 13), ("commits", 8), ("seconds", 9))
    print(f"{'':48}" + "".join(f"{name:>{width}}" for name, width in columns + more))


if __name__ == "__main__":
    main()
