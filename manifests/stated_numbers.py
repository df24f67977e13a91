"""Every number that a manifest states or that follows from it, each under a name to cite it by.

Numbers in names of reported facts ("with seed 101") count as stated, and so do those in the
condition of a claim.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from manifests.hooks import depth_percent
from manifests.matrix import sae_specs
from manifests.model import Manifest

# Of these the numbers are no facts on the release, or are walked by a rule of their own.
_NOT_WALKED = {"schema_version", "reported", "claims", "citations", "accept", "saes", "caveats"}
_IN_TEXT = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?![\w.]*[A-Za-z])")
BITS = {"fp32": 32, "fp16": 16, "bf16": 16, "int8": 8, "nf4": 4, "fp4": 4}


@dataclass(frozen=True)
class StatedNumber:
    """A number and where it comes from: a key of the manifest, or what was derived."""

    name: str
    value: float


def stated_numbers(manifest: Manifest) -> tuple[StatedNumber, ...]:
    """All of them; a value that several keys have stands once for each.

    Raises:
        MatrixProblem: the matrix of SAEs cannot be told apart.
    """
    return (
        *_of_the_matrix(manifest),
        *_of_the_base_model(manifest),
        *_of_the_data(manifest),
        *_reported(manifest),
        *_leaves(
            {k: v for k, v in manifest.resolved().items() if k not in _NOT_WALKED}, "the manifest"
        ),
        *(
            StatedNumber(f"the condition of claims.{index}", _value(number))
            for index, claim in enumerate(manifest.claims)
            for number in _IN_TEXT.findall(claim.holds_if)
        ),
    )


def _of_the_matrix(manifest: Manifest) -> Iterator[StatedNumber]:
    specs, matrix = sae_specs(manifest), manifest.saes
    d_in, n_layers = manifest.base_model.d_model, manifest.base_model.n_layers
    layers = sorted({spec.layer for spec in specs})
    yield StatedNumber("the number of SAEs", len(specs))
    yield StatedNumber("the number of plain SAEs", sum(not spec.variant for spec in specs))
    yield StatedNumber("the number of layers with SAEs", len(layers))
    yield StatedNumber("the number of architectures", len({spec.architecture for spec in specs}))
    yield StatedNumber("the number of conditions", len({spec.condition for spec in specs}))
    yield StatedNumber("saes.expansion", matrix.expansion)
    yield StatedNumber("d_sae", matrix.expansion * d_in)
    for axis in ("layer", "architecture", "condition", "variant"):
        for value, count in Counter(getattr(spec, axis) for spec in specs).items():
            yield StatedNumber(f"the number of SAEs of {axis} {value or '(plain)'}", count)
    for key, count in Counter((s.architecture, s.variant) for s in specs).items():
        yield StatedNumber(f"the number of SAEs of {' '.join(filter(None, key))}", count)
    for architecture, variant in {(s.architecture, s.variant) for s in specs}:
        own = {s.layer for s in specs if (s.architecture, s.variant) == (architecture, variant)}
        yield StatedNumber(f"the layers of {architecture} {variant}".rstrip(), len(own))
    for layer in layers:
        yield StatedNumber("saes.layers", layer)
        yield StatedNumber(f"the depth of layer {layer} in %", depth_percent(layer, n_layers))


def _of_the_base_model(manifest: Manifest) -> Iterator[StatedNumber]:
    model = manifest.base_model
    yield StatedNumber("the bits of base_model.precision.weights", BITS[model.precision.weights])
    for name, bits in BITS.items() if model.n_parameters else ():
        size_bytes = (model.n_parameters or 0) * bits / 8
        yield StatedNumber(f"the base model's weights in {name}, 10^9 bytes", size_bytes / 1e9)
        yield StatedNumber(f"the base model's weights in {name}, GiB", size_bytes / 2**30)


def _of_the_data(manifest: Manifest) -> Iterator[StatedNumber]:
    data = manifest.data
    counts = {name: condition.n for name, condition in data.conditions.items() if condition.n}
    for (first, n_first), (second, n_second) in itertools.permutations(counts.items(), 2):
        if n_first < n_second:
            name = f"data.conditions.{first}.n in % of {second}.n"
            yield StatedNumber(name, 100 * n_first / n_second)
    yield StatedNumber("the number of data.scenarios", len(data.scenarios))
    for kind, count in Counter(scenario.kind for scenario in data.scenarios).items():
        yield StatedNumber(f"the number of scenarios of kind {kind}", count)
    n_noted = sum(scenario.note is not None for scenario in data.scenarios)
    yield StatedNumber("the number of scenarios with a note", n_noted)
    if data.sampling is not None:
        n_scenarios = len(data.sampling.scenarios)
        yield StatedNumber("the number of data.sampling.scenarios", n_scenarios)
        sampled = n_scenarios * data.sampling.per_scenario
        yield StatedNumber("the completions that data.sampling asks for", sampled)
    if data.held_out is not None:
        yield StatedNumber("the share that is trained on", 1 - data.held_out.fraction)


def _reported(manifest: Manifest) -> Iterator[StatedNumber]:
    for fact in manifest.reported:
        is_count = fact.unit == "count" and fact.value == int(fact.value)
        value = int(fact.value) if is_count else fact.value
        yield StatedNumber(f"reported {fact.name!r}", value)
        if fact.unit == "%":
            yield StatedNumber(f"reported {fact.name!r} as a share", value / 100)
        for key in ("plus_minus", "n", "out_of", "layer"):
            beside = getattr(fact, key)
            if beside is not None:
                yield StatedNumber(f"{key} of reported {fact.name!r}", beside)
        if fact.out_of is not None:
            share = 100 * fact.value / fact.out_of
            yield StatedNumber(f"reported {fact.name!r} in %", share)
            yield StatedNumber(f"the rest of reported {fact.name!r} in %", 100 - share)
        named = " ".join(filter(None, (fact.name, fact.split)))
        for number in _IN_TEXT.findall(named):
            yield StatedNumber(f"the name of reported {fact.name!r}", _value(number))


def _leaves(value: Any, name: str) -> Iterator[StatedNumber]:
    """The numbers inside mappings and lists, by their dotted keys."""
    if isinstance(value, bool) or value is None:
        return
    if isinstance(value, int | float):
        yield StatedNumber(name.removeprefix("the manifest."), value)
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, f"{name}.{key}")
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner, name)


def _value(digits: str) -> float:
    return float(digits) if "." in digits else int(digits)
