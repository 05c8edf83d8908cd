"""Networks and losses of ADC-GAN (Hou et al. 2021, arXiv:2107.10060).

The networks are the residual ones of `cgan-pd`, where the paper has BigGAN's, so that the two differ in nothing but
what D makes of classes.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ganzoo import GAN, Batch, Term, VariantConfig
from ganzoo_blocks.heads import Headed, tell_accuracy
from ganzoo_blocks.resnet import Body, Generator, linear, width_of
from ganzoo_blocks.shapes import Shape, given, need_labels


def adcgan(config: VariantConfig, shape: Shape, num_classes: int) -> GAN:
    """ADC-GAN for images of `shape` (C, H, W). Raises UserError for a size it cannot make, and without labels."""
    need_labels("adcgan", num_classes, "sngan-resnet")
    z_dim, width = cast(int, config["z_dim"]), width_of(config)
    body = Body(width, shape)
    return GAN(
        generator=Generator(z_dim, width, shape, num_classes),
        discriminator=Headed(body, {"pairs": Pairs(body.width, num_classes)}),
        z_dim=z_dim,
        terms=pair_terms(num_classes, cast(float, config["class_weight"])),
    )


class Pairs(nn.Module):
    """A head: features `[N, F]` -> "pairs" `[N, 2K]`, logits of (class, real), then of (class, generated), and
    "classes" `[N, K]`, logits of the class alone.
    """

    def __init__(self, features: int, num_classes: int) -> None:
        super().__init__()
        self.pairs = linear(features, 2 * num_classes)

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        pairs = self.pairs(features)
        return {"pairs": pairs, "classes": torch.logaddexp(*pairs.float().chunk(2, 1))}


def pair_terms(num_classes: int, weight: float) -> tuple[Term, Term]:
    """What the output "pairs" costs D and G, with C(y, 1 | x) of a real and C(y, 0 | x) of a generated image of class
    y.
    """

    # D:  -log C(y, 1 | x) - log C(y, 0 | G(z, y))
    def d_loss(batch: Batch) -> Tensor:
        labels = given(batch.labels)
        real = F.cross_entropy(batch.of_real["pairs"].float(), labels, reduction="none")
        return real + F.cross_entropy(batch.of_fake["pairs"].float(), labels + num_classes, reduction="none")

    # G:  log C(y, 0 | G(z, y)) - log C(y, 1 | G(z, y)), in which the softmax's denominator cancels
    def g_loss(batch: Batch) -> Tensor:
        labels = given(batch.labels)[:, None]
        pairs = batch.of_fake["pairs"].float()
        tell_accuracy(batch, batch.of_fake)
        return (pairs.gather(1, labels + num_classes) - pairs.gather(1, labels))[:, 0]

    return (
        Term(name="d-class", phase="D", loss=d_loss, weight=weight),
        Term(name="g-class", phase="G", loss=g_loss, weight=weight),
    )
