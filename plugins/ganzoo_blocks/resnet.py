"""The residual generator and discriminator of Miyato et al. 2018 (arXiv:1802.05957, appendix B.3, tables 4 to 6), for
square images of 4 to 7 times a power of two.

Up to 32 pixels all maps are equally wide, and the discriminator halves twice and has two blocks at that size; above,
widths double per halving, down to the smallest map and a last block there. The latter can be had at any size: narrow
networks of equal widths have hardly any features to tell classes by, and spend most of their time at full size.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ganzoo import VariantConfig
from ganzoo_blocks.attention import SelfAttention
from ganzoo_blocks.norms import BatchNorm, ClassBatchNorm, Norm, Wrap, plain, spectral_norm
from ganzoo_blocks.residual import DownBlock, UpBlock, convolution
from ganzoo_blocks.shapes import Shape, given, plan

SMALL = 32
"""Largest side, in pixels, of images whose networks are equally wide everywhere."""

WIDEST = 16
"""Largest multiple of `channels` where widths double."""


@dataclass(frozen=True)
class Width:
    """How wide the maps of both networks are: the settings `channels` and `doubling`."""

    channels: int
    doubling: bool | None = None

    def doubles(self, shape: Shape) -> bool:
        return shape[1] > SMALL if self.doubling is None else self.doubling

    def generator(self, shape: Shape) -> list[int]:
        """Of the map that noise is mapped to, and of each map behind a block."""
        _, doublings = plan(shape)
        if not self.doubles(shape):
            return [self.channels * 4] * (doublings + 1)
        return [self.channels * min(2**power, WIDEST) for power in range(doublings, -1, -1)]

    def body(self, shape: Shape) -> list[int]:
        """Of the map behind each of the discriminator's blocks."""
        if not self.doubles(shape):
            return [self.channels * 2] * (self.halvings(shape) + 2)
        widths = [self.channels * min(2**power, WIDEST) for power in range(self.halvings(shape))]
        return [*widths, widths[-1]]

    def halvings(self, shape: Shape) -> int:
        """How often the discriminator halves an image."""
        _, doublings = plan(shape)
        return doublings if self.doubles(shape) else min(doublings, 2)


def width_of(config: VariantConfig) -> Width:
    return Width(cast(int, config["channels"]), cast(bool | None, config["doubling"]))


class Generator(nn.Module):
    """z `[N, z_dim]`, labels int64 `[N]` or None -> images `[N,C,H,W]` in [-1, 1].

    Args:
        num_classes: 0, or the number of classes, for which each batch norm has a gain and a bias.
        wrap: what is done to each layer with weights.
        attention: sides, in pixels, of maps that self-attention follows; those that the network does not have count
            for nothing.
    """

    def __init__(
        self,
        z_dim: int,
        width: Width,
        shape: Shape,
        num_classes: int = 0,
        *,
        wrap: Wrap = plain,
        attention: Collection[int] = (),
    ) -> None:
        super().__init__()
        start, _ = plan(shape)
        widths = width.generator(shape)
        norm: Norm = partial(ClassBatchNorm, num_classes=num_classes) if num_classes else BatchNorm
        first = nn.Linear(z_dim, widths[0] * start * start)
        nn.init.xavier_uniform_(first.weight)
        nn.init.zeros_(first.bias)
        self.start = nn.Sequential(wrap(first), nn.Unflatten(1, (widths[0], start, start)))
        self.blocks, side = nn.ModuleList(), start
        for before, after in pairwise(widths):
            self.blocks.append(UpBlock(before, after, norm=norm, wrap=wrap))
            side *= 2
            if side in attention:
                self.blocks.append(SelfAttention(after, wrap))
        self.out = nn.Sequential(nn.BatchNorm2d(widths[-1]), nn.ReLU(inplace=True))
        self.image = wrap(convolution(widths[-1], shape[0], 3))

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        x = self.start(z)
        for block in self.blocks:
            x = block(x, labels) if isinstance(block, UpBlock) else block(x)
        return torch.tanh(self.image(self.out(x)))


class Body(nn.Module):
    """The discriminator without its last layers: x `[N,C,H,W]` -> features `[N, width]`, summed over the last map.

    No batch norm: samples are judged independently. `width` is their number; `wrap` and `attention` as in `Generator`.
    """

    def __init__(
        self, width: Width, shape: Shape, *, wrap: Wrap = spectral_norm, attention: Collection[int] = ()
    ) -> None:
        super().__init__()
        widths, side = width.body(shape), shape[1]
        layers: list[nn.Module] = []
        for index, (before, after) in enumerate(zip((shape[0], *widths), widths, strict=False)):
            down = index < width.halvings(shape)
            layers.append(DownBlock(before, after, wrap=wrap, down=down, first=not index))
            side = side // 2 if down else side
            if down and side in attention:
                layers.append(SelfAttention(after, wrap))
        self.layers = nn.Sequential(*layers)
        self.width = widths[-1]

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.layers(x)).sum(dim=(2, 3))


class Discriminator(nn.Module):
    """x `[N,C,H,W]`, labels int64 `[N]` or None -> "logits" `[N]`, "features" `[N, F]`.

    `num_classes` is 0, or the number of classes, which are then projected. The rest as in `Body`.
    """

    def __init__(
        self,
        width: Width,
        shape: Shape,
        num_classes: int = 0,
        *,
        wrap: Wrap = spectral_norm,
        attention: Collection[int] = (),
    ) -> None:
        super().__init__()
        self.body = Body(width, shape, wrap=wrap, attention=attention)
        self.logit = Projection(self.body.width, num_classes, wrap)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:
        features = self.body(x)
        return {"logits": self.logit(features, labels), "features": features}


class Projection(nn.Module):
    """features `[N, F]`, labels int64 `[N]` -> psi(phi) + <V_y, phi> `[N]` (Miyato & Koyama 2018, arXiv:1802.05637,
    equation 3); without classes, psi(phi) alone.
    """

    def __init__(self, features: int, num_classes: int = 0, wrap: Wrap = spectral_norm) -> None:
        super().__init__()
        self.logit = linear(features, 1, wrap)
        self.classes: nn.Module | None = None
        if num_classes:
            embedding = nn.Embedding(num_classes, features)
            nn.init.xavier_uniform_(embedding.weight)
            self.classes = wrap(embedding)

    def forward(self, features: Tensor, labels: Tensor | None = None) -> Tensor:
        logits: Tensor = self.logit(features).flatten()
        if self.classes is not None:
            logits = logits + (self.classes(given(labels)) * features).sum(1)
        return logits


def linear(before: int, after: int, wrap: Wrap = spectral_norm, *, bias: bool = True) -> nn.Module:
    """A last layer `[N, before]` -> `[N, after]` with Glorot's uniform weights."""
    layer = nn.Linear(before, after, bias=bias)
    nn.init.xavier_uniform_(layer.weight)
    if bias:
        nn.init.zeros_(layer.bias)
    return wrap(layer)
