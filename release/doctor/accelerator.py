"""Whether torch can use the GPUs that are there, and which build of it could.

cu126 has code for compute capability 5.0 to 9.0 and runs on every driver for CUDA 12 (525 and
later); cu130 has it for 7.5 to 12.0 and needs a driver of 580 or later. Source: the build matrix of
PyTorch's releases, and NVIDIA's CUDA release notes on drivers.
"""

from __future__ import annotations

import re
import sys

from release.doctor.gpus import Gpu, Gpus
from release.doctor.installation import Installation
from release.doctor.line import Line, State
from release.doctor.torch_probe import ImportFailure, TorchFacts

OLDEST_DRIVER = {"cu126": 525, "cu130": 580}
_NEEDS_CU130 = (10, 0)
_DRIVERS = "https://www.nvidia.com/drivers"
_RUNTIME = "https://aka.ms/vs/17/release/vc_redist.x64.exe"


def accelerator_lines(
    gpus: Gpus,
    torch: TorchFacts | ImportFailure | None,
    found: Installation,
    *,
    platform: str = sys.platform,
) -> list[Line]:
    """The lines on torch and on each GPU; `torch` is None where it is not installed."""
    if torch is None:
        return [_without_torch(gpus, found)]
    if isinstance(torch, ImportFailure):
        return [_broken_torch(torch, found, platform=platform)]
    built = f"CUDA {torch.cuda}" if torch.cuda else f"ROCm {torch.hip}" if torch.hip else "the CPU"
    lines = [Line("torch", State.OK, f"{torch.version}, built for {built}")]
    if torch.devices:
        return [*lines, *_devices(torch, gpus, found)]
    if gpus.found:
        return [*lines, _unused(gpus, torch, found)]
    if gpus.n_without_driver:
        what = "an NVIDIA GPU is there, and no driver answers for it"
        return [*lines, Line("gpu", State.MISSING, what, f"install the driver: {_DRIVERS}")]
    if torch.has_mps:
        what = "a Mac's, which nothing here computes on; training and measuring run on the CPU"
        return [*lines, Line("gpu", State.NOTE, what)]
    return [*lines, Line("gpu", State.NOTE, "none found; training and measuring run on the CPU")]


def build_for(gpus: tuple[Gpu, ...]) -> str:
    """The build of torch with code for all of the GPUs, or for the newest of them."""
    capabilities = [gpu.capability for gpu in gpus if gpu.capability is not None]
    return "cu130" if any(one >= _NEEDS_CU130 for one in capabilities) else "cu126"


def covers(architectures: tuple[str, ...], capability: tuple[int, int]) -> bool:
    """Whether code for these architectures runs on a GPU.

    Code for sm_86 runs on 8.6 and later minors of 8; compute_90 is compiled for 9.0 and all later.
    """
    for name in architectures:
        told = re.fullmatch(r"(sm|compute)_(\d+)(\d)[af]?", name)
        if told is None:
            continue
        has = (int(told[2]), int(told[3]))
        if has <= capability and (told[1] == "compute" or has[0] == capability[0]):
            return True
    return False


def _without_torch(gpus: Gpus, found: Installation) -> Line:
    if not gpus.found:
        return Line("gpu", State.NOTE, "torch is not installed, and no NVIDIA GPU was found")
    what = f"{_named(gpus.found)}; torch is not installed (extra measure)"
    return Line("gpu", State.NOTE, what, found.add_extra("measure"))


def _broken_torch(failure: ImportFailure, found: Installation, *, platform: str) -> Line:
    what = f"is installed and cannot be imported: {failure.why}"
    if platform == "win32" and ("WinError 126" in failure.why or "DLL" in failure.why):
        return Line("torch", State.BROKEN, what, f"install Microsoft's C++ runtime: {_RUNTIME}")
    again = found.pip_install("--force-reinstall torch")
    if found.kind == "checkout":
        again = found.reinstall()
    return Line("torch", State.BROKEN, what, again)


def _unused(gpus: Gpus, torch: TorchFacts, found: Installation) -> Line:
    """GPUs that the driver answers for, and none that torch sees."""
    named = _named(gpus.found)
    if torch.hip:
        what = f"{named}; this torch is built for AMD's GPUs"
    elif not torch.cuda:
        what = f"{named}; this torch is built without CUDA, and computes on the CPU"
    else:
        return _refused(gpus, torch, found)
    build = build_for(gpus.found)
    if (old := _too_old(gpus.found, build)) is not None:
        mend = f"update the NVIDIA driver to {OLDEST_DRIVER[build]} or later ({_DRIVERS}), then "
        mend += found.take_torch(torch.version, build)
        return Line("gpu", State.MISSING, f"{what}; driver {old} is too old for {build}", mend)
    return Line("gpu", State.MISSING, what, found.take_torch(torch.version, build))


def _refused(gpus: Gpus, torch: TorchFacts, found: Installation) -> Line:
    """A CUDA build that CUDA does not start for: a hidden GPU, or a driver of before its CUDA."""
    what = f"{_named(gpus.found)}; torch cannot use it: {torch.refusal or 'it sees no device'}"
    needed = OLDEST_DRIVER["cu130" if (torch.cuda or "").startswith("13") else "cu126"]
    majors = [gpu.driver_major for gpu in gpus.found if gpu.driver_major is not None]
    if not majors or min(majors) >= needed:
        mend = "look at CUDA_VISIBLE_DEVICES, and whether `nvidia-smi` lists the GPU without errors"
        return Line("gpu", State.BROKEN, what, mend)
    mend = f"update the NVIDIA driver to {needed} or later ({_DRIVERS})"
    if min(majors) >= OLDEST_DRIVER["cu126"] and build_for(gpus.found) == "cu126":
        mend = found.take_torch(torch.version, "cu126")
    return Line(
        "gpu", State.BROKEN, f"{what}; CUDA {torch.cuda} needs driver {needed} or later", mend
    )


def _devices(torch: TorchFacts, gpus: Gpus, found: Installation) -> list[Line]:
    lines = []
    for number, device in enumerate(torch.devices):
        capability = ".".join(map(str, device.capability))
        what = f"{device.name}, {device.gigabytes:.0f} GB, compute capability {capability}"
        topic = f"gpu {number}"
        if not device.failure:
            lines.append(Line(topic, State.OK, f"{what}; torch computes on it"))
            continue
        driver = gpus.found[0].driver if gpus.found else "?"
        gpu = Gpu(device.name, device.capability, driver)
        if torch.cuda and not covers(torch.architectures, device.capability):
            has = ", ".join(torch.architectures)
            what = f"{what}; this torch has no code for it (it has {has})"
            mend: str | None = found.take_torch(torch.version, build_for((gpu,)))
        else:
            what, mend = f"{what}; a sum on it fails: {device.failure}", "look at `nvidia-smi`"
        lines.append(Line(topic, State.BROKEN, what, mend))
    return lines


def _too_old(gpus: tuple[Gpu, ...], build: str) -> str | None:
    for gpu in gpus:
        if gpu.driver_major is not None and gpu.driver_major < OLDEST_DRIVER[build]:
            return gpu.driver
    return None


def _named(gpus: tuple[Gpu, ...]) -> str:
    told = []
    for gpu in gpus:
        numbers = ".".join(map(str, gpu.capability or ()))
        capability = f", compute capability {numbers}" if numbers else ""
        told.append(f"{gpu.name}{capability}, driver {gpu.driver}")
    return "; ".join(told)
