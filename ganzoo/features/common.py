"""What the ImageNet networks share."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import torch
from torch import Tensor

from ganzoo.errors import DataError


def to_rgb(pixels: Tensor) -> Tensor:
    """uint8 `[N,C,H,W]` with C = 1 or 3 -> uint8 `[N,3,H,W]`; grey is repeated (without a copy).

    Raises:
        DataError: another number of channels.
    """
    channels = pixels.shape[1]
    if channels not in (1, 3):
        raise DataError(f"this feature network sees grey or RGB images, not {channels} channels", "use 1 or 3 channels")
    return pixels.expand(-1, 3, -1, -1)


def in_chunks(
    network: Callable[[Tensor], dict[str, Tensor]], pixels: Tensor, *, on_cpu: int, elsewhere: int = 256
) -> dict[str, Tensor]:
    """`network` of uint8 `[N,C,H,W]`, a chunk of images at a time, however many it is called with: activations stay in
    the processor's cache, and memory stays bounded. An image's features are those it has alone, but for the last bits.
    """
    parts = [network(chunk) for chunk in pixels.split(on_cpu if pixels.device.type == "cpu" else elsewhere)]
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def sha256(data: bytes) -> str:
    """Hex digest."""
    return hashlib.sha256(data).hexdigest()
