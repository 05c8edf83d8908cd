"""Running means of a tick, kept on the device until the tick reads them."""

from __future__ import annotations

import torch
from torch import Tensor


class Statistics:
    """Sums on the device, counts on the host. `add` never waits for the device; `read` does, once."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    def add(self, name: str, values: Tensor) -> None:
        """`values`: any shape, any real or bool dtype."""
        total = values.detach().sum(dtype=torch.float32)
        if name in self._sums:
            self._sums[name] += total
            self._counts[name] += values.numel()
        else:
            self._sums[name] = total
            self._counts[name] = values.numel()

    def read(self) -> dict[str, float]:
        """Mean of everything added since the last read, by name. One device-to-host copy: a deliberate sync."""
        if not self._sums:
            return {}
        means = dict(zip(self._sums, torch.stack(list(self._sums.values())).tolist(), strict=True))
        result = {name: means[name] / self._counts[name] for name in means}
        self._sums.clear()
        self._counts.clear()
        return result
