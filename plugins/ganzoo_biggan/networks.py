"""Networks of BigGAN (Brock et al. 2018, arXiv:1809.11096, section 3 and appendix B, figure 15).

Generator and discriminator are SNGAN's residual ones, spectrally normalised both, with self-attention at half the size
of the image, which are 64 pixels in the paper's networks for 128.
"""

from __future__ import annotations

import math
from functools import partial
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn

from ganzoo import GAN, TruncatedNormal, UserError, VariantConfig
from ganzoo_blocks.attention import SelfAttention
from ganzoo_blocks.norms import Norm, VectorBatchNorm, spectral_norm
from ganzoo_blocks.residual import UpBlock, convolution
from ganzoo_blocks.resnet import Discriminator, Width, width_of
from ganzoo_blocks.shapes import Shape, given, need_labels, plan


def biggan(config: VariantConfig, shape: Shape, num_classes: int) -> GAN:
    """BigGAN for images of `shape` (C, H, W). Raises UserError for a size it cannot make, and without labels."""
    need_labels("biggan", num_classes, "sngan-resnet")
    z_dim, embedding, width = cast(int, config["z_dim"]), cast(int, config["embedding"]), width_of(config)
    half = shape[1] // 2
    return GAN(
        generator=Generator(z_dim, embedding, width, shape, num_classes),
        discriminator=Discriminator(width, shape, num_classes, wrap=orthogonal, attention=(half,)),
        z_dim=z_dim,
    )


def orthogonal(layer: nn.Module) -> nn.Module:
    """A layer with orthogonal first weights (section 3), spectrally normalised."""
    assert isinstance(layer.weight, Tensor)
    nn.init.orthogonal_(layer.weight)
    return spectral_norm(layer)


class Generator(nn.Module):
    """z `[N, z_dim]`, labels int64 `[N]` -> images `[N,C,H,W]` in [-1, 1].

    z is split: one part makes the first map, and one each, beside the class's vector, is what a block's batch norms
    are conditioned on (appendix B). A class's vector is shared by all blocks.
    """

    def __init__(self, z_dim: int, embedding: int, width: Width, shape: Shape, num_classes: int) -> None:
        super().__init__()
        start, doublings = plan(shape)
        widths = width.generator(shape)
        part = z_dim // (doublings + 1)
        self.parts = [z_dim - doublings * part, *[part] * doublings]  # the first takes what is left over
        self.classes = nn.Embedding(num_classes, embedding)
        nn.init.orthogonal_(self.classes.weight)
        norm: Norm = partial(VectorBatchNorm, dim=embedding + part, wrap=orthogonal)
        first = orthogonal(nn.Linear(self.parts[0], widths[0] * start * start))
        self.start = nn.Sequential(first, nn.Unflatten(1, (widths[0], start, start)))
        self.blocks = nn.ModuleList(UpBlock(*pair, norm=norm, wrap=orthogonal) for pair in pairwise(widths))
        self.attention = SelfAttention(widths[-2], orthogonal)
        self.out = nn.Sequential(nn.BatchNorm2d(widths[-1]), nn.ReLU(inplace=True))
        self.image = orthogonal(convolution(widths[-1], shape[0], 3))

    def forward(self, z: Tensor, labels: Tensor | None = None, truncation: float = math.inf) -> Tensor:
        """`truncation`: each component of z is that of N(0, 1) given that it lies within plus or minus this (section
        3.1: of those beyond, new ones are drawn, which is the same law). Raises UserError where it is not above 0.
        """
        if not truncation > 0:
            raise UserError(f"z cannot be cut off at plus or minus {truncation:g}", "give a truncation above 0, as 0.5")
        if truncation != math.inf:
            z = TruncatedNormal(limit=truncation)(z)
        first, *others = z.split(self.parts, 1)
        shared = self.classes(given(labels))
        x = self.start(first)
        for index, (block, part) in enumerate(zip(self.blocks, others, strict=True)):
            if index == len(others) - 1:  # at half the image's size
                x = self.attention(x)
            x = block(x, torch.cat([shared, part], 1))
        return torch.tanh(self.image(self.out(x)))
