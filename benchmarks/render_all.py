"""All cards of a study compared with what rendering gives: 9 manifests, 348 SAEs.

    python benchmarks/render_all.py [--repeats 5]

The builds are stand-ins in a temporary folder: reports with tables and portability, and training
records, of random numbers; no weights, which rendering does not read. They are rendered once,
which draws their figures, and then `release render --all --check` is timed in processes of their
own, from the interpreter's start to its end. A stale card or an import of torch fails the run. The
user CPU's seconds stand beside: on a busy machine a process waits for its turn, and what it
shares a core with slows it down. The load says how busy it was.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "cards")]
# Layers of each stand-in; every layer has 3 architectures in 2 conditions, so 58 x 6 = 348 SAEs.
LAYERS = (7, 7, 7, 7, 6, 6, 6, 6, 6)
SAES_PER_LAYER = 6
BUDGET_SECONDS = 2.0
CHILD = """
import os, sys
from release.cli import main
code = main(sys.argv[1:])
print(os.times().user, file=sys.stderr)
sys.exit("torch was imported" if "torch" in sys.modules else code)
"""


def main() -> None:
    """Make the builds, draw their figures, time both ways of rendering, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        n_saes = make_builds(work)
        first = seconds_of(work)
        checks = [seconds_of(work, "--check") for _ in range(repeats)]
        again = [seconds_of(work) for _ in range(repeats)]
    load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "not known"
    print(
        f"{len(LAYERS)} manifests, {n_saes} SAEs; seconds of a whole process, {repeats} runs; load "
        f"of the machine {load}, {os.cpu_count()} cores\n"
    )
    print(f"{'':46} {'median':>7} {'slowest':>8} {'user CPU':>9} {'least':>6}")
    for name, found in (
        ("render --all, nothing there: figures are drawn", [first]),
        ("render --all --check, nothing changed", checks),
        ("render --all, nothing changed", again),
    ):
        wall, cpu = zip(*found, strict=True)
        median = statistics.median
        print(f"{name:46} {median(wall):7.2f} {max(wall):8.2f} {median(cpu):9.2f} {min(cpu):6.2f}")
    seconds = max(statistics.median(wall for wall, _ in found) for found in (checks, again))
    verdict = "within" if seconds < BUDGET_SECONDS else "ABOVE"
    print(f"\nBoth with nothing changed: {verdict} {BUDGET_SECONDS:g} s, without torch.")


def seconds_of(work: Path, *options: str) -> tuple[float, float]:
    """How long one `release render --all` takes with the interpreter's start, and of user CPU.

    Raises:
        SystemExit: it did not end with 0, or torch was imported.
    """
    places = ("--manifests", str(work / "manifests"), "--build", str(work / "builds"))
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", CHILD, "render", "--all", *places, *options],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    seconds = time.perf_counter() - started
    if done.returncode:
        raise SystemExit(f"exit {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return seconds, float(done.stderr.splitlines()[-1])


def make_builds(work: Path) -> int:
    """Write the manifests and their builds; how many SAEs they have together."""
    from made_release import MANIFEST, make_release

    from manifests.build_folder import BuildFolder
    from manifests.load import load_manifest

    numbers = random.Random(0)  # noqa: S311 - stand-ins, not secrets
    n_saes = 0
    for index, n_layers in enumerate(LAYERS):
        name = f"system-{index}"
        manifest: dict[str, Any] = {**MANIFEST, "repo_id": f"demo/{name}"}
        manifest["base_model"] = {**MANIFEST["base_model"], "n_layers": 2 * n_layers}
        manifest["saes"] = {**MANIFEST["saes"], "layers": list(range(1, 2 * n_layers, 2))}
        made = make_release(work / "manifests", manifest).with_tables().with_portability()
        path = made.loaded.path.rename(work / "manifests" / f"{name}.yaml")
        build = BuildFolder(work / "builds" / name)
        report = with_random_numbers(made.report, numbers)
        replace(made, loaded=load_manifest(path), build=build, report=report).write()
        n_saes += len(made.loaded.saes)
    assert n_saes == SAES_PER_LAYER * sum(LAYERS)
    return n_saes


def with_random_numbers(report: Any, numbers: random.Random) -> Any:
    """The report with another explained variance and another L0 for every SAE."""
    saes = {
        sae_id: {
            **metrics,
            "explained_variance": metrics["explained_variance"].model_copy(
                update={"value": numbers.uniform(0.2, 0.95)}
            ),
            "l0": metrics["l0"].model_copy(update={"value": numbers.uniform(1.0, 30.0)}),
        }
        for sae_id, metrics in report.measurements.saes.items()
    }
    measurements = report.measurements.model_copy(update={"saes": saes})
    return report.model_copy(update={"measurements": measurements})


if __name__ == "__main__":
    main()
