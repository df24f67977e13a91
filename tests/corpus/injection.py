"""One way to damage one SAE of any good release, and what has to be said of it afterwards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from release_copy import Cfg, ReleaseCopy, Target, Tensors

Strength = Literal["gross", "medium", "subtle"]
Tier = Literal["static", "load", "activations"]
# Whether the repository itself holds a fact that the damage contradicts.
Knowable = Literal["always", "by manifest", "never"]
Damage = Callable[[ReleaseCopy, Target], None]
Fits = Callable[[Target], bool]


@dataclass(frozen=True)
class Injection:
    """One way to damage an SAE.

    Attributes:
        row: the class of defect, in words.
        name: what is done, unique within its row.
        strength: how easy it is to see.
        tier: the lowest tier at which anything could see it.
        codes: the checks of which one has to speak.
        damage: does it.
        fits: whether an SAE can be damaged so.
        knowable: what it takes to know: a k that is off by one is a good SAE, but for the manifest.
        whole: the finding is on the repository, not on the SAE.
        changes_function: a damaged SAE that computes the same is no defect, and is not counted.
    """

    row: str
    name: str
    strength: Strength
    tier: Tier
    codes: frozenset[str]
    damage: Damage
    fits: Fits = lambda target: True
    knowable: Knowable = "always"
    whole: bool = False
    changes_function: bool = False

    @property
    def label(self) -> str:
        """Row and name."""
        return f"{self.row}: {self.name}"


@dataclass(frozen=True)
class Row:
    """A class of defect; makes its injections."""

    name: str
    codes: str
    changes_function: bool = False

    def __call__(
        self,
        name: str,
        strength: Strength,
        damage: Damage,
        *,
        tier: Tier = "load",
        codes: str = "",
        fits: Fits = lambda target: True,
        knowable: Knowable = "always",
        whole: bool = False,
        changes_function: bool | None = None,
    ) -> Injection:
        """One injection of this class; `codes` adds to those of the class."""
        every = frozenset(f"{self.codes} {codes}".split())
        return Injection(
            row=self.name,
            name=name,
            strength=strength,
            tier=tier,
            codes=every,
            damage=damage,
            fits=fits,
            knowable=knowable,
            whole=whole,
            changes_function=self.changes_function
            if changes_function is None
            else changes_function,
        )


def only(*architectures: str) -> Fits:
    """SAEs of these architectures."""
    return lambda target: target.architecture in architectures


def has(*tensors: str) -> Fits:
    """SAEs with all these tensors."""
    return lambda target: target.tensors.issuperset(tensors)


def edits(change: Callable[[Tensors, Target], object]) -> Damage:
    """Damage of the weights."""
    return lambda copy, target: copy.edit_tensors(target.sae_id, lambda t: change(t, target))


def configures(change: Callable[[Cfg], object]) -> Damage:
    """Damage of the config."""
    return lambda copy, target: copy.edit_cfg(target.sae_id, change)


def sets(**values: object) -> Damage:
    """Other values at the top level of the config."""
    return configures(lambda cfg: cfg.update(values))


def states(**values: object) -> Damage:
    """Other values in the config's metadata."""
    return configures(lambda cfg: cfg["metadata"].update(values))


def seeded(target: Target, injection: Injection) -> Target:
    """The target with draws of its own for this injection."""
    seed = sum(ord(char) * (at + 1) for at, char in enumerate(injection.label + target.sae_id))
    return replace(target, seed=seed % 2**31)
