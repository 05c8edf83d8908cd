"""ACGAN in one file: python -m ganzoo bench --plugin docs/examples/my_acgan.py --variants my-acgan,cgan"""

import math

import torch
from torch import nn
from torch.nn import functional as F

from ganzoo import GAN, Setting, Term, Variant, hookimpl

GANZOO_API = 2


class Generator(nn.Module):
    def __init__(self, z_dim, width, shape, classes):
        super().__init__()
        self.embed = nn.Embedding(classes, z_dim)
        out = [nn.Linear(width, math.prod(shape)), nn.Tanh(), nn.Unflatten(1, shape)]
        self.layers = nn.Sequential(nn.Linear(2 * z_dim, width), nn.BatchNorm1d(width), nn.SiLU(), *out)

    def forward(self, z, labels):  # [N, z_dim], [N] -> [N,C,H,W] in [-1, 1]
        return self.layers(torch.cat([z, self.embed(labels)], 1))


class Discriminator(nn.Module):
    def __init__(self, width, shape, classes):
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), width), nn.SiLU())
        self.source, self.classes = nn.Linear(width, 1), nn.Linear(width, classes)

    def forward(self, x, labels):  # [N,C,H,W] -> several outputs, by name; the class is not looked at
        features = self.body(x)
        return {"logits": self.source(features).flatten(), "classes": self.classes(features)}


def wrong(batch, said):  # -log P(C = c | x), [N]
    return F.cross_entropy(said["classes"], batch.labels, reduction="none")


def d_class(batch):  # D learns the classes of real and of generated images
    return wrong(batch, batch.of_real) + wrong(batch, batch.of_fake)


def g_class(batch):  # G makes images whose class D can tell
    batch.tell("class_accuracy", (batch.of_fake["classes"].argmax(1) == batch.labels).float())
    return wrong(batch, batch.of_fake)


def build(config, shape, num_classes):
    generator = Generator(64, config["width"], shape, num_classes)
    discriminator = Discriminator(config["width"], shape, num_classes)
    terms = [Term(name="d-class", phase="D", loss=d_class), Term(name="g-class", phase="G", loss=g_class)]
    return GAN(generator=generator, discriminator=discriminator, z_dim=64, terms=terms)


@hookimpl
def register_variants():
    settings = (Setting(name="width", default=256, minimum=1, doc="Units of the hidden layers."),)
    known = {"conditional": True, "gives": ("classes",), "settings": settings}
    return [Variant(name="my-acgan", target=build, summary="D names the class as well", **known)]
