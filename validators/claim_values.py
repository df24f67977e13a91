"""What the sentences of a manifest may name, with its values, and whether each sentence holds.

The check and the card both ask here, so that what is printed is what was checked.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, overload

from manifests.claim_namespace import claim_namespace
from manifests.claims import FUNCTIONS, ClaimProblem, NotMeasured, claim_holds, names_used
from manifests.facts import Claim
from manifests.matrix import SaeSpec, sae_specs
from manifests.model import Manifest
from validators.metrics.conventions import PCA_RANK
from validators.report import Measurement

METRICS = (
    "explained_variance",
    "explained_variance_train",
    "l0",
    "l0_p5",
    "l0_median",
    "l0_p95",
    "l0_train",
    "mse",
    "mse_train",
    "cosine",
    "dead_fraction",
    "dead_fraction_train",
    "dense_fraction",
    "path_difference",
    f"pca_{PCA_RANK}_explained_variance",
    "threshold_moved_fraction",
    "explained_variance_outliers",
    "ce_recovered",
    "ce_recovered_mean",
    "ce_increase",
    "kl",
    "kl_recovered",
)

Measured = Mapping[str, Mapping[str, Measurement]]
Values = Mapping[str, Any]


class Column(Sequence[float]):
    """One metric of a group of SAEs, a number for each; one with a gap cannot be read at all.

    Raises:
        NotMeasured: on any reading, where an SAE of the group has no value; says which and why.
    """

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, metric: str, specs: tuple[SaeSpec, ...], measured: Measured) -> None:
        self._numbers: list[float] = []
        self._gaps: list[str] = [] if specs else ["there are no SAEs"]
        for spec in specs:
            found = measured.get(spec.sae_id, {}).get(metric)
            if found is None:
                self._gaps.append(f"{metric} of {spec.sae_id} was not measured")
            elif found.value is None:
                self._gaps.append(f"{metric} of {spec.sae_id} has no value: {found.reason}")
            else:
                self._numbers.append(found.value)

    @property
    def numbers(self) -> list[float]:
        """The values, in the order of the SAEs."""
        if self._gaps:
            more = f" (and {len(self._gaps) - 1} more)" if len(self._gaps) > 1 else ""
            raise NotMeasured(self._gaps[0] + more)
        return self._numbers

    @overload
    def __getitem__(self, index: int) -> float: ...
    @overload
    def __getitem__(self, index: slice) -> list[float]: ...
    def __getitem__(self, index: int | slice) -> float | list[float]:
        """One value, or some."""
        return self.numbers[index]

    def __len__(self) -> int:
        """Number of SAEs."""
        return len(self.numbers)

    def __eq__(self, other: object) -> bool:
        """Refused: two columns are compared by their best, worst or mean."""
        raise ClaimProblem(
            "a metric of several SAEs was compared as a whole", expected="its best, worst or mean"
        )

    def __str__(self) -> str:
        """Its range and its size, as a message shows them."""
        low, high = min(self.numbers), max(self.numbers)
        over = f" of {len(self)} SAEs" if len(self) > 1 else ""
        return f"{low:.6g}{over}" if low == high else f"{low:.6g} to {high:.6g}{over}"


class _TwoMeanings:
    """What stands for a name that means two things, such as a condition called `topk`."""


def claim_values(manifest: Manifest, measured: Measured) -> Values:
    """Every name that a claim may use: reported facts, the matrix, metrics, and groups of SAEs.

    Args:
        manifest: whose claims they are.
        measured: sae_id -> metric -> measurement; what is missing there is a gap of its column.

    Returns:
        Reported facts and counts as `claim_namespace` has them; each metric as a `Column` over all
        SAEs; each architecture, condition, variant and layer (`L9`) as a mapping from metric to
        the `Column` of its SAEs.
    """
    specs = sae_specs(manifest)
    reported = claim_namespace(manifest)
    values: dict[str, Any] = {**reported, **_columns(specs, measured)}
    taken = {*values, *FUNCTIONS}
    for name, members in _groups(specs):
        values[name] = _TwoMeanings() if name in taken else _columns(members, measured)
        taken.add(name)
    return values


def rests_on_measurements(claim: Claim, manifest: Manifest) -> bool:
    """Whether a claim can be judged only where SAEs were measured.

    One that cannot be read, or names something unknown, can be refused without.
    """
    values = claim_values(manifest, {})
    try:
        used = names_used(claim.holds_if)
        for name in used:
            _look_up(name, values)
    except ClaimProblem:
        return False
    return not {name[0] for name in used} <= claim_namespace(manifest).keys()


def why_not_held(claim: Claim, values: Values) -> str | None:
    """Why a claim must not be printed; None when it holds.

    Every name is looked at, also one that the condition's outcome does not depend on.
    """
    try:
        found = {name: _look_up(name, values) for name in sorted(names_used(claim.holds_if))}
        shown = [f"{_written(name)} is {value}" for name, value in found.items()]
        if claim_holds(claim.holds_if, values):
            return None
    except NotMeasured as error:
        return f"it rests on a value that is not there: {error}"
    except ClaimProblem as problem:
        return problem.what + (f"; expected: {problem.expected}" if problem.expected else "")
    return "it is false" + (f": {', '.join(shown)}" if shown else "")


def _look_up(name: tuple[str, ...], values: Values) -> Any:
    """The value of a name.

    Raises:
        ClaimProblem: nothing has this name, two things have, or it has no value.
    """
    found: Any = values
    for depth, key in enumerate(name):
        if not isinstance(found, Mapping):
            raise ClaimProblem(
                f"{_written(name[:depth])} has no parts", expected="its best, worst or mean"
            )
        try:
            found = found[key]
        except NotMeasured as error:
            raise ClaimProblem(f"it rests on a value that is not there: {error}") from error
        except KeyError as error:
            near = difflib.get_close_matches(key, found, n=1)
            raise ClaimProblem(
                f"nothing is called {_written(name[: depth + 1])}",
                expected=f"{_written((*name[:depth], near[0]))}, or what docs/manifest.md lists"
                if near
                else "a metric, a group of SAEs or a reported fact; see docs/manifest.md",
            ) from error
        if isinstance(found, _TwoMeanings):
            raise ClaimProblem(
                f"{key} means two things in this manifest",
                expected="names of conditions and variants that nothing else has",
            )
    return found


def _written(name: tuple[str, ...]) -> str:
    rest = (f".{key}" if key.isidentifier() else f"[{key!r}]" for key in name[1:])
    return name[0] + "".join(rest)


def _columns(specs: tuple[SaeSpec, ...], measured: Measured) -> dict[str, Column]:
    return {metric: Column(metric, specs, measured) for metric in METRICS}


def _groups(specs: tuple[SaeSpec, ...]) -> Iterator[tuple[str, tuple[SaeSpec, ...]]]:
    """The SAEs by architecture, condition, variant and layer; a name may come up twice."""
    for axis in ("architecture", "condition", "variant", "layer"):
        members: dict[str, list[SaeSpec]] = {}
        for spec in specs:
            value = getattr(spec, axis)
            members.setdefault(f"L{value}" if axis == "layer" else value, []).append(spec)
        members.pop("", None)
        yield from ((name, tuple(group)) for name, group in members.items())
