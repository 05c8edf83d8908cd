"""Networks of the original GAN (Goodfellow et al. 2014, section 5) and conditional GAN (Mirza & Osindero 2014).

Multilayer perceptrons on flattened images: rectifiers in the generator, dropout in the discriminator, no normalisation,
as in the papers. Where they use maxout units this uses LeakyReLU(0.2), which needs a fifth of the weights.
"""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ganzoo.errors import UserError
from ganzoo.gan import GAN, VariantConfig

Shape = tuple[int, int, int]  # (C, H, W)


def gan(config: VariantConfig, shape: Shape, num_classes: int) -> GAN:
    """The original GAN for images of any `shape` (C, H, W). Labels are ignored."""
    return _pair(config, shape, 0)


def cgan(config: VariantConfig, shape: Shape, num_classes: int) -> GAN:
    """The original conditional GAN for images of any `shape`. Raises UserError for images without labels."""
    if num_classes < 1:
        raise UserError("cgan needs images with labels", "choose a labelled dataset, or the variant gan")
    return _pair(config, shape, num_classes)


def _pair(config: VariantConfig, shape: Shape, num_classes: int) -> GAN:
    z_dim, width = cast(int, config["z_dim"]), cast(int, config["width"])
    # No batch norm anywhere, so D treats samples independently under every objective.
    return GAN(
        generator=Generator(z_dim, width, shape, num_classes),
        discriminator=Discriminator(width, shape, num_classes, dropout=cast(float, config["dropout"])),
        z_dim=z_dim,
    )


class Generator(nn.Module):
    """z `[N, z_dim]`, labels int64 `[N]` or None -> `[N,C,H,W]` in [-1, 1]. Classes join the noise as one-hot."""

    def __init__(self, z_dim: int, width: int, shape: Shape, num_classes: int = 0) -> None:
        super().__init__()
        self.shape, self.num_classes = shape, num_classes
        self.layers = nn.Sequential(
            nn.Linear(z_dim + num_classes, width),
            nn.ReLU(inplace=True),
            nn.Linear(width, width * 2),
            nn.ReLU(inplace=True),
            nn.Linear(width * 2, width * 4),
            nn.ReLU(inplace=True),
            nn.Linear(width * 4, math.prod(shape)),
            nn.Tanh(),
        )
        _raise_classes(self.layers[0], num_classes, std=0.3)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.layers(_join(z, labels, self.num_classes)).unflatten(1, self.shape)


class Discriminator(nn.Module):
    """x `[N,C,H,W]`, labels int64 `[N]` or None -> "logits" `[N]`, "features" `[N, width]`, of the last hidden layer.
    A class joins the pixels as one-hot vector.
    """

    def __init__(self, width: int, shape: Shape, num_classes: int = 0, *, dropout: float) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.layers = nn.Sequential(
            nn.Linear(math.prod(shape) + num_classes, width * 2),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Dropout(dropout),
            nn.Linear(width * 2, width),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Dropout(dropout),
            nn.Linear(width, 1),
        )
        _raise_classes(self.layers[0], num_classes, std=1.0)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:
        *hidden, last = self.layers
        features = _join(x.flatten(1), labels, self.num_classes)
        for layer in hidden:
            features = layer(features)
        return {"logits": last(features).flatten(), "features": features}


def _join(vectors: Tensor, labels: Tensor | None, num_classes: int) -> Tensor:
    # [N, M], [N] -> [N, M + num_classes]
    if not num_classes:
        return vectors
    if labels is None:
        raise ValueError("a conditional network was called without labels")
    return torch.cat([vectors, F.one_hot(labels, num_classes).to(vectors.dtype)], dim=1)


def _raise_classes(first: nn.Module, num_classes: int, *, std: float) -> None:
    # PyTorch sizes weights for inputs that are all on. Of the one-hot inputs one is on, against a thousand pixels: it
    # would drown, and D learn to ignore it. N(0, 1) gives it the say of all the pixels; in G, where it must not drown
    # the noise (every image of a class would be the same), a little less than that of the noise.
    if num_classes:
        assert isinstance(first, nn.Linear)
        with torch.no_grad():
            first.weight[:, -num_classes:].normal_(std=std)
