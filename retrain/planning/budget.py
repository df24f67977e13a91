"""The memory that training keeps to: what the manifest, the command line or the device says."""

from __future__ import annotations

from dataclasses import dataclass

from manifests.model import Target
from retrain.planning.sizes import GB, Need, shown_bytes

# Of a device's whole memory, what fragments and other programs take.
_LEFT_ON_A_DEVICE = 0.05


@dataclass(frozen=True)
class Budget:
    """Bytes that may be held at any time, and who says so; None: no limit is known."""

    size_bytes: int | None
    stated_by: str

    def holds(self, need: Need) -> bool:
        """Whether a need fits."""
        return self.size_bytes is None or need.size_bytes <= self.size_bytes

    def shown(self) -> str:
        """Such as `4.0 GB`."""
        return "unlimited" if self.size_bytes is None else shown_bytes(self.size_bytes)

    def note(self) -> str:
        """Such as `budget 4.0 GB (--memory-gb)`."""
        return "no budget" if self.size_bytes is None else f"budget {self.shown()}"


def budget_for(target: Target, device: str, *, memory_gb: float | None = None) -> Budget:
    """The budget: `--memory-gb`, else the target's, else what the device has.

    The target's holds on another device than the target's too, so that what it would do can be
    tried; `--memory-gb` overrides it.

    Args:
        target: the manifest's.
        device: where training will compute; it is asked only when nothing else is stated.
        memory_gb: of `--memory-gb`, in 10^9 bytes.
    """
    if memory_gb is not None:
        return Budget(round(memory_gb * GB), "--memory-gb")
    if target.memory_gb is not None:
        return Budget(round(target.memory_gb * GB), "hardware.target.memory_gb")
    has = device_memory(device)
    if has is None:
        return Budget(None, "hardware.target.memory_gb")
    return Budget(int(has * (1 - _LEFT_ON_A_DEVICE)), f"the memory of {device}")


def device_memory(device: str) -> int | None:
    """Bytes of a GPU, all of them; None for a CPU: what is free there changes by the minute.

    A plan that depended on it would not give the same weights twice.
    """
    if not device.startswith("cuda"):
        return None
    import torch

    return int(torch.cuda.get_device_properties(device).total_memory)
