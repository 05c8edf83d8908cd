"""Running means of a tick, kept on the device until the tick reads them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

COLUMNS = (
    *("d_loss", "g_loss", "penalty", "d_accuracy", "diversity"),
    *("images", "kimg", "seconds", "steps", "img_per_s", "peak_memory"),
)
"""Of stats.jsonl, that are the engine's own."""


class Statistics:
    """Sums on the device, each in one tensor for good, counts on the host. `add` never waits for the device; `read`
    does, once.

    A CUDA graph adds to the sums again at each replay, but runs no Python: `counted` and `count` let its owner keep the
    counts in step.

    `memories`: what keeps numbers between steps, by name; the numbers are read along.
    """

    def __init__(self, device: torch.device, memories: Mapping[str, nn.Module] | None = None) -> None:
        self._device, self._memories = device, memories or {}
        self._sums: dict[str, Tensor] = {}
        self.counted: Counter[str] = Counter()  # values added since the last read, by name

    def add(self, name: str, values: Tensor) -> None:
        """`values`: any shape, any real or bool dtype."""
        if name not in self._sums:
            self._sums[name] = torch.zeros((), dtype=torch.float32, device=self._device)
        self._sums[name] += values.detach().sum(dtype=torch.float32)
        self.counted[name] += values.numel()

    def count(self, more: Mapping[str, int]) -> None:
        """Values that were added to the sums without `add`."""
        self.counted.update(more)

    def names(self) -> list[str]:
        """Of all sums."""
        return list(self._sums)

    def take_out(self, names: Sequence[str]) -> Tensor:
        """Sums and counts of `names`, in this order, float64 `[2 n]` on the CPU, and begin anew. Waits for the
        device: a deliberate sync.
        """
        zero = torch.zeros((), device=self._device)
        sums = torch.stack([self._sums.get(name, zero) for name in names]).cpu() if names else torch.empty(0)
        counts = torch.tensor([self.counted[name] for name in names])
        self._clear()
        return torch.cat([sums.double(), counts.double()])

    def put_in(self, names: Sequence[str], numbers: Tensor) -> None:
        """Begin with what `take_out` gave, here or on several ranks together."""
        sums, counts = numbers.chunk(2)
        for name, total, count in zip(names, sums, counts.tolist(), strict=True):
            self._sums[name].copy_(total)
            self.counted[name] = int(count)

    def state(self) -> dict[str, Any]:
        """What has been added since the last read, to be saved. Waits for the device when it is."""
        return {"sums": dict(self._sums), "counted": dict(self.counted)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`."""
        for name, total in state["sums"].items():
            number = total.to(self._device, torch.float32).reshape(())
            self._sums.setdefault(name, torch.zeros_like(number)).copy_(number)  # where recordings add to it
        self.counted = Counter({str(name): int(count) for name, count in state["counted"].items()})

    def kept(self) -> dict[str, Tensor]:
        """The memories' buffers of one floating point number, as they are now, by "NAME.BUFFER"."""
        return {
            f"{name}.{buffer}": value
            for name, memory in self._memories.items()
            for buffer, value in memory.named_buffers()
            if value.ndim == 0 and value.is_floating_point()
        }

    def read(self) -> dict[str, float]:
        """Mean of everything added since the last read, by name, and what memories keep; nothing where nothing has been
        added. One device-to-host copy: a deliberate sync.
        """
        names, kept = [name for name in self._sums if self.counted[name]], self.kept()
        if not names:
            return {}
        read = torch.stack([*(self._sums[name] for name in names), *(value.float() for value in kept.values())])
        numbers = read.tolist()
        result = {name: total / self.counted[name] for name, total in zip(names, numbers, strict=False)}
        result |= dict(zip(kept, numbers[len(names) :], strict=True))
        self._clear()
        return result

    def _clear(self) -> None:
        for total in self._sums.values():
            total.zero_()
        self.counted.clear()
