"""From a manifest to units of training: which SAEs are trained together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from manifests.load import LoadedManifest
from manifests.matrix import SaeSpec
from retrain.jobs import Job, Unit
from retrain.planning.memory import Group
from retrain.training.train import sae_seed

if TYPE_CHECKING:
    from torch import Tensor

    from retrain.planning.plan import Plan


def groups_of(
    loaded: LoadedManifest, n_vectors: Mapping[str, int]
) -> list[tuple[Group, list[SaeSpec]]]:
    """The SAEs of a manifest by what may be trained as one batch, whatever is trained already.

    Side by side go SAEs of the same recipe and shape with the same number of vectors, so that they
    take the same steps: a condition's SAEs of all layers.

    Args:
        loaded: the manifest.
        n_vectors: training vectors by condition.
    """
    recipe = loaded.manifest.recipe
    members: dict[tuple[str, str, int, int, int], list[SaeSpec]] = {}
    for spec in loaded.saes:
        own = recipe.of(spec.architecture, spec.variant)
        key = (
            spec.architecture,
            own.model_dump_json(),
            spec.d_in,
            spec.d_sae,
            n_vectors[spec.condition],
        )
        members.setdefault(key, []).append(spec)
    return [
        (
            Group(
                architecture=specs[0].architecture,
                d_in=specs[0].d_in,
                d_sae=specs[0].d_sae,
                n_saes=len(specs),
                batch_size=recipe.batch_size,
                n_vectors=n_vectors[specs[0].condition],
            ),
            specs,
        )
        for specs in members.values()
    ]


def units_of(
    loaded: LoadedManifest,
    groups: Sequence[tuple[Group, list[SaeSpec]]],
    plan: Plan,
    rows: Mapping[str, Tensor | None],
    *,
    device: str,
) -> list[Unit]:
    """Every unit of a manifest, as the plan cuts its groups.

    Args:
        loaded: the manifest.
        groups: of `groups_of`, those that were planned.
        plan: of these groups, in the same order.
        rows: int64 rows of each condition's vectors; None: all.
        device: where torch computes.
    """
    units = []
    for (_, specs), planned in zip(groups, plan.groups, strict=True):
        for start in range(0, len(specs), planned.n_together):
            chosen = specs[start : start + planned.n_together]
            units.append(
                Unit(
                    jobs=tuple(_job(loaded, spec, rows[spec.condition]) for spec in chosen),
                    recipe=loaded.manifest.recipe,
                    device=device,
                    micro_batch=planned.micro_batch,
                    resident=planned.resident,
                )
            )
    return units


def _job(loaded: LoadedManifest, spec: SaeSpec, rows: Tensor | None) -> Job:
    recipe = loaded.manifest.recipe
    return Job(
        sae_id=spec.sae_id,
        hook=spec.hf_hook_name,
        rows=rows,
        d_sae=spec.d_sae,
        sae_recipe=recipe.of(spec.architecture, spec.variant),
        seed=sae_seed(recipe.seed, spec.sae_id),
    )
