"""Networks, objective and phases of MHGAN (Kavalerov et al. 2019, arXiv:1912.04216).

The networks are the residual ones of `cgan-pd`, where the paper has BigGAN's, so that the two differ in nothing but
what D makes of classes: it has a score for each, and one more for generated images.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ganzoo import GAN, Batch, Losses, Phase, Term, Value, VariantConfig
from ganzoo_blocks.resnet import Body, Generator, Width, linear, width_of
from ganzoo_blocks.shapes import Shape, given, need_labels


def mhgan(config: VariantConfig, shape: Shape, num_classes: int) -> GAN:
    """MHGAN for images of `shape` (C, H, W). Raises UserError for a size it cannot make, and without labels."""
    need_labels("mhgan", num_classes, "sngan-resnet")
    z_dim, width = cast(int, config["z_dim"]), width_of(config)
    margin_weight, feature_weight = cast(float, config["margin_weight"]), cast(float, config["feature_weight"])

    def phases(losses: Losses) -> tuple[Phase, Phase]:
        return margin_phases(losses, margin_weight)

    return GAN(
        generator=Generator(z_dim, width, shape, num_classes),
        discriminator=Discriminator(width, shape, num_classes),
        z_dim=z_dim,
        phases=phases,
        terms=(Term(name="g-features", phase="G", loss=mean_features, weight=feature_weight),),
    )


class Discriminator(nn.Module):
    """x `[N,C,H,W]`, labels int64 `[N]` -> "logits" `[N]`, the margin of the label, "scores" `[N, K + 1]`, of the
    classes and of generated images, "classes" `[N, K]`, the former of them, "features" `[N, F]`.
    """

    def __init__(self, width: Width, shape: Shape, num_classes: int) -> None:
        super().__init__()
        self.body = Body(width, shape)
        self.scores = linear(self.body.width, num_classes + 1)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:
        features = self.body(x)
        scores = self.scores(features)
        logits = margin(scores, given(labels))
        return {"logits": logits, "scores": scores, "classes": scores[:, :-1], "features": features}


def margin(scores: Tensor, labels: Tensor) -> Tensor:
    """C_y - C_not y: scores `[N, K + 1]`, labels int64 `[N]` -> `[N]`: by how much the score of the label exceeds the
    largest of the others.
    """
    own = labels[:, None]
    return scores.gather(1, own)[:, 0] - scores.scatter(1, own, -torch.inf).amax(1)


def multi_hinge(config: Mapping[str, Value]) -> Losses:
    """The hinge loss, and for G the same as for real images, as the paper has it for margins."""

    # D:  max(0, 1 - C(x)) + max(0, 1 + C(G(z)))
    def d_loss(real: Tensor, fake: Tensor) -> Tensor:
        return F.relu(1 - real.float()) + F.relu(1 + fake.float())

    # G:  max(0, 1 - C(G(z)))
    def g_loss(fake: Tensor, real: Tensor | None = None) -> Tensor:
        return F.relu(1 - fake.float())

    return Losses(d_loss=d_loss, g_loss=g_loss)


def margin_phases(losses: Losses, margin_weight: float) -> tuple[Phase, Phase]:
    """D's and G's, under any objective: the logit of a real image is the margin of its class. D is to find a generated
    image to be one, so that its logit there is minus the margin of that; G is to have it taken for its class.
    """

    # Under the hinge:  max(0, 1 - C_y(x) + C_not y(x)) + max(0, 1 - C_K+1(G(z)) + C_not K+1(G(z)))
    def d_loss(batch: Batch) -> Tensor:
        real, fake = batch.of_real["logits"], batch.of_fake["scores"]
        generated = torch.full_like(given(batch.labels), fake.shape[1] - 1)
        loss = losses.d_loss(real, -margin(fake, generated))
        if losses.penalty is not None:
            loss = loss + losses.penalty(batch.critic, batch.real, batch.fake)
        return loss

    # Under the multi-hinge:  max(0, 1 - C_y(G(z, y)) + C_not y(G(z, y)))
    def g_loss(batch: Batch) -> Tensor:
        real = batch.of_real["logits"] if losses.g_uses_real else None
        accuracy = batch.of_fake["classes"].argmax(1) == given(batch.labels)
        batch.tell("class_accuracy", accuracy.float())
        return margin_weight * losses.g_loss(batch.of_fake["logits"], real)

    return (
        Phase(name="D", moves=("discriminator",), loss=d_loss),
        Phase(name="G", moves=("generator",), loss=g_loss),
    )


def mean_features(batch: Batch) -> Tensor:
    """|E f(x) - E f(G(z))|, the mean over D's features f: float32 `[]`."""
    real, fake = (said["features"].float().mean(0) for said in (batch.of_real, batch.of_fake))
    return (real.detach() - fake).abs().mean()
