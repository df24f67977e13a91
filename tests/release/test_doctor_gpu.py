"""`release doctor` on torch and GPUs: what is there, and which line makes torch use it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from release.doctor.accelerator import accelerator_lines, covers
from release.doctor.gpus import Gpu, Gpus, gpus
from release.doctor.installation import Installation
from release.doctor.line import Line, State
from release.doctor.torch_probe import (
    ImportFailure,
    TorchDevice,
    TorchFacts,
    import_failure,
    torch_facts,
)

PIP = Installation("0.1.0", "pip")
CHECKOUT = Installation("0.1.0", "checkout", Path("sae-release"))
RTX4090 = Gpu("NVIDIA GeForce RTX 4090", (8, 9), "550.54.15")
RTX5090 = Gpu("NVIDIA GeForce RTX 5090", (12, 0), "580.65.06")
V100 = Gpu("Tesla V100-SXM2-16GB", (7, 0), "580.65.06")
ON_CPU = TorchFacts("2.13.0+cpu")
# What the builds of torch 2.9 and later have code for.
CU126 = ("sm_50", "sm_60", "sm_70", "sm_75", "sm_80", "sm_86", "sm_90")
CU130 = ("sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120", "compute_120")


def of_gpu(
    found: Sequence[Gpu],
    torch: TorchFacts | ImportFailure | None,
    installed: Installation = PIP,
    platform: str = "linux",
) -> Line:
    """The last line, which is the GPU's where torch works."""
    return accelerator_lines(Gpus(tuple(found)), torch, installed, platform=platform)[-1]


def test_a_gpu_that_a_cpu_build_of_torch_leaves_idle_is_missing_with_its_line() -> None:
    # As on Windows, where the index's torch has no CUDA.
    found = of_gpu([RTX4090], ON_CPU, platform="win32")
    assert found.state is State.MISSING
    assert "RTX 4090, compute capability 8.9, driver 550.54.15" in found.found
    assert "without CUDA" in found.found
    assert found.mend == (
        "python -m pip install --index-url https://download.pytorch.org/whl/cu126 "
        "torch==2.13.0+cu126"
    )
    in_checkout = of_gpu([RTX4090], ON_CPU, CHECKOUT)
    assert in_checkout.mend == "python make.py setup --torch cuda"


def test_blackwell_needs_cu130() -> None:
    assert of_gpu([RTX5090], ON_CPU, CHECKOUT).mend == "python make.py setup --torch cu130"
    assert "cu130" in (of_gpu([RTX4090, RTX5090], ON_CPU).mend or "")


def test_a_driver_too_old_for_the_build_is_to_be_updated_first() -> None:
    old = Gpu("NVIDIA GeForce RTX 5090", (12, 0), "570.86")
    found = of_gpu([old], ON_CPU, CHECKOUT)
    assert "driver 570.86 is too old for cu130" in found.found
    assert (found.mend or "").startswith("update the NVIDIA driver to 580 or later")
    assert (found.mend or "").endswith("then python make.py setup --torch cu130")


def test_a_cuda_build_that_the_driver_is_too_old_for_is_broken() -> None:
    torch = TorchFacts("2.13.0+cu130", cuda="13.0", refusal="The NVIDIA driver is too old")
    found = of_gpu([RTX4090], torch)
    assert found.state is State.BROKEN
    assert "The NVIDIA driver is too old" in found.found
    assert "CUDA 13.0 needs driver 580 or later" in found.found
    # The driver is one for CUDA 12, so that the other build needs no update.
    assert "torch==2.13.0+cu126" in (found.mend or "")


def test_a_gpu_that_the_build_has_no_code_for_is_broken() -> None:
    device = TorchDevice("Tesla V100", (7, 0), 17.1, "no kernel image is available")
    torch = TorchFacts("2.13.0+cu130", cuda="13.0", architectures=CU130, devices=(device,))
    found = of_gpu([V100], torch, CHECKOUT)
    assert (found.topic, found.state) == ("gpu 0", State.BROKEN)
    assert "no code for it" in found.found
    assert found.mend == "python make.py setup --torch cuda"
    blackwell = TorchDevice("RTX 5090", (12, 0), 34.2, "no kernel image is available")
    torch = TorchFacts("2.13.0+cu126", cuda="12.6", architectures=CU126, devices=(blackwell,))
    assert of_gpu([RTX5090], torch, CHECKOUT).mend == "python make.py setup --torch cu130"


def test_a_gpu_that_computes_is_ok() -> None:
    device = TorchDevice("NVIDIA GeForce RTX 4090", (8, 9), 25.4)
    torch = TorchFacts("2.13.0+cu126", cuda="12.6", architectures=CU126, devices=(device,))
    lines = accelerator_lines(Gpus((RTX4090,)), torch, PIP)
    assert [line.state for line in lines] == [State.OK, State.OK]
    assert lines[0].found == "2.13.0+cu126, built for CUDA 12.6"
    assert "25 GB, compute capability 8.9" in lines[1].found


