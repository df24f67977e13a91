"""What folder names, configs, headers and the card say about the same thing, held together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Set
from typing import Any

from manifests.hooks import BLOCKS_PATH
from manifests.sae_recipes import saved_architecture
from release.importing.card import README, CardFacts
from release.importing.configs import ConfigFacts
from release.importing.findings import Finding
from release.importing.headers import HeaderFacts
from release.importing.names import ARCHITECTURES, Cell
from release.importing.survey import FoundSae
from validators.saelens.format import TENSOR_SHAPES

_SITE = "resid_post"
_SAVED = tuple(dict.fromkeys(saved_architecture(name) for name in ARCHITECTURES))


def compare_saes(saes: Mapping[str, FoundSae], cells: Mapping[str, Cell]) -> Iterator[Finding]:
    """Disagreements within each SAE, and of one SAE with most of the others."""
    for name, sae in saes.items():
        if sae.config is not None:
            yield from _config_alone(name, sae.config)
            if name in cells:
                yield from _config_and_name(name, sae.config, cells[name])
            if sae.header is not None:
                yield from _config_and_header(name, sae.config, sae.header)
    yield from _outliers(saes)
    yield from _notations(saes)


def compare_card(
    card: CardFacts, saes: Mapping[str, FoundSae], cells: Mapping[str, Cell]
) -> Iterator[Finding]:
    """The card's front matter, tables and lists against the folders and configs."""
    for line, n in card.counts:
        if n != len(saes):
            yield Finding(
                "fail", README, f"lists {n} SAEs ({line!r})", f"{len(saes)}, as there are folders"
            )
    found = set(cells.values())
    yield from _card_set("layers", card.layers, {cell.layer for cell in found})
    real = {cell.architecture for cell in found}
    # A card may go by the name in cfg.json; `standard` is said of much else.
    stated_ones = card.architectures - ({"standard"} - real)
    as_stated = {a if a in stated_ones else saved_architecture(a) for a in real}
    if not {*real, *as_stated} >= stated_ones >= as_stated:
        yield from _card_set("architectures", stated_ones, real)
    configs = [sae.config for sae in saes.values() if sae.config is not None]
    headers = [sae.header for sae in saes.values() if sae.header is not None]
    for name in ("d_in", "d_sae"):
        sizes = {getattr(each, name) for each in (*configs, *headers)} - {None}
        yield from _card_set(name, getattr(card, name), sizes)
    yield from _card_set("k", card.k, {each.k for each in configs} - {None})
    stated = card.front_matter_texts("base_model")
    named = {each.base_model for each in configs} - {None}
    if stated and named and not named <= set(stated):
        yield Finding(
            "fail",
            README,
            f"front matter names base_model {_joined(stated)}",
            f"{_joined(named)}, as the configs say",
        )


def _config_alone(name: str, config: ConfigFacts) -> Iterator[Finding]:
    if not config.is_nested:
        yield Finding(
            "warn",
            name,
            "cfg.json is the flat form from before SAELens 6",
            "nested metadata; SAELens drops the hook name of a flat one",
        )
    if config.architecture is None:
        yield Finding("fail", name, "cfg.json states no architecture", "one SAELens can open")
    elif config.architecture not in _SAVED:
        yield Finding(
            "fail",
            name,
            f"cfg.json says architecture {config.architecture!r}",
            f"one of {', '.join(_SAVED)}",
        )
    if config.architecture == "topk" and config.k is None:
        instead = f", but {config.misnamed_k}" if config.misnamed_k else ""
        yield Finding(
            "fail", name, f"cfg.json of a topk states no k{instead}", "k; SAELens would take 100"
        )
    for key in ("d_in", "d_sae", "dtype"):
        if getattr(config, key) is None:
            yield Finding("fail", name, f"cfg.json states no {key}", f"{key}, to load the weights")
    if not config.hooks:
        yield Finding("fail", name, "cfg.json states no hook name", "where the activation is read")
    for hook in config.hooks:
        if hook.notation == "neither":
            yield Finding(
                "fail",
                name,
                f"{hook.key} is written as {_pattern(hook.text, hook.layer)}",
                "blocks.L.hook_resid_post (TransformerLens) or the module's path in transformers",
            )
        if hook.site is not None and hook.site != _SITE:
            yield Finding(
                "fail", name, f"{hook.key} reads hook_{hook.site}", f"hook_{_SITE}, the one site"
            )
    layers = {hook.layer for hook in config.hooks} | {config.layer_key}
    if len(layers - {None}) > 1:
        yield Finding(
            "fail",
            name,
            f"cfg.json names the layers {_joined(layers - {None})}",
            "one layer",
        )


