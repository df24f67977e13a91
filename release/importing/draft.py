"""The facts of an import as a manifest: what is known, and a mark at what is not."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from manifests.fields import Identifier, RepoId
from manifests.sae_recipes import Architecture
from release.importing.base_config import BaseModelFacts
from release.importing.card import CardFacts
from release.importing.comparison import commonest
from release.importing.matrix import AXES, Box, RecoveredMatrix, in_order
from release.importing.names import ARCHITECTURES, TRAINED_ONLY, Cell
from release.importing.survey import FoundSae
from release.importing.yaml_text import Entries, Entry

FILL_IN = "not known: fill in"
_LABELS = {
    "mixed": ["deceptive", "honest"],
    "deceptive_only": ["deceptive"],
    "honest_only": ["honest"],
}
_JUMPRELU_KEYS = ("bandwidth", "threshold_init", "target_l0", "sparsity_coefficient")


@dataclass(frozen=True)
class Facts:
    """All that an import found out; `saes` and `cells` are by the name that is the SAE's id.

    `commit` is the commit on the Hub that was read; None for a folder.
    """

    repo_id: str | None
    commit: str | None
    card: CardFacts
    saes: Mapping[str, FoundSae]
    cells: Mapping[str, Cell]
    template: str
    matrix: RecoveredMatrix
    base_model: BaseModelFacts | None

    def config_values(self, key: str) -> list[Any]:
        """What the configs state for a key, one value an SAE."""
        configs = [sae.config for sae in self.saes.values() if sae.config is not None]
        return [value for config in configs if (value := getattr(config, key)) is not None]

    def size(self, key: str) -> int | None:
        """`d_in` or `d_sae` of most SAEs: by the weights' shapes, else by the configs."""
        headers = [sae.header for sae in self.saes.values() if sae.header is not None]
        real = [value for header in headers if (value := getattr(header, key)) is not None]
        found: int | None = commonest(real or self.config_values(key))
        return found

    @property
    def base_model_id(self) -> str | None:
        """The base model: what most configs say, else the front matter, if it is an id."""
        named = [commonest(self.config_values("base_model"))]
        named += self.card.front_matter_texts("base_model")
        return next((each for each in named if each is not None and is_repo_id(each)), None)


def draft(facts: Facts) -> Entries:
    """The manifest's keys in the order of the model; None where a fact is not known."""
    card = facts.card
    fallback = facts.repo_id.partition("/")[2] if facts.repo_id else None
    tags = [each for each in card.front_matter_texts("tags") if each]
    entries = [
        Entry("schema_version", 1),
        _known("repo_id", facts.repo_id, if_not="owner/name, where it is to be published"),
        Entry("title", card.title or fallback or FILL_IN),
        Entry(
            "summary",
            card.summary or FILL_IN,
            "from the card: check each number in it" if card.summary else None,
        ),
        _known("license", _identifier(card.front_matter_text("license"))),
    ]
    entries += [Entry("tags", tags)] if tags else []
    entries += [
        Entry("base_model", _base_model(facts)),
        Entry("saes", _saes(facts)),
        Entry("recipe", _recipe(facts)),
        Entry("data", _data(facts)),
    ]
    if card.hardware:
        ran_on = (Entry("device", card.hardware, "from the card"),)
        entries.append(Entry("hardware", (Entry("ran_on", ran_on),)))
    if facts.commit is not None and facts.repo_id is not None:
        entries.append(Entry("weights", _weights(facts, facts.repo_id, facts.commit)))
    return tuple(entries)


def is_repo_id(text: str) -> bool:
    """Whether a text is `owner/name` as the Hub has it."""
    return _fits(RepoId, text)


def unknown_keys(entries: Entries, *, prefix: str = "") -> tuple[str, ...]:
    """Dotted keys whose value is null or still says that it is to be filled in."""
    found: list[str] = []
    for entry in entries:
        key = f"{prefix}{entry.key}"
        if isinstance(entry.value, tuple):
            found += unknown_keys(entry.value, prefix=f"{key}.")
        elif entry.value is None or entry.value == FILL_IN:
            found.append(key)
    return tuple(found)


def _base_model(facts: Facts) -> Entries:
    stated = facts.base_model
    d_in = facts.size("d_in")
    return (
        _known("id", facts.base_model_id, if_not="owner/name of the model on the Hub"),
        Entry("revision", None, "not known: which commit the activations came from"),
        _known("model_type", stated.model_type if stated else None, if_not="see its config.json"),
        _known("n_layers", stated.n_layers if stated else None, if_not="see its config.json"),
        _known("d_model", d_in, comment="the SAEs' d_in" if d_in else None),
        Entry(
            "precision",
            {"weights": "fp32", "compute": "fp32"},
            "not known; fp32 is only the default",
        ),
    )


