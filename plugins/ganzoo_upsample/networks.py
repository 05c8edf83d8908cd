"""Networks of upsample-dcgan: the small CIFAR-10 network of many tutorials, 128-64-C maps from a quarter of the size.

A transposed convolution whose kernel is not a multiple of its stride covers pixels unevenly and prints a checkerboard;
resizing first and convolving then covers them evenly (Odena et al. 2016, doi:10.23915/distill.00003).
"""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn

from ganzoo.errors import UserError
from ganzoo.gan import GAN, VariantConfig

Shape = tuple[int, int, int]  # (C, H, W)


def upsample_dcgan(config: VariantConfig, shape: Shape, num_classes: int) -> GAN:
    """The pair for images of `shape` (C, H, W), sides multiples of 4 from 16. Labels are ignored.

    Raises UserError for a size it cannot make.
    """
    _, height, width = shape
    if height % 4 or width % 4 or min(height, width) < 16:
        raise UserError(
            f"upsample-dcgan cannot make images of {height}x{width} pixels",
            "resize to 28, 32, 64 or another multiple of 4 from 16",
        )
    z_dim, channels = cast(int, config["z_dim"]), cast(int, config["channels"])
    return GAN(
        generator=Generator(z_dim, channels, shape),
        discriminator=Discriminator(
            channels, shape, dropout=cast(float, config["dropout"]), batch_norm=not config.per_sample_critic
        ),
        z_dim=z_dim,
    )


class Generator(nn.Module):
    """z `[N, z_dim]` -> images `[N,C,H,W]` in [-1, 1]: a linear layer, then two doublings of its map."""

    def __init__(self, z_dim: int, channels: int, shape: Shape) -> None:
        super().__init__()
        c, height, width = shape
        half = channels // 2
        self.start = (channels, height // 4, width // 4)
        self.project = nn.Linear(z_dim, channels * (height // 4) * (width // 4))
        self.layers = nn.Sequential(
            nn.ReLU(inplace=True),
            nn.Upsample(scale_factor=2, mode="nearest"),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels, momentum=0.2),  # by keyword: the second positional argument is eps
            nn.ReLU(inplace=True),
            nn.Upsample(scale_factor=2, mode="nearest"),
            nn.Conv2d(channels, half, 3, padding=1, bias=False),
            nn.BatchNorm2d(half, momentum=0.2),
            nn.ReLU(inplace=True),
            nn.Conv2d(half, c, 3, padding=1),
            nn.Tanh(),
        )

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.layers(self.project(z).unflatten(1, self.start))


class Discriminator(nn.Module):
    """x `[N,C,H,W]` -> "logits" `[N]`, and "features" `[N, F]`, the last map, flattened: three strided convolutions and
    a plain one, each with LeakyReLU and dropout.
    """

    def __init__(self, channels: int, shape: Shape, *, dropout: float, batch_norm: bool) -> None:
        super().__init__()
        c, height, width = shape
        widths = [channels // 4, channels // 2, channels, channels * 2]
        layers: list[nn.Module] = [nn.Conv2d(c, widths[0], 3, stride=2, padding=1), nn.LeakyReLU(0.2, inplace=True)]
        for before, after, stride in zip(widths[:-1], widths[1:], (2, 2, 1), strict=True):
            # Without batch norm there is no other norm: dropout and the small depth keep this critic in hand.
            layers += [
                nn.Dropout(dropout),
                nn.Conv2d(before, after, 3, stride=stride, padding=1, bias=not batch_norm),
                *([nn.BatchNorm2d(after, momentum=0.2)] if batch_norm else []),
                nn.LeakyReLU(0.2, inplace=True),
            ]
        self.features = nn.Sequential(*layers, nn.Dropout(dropout), nn.Flatten())
        side = -(-height // 8) * -(-width // 8)  # each strided convolution rounds up
        self.logit = nn.Linear(widths[-1] * side, 1)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:
        features = self.features(x)
        return {"logits": self.logit(features).flatten(), "features": features}
