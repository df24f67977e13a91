"""What the command line says about training, checked as a whole, and handed to the stage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from manifests.build_folder import BuildFolder
from manifests.errors import UsageError
from manifests.load import LoadedManifest
from manifests.progress import Progress
from release.options import Engine


@dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """The options of `release retrain`, and of `release run` for its training; see their help."""

    device: str | None = None
    only: str | None = None
    base_model: str | None = None
    data: Path | None = None
    memory_gb: float | None = None
    engine: Engine = Engine.LOCAL
    ray_address: str | None = None

    def refuse_contradictions(self, of_a_job: Sequence[str] = ()) -> None:
        """Refuse options that have no meaning together, before anything is read.

        Args:
            of_a_job: options that were given and concern a job at Hugging Face only.

        Raises:
            UsageError: names the first of them.
        """
        if self.memory_gb is not None and self.memory_gb <= 0:
            raise UsageError(
                f"{self.memory_gb:g} is no amount of memory",
                where="--memory-gb",
                expected="a number above 0, in 10^9 bytes",
            )
        if self.data is not None and not self.data.exists():
            raise UsageError(
                f"there is no {self.data}",
                where="--data",
                expected="data of the same form as the manifest's: completions as JSONL, as "
                "`release sample` writes them, or texts",
            )
        if self.ray_address is not None and self.engine is not Engine.RAY:
            raise UsageError(
                f"the address of a Ray cluster was given, but the engine is {self.engine.value}",
                where="--ray-address",
                next_step="add --engine ray, or leave the address out",
            )
        if of_a_job and self.engine is not Engine.HF_JOBS:
            raise UsageError(
                f"there is no job: the engine is {self.engine.value}",
                where=", ".join(of_a_job),
                next_step="add --engine hf-jobs, or leave it out",
            )
        if self.engine is Engine.HF_JOBS:
            self._refuse_what_a_job_does_not_take()

    def _refuse_what_a_job_does_not_take(self) -> None:
        """A job reads its machine and its data from the manifest that it is sent."""
        given = {
            "--device": self.device,
            "--only": self.only,
            "--base-model": self.base_model,
            "--data": self.data,
            "--memory-gb": self.memory_gb,
        }
        for option, value in given.items():
            if value is not None:
                raise UsageError(
                    f"a job trains what the manifest says on the machine that it names, "
                    f"without {option}",
                    where="--engine hf-jobs",
                    next_step="state it in the manifest, or train with another engine",
                )


def train(
    loaded: LoadedManifest, build: BuildFolder, options: TrainingOptions, *, progress: Progress
) -> None:
    """Run the stage `retrain` as the options say."""
    from retrain.stage import retrain

    retrain(
        loaded,
        build,
        device=options.device,
        progress=progress,
        base_model=options.base_model,
        data=options.data,
        only=options.only,
        engine=options.engine.value,
        ray_address=options.ray_address,
        memory_gb=options.memory_gb,
    )
