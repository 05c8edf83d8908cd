"""Networks of LSGAN (Mao et al. 2016, arXiv:1611.04076), DRAGAN (Kodali et al. 2017, arXiv:1705.07215) and RaGAN
(Jolicoeur-Martineau 2018, arXiv:1807.00734).
"""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn

from ganzoo import GAN, VariantConfig
from ganzoo_blocks.shapes import Shape, init_weights, plan
from ganzoo_dcgan.networks import Discriminator, convolutional_pair
from ganzoo_sngan.networks import sngan

DEEPENED = 2
"""Of the generator's maps behind a doubling, how many, from the smallest on, have a convolution of stride 1 as well."""


def lsgan(config: VariantConfig, shape: Shape, num_classes: int) -> GAN:
    """LSGAN for images of `shape` (C, H, W). Labels are ignored. Raises UserError for a size it cannot make."""
    z_dim, channels = cast(int, config["z_dim"]), cast(int, config["channels"])
    discriminator = Discriminator(channels, shape, layer_norm=config.per_sample_critic)
    return GAN(
        generator=Generator(z_dim, channels, shape).apply(init_weights),
        discriminator=discriminator.apply(init_weights),
        z_dim=z_dim,
    )


def dragan(config: VariantConfig, shape: Shape, num_classes: int) -> GAN:
    """DCGAN with layer norm for batch norm in the discriminator, under every objective and regularizer: the penalty is
    on the gradient at each image. Labels are ignored. Raises UserError for a size it cannot make.
    """
    return convolutional_pair(config, shape, layer_norm=True)


def ragan(config: VariantConfig, shape: Shape, num_classes: int) -> GAN:
    """The paper's networks: with spectral norm in D SNGAN's plain ones, with batch norm DCGAN's. Labels are ignored.
    Raises UserError for a size it cannot make.
    """
    if config["norm"] == "spectral":
        return sngan(config, shape, num_classes)
    return convolutional_pair(config, shape, layer_norm=config.per_sample_critic)


class Generator(nn.Module):
    """z `[N, z_dim]` -> images `[N,C,H,W]` in [-1, 1].

    DCGAN's, and after each of its first two doublings a transposed convolution of stride 1 (figure 1). The kernels are
    DCGAN's of 4x4, and 3x3 without a stride, where the paper has 5x5; the last doubling gives the image, where the
    paper has one more layer: both for the sake of small images on small machines.
    """

    def __init__(self, z_dim: int, channels: int, shape: Shape) -> None:
        super().__init__()
        start, doublings = plan(shape)
        width = channels * 2 ** (doublings - 1)
        layers: list[nn.Module] = [
            nn.Linear(z_dim, width * start * start, bias=False),
            nn.Unflatten(1, (width, start, start)),
            *normalised(width),
        ]
        for level in range(doublings - 1):
            layers += [
                nn.ConvTranspose2d(width, width // 2, 4, stride=2, padding=1, bias=False),
                *normalised(width // 2),
            ]
            width //= 2
            if level < DEEPENED:
                layers += [nn.ConvTranspose2d(width, width, 3, padding=1, bias=False), *normalised(width)]
        layers += [nn.ConvTranspose2d(width, shape[0], 4, stride=2, padding=1), nn.Tanh()]
        self.layers = nn.Sequential(*layers)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        return cast(Tensor, self.layers(z))


def normalised(width: int) -> tuple[nn.Module, nn.Module]:
    return nn.BatchNorm2d(width), nn.ReLU(inplace=True)