def _saes(facts: Facts) -> Entries:
    matrix = facts.matrix
    d_in, d_sae = facts.size("d_in"), facts.size("d_sae")
    has_multiple = d_in is not None and d_sae is not None and d_sae % d_in == 0
    entries = [Entry("id", facts.template)]
    for index, axis in enumerate(AXES):
        values = list(matrix.axis(index))
        if axis != "variants" or values != [""]:
            entries.append(Entry(axis, values))
    entries.append(_known("expansion", d_sae // d_in if has_multiple and d_sae and d_in else None))
    for key, parts in (("include", matrix.include), ("exclude", matrix.exclude)):
        if parts:
            entries.append(Entry(key, [_part(box, matrix, key) for box in parts]))
    return tuple(entries)


def _part(box: Box, matrix: RecoveredMatrix, key: str) -> dict[str, list[Any]]:
    """One inclusion or exclusion; an axis with all values of the base is left out."""
    part = {}
    for index, axis in enumerate(AXES):
        # An exclusion without variants would take the included ones away as well.
        always = key == "exclude" and axis == "variants" and bool(matrix.include)
        if box.values[index] != matrix.base.values[index] or always:
            part[axis] = list(in_order(index, box.values[index]))
    return part


def _recipe(facts: Facts) -> Entries:
    stated = facts.card.recipe
    entries = [
        _from_card("epochs", stated.get("epochs"), whole=True),
        _from_card("batch_size", stated.get("batch_size"), whole=True),
        _from_card("learning_rate", stated.get("learning_rate"), whole=False),
        Entry("seed", 0, "not known: 0 is only the default"),
    ]
    present = {cell.architecture for cell in facts.cells.values()}
    for architecture in ARCHITECTURES:
        if architecture in present:
            entries.append(Entry(architecture, _architecture(facts, architecture)))
    variants = sorted({cell.variant for cell in facts.cells.values()} - {""})
    if variants:
        what = "not known: what it trains differently; {} is the plain recipe"
        entries.append(Entry("variants", tuple(Entry(name, {}, what) for name in variants)))
    return tuple(entries)


def _architecture(facts: Facts, architecture: Architecture) -> Entries:
    configs = [
        sae.config
        for name, sae in facts.saes.items()
        if sae.config is not None
        and name in facts.cells
        and facts.cells[name].architecture == architecture
    ]
    if architecture == "topk":
        k = commonest(facts.config_values("k")) or _only(facts.card.k)
        return (_known("k", k),)
    if architecture in TRAINED_ONLY:
        known = [config.trained_k for config in configs if config.trained_k is not None]
        entries = [_known("k", commonest(known))]
        if architecture == "matryoshka_batchtopk":
            widths = commonest([config.trained_widths for config in configs])
            # SAELens counts the whole dictionary as the last of them.
            inner = [width for width in widths or () if width != facts.size("d_sae")]
            entries.append(_known("widths", inner or None, if_not="of the inner dictionaries"))
        return tuple(entries)
    if architecture in ("gated", "standard"):
        return (_known("l1_coefficient", None),)
    if configs and all(config.threshold_is_fixed for config in configs):
        return (Entry("threshold", "fixed_at_zero", "by cfg.json"),)
    why = "or `threshold: fixed_at_zero` in place of these four"
    return tuple(
        _known(key, None, if_not=why if key == _JUMPRELU_KEYS[0] else None)
        for key in _JUMPRELU_KEYS
    )


def _data(facts: Facts) -> Entries:
    card = facts.card
    datasets = [each for each in card.front_matter_texts("datasets") if is_repo_id(each)]
    conditions = in_order(2, {cell.condition for cell in facts.cells.values()})
    entries = (
        [Entry("dataset", (Entry("id", datasets[0]), Entry("revision", None, "not known")))]
        if len(datasets) == 1
        else []
    )
    entries += [
        Entry("description", FILL_IN),
        Entry(
            "label_rule", card.label_rule or FILL_IN, "from the card" if card.label_rule else None
        ),
        Entry("pooling", None, "not known: last_token or completion_mean"),
        Entry(
            "conditions",
            tuple(
                Entry(
                    name,
                    (
                        _known("labels", _LABELS.get(name), if_not="deceptive, honest, or both"),
                        Entry("n", card.condition_counts.get(name), "completions, by the card")
                        if name in card.condition_counts
                        else Entry("n", None, "not known: how many completions"),
                    ),
                )
                for name in conditions
            ),
        ),
    ]
    return tuple(entries)


def _weights(facts: Facts, repo_id: str, commit: str) -> Entries:
    kinds = {sae.is_pickle for sae in facts.saes.values() if sae.weights is not None}
    entries = [Entry("repo_id", repo_id), Entry("revision", commit, "the commit that was read")]
    entries += [Entry("format", "pickle")] if kinds == {True} else []
    return tuple(entries)


def _known(key: str, value: Any, *, if_not: str | None = None, comment: str | None = None) -> Entry:
    if value is not None:
        return Entry(key, value, comment)
    return Entry(key, None, f"{FILL_IN}; {if_not}" if if_not else FILL_IN)


def _from_card(key: str, value: float | None, *, whole: bool) -> Entry:
    if value is None or (whole and not value.is_integer()):
        return Entry(key, None, FILL_IN)
    return Entry(key, int(value) if whole else value, "from the card")


def _only(values: frozenset[int]) -> int | None:
    return next(iter(values)) if len(values) == 1 else None


def _identifier(text: str | None) -> str | None:
    return text if text is not None and _fits(Identifier, text) else None


def _fits(kind: Any, text: str) -> bool:
    try:
        TypeAdapter(kind).validate_python(text)
    except ValidationError:
        return False
    return re.search(r"\s", text) is None