def _config_and_name(name: str, config: ConfigFacts, cell: Cell) -> Iterator[Finding]:
    for what, stated, named in (
        ("architecture", config.claims, cell.architecture),
        ("layer", config.layer, cell.layer),
        ("condition", config.condition, cell.condition),
    ):
        if stated is not None and stated != named:
            yield Finding(
                "fail", name, f"cfg.json says {what} {stated}", f"{named}, as the folder is named"
            )


def _config_and_header(name: str, config: ConfigFacts, header: HeaderFacts) -> Iterator[Finding]:
    for key in ("d_in", "d_sae"):
        stated, real = getattr(config, key), getattr(header, key)
        if stated is not None and real is not None and stated != real:
            yield Finding(
                "fail", name, f"cfg.json says {key} {stated}", f"{real}, the weights' shape"
            )
    if config.dtype is not None and header.dtypes and (config.dtype,) != header.dtypes:
        yield Finding(
            "warn",
            name,
            f"cfg.json says dtype {config.dtype}",
            f"{', '.join(header.dtypes)}, as the weights are stored",
        )
    shapes = TENSOR_SHAPES.get(config.architecture or "")
    if shapes is not None and set(shapes) != set(header.names):
        missing, extra = set(shapes) - set(header.names), set(header.names) - set(shapes)
        parts = [f"lack {_joined(missing)}"] if missing else []
        parts += [f"also hold {_joined(extra)}"] if extra else []
        fits = f"; they are those of {_joined(header.fits)}" if header.fits else ""
        yield Finding(
            "fail",
            name,
            f"the weights {' and '.join(parts)}",
            f"the tensors of {config.architecture}, as cfg.json says{fits}",
        )


def _outliers(saes: Mapping[str, FoundSae]) -> Iterator[Finding]:
    """Sizes, k and base model that differ from those of most SAEs."""
    for key in ("d_in", "d_sae", "k", "base_model"):
        values = {
            name: getattr(sae.config, key)
            for name, sae in saes.items()
            if sae.config is not None and getattr(sae.config, key) is not None
        }
        if len(set(values.values())) < 2:
            continue
        usual = commonest(values.values())
        for name, value in values.items():
            if value != usual:
                yield Finding(
                    "fail", name, f"cfg.json says {key} {value}", f"{usual}, as in most others"
                )


def _notations(saes: Mapping[str, FoundSae]) -> Iterator[Finding]:
    """One key, one notation: `hook_name` is TransformerLens', `hf_hook_name` the module's path."""
    counts: Counter[str] = Counter()
    for name, sae in saes.items():
        for hook in sae.config.hooks if sae.config else ():
            if hook.key.endswith("hf_hook_name"):
                parent = hook.text.rpartition(".")[0]
                if hook.notation != "module path" or parent not in BLOCKS_PATH.values():
                    yield Finding(
                        "fail",
                        name,
                        f"{hook.key} is written as {_pattern(hook.text, hook.layer)}",
                        "the path of a block in transformers",
                    )
            else:
                counts[_pattern(hook.text, hook.layer)] += 1
    if len(counts) > 1:
        shown = "; ".join(f"{text} in {n}" for text, n in sorted(counts.items()))
        yield Finding("fail", "hook_name", f"stands in {len(counts)} notations: {shown}", "one")


def commonest(values: Iterable[Any]) -> Any:
    """The value that occurs most often; of several, the first in text order. None for no values."""
    counts = Counter(values)
    return min(counts, key=lambda value: (-counts[value], str(value)), default=None)


def _card_set(name: str, stated: Set[Any], real: Set[Any]) -> Iterator[Finding]:
    if stated and real and stated != real:
        yield Finding(
            "fail",
            README,
            f"lists {name} {_joined(stated)}",
            f"{_joined(real)}, as folders and configs have it",
        )


def _pattern(text: str, layer: int | None) -> str:
    """A hook name with L for its layer, so that those of all layers are one finding."""
    return text if layer is None else text.replace(f".{layer}", ".L", 1)


def _joined(values: Iterable[Any]) -> str:
    """Values as a list; numbers in their own order, before words."""
    ordered = sorted(values, key=lambda each: (isinstance(each, str), each))
    return ", ".join(str(value) for value in ordered)
