"""Networks and losses of ReACGAN (Kang et al. 2021, arXiv:2111.01118).

The networks are the residual ones of `cgan-pd`, where the paper has BigGAN's, so that the two differ in nothing but
what D makes of classes.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor

from ganzoo import GAN, Batch, Term, VariantConfig
from ganzoo_blocks.heads import Headed, Sphere, tell_accuracy
from ganzoo_blocks.resnet import Body, Generator, width_of
from ganzoo_blocks.shapes import Shape, given, need_labels


def reacgan(config: VariantConfig, shape: Shape, num_classes: int) -> GAN:
    """ReACGAN for images of `shape` (C, H, W). Raises UserError for a size it cannot make, and without labels."""
    need_labels("reacgan", num_classes, "sngan-resnet")
    z_dim, dim, width = cast(int, config["z_dim"]), cast(int, config["embedding"]), width_of(config)
    easy_positive, easy_negative, temperature, weight = (
        cast(float, config[name]) for name in ("easy_positive", "easy_negative", "temperature", "class_weight")
    )

    # D2D-CE of real images for D, and of generated ones for G: D learns no classes from what G makes of them.
    def d_loss(batch: Batch) -> Tensor:
        said = batch.of_real
        return d2d_ce(
            said["embedding"], said["classes"], given(batch.labels), easy_positive, easy_negative, temperature
        )

    def g_loss(batch: Batch) -> Tensor:
        said = batch.of_fake
        tell_accuracy(batch, said)
        return d2d_ce(
            said["embedding"], said["classes"], given(batch.labels), easy_positive, easy_negative, temperature
        )

    body = Body(width, shape)
    return GAN(
        generator=Generator(z_dim, width, shape, num_classes),
        discriminator=Headed(body, {"sphere": Sphere(body.width, num_classes, dim)}),
        z_dim=z_dim,
        terms=(
            Term(name="d-class", phase="D", loss=d_loss, weight=weight),
            Term(name="g-class", phase="G", loss=g_loss, weight=weight),
        ),
    )


def d2d_ce(
    embedding: Tensor, cosines: Tensor, labels: Tensor, easy_positive: float, easy_negative: float, temperature: float
) -> Tensor:
    """Data-to-data cross-entropy: embedding `[N, dim]` of length 1, cosines with proxies `[N, K]`, labels int64 `[N]`
    -> float32 `[N]`.

    -log(e^p / (e^p + sum_j e^n_j)), p = min(f . v_y - m_p, 0) / tau, n_j = max(f . f_j - m_n, 0) / tau, j being the
    batch's images of other classes.
    """
    own = cosines.float().gather(1, labels[:, None])  # [N, 1]
    pull = (own - easy_positive).clamp(max=0) / temperature
    push = (embedding.float() @ embedding.float().T - easy_negative).clamp(min=0) / temperature  # [N, N]
    push = push.masked_fill(labels[:, None] == labels, -torch.inf)
    return torch.logsumexp(torch.cat([pull, push], 1), 1) - pull[:, 0]
