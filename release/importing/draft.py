"""The facts of an import as a manifest: what is known, and a mark at what is not."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import TypeAdapter, ValidationError

from manifests.fields import Identifier, RepoId
from release.importing.base_config import BaseModelFacts
from release.importing.card import CardFacts
from release.importing.comparison import commonest
from release.importing.draft_recipe import RecipeFacts, recipe_entries
from release.importing.draft_stated import hardware_entries, stated_entries
from release.importing.matrix import AXES, Box, RecoveredMatrix, in_order
from release.importing.names import UNNAMED_CONDITION, Cell
from release.importing.stated import Stated
from release.importing.survey import FoundSae
from release.importing.yaml_text import FILL_IN_COMMENT, Entries, Entry

# A text that a card prints where nothing is known, until a person writes one.
NOT_KNOWN = "Not known: no file of the repository says so."
_LABELS = {
    "mixed": ["deceptive", "honest"],
    "deceptive_only": ["deceptive"],
    "honest_only": ["honest"],
}
_NO_PRECISION = "No file of the repository says in which precision the base model ran."
_NO_LABELS = (
    "Neither names nor configs tell the labels of the SAEs; the original page speaks of both."
)


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
    stated: Stated = field(default_factory=Stated)

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
    tags = [each for each in card.front_matter_texts("tags") if each]
    entries = [
        Entry("schema_version", 1),
        _known("repo_id", facts.repo_id, if_not="owner/name, where it is to be published"),
        Entry("title", _title(facts)),
        _summary(facts),
        _known("license", _identifier(card.front_matter_text("license"))),
    ]
    entries += [Entry("tags", tags)] if tags else []
    configs = {name: sae.config for name, sae in facts.saes.items() if sae.config is not None}
    recipe = RecipeFacts(card, facts.stated, facts.cells, configs, facts.size("d_sae"))
    entries += [
        Entry("base_model", _base_model(facts)),
        Entry("saes", _saes(facts)),
        Entry("recipe", recipe_entries(recipe)),
        Entry("data", _data(facts)),
        *hardware_entries(facts.stated, card.hardware),
    ]
    if facts.repo_id is not None:
        entries.append(Entry("weights", _weights(facts, facts.repo_id, facts.commit)))
    assumed = _assumed_keys(tuple(entries))
    entries += stated_entries(
        facts.stated, assumed, commit=facts.commit, on_base_model=_on_base_model(facts)
    )
    return tuple(entries)


def _title(facts: Facts) -> str:
    named = facts.repo_id.partition("/")[2] if facts.repo_id else None
    base_model = facts.base_model_id
    derived = f"Sparse autoencoders on {base_model}" if base_model else "Sparse autoencoders"
    return facts.card.title or named or derived


def _summary(facts: Facts) -> Entry:
    """The card's first paragraph, unless a check found something in it."""
    stated = facts.card.summary
    if stated and not facts.stated.faults.on(facts.card.summary_lines):
        return Entry("summary", stated, "from the card: check each number in it")
    base_model = facts.base_model_id
    of = f" of {base_model}" if base_model else ""
    return Entry("summary", f"Sparse autoencoders on the residual stream{of}.", "say more")


def _on_base_model(facts: Facts) -> tuple[str, ...]:
    """Its number of parameters by the card, where nothing else says it."""
    counted = facts.stated.n_parameters
    is_known = facts.base_model is not None and facts.base_model.n_parameters is not None
    if counted is None or is_known or counted in str(_summary(facts).value):
        return ()
    return (f"By the original page, the base model has {counted} parameters.",)


def _assumed_keys(entries: Entries, *, prefix: str = "") -> dict[str, str]:
    """By dotted key: why a value stands there that no source states."""
    found: dict[str, str] = {}
    for entry in entries:
        key = f"{prefix}{entry.key}"
        if "." in entry.key:
            continue  # a dotted key would lead past it
        if entry.assumed:
            found[key] = entry.assumed
        if isinstance(entry.value, tuple):
            found |= _assumed_keys(entry.value, prefix=f"{key}.")
    return found


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
        elif entry.value is None or entry.value == NOT_KNOWN:
            found.append(key)
    return tuple(found)


def _base_model(facts: Facts) -> Entries:
    stated = facts.base_model
    d_in = facts.size("d_in")
    n_layers = stated.n_layers if stated else None
    by_card = facts.stated.n_layers if n_layers is None else None
    precision = facts.stated.references.precision
    default = {"weights": "fp32", "compute": "fp32"}
    n_parameters = stated.n_parameters if stated else None
    counted = (Entry("n_parameters", n_parameters),) if n_parameters else ()
    return (
        _known("id", facts.base_model_id, if_not="owner/name of the model on the Hub"),
        Entry("revision", None, "not known: which commit the activations came from"),
        _known("model_type", stated.model_type if stated else None, if_not="see its config.json"),
        _known(
            "n_layers",
            by_card if n_layers is None else n_layers,
            if_not="see its config.json",
            comment="from the card" if by_card else None,
        ),
        _known("d_model", d_in, comment="the SAEs' d_in" if d_in else None),
        *counted,
        Entry("precision", precision, "from the card")
        if precision
        else Entry("precision", default, "assumed", assumed=_NO_PRECISION),
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
        _text("description", facts.stated.texts.description),
        _text("label_rule", card.label_rule or facts.stated.texts.label_rule),
        _text("label_precision", facts.stated.texts.label_precision),
        Entry("pooling", None, "not known: last_token or completion_mean"),
        Entry("conditions", tuple(Entry(name, _condition(facts, name)) for name in conditions)),
    ]
    if facts.stated.temperature is not None:
        entries.append(Entry("temperature", facts.stated.temperature, "from the card"))
    return tuple(entries)


def _condition(facts: Facts, name: str) -> Entries:
    labels = list(facts.stated.labels)
    n = facts.card.condition_counts.get(name) or None
    if name == UNNAMED_CONDITION:
        n = n or facts.stated.n_completions or None
    if name == UNNAMED_CONDITION and len(labels) == len(_LABELS["mixed"]):
        stated = Entry("labels", labels, "assumed", assumed=_NO_LABELS)
    else:
        stated = _known("labels", _LABELS.get(name), if_not="deceptive, honest, or both")
    if n is None:
        return (stated, Entry("n", None, "not known: how many completions"))
    return (stated, Entry("n", n, "completions, by the card"))


def _text(key: str, stated: str | None) -> Entry:
    return Entry(key, stated or NOT_KNOWN, "from the card" if stated else "fill in")


def _weights(facts: Facts, repo_id: str, commit: str | None) -> Entries:
    kinds = {sae.is_pickle for sae in facts.saes.values() if sae.weights is not None}
    entries = [Entry("repo_id", repo_id)]
    entries += [Entry("revision", commit, "the commit that was read")] if commit else []
    entries += [Entry("format", "pickle")] if kinds == {True} else []
    return tuple(entries)


def _known(key: str, value: Any, *, if_not: str | None = None, comment: str | None = None) -> Entry:
    if value is not None:
        return Entry(key, value, comment)
    return Entry(key, None, f"{FILL_IN_COMMENT}; {if_not}" if if_not else FILL_IN_COMMENT)


def _identifier(text: str | None) -> str | None:
    return text if text is not None and _fits(Identifier, text) else None


def _fits(kind: Any, text: str) -> bool:
    try:
        TypeAdapter(kind).validate_python(text)
    except ValidationError:
        return False
    return re.search(r"\s", text) is None
