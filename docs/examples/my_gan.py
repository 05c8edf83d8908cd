"""A GAN in one file: python -m ganzoo bench --plugin docs/examples/my_gan.py --variants my-gan,gan"""

import math

from torch import nn

from ganzoo import GAN, Setting, Variant, hookimpl

GANZOO_API = 2


class Generator(nn.Sequential):
    def __init__(self, z_dim, width, shape):
        out = [nn.Linear(width, math.prod(shape)), nn.Tanh(), nn.Unflatten(1, shape)]
        super().__init__(nn.Linear(z_dim, width), nn.BatchNorm1d(width), nn.SiLU(), *out)

    def forward(self, z, labels):  # [N, z_dim] -> [N,C,H,W] in [-1, 1]
        return super().forward(z)


class Discriminator(nn.Sequential):
    def __init__(self, width, shape):
        super().__init__(nn.Flatten(), nn.Linear(math.prod(shape), width), nn.SiLU(), nn.Linear(width, 1))

    def forward(self, x, labels):  # [N,C,H,W] -> logits [N]
        return super().forward(x).flatten()


def build(config, shape, num_classes):  # shape is (C, H, W)
    width = config["width"]
    return GAN(generator=Generator(64, width, shape), discriminator=Discriminator(width, shape), z_dim=64)


@hookimpl
def register_variants():
    width = Setting(name="width", default=256, minimum=1, doc="Units of the hidden layers.")
    return [Variant(name="my-gan", target=build, summary="one hidden layer on each side", settings=(width,))]
