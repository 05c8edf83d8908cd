"""Networks and phases of BiGAN (Donahue et al. 2016, arXiv:1605.09782).

DCGAN's generator, an encoder of the shape of DCGAN's discriminator, and a discriminator of pairs, in which what
convolutions make of the image meets the noise in two linear layers.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from ganzoo import GAN, Batch, Losses, Part, Phase, Uniform, UserError, VariantConfig
from ganzoo_blocks.shapes import Shape, init_weights
from ganzoo_blocks.strided import convolutions
from ganzoo_dcgan.networks import Generator


def bigan(config: VariantConfig, shape: Shape, num_classes: int) -> GAN:
    """BiGAN for images of `shape` (C, H, W). Labels are ignored. Raises UserError for a size it cannot make."""
    z_dim, channels, width = (cast(int, config[name]) for name in ("z_dim", "channels", "width"))
    return GAN(
        generator=Generator(z_dim, channels, shape).apply(init_weights),
        discriminator=Discriminator(z_dim, channels, width, shape),
        z_dim=z_dim,
        prior=Uniform(low=-1.0, high=1.0),
        parts={"encoder": Part(module=Encoder(z_dim, channels, shape).apply(init_weights), phase="G")},
        phases=phases,
    )


class Encoder(nn.Module):
    """Images to the noise they may come from: x `[N,C,H,W]` -> `[N, z_dim]`."""

    def __init__(self, z_dim: int, channels: int, shape: Shape) -> None:
        super().__init__()
        self.body, num_features = convolutions(channels, shape)
        self.noise = nn.Linear(num_features, z_dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.noise(self.body(x))


class Discriminator(nn.Module):
    """Pairs of images and noise to logits: x `[N,C,H,W]`, labels ignored, z `[N, z_dim]` -> "logits" `[N]`, "features"
    `[N, width]`, of the last hidden layer. Without z the pair is (x, 0), of the prior's mean: a number for whoever asks
    about an image alone.
    """

    def __init__(self, z_dim: int, channels: int, width: int, shape: Shape) -> None:
        super().__init__()
        self.z_dim = z_dim
        self.body, num_features = convolutions(channels, shape)
        self.noise = hidden(z_dim, width)
        self.pair = hidden(num_features + width, width)
        self.logit = nn.Linear(width, 1)
        # DCGAN's N(0, 0.02) is for layers behind a batch norm: through it the noise would be a tenth of the image's
        # features, and the pair judged by its image alone.
        self.body.apply(init_weights)

    def forward(self, x: Tensor, labels: Tensor | None = None, z: Tensor | None = None) -> dict[str, Tensor]:
        if z is None:
            z = x.new_zeros(x.shape[0], self.z_dim)
        features = self.pair(torch.cat([self.body(x), self.noise(z)], 1))
        return {"logits": self.logit(features).flatten(), "features": features}


def hidden(before: int, after: int) -> nn.Sequential:
    linear = nn.Linear(before, after)
    nn.init.kaiming_normal_(linear.weight, a=0.2)
    return nn.Sequential(linear, nn.LeakyReLU(0.2, inplace=True))


def phases(losses: Losses) -> tuple[Phase, Phase]:
    """Discriminator, then generator and encoder together, which share what they want of it.

    Raises:
        UserError: the objective draws logits of real and generated images to numbers that are not opposite.
    """
    if not losses.symmetric:
        raise UserError(
            "the encoder's loss is that of the generator at the opposite logits, which this objective does not have",
            "use an objective that treats real and generated images alike, such as non-saturating or hinge",
        )

    def judge(batch: Batch) -> tuple[Tensor, Tensor]:
        # Real are images with their codes, (x, E(x)), fake is noise with its images, (G(z), z): section 3.
        real = batch.judge(batch.real, batch.parts["encoder"](batch.real))
        fake = batch.judge(batch.fake, batch.z)
        batch.judged(real=real, fake=fake)
        return real["logits"], fake["logits"]

    def d_loss(batch: Batch) -> Tensor:
        return losses.d_loss(*judge(batch))

    # -log D(G(z), z) - log(1 - D(x, E(x))), section 3.4: both are to be taken for the other. With C = logit D,
    # 1 - D = sigmoid(-C), so that E's half is G's at the negative logits. So it is under every symmetric objective.
    def g_loss(batch: Batch) -> Tensor:
        real, fake = judge(batch)
        return losses.g_loss(fake, real) + losses.g_loss(-real, -fake)

    return (
        Phase(name="D", moves=("discriminator",), loss=d_loss),
        Phase(name="G", moves=("generator", "encoder"), loss=g_loss),
    )
