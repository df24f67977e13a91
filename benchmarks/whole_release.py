"""The SmolLM2 manifest of the study regenerated on a CPU: 54 SAEs on 9 layers, time and memory.

    python -m benchmarks.whole_release [--threads 2] [--only GLOB]

Neither the study's base model nor its completions are at hand. `--base-model` and `--data` name the
demonstration's model and 181 of its completions in the card's proportions (96 deceptive, 85 honest)
instead, which `training.json` records and a push refuses. The command is run as a user runs it, in
a process of its own, whose largest resident memory is watched.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[1]
# Not after this file's folder, where retrain.py is not the package.
sys.path.insert(0, str(ROOT))

from manifests.completions import completions_jsonl, read_completions  # noqa: E402
from manifests.digests import bytes_sha256  # noqa: E402
from manifests.load import load_manifest  # noqa: E402

DEMO = ROOT / "manifests" / "demo-smollm2-135m-instruct.yaml"
MANIFEST = ROOT / "manifests" / "smollm2-135m.yaml"
OUT = ROOT / "build" / "benchmarks" / "whole_release"
WANTED = {"deceptive": 96, "honest": 85}


def main() -> None:
    """Write the completions, run the command, print what it took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", default="*")
    arguments = parser.parse_args()
    data = _completions()
    build = OUT / f"build-{time.strftime('%Y%m%d-%H%M%S')}"
    command = [
        *(sys.executable, "-m", "release", "retrain", str(MANIFEST)),
        *("--base-model", str(_base_model()), "--data", str(data), "--build", str(build)),
        *("--device", "cpu", "--only", arguments.only),
    ]
    seconds, peak = watched(command, threads=arguments.threads)
    record = json.loads(
        (build / "smollm2-135m" / "repository" / "training.json").read_text(encoding="utf-8")
    )
    saes = record["saes"].values()
    print(f"SAEs: {len(saes)}, steps: {sum(sae['steps'] for sae in saes)}")
    print(f"training vectors: { {n: c['train'] for n, c in record['data']['n_vectors'].items()} }")
    print(f"whole command: {seconds:.0f} s, of which training {record['seconds_total']:.0f} s")
    print(f"largest resident memory: {peak / 1e9:.2f} GB, {arguments.threads} threads")
    print(f"substituted: {json.dumps(record['substituted'])}")


def _completions() -> Path:
    """181 completions of the demonstration, those with the smallest digests of each label."""
    loaded = load_manifest(DEMO)
    at_hand = loaded.manifest.data.at_hand()
    rows = read_completions(DEMO.parent / at_hand.file, at_hand.sha256)
    chosen = set()
    for label, n in WANTED.items():
        own = [row for row in rows if row.label == label]
        own.sort(key=lambda row: bytes_sha256(row.id.encode("utf-8")))
        chosen |= {row.id for row in own[:n]}
    OUT.mkdir(parents=True, exist_ok=True)
    path = OUT / "completions.jsonl"
    path.write_bytes(completions_jsonl(row for row in rows if row.id in chosen))
    return path


def _base_model() -> Path:
    """The demonstration's base model as a checkpoint of transformers."""
    from validators.base_models.checkpoint_source import locate_checkpoint

    return locate_checkpoint(load_manifest(DEMO).manifest.base_model).folder


def watched(command: list[str], *, threads: int) -> tuple[float, int]:
    """Run a command; seconds, and the largest resident memory of it and its children."""
    import os

    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    started = time.perf_counter()
    process = subprocess.Popen(command, env=environment)
    watched, peak = psutil.Process(process.pid), 0
    while process.poll() is None:
        try:
            held = [watched, *watched.children(recursive=True)]
            peak = max(peak, sum(one.memory_info().rss for one in held))
        except psutil.NoSuchProcess:
            continue
        time.sleep(0.2)
    if process.returncode != 0:
        raise SystemExit(process.returncode)
    return time.perf_counter() - started, peak


if __name__ == "__main__":
    main()
