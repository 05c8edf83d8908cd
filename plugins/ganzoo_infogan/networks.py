"""Networks and losses of InfoGAN (Chen et al. 2016, arXiv:1606.03657).

Generator and discriminator are DCGAN's, as in appendix C; Q reads the codes off the discriminator's last map through
one hidden layer.
"""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ganzoo import GAN, Batch, Codes, Part, Term, UserError, VariantConfig
from ganzoo_blocks.shapes import Shape, init_weights, plan
from ganzoo_dcgan.networks import Generator

Q_WIDTH = 128
"""Units of Q's hidden layer (appendix C)."""


def infogan(config: VariantConfig, shape: Shape, num_classes: int) -> GAN:
    """InfoGAN for images of `shape` (C, H, W). Labels are ignored.

    Raises UserError for a size it cannot make, for categories that are no numbers from 2, and without any code.
    """
    channels = cast(int, config["channels"])
    codes = Codes(
        noise=cast(int, config["noise"]),
        categorical=read_categories(cast(str, config["categories"])),
        continuous=cast(int, config["continuous"]),
    )
    if codes.dim == codes.noise:
        raise UserError("infogan without codes", "set variant.categories or variant.continuous, or choose dcgan")
    discriminator = Discriminator(channels, shape, layer_norm=config.per_sample_critic)
    return GAN(
        generator=Generator(codes.dim, channels, shape).apply(init_weights),
        discriminator=discriminator.apply(init_weights),
        z_dim=codes.dim,
        prior=codes,
        parts={"q": Part(module=Q(discriminator.num_features, codes).apply(init_weights), phase="G")},
        terms=information_terms(codes, cast(float, config["info_weight"]), cast(float, config["continuous_weight"])),
    )


class Discriminator(nn.Module):
    """x `[N,C,H,W]` -> "logits" `[N]`, "features" `[N, num_features]`: the last map, which Q reads as well."""

    def __init__(self, channels: int, shape: Shape, *, layer_norm: bool = False) -> None:
        super().__init__()
        start, halvings = plan(shape)
        width = channels
        layers: list[nn.Module] = [nn.Conv2d(shape[0], width, 4, stride=2, padding=1), nn.LeakyReLU(0.1, inplace=True)]
        for _ in range(halvings - 1):
            layers += [
                nn.Conv2d(width, width * 2, 4, stride=2, padding=1, bias=layer_norm),
                nn.GroupNorm(1, width * 2) if layer_norm else nn.BatchNorm2d(width * 2),
                nn.LeakyReLU(0.1, inplace=True),
            ]
            width *= 2
        self.num_features = width * start * start
        self.body = nn.Sequential(*layers, nn.Flatten())
        self.logit = nn.Linear(self.num_features, 1)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:
        features = self.body(x)
        return {"logits": self.logit(features).flatten(), "features": features}


class Q(nn.Module):
    """D's features `[N, F]` -> what it takes the codes for: logits `[N, classes]` of each categorical code, one after
    the other, then means and logarithms of standard deviations of the continuous codes, `[N, continuous]` each.
    """

    def __init__(self, num_features: int, codes: Codes) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(num_features, Q_WIDTH, bias=False),
            nn.BatchNorm1d(Q_WIDTH),
            nn.LeakyReLU(0.1, inplace=True),
            nn.Linear(Q_WIDTH, sum(codes.categorical) + 2 * codes.continuous),
        )

    def forward(self, features: Tensor) -> Tensor:
        return self.layers(features)


def information_terms(codes: Codes, weight: float, continuous_weight: float) -> tuple[Term, ...]:
    """-L_I(G, Q), without the constant H(c), of G and Q: equations 5 and 6."""

    def said(batch: Batch) -> tuple[Tensor, ...]:
        categorical, moments = sum(codes.categorical), codes.continuous
        return batch.parts["q"](batch.of_fake["features"]).split([categorical, moments, moments], 1)

    # -log Q(c | x), a softmax for each categorical code
    def categorical_loss(batch: Batch) -> Tensor:
        logits, _, _ = said(batch)
        losses = []
        for number, (own, code) in enumerate(
            zip(logits.split(codes.categorical, 1), codes.split(batch.z)[1], strict=True), start=1
        ):
            losses.append(F.cross_entropy(own, code, reduction="none"))
            batch.tell(f"code-{number}-accuracy", (own.argmax(1) == code.argmax(1)).float())
        return torch.stack(losses).sum(0)

    # -log N(c; mu, sigma^2), independent for each continuous code
    def continuous_loss(batch: Batch) -> Tensor:
        _, mean, log_std = said(batch)
        error = codes.split(batch.z)[2] - mean
        batch.tell("codes-error", error.square())
        return gaussian_nll(error, log_std).sum(1)

    terms = []
    if codes.categorical:
        terms.append(Term(name="info", phase="G", loss=categorical_loss, weight=weight))
    if codes.continuous:
        terms.append(Term(name="info-continuous", phase="G", loss=continuous_loss, weight=continuous_weight))
    return tuple(terms)


def gaussian_nll(error: Tensor, log_std: Tensor) -> Tensor:
    """-log N(error; 0, sigma^2), elementwise."""
    return 0.5 * (error * torch.exp(-log_std)).square() + log_std + 0.5 * math.log(2 * math.pi)


def read_categories(text: str) -> tuple[int, ...]:
    """ "10,3" -> (10, 3); "" -> ()."""
    try:
        categories = tuple(int(part) for part in text.split(",")) if text.strip() else ()
    except ValueError:
        categories = (0,)
    if any(classes < 2 for classes in categories):
        raise UserError(
            f"variant.categories is {text!r}", 'give numbers of values from 2, separated by commas: "10" or "10,3"'
        )
    return categories
