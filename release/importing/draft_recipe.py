"""The recipe of a draft: what configs and card state, and assumptions where a value is needed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from manifests.sae_recipes import Architecture
from release.importing.card import CardFacts
from release.importing.comparison import commonest
from release.importing.configs import ConfigFacts
from release.importing.names import ARCHITECTURES, TRAINED_ONLY, Cell
from release.importing.stated import Stated
from release.importing.yaml_text import FILL_IN_COMMENT, Entries, Entry

_WHY = "No file of the repository states it. This value makes training repeatable, no more."
# What this project's own manifests of such SAEs train with.
_ASSUMED: Mapping[str, Any] = {
    "epochs": 300,
    "batch_size": 128,
    "learning_rate": 3e-4,
    "l1_coefficient": 0.05,
    "auxiliary_coefficient": 0.03125,
    "bandwidth": 0.05,
    "threshold_init": 0.02,
    "sparsity_coefficient": 0.1,
}
_TARGET_L0 = 64
_OR_FIXED = "assumed; where training left the thresholds at 0, `threshold: fixed_at_zero` instead"


@dataclass(frozen=True)
class RecipeFacts:
    """What a recipe is drafted from; `configs` are by the name of their SAE."""

    card: CardFacts
    stated: Stated
    cells: Mapping[str, Cell]
    configs: Mapping[str, ConfigFacts]
    d_sae: int | None

    def of(self, architecture: Architecture, variants: Collection[str] | None = None) -> list[Any]:
        """The configs of one architecture's SAEs, of some variants."""
        return [
            config
            for name, config in self.configs.items()
            if name in self.cells
            and self.cells[name].architecture == architecture
            and (variants is None or self.cells[name].variant in variants)
        ]

    @property
    def k(self) -> int | None:
        """The k of most TopK SAEs."""
        known = [config.k for config in self.configs.values() if config.k is not None]
        found: int | None = commonest(known) or (
            next(iter(self.card.k)) if len(self.card.k) == 1 else None
        )
        return found


def recipe_entries(facts: RecipeFacts) -> Entries:
    """The keys of `recipe`."""
    stated = facts.card.recipe
    entries = [
        _from_card("epochs", stated.get("epochs"), whole=True),
        _from_card("batch_size", stated.get("batch_size"), whole=True),
        _from_card("learning_rate", stated.get("learning_rate"), whole=False),
        Entry("adam_beta2", 0.999, "assumed", assumed=_WHY),
        Entry("max_gradient_norm", 1.0, "assumed", assumed=_WHY),
        Entry("seed", 0, "assumed", assumed=_WHY),
        Entry("input_scale", "unit_mean_norm", "assumed", assumed=_WHY),
    ]
    present = {cell.architecture for cell in facts.cells.values()}
    for architecture in ARCHITECTURES:
        if architecture in present:
            entries.append(Entry(architecture, _architecture(facts, architecture)))
    variants = sorted({cell.variant for cell in facts.cells.values()} - {""})
    if variants:
        entries.append(Entry("variants", tuple(_variant(facts, name) for name in variants)))
    return tuple(entries)


def _architecture(facts: RecipeFacts, architecture: Architecture) -> Entries:
    if architecture == "topk":
        return (_known("k", facts.k), _assumed("auxiliary_coefficient"))
    if architecture in TRAINED_ONLY:
        return tuple(_batchtopk(facts, architecture))
    if architecture in ("gated", "standard"):
        return (_assumed("l1_coefficient"),)
    configs = facts.of("jumprelu")
    if configs and all(config.threshold_is_fixed for config in configs):
        return (Entry("threshold", "fixed_at_zero", "by cfg.json"),)
    line = facts.stated.zero_threshold_line
    if line is not None and _has_plain(facts):
        return (Entry("threshold", "fixed_at_zero", f"from the card, line {line}"),)
    return _learned(facts)


def _batchtopk(facts: RecipeFacts, architecture: Architecture) -> list[Entry]:
    configs = facts.of(architecture)
    known = [config.trained_k for config in configs if config.trained_k is not None]
    entries = [_known("k", commonest(known)), _assumed("auxiliary_coefficient")]
    if architecture == "matryoshka_batchtopk":
        widths = commonest([config.trained_widths for config in configs])
        # SAELens counts the whole dictionary as the last of them.
        inner = [width for width in widths or () if width != facts.d_sae]
        entries.append(_known("widths", inner or None, if_not="of the inner dictionaries"))
    return entries


def _learned(facts: RecipeFacts) -> Entries:
    """The settings of a learned threshold, which no config holds."""
    kernel = (
        (Entry("kernel", "gaussian", "from the card"),) if facts.stated.has_gaussian_ste else ()
    )
    target = facts.k or _TARGET_L0
    why = "No file of the repository states it; " + (
        "the k of the TopK SAEs." if facts.k else "what this project trains with."
    )
    return (
        *kernel,
        replace(_assumed("bandwidth"), comment=_OR_FIXED),
        _assumed("threshold_init"),
        Entry("target_l0", target, "assumed", assumed=why),
        _assumed("sparsity_coefficient"),
    )


def _variant(facts: RecipeFacts, name: str) -> Entry:
    """A variant whose plain SAEs have thresholds of zero is one with learned ones."""
    is_jumprelu = any(
        cell.variant == name and cell.architecture == "jumprelu" for cell in facts.cells.values()
    )
    configs = facts.of("jumprelu", (name,))
    is_fixed = bool(configs) and all(config.threshold_is_fixed for config in configs)
    if is_jumprelu and facts.stated.zero_threshold_line is not None and not is_fixed:
        return Entry(name, (Entry("jumprelu", _learned(facts)),))
    what = "not known: what it trains differently; {} is the plain recipe"
    return Entry(name, {}, what)


def _has_plain(facts: RecipeFacts) -> bool:
    return any(
        cell.architecture == "jumprelu" and not cell.variant for cell in facts.cells.values()
    )


def _assumed(key: str) -> Entry:
    return Entry(key, _ASSUMED[key], "assumed", assumed=_WHY)


def _known(key: str, value: Any, *, if_not: str | None = None) -> Entry:
    if value is not None:
        return Entry(key, value)
    return Entry(key, None, f"{FILL_IN_COMMENT}; {if_not}" if if_not else FILL_IN_COMMENT)


def _from_card(key: str, value: float | None, *, whole: bool) -> Entry:
    if value is None or value <= 0 or (whole and not value.is_integer()):
        return _assumed(key)
    return Entry(key, int(value) if whole else value, "from the card")
