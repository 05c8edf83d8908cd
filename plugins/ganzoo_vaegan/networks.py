"""Networks and phases of VAE/GAN (Larsen et al. 2015, arXiv:1512.09300).

Decoder and discriminator are DCGAN's generator and discriminator; the encoder has the discriminator's shape.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from ganzoo import GAN, Batch, Losses, Part, Phase, VariantConfig
from ganzoo_blocks.phases import g_loss, penalised
from ganzoo_blocks.shapes import Shape, init_weights
from ganzoo_blocks.strided import convolutions
from ganzoo_dcgan.networks import Discriminator, Generator


def vaegan(config: VariantConfig, shape: Shape, num_classes: int) -> GAN:
    """VAE/GAN for images of `shape` (C, H, W). Labels are ignored. Raises UserError for a size it cannot make."""
    z_dim, channels, gamma = cast(int, config["z_dim"]), cast(int, config["channels"]), cast(float, config["gamma"])
    encoder = Encoder(z_dim, channels, shape).apply(init_weights)
    return GAN(
        generator=Generator(z_dim, channels, shape).apply(init_weights),
        discriminator=Discriminator(channels, shape, layer_norm=config.per_sample_critic).apply(init_weights),
        z_dim=z_dim,
        parts={"encoder": Part(module=encoder, phase="own")},
        phases=lambda losses: phases(losses, gamma),
    )


class Encoder(nn.Module):
    """Images to the law of the noise that they may come from: x `[N,C,H,W]` -> `[N, 2 z_dim]`, means and, behind them,
    logarithms of variances of q(z | x).
    """

    def __init__(self, z_dim: int, channels: int, shape: Shape) -> None:
        super().__init__()
        self.body, num_features = convolutions(channels, shape)
        self.law = nn.Linear(num_features, 2 * z_dim)

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.law(self.body(x)))


def phases(losses: Losses, gamma: float) -> tuple[Phase, ...]:
    """Algorithm 1, in which each loss reaches one network alone, as a step of D, of the encoder, and of the generator.

    With x~ = Dec(z), z ~ q(z | x), and x_p = Dec(z_p), z_p of the prior:
    encoder:  L_prior + L_llike,   L_prior = KL(q(z | x) || p(z)),   L_llike = -E_q log p(Dis_l(x) | z)
    decoder:  gamma L_llike - L_GAN,   L_GAN = log Dis(x) + log(1 - Dis(x~)) + log(1 - Dis(x_p))
    D:        -L_GAN

    Under every objective L_GAN is the mean of its losses of the pairs (x, x~) and (x, x_p). So real images weigh as
    much as the generated ones together, which losses that are differences of logits need to be bounded.
    """

    def d_loss(batch: Batch) -> Tensor:
        with torch.no_grad():
            again = batch.generate(drawn(batch.parts["encoder"](batch.real)))["images"]
        real, fake, rebuilt = (batch.judge(images) for images in (batch.real, batch.fake, again))
        batch.judged(real=real, fake=fake)
        pairs = [losses.d_loss(real["logits"], other["logits"]) for other in (fake, rebuilt)]
        return penalised(torch.stack(pairs).mean(0), losses, batch, batch.fake)

    def encoder_loss(batch: Batch) -> Tensor:
        law = batch.parts["encoder"](batch.real)
        prior = divergence(law)
        likeness = feature_error(batch, batch.generate(drawn(law))["images"])
        batch.tell("kl", prior)
        batch.tell("reconstruction", likeness)
        return prior + likeness

    # D's own weights get no gradient of L_llike, "as this would collapse the discriminator to 0": only G's are moved.
    def decoder_loss(batch: Batch) -> Tensor:
        again = batch.generate(drawn(batch.parts["encoder"](batch.real)))["images"]
        pairs = [g_loss(losses, batch, said["logits"]) for said in (batch.of_fake, batch.judge(again))]
        return torch.stack(pairs).mean(0) + gamma * feature_error(batch, again)

    return (
        Phase(name="D", moves=("discriminator",), loss=d_loss),
        Phase(name="encoder", moves=("encoder",), loss=encoder_loss),
        Phase(name="G", moves=("generator",), loss=decoder_loss),
    )


def drawn(law: Tensor) -> Tensor:
    """What the encoder returned `[N, 2 z_dim]` -> z ~ q(z | x) `[N, z_dim]`, differentiable in the law."""
    mean, log_variance = law.chunk(2, 1)
    return torch.addcmul(mean, torch.randn_like(mean), (0.5 * log_variance).exp())


def divergence(law: Tensor) -> Tensor:
    """KL(N(mean, variance) || N(0, I)), float32 `[N]`; equation 4."""
    mean, log_variance = law.float().chunk(2, 1)
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1)


def feature_error(batch: Batch, rebuilt: Tensor) -> Tensor:
    """-log N(Dis_l(x) | Dis_l(x~), I) without its constant, float32 `[N]`: equations 7 and 8.

    Of images that are not augmented: augmentations are drawn for each image, and would put them out of place.
    """
    real, found = (batch.judge(images, augmented=False)["features"] for images in (batch.real, rebuilt))
    return 0.5 * (real - found).float().square().flatten(1).sum(1)
