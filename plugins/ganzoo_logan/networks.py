"""LOGAN (Wu et al. 2019, arXiv:1912.00953): latent optimisation, on networks of SNGAN or DCGAN.

The paper's own networks are BigGAN-deep's; what is new is not in them. As there, noise is uniform, as it has to be
where the step ends at its bounds.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from ganzoo import GAN, Batch, Losses, Phase, Uniform, VariantConfig
from ganzoo_blocks.phases import g_loss, penalised
from ganzoo_blocks.shapes import Shape
from ganzoo_dcgan.networks import convolutional_pair
from ganzoo_sngan.networks import sngan

BOUND = 1.0
"""Of each component of the noise, before and after its step."""


def logan(config: VariantConfig, shape: Shape, num_classes: int) -> GAN:
    """LOGAN for images of `shape` (C, H, W). Labels are ignored. Raises UserError for a size it cannot make."""
    step = Step(
        natural=cast(bool, config["natural"]),
        size=cast(float, config["step"]),
        damping=cast(float, config["damping"]),
        share=cast(float, config["share"]),
    )
    weight = cast(float, config["step_weight"])
    # Whatever is penalised, a D that judges samples apart: each z is to have a gradient of its own.
    spectral = config["norm"] == "spectral"
    pair = sngan(config, shape, num_classes) if spectral else convolutional_pair(config, shape, layer_norm=True)
    return dataclasses.replace(
        pair,
        prior=Uniform(low=-BOUND, high=BOUND),
        phases=lambda losses: phases(losses, step, weight),
    )


@dataclass(frozen=True, kw_only=True)
class Step:
    """How noise is moved along g = df(z)/dz, f(z) = D(G(z)) the logit."""

    natural: bool
    size: float  # alpha
    damping: float  # beta
    share: float  # of the batch

    def __call__(self, gradient: Tensor) -> Tensor:
        """g `[N, z_dim]` -> delta z `[N, z_dim]`."""
        # The empirical Fisher matrix of one sample has rank 1, so that its damped inverse is known:
        # (g g^T + beta I)^-1 g = g / (beta + |g|^2)
        length = self.damping + gradient.square().sum(1, keepdim=True) if self.natural else 1.0
        return self.size * gradient / length

    def chosen(self, z: Tensor) -> Tensor:
        """1 for each z `[N, z_dim]` that is to be moved, else 0: `[N, 1]`."""
        return (torch.rand(len(z), 1, device=z.device) < self.share).to(z.dtype)


def phases(losses: Losses, step: Step, weight: float) -> tuple[Phase, Phase]:
    """D and G, both at the images of noise that has taken its step: algorithm 1.

    The step is part of the graph of both losses: each network learns how it moves the noise as well, which is where the
    second order terms of the paper's section 3 come from. D's step comes before G's, which sees it, as in other
    variants; the paper moves both from the same weights.
    """

    def moved(batch: Batch) -> tuple[Tensor, Tensor]:
        """Images `[N,C,H,W]` of z' = clip(z + delta z), and |delta z|^2 `[N]`."""
        z = batch.z.detach().requires_grad_()
        logits = batch.judge(batch.generate(z)["images"])["logits"]
        (gradient,) = torch.autograd.grad(logits.sum(), z, create_graph=True)
        delta = step(gradient) * step.chosen(z)
        images = batch.generate((batch.z + delta).clamp(-BOUND, BOUND))["images"]
        length = delta.square().sum(1)
        batch.tell("latent-step", length.detach().sqrt())
        return images, length

    def d_loss(batch: Batch) -> Tensor:
        images, length = moved(batch)
        real, fake = batch.judge(batch.real), batch.judge(images)
        batch.judged(real=real, fake=fake)
        loss = losses.d_loss(real["logits"], fake["logits"])
        return penalised(loss, losses, batch, images.detach()) + weight * length

    def of_g(batch: Batch) -> Tensor:
        images, length = moved(batch)
        return g_loss(losses, batch, batch.judge(images)["logits"]) + weight * length

    return (
        Phase(name="D", moves=("discriminator",), loss=d_loss),
        Phase(name="G", moves=("generator",), loss=of_g),
    )