def test_a_sum_that_fails_for_another_reason_is_told_in_its_words() -> None:
    device = TorchDevice("RTX 4090", (8, 9), 25.4, "CUDA error: out of memory")
    torch = TorchFacts("2.13.0+cu126", cuda="12.6", architectures=CU126, devices=(device,))
    found = of_gpu([RTX4090], torch)
    assert found.state is State.BROKEN
    assert "CUDA error: out of memory" in found.found


@pytest.mark.parametrize(
    ("architectures", "capability", "runs"),
    [
        (CU126, (8, 9), True),  # code for 8.6 runs on 8.9
        (CU126, (10, 0), False),
        (CU126, (12, 0), False),
        (CU130, (7, 0), False),
        (CU130, (12, 1), True),  # within the major
        (CU130, (13, 0), True),  # compiled from compute_120
        (("sm_86",), (8, 0), False),  # not for an earlier minor
        (("sm_90a",), (9, 0), True),
        (("gfx90a",), (9, 0), False),
        ((), (8, 0), False),
    ],
)
def test_which_code_runs_on_which_gpu(
    architectures: tuple[str, ...], capability: tuple[int, int], runs: bool
) -> None:
    assert covers(architectures, capability) is runs


def test_a_gpu_without_a_driver_is_missing() -> None:
    found = accelerator_lines(Gpus((), n_without_driver=1), ON_CPU, PIP)[-1]
    assert found.state is State.MISSING
    assert "no driver answers" in found.found


def test_without_a_gpu_or_without_torch_nothing_is_broken() -> None:
    assert of_gpu([], ON_CPU).state is State.NOTE
    assert of_gpu([], None).state is State.NOTE
    both = of_gpu([RTX4090], None)
    assert both.state is State.NOTE
    assert both.mend == 'python -m pip install "sae-release[measure]"'


def test_a_torch_that_cannot_be_imported_is_broken_and_windows_lacks_a_runtime() -> None:
    why = "OSError: [WinError 126] The specified module could not be found."
    found = of_gpu([], ImportFailure(why), platform="win32")
    assert (found.topic, found.state) == ("torch", State.BROKEN)
    assert why in found.found
    assert "C++ runtime" in (found.mend or "")
    elsewhere = of_gpu([], ImportFailure("ImportError: libcudart.so.12"), CHECKOUT)
    assert "make.py clean" in (elsewhere.mend or "")


def test_nvidia_smi_is_read_with_and_without_the_capability() -> None:
    def of_today(command: Sequence[str]) -> str | None:
        assert "name,compute_cap,driver_version" in command[1]
        return "NVIDIA H200, 9.0, 570.86.15\nNVIDIA H200, 9.0, 570.86.15\n"

    assert gpus(run=of_today).found == (Gpu("NVIDIA H200", (9, 0), "570.86.15"),) * 2

    def of_an_old_driver(command: Sequence[str]) -> str | None:
        return None if "compute_cap" in command[1] else "Tesla K80, with a comma, 470.1\n"

    assert gpus(run=of_an_old_driver).found == (Gpu("Tesla K80, with a comma", None, "470.1"),)


def test_a_gpu_on_the_bus_without_a_driver_is_counted(tmp_path: Path) -> None:
    for name, vendor, kind in (
        ("0000:01:00.0", "0x10de", "0x030200"),
        ("0000:01:00.1", "0x10de", "0x040300"),  # its sound
        ("0000:02:00.0", "0x8086", "0x030000"),  # another maker's
        ("0000:03:00.0", None, None),
    ):
        device = tmp_path / name
        device.mkdir()
        if vendor and kind:
            (device / "vendor").write_text(f"{vendor}\n", encoding="ascii")
            (device / "class").write_text(f"{kind}\n", encoding="ascii")
    assert gpus(run=lambda _: None, bus=tmp_path) == Gpus((), 1)


def test_torch_is_asked_in_a_process_of_its_own() -> None:
    facts = torch_facts()
    assert isinstance(facts, TorchFacts)
    assert facts.version.startswith("2.")


def test_what_a_broken_package_says_last_is_why() -> None:
    def broken(program: str) -> tuple[int, str, str]:
        return 1, "noise\n", "Traceback\n  File x\nImportError: DLL load failed\n"

    assert torch_facts(run=broken) == ImportFailure("ImportError: DLL load failed")
    assert import_failure("bitsandbytes", run=lambda _: (139, "", "")) == ImportFailure(
        "its process ended with 139"
    )
    told = ImportFailure("ModuleNotFoundError: No module named 'no_such_package_here'")
    assert import_failure("no_such_package_here") == told
