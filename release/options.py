"""Options that several verbs share, with the one help text of each."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from release import completion


class Engine(StrEnum):
    """What runs the pieces of training work."""

    LOCAL = "local"
    RAY = "ray"
    HF_JOBS = "hf-jobs"


HubOption = Annotated[
    str | None,
    typer.Option(
        "--hub",
        metavar="URL|embedded",
        autocompletion=completion.hubs,
        help="The Hub to talk to. Default: HF_ENDPOINT, else https://huggingface.co. "
        "'embedded' starts one on loopback with its state under build/hub.",
    ),
]
ManifestsOption = Annotated[
    Path,
    typer.Option("--manifests", metavar="DIR", help="The folder of manifests: what --all means."),
]
BuildOption = Annotated[
    Path,
    typer.Option("--build", metavar="DIR", help="Where the stages put their files."),
]
BaseModelOption = Annotated[
    str | None,
    typer.Option(
        "--base-model",
        metavar="ID_OR_PATH",
        help="Use this base model instead of the manifest's; it is recorded.",
    ),
]
ManifestArgument = Annotated[
    Path,
    typer.Argument(
        metavar="MANIFEST",
        help="A manifest, such as manifests/x.yaml.",
        autocompletion=completion.manifest_paths,
    ),
]
MeasuredTargetArgument = Annotated[
    str,
    typer.Argument(
        metavar="TARGET",
        autocompletion=completion.targets,
        help="A manifest, or owner/name[@revision] that one in --manifests describes. Its local "
        "build is taken where there is one, else the repository is fetched.",
    ),
]
ManifestsArgument = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="MANIFEST",
        help="One or more manifests.",
        autocompletion=completion.manifest_paths,
    ),
]
AllOption = Annotated[bool, typer.Option("--all", help="Every manifest of --manifests.")]
DeviceOption = Annotated[
    str | None,
    typer.Option(
        "--device",
        metavar="cpu|cuda|cuda:N",
        autocompletion=completion.devices,
        help="Where to train. Default: hardware.target.device of the manifest if this machine has "
        "it, else cpu. Another device than the target is allowed and recorded.",
    ),
]
DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="FILE",
        help="Train on this instead of the manifest's data, in the same form: completions as "
        "JSONL, or texts. It is recorded, and the result cannot be pushed as the manifest's.",
    ),
]
OnlyOption = Annotated[
    str | None,
    typer.Option(
        "--only",
        metavar="GLOB",
        help="Only the SAEs whose id matches.",
        autocompletion=completion.sae_ids,
    ),
]
EngineOption = Annotated[
    Engine,
    typer.Option(
        "--engine",
        help="What runs the training: this machine, a Ray cluster (extra 'ray'), or a job at "
        "Hugging Face, which is only shown unless --submit is given.",
    ),
]
RayAddressOption = Annotated[
    str | None,
    typer.Option(
        "--ray-address",
        metavar="HOST:PORT|auto",
        help="The running cluster for --engine ray. Default: RAY_ADDRESS, else a Ray of this "
        "machine alone.",
    ),
]
MemoryOption = Annotated[
    float | None,
    typer.Option(
        "--memory-gb",
        min=0,
        metavar="GB",
        help="Keep to this memory (10^9 bytes; of the GPU, or of the process on a CPU) instead of "
        "hardware.target.memory_gb. It is recorded.",
    ),
]
CardsOnlyOption = Annotated[
    bool,
    typer.Option(
        "--cards-only", help="Only the card, its index and figures; no weight file is touched."
    ),
]
DeleteOption = Annotated[
    bool,
    typer.Option(
        "--delete",
        help="Delete files that the former release put there and this one lacks. Others stay.",
    ),
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]

DEFAULT_MANIFESTS = Path("manifests")
DEFAULT_BUILD = Path("build")
