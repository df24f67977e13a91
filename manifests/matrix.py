"""From the matrix of a manifest to its SAEs: ids, shapes, hook names, each derived, none typed."""

from __future__ import annotations

import itertools
import math
import re
import string
from collections.abc import Iterator
from dataclasses import dataclass

from manifests.errors import ReleaseError
from manifests.hooks import hf_hook_name, lens_hook_name
from manifests.model import Manifest, MatrixEntry, SaeMatrix
from manifests.sae_recipes import Architecture, SavedArchitecture, saved_architecture

# Manifests come from strangers too, inside the repositories that they publish.
MAX_SAES = 10_000
MAX_COMPARISONS = 10_000_000
_FOLDER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
_AXES = ("layers", "architectures", "conditions", "variants")
_FORMAT = re.compile(r"0?[0-9]{0,2}d?")


class MatrixProblem(ReleaseError):
    """A matrix whose id template does not tell its SAEs apart."""

    exit_code = 2


@dataclass(frozen=True, order=True)
class SaeSpec:
    """One SAE as the manifest describes it; `hook_name` is in both notations."""

    layer: int
    architecture: Architecture
    condition: str
    variant: str
    sae_id: str
    d_in: int
    d_sae: int
    hook_name: str
    hf_hook_name: str

    @property
    def saved_architecture(self) -> SavedArchitecture:
        """The `architecture` of cfg.json; another one than is trained for the BatchTopK family."""
        return saved_architecture(self.architecture)


def sae_specs(manifest: Manifest) -> tuple[SaeSpec, ...]:
    """The SAEs of a manifest, ordered by layer, architecture, condition and variant.

    Raises:
        MatrixProblem: the id template has an unknown field or gives two SAEs the same id, or there
            are more than `MAX_SAES`.
    """
    matrix, base_model = manifest.saes, manifest.base_model
    _refuse_excess(matrix)
    specs: dict[str, SaeSpec] = {}
    for layer, architecture, condition, variant in sorted(set(_cells(matrix))):
        sae_id = _sae_id(matrix.id, layer, architecture, condition, variant)
        if sae_id in specs:
            raise MatrixProblem(
                f"two SAEs have the id {sae_id!r}",
                where="saes.id",
                expected="a template that names every axis with more than one value",
                next_step="add {layer}, {architecture}, {condition} or {variant} to saes.id",
            )
        specs[sae_id] = SaeSpec(
            layer=layer,
            architecture=architecture,
            condition=condition,
            variant=variant,
            sae_id=sae_id,
            d_in=base_model.d_model,
            d_sae=base_model.d_model * matrix.expansion,
            hook_name=lens_hook_name(matrix.site, layer),
            hf_hook_name=hf_hook_name(base_model.model_type, layer),
        )
    return tuple(specs.values())


def _refuse_excess(matrix: SaeMatrix) -> None:
    n_cells = 0
    for part in (MatrixEntry.model_validate({}), *matrix.include):
        n_cells += math.prod(
            len(getattr(matrix if getattr(part, axis) is None else part, axis)) for axis in _AXES
        )
    n_left_out = sum(len(getattr(e, axis) or ()) for e in matrix.exclude for axis in _AXES)
    if n_cells > MAX_SAES or n_cells * (n_left_out + len(matrix.exclude)) > MAX_COMPARISONS:
        raise MatrixProblem(
            f"the axes multiply to {n_cells} SAEs, with {len(matrix.exclude)} exclusions",
            where="saes",
            expected=f"at most {MAX_SAES} in one repository, and few exclusions",
            next_step="split the release into several repositories",
        )


def _refuse_strange_fields(template: str) -> None:
    """Refuse attributes, indices and widths: `{layer:0999999999d}` would fill the memory.

    Raises:
        ValueError: there is one.
    """
    for _, name, width, conversion in string.Formatter().parse(template):
        if name is None:
            continue
        if conversion or set(".[") & set(name) or not _FORMAT.fullmatch(width or ""):
            raise ValueError(f"the field {name:.40} is written {width!r:.40}")


def _cells(matrix: SaeMatrix) -> Iterator[tuple[int, Architecture, str, str]]:
    whole = MatrixEntry.model_validate({})
    for part in (whole, *matrix.include):
        for cell in itertools.product(
            matrix.layers if part.layers is None else part.layers,
            matrix.architectures if part.architectures is None else part.architectures,
            matrix.conditions if part.conditions is None else part.conditions,
            matrix.variants if part.variants is None else part.variants,
        ):
            if not any(_covers(excluded, cell) for excluded in matrix.exclude):
                yield cell


def _covers(entry: MatrixEntry, cell: tuple[int, Architecture, str, str]) -> bool:
    layer, architecture, condition, variant = cell
    return (
        (entry.layers is None or layer in entry.layers)
        and (entry.architectures is None or architecture in entry.architectures)
        and (entry.conditions is None or condition in entry.conditions)
        and (entry.variants is None or variant in entry.variants)
    )


def _sae_id(template: str, layer: int, architecture: str, condition: str, variant: str) -> str:
    """Fill in the template; the id names a folder, so it may hold no separator and no space."""
    try:
        _refuse_strange_fields(template)
        sae_id = template.format(
            layer=layer,
            architecture=architecture,
            condition=condition,
            variant=f"_{variant}" if variant else "",
        )
    except (KeyError, IndexError, ValueError, AttributeError) as error:
        raise MatrixProblem(
            f"the template {template!r} cannot be filled in: {error!r}",
            where="saes.id",
            expected="the fields {layer}, {architecture}, {condition} and {variant}",
        ) from error
    if not _FOLDER_NAME.fullmatch(sae_id):
        raise MatrixProblem(
            f"the template gives the id {sae_id!r:.120}",
            where="saes.id",
            expected="letters, digits, '.', '_' and '-', at most 96 of them",
        )
    return sae_id
