"""Adaptive discriminator augmentation (Karras et al. 2020, arXiv:2006.06676): section 3 and appendix B.

The paper's groups b, g and c, each transformation with its parameters there. One thing differs: what lies between
pixels is interpolated bilinearly, which blurs a little more than the paper's wavelet filters at twice the resolution.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn

from ganzoo import Value
from ganzoo_augment.pixels import bilinear, reflect

PIPELINES = {
    "b": ("flip", "quarter_turn", "whole_shift"),
    "g": ("scale", "turn_before", "stretch", "turn_after", "shift"),
    "c": ("brightness", "contrast", "luma_flip", "hue", "saturation"),
}
"""In the order in which they are applied."""

NAMES = tuple(name for names in PIPELINES.values() for name in names)

INTERVAL = 4
"""Updates of D between two changes of p: section 3."""

Draws = Mapping[str, Tensor]


def ada(config: Mapping[str, Value], shape: tuple[int, int, int]) -> nn.Module:
    return Ada(
        pipeline=cast(str, config["pipeline"]),
        target=cast(float, config["target"]),
        kimg=cast(float | None, config["kimg"]),
        p=cast(float, config["p"]),
    )


class Ada(nn.Module):
    """Images `[N,C,H,H]` in [-1, 1] -> the same shape; colours may leave [-1, 1]. At p = 0 the images as they are."""

    p: Tensor  # float32 [], in [0, 1]
    signs: Tensor  # float32 [], sum of the signs of logits since p was changed
    seen: Tensor  # float32 [], their number
    updates: Tensor  # int64 []
    rotates: Tensor  # bool [13], of NAMES
    enabled: Tensor  # float32 [13], 0 or 1

    def __init__(self, *, pipeline: str, target: float, kimg: float | None, p: float) -> None:
        super().__init__()
        self.moves, self.colors = not {"b", "g"}.isdisjoint(pipeline), "c" in pipeline
        self.target, self.kimg = target, kimg
        self.register_buffer("p", torch.tensor(float(p)))
        self.register_buffer("signs", torch.zeros(()))
        self.register_buffer("seen", torch.zeros(()))
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))
        enabled = [float(group in pipeline) for group, names in PIPELINES.items() for _ in names]
        self.register_buffer("enabled", torch.tensor(enabled), persistent=False)
        rotates = torch.tensor([name.startswith("turn") for name in NAMES])
        self.register_buffer("rotates", rotates, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        on = self.draw(len(images))
        # Each transformation draws whether it is applied or not, so that an image's numbers are always the same ones.
        uniform = torch.rand(len(images), 8, device=images.device)
        normal = torch.randn(len(images), 7, device=images.device)
        if self.moves:
            images = move(images, on, uniform[:, :6], normal[:, :4])
        if self.colors:
            images = recolor(images, on, uniform[:, 6:], normal[:, 4:])
        return images

    def draw(self, n: int) -> Draws:
        """Which transformations are applied: name -> float32 `[n]`, 0 or 1."""
        # One of two rotations is applied with probability p:  1 - (1 - p_rot)^2 = p
        share = self.enabled * torch.where(self.rotates, 1 - (1 - self.p).sqrt(), self.p)
        on = torch.rand(n, len(NAMES), device=self.p.device) < share
        return dict(zip(NAMES, on.float().unbind(1), strict=True))

    def update(self, logits: Tensor) -> None:
        """After each update of D. logits: of real images, float32 `[N]`."""
        if self.kimg is None:
            return
        self.signs.add_(logits.sign().sum())
        self.seen.add_(logits.shape[0])
        self.updates.add_(1)
        due = self.updates % INTERVAL == 0
        # r_t = E[sign(D_train)]: equation 1
        step = (self.signs / self.seen - self.target).sign() * self.seen / (1000 * self.kimg)
        self.p.copy_(torch.where(due, self.p + step, self.p).clamp(0, 1))
        self.signs.masked_fill_(due, 0)
        self.seen.masked_fill_(due, 0)


def move(images: Tensor, on: Draws, uniform: Tensor, normal: Tensor) -> Tensor:
    """Pixel blitting and general geometric transformations in one: appendix B. uniform `[N,6]`, normal
    `[N,4]`. What lies outside the image is its reflection.
    """
    height, width = images.shape[2:]
    column = torch.arange(width, device=images.device) - (width - 1) / 2
    row = torch.arange(height, device=images.device)[:, None] - (height - 1) / 2
    x, y = (of_place[:, :, None, None] for of_place in inverse(on, uniform, normal, width, height))
    from_column = x[:, 0] * column + (x[:, 1] * row + x[:, 2]) + (width - 1) / 2  # [N,H,W]
    from_row = y[:, 0] * column + (y[:, 1] * row + y[:, 2]) + (height - 1) / 2
    return bilinear(images, reflect(from_column, width), reflect(from_row, height))


def inverse(on: Draws, uniform: Tensor, normal: Tensor, width: int, height: int) -> tuple[Tensor, Tensor]:
    """Where a pixel comes from: x' = x[0] x + x[1] y + x[2], and y' alike, in pixels from the image's centre. `[N,3]`.

    Transformations are undone, so the last one comes first. One that is not applied changes nothing, not by a bit.
    """
    flipped, quarter, shift_x, shift_y, angle_before, angle_after = uniform[:, :, None].unbind(1)
    scale, stretch, far_x, far_y = normal[:, :, None].unbind(1)
    on = {name: drawn[:, None] for name, drawn in on.items()}
    x, y, one = torch.eye(3, device=uniform.device)
    # Fractional translation, N(0, 0.125^2) of the size
    x, y = x - on["shift"] * 0.125 * far_x * width * one, y - on["shift"] * 0.125 * far_y * height * one
    # Rotation, U(-pi, pi), after anisotropic scaling, 2^N(0, 0.2^2), and before
    x, y = _turned_back(x, y, on["turn_after"] * math.pi * (2 * angle_after - 1))
    factor = torch.exp2(on["stretch"] * 0.2 * stretch)
    x, y = x / factor, y * factor
    x, y = _turned_back(x, y, on["turn_before"] * math.pi * (2 * angle_before - 1))
    # Isotropic scaling, 2^N(0, 0.2^2)
    factor = torch.exp2(on["scale"] * 0.2 * scale)
    x, y = x / factor, y / factor
    # Translation, U(-0.125, 0.125) of the size, in whole pixels
    x = x - on["whole_shift"] * torch.round((shift_x - 0.5) * 0.25 * width) * one
    y = y - on["whole_shift"] * torch.round((shift_y - 0.5) * 0.25 * height) * one
    # Turn by 0, 1, 2 or 3 right angles, whose sines and cosines are exact
    turns = on["quarter_turn"] * (4 * quarter).floor()
    cosine, sine = (turns == 0).float() - (turns == 2).float(), (turns == 1).float() - (turns == 3).float()
    x, y = cosine * x + sine * y, cosine * y - sine * x
    # Flip, in half of the images to which it is applied
    return x * (1 - 2 * on["flip"] * (flipped < 0.5)), y


def _turned_back(x: Tensor, y: Tensor, angle: Tensor) -> tuple[Tensor, Tensor]:
    cosine, sine = angle.cos(), angle.sin()
    return cosine * x + sine * y, cosine * y - sine * x


def recolor(images: Tensor, on: Draws, uniform: Tensor, normal: Tensor) -> Tensor:
    """Color transformations: appendix B. uniform `[N,2]`, normal `[N,3]`.

    All of them keep the axis of greys, v = (1, 1, 1) / sqrt(3), apart from the plane of hues across it. So together
    they are, with b, c, i, theta and s for brightness, contrast, luma flip, hue and saturation

        x -> c ((1 - 2 i) v v' + s cos(theta) (I - v v') + s sin(theta) [v]_x) x + c (1 - 2 i) b

    which adds to each channel shares of the next and of the one after it. Of grey images, only the axis is left.
    """
    flipped, angle = uniform.unbind(1)
    brightness, contrast, saturation = normal.unbind(1)
    # b ~ N(0, 0.2^2), c ~ 2^N(0, 0.5^2), i ~ U{0, 1}, theta ~ U(-pi, pi), s ~ 2^N(0, 1)
    c = torch.exp2(on["contrast"] * 0.5 * contrast)
    luma = c * (1 - 2 * on["luma_flip"] * (flipped < 0.5))
    offset = luma * on["brightness"] * 0.2 * brightness
    if images.shape[1] == 1:
        return images * _of_images(luma, images) + _of_images(offset, images)
    theta = on["hue"] * math.pi * (2 * angle - 1)
    s = c * torch.exp2(on["saturation"] * saturation)
    common = (luma - s * theta.cos()) / 3
    across = s * theta.sin() / math.sqrt(3)
    own, next_one, last_one = (
        _of_images(share, images) for share in (s * theta.cos() + common, common - across, common + across)
    )
    mixed = torch.addcmul(_of_images(offset, images), images, own)
    mixed = torch.addcmul(mixed, images.roll(-1, 1), next_one)
    return torch.addcmul(mixed, images.roll(-2, 1), last_one)


def _of_images(numbers: Tensor, images: Tensor) -> Tensor:
    """`[N]` -> `[N,1,1,1]`, in the dtype of the images."""
    return numbers.to(images.dtype)[:, None, None, None]
