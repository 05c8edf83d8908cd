"""A variant of an author, and what may be wrong with it: each mistake is one replaced line."""

from __future__ import annotations

from pathlib import Path

from ganzoo.zoo.registry import Registry

VARIANT = """
import torch
from torch import nn
from ganzoo import GAN, Losses, Objective, Part, Regularizer, Setting, Term, Variant, hookimpl

GANZOO_API = 2

class G(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.shape, self.count = shape, 0
        self.layers = nn.Sequential(nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, shape[0] * shape[1] * shape[2]))
    def forward(self, z, labels):
        h = self.layers(z)
        return torch.tanh(h).unflatten(1, self.shape)

class D(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.count = 0
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(shape[0] * shape[1] * shape[2], 12), nn.LeakyReLU(0.2))
        self.last = nn.Linear(12, 1)
    def forward(self, x, labels):
        h = self.layers(x)
        return self.last(h).flatten()

def build(config, shape, num_classes):
    return GAN(generator=G(shape), discriminator=D(shape), z_dim=6)

@hookimpl
def register_variants():
    return [Variant(name="mine", target=build, sizes=(8,), channels=(1, 3))]
"""


def zoo(folder: Path, *changes: tuple[str, str], more: str = "") -> Registry:
    """With the variant "mine", some of whose lines are others."""
    code = VARIANT
    for old, new in changes:
        assert old in code
        code = code.replace(old, new)
    file = folder / "my_gan.py"
    file.write_text(code + more)
    registry = Registry.load([file], environ={})
    assert not registry.failures(), registry.failures()[0].details
    return registry
