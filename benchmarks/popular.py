"""The networks of the scripts that people run, as variants of a local plugin.

    python -m ganzoo bench --plugin benchmarks/popular.py --variants popular-gan

`popular-gan`: the perceptrons of the most copied collection of GANs in PyTorch, for 28x28; `popular-dcgan`: those of
PyTorch's own DCGAN example, for 64x64. Both are wider than the zoo's of the same papers. Written from what they do,
so that the scripts' loop and the engine train the same networks; D returns logits, of which the loop takes the sigmoid.
"""

from __future__ import annotations

import math
from typing import cast

from torch import Tensor, nn

from ganzoo import GAN, Setting, Variant, VariantConfig, hookimpl

GANZOO_API = 2

SIDES = {"popular-gan": 28, "popular-dcgan": 64}
"""Pixels along a side of the images that each is trained with."""

Z_DIM = 100


class Perceptrons(nn.Sequential):
    """z `[N,100]` -> `[N,C,H,W]` in [-1, 1]: 128, 256, 512, 1024 units, the last three with batch norm."""

    def __init__(self, shape: tuple[int, int, int], width: int) -> None:
        layers: list[nn.Module] = [nn.Linear(Z_DIM, width), nn.LeakyReLU(0.2, inplace=True)]
        for units in (width, 2 * width, 4 * width):
            # An eps of 0.8, which those scripts have: they give it as second argument, and mean the momentum.
            layers += [nn.Linear(units, 2 * units), nn.BatchNorm1d(2 * units, 0.8), nn.LeakyReLU(0.2, inplace=True)]
        layers += [nn.Linear(8 * width, math.prod(shape)), nn.Tanh(), nn.Unflatten(1, shape)]
        super().__init__(*layers)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        return cast(Tensor, super().forward(z))


class PerceptronCritic(nn.Sequential):
    """`[N,C,H,W]` -> logits `[N]`: 512 and 256 units."""

    def __init__(self, shape: tuple[int, int, int], width: int) -> None:
        super().__init__(
            nn.Flatten(),
            nn.Linear(math.prod(shape), 4 * width),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Linear(4 * width, 2 * width),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Linear(2 * width, 1),
        )

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        return cast(Tensor, super().forward(x)).flatten()


class Convolutions(nn.Sequential):
    """z `[N,100]` -> `[N,C,64,64]` in [-1, 1]: five transposed convolutions, of 8, 4, 2 and 1 times `channels`."""

    def __init__(self, shape: tuple[int, int, int], channels: int) -> None:
        width = 8 * channels
        layers: list[nn.Module] = [nn.ConvTranspose2d(Z_DIM, width, 4, bias=False)]
        for _ in range(3):
            layers += [nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
            layers.append(nn.ConvTranspose2d(width, width // 2, 4, stride=2, padding=1, bias=False))
            width //= 2
        layers += [nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
        layers += [nn.ConvTranspose2d(width, shape[0], 4, stride=2, padding=1, bias=False), nn.Tanh()]
        super().__init__(*layers)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        return cast(Tensor, super().forward(z[:, :, None, None]))


class ConvolutionCritic(nn.Sequential):
    """`[N,C,64,64]` -> logits `[N]`: five convolutions."""

    def __init__(self, shape: tuple[int, int, int], channels: int) -> None:
        width = channels
        layers: list[nn.Module] = [nn.Conv2d(shape[0], width, 4, stride=2, padding=1, bias=False)]
        layers.append(nn.LeakyReLU(0.2, inplace=True))
        for _ in range(3):
            layers += [nn.Conv2d(width, 2 * width, 4, stride=2, padding=1, bias=False), nn.BatchNorm2d(2 * width)]
            layers.append(nn.LeakyReLU(0.2, inplace=True))
            width *= 2
        super().__init__(*layers, nn.Conv2d(width, 1, 4, bias=False))

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        return cast(Tensor, super().forward(x)).flatten()


def _drawn(module: nn.Module) -> None:
    """Weights of the DCGAN example: N(0, 0.02), and N(1, 0.02) of batch norm."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)


def perceptrons(config: VariantConfig, shape: tuple[int, int, int], num_classes: int) -> GAN:
    width = cast(int, config["width"])
    return GAN(generator=Perceptrons(shape, width), discriminator=PerceptronCritic(shape, width), z_dim=Z_DIM)


def convolutions(config: VariantConfig, shape: tuple[int, int, int], num_classes: int) -> GAN:
    channels = cast(int, config["channels"])
    generator, critic = Convolutions(shape, channels), ConvolutionCritic(shape, channels)
    return GAN(generator=generator.apply(_drawn), discriminator=critic.apply(_drawn), z_dim=Z_DIM)


@hookimpl
def register_variants() -> list[Variant]:
    width = Setting(name="width", default=128, minimum=1, doc="Units of G's first hidden layer.")
    channels = Setting(name="channels", default=64, minimum=1, doc="Feature maps at half the image's size.")
    return [
        Variant(
            name="popular-gan",
            target=perceptrons,
            summary="perceptrons with batch norm, as scripts have them",
            settings=(width,),
        ),
        Variant(
            name="popular-dcgan",
            target=convolutions,
            summary="DCGAN for 64x64, as PyTorch's example has it",
            settings=(channels,),
            sizes=(64,),
        ),
    ]
