"""Where training computes, decided before anything is loaded."""

from __future__ import annotations

import re
from dataclasses import dataclass

from manifests.base_model import Precision
from manifests.errors import ReleaseError, UsageError
from manifests.model import Target
from validators.base_models.precisions import PrecisionProblem, refuse_missing_bf16

_DEVICE = re.compile(r"cpu|cuda(:\d{1,3})?")


class DeviceUnavailable(ReleaseError):
    """A device that torch cannot use here."""

    exit_code = 2


@dataclass(frozen=True)
class ChosenDevice:
    """Where torch computes, and what to say about it; None when it is the manifest's target."""

    name: str
    note: str | None

    @property
    def is_cuda(self) -> bool:
        """Whether it is a GPU."""
        return self.name.startswith("cuda")


@dataclass(frozen=True)
class Machine:
    """What torch says of this machine's GPUs.

    Attributes:
        n_gpus: that torch can use.
        capabilities: of each, (7, 5) for 7.5.
        refusal: why there is none, in torch's words.
        built_for_cuda: whether this torch could use one.
    """

    n_gpus: int
    capabilities: tuple[tuple[int, int], ...]
    refusal: str
    built_for_cuda: bool


def this_machine() -> Machine:
    """Ask torch."""
    import torch

    built = torch.version.cuda is not None
    if torch.cuda.is_available():
        n_gpus = torch.cuda.device_count()
        capabilities = tuple(torch.cuda.get_device_capability(i) for i in range(n_gpus))
        return Machine(n_gpus, capabilities, "", built)
    try:
        torch.cuda.init()  # type: ignore[no-untyped-call]
    except (RuntimeError, AssertionError) as error:
        return Machine(0, (), str(error).splitlines()[0].strip(), built)
    return Machine(0, (), "torch.cuda.is_available() is False", built)


def chosen_device(
    asked: str | None, target: Target, machine: Machine | None = None
) -> ChosenDevice:
    """The device that `--device` names, else the target's, else the CPU.

    A device other than the target's is allowed, said and recorded.

    Args:
        asked: `cpu`, `cuda`, `cuda:1`; None: as the manifest says, if this machine can.
        target: the manifest's.
        machine: this one, unless a test describes another.

    Raises:
        UsageError: it is none of these.
        DeviceUnavailable: it was asked for, and torch cannot use it here.
    """
    if asked is not None and not _DEVICE.fullmatch(asked):
        raise UsageError(
            f"{asked!r} is no device that training computes on",
            where="--device",
            expected="cpu, cuda or, of several GPUs, cuda:0, cuda:1, ...",
        )
    if (asked or target.device) == "cpu":
        return _said("cpu", target)
    machine = machine or this_machine()
    if asked is None and not machine.n_gpus:
        why = f"torch finds no GPU here ({machine.refusal})"
        return ChosenDevice("cpu", f"training on the CPU, not on the manifest's cuda: {why}")
    number = int((asked or "cuda").partition(":")[2] or 0)
    if number >= machine.n_gpus:
        raise _unavailable(asked or "cuda", machine)
    return _said(asked or "cuda", target)


def refuse_missing_precision(
    precision: Precision,
    target: Target,
    *,
    asked: str | None,
    device: ChosenDevice,
    machine: Machine | None = None,
) -> None:
    """Refuse bf16 where it would run on a GPU that has none.

    A GPU that is here answers for itself. Without one, the target's compute capability counts,
    unless another device was asked for by name.

    Raises:
        PrecisionProblem: weights or products are bf16, and the capability is below 8.0.
    """
    if device.is_cuda:
        machine = machine or this_machine()
        number = int(device.name.partition(":")[2] or 0)
        refuse_missing_bf16(precision, machine.capabilities[number])
    elif asked is None:
        refuse_missing_bf16_of_target(precision, target)


def refuse_missing_bf16_of_target(precision: Precision, target: Target) -> None:
    """Refuse a manifest whose base model runs in bf16 on a target without it.

    Raises:
        PrecisionProblem: weights or products are bf16, and the capability is below 8.0.
    """
    if target.device != "cuda" or target.compute_capability is None:
        return
    major, minor = (int(part) for part in target.compute_capability.split("."))
    try:
        refuse_missing_bf16(precision, (major, minor))
    except PrecisionProblem as error:
        raise PrecisionProblem(
            f"states bf16, and hardware.target.compute_capability is {target.compute_capability}: "
            "such a GPU computes no bf16",
            where=error.where,
            expected=error.expected,
            next_step="state fp16 or fp32 in the manifest, or another target",
        ) from error


def _said(name: str, target: Target) -> ChosenDevice:
    if name.partition(":")[0] == target.device:
        return ChosenDevice(name, None)
    return ChosenDevice(
        name, f"training on {name}; the manifest's target is {target.device} (recorded)"
    )


def _unavailable(asked: str, machine: Machine) -> DeviceUnavailable:
    if machine.n_gpus:
        names = ", ".join(f"cuda:{i}" for i in range(machine.n_gpus))
        return DeviceUnavailable(
            f"{asked} was asked for, and torch finds {machine.n_gpus} GPU"
            + "s" * (machine.n_gpus > 1),
            where="--device",
            expected=names,
            next_step="name one of them",
        )
    mend = (
        "install or update the NVIDIA driver"
        if machine.built_for_cuda
        else "install a build of torch for CUDA (https://pytorch.org/get-started/locally)"
    )
    return DeviceUnavailable(
        f"{asked} was asked for, and torch cannot use a GPU here: {machine.refusal}",
        where="--device",
        expected="a CUDA device that torch finds",
        next_step=f"{mend}, or train with --device cpu",
    )
