"""The entry of a repository in SAELens' `pretrained_saes.yaml`.

`l0` and `variance_explained` are the means on held-out vectors that the report measured on the very
bytes of the repository. A number that only somebody reported is no measurement, and is left out as
one that is missing: a comment then says why, since SAELens reads a missing `l0` as 0.00 and a
missing `variance_explained` as 1.00.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from manifests.build_folder import SAE_CONFIG, SAE_WEIGHTS
from manifests.matrix import SaeSpec
from manifests.model import Manifest
from release.neuronpedia_ids import neuronpedia_id
from validators.presenting.printable import one_line
from validators.report import Measurement, Report

# Key of the registry, metric of docs/terms.md, digits after the point.
_NUMBERS = (("l0", "l0", 2), ("variance_explained", "explained_variance", 4))
_NAMES = " and ".join(key for key, _, _ in _NUMBERS)


@dataclass(frozen=True)
class RegisteredSae:
    """One item of `saes`; `left_out` says of each number that is missing why it is."""

    item: dict[str, Any]
    left_out: tuple[str, ...]


@dataclass(frozen=True)
class RegistryEntry:
    """One release of the registry; `left_out` says why no SAE has numbers, where none has."""

    release: str
    head: dict[str, Any]
    saes: tuple[RegisteredSae, ...]
    left_out: str | None

    @property
    def n_incomplete(self) -> int:
        """How many SAEs lack a number."""
        return len(self.saes) if self.left_out else sum(bool(sae.left_out) for sae in self.saes)


def registry_entry(
    manifest: Manifest,
    saes: tuple[SaeSpec, ...],
    report: Report | None,
    sha256: dict[str, str],
    *,
    neuronpedia_model: str | None = None,
) -> RegistryEntry:
    """Describe a repository as SAELens' registry does.

    Args:
        manifest: of the repository.
        saes: what follows from it.
        report: the measured report, None where there is none.
        sha256: of the SAEs' files as they lie in the repository, by path_in_repo.
        neuronpedia_model: Neuronpedia's id of the base model, where it differs from the Hub's name.
    """
    whole = _why_none(report)
    return RegistryEntry(
        release=manifest.repo_id.rpartition("/")[2],
        head={
            "conversion_func": None,
            "links": {"model": f"https://huggingface.co/{manifest.base_model.id}"},
            "model": manifest.base_model.id,
            "repo_id": manifest.repo_id,
        },
        saes=tuple(
            _registered(
                spec,
                None if whole else report,
                sha256,
                neuronpedia_id(manifest, spec, model=neuronpedia_model),
            )
            for spec in saes
        ),
        left_out=whole,
    )


def registry_yaml(entries: tuple[RegistryEntry, ...]) -> str:
    """The entries as YAML that can be pasted into the registry; equal entries, equal text."""
    return "".join(line for entry in entries for line in _entry_lines(entry))


def _entry_lines(entry: RegistryEntry) -> Iterator[str]:
    yield "# neuronpedia: proposed ids, which lead to a page once Neuronpedia has the SAEs.\n"
    if entry.left_out:
        yield f"# {_NAMES} are left out: {one_line(entry.left_out)}.\n"
    if entry.n_incomplete:
        yield "# SAELens reads a missing l0 as 0.00, a missing variance_explained as 1.00.\n"
    yield _dumped({entry.release: entry.head})
    yield "  saes:\n"
    for sae in entry.saes:
        for reason in sae.left_out:
            yield f"  # {one_line(reason)}\n"
        for line in _dumped([sae.item]).splitlines(keepends=True):
            yield f"  {line}"


def _dumped(value: Any) -> str:
    # A wide line: SAELens' own file never folds a value.
    text: str = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=1_000_000)
    return text


def _why_none(report: Report | None) -> str | None:
    if report is None:
        return "the repository has no report.json"
    if report.measurements is None:
        return "report.json has no measurements"
    return None


def _registered(
    spec: SaeSpec, report: Report | None, sha256: dict[str, str], neuronpedia: str
) -> RegisteredSae:
    item: dict[str, Any] = {"id": spec.sae_id, "path": spec.sae_id}
    left_out: list[str] = []
    if report is not None and report.measurements is not None:
        other = [
            name
            for name in (f"{spec.sae_id}/{SAE_CONFIG}", f"{spec.sae_id}/{SAE_WEIGHTS}")
            if name not in sha256 or report.measurements.inputs.get(name) != sha256[name]
        ]
        if other:
            left_out = [f"{_NAMES} are left out: report.json measured other bytes of {other[0]}"]
        else:
            metrics = report.measurements.saes.get(spec.sae_id, {})
            for key, metric, digits in _NUMBERS:
                value, reason = _held_out(metrics.get(metric))
                if value is None:
                    left_out.append(f"{key} is left out: {reason}")
                else:
                    item[key] = round(value, digits)
    item["neuronpedia"] = neuronpedia
    return RegisteredSae(item, tuple(left_out))


def _held_out(found: Measurement | None) -> tuple[float | None, str]:
    """The value on held-out vectors, or None and why there is none."""
    if found is None:
        return None, "report.json does not have it"
    if found.value is None:
        return None, f"not measured ({found.reason})"
    if found.split != "held_out":
        return None, f"measured on the split {found.split}, not on held-out vectors"
    return found.value, ""
