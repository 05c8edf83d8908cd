"""Sizes of maps, classes as vectors, first weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ganzoo import UserError

Shape = tuple[int, int, int]  # (C, H, W)


def plan(shape: Shape) -> tuple[int, int]:
    """(C, H, W) -> (side of the smallest map, number of times it is doubled): 28 is 7 * 2^2, 64 is 4 * 2^4.

    Raises UserError where the image is not square, or not 4 to 7 times a power of two of at least 4.
    """
    _, height, width = shape
    start, doublings = width, 0
    while start % 2 == 0 and start > 7:
        start, doublings = start // 2, doublings + 1
    if height != width or not 4 <= start <= 7 or doublings < 2:
        raise UserError(
            f"convolutional networks of the DCGAN family cannot make images of {height}x{width} pixels",
            "resize to 28, 32, 64 or another square of 4, 5, 6 or 7 times a power of two",
        )
    return start, doublings


def one_hot(labels: Tensor | None, num_classes: int, like: Tensor) -> Tensor:
    """labels int64 `[N]` -> `[N, num_classes]` in the dtype of `like`. Raises ValueError where there are no labels."""
    return F.one_hot(given(labels), num_classes).to(like.dtype)


def given(labels: Tensor | None) -> Tensor:
    """The labels. Raises ValueError where there are none."""
    if labels is None:
        raise ValueError("a conditional network was called without labels")
    return labels


def need_labels(name: str, num_classes: int, sister: str) -> None:
    """Raises UserError where the data has no classes, and names the variant to take then."""
    if num_classes < 1:
        raise UserError(f"{name} needs images with labels", f"choose a labelled dataset, or the variant {sister}")


@torch.no_grad()
def init_weights(module: nn.Module) -> None:
    """Set one layer's weights as DCGAN does: N(0, 0.02), batch norm's from N(1, 0.02), biases 0."""
    if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
    if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d) and module.bias is not None:
        nn.init.zeros_(module.bias)
