"""What the ImageNet networks share."""

from __future__ import annotations

import hashlib

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


def sha256(data: bytes) -> str:
    """Hex digest."""
    return hashlib.sha256(data).hexdigest()
