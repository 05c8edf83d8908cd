"""Networks of the cGAN with projection discriminator (Miyato & Koyama 2018, arXiv:1802.05637, appendix A)."""

from __future__ import annotations

from typing import cast

from ganzoo import GAN, VariantConfig
from ganzoo_blocks.resnet import Discriminator, Generator, width_of
from ganzoo_blocks.shapes import Shape, need_labels


def cgan_pd(config: VariantConfig, shape: Shape, num_classes: int) -> GAN:
    """The pair for images of `shape` (C, H, W). Raises UserError for a size it cannot make, and without labels."""
    need_labels("cgan-pd", num_classes, "sngan-resnet")
    z_dim, width = cast(int, config["z_dim"]), width_of(config)
    return GAN(
        generator=Generator(z_dim, width, shape, num_classes),
        discriminator=Discriminator(width, shape, num_classes),
        z_dim=z_dim,
    )
