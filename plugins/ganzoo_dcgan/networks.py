"""Networks of DCGAN (Radford et al. 2015, arXiv:1511.06434), for square images of 4 to 7 times a power of two.

The paper's rules, section 3: strided and transposed convolutions instead of pooling, no hidden layer that is fully
connected, batch norm everywhere but at the generator's output and the discriminator's input, ReLU and tanh in the
generator, LeakyReLU(0.2) in the discriminator; section 4: weights from N(0, 0.02).
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from ganzoo import GAN, VariantConfig
from ganzoo_blocks.shapes import Shape, init_weights, need_labels, one_hot, plan


def dcgan(config: VariantConfig, shape: Shape, num_classes: int) -> GAN:
    """DCGAN for images of `shape` (C, H, W). Labels are ignored. Raises UserError for a size it cannot make."""
    return convolutional_pair(config, shape, layer_norm=config.per_sample_critic)


def cdcgan(config: VariantConfig, shape: Shape, num_classes: int) -> GAN:
    """Class-conditional DCGAN. Raises UserError for a size it cannot make, and for images without labels."""
    need_labels("cdcgan", num_classes, "dcgan")
    return convolutional_pair(config, shape, num_classes, layer_norm=config.per_sample_critic)


def convolutional_pair(config: VariantConfig, shape: Shape, num_classes: int = 0, *, layer_norm: bool) -> GAN:
    """The pair of networks from the settings `z_dim` and `channels`; conditional where `num_classes` is not 0.

    `layer_norm` puts layer norm for batch norm in the discriminator, so that it treats samples independently.
    """
    z_dim, channels = cast(int, config["z_dim"]), cast(int, config["channels"])
    generator = Generator(z_dim, channels, shape, num_classes)
    discriminator = Discriminator(channels, shape, num_classes, layer_norm=layer_norm)
    return GAN(generator=generator.apply(init_weights), discriminator=discriminator.apply(init_weights), z_dim=z_dim)


class Generator(nn.Module):
    """Noise to images by transposed convolutions: z `[N, z_dim]`, labels int64 `[N]` or None -> `[N,C,H,W]` in [-1, 1].

    A class, if there is one, joins the noise as a one-hot vector (Mirza & Osindero 2014, section 3.2).
    """

    def __init__(self, z_dim: int, channels: int, shape: Shape, num_classes: int = 0) -> None:
        super().__init__()
        self.num_classes = num_classes
        start, doublings = plan(shape)
        width = channels * 2 ** (doublings - 1)
        # Not a hidden layer but the projection of z, which section 3 of the paper reshapes into the first map.
        layers: list[nn.Module] = [
            nn.Linear(z_dim + num_classes, width * start * start, bias=False),
            nn.Unflatten(1, (width, start, start)),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        ]
        for _ in range(doublings - 1):
            layers += [
                nn.ConvTranspose2d(width, width // 2, 4, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(width // 2),
                nn.ReLU(inplace=True),
            ]
            width //= 2
        layers += [nn.ConvTranspose2d(width, shape[0], 4, stride=2, padding=1), nn.Tanh()]
        self.layers = nn.Sequential(*layers)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        if self.num_classes:
            z = torch.cat([z, one_hot(labels, self.num_classes, z)], dim=1)
        return self.layers(z)


class Discriminator(nn.Module):
    """Images to logits by strided convolutions: x `[N,C,H,W]`, labels int64 `[N]` or None -> "logits" `[N]`, and
    "features" `[N, C, start, start]`, the last map.

    A class, if there is one, is compared with the last features by an inner product (Miyato & Koyama 2018, equation
    3), where the features are the whole last map: DCGAN has no pooling.
    """

    def __init__(self, channels: int, shape: Shape, num_classes: int = 0, *, layer_norm: bool = False) -> None:
        super().__init__()
        self.num_classes = num_classes
        start, halvings = plan(shape)
        width = channels
        layers: list[nn.Module] = [nn.Conv2d(shape[0], width, 4, stride=2, padding=1), nn.LeakyReLU(0.2, inplace=True)]
        for _ in range(halvings - 1):
            layers += [
                # Batch norm takes a bias away again; layer norm, whose mean is over all channels, does not.
                nn.Conv2d(width, width * 2, 4, stride=2, padding=1, bias=layer_norm),
                nn.GroupNorm(1, width * 2) if layer_norm else nn.BatchNorm2d(width * 2),
                nn.LeakyReLU(0.2, inplace=True),
            ]
            width *= 2
        self.features = nn.Sequential(*layers)
        self.logit = nn.Conv2d(width, 1, start)
        self.class_logits = nn.Conv2d(width, num_classes, start, bias=False) if num_classes else None

    def forward(self, x: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:
        features = self.features(x)  # [N, width, start, start]
        logit = self.logit(features).flatten()
        if self.class_logits is not None:
            # psi(phi(x)) + <V_y, phi(x)>: all classes' products are formed, and the label's is kept.
            by_class = self.class_logits(features).flatten(1)  # [N, num_classes]
            logit = logit + (by_class * one_hot(labels, self.num_classes, by_class)).sum(1)
        return {"logits": logit, "features": features}
