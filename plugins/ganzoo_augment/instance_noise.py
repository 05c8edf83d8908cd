"""Instance noise: both distributions that D compares are blurred, so that they overlap."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn

from ganzoo import Value


def instance_noise(config: Mapping[str, Value], shape: tuple[int, int, int]) -> nn.Module:
    return InstanceNoise(cast(float, config["deviation"]))


class InstanceNoise(nn.Module):
    """Images `[N,C,H,W]` and, on each pixel, noise from N(0, deviation^2) (Sønderby et al. 2016, arXiv:1610.04490)."""

    def __init__(self, deviation: float) -> None:
        super().__init__()
        self.deviation = deviation

    def forward(self, images: Tensor) -> Tensor:
        # By the shape and not like the images, whose layout in memory would choose which number is whose.
        return images + self.deviation * torch.randn(images.shape, device=images.device, dtype=images.dtype)
