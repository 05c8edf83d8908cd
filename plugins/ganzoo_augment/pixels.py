"""Taking pixels of an image from other places of it, with gradients of any order: torch's `grid_sample` has only one.

Places are columns x and rows y, counted from 0 at the centre of the first pixel.
"""

from __future__ import annotations

import torch
from torch import Tensor


def take(images: Tensor, index: Tensor) -> Tensor:
    """images `[N,C,H,W]`, index int64 `[N,H,W]` into the H * W pixels of each -> those pixels, `[N,C,H,W]`."""
    of_channels = index.flatten(1)[:, None].expand(-1, images.shape[1], -1)
    return images.flatten(2).gather(2, of_channels).view(images.shape)


def reflect(place: Tensor, size: int) -> Tensor:
    """Places anywhere -> where they are after reflection at the centres of the outermost pixels, 0 to size - 1."""
    last = size - 1
    return last - (place.abs().fmod(2 * last) - last).abs()


def bilinear(images: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """images `[N,C,H,W]` at places float32 `[N,H,W]` -> `[N,C,H,W]`. x in [0, W - 1], y in [0, H - 1].

    Whole places give pixels as they are. Not differentiable by the places.
    """
    height, width = images.shape[2:]
    left, top = x.floor(), y.floor()
    right, down = (x - left)[:, None], (y - top)[:, None]  # shares of the neighbours there
    index = (top * width + left).long()  # exact in float32 up to 4096 x 4096 pixels
    one = (left < width - 1).long()  # beyond the edge the neighbour's share is 0, and it is never read
    row = (top < height - 1).long() * width
    above = torch.addcmul(take(images, index) * (1 - right), take(images, index + one), right)
    below = torch.addcmul(take(images, index + row) * (1 - right), take(images, index + row + one), right)
    return torch.addcmul(above * (1 - down), below, down)
