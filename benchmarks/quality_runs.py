"""One training run of either side, measured on held-out vectors, and kept as a JSON file."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from benchmarks.saelens_trainers import Architecture, Schedule, inference_sae, train

if TYPE_CHECKING:
    from torch import Tensor

    from manifests.recipe import Recipe
    from manifests.sae_recipes import SaeRecipe
    from retrain.input_scale import InputScale

ROOT = Path(__file__).resolve().parents[1]
Side = Literal["saelens", "ours"]
_MEASURED_AT_ONCE = 1024
_PARTS_FOR_L0 = 10


@dataclass(frozen=True, eq=False)
class DataSet:
    """Raw vectors [n, d_in], and how SAEs are trained on them.

    Attributes:
        expansion: d_sae / d_in.
        l0: what TopK and BatchTopK are trained for.
    """

    name: str
    train: Tensor
    held_out: Tensor
    schedule: Schedule
    expansion: int
    l0: int

    @property
    def d_in(self) -> int:
        """Width of a vector."""
        return int(self.train.shape[1])

    @property
    def d_sae(self) -> int:
        """Latents of every SAE."""
        return self.expansion * self.d_in

    @property
    def steps_per_epoch(self) -> int:
        """Batches of a pass; on both sides a latent is dead after so many silent ones."""
        return -(-len(self.train) // self.schedule.batch_size)

    @cached_property
    def scale(self) -> InputScale:
        """Our scaling of the inputs, which SAELens' side gets too."""
        from retrain.input_scale import fit_input_scale
        from retrain.vectors import InMemory

        return fit_input_scale(InMemory(self.train), "unit_mean_norm")

    @cached_property
    def sha256(self) -> str:
        """Digest of the vectors."""
        digest = hashlib.sha256()
        for side in (self.train, self.held_out):
            digest.update(side.numpy().tobytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class Result:
    """One SAE, measured.

    Attributes:
        setting: the number that decides its L0: k, target_l0, a coefficient.
        explained_variance, l0, dead_fraction: as in docs/terms.md, on `n` held-out vectors.
        l0_train: on the first 10,240 training vectors.
        l0_reached: of the last training batches, as ours reports it.
        dead_everywhere: share of latents that no training and no held-out vector activates; None
            in results that were kept before it was measured.
        thresholds: 0, 5, 25, 50, 75, 95, 100% quantiles in units of the scaled input; None where
            the architecture has none.
        threshold_init: all thresholds before training, in the same units.
    """

    side: Side
    data: str
    architecture: Architecture
    seed: int
    setting: float
    settings: dict[str, Any]
    explained_variance: float
    l0: float
    dead_fraction: float
    n: int
    l0_train: float
    steps: int
    seconds: float
    thresholds: tuple[float, ...] | None
    threshold_init: float | None
    l0_reached: float | None = None
    dead_everywhere: float | None = None


def run(
    folder: Path,
    side: Side,
    data: DataSet,
    architecture: Architecture,
    setting: float,
    settings: dict[str, Any],
    seed: int,
) -> Result:
    """The result that the folder holds of this very run; trained and measured first if it is new.

    "This very run" includes our trainer's source and the other side's version.
    """
    from importlib.metadata import version

    about = {
        "data": [data.name, data.sha256, asdict(data.schedule), data.expansion],
        "settings": [architecture, setting, settings, seed],
        "made_by": version("sae-lens") if side == "saelens" else _our_source(),
    }
    key = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:12]
    path = folder / f"{data.name}_{architecture}_{side}_seed{seed}_{setting:.6g}_{key}.json"
    if not path.is_file():
        made = _RUNS[side](data, architecture, setting, settings, seed)
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(made), indent=1) + "\n", encoding="utf-8", newline="\n")
    fields = json.loads(path.read_text(encoding="utf-8"))
    thresholds = fields.pop("thresholds")
    return Result(**fields, thresholds=None if thresholds is None else tuple(thresholds))


@cache
def _our_source() -> str:
    """Digest of what decides the weights that we train."""
    digest = hashlib.sha256()
    for part in ("architectures", "training", "input_scale.py"):
        path = ROOT / "retrain" / part
        for file in sorted(path.glob("*.py")) if path.is_dir() else [path]:
            digest.update(file.read_bytes())
    return digest.hexdigest()


def saelens_run(
    data: DataSet, architecture: Architecture, setting: float, settings: dict[str, Any], seed: int
) -> Result:
    """Train with SAELens on the scaled inputs, in the order of the batches that ours has."""
    z = data.scale.apply(data.train)
    started = time.perf_counter()
    trained = train(
        architecture,
        z,
        data.d_sae,
        {**settings, _SETTING_OF_SAELENS[architecture]: _as_k(architecture, setting)},
        data.schedule,
        seed=seed,
        dead_window=data.steps_per_epoch,
    )
    seconds = time.perf_counter() - started
    return _measured(
        "saelens",
        data,
        architecture,
        setting,
        settings,
        seed,
        inference_sae(trained),
        held_out=data.scale.apply(data.held_out),
        train=z,
        seconds=seconds,
        unit=1.0,
        threshold_init=trained.cfg.jumprelu_init_threshold if architecture == "jumprelu" else None,
    )


