"""Torch, asked in a process of its own: one that cannot be imported is told of, not crashed on."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

_TIMEOUT_SECONDS = 180
_MARK = "sae-release doctor: "
_TORCH = """
import json, torch
facts = {"version": torch.__version__, "cuda": torch.version.cuda, "hip": torch.version.hip}
facts["architectures"] = torch.cuda.get_arch_list()
facts["has_mps"] = torch.backends.mps.is_available()
facts["refusal"] = ""
try:
    if torch.version.cuda:
        torch.cuda.init()
except Exception as error:
    facts["refusal"] = (str(error).splitlines() or [type(error).__name__])[0]
facts["devices"] = []
for number in range(torch.cuda.device_count() if not facts["refusal"] else 0):
    device = {"name": torch.cuda.get_device_name(number), "failure": ""}
    device["gigabytes"] = torch.cuda.get_device_properties(number).total_memory / 1e9
    device["capability"] = list(torch.cuda.get_device_capability(number))
    try:
        assert (torch.ones(3, device=f"cuda:{number}") * 2).sum().item() == 6
    except Exception as error:
        device["failure"] = (str(error).splitlines() or [type(error).__name__])[0]
    facts["devices"].append(device)
print("sae-release doctor: " + json.dumps(facts))
"""
_IMPORT = "import json, {0}\nprint('sae-release doctor: ' + json.dumps({0}.__version__))"

Run = Callable[[str], tuple[int, str, str]]


@dataclass(frozen=True)
class TorchDevice:
    """A GPU that torch sees; `failure` is why a sum on it went wrong, else empty."""

    name: str
    capability: tuple[int, int]
    gigabytes: float
    failure: str = ""


@dataclass(frozen=True)
class TorchFacts:
    """What torch says of itself.

    Attributes:
        version: such as 2.13.0+cu126.
        cuda: the CUDA it was built for; None for the CPU's build.
        hip: likewise for AMD's GPUs.
        architectures: that it has code for, such as sm_90.
        has_mps: whether it can use a Mac's GPU.
        refusal: why CUDA does not start, in torch's words.
        devices: the GPUs that it sees.
    """

    version: str
    cuda: str | None = None
    hip: str | None = None
    architectures: tuple[str, ...] = ()
    has_mps: bool = False
    refusal: str = ""
    devices: tuple[TorchDevice, ...] = field(default=())


@dataclass(frozen=True)
class ImportFailure:
    """An installed package that cannot be imported; `why` is the last line of its traceback."""

    why: str


def python(program: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a program run by this interpreter."""
    try:
        done = subprocess.run(  # noqa: S603
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=_TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return 1, "", f"no end after {_TIMEOUT_SECONDS} s"
    return done.returncode, done.stdout, done.stderr


def torch_facts(*, run: Run = python) -> TorchFacts | ImportFailure:
    """Ask torch, which must be installed."""
    told = _answer(_TORCH, run)
    if isinstance(told, ImportFailure):
        return told
    facts = json.loads(told)
    facts["architectures"] = tuple(facts["architectures"])
    facts["devices"] = tuple(
        TorchDevice(
            device["name"],
            (device["capability"][0], device["capability"][1]),
            device["gigabytes"],
            device["failure"],
        )
        for device in facts["devices"]
    )
    return TorchFacts(**facts)


def import_failure(package: str, *, run: Run = python) -> ImportFailure | None:
    """Why an installed package cannot be imported; None where it can."""
    told = _answer(_IMPORT.format(package), run)
    return told if isinstance(told, ImportFailure) else None


def _answer(program: str, run: Run) -> str | ImportFailure:
    code, output, errors = run(program)
    for line in output.splitlines():
        if line.startswith(_MARK):
            return line.removeprefix(_MARK)
    told: Sequence[str] = [line.strip() for line in errors.splitlines() if line.strip()]
    return ImportFailure(told[-1] if told else f"its process ended with {code}")
