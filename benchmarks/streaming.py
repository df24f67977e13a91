"""Memory of training on more vectors than fit: one TopK SAE on activations that stay on disk.

    python -m benchmarks.streaming [--vectors 2000000] [--steps 300] [--threads 1]

The store is that of a capture, written here with random vectors in half precision, one shard at a
time. What is printed is the process's own memory; pages of the mapped files are the system's, which
takes them back when it needs them. Beside it stands what the plan foresees for streamed and for
resident vectors.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import threading
import time
from pathlib import Path

import numpy as np
import psutil

ROOT = Path(__file__).resolve().parents[1]
# Not after this file's folder, where retrain.py is not the package.
sys.path.insert(0, str(ROOT))

HOOK = "model.layers.0"
SHARD = 65_536
D_IN, D_SAE, BATCH = 576, 2304, 256
FOLDER = ROOT / "build" / "benchmarks" / "streaming"


def main() -> None:
    """Write the store, train, print the memory."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vectors", type=int, default=2_000_000)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    import torch

    torch.set_num_threads(arguments.threads)
    from manifests.recipe import Recipe
    from retrain.jobs import Job, StepReport, Unit
    from retrain.planning.memory import Group, training_need
    from retrain.training.train import train_unit

    class Enough(Exception):
        """So many steps were made."""

    recipe = Recipe.model_validate(
        {"epochs": 1, "batch_size": BATCH, "learning_rate": 1e-3, "topk": {"k": 32}}
    )
    vectors = _store(arguments.vectors)
    job = Job("streamed", HOOK, None, D_SAE, recipe.of("topk", ""), 1)
    unit = Unit((job,), recipe, "cpu", BATCH, resident=False)
    reports: list[StepReport] = []

    def stop(report: StepReport) -> None:
        reports.append(report)
        if report.step >= arguments.steps:
            raise Enough

    before, peak = _own_memory(), _Peak()
    started = time.perf_counter()
    try:
        train_unit(unit, vectors, on_step=stop)
    except Enough:
        seconds = time.perf_counter() - started
    else:
        seconds = time.perf_counter() - started
    group = Group("topk", D_IN, D_SAE, 1, BATCH, arguments.vectors)
    needs = {
        resident: training_need(
            group, n_together=1, micro_batch=BATCH, resident=resident, is_cuda=False
        )
        for resident in (False, True)
    }
    size = sum(path.stat().st_size for path in FOLDER.glob("*.npy"))
    print(f"{arguments.vectors} vectors of {D_IN}: {size / 1e9:.2f} GB on disk in half precision")
    print(
        f"{reports[-1].step} steps of {BATCH} in {seconds:.0f} s, the input scale's pass included"
    )
    print(f"own memory: {before / 1e6:.0f} MB before, {peak.stop() / 1e6:.0f} MB at its largest")
    for resident, need in needs.items():
        beside = need.size_bytes - need.of("process")
        name = "resident" if resident else "streamed"
        print(f"planned beside the process, vectors {name}: {beside / 1e6:.0f} MB")
    shutil.rmtree(FOLDER)


def _store(n_vectors: int) -> dict[str, object]:
    """Random vectors as a capture leaves them."""
    import torch

    from retrain.activations.store import ActivationStore, CapturedFrom

    shutil.rmtree(FOLDER, ignore_errors=True)
    sizes = [SHARD] * (n_vectors // SHARD)
    if n_vectors % SHARD:
        sizes.append(n_vectors % SHARD)
    store = ActivationStore(
        folder=FOLDER,
        hook_names=(HOOK,),
        captured_from=CapturedFrom("0" * 64, "random numbers", longest=1),
        shard_vectors=np.array(sizes, dtype=np.int64),
        passage_vectors=np.ones(n_vectors, dtype=np.int64),
        held_out_vectors=np.ones(1, dtype=np.int64),
        order=np.arange(n_vectors, dtype=np.int64),
    )
    store.begin()
    generator = torch.Generator().manual_seed(0)
    for number, size in enumerate(sizes):
        store.write_shard(
            number, {HOOK: torch.randn(size, D_IN, generator=generator).to(torch.float16)}
        )
    return dict(store.vectors())


def _own_memory() -> int:
    info = psutil.Process().memory_info()
    # Linux counts mapped files as shared; Windows names private memory as such.
    return int(getattr(info, "private", info.rss - getattr(info, "shared", 0)))


class _Peak:
    """The largest own memory from now until `stop`, looked at ten times a second."""

    def __init__(self) -> None:
        self._largest, self._stopped = 0, threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _watch(self) -> None:
        while not self._stopped.wait(0.1):
            self._largest = max(self._largest, _own_memory())

    def stop(self) -> int:
        """End, and return it in bytes."""
        self._stopped.set()
        self._thread.join()
        return self._largest


if __name__ == "__main__":
    main()
