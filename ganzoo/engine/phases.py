"""What a step does, as data: D, G and any further phase are the same six lines of the loop."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ganzoo.config import Train
from ganzoo.engine.device import Precision
from ganzoo.engine.statistics import Statistics
from ganzoo.gan import GAN
from ganzoo.objectives import Losses


@dataclass(frozen=True, kw_only=True)
class Batch:
    real: Tensor  # [N,C,H,W] float32 in [-1, 1]
    labels: Tensor | None  # [N] int64, or None where the variant is unconditional


@dataclass(frozen=True, kw_only=True)
class Phase:
    """Every `interval` steps: `loss` [N] is averaged, differentiated, and `optimizer` moves `module`."""

    name: str
    module: nn.Module
    optimizer: torch.optim.Optimizer
    interval: int
    loss: Callable[[Batch], Tensor]
    weight_clip: float | None = None  # after the step, every parameter is clamped to [-c, c]


def make_phases(gan: GAN, losses: Losses, train: Train, precision: Precision, statistics: Statistics) -> list[Phase]:
    """D at every step, G at every `train.d_steps`th.

    Fakes carry the labels of the real batch, so labels follow the data's own law in both phases.
    """
    generator, discriminator = gan.generator, gan.discriminator

    def generate(batch: Batch) -> Tensor:
        z = torch.randn(batch.real.shape[0], gan.z_dim, device=batch.real.device)
        with precision.autocast():
            images: Tensor = generator(z, batch.labels)
        return images.float()

    def judge(images: Tensor, labels: Tensor | None) -> Tensor:
        with precision.autocast():
            logits: Tensor = discriminator(images, labels)
        return logits.float()

    def d_loss(batch: Batch) -> Tensor:
        with torch.no_grad():
            fake = generate(batch)
        real_logits = judge(batch.real, batch.labels)
        fake_logits = judge(fake, batch.labels)
        loss = losses.d_loss(real_logits, fake_logits)
        statistics.add("d_loss", loss)
        statistics.add("d_accuracy", torch.cat([real_logits > 0, fake_logits <= 0]))
        statistics.add("diversity", fake.std(dim=0))
        if losses.penalty is not None:
            penalty = losses.penalty(lambda images: discriminator(images, batch.labels), batch.real, fake)
            statistics.add("penalty", penalty)
            loss = loss + penalty
        return loss

    def g_loss(batch: Batch) -> Tensor:
        fake_logits = judge(generate(batch), batch.labels)
        real_logits = judge(batch.real, batch.labels) if losses.g_uses_real else None
        loss = losses.g_loss(fake_logits, real_logits)
        statistics.add("g_loss", loss)
        return loss

    return [
        Phase(
            name="D",
            module=discriminator,
            optimizer=make_optimizer(discriminator.parameters(), train, train.d_lr),
            interval=1,
            loss=d_loss,
            weight_clip=losses.weight_clip,
        ),
        Phase(
            name="G",
            module=generator,
            optimizer=make_optimizer(generator.parameters(), train, train.g_lr),
            interval=train.d_steps,
            loss=g_loss,
        ),
    ]


def make_optimizer(parameters: Iterable[nn.Parameter], train: Train, lr: float) -> torch.optim.Optimizer:
    """Adam is fused: one kernel for all parameters, on CPU and GPU alike."""
    if train.optimizer == "rmsprop":
        return torch.optim.RMSprop(parameters, lr=lr, alpha=train.beta2, foreach=True)
    return torch.optim.Adam(parameters, lr=lr, betas=(train.beta1, train.beta2), fused=True)


def run_phase(phase: Phase, batch: Batch) -> None:
    """One update. Only the module being trained has its gradients on."""
    phase.module.requires_grad_(True)
    loss = phase.loss(batch)  # [N]
    loss.mean().backward()
    phase.optimizer.step()
    phase.optimizer.zero_grad(set_to_none=True)
    phase.module.requires_grad_(False)
    if phase.weight_clip is not None:
        with torch.no_grad():
            parameters: list[Tensor] = list(phase.module.parameters())
            torch._foreach_clamp_min_(parameters, -phase.weight_clip)
            torch._foreach_clamp_max_(parameters, phase.weight_clip)
