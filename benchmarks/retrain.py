"""Milliseconds of a training step: ours, other trainers', and the floor of dense products.

    python -m benchmarks.retrain [--threads 2] [--shapes 576x2304 2048x8192] [--batch 128]
        [--architectures topk jumprelu gated batchtopk] [--json FILE]
    python -m benchmarks.retrain --gpu [--manifests tinyllama-1-1b ...] [--device cuda]

All are timed in one run, in turns of a few steps whose order changes from round to round; the
medians count. A step is whole: gathering the batch, forward, backward, optimiser, decoder of unit
rows. The floor is what a dense float32 step cannot do without: its products, written into arrays
that are there already, and nothing else. Vectors are random and no latent is dead.

JumpReLU is timed in two states, set by one threshold for the same weights in every contender: with
as many latents active as TopK has, which is where a training spends its steps, and with a third of
them, where it begins. The table has the L0 that each contender had in the end.

With `--gpu`, all SAEs of whole manifests are trained instead: see `benchmarks/whole_manifests.py`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
# Not after this file's folder, where this very file would be the package `retrain`.
sys.path.insert(0, str(ROOT))

from benchmarks.product_floor import GATED_PRODUCTS, PRODUCTS, floor  # noqa: E402
from benchmarks.saelens_trainers import ARCHITECTURES, Architecture  # noqa: E402
from benchmarks.step_contenders import CONTENDERS, ONLY_TOPK, Contender, Problem  # noqa: E402

FLOOR = "floor: products"
N_VECTORS = 4096
K = 64
WARMUP_STEPS = 3


@dataclass(frozen=True)
class Timing:
    """The steps of one contender on one problem, in milliseconds.

    Attributes:
        active: latents that JumpReLU's thresholds were to leave active; None elsewhere.
        l0: what they left active after the steps; None elsewhere and of the floor.
    """

    architecture: Architecture
    d_in: int
    d_sae: int
    batch: int
    active: int | None
    l0: float | None
    name: str
    median_ms: float
    low_ms: float
    high_ms: float
    n_steps: int


def main() -> None:
    """Time the steps and print a table, or train whole manifests."""
    arguments = _arguments()
    import torch

    torch.set_num_threads(arguments.threads)
    if arguments.gpu:
        from benchmarks.whole_manifests import train_manifests

        results = train_manifests(
            arguments.manifests, device=arguments.device, scale_down=arguments.scale_down
        )
        _write(arguments.json, results)
        return
    print(
        f"float32, CPU, {arguments.threads} threads, batch {arguments.batch}, k {K}; "
        f"floor: {', '.join(PRODUCTS)}; for Gated also {', '.join(GATED_PRODUCTS)}"
    )
    timings: list[Timing] = []
    for d_in, d_sae in arguments.shapes:
        for architecture in arguments.architectures:
            for active in (K, d_sae // 3) if architecture == "jumprelu" else (None,):
                made, missing = time_one(
                    architecture,
                    (d_in, d_sae),
                    arguments.batch,
                    active,
                    rounds=arguments.rounds,
                    steps=arguments.steps,
                )
                timings += made
                print("\n".join(["", *table(made, missing)]), flush=True)
    _write(
        arguments.json,
        {
            "threads": arguments.threads,
            "torch": torch.__version__,
            "timings": [asdict(timing) for timing in timings],
        },
    )


def time_one(
    architecture: Architecture,
    shape: tuple[int, int],
    batch: int,
    active: int | None,
    *,
    rounds: int,
    steps: int,
) -> tuple[list[Timing], dict[str, str]]:
    """Every contender in turns on one problem, and why some could not take part.

    Args:
        architecture: of the SAEs.
        shape: d_in and d_sae.
        batch: vectors of a step.
        active: latents that are active on a vector, where thresholds decide.
        rounds: turns of each contender.
        steps: of each turn.
    """
    import torch

    d_in, d_sae = shape
    z = torch.randn(N_VECTORS, d_in, generator=torch.Generator().manual_seed(0)) / d_in**0.5
    problem = Problem(architecture, z, d_sae, batch, K, active)
    started = {FLOOR: Contender(floor(d_in, d_sae, batch, is_gated=architecture == "gated"))}
    missing: dict[str, str] = {}
    for name, start in CONTENDERS.items():
        if name in ONLY_TOPK and architecture != "topk":
            continue
        try:
            contender = start(problem)
            contender.timed(WARMUP_STEPS)
        except ImportError as error:
            missing[name] = f"cannot be imported: {error}"
        except NotImplementedError as error:
            missing[name] = f"cannot train here: {str(error).partition('. ')[0]}"
        else:
            started[name] = contender
    times: dict[str, list[float]] = {name: [] for name in started}
    names = list(started)
    for number in range(rounds):
        shift = number % len(names)
        for name in names[shift:] + names[:shift]:
            times[name] += started[name].timed(steps)
    made = [
        Timing(
            architecture=architecture,
            d_in=d_in,
            d_sae=d_sae,
            batch=batch,
            active=active,
            l0=started[name].l0(problem),
            name=name,
            median_ms=statistics.median(own),
            low_ms=statistics.quantiles(own, n=10)[0],
            high_ms=statistics.quantiles(own, n=10)[-1],
            n_steps=len(own),
        )
        for name, own in times.items()
    ]
    return made, missing


def table(timings: Sequence[Timing], missing: dict[str, str]) -> list[str]:
    """Lines on one problem; ratios are of medians."""
    by_name = {timing.name: timing for timing in timings}
    least, our = by_name[FLOOR].median_ms, by_name["ours"].median_ms
    first = timings[0]
    state = "" if first.active is None else f", {first.active} latents active"
    lines = [
        f"{first.architecture} {first.d_in} -> {first.d_sae}{state}",
        f"  {'':22} {'ms/step':>8} {'10% .. 90%':>17} {'x floor':>8} {'x ours':>7} {'L0':>7}",
    ]
    lines += [
        f"  {timing.name:22} {timing.median_ms:8.2f} "
        f"{f'{timing.low_ms:.2f} .. {timing.high_ms:.2f}':>17} "
        f"{timing.median_ms / least:8.2f} {timing.median_ms / our:7.2f} "
        f"{'' if timing.l0 is None else f'{timing.l0:.1f}':>7}".rstrip()
        for timing in timings
    ]
    lines += [f"  {name:22} not timed: {reason}" for name, reason in missing.items()]
    # A step that touches k of d_sae latents has less to do than the dense one, once they are many.
    is_sparse = first.architecture == "topk" and first.d_sae >= 8192
    aim = "below 1" if is_sparse else "at most 1.3"
    lines.append(
        f"  ours: {our / least:.2f} times the floor (aim: {aim}), "
        f"{by_name['SAELens'].median_ms / our:.2f} times as fast as SAELens (aim: at least 2)"
    )
    return lines


def _write(path: Path | None, results: Any) -> None:
    if path is not None:
        text = json.dumps(results, indent=1) + "\n"
        path.write_text(text, encoding="utf-8", newline="\n")


def _shape(text: str) -> tuple[int, int]:
    d_in, _, d_sae = text.partition("x")
    return int(d_in), int(d_sae)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--shapes", type=_shape, nargs="+", default=[(576, 2304), (2048, 8192)], metavar="INxSAE"
    )
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument(
        "--architectures", nargs="+", choices=ARCHITECTURES, default=list(ARCHITECTURES)
    )
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--steps", type=int, default=5, help="steps of each turn")
    parser.add_argument("--json", type=Path, help="write the numbers there")
    parser.add_argument("--gpu", action="store_true", help="train all SAEs of whole manifests")
    parser.add_argument(
        "--manifests", nargs="+", default=["tinyllama-1-1b", "smollm2-135m", "nanochat-d32"]
    )
    parser.add_argument("--device", default="cuda", help="with --gpu")
    parser.add_argument(
        "--scale-down", action="store_true", help="with --gpu: widths of 16, to try the path"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
