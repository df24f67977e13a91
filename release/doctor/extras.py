"""The tool's requirements as its own metadata has them: which are there, in which version."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable
from importlib.metadata import PackageNotFoundError, metadata, version
from typing import TYPE_CHECKING

from release.doctor.installation import NAME, Installation
from release.doctor.line import Line, State

if TYPE_CHECKING:
    from packaging.requirements import Requirement

# What an extra is for cannot be read from the metadata; the packages of each can.
PURPOSES = {
    "measure": "validate --tier activations, measure, portability",
    "retrain": "retrain, run",
    "ray": "retrain --engine ray",
    "sign": "signing a release, and verifying a signature",
    "plots": "the figures of cards",
    "demo": "the demonstration manifest, with training and figures",
    "docs": "building the documentation",
    "dev": "the project's own tests and linters",
}

VersionOf = Callable[[str], str | None]


def installed_version(package: str) -> str | None:
    """The version of an installed distribution; None where there is none."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def requirement_lines(
    found: Installation, *, version_of: VersionOf = installed_version
) -> list[Line]:
    """One line for the base, one for each extra, from the installed metadata."""
    if found.version is None:
        return []
    said = metadata(NAME)
    requires = said.get_all("Requires-Dist") or []
    extras = said.get_all("Provides-Extra") or []
    lines = judged(requires, extras, found, version_of=version_of)
    stale = _unknown_extras(found, extras)
    if stale:
        again = (
            "python make.py setup"
            if found.kind == "checkout"
            else found.pip_install(f'-e "{found.folder}"')
        )
        what = f"pyproject.toml has extras that were not there at installation: {', '.join(stale)}"
        lines.append(Line("extras", State.NOTE, what, again))
    return lines


def judged(
    requires: Iterable[str],
    extras: Iterable[str],
    found: Installation,
    *,
    version_of: VersionOf,
) -> list[Line]:
    """The lines of given requirements (PEP 508), such as `torch>=2.8; extra == 'measure'`."""
    from packaging.requirements import Requirement

    parsed = [Requirement(text) for text in requires]
    base = [one for one in parsed if one.marker is None or one.marker.evaluate({"extra": ""})]
    lines = [_of_base(base, found, version_of)]
    of_extras = {extra: _of_one(extra, parsed) for extra in extras}
    shown: set[str] = set()
    # The smaller first, so that a larger one that takes it in need not list it again.
    for extra, wanted in sorted(of_extras.items(), key=lambda item: (len(item[1]), item[0])):
        lines.append(_of_extra(extra, wanted, found, version_of, shown))
    return lines


def _of_one(extra: str, parsed: list[Requirement]) -> list[Requirement]:
    """The requirements that an extra adds to the base."""
    wanted = [
        one
        for one in parsed
        if one.marker is not None
        and not one.marker.evaluate({"extra": ""})
        and one.marker.evaluate({"extra": extra})
    ]
    return _flat(wanted, parsed)


def _flat(wanted: list[Requirement], parsed: list[Requirement]) -> list[Requirement]:
    """Requirements with those of the tool's own extras in the place of `sae-release[extra]`."""
    flat: dict[str, Requirement] = {}
    for one in wanted:
        if one.name.lower().replace("_", "-") != NAME:
            flat.setdefault(one.name, one)
            continue
        for extra in one.extras:
            for other in _of_one(extra, parsed):
                flat.setdefault(other.name, other)
    return list(flat.values())


def _of_base(wanted: list[Requirement], found: Installation, version_of: VersionOf) -> Line:
    there, absent, unfit = _sorted_out(wanted, version_of)
    if not absent and not unfit:
        return Line("base", State.OK, f"{len(there)} packages in the versions that are needed")
    return Line("base", State.BROKEN, "; ".join([*_absent(absent), *unfit]), found.add_extra(""))


def _of_extra(
    extra: str,
    wanted: list[Requirement],
    found: Installation,
    version_of: VersionOf,
    shown: set[str],
) -> Line:
    """An extra's line; what is in `shown` stands on a line above and is counted only."""
    there, absent, unfit = _sorted_out(wanted, version_of)
    purpose = f" (for {PURPOSES[extra]})" if extra in PURPOSES else ""
    topic = f"extra {extra}"
    if not absent and not unfit:
        fresh = [one for one in there if one not in shown]
        n_above = len(there) - len(fresh)
        shown.update(fresh)
        told = [*fresh, f"{n_above} of the above"] if n_above else fresh
        return Line(topic, State.OK, ", ".join(told) + purpose)
    what = "; ".join([*_absent(absent), *unfit]) + purpose
    # Half an extra is one that was not asked for: its packages came with something else.
    state = State.MISSING if absent else State.BROKEN
    return Line(topic, state, what, found.add_extra(extra))


def _absent(names: list[str]) -> list[str]:
    return [f"not installed: {', '.join(names)}"] if names else []


def _sorted_out(
    wanted: list[Requirement], version_of: VersionOf
) -> tuple[list[str], list[str], list[str]]:
    """What is there with its version, what is not, and what has a version that does not fit."""
    there, absent, unfit = [], [], []
    for one in sorted(wanted, key=lambda requirement: requirement.name):
        has = version_of(one.name)
        if has is None:
            absent.append(f"{one.name}{one.specifier}")
        elif not one.specifier.contains(has, prereleases=True):
            unfit.append(f"{one.name} {has} is installed, {one.specifier} is needed")
        else:
            there.append(f"{one.name} {has}")
    return there, absent, unfit


def _unknown_extras(found: Installation, extras: list[str]) -> list[str]:
    """The extras of an editable installation's pyproject.toml that its metadata lacks."""
    if found.folder is None or not found.is_editable:
        return []
    file = found.folder / "pyproject.toml"
    if not file.is_file():
        return []
    project = tomllib.loads(file.read_text(encoding="utf-8")).get("project", {})
    return sorted(set(project.get("optional-dependencies", {})) - set(extras))
