"""Phases of the unrolled GAN (Metz et al. 2016, arXiv:1611.02163), on the networks of DCGAN."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor

from ganzoo import GAN, Batch, Losses, Phase, UserError, VariantConfig
from ganzoo_blocks.phases import d_loss
from ganzoo_blocks.shapes import Shape
from ganzoo_dcgan.networks import dcgan


def unrolled(config: VariantConfig, shape: Shape, num_classes: int) -> GAN:
    """DCGAN for images of `shape` (C, H, W). Labels are ignored. Raises UserError for a size it cannot make."""
    steps, size = cast(int, config["steps"]), cast(float, config["step_size"])
    return dataclasses.replace(dcgan(config, shape, num_classes), phases=lambda losses: phases(losses, steps, size))


def phases(losses: Losses, steps: int, size: float) -> tuple[Phase, Phase]:
    """D's usual update, and G's at the weights that D would have after `steps` steps of gradient descent.

    In these steps D has the objective's loss alone, on the images of this batch; what regularizers add to it comes in
    D's own updates. The paper's are as well on one batch, and may be of any optimizer that can be differentiated.

    Raises:
        UserError: the objective penalises gradients of D, or keeps numbers between losses of D.
    """
    if losses.penalty is not None:
        raise UserError(
            "unrolled steps of D have no gradient penalty, and without it this objective's D is not what it will be",
            "use the objective wasserstein with --regularize gp, or another objective",
        )
    if losses.memory is not None:
        raise UserError(
            "this objective counts each of D's losses, and those of unrolled steps would be counted as well",
            "use an objective without memory, or another variant",
        )

    def look_ahead(batch: Batch) -> Mapping[str, Tensor]:
        """D's weights after the steps, as functions of the generated images: theta_D^K of equation 9."""
        weights = batch.weights
        for _ in range(steps):
            said = [batch.judge(images, weights=weights)["logits"] for images in (batch.real, batch.fake)]
            loss = losses.d_loss(*said).mean()
            # theta^{k+1} = theta^k - eta df(theta_G, theta^k) / dtheta^k, where f is what D minimises
            gradients = torch.autograd.grad(
                loss, list(weights.values()), create_graph=True, allow_unused=True, materialize_grads=True
            )
            weights = {
                name: clipped(weight - size * gradient, losses.weight_clip)
                for (name, weight), gradient in zip(weights.items(), gradients, strict=True)
            }
        return weights

    # Equation 10: f_K(theta_G, theta_D) = f(theta_G, theta_D^K), differentiated through theta_D^K as well.
    def g_loss(batch: Batch) -> Tensor:
        weights = look_ahead(batch)
        fake = batch.judge(batch.fake, weights=weights)["logits"]
        real = batch.judge(batch.real, weights=weights)["logits"] if losses.g_uses_real else None
        return losses.g_loss(fake, real)

    return (
        Phase(name="D", moves=("discriminator",), loss=lambda batch: d_loss(losses, batch)),
        Phase(name="G", moves=("generator",), loss=g_loss),
    )


def clipped(weight: Tensor, bound: float | None) -> Tensor:
    """As the engine clips D's weights after its updates."""
    return weight if bound is None else weight.clamp(-bound, bound)
