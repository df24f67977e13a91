"""A manifest on top of the study file that it extends; what it overrides stays visible.

A manifest names its study file with `extends: study.yaml`. The study file holds `defaults` (any
keys of a manifest), a register `base_models` and a register `caveats`. Where a manifest writes
the *name* of an entry (`base_model: tinyllama-1.1b`, an item of `caveats`), the entry stands in
its place. Mappings are merged key by key, the manifest's own value winning; lists and scalars
replace what they override.
"""

from __future__ import annotations

import copy
import difflib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from manifests.yaml_source import KeyPath, Origin, SourcedData, YamlProblem, read_yaml

EXTENDS = "extends"


@dataclass
class ResolvedData:
    """Plain data of a whole manifest, with the origin of every value and of what it replaced."""

    data: Any
    origins: dict[KeyPath, Origin]
    overridden: dict[KeyPath, Origin] = field(default_factory=dict)

    def as_source(self) -> SourcedData:
        """The data and origins alone."""
        return SourcedData(self.data, self.origins)


def read_resolved(path: Path) -> ResolvedData:
    """Read a manifest and, where it extends one, its study file.

    Raises:
        YamlProblem: a file cannot be read, the study file lies outside the manifest's folder, or
            a name is not in the study file's registers.
    """
    own = read_yaml(path)
    if not isinstance(own.data, dict) or EXTENDS not in own.data:
        return ResolvedData(own.data, dict(own.origins))
    study = _read_study(path, own)
    merged = ResolvedData({}, {(): own.origins[()]})
    defaults = study.data.get("defaults") or {}
    _overlay(merged, (), defaults, study, ("defaults",))
    own_data = {key: value for key, value in own.data.items() if key != EXTENDS}
    _use_registers(own_data, own, study, merged)
    return merged


def _read_study(path: Path, own: SourcedData) -> SourcedData:
    name, place = own.data[EXTENDS], str(own.origins[(EXTENDS,)])
    if not isinstance(name, str) or Path(name).name != name:
        raise YamlProblem(
            f"extends {name!r}",
            where=place,
            expected="the name of a YAML file in the manifest's own folder",
        )
    study = read_yaml(path.parent / name, shown_as=str(path.parent / name))
    known = {"defaults", "base_models", "caveats"}
    if not isinstance(study.data, dict) or not set(study.data) <= known:
        unknown = sorted(set(study.data) - known) if isinstance(study.data, dict) else "no mapping"
        raise YamlProblem(
            f"has the unknown keys {unknown}" if isinstance(unknown, list) else "is no mapping",
            where=str(study.origins[()]),
            expected="a mapping of defaults, base_models and caveats",
        )
    return study


def _use_registers(
    own_data: dict[str, Any], own: SourcedData, study: SourcedData, merged: ResolvedData
) -> None:
    """Overlay the manifest's own keys, putting register entries in the place of their names."""
    model_name = own_data.get("base_model")
    if isinstance(model_name, str):
        entry = _entry(study, "base_models", model_name, own.origins[("base_model",)])
        _overlay(merged, ("base_model",), entry, study, ("base_models", model_name))
        del own_data["base_model"]
    elif isinstance(model_name, dict) and isinstance(model_name.get("use"), str):
        name = model_name["use"]
        entry = _entry(study, "base_models", name, own.origins[("base_model", "use")])
        _overlay(merged, ("base_model",), entry, study, ("base_models", name))
        own_data["base_model"] = {k: v for k, v in model_name.items() if k != "use"}
    caveats = own_data.pop("caveats", None)
    for key, value in own_data.items():
        _overlay(merged, (key,), value, own, (key,))
    if isinstance(caveats, list):
        _drop(merged, ("caveats",))
        merged.data["caveats"] = [None] * len(caveats)
        merged.origins[("caveats",)] = own.origins[("caveats",)]
        for index, caveat in enumerate(caveats):
            target: KeyPath = ("caveats", index)
            if isinstance(caveat, str):
                entry = _entry(study, "caveats", caveat, own.origins[target])
                _overlay(merged, target, entry, study, ("caveats", caveat))
            else:
                _overlay(merged, target, caveat, own, target)
    elif caveats is not None:
        _overlay(merged, ("caveats",), caveats, own, ("caveats",))


def _entry(study: SourcedData, register: str, name: str, place: Origin) -> Any:
    entries = study.data.get(register) or {}
    if name in entries:
        return entries[name]
    near = difflib.get_close_matches(name, sorted(entries), n=1)
    raise YamlProblem(
        f"names {name!r}, which the study file's {register} lack",
        where=str(place),
        expected=f"one of {', '.join(sorted(entries))}" if entries else "an entry there",
        next_step=f"did you mean {near[0]!r}?" if near else None,
    )


def _overlay(
    merged: ResolvedData, target: KeyPath, value: Any, source: SourcedData, origin_path: KeyPath
) -> None:
    """Put `value`, written at `origin_path` of `source`, over what `merged` has at `target`."""
    place = source.origin_of(origin_path)
    assert place is not None
    present = _get(merged.data, target)
    if isinstance(value, dict) and isinstance(present, dict):
        for key, inner in value.items():
            _overlay(merged, (*target, key), inner, source, (*origin_path, key))
        return
    _drop(merged, target)
    _set(merged.data, target, value)
    n_prefix = len(origin_path)
    for path, origin in source.origins.items():
        if path[:n_prefix] == origin_path:
            merged.origins[target + path[n_prefix:]] = origin
    merged.origins.setdefault(target, place)


def _drop(merged: ResolvedData, target: KeyPath) -> None:
    """Forget the origins below `target`, remembering which value was replaced."""
    if target in merged.origins and target:
        merged.overridden[target] = merged.origins[target]
    for path in [path for path in merged.origins if path[: len(target)] == target and path]:
        del merged.origins[path]


def _get(data: Any, path: KeyPath) -> Any:
    """The value at a path of mapping keys; None where there is none, and inside lists."""
    for key in path:
        if not isinstance(data, dict) or key not in data:
            return None
        data = data[key]
    return data


def _set(data: Any, path: KeyPath, value: Any) -> None:
    for key in path[:-1]:
        data = data.setdefault(key, {}) if isinstance(data, dict) else data[key]
    # A copy, since later values are merged into it and a register entry may be used again.
    data[path[-1]] = copy.deepcopy(value)
