"""Networks and losses of ContraGAN (Kang & Park 2020, arXiv:2006.12681).

The networks are the residual ones of `cgan-pd`, where the paper has BigGAN's, so that the two differ in nothing but
what D makes of classes. The projection to the sphere is linear, which the paper has for small images.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor

from ganzoo import GAN, Batch, Term, VariantConfig
from ganzoo_blocks.heads import Headed, Sphere, tell_accuracy
from ganzoo_blocks.resnet import Body, Generator, width_of
from ganzoo_blocks.shapes import Shape, given, need_labels


def contragan(config: VariantConfig, shape: Shape, num_classes: int) -> GAN:
    """ContraGAN for images of `shape` (C, H, W). Raises UserError for a size it cannot make, and without labels."""
    need_labels("contragan", num_classes, "sngan-resnet")
    z_dim, dim, width = cast(int, config["z_dim"]), cast(int, config["embedding"]), width_of(config)
    temperature, weight = cast(float, config["temperature"]), cast(float, config["class_weight"])

    # Algorithm 1: 2C of real images for D, and of generated ones for G.
    def d_loss(batch: Batch) -> Tensor:
        said = batch.of_real
        return contrast(said["embedding"], said["classes"], given(batch.labels), temperature)

    def g_loss(batch: Batch) -> Tensor:
        said = batch.of_fake
        tell_accuracy(batch, said)
        return contrast(said["embedding"], said["classes"], given(batch.labels), temperature)

    body = Body(width, shape)
    return GAN(
        generator=Generator(z_dim, width, shape, num_classes),
        discriminator=Headed(body, {"sphere": Sphere(body.width, num_classes, dim)}),
        z_dim=z_dim,
        terms=(
            Term(name="d-contrast", phase="D", loss=d_loss, weight=weight),
            Term(name="g-contrast", phase="G", loss=g_loss, weight=weight),
        ),
    )


def contrast(embedding: Tensor, cosines: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """The conditional contrastive loss, 2C: embedding l `[N, dim]` of length 1, its cosines with classes e `[N, K]`,
    labels int64 `[N]` -> float32 `[N]`.

    -log((e^(l . e_y / t) + sum over others of the class e^(l . l_k / t)) / (e^(l . e_y / t) + sum over all others)).
    """
    own = cosines.float().gather(1, labels[:, None])  # [N, 1]
    others = embedding.float() @ embedding.float().T  # [N, N]
    itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    others = others.masked_fill(itself, -torch.inf)
    alike = others.masked_fill(labels[:, None] != labels, -torch.inf)
    near, all_of_them = (torch.logsumexp(torch.cat([own, some], 1) / temperature, 1) for some in (alike, others))
    return all_of_them - near
