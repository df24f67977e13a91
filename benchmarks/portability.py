"""The demonstration's SAEs on four layers under five precisions of their base model.

    python -m benchmarks.portability [--threads 2] [--precisions fp32,fp16,bf16,int8,nf4]

The demonstration has SAEs on two layers; this takes its manifest with four, all architectures and
the condition of both labels. Both commands are run as a user runs them, in processes of their own,
whose largest resident memory is watched.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
# Not after this file's folder, where portability.py would be taken for a package.
sys.path.insert(0, str(ROOT))

from benchmarks.whole_release import watched  # noqa: E402

DEMO = ROOT / "manifests" / "demo-smollm2-135m-instruct.yaml"
OUT = ROOT / "build" / "benchmarks" / "portability"
# What the text of the manifest says, and what it says here.
CHANGES = {
    "layers: [9, 18]": "layers: [4, 9, 18, 26]",
    "conditions: [mixed, deceptive_only]": "conditions: [mixed]",
    "repo_id: demo/deception-saes-smollm2-135m-instruct": "repo_id: demo/four-layers",
}
SHOWN = (
    "residual_error_about_mean",
    "explained_variance",
    "explained_variance_drop",
    "jaccard",
    "latent_correlation",
    "alive_shift",
    "d_max",
    "probe_own",
    "probe_transferred",
    "ce_recovered",
)


def main() -> None:
    """Train, run the command, and print times, sizes and the spread over the SAEs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precisions", default="fp32,fp16,bf16,int8,nf4")
    options = parser.parse_args()
    manifest = _manifest()
    shared = [str(manifest), "--build", str(OUT)]
    release = [sys.executable, "-W", "ignore", "-m", "release"]
    trained, _ = watched([*release, "retrain", *shared], threads=options.threads)
    command = [*release, "portability", *shared, "--precisions", options.precisions]
    seconds, peak = watched(command, threads=options.threads)
    text = (OUT / manifest.stem / "repository" / "report.json").read_text(encoding="utf-8")
    section = json.loads(text)["portability"]
    print(f"training first: {trained:.0f} s")
    print(f"release portability: {seconds:.0f} s, {peak / 1e9:.2f} GB, {options.threads} threads")
    _show(section)


def _manifest() -> Path:
    """The changed manifest, beside a copy of its data."""
    text = DEMO.read_text(encoding="utf-8")
    for before, after in CHANGES.items():
        if text.count(before) != 1:
            raise SystemExit(f"{DEMO.name} does not say {before!r} once")
        text = text.replace(before, after)
    path = OUT / "manifests" / "four-layers.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    shutil.copytree(DEMO.parent / "data", path.parent / "data", dirs_exist_ok=True)
    return path


def _show(section: dict[str, Any]) -> None:
    for label, found in section["precisions"].items():
        metrics = {name: one["value"] for name, one in found["metrics"].items()}
        print(f"{label}: {metrics if metrics else found['refused']}")
    for metric in SHOWN:
        values: dict[str, list[float]] = defaultdict(list)
        for shifts in section["saes"].values():
            for label, shift in shifts.items():
                value = shift["metrics"].get(metric, {}).get("value")
                if value is not None:
                    values[label].append(value)
        spread = (f"{label} {min(v):.4g} to {max(v):.4g}" for label, v in values.items() if v)
        print(f"{metric}: {'; '.join(spread)}")
    for label in section["precisions"]:
        verdicts: dict[str, int] = defaultdict(int)
        for shifts in section["saes"].values():
            verdicts[shifts[label]["verdict"]["verdict"]] += 1
        print(f"verdicts at {label}: {dict(verdicts)}")


if __name__ == "__main__":
    main()
