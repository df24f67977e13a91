"""How often the probes find a signal that is there, and one that is not.

    python -m benchmarks.planted_signal [--repetitions 100] [--permutations 1000] [--d-in 64]

Synthetic activations of four layers: standard normal, with an offset for each group, groups of ten
vectors with both labels. Planted: at one layer the positive class is moved by one standard
deviation (d = 1) along one random direction. Then the peak of the raw profile is the planted layer,
with p < 0.05 corrected for taking the best of four, or it is not. Nothing planted: each of these
should come up in 5% of the repetitions, and in no more than the 95% binomial bound of that. The
second representation of a layer is ReLU latents of a random projection, twice as wide: each is
compared with its own layer and with the peak, and the four p-values are corrected.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from validators.metrics.folds import grouped_folds
from validators.metrics.linear_probe import Probe, linear_probe, peak_p_value
from validators.metrics.paired_tests import compare_probes, holm

N_LAYERS = 4
GROUP_SIZE = 10
LEVEL = 0.05
# Standard deviation of what the vectors of a group share, beside 1 of each vector's own.
OFFSET = 0.5


@dataclass(frozen=True)
class Data:
    """Vectors [n, d_in] of each layer, labels [n] and groups [n]; the layer with the signal."""

    layers: list[NDArray[np.float32]]
    y: NDArray[np.bool_]
    groups: NDArray[np.int64]
    planted: int


def synthetic(seed: int, *, d_in: int, per_class: int, d: float, one_label: bool) -> Data:
    """One repetition; with `one_label` all vectors of a group share their label."""
    generator = np.random.default_rng(seed)
    n = 2 * per_class
    groups = np.arange(n) // GROUP_SIZE
    y = groups % 2 == 1 if one_label else np.arange(n) % 2 == 1
    planted = int(generator.integers(N_LAYERS))
    layers = []
    for layer in range(N_LAYERS):
        size = 0.0 if one_label else OFFSET
        offsets = size * generator.standard_normal((n // GROUP_SIZE, d_in))
        x = generator.standard_normal((n, d_in))
        x += offsets[groups]
        direction = generator.standard_normal(d_in)
        if layer == planted:
            # Within a class an activation varies by its own noise and by its group's offset.
            length = d * np.sqrt(1 + size**2)
            x += length * np.outer(y, direction / np.linalg.norm(direction))
        layers.append(x.astype(np.float32))
    return Data(layers, y, groups, planted)


def latents(x: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    """ReLU latents [n, 2 d_in] of a random projection, each active on about a sixth of vectors."""
    d_in = x.shape[1]
    projection = np.random.default_rng(seed).standard_normal((d_in, 2 * d_in)) / np.sqrt(d_in)
    return np.asarray(np.maximum(x @ projection - 1, 0), dtype=np.float32)


def repetition(data: Data, seed: int, n_permutations: int) -> dict[str, bool]:
    """What was found in one repetition."""
    folds = grouped_folds(data.y, data.groups, seed=seed)

    def probe(x: NDArray[np.float32]) -> Probe:
        return linear_probe(x, data.y, data.groups, folds, seed=seed, n_permutations=n_permutations)

    raw = [probe(x) for x in data.layers]
    of_latents = [probe(latents(x, seed + i)) for i, x in enumerate(data.layers)]
    peak = int(np.argmax([one.tested for one in raw]))
    compared = [
        compare_probes(first, second, data.y, data.groups, seed=seed)
        for first, second in zip(raw, of_latents, strict=True)
    ]
    with_peak = [
        compare_probes(raw[peak], second, data.y, data.groups, seed=seed) for second in of_latents
    ]
    found_p = peak_p_value(raw)
    return {
        "the planted layer is the peak": peak == data.planted,
        "... and the peak's p < 0.05": peak == data.planted and found_p < LEVEL,
        "p < 0.05 of the first layer": raw[0].p_value < LEVEL,
        "p < 0.05 of the first layer's latents": of_latents[0].p_value < LEVEL,
        "p < 0.05 of the peak of four": found_p < LEVEL,
        "the first latents beat their layer": compared[0].p_value < LEVEL,
        "any of four beats its layer (Holm)": min(holm([c.p_value for c in compared])) < LEVEL,
        "any of four beats the peak (Holm)": min(holm([c.p_value for c in with_peak])) < LEVEL,
    }


def main() -> None:
    """Print one table for each way of making the data."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=100)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--permutations", type=int, default=1_000)
    parser.add_argument("--d-in", type=int, default=64)
    parser.add_argument("--per-class", type=int, default=100)
    options = parser.parse_args()
    n = options.repetitions
    bound = int(binom.ppf(0.95, n, LEVEL))
    cases = [
        ("one direction planted, d = 1", 1.0, False),
        ("nothing planted", 0.0, False),
        ("nothing planted, groups of one label", 0.0, True),
    ]
    for title, d, one_label in cases:
        started = time.process_time()
        counts: Counter[str] = Counter()
        for seed in range(options.first_seed, options.first_seed + n):
            data = synthetic(
                seed, d_in=options.d_in, per_class=options.per_class, d=d, one_label=one_label
            )
            found = repetition(data, seed, options.permutations)
            counts.update({name: int(is_so) for name, is_so in found.items()})
        limit = "at least 80% are asked for" if d else f"bound of a rate of 5%: {bound}"
        print(f"\n{title}: of {n} repetitions ({limit})")
        for name, count in counts.items():
            is_of_planted = "planted" in name or name.startswith("...")
            if d or not is_of_planted:
                print(f"  {name:42} {count:4}")
        print(f"  {time.process_time() - started:.0f} s of processor time", flush=True)


if __name__ == "__main__":
    main()
