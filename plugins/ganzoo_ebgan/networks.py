"""Networks of EBGAN (Zhao et al. 2016, arXiv:1609.03126), section 4 and the appendix on its architectures.

The generator is DCGAN's. The discriminator is an autoencoder: an encoder of strided 4x4 convolutions, as DCGAN's
discriminator without its last layer, and a decoder of transposed ones that mirrors it.
"""

from __future__ import annotations

from itertools import pairwise
from typing import cast

from torch import Tensor, nn

from ganzoo import GAN, VariantConfig
from ganzoo_blocks.shapes import Shape, init_weights, plan
from ganzoo_dcgan.networks import Generator
from ganzoo_ebgan.losses import pulling_away

TINY = 1e-12
"""Added to a squared error: the square root has no derivative at 0."""


def ebgan(config: VariantConfig, shape: Shape, num_classes: int) -> GAN:
    """EBGAN-PT for images of `shape` (C, H, W). Labels are ignored. Raises UserError for a size it cannot make."""
    z_dim, channels, weight = cast(int, config["z_dim"]), cast(int, config["channels"]), config["pt_weight"]
    discriminator = Discriminator(channels, shape, layer_norm=config.per_sample_critic)
    return GAN(
        generator=Generator(z_dim, channels, shape).apply(init_weights),
        discriminator=discriminator.apply(init_weights),
        z_dim=z_dim,
        terms=[pulling_away(cast(float, weight))] if weight else [],
    )


class Discriminator(nn.Module):
    """x `[N,C,H,W]` -> "energy" `[N]`, at least 0: how badly x is reconstructed; "logits" `[N]`: minus that;
    "features" `[N, width, start, start]`: the code.

    `layer_norm` puts layer norm for batch norm, so that samples are treated independently.
    """

    def __init__(self, channels: int, shape: Shape, *, layer_norm: bool = False) -> None:
        super().__init__()
        _, halvings = plan(shape)
        widths = [channels * 2**level for level in range(halvings)]
        encoder: list[nn.Module] = [nn.Conv2d(shape[0], channels, 4, stride=2, padding=1), leaky()]
        decoder: list[nn.Module] = []
        for narrow, wide in pairwise(widths):
            down = nn.Conv2d(narrow, wide, 4, stride=2, padding=1, bias=layer_norm)
            up = nn.ConvTranspose2d(wide, narrow, 4, stride=2, padding=1, bias=layer_norm)
            encoder += [down, norm(wide, layer_norm), leaky()]
            decoder = [up, norm(narrow, layer_norm), leaky(), *decoder]
        self.encode = nn.Sequential(*encoder)
        self.decode = nn.Sequential(*decoder, nn.ConvTranspose2d(channels, shape[0], 4, stride=2, padding=1))

    def forward(self, x: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:
        code = self.encode(x)
        # Equation 5: E(x) = |Dec(Enc(x)) - x|, the length over all channels and pixels
        error = (self.decode(code).float() - x.float()).square().flatten(1).sum(1)
        energy = (error + TINY).sqrt()
        return {"logits": -energy, "energy": energy, "features": code}


def norm(width: int, layer_norm: bool) -> nn.Module:
    return nn.GroupNorm(1, width) if layer_norm else nn.BatchNorm2d(width)


def leaky() -> nn.Module:
    return nn.LeakyReLU(0.2, inplace=True)
