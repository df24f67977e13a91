"""What the claims of a manifest may use before anything is measured.

`reported['name']` is the value of a reported fact, `plus_minus['name']` and `out_of['name']` what
it was reported with, `data.CONDITION` the reported number of completions of a condition, and
`matrix` what follows from the matrix of SAEs.
"""

from __future__ import annotations

from typing import Any

from manifests.claims import NotMeasured
from manifests.matrix import sae_specs
from manifests.model import Manifest


class _OnlyKnown(dict[str, Any]):
    """Values by name; one that is not known is not taken for a number."""

    def __init__(self, values: dict[str, Any], unknown: dict[str, str]) -> None:
        super().__init__(values)
        self._unknown = unknown

    def __missing__(self, name: str) -> Any:
        if name in self._unknown:
            raise NotMeasured(self._unknown[name])
        raise KeyError(name)


def claim_namespace(manifest: Manifest) -> dict[str, Any]:
    """The names above; metrics are added by whoever measured them.

    A fact of which only a bound is reported, and a condition that was not counted, have no value:
    a claim that uses one is refused with the reason.
    """
    specs = sae_specs(manifest)
    reported = {fact.name: fact.value for fact in manifest.reported if fact.bound is None}
    bounds = {
        fact.name: f"only that {fact.name!r} lies {fact.bound} {fact.value:g} is reported"
        for fact in manifest.reported
        if fact.bound is not None
    }
    conditions = manifest.data.conditions
    counts = {name: condition.n for name, condition in conditions.items() if condition.n}
    uncounted = {
        name: f"data.conditions.{name}.n is not known"
        for name, condition in conditions.items()
        if condition.n is None
    }
    return {
        "reported": _OnlyKnown(reported, bounds),
        "plus_minus": {
            fact.name: fact.plus_minus for fact in manifest.reported if fact.plus_minus is not None
        },
        "out_of": {fact.name: fact.out_of for fact in manifest.reported if fact.out_of},
        "data": _OnlyKnown(counts, uncounted),
        "matrix": {
            "n_saes": len(specs),
            "n_plain": sum(not spec.variant for spec in specs),
            "n_layers": manifest.base_model.n_layers,
            "d_in": manifest.base_model.d_model,
            "d_sae": manifest.base_model.d_model * manifest.saes.expansion,
        },
    }
