"""Horizontal flips: the augmentation of images whose mirror images are as likely as they are."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ganzoo import Value


def flip(config: Mapping[str, Value], shape: tuple[int, int, int]) -> nn.Module:
    return Flip()


class Flip(nn.Module):
    """Each image `[C,H,W]` of a batch as it is or mirrored from left to right, with probability 1/2 each."""

    def forward(self, images: Tensor) -> Tensor:
        mirrored = torch.rand(len(images), 1, 1, 1, device=images.device) < 0.5
        return torch.where(mirrored, images.flip(3), images)
