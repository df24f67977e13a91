"""How large the largest Cohen's d is when the labels mean nothing, at the sizes of the GF-1 card.

    python -m benchmarks.chance_of_d [--repetitions 20] [--permutations 1000] [--seed 0]

19 vectors of each class, and 30 of one and 19 of the other; 181 latents that are alive of 6144. The
latents are (i) independent normal numbers, and (ii) sparse and non-negative as a TopK SAE gives
them: the 16 largest of 6144 noisy values of each vector, where a latent's mean is drawn once, with
a spread at which about 181 latents are ever active. How often each latent fires is not on the card,
so both ends are added: (iii) 181 latents that are all equally rare, and (iv) 11 that are always
active, the most that leave 38 vectors room for 170 others, which are active once or twice. Each
repetition draws new latents and permutes their labels.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from validators.metrics.effect_size import permuted_d  # noqa: E402
from validators.metrics.label_permutations import permuted_labels  # noqa: E402

D_SAE, K, N_ALIVE = 6144, 16, 181
N_ALWAYS = 11
SIZES = ((19, 19), (30, 19))
# What the card prints: training, seeds 101, 107, 113, the "original", and the best of T8.
CARD = {"T8": 0.485, "seed 101": 0.561, "seed 113": 0.643, "train": 0.724, "seed 107": 0.775}
QUANTILES = (0.025, 0.05, 0.5, 0.95, 0.975)

Generator = np.random.Generator
Floats = NDArray[np.float64]


def normal(n: int, generator: Generator) -> Floats:
    """Latents [n, 181], independent and normal."""
    return generator.normal(size=(n, N_ALIVE))


def topk(n: int, generator: Generator, *, spread: float) -> Floats:
    """Latents [n, 6144] of which 16 are active on each vector; means differ by `spread`."""
    values = spread * generator.normal(size=D_SAE) + generator.normal(size=(n, D_SAE))
    return keep_largest(values)


def topk_of_alive(n: int, generator: Generator) -> Floats:
    """Latents [n, 181] of which 16 are active on each vector, all of them equally often."""
    # Shifted so that what is kept is positive.
    return keep_largest(generator.normal(size=(n, N_ALIVE)) + 10)


def topk_with_always(n: int, generator: Generator) -> Floats:
    """Latents of which 11 are active on every vector and 5 others drawn for each vector."""
    n_slots, n_rare = n * (K - N_ALWAYS), N_ALIVE - N_ALWAYS
    # Of m latents, drawn n_slots times, m (1 - (1 - 1 / m)^n_slots) come up at least once.
    sizes = np.arange(n_rare, D_SAE)
    expected = sizes * (1 - (1 - 1 / sizes) ** n_slots)
    m = int(sizes[np.abs(expected - n_rare).argmin()])
    always = generator.normal(size=(n, N_ALWAYS)) + 10
    rare = generator.normal(size=(n, m)) + 10
    return np.hstack([always, keep_largest(rare, K - N_ALWAYS)])


def keep_largest(values: Floats, k: int = K) -> Floats:
    """The k largest values of each row, 0 elsewhere."""
    kept = np.zeros_like(values)
    largest = np.argpartition(-values, k, axis=1)[:, :k]
    np.put_along_axis(kept, largest, np.take_along_axis(values, largest, axis=1), axis=1)
    return np.maximum(kept, 0)


def spread_for(n: int, seed: int) -> float:
    """The spread of means at which about 181 latents are active on some of n vectors."""
    low, high = 0.0, 20.0
    for _ in range(20):
        middle = (low + high) / 2
        alive = [
            (topk(n, np.random.default_rng((seed, draw)), spread=middle) != 0).any(axis=0).sum()
            for draw in range(8)
        ]
        low, high = (middle, high) if np.mean(alive) > N_ALIVE else (low, middle)
    return (low + high) / 2


def null_of_d_max(latents: Floats, n_positive: int, *, n_permutations: int, seed: int) -> Floats:
    """[n_permutations] largest |d| under permuted labels, all vectors exchangeable."""
    y = np.arange(len(latents)) < n_positive
    labels = permuted_labels(y, np.zeros(len(y), np.int64), n_permutations, seed)
    largest = np.zeros(n_permutations)
    for rows, _, d in permuted_d(latents, labels):
        largest[rows] = np.fmax(largest[rows], np.fmax.reduce(np.abs(d), axis=1))
    return largest


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=20)
    parser.add_argument("--permutations", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    started = time.process_time()
    print(
        f"{'latents':28}{'n':>7}{'alive':>7}{'median':>8}{'5-95%':>13}{'2.5-97.5%':>13}"
        f"{'medians of one':>16}  share of the null at or above the card's numbers"
    )
    for n_positive, n_negative in SIZES:
        n = n_positive + n_negative
        spread = spread_for(n, arguments.seed)
        kinds: dict[str, Callable[[int, Generator], Floats]] = {
            "(i) normal": normal,
            f"(ii) TopK, spread {spread:.2f}": partial(topk, spread=spread),
            "(iii) TopK, all equally rare": topk_of_alive,
            "(iv) TopK, 11 always active": topk_with_always,
        }
        for name, draw in kinds.items():
            nulls, alive = [], []
            for repetition in range(arguments.repetitions):
                latents = draw(n, np.random.default_rng((arguments.seed, 1, repetition)))
                alive.append(int((latents != 0).any(axis=0).sum()))
                nulls.append(
                    null_of_d_max(
                        latents,
                        n_positive,
                        n_permutations=arguments.permutations,
                        seed=repetition,
                    )
                )
            show(name, f"{n_positive}/{n_negative}", float(np.mean(alive)), nulls)
    print(
        f"{arguments.repetitions} repetitions x {arguments.permutations} permutations each; "
        f"seed {arguments.seed}; {time.process_time() - started:.0f} s of CPU"
    )


def show(name: str, sizes: str, alive: float, nulls: list[Floats]) -> None:
    """One line: quantiles over all repetitions, and the range of the repetitions' own medians."""
    whole = np.concatenate(nulls)
    low, low_90, median, high_90, high = np.quantile(whole, QUANTILES)
    medians = [float(np.median(null)) for null in nulls]
    beyond = ", ".join(f"{value:.3f}: {(whole >= value).mean():.2f}" for value in CARD.values())
    print(
        f"{name:28}{sizes:>7}{alive:7.0f}{median:8.2f}{f'{low_90:.2f}-{high_90:.2f}':>13}"
        f"{f'{low:.2f}-{high:.2f}':>13}{f'{min(medians):.2f}-{max(medians):.2f}':>16}  {beyond}"
    )


if __name__ == "__main__":
    main()
