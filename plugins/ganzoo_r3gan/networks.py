"""Networks of R3GAN (Huang et al. 2024, arXiv:2501.05441), section 4, for square images of 4 to 7 times a power of two.

G and D are mirror images: as many residual blocks at each size, of a 1x1 convolution that widens, a 3x3 convolution in
groups and a 1x1 convolution, each of the first two with a bias and LeakyReLU(0.2); nothing is normalised.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ganzoo import GAN, VariantConfig
from ganzoo_blocks.shapes import Shape, plan

EXPANSION = 2
"""Maps inside a block, for each map outside."""

SLOPE = 0.2
GAIN = math.sqrt(2 / (1 + SLOPE**2))  # what a LeakyReLU takes from the deviation of its input, by He et al. 2015
LAYERS = 3  # with weights, in a block


def r3gan(config: VariantConfig, shape: Shape, num_classes: int) -> GAN:
    """R3GAN for images of `shape` (C, H, W). Labels are ignored. Raises UserError for a size it cannot make."""
    z_dim, channels, blocks, group = (cast(int, config[name]) for name in ("z_dim", "channels", "blocks", "group"))
    start, doublings = plan(shape)
    sides = [start * 2**power for power in range(doublings + 1)]
    widths = [channels * (3 if side < 32 else 1) for side in sides]
    return GAN(
        generator=Generator(z_dim, widths, shape, blocks=blocks, group=group),
        discriminator=Discriminator(widths, shape, blocks=blocks, group=group),
        z_dim=z_dim,
    )


class Generator(nn.Module):
    """z `[N, z_dim]` -> images `[N,C,H,W]` in [-1, 1]. `widths`: of the maps of each size, from the smallest.

    The first map is a learned one, whose channels z multiplies. The paper's G has no tanh at its end; ganzoo's images
    are bounded.
    """

    def __init__(self, z_dim: int, widths: list[int], shape: Shape, *, blocks: int, group: int) -> None:
        super().__init__()
        start, _ = plan(shape)
        total = blocks * len(widths)
        self.base = nn.Parameter(torch.randn(widths[0], start, start))
        self.scale = scaled(nn.Linear(z_dim, widths[0]), 1.0)
        layers: list[nn.Module] = [Block(widths[0], group, total) for _ in range(blocks)]
        for before, after in pairwise(widths):
            layers += [Resample(before, after, up=True), *(Block(after, group, total) for _ in range(blocks))]
        self.layers = nn.Sequential(*layers)
        self.image = scaled(nn.Conv2d(widths[-1], shape[0], 1), 1.0)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        scale: Tensor = self.scale(z)[:, :, None, None]
        return torch.tanh(self.image(self.layers(self.base * scale)))


class Discriminator(nn.Module):
    """x `[N,C,H,W]` -> "logits" `[N]`, "features" `[N, widths[0]]`. `widths` as the generator's.

    The last map, whole, is one number per channel: a convolution of its size, channel by channel. Samples are judged
    independently.
    """

    def __init__(self, widths: list[int], shape: Shape, *, blocks: int, group: int) -> None:
        super().__init__()
        start, _ = plan(shape)
        total = blocks * len(widths)
        self.image = scaled(nn.Conv2d(shape[0], widths[-1], 1), 1.0)
        layers: list[nn.Module] = [Block(widths[-1], group, total) for _ in range(blocks)]
        for before, after in pairwise(reversed(widths)):
            layers += [Resample(before, after, up=False), *(Block(after, group, total) for _ in range(blocks))]
        self.layers = nn.Sequential(*layers)
        # A convolution of the whole map, written as a product: as a convolution it has no fast second derivative.
        self.base = nn.Parameter(torch.randn(widths[0], start, start) / start)
        self.logit = scaled(nn.Linear(widths[0], 1), 1.0)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:
        features = (self.layers(self.image(x)) * self.base).sum(dim=(2, 3))
        return {"logits": self.logit(features).flatten(), "features": features}


class Block(nn.Module):
    """x `[N,C,H,W]` -> `[N,C,H,W]`: x and what three convolutions make of it, at first nothing.

    Fix-up initialisation (Zhang et al. 2019, arXiv:1901.09321, section 2), as the paper has it: the last layer is 0,
    and He's deviation of the others is multiplied by L^(-1 / (2 m - 2)), for `total` = L blocks of m = 3 layers.
    """

    def __init__(self, channels: int, group: int, total: int) -> None:
        super().__init__()
        wide = channels * EXPANSION
        gain = GAIN * total ** (-1 / (2 * LAYERS - 2))
        self.expand = scaled(nn.Conv2d(channels, wide, 1), gain)
        self.mix = scaled(nn.Conv2d(wide, wide, 3, padding=1, groups=wide // math.gcd(wide, group)), gain)
        self.project = scaled(nn.Conv2d(wide, channels, 1, bias=False), 0.0)

    def forward(self, x: Tensor) -> Tensor:
        y = F.leaky_relu(self.expand(x), SLOPE)
        y = F.leaky_relu(self.mix(y), SLOPE)
        return x + cast(Tensor, self.project(y))


class Resample(nn.Module):
    """x `[N,before,H,W]` -> `[N,after,2H,2W]` or, with `up=False`, `[N,after,H/2,W/2]`: bilinear interpolation, and a
    1x1 convolution where the width changes, done at the smaller size.
    """

    def __init__(self, before: int, after: int, *, up: bool) -> None:
        super().__init__()
        self.up = up
        self.width = scaled(nn.Conv2d(before, after, 1, bias=False), 1.0) if before != after else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        if self.up:
            return F.interpolate(self.width(x), scale_factor=2, mode="bilinear", align_corners=False)
        return cast(Tensor, self.width(F.avg_pool2d(x, 2)))  # at half the size, bilinear is the mean of four


def scaled(layer: nn.Linear | nn.Conv2d, gain: float) -> nn.Module:
    """Weights from N(0, gain^2 / fan-in), biases 0."""
    nn.init.normal_(layer.weight, 0.0, gain / math.sqrt(layer.weight[0].numel()))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
