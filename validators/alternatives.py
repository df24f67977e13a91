"""The same weights under other settings than the declared ones: does one of them do better?

A setting that was lost or mistyped leaves the weights as they were trained, so that the right
setting reconstructs better than the declared one. A plain maximum would cry wolf: chance decides
between settings that hardly matter, and a larger k always reconstructs more. So a setting wins only
by more than a margin, with an interval that excludes zero, and without spending more latents.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from validators.evidence.evidence import Sample
from validators.manual.forward import Floats
from validators.manual.sae import UnknownToManualPath, manual_sae
from validators.metrics.bootstrap import (
    Difference,
    explained_variance_difference,
    squared_errors,
    squares_about_mean,
)
from validators.metrics.undefined import UndefinedMetric
from validators.saelens.format import AUTOENCODERS, TOPK

if TYPE_CHECKING:
    from validators.subjects import SaeSubject

# Explained variance by which an alternative has to be better.
MARGIN = 0.02
# An alternative that needs more latents than this times the declared setting's buys its gain.
MAX_L0_RATIO = 1.1
# A penalty on the latents' size makes an SAE reconstruct too little, and one that fires rarely may
# gain from larger inputs: only a large gain says that the weights belong to another scale.
SCALE_MARGIN = 0.1
_SCALES = (0.25, 0.5, 0.67, 0.8, 0.9, 1.1, 1.25, 1.5, 2.0, 4.0)
# What a constant added to every reconstruction may gain in a sound SAE.
CORRECTION_MARGIN = 0.05
MAX_VECTORS = 512

_MARGINS = {"scale": SCALE_MARGIN, "size": SCALE_MARGIN, "bias": CORRECTION_MARGIN}

Path = Callable[[Floats], tuple[Floats, Floats]]


@dataclass(frozen=True)
class Tried:
    """One setting on the held-out vectors.

    Attributes:
        name: what is other than declared; empty for the declared setting.
        kind: which check it belongs to.
        explained_variance: global, centred.
        l0: mean number of active latents.
        gain: explained variance above that of the declared setting.
        margin: what the gain has to exceed.
    """

    name: str
    kind: str
    explained_variance: float
    l0: float
    gain: Difference
    margin: float = MARGIN

    def beats(self, declared: Tried) -> bool:
        """Whether the declared setting is not the one that the weights were trained with."""
        return (
            self.gain.value > self.margin
            and self.gain.low > 0
            and self.l0 <= MAX_L0_RATIO * max(declared.l0, 1.0)
        )


@dataclass(frozen=True)
class Alternatives:
    """The declared setting, and those that it was compared with, on n vectors."""

    n: int
    declared: Tried
    others: tuple[Tried, ...]

    def of_kind(self, kind: str) -> tuple[Tried, ...]:
        """The alternatives that one check is about."""
        return tuple(tried for tried in self.others if tried.kind == kind)


def try_alternatives(sae: SaeSubject) -> Alternatives:
    """Run the manual path under the declared and all alternative settings.

    Raises:
        UnknownToManualPath: the declared setting itself has no formula.
        UndefinedMetric: it has no explained variance.
        NoEvidence: there are no activations.
    """
    sample = _bounded(sae.parent.evidence.sample(sae, train=False))
    fit = sae.parent.evidence.sample(sae, train=True).vectors
    squares = squares_about_mean(sample.vectors)
    declared = _path(sae.cfg, sae.tensors)
    paths = {("", "declared"): declared, **_others(sae, fit)}
    fit_rows = fit[np.linspace(0, len(fit) - 1, min(len(fit), MAX_VECTORS)).astype(np.int64)]
    if len(fit_rows) >= 2:
        paths |= _corrected(declared, fit_rows)
    errors: dict[tuple[str, str], Floats] = {}
    l0: dict[tuple[str, str], float] = {}
    for key, path in paths.items():
        if path is None:
            continue
        latents, x_hat = path(sample.vectors)
        errors[key] = squared_errors(sample.vectors, x_hat)
        l0[key] = float((latents != 0).sum(axis=1).mean()) if len(latents) else 0.0
    declared_errors = errors["", "declared"]

    def tried(key: tuple[str, str]) -> Tried:
        name, kind = key
        gain = explained_variance_difference(
            (declared_errors, squares), (errors[key], squares), sample.groups
        )
        value = 1 - float(errors[key].sum() / squares.sum())
        return Tried(name, kind, value, l0[key], gain, _MARGINS.get(kind, MARGIN))

    found = []
    for key in errors:
        try:
            found.append(tried(key))
        except UndefinedMetric:
            if key == ("", "declared"):
                raise
            # An alternative that gives no finite reconstruction is not better.
            continue
    return Alternatives(len(sample.vectors), found[0], tuple(found[1:]))


def _bounded(sample: Sample) -> Sample:
    """At most `MAX_VECTORS` vectors, spread evenly over the sample."""
    n = len(sample.vectors)
    if n <= MAX_VECTORS:
        return sample
    rows = np.linspace(0, n - 1, MAX_VECTORS).astype(np.int64)
    return Sample(sample.vectors[rows], sample.groups[rows], sample.outliers)


def _path(cfg: Mapping[str, Any], tensors: Mapping[str, Any]) -> Path:
    manual = manual_sae(cfg, tensors)

    def run(x: Floats) -> tuple[Floats, Floats]:
        latents = manual.encode(x)
        return latents, manual.decode(latents, x)

    return run


def _others(sae: SaeSubject, fit: Floats) -> dict[tuple[str, str], Path | None]:
    cfg, tensors = sae.cfg, sae.tensors
    paths: dict[tuple[str, str], Path | None] = {}

    def add(kind: str, name: str, changed: dict[str, Any], *, scale: float = 1.0) -> None:
        try:
            path = _path({**cfg, **changed}, tensors)
        except UnknownToManualPath:
            # The setting means nothing for this architecture.
            return
        paths[name, kind] = path if scale == 1.0 else _scaled(path, scale)

    if cfg["architecture"] in AUTOENCODERS:
        flipped = not cfg["apply_b_dec_to_input"]
        add("b_dec", f"apply_b_dec_to_input {str(flipped).lower()}",
            {"apply_b_dec_to_input": flipped})  # fmt: skip
    if cfg["architecture"] in TOPK:
        flipped = not cfg.get("rescale_acts_by_decoder_norm", False)
        add("rescale", f"rescale_acts_by_decoder_norm {str(flipped).lower()}",
            {"rescale_acts_by_decoder_norm": flipped})  # fmt: skip
        for k in sorted({max(1, cfg["k"] // 2), min(2 * cfg["k"], cfg["d_sae"])} - {cfg["k"]}):
            add("k", f"k {k}", {"k": k})
    for name in ("none", "layer_norm", "constant_norm_rescale"):
        if name != cfg["normalize_activations"]:
            add("normalization", f"normalize_activations {name}", {"normalize_activations": name})
    mean_norm = float(np.linalg.norm(fit, axis=1).mean()) if len(fit) else 0.0
    if cfg["normalize_activations"] == "none" and mean_norm > 0:
        scale = float(np.sqrt(fit.shape[1])) / mean_norm
        add("normalization", "normalize_activations expected_average_only_in, unfolded", {},
            scale=scale)  # fmt: skip
    if cfg["normalize_activations"] == "none":
        for factor in _SCALES:
            add("scale", f"activations times {factor:g}", {}, scale=factor)
    return paths


def _corrected(path: Path, fit: Floats) -> dict[tuple[str, str], Path | None]:
    """The declared setting with a constant or a factor put right, as fitted on other vectors."""
    _, x_hat = path(fit)
    if not np.isfinite(x_hat).all():
        return {}
    constant = (fit - x_hat).mean(axis=0)
    mean, mean_hat = fit.mean(axis=0), x_hat.mean(axis=0)
    spread = float(((x_hat - mean_hat).astype(np.float64) ** 2).sum())
    together = float(((x_hat - mean_hat).astype(np.float64) * (fit - mean)).sum())
    factor = np.float32(together / spread if spread > 0 else 1.0)

    def with_constant(x: Floats) -> tuple[Floats, Floats]:
        latents, own = path(x)
        return latents, own + constant

    def with_factor(x: Floats) -> tuple[Floats, Floats]:
        latents, own = path(x)
        return latents, (own - mean_hat) * factor + mean_hat

    return {
        ("a constant added to every reconstruction", "bias"): with_constant,
        (f"reconstructions times {factor:.3g} about their mean", "size"): with_factor,
    }


def _scaled(path: Path, scale: float) -> Path:
    """The SAE on scaled activations, its reconstruction scaled back."""

    def run(x: Floats) -> tuple[Floats, Floats]:
        latents, x_hat = path(x * np.float32(scale))
        return latents, x_hat / np.float32(scale)

    return run
