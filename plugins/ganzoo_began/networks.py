"""Networks of BEGAN (Berthelot et al. 2017, arXiv:1703.10717), section 3.5.

3x3 convolutions, two per resolution, with ELU and without normalisation; halved by stride, doubled by repeating
pixels; linear layers, without activation, into and out of the code. The encoder widens by `channels` per halving, the
decoder does not narrow, and sees its first maps again at every resolution (section 3.5.1, skip connections). The
generator is another decoder.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from ganzoo import GAN, Uniform, VariantConfig
from ganzoo_blocks.shapes import Shape, plan


def began(config: VariantConfig, shape: Shape, num_classes: int) -> GAN:
    """BEGAN for images of `shape` (C, H, W). Labels are ignored. Raises UserError for a size it cannot make."""
    z_dim, channels = cast(int, config["z_dim"]), cast(int, config["channels"])
    return GAN(
        generator=Generator(z_dim, channels, shape).apply(init_weights),
        discriminator=Discriminator(z_dim, channels, shape).apply(init_weights),
        z_dim=z_dim,
        prior=Uniform(low=-1.0, high=1.0),
    )


class Generator(nn.Module):
    """z `[N, z_dim]` -> images `[N,C,H,W]` in [-1, 1], which a decoder alone would only be near."""

    def __init__(self, z_dim: int, channels: int, shape: Shape) -> None:
        super().__init__()
        self.decode = Decoder(z_dim, channels, shape)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        return cast(Tensor, self.decode(z)).tanh()


class Discriminator(nn.Module):
    """x `[N,C,H,W]` -> "energy" `[N]`, at least 0: how badly x is reconstructed; "logits" `[N]`: minus that.

    L(x) = |x - D(x)|, the mean over an image's channels and pixels (equation 1 with eta = 1).
    """

    def __init__(self, z_dim: int, channels: int, shape: Shape) -> None:
        super().__init__()
        self.encode = encoder(z_dim, channels, shape)
        self.decode = Decoder(z_dim, channels, shape)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:
        energy = (x.float() - self.decode(self.encode(x)).float()).abs().flatten(1).mean(1)
        return {"logits": -energy, "energy": energy}


def encoder(z_dim: int, channels: int, shape: Shape) -> nn.Sequential:
    """`[N,C,H,W]` -> `[N, z_dim]`."""
    start, halvings = plan(shape)
    layers: list[nn.Module] = [nn.Conv2d(shape[0], channels, 3, padding=1), nn.ELU(inplace=True)]
    for level in range(1, halvings + 1):
        width = level * channels
        layers += [
            *convolution(width, width),
            *convolution(width, width + channels, stride=2),
        ]
    width = (halvings + 1) * channels
    layers += [*convolution(width, width), *convolution(width, width)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(width * start * start, z_dim))


class Decoder(nn.Module):
    """`[N, z_dim]` -> `[N,C,H,W]`, unbounded. What the linear layer gives is seen again at every resolution."""

    def __init__(self, z_dim: int, channels: int, shape: Shape) -> None:
        super().__init__()
        start, doublings = plan(shape)
        self.first = nn.Sequential(
            nn.Linear(z_dim, channels * start * start), nn.Unflatten(1, (channels, start, start))
        )
        self.levels = nn.ModuleList(
            nn.Sequential(
                *convolution(channels if level == 0 else 2 * channels, channels), *convolution(channels, channels)
            )
            for level in range(doublings + 1)
        )
        self.last = nn.Conv2d(channels, shape[0], 3, padding=1)
        self.upsample = nn.Upsample(scale_factor=2, mode="nearest")

    def forward(self, code: Tensor) -> Tensor:
        first = self.first(code)
        x = self.levels[0](first)
        for level in self.levels[1:]:
            x, first = self.upsample(x), self.upsample(first)
            x = level(torch.cat([x, first], dim=1))
        return cast(Tensor, self.last(x))


def convolution(before: int, after: int, *, stride: int = 1) -> tuple[nn.Module, nn.Module]:
    return nn.Conv2d(before, after, 3, stride=stride, padding=1), nn.ELU(inplace=True)


@torch.no_grad()
def init_weights(module: nn.Module) -> None:
    """Set one layer's weights to N(0, 1 / fan_in), biases to 0: near 0 an ELU is the identity, so that the noise is
    still there behind ten layers. PyTorch's own weights are smaller and its biases are not 0; every image is the same
    then, and stays so. (The paper adds residuals that vanish as training goes on.)
    """
    if isinstance(module, nn.Linear | nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, nonlinearity="linear")
        assert module.bias is not None
        nn.init.zeros_(module.bias)
