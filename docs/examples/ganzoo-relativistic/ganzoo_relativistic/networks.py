"""Residual networks after Miyato et al. 2018 (arXiv:1802.05957, appendix B.3): 4x4 up to the image, and back."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from ganzoo.gan import GAN, VariantConfig

Shape = tuple[int, int, int]  # (C, H, W)


def resnet_ragan(config: VariantConfig, shape: Shape, num_classes: int) -> GAN:
    """The pair for square images of 4 times a power of two. Labels are ignored."""
    z_dim, channels = int(config["z_dim"] or 0), int(config["channels"] or 0)
    doublings = (shape[1] // 4).bit_length() - 1  # 32 is 4 * 2^3
    generator, discriminator = Generator(z_dim, channels, shape, doublings), Discriminator(channels, shape, doublings)
    return GAN(generator=generator, discriminator=discriminator, z_dim=z_dim)


class Generator(nn.Module):
    """z `[N, z_dim]` -> images `[N,C,H,W]` in [-1, 1]."""

    def __init__(self, z_dim: int, channels: int, shape: Shape, doublings: int) -> None:
        super().__init__()
        self.start = nn.Sequential(nn.Linear(z_dim, channels * 16), nn.Unflatten(1, (channels, 4, 4)))
        self.blocks = nn.Sequential(*(UpBlock(channels) for _ in range(doublings)))
        self.out = nn.Sequential(
            nn.BatchNorm2d(channels), nn.ReLU(), nn.Conv2d(channels, shape[0], 3, padding=1), nn.Tanh()
        )

    def forward(self, z: Tensor, labels: Tensor | None) -> Tensor:
        images: Tensor = self.out(self.blocks(self.start(z)))
        return images


class UpBlock(nn.Module):
    """`[N,channels,H,W]` -> `[N,channels,2H,2W]`."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList([nn.BatchNorm2d(channels), nn.BatchNorm2d(channels)])
        self.convs = nn.ModuleList([nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2)])

    def forward(self, x: Tensor) -> Tensor:
        y = F.interpolate(F.relu(self.norms[0](x)), scale_factor=2)
        y = self.convs[1](F.relu(self.norms[1](self.convs[0](y))))
        return F.interpolate(x, scale_factor=2) + y


class Discriminator(nn.Module):
    """x `[N,C,H,W]` -> logits `[N]`. No batch norm, so it suits gradient penalties as well."""

    def __init__(self, channels: int, shape: Shape, doublings: int) -> None:
        super().__init__()
        self.start = spectral_norm(nn.Conv2d(shape[0], channels, 3, padding=1))
        self.blocks = nn.Sequential(*(DownBlock(channels) for _ in range(doublings)))
        self.logit = spectral_norm(nn.Linear(channels, 1))

    def forward(self, x: Tensor, labels: Tensor | None) -> Tensor:
        features = F.relu(self.blocks(self.start(x))).sum(dim=(2, 3))  # [N, channels]
        logits: Tensor = self.logit(features)
        return logits.flatten()


class DownBlock(nn.Module):
    """`[N,channels,H,W]` -> `[N,channels,H/2,W/2]`."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList([spectral_norm(nn.Conv2d(channels, channels, 3, padding=1)) for _ in range(2)])

    def forward(self, x: Tensor) -> Tensor:
        y = self.convs[1](F.relu(self.convs[0](F.relu(x))))
        return F.avg_pool2d(x + y, 2)
