"""What `release measure` takes on a build, and the share of each table.

    python -m benchmarks.measuring manifests/demo-smollm2-135m-instruct.yaml --build build

The build must have its SAEs; nothing that was kept of an earlier measuring is used but activations,
where they are still those of the data. Each part is timed where the stage calls it, without what
it calls of the other parts; the rest is loading, reading and writing.
"""

from __future__ import annotations

import argparse
import importlib
import shutil
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PARTS = {
    "base model and activations": (
        ("validators.evidence.completions", "capture_completions"),
        ("validators.base_models.access", "load_base_model"),
    ),
    "SAEs on the vectors": (("validators.manual.path_agreement", "run_saelens"),),
    "probes": (("validators.measuring.probing", "linear_probe"),),
    "effect sizes and their null": (
        ("validators.measuring.sae_results", "largest_effect"),
        ("validators.measuring.sae_results", "effect_of_chosen"),
    ),
    "stability over halves": (("validators.measuring.sae_results", "split_stability"),),
    "stability over seeds": (("validators.measuring.sae_results", "retrained_stability"),),
    "top features": (("validators.measuring.sae_results", "top_completions"),),
    "steering": (("validators.measuring.steering", "measure_steering"),),
    "paired comparisons": (
        ("validators.measuring.comparisons", "compare_probes"),
        ("validators.measuring.stage", "contrasts"),
    ),
}


class Clock:
    """Wall time by part; time inside a part within a part counts for the inner one."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._inside: list[str] = []
        self._since = 0.0

    def timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, whose time is counted."""

        def wrapper(*args: Any, **kwargs: Any) -> Any:
            self._turn()
            self._inside.append(part)
            try:
                return function(*args, **kwargs)
            finally:
                self._turn()
                self._inside.pop()

        return wrapper

    def _turn(self) -> None:
        now = time.perf_counter()
        if self._inside:
            self.seconds[self._inside[-1]] += now - self._since
        self._since = now


@contextmanager
def every_part_timed(clock: Clock) -> Iterator[None]:
    """Replace each part's functions where the stage looks them up."""
    replaced = []
    for part, functions in PARTS.items():
        for module_name, name in functions:
            module = importlib.import_module(module_name)
            replaced.append((module, name, getattr(module, name)))
            setattr(module, name, clock.timed(part, getattr(module, name)))
    try:
        yield
    finally:
        for module, name, function in replaced:
            setattr(module, name, function)


def main() -> None:
    """Measure a build in a copy of its folder, and print one line for each part."""
    from manifests.build_folder import BuildFolder
    from manifests.load import load_manifest
    from manifests.progress import Silent
    from release.measuring import measure_release

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--build", type=Path, default=Path("build"))
    parser.add_argument("--base-model")
    options = parser.parse_args()
    loaded = load_manifest(options.manifest)
    source = BuildFolder(options.build / loaded.name)
    with tempfile.TemporaryDirectory() as folder:
        build = BuildFolder(Path(folder) / loaded.name)
        shutil.copytree(
            source.root, build.root, ignore=shutil.ignore_patterns("measured", "report.json")
        )
        clock = Clock()
        started = time.perf_counter()
        with every_part_timed(clock):
            measured = measure_release(
                loaded, build, base_model=options.base_model, progress=Silent()
            )
        whole = time.perf_counter() - started
    assert measured.report.tables is not None
    print(f"{len(measured.report.tables.saes)} SAEs, {measured.n_made} parts computed")
    for part, seconds in sorted(clock.seconds.items(), key=lambda item: -item[1]):
        print(f"{part:30} {seconds:8.1f} s {seconds / whole:7.1%}")
    rest = whole - sum(clock.seconds.values())
    print(f"{'the rest':30} {rest:8.1f} s {rest / whole:7.1%}")
    print(f"{'all of it':30} {whole:8.1f} s")


if __name__ == "__main__":
    main()
