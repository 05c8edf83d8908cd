"""The body of DCGAN's discriminator, for whatever else looks at images: encoders, discriminators of pairs."""

from __future__ import annotations

from torch import nn

from ganzoo_blocks.shapes import Shape, plan


def convolutions(channels: int, shape: Shape) -> tuple[nn.Sequential, int]:
    """From images `[N,C,H,W]` to features `[N, F]`, by strided 4x4 convolutions with batch norm; and F."""
    start, halvings = plan(shape)
    width = channels
    layers: list[nn.Module] = [nn.Conv2d(shape[0], width, 4, stride=2, padding=1), nn.LeakyReLU(0.2, inplace=True)]
    for _ in range(halvings - 1):
        layers += [
            nn.Conv2d(width, width * 2, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(width * 2),
            nn.LeakyReLU(0.2, inplace=True),
        ]
        width *= 2
    return nn.Sequential(*layers, nn.Flatten()), width * start * start
