"""Networks of Projected GAN (Sauer et al. 2021, arXiv:2111.01007), section 3.

The generator is FastGAN's. Four discriminators look at four scales of a pretrained network, whose channels and scales
are mixed by random convolutions that stay as they are.

Scores by the feature network efficientnet-lite0 flatter this variant: it is the network that D sees through.
"""

from __future__ import annotations

from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ganzoo import GAN, VariantConfig
from ganzoo_blocks import patches
from ganzoo_blocks.norms import Norm, spectral_norm
from ganzoo_blocks.shapes import Shape, init_weights
from ganzoo_fastgan.networks import Generator, layer_norm
from ganzoo_projected_gan.pretrained import WIDTHS, Pretrained

WIDEST = 8
"""Largest multiple of `mixed` in a discriminator."""


def projected_gan(config: VariantConfig, shape: Shape, num_classes: int) -> GAN:
    """The pair for images of `shape` (C, H, W). Labels are ignored.

    Raises UserError for a size it cannot make, and without the packages of the pretrained network.
    """
    z_dim, channels, mixed, side = (cast(int, config[name]) for name in ("z_dim", "channels", "mixed", "resolution"))
    norm = layer_norm if config.per_sample_critic else nn.BatchNorm2d
    return GAN(
        generator=Generator(z_dim, channels, shape).apply(init_weights),
        discriminator=Discriminator(mixed, max(side, shape[1]), norm=norm),
        z_dim=z_dim,
        phases=patches.phases,
    )


class Discriminator(nn.Module):
    """x `[N,C,H,W]` -> "patches" `[N, K]`, the logits of all scales, and their means, "logits" `[N]`.

    Equation 3 sums the losses of the scales, and each over its 4x4 logits; here they are averaged, which Adam does not
    tell apart. Grey images are repeated to three channels. `side`: that images are enlarged to, in pixels.
    """

    def __init__(self, mixed: int, side: int, *, norm: Norm) -> None:
        super().__init__()
        self.side = side
        self.pretrained = Pretrained()
        self.mix = Mix(mixed)
        sides = [-(-side // reduction) for reduction in (4, 8, 16, 32)]
        self.scales = nn.ModuleList(
            scale(width, side, WIDEST * mixed, norm) for width, side in zip(self.mix.widths, sides, strict=True)
        )

    def forward(self, x: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:
        x = x.expand(-1, 3, -1, -1)
        if x.shape[2] != self.side:
            x = F.interpolate(x, size=(self.side, self.side), mode="bilinear", align_corners=False)
        maps = self.mix(self.pretrained(x))
        said = torch.cat([judge(one).flatten(1) for judge, one in zip(self.scales, maps, strict=True)], 1)
        return {"logits": said.mean(1), "patches": said}


class Mix(nn.Module):
    """Maps `[N,WIDTHS[l],h,h]` of four scales -> `[N,widths[l],h,h]`: section 3.2.

    Cross-channel mixing: 1x1 convolutions to more channels, `mixed` times 1, 2, 4 and 8. Cross-scale mixing: from the
    coarsest scale to the finest, a 3x3 convolution, and what it gives is enlarged and added to the next scale.
    """

    def __init__(self, mixed: int) -> None:
        super().__init__()
        wide = [mixed * 2**power for power in range(len(WIDTHS))]
        self.widths = [wide[0], *wide[:-1]]
        self.channels = nn.ModuleList(Fixed(before, after, 1) for before, after in zip(WIDTHS, wide, strict=True))
        self.scales = nn.ModuleList(Fixed(before, after, 3) for before, after in zip(wide, self.widths, strict=True))

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        mixed: list[Tensor] = []
        for channels, scales, x in zip(reversed(self.channels), reversed(self.scales), reversed(maps), strict=True):
            y = channels(x)
            if mixed:
                y = y + F.interpolate(mixed[-1], size=y.shape[2:], mode="bilinear", align_corners=False)
            mixed.append(scales(y))
        return mixed[::-1]


class Fixed(nn.Module):
    """x `[N,before,H,W]` -> `[N,after,H,W]`: a convolution by random weights that nothing trains: they are a buffer,
    which is saved with the run. Kaiming's initialisation, of a layer without activation.
    """

    weight: Tensor

    def __init__(self, before: int, after: int, kernel: int) -> None:
        super().__init__()
        weight = torch.empty(after, before, kernel, kernel)
        nn.init.kaiming_normal_(weight, nonlinearity="linear")
        self.register_buffer("weight", weight)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight, padding=self.weight.shape[2] // 2)


def scale(width: int, side: int, widest: int, norm: Norm) -> nn.Module:
    """A discriminator of one scale: x `[N,width,side,side]` -> logits `[N,1,h,h]`, h at most 7; 4 in the paper.

    As many strided convolutions as bring it there, so fewer for coarser scales, and spectral norm in every layer.
    """
    layers: list[nn.Module] = []
    halvings = max((side // 4).bit_length() - 1, 0)
    widths = [min(width * 2**power, widest) for power in range(halvings + 1)]
    for before, after in pairwise(widths):
        layers += [
            convolution(before, after, 4, stride=2, bias=norm is layer_norm),
            norm(after),
            nn.LeakyReLU(0.2, inplace=True),
        ]
    return nn.Sequential(*layers, convolution(widths[-1], 1, 3))


def convolution(before: int, after: int, kernel: int, *, stride: int = 1, bias: bool = True) -> nn.Module:
    layer = nn.Conv2d(before, after, kernel, stride=stride, padding=1, bias=bias)
    init_weights(layer)
    return spectral_norm(layer)
