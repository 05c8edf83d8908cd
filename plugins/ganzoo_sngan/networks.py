"""Networks of SNGAN (Miyato et al. 2018, arXiv:1802.05957, appendix B): plain ones of table 3, and residual ones."""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn

from ganzoo import GAN, VariantConfig
from ganzoo_blocks.norms import spectral_norm
from ganzoo_blocks.resnet import Discriminator, Generator, width_of
from ganzoo_blocks.shapes import Shape, init_weights, plan
from ganzoo_dcgan.networks import Generator as Transposed


def sngan(config: VariantConfig, shape: Shape, num_classes: int) -> GAN:
    """The plain SNGAN for images of `shape` (C, H, W). Labels are ignored. Raises UserError for other sizes."""
    z_dim, channels = cast(int, config["z_dim"]), cast(int, config["channels"])
    # Table 3's generator is DCGAN's.
    generator = Transposed(z_dim, channels, shape).apply(init_weights)
    return GAN(generator=generator, discriminator=Convolutions(channels, shape), z_dim=z_dim)


def sngan_resnet(config: VariantConfig, shape: Shape, num_classes: int) -> GAN:
    """SNGAN with residual networks. Labels are ignored. Raises UserError for other sizes."""
    z_dim, width = cast(int, config["z_dim"]), width_of(config)
    return GAN(generator=Generator(z_dim, width, shape), discriminator=Discriminator(width, shape), z_dim=z_dim)


class Convolutions(nn.Module):
    """x `[N,C,H,W]` -> "logits" `[N]`, "features" `[N, F]`, of the last map.

    Table 3: for each halving a 3x3 convolution and a 4x4 one of stride 2, a last 3x3 one, each with LeakyReLU(0.1), and
    a linear layer. No batch norm.
    """

    def __init__(self, channels: int, shape: Shape) -> None:
        super().__init__()
        start, halvings = plan(shape)
        before, width = shape[0], channels
        layers: list[nn.Module] = []
        for _ in range(halvings):
            layers += [*convolution(before, width, 3, 1), *convolution(width, width * 2, 4, 2)]
            before, width = width * 2, width * 2
        self.features = nn.Sequential(*layers, *convolution(before, width, 3, 1), nn.Flatten())
        self.logit = scaled(nn.Linear(width * start * start, 1))

    def forward(self, x: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:
        features = self.features(x)
        return {"logits": self.logit(features).flatten(), "features": features}


def convolution(before: int, after: int, kernel: int, stride: int) -> tuple[nn.Module, nn.Module]:
    return scaled(nn.Conv2d(before, after, kernel, stride=stride, padding=1)), nn.LeakyReLU(0.1, inplace=True)


def scaled(layer: nn.Module) -> nn.Module:
    init_weights(layer)
    return spectral_norm(layer)
