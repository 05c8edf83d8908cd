"""Networks of SAGAN (Zhang et al. 2018, arXiv:1805.08318).

The residual networks of SNGAN and of the projection discriminator, with self-attention behind one block of each
(section 3) and spectral norm in the generator as well (section 3.1). As in the paper the class is in G's batch norm and
projected in D; the sister without classes is for data that has none.
"""

from __future__ import annotations

from typing import cast

from ganzoo import GAN, UserError, VariantConfig
from ganzoo_blocks.norms import spectral_norm
from ganzoo_blocks.resnet import Discriminator, Generator, Width, width_of
from ganzoo_blocks.shapes import Shape, need_labels, plan

LARGEST = 32
"""Side of the maps that attend to themselves in the paper, whose images have 128 pixels."""


def sagan(config: VariantConfig, shape: Shape, num_classes: int) -> GAN:
    """SAGAN for images of `shape` (C, H, W). Raises UserError for sizes it cannot make or attend to, and without
    labels.
    """
    need_labels("sagan", num_classes, "sagan-unconditional")
    return build(config, shape, num_classes)


def sagan_unconditional(config: VariantConfig, shape: Shape, num_classes: int) -> GAN:
    """SAGAN that is not told the class. Raises UserError for sizes it cannot make or attend to."""
    return build(config, shape, 0)


def build(config: VariantConfig, shape: Shape, num_classes: int) -> GAN:
    z_dim, width = cast(int, config["z_dim"]), width_of(config)
    attention = (attended(shape, width, cast(int | None, config["attention"])),)
    return GAN(
        generator=Generator(z_dim, width, shape, num_classes, wrap=spectral_norm, attention=attention),
        discriminator=Discriminator(width, shape, num_classes, attention=attention),
        z_dim=z_dim,
    )


def attended(shape: Shape, width: Width, wanted: int | None) -> int:
    """The side of the maps that attend to themselves: `wanted`, or the largest of those that both networks have
    which is at most 32.

    Raises:
        UserError: one of the networks has no such map.
    """
    plan(shape)
    sides = [shape[1] // 2**halving for halving in range(1, width.halvings(shape) + 1)]
    if wanted is None:
        return max(side for side in sides if side <= LARGEST)
    if wanted not in sides:
        raise UserError(
            f"variant.attention is {wanted}, and for images of {shape[1]} pixels no map has that side in both networks",
            f"choose one of {', '.join(map(str, sides))}",
        )
    return wanted
