"""Manifests as tables for the terminal."""

from __future__ import annotations

from collections.abc import Iterable

from cards.sections.architectures import thresholds_of
from manifests.collection import LoadedCollection
from manifests.hooks import depth_percent
from manifests.load import LoadedManifest
from manifests.matrix import SaeSpec
from manifests.model import Manifest
from release.resolved_view import resolved_values
from release.text_table import TextTable


def value_lines(loaded: LoadedManifest) -> str:
    """Every value of one resolved manifest, a line each, with its origin as a comment."""
    own = loaded.path.name
    lines = []
    for value in resolved_values(loaded):
        origin = value.origin.replace(f"{own}:", "line ", 1)
        if value.overrides:
            origin += f", over {value.overrides}"
        lines.append(f"{value.key}: {value.value}  # {origin}")
    return "\n".join(lines)


def saes_table(loaded: LoadedManifest) -> TextTable:
    """One row for each SAE of a manifest."""
    rows = []
    for spec in loaded.saes:
        depth = depth_percent(spec.layer, loaded.manifest.base_model.n_layers)
        sizes = str(spec.d_in), str(spec.d_sae)
        rows.append((spec.sae_id, spec.hf_hook_name, f"{depth:.0f}%", *sizes))
    return TextTable(("id", "hook (transformers)", "depth", "d_in", "d_sae"), tuple(rows))


def overview_table(loaded: Iterable[LoadedManifest]) -> TextTable:
    """One row for each manifest."""
    rows = tuple(
        (one.path.name, one.manifest.repo_id, one.manifest.base_model.id, str(len(one.saes)))
        for one in loaded
    )
    return TextTable(("manifest", "repository", "base model", "SAEs"), rows)


def summary_sentence(loaded: LoadedManifest) -> str:
    """How many SAEs the manifest describes, and how that number comes about."""
    layers = sorted({spec.layer for spec in loaded.saes})
    kinds = sorted({_kind(loaded.manifest, spec) for spec in loaded.saes})
    conditions = sorted({spec.condition for spec in loaded.saes})
    return (
        f"{loaded.manifest.repo_id}: {len(loaded.saes)} SAEs "
        f"({len(layers)} layers, {', '.join(kinds)}, {', '.join(conditions)}); "
        f"manifest {loaded.digest[:12]}."
    )


def _kind(manifest: Manifest, spec: SaeSpec) -> str:
    """Architecture and variant; JumpReLU with thresholds of 0 is named for what it is."""
    words = [spec.architecture, spec.variant]
    if thresholds_of(manifest, spec) == "fixed_at_zero":
        words.append("with thresholds fixed at zero")
    return " ".join(filter(None, words))


def members_table(loaded: LoadedCollection) -> TextTable:
    """One row for each repository of a collection; a count nobody gives is 'unknown'."""
    rows = []
    for member in loaded.members:
        origin = "its manifest" if member.is_derived else "its card"
        if member.is_disputed:
            origin += f" (its card says {member.reported_n_saes})"
        n_saes = "unknown" if member.n_saes is None else str(member.n_saes)
        rows.append((member.base_model_id, member.repo_id, n_saes, origin))
    return TextTable(("base model", "repository", "SAEs", "from"), tuple(rows))


def collection_sentence(loaded: LoadedCollection) -> str:
    """How many SAEs are accounted for, against each total that a page gives."""
    totals = "; ".join(
        f"the {total.name} is {total.n_saes}" for total in loaded.collection.reported_totals
    )
    return (
        f"{loaded.collection.repo_id}: {len(loaded.members)} base models, {loaded.n_known} SAEs "
        f"accounted for, {loaded.n_derived} of them by manifests ({totals or 'no total reported'})."
    )
