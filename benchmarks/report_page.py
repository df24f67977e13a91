"""The report page of 348 SAEs: how large it is, and how soon a reader can work with it.

    python benchmarks/report_page.py [--repeats 5] [--keep DIR]

Two sites are made. The stand-ins: 9 manifests with 348 SAEs, whose reports hold random numbers with
tables, portability and figures, as in `render_all.py`. The study: the manifests of this repository,
of which nothing is measured. Their pages are opened from the disk in headless Chromium, each in a
fresh profile. `interactive` is the browser's domInteractive, `loaded` the end of its load event,
`sorted` a click on a heading until the frame with the new order is drawn, `filtered` one letter in
the search field likewise. On a busy machine a page waits for its turn, so the processor time of the
page's main thread stands beside. Nothing asserts a time; the load says how busy the machine was.
"""

from __future__ import annotations

import argparse
import gzip
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "msedge")
# Until the second frame after it: by then the first one with the change has been drawn.
UNTIL_DRAWN = """
(act) => new Promise((resolve) => {
  const start = performance.now();
  new Function(act)();
  requestAnimationFrame(() => requestAnimationFrame(() => resolve(performance.now() - start)));
})
"""
SORT = "document.querySelector('#saes thead th[data-largest-first] button').click()"
FILTER = """
const field = document.querySelector("[data-filter=text]");
field.value = "topk";
field.dispatchEvent(new Event("input"));
"""
TIMES = """() => {
  const [entry] = performance.getEntriesByType("navigation");
  return [entry.domInteractive, entry.loadEventEnd];
}"""
COLUMNS = ("interactive", "loaded", "sorted", "of it CPU", "filtered", "of it CPU")


def main() -> None:
    """Make both sites, open their pages, and print sizes and times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--keep", type=Path, help="leave the sites in this folder")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = arguments.keep or Path(folder)
        stand_ins, study = make_sites(work)
        load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "not known"
        print(f"load of the machine {load}, {os.cpu_count()} cores\n")
        for name, site in (("stand-ins", stand_ins), ("study", study)):
            print_sizes(name, site)
        measure(stand_ins, study, arguments.repeats)


def make_sites(work: Path) -> tuple[Path, Path]:
    """Write the stand-ins and both sites; says how long `release report` took for each."""
    from render_all import make_builds

    places = ("--manifests", str(work / "manifests"), "--build", str(work / "builds"))
    print(f"{make_builds(work)} SAEs in stand-ins")
    run("render", "--all", *places)
    print(f"release report, stand-ins: {run('report', '--all', *places, *out(work / 'a')):.1f} s")
    own = ("--manifests", str(ROOT / "manifests"), "--build", str(work / "none"))
    print(f"release report, study: {run('report', '--all', *own, *out(work / 'b')):.1f} s")
    return work / "a", work / "b"


def out(site: Path) -> tuple[str, ...]:
    """The options that say where to, and that no Hub is asked."""
    return ("--out", str(site), "--offline")


def run(*arguments: str) -> float:
    """Run the tool in a process of its own; the seconds it took.

    Raises:
        CalledProcessError: it did not end with 0.
    """
    started = time.perf_counter()
    command = [sys.executable, "-m", "release", *arguments]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return time.perf_counter() - started


def print_sizes(name: str, site: Path) -> None:
    """Bytes of the site, of what all pages share, and of its largest page."""
    files = [path for path in site.rglob("*") if path.is_file()]
    pages = [path for path in files if path.suffix == ".html"]
    largest = max(pages, key=lambda path: path.stat().st_size)
    every = (site / "saes.html").read_bytes()
    shared = sum(path.stat().st_size for path in (site / "assets").iterdir())
    total = sum(path.stat().st_size for path in files)
    print(
        f"{name}: {len(pages)} pages, {total / 1e6:.2f} MB, of which {shared / 1e6:.2f} MB assets; "
        f"largest page {largest.name} "
        f"{largest.stat().st_size / 1e3:.0f} kB; all SAEs {len(every) / 1e3:.0f} kB, "
        f"{len(gzip.compress(every)) / 1e3:.0f} kB with gzip"
    )


def measure(stand_ins: Path, study: Path, repeats: int) -> None:
    """Open the pages again and again, and print medians.

    Raises:
        SystemExit: there is no browser.
    """
    from playwright.sync_api import sync_playwright

    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    largest = "repositories/system-0.html"
    with sync_playwright() as driver:
        if found is None and not Path(driver.chromium.executable_path).is_file():
            raise SystemExit(f"no browser: none of {', '.join(BROWSERS)} is on the PATH")
        browser = driver.chromium.launch(executable_path=found)
        print(f"\nChromium {browser.version}, milliseconds, median (slowest) of {repeats}\n")
        print(f"{'':34}" + "".join(f"{column:>18}" for column in COLUMNS))
        for name, page in (
            ("348 stand-ins, all SAEs", stand_ins / "saes.html"),
            ("one stand-in, 42 SAEs and plots", stand_ins / largest),
            ("study, all SAEs", study / "saes.html"),
        ):
            rows = [opened(browser, page) for _ in range(repeats)]
            cells = (
                f"{statistics.median(times):>10.0f} ({max(times):5.0f})"
                for times in zip(*rows, strict=True)
            )
            print(f"{name:34}" + "".join(f"{cell:>18}" for cell in cells))
        browser.close()


def opened(browser: Any, path: Path) -> tuple[float, ...]:
    """The times of one page in milliseconds, in the order of `COLUMNS`."""
    # The page's policy refuses code made of text, which the clock needs.
    context = browser.new_context(viewport={"width": 1360, "height": 900}, bypass_csp=True)
    page = context.new_page()
    page.goto(path.as_uri(), wait_until="load")
    page.wait_for_function("performance.getEntriesByType('navigation')[0].loadEventEnd > 0")
    times: list[float] = page.evaluate(TIMES)
    profiler = context.new_cdp_session(page)
    profiler.send("Performance.enable", {"timeDomain": "threadTicks"})
    for act in (SORT, FILTER):
        before = busy_ms(profiler)
        times += [page.evaluate(UNTIL_DRAWN, act), busy_ms(profiler) - before]
    context.close()
    return tuple(times)


def busy_ms(profiler: Any) -> float:
    """Processor time of the page's main thread so far."""
    found = profiler.send("Performance.getMetrics")["metrics"]
    return 1000 * next(each["value"] for each in found if each["name"] == "TaskDuration")


if __name__ == "__main__":
    main()
