"""How much memory training takes, and how much scoring does: two figures that know nothing of each other."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import torch

from ganzoo.engine.cpu.allocator import freed_memory_kept, give_back_freed_memory
from ganzoo.files.machine import linux_status, peak_resident


class MemoryMeter:
    """Peak memory of one run on `device`, in bytes: of training, without what scoring leaves behind (the weights of the
    feature network, features and statistics of real images, modules that it imported), and of scoring, with everything
    that is there. `alone` False: other runs share process and device, nothing is measured, and both are 0, unknown.

    On a processor both are resident memory of the process, libraries included; on CUDA, of tensors on the device.
    """

    def __init__(self, device: torch.device, *, alone: bool = True) -> None:
        self._device, self._alone = device, alone
        self._left = 0  # by scoring, between two scores
        self._resettable = True
        self.scoring_peak = 0  # of the last score

    def reset(self) -> None:
        """Let `training_peak` count from here on. What is free is given back first: it is not training's."""
        if self._alone:
            self._resettable = reset_peak_memory(self._device)

    def training_peak(self) -> int:
        """The most since `reset`, and since the last score."""
        if not self._alone:
            return 0
        return max(0, peak_memory(self._device) - (self._left if self._resettable else 0))

    @contextlib.contextmanager
    def scoring(self) -> Iterator[None]:
        """Around all that is done for scores: with freed memory kept, and measured apart from training."""
        if not self._alone:
            yield
            return
        self.reset()
        before = held_memory(self._device)
        try:
            with freed_memory_kept(self._device):
                yield
        finally:
            self.scoring_peak = peak_memory(self._device)
            self.reset()
            self._left += held_memory(self._device) - before


def reset_peak_memory(device: torch.device) -> bool:
    """Let `peak_memory` count from here on; False where the system cannot: elsewhere than on CUDA devices and Linux."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return True
    give_back_freed_memory()
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:  # not Linux, or not ours to reset: then the process's whole life counts
        return False
    return True


def peak_memory(device: torch.device) -> int:
    """Bytes: the most that tensors took on a CUDA device, else the most resident memory of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return peak_resident()


def held_memory(device: torch.device) -> int:
    """Bytes that are allocated now, on a CUDA device or by this process; 0 where the system does not tell. Files that
    are mapped, such as libraries and images, are left out: whoever reads them first, they are there for all.
    """
    if device.type == "cuda":
        return torch.cuda.memory_allocated(device)
    return linux_status("RssAnon") or 0
