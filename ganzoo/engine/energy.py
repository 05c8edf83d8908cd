"""Joules, where the device counts them: NVIDIA GPUs through NVML, Intel and AMD processors through RAPL."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

RAPL = Path("/sys/class/powercap")


class EnergyMeter:
    """Adds up what a device uses between `start` and `stop`; `joules` is None where it does not tell.

    A GPU counts for the board, a processor for its packages: whatever else runs there is counted, too.
    """

    def __init__(self, device: torch.device) -> None:
        self._read = _gpu_counter(device) if device.type == "cuda" else _package_counter()
        self.joules: float | None = None if self._read is None else 0.0
        self._begin: list[tuple[float, float]] = []

    def start(self) -> None:
        if self._read is not None:
            self._begin = self._read()

    def stop(self) -> None:
        if self._read is None or self.joules is None:
            return
        for (before, _), (after, span) in zip(self._begin, self._read(), strict=True):
            used = after - before
            self.joules += used if used >= 0 else used + span  # the counter has begun again


Counter = Callable[[], list[tuple[float, float]]]  # joules so far and joules at which a counter begins again, of each


def _gpu_counter(device: torch.device) -> Counter | None:
    try:
        import pynvml  # comes with torch's CUDA packages or not at all
    except ImportError:
        return None
    nvml: Any = pynvml
    try:
        nvml.nvmlInit()
        identity = f"GPU-{torch.cuda.get_device_properties(device).uuid}"
        handle = nvml.nvmlDeviceGetHandleByUUID(identity)
        nvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except nvml.NVMLError:
        return None
    return lambda: [(nvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1000, float("inf"))]


def _package_counter(folder: Path = RAPL) -> Counter | None:
    """Intel's and AMD's counters, which most systems let only the administrator read."""
    packages = sorted(folder.glob("intel-rapl:[0-9]*")) if folder.is_dir() else []
    packages = [package for package in packages if package.name.count(":") == 1]  # not the cores within them

    def read() -> list[tuple[float, float]]:
        return [
            (_microjoules(package / "energy_uj"), _microjoules(package / "max_energy_range_uj")) for package in packages
        ]

    with contextlib.suppress(OSError, ValueError):
        if packages and read():
            return read
    return None


def _microjoules(file: Path) -> float:
    return int(file.read_text(encoding="ascii")) / 1e6