def our_run(
    data: DataSet, architecture: Architecture, setting: float, settings: dict[str, Any], seed: int
) -> Result:
    """Train with ours on the raw vectors, and measure the exported tensors through SAELens."""
    from sae_lens import SAE

    from manifests.sae_recipes import saved_architecture
    from retrain.jobs import Job, Unit
    from retrain.training.train import train_unit
    from retrain.vectors import InMemory

    sae_recipe = _sae_recipe(architecture, setting, settings)
    job = Job("benchmark", "hook", None, data.d_sae, sae_recipe, seed)
    unit = Unit((job,), _recipe(data.schedule, settings), "cpu", data.schedule.batch_size)
    started = time.perf_counter()
    (trained,) = train_unit(unit, {"hook": InMemory(data.train)})
    seconds = time.perf_counter() - started
    config: dict[str, Any] = {
        "architecture": saved_architecture(architecture),
        "d_in": data.d_in,
        "d_sae": data.d_sae,
        "apply_b_dec_to_input": True,
    }
    if architecture == "topk":
        config |= {"k": round(setting), "rescale_acts_by_decoder_norm": False}
    sae = SAE.from_dict(config)
    sae.load_state_dict(trained.tensors)
    init = trained.threshold_init
    return _measured(
        "ours",
        data,
        architecture,
        setting,
        settings,
        seed,
        sae,
        held_out=data.held_out,
        train=data.train,
        seconds=seconds,
        unit=trained.scale,
        threshold_init=None if init is None else init / trained.scale,
        l0_reached=trained.final_l0,
    )


# Settings that belong to the whole recipe, not to an architecture.
_OF_THE_RECIPE = frozenset({"max_gradient_norm", "adam_beta2", "sparsity_warmup"})


def _recipe(schedule: Schedule, settings: dict[str, Any]) -> Recipe:
    from manifests.recipe import Recipe

    own = {name: value for name, value in settings.items() if name in _OF_THE_RECIPE}
    return Recipe(**asdict(schedule), **own)


def _sae_recipe(architecture: Architecture, setting: float, settings: dict[str, Any]) -> SaeRecipe:
    from manifests.sae_recipes import BatchTopkRecipe, GatedRecipe, JumpreluRecipe, TopkRecipe

    settings = {name: value for name, value in settings.items() if name not in _OF_THE_RECIPE}
    match architecture:
        case "topk":
            return TopkRecipe(k=round(setting), **settings)
        case "batchtopk":
            return BatchTopkRecipe(k=round(setting), **settings)
        case "jumprelu":
            decides = "sparsity_coefficient" if settings.get("sparsity") == "l0" else "target_l0"
            return JumpreluRecipe.model_validate({decides: setting, **settings})
        case "gated":
            return GatedRecipe(l1_coefficient=setting, **settings)


_SETTING_OF_SAELENS: dict[Architecture, str] = {
    "topk": "k",
    "batchtopk": "k",
    "jumprelu": "l0_coefficient",
    "gated": "l1_coefficient",
}


def _as_k(architecture: Architecture, setting: float) -> float:
    return round(setting) if architecture in ("topk", "batchtopk") else setting


def _measured(
    side: Side,
    data: DataSet,
    architecture: Architecture,
    setting: float,
    settings: dict[str, Any],
    seed: int,
    sae: Any,
    *,
    held_out: Tensor,
    train: Tensor,
    seconds: float,
    unit: float,
    threshold_init: float | None,
    l0_reached: float | None = None,
) -> Result:
    """`unit`: one unit of the scaled input, in the units that the SAE reads."""
    import torch

    from validators.metrics.reconstruction import ReconstructionSums
    from validators.metrics.sparsity import LatentCounts

    sums, counts = ReconstructionSums(), LatentCounts(data.d_sae)
    on_train = LatentCounts(data.d_sae)
    with torch.no_grad():
        for x in torch.split(held_out, _MEASURED_AT_ONCE):
            latents = sae.encode(x)
            sums.add(x.numpy(), sae.decode(latents).numpy())
            counts.add(latents.numpy())
        fired = counts.fired > 0
        for number, x in enumerate(torch.split(train, _MEASURED_AT_ONCE)):
            latents = sae.encode(x).numpy()
            fired |= (latents != 0).any(axis=0)
            if number < _PARTS_FOR_L0:
                on_train.add(latents)
    thresholds = None
    if architecture in ("jumprelu", "batchtopk"):
        shares = torch.tensor([0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0])
        quantiles = (sae.threshold.detach().float() / unit).quantile(shares)
        thresholds = tuple(float(value) for value in quantiles)
    return Result(
        side=side,
        data=data.name,
        architecture=architecture,
        seed=seed,
        setting=setting,
        settings=settings,
        explained_variance=sums.explained_variance(),
        l0=counts.l0(),
        dead_fraction=counts.dead_fraction(),
        n=counts.n,
        l0_train=on_train.l0(),
        steps=data.schedule.steps(len(data.train)),
        seconds=seconds,
        thresholds=thresholds,
        threshold_init=threshold_init,
        l0_reached=l0_reached,
        dead_everywhere=float((~fired).mean()),
    )


_RUNS: dict[Side, Callable[..., Result]] = {"saelens": saelens_run, "ours": our_run}
