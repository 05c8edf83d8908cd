"""DiffAugment (Zhao et al. 2020, arXiv:2006.10738): section 3, for images in [-1, 1].

Draws of an image are uniform numbers, one row for each image and the same whatever the policy is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn

from ganzoo import UserError, Value
from ganzoo_augment.pixels import take

POLICY = ("color", "translation", "cutout")


def diffaug(config: Mapping[str, Value], shape: tuple[int, int, int]) -> nn.Module:
    """Raises UserError where the setting `policy` names nothing, or something else than `POLICY` has."""
    policy = {name.strip() for name in cast(str, config["policy"]).split(",")}
    if not policy <= set(POLICY):
        raise UserError(
            f"diffaug has no policy '{config['policy']}'", f"name one or more, separated by commas: {', '.join(POLICY)}"
        )
    return DiffAugment(policy)


class DiffAugment(nn.Module):
    """Images `[N,C,H,W]` in [-1, 1] -> the same shape; colours may leave [-1, 1]."""

    def __init__(self, policy: set[str]) -> None:
        super().__init__()
        self.policy = policy

    def forward(self, images: Tensor) -> Tensor:
        draws = torch.rand(len(images), 7, device=images.device)
        if "color" in self.policy:
            images = recolor(images, draws[:, :3])
        if "translation" in self.policy:
            images = translate(images, draws[:, 3:5])
        if "cutout" in self.policy:
            images = cut_out(images, draws[:, 5:])
        return images


def recolor(images: Tensor, draws: Tensor) -> Tensor:
    """Brightness, saturation and contrast. draws: uniform `[N,3]`. Grey images have no saturation."""
    brightness, saturation, contrast = draws.to(images.dtype)[:, :, None, None, None].unbind(1)
    # x + U(-1/2, 1/2)
    images = images + (brightness - 0.5)
    if images.shape[1] > 1:
        # Away from the pixel's grey, times U(0, 2)
        grey = images.mean(1, keepdim=True)
        images = grey + (images - grey) * (2 * saturation)
    # Away from the image's mean, times U(1/2, 3/2)
    mean = images.mean((1, 2, 3), keepdim=True)
    return mean + (images - mean) * (contrast + 0.5)


def translate(images: Tensor, draws: Tensor) -> Tensor:
    """By up to an eighth of the size in whole pixels, all alike, each way; zeros move in. draws: uniform `[N,2]`."""
    height, width = images.shape[2:]
    (column, within_x), (row, within_y) = (_moved(size, draws[:, axis]) for axis, size in enumerate((width, height)))
    index = row[:, :, None] * width + column[:, None, :]
    return take(images, index) * (within_y[:, None, :, None] & within_x[:, None, None, :])


def _moved(size: int, draw: Tensor) -> tuple[Tensor, Tensor]:
    """Where the pixels of a row come from, int64 `[N,size]`, and whether that is inside, bool `[N,size]`."""
    most = (size + 4) // 8
    source = torch.arange(size, device=draw.device) - (_below(2 * most + 1, draw)[:, None] - most)
    return source.clamp(0, size - 1), (source >= 0) & (source < size)


def cut_out(images: Tensor, draws: Tensor) -> Tensor:
    """Zeros in a square of half the size, whose centre is anywhere in the image. draws: uniform `[N,2]`."""
    height, width = images.shape[2:]
    inside_x, inside_y = (_hidden(size, draws[:, axis]) for axis, size in enumerate((width, height)))
    return images * ~(inside_y[:, None, :, None] & inside_x[:, None, None, :])


def _hidden(size: int, draw: Tensor) -> Tensor:
    """Whether a pixel of a row lies in the square, bool `[N,size]`."""
    side = (size + 1) // 2
    # A centre is a pixel for an odd side, and for an even one an edge of pixels, of which there is one more.
    start = _below(size + 1 - side % 2, draw)[:, None] - side // 2
    at = torch.arange(size, device=draw.device)
    return (at >= start) & (at < start + side)


def _below(n: int, draw: Tensor) -> Tensor:
    """U[0, 1) -> int64, 0 to n - 1, all alike."""
    return (draw * n).long()
