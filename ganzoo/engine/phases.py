"""What a step does, as data: D, G and any further phase are the same six lines of the loop."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ganzoo.config.run_config import Train
from ganzoo.engine.cpu.draws import backward
from ganzoo.engine.cpu.operations import Operations
from ganzoo.engine.cpu.optimizers import make_optimizer
from ganzoo.engine.device import Precision
from ganzoo.engine.probes.joint import Passes
from ganzoo.engine.statistics import Statistics
from ganzoo.gan import GAN
from ganzoo.objectives import Losses


@dataclass(frozen=True, kw_only=True)
class Batch:
    """What all phases of a step see. Fakes carry the labels of the real images, so that labels follow the data's own
    law in every phase; they are made once per step and serve D and G alike, as in PyTorch's DCGAN tutorial.
    """

    real: Tensor  # [N,C,H,W] float32 in [-1, 1]
    fake: Tensor  # [N,C,H,W] float32 in [-1, 1]; with G's graph in steps that train G
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

    @functools.cached_property
    def parameters(self) -> list[Tensor]:
        """The module's, looked up once, which takes as long as a small layer: they must not be replaced."""
        return list(self.module.parameters())


def make_phases(
    gan: GAN,
    losses: Losses,
    train: Train,
    precision: Precision,
    statistics: Statistics,
    *,
    passes: Passes = "two",  # in which D judges real and fake images; changes only the speed
    operations: Operations | None = None,  # entered for each call of a network or penalty
    plain: bool = False,  # optimizers parameter by parameter
    capturable: bool = False,  # optimizers whose steps a CUDA graph may hold
) -> list[Phase]:
    """D at every step, G at every `train.d_steps`th."""
    generator, discriminator = gan.generator, gan.discriminator
    operations = operations or Operations(plain=True)

    def judge(images: Tensor, labels: Tensor | None, *, halves: bool = False) -> Tensor:
        with operations.by_halves if halves else operations.usual, precision.autocast():
            logits: Tensor = discriminator(images, labels)
        return logits.float()

    def judge_both(real: Tensor, fake: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor]:
        if passes == "two":
            return judge(real, labels), judge(fake, labels)
        both = torch.cat([real, fake])
        both_labels = None if labels is None else torch.cat([labels, labels])
        logits = judge(both, both_labels, halves=passes == "one by halves")
        real_logits, fake_logits = logits.chunk(2)
        return real_logits, fake_logits

    def d_loss(batch: Batch) -> Tensor:
        fake = batch.fake.detach()
        real_logits, fake_logits = judge_both(batch.real, fake, batch.labels)
        loss = losses.d_loss(real_logits, fake_logits)
        statistics.add("d_loss", loss)
        statistics.add("d_accuracy", torch.cat([real_logits > 0, fake_logits <= 0]))
        # Standard deviations by moments: `std` over the first dimension takes ten times as long on a CPU.
        deviations = (fake.square().mean(0) - fake.mean(0).square()).clamp_min(0).sqrt()
        statistics.add("diversity", deviations)
        if losses.penalty is not None:
            with operations.usual:  # of what a penalty does with channels-last images, too
                penalty = losses.penalty(lambda images: discriminator(images, batch.labels), batch.real, fake)
            statistics.add("penalty", penalty)
            loss = loss + penalty
        return loss

    def g_loss(batch: Batch) -> Tensor:
        if losses.g_uses_real:
            real_logits, fake_logits = judge_both(batch.real, batch.fake, batch.labels)
            loss = losses.g_loss(fake_logits, real_logits)
        else:
            loss = losses.g_loss(judge(batch.fake, batch.labels), None)
        statistics.add("g_loss", loss)
        return loss

    def optimizer(module: nn.Module, lr: float) -> torch.optim.Optimizer:
        return make_optimizer(module.parameters(), train, lr, plain=plain, capturable=capturable)

    return [
        Phase(
            name="D",
            module=discriminator,
            optimizer=optimizer(discriminator, train.d_lr),
            interval=1,
            loss=d_loss,
            weight_clip=losses.weight_clip,
        ),
        Phase(
            name="G", module=generator, optimizer=optimizer(generator, train.g_lr), interval=train.d_steps, loss=g_loss
        ),
    ]


def generate(
    generator: nn.Module,
    z: Tensor,
    labels: Tensor | None,
    precision: Precision,
    operations: Operations,
) -> Tensor:
    """z float32 `[N, z_dim]`, labels int64 `[N]` or None -> float32 `[N,C,H,W]`."""
    with operations.usual, precision.autocast():
        images: Tensor = generator(z, labels)
    return images.float()


def run_phase(phase: Phase, batch: Batch) -> None:
    """One update. Only the module being trained has its gradients on."""
    set_gradients(phase.parameters, on=True)
    differentiate(phase, batch)
    phase.optimizer.step()
    phase.optimizer.zero_grad(set_to_none=True)
    set_gradients(phase.parameters, on=False)
    if phase.weight_clip is not None:
        with torch.no_grad():
            torch._foreach_clamp_min_(phase.parameters, -phase.weight_clip)
            torch._foreach_clamp_max_(phase.parameters, phase.weight_clip)


def differentiate(phase: Phase, batch: Batch) -> Tensor:
    """Add to the gradients of what has them on. Returns the loss, `[N]`."""
    loss = phase.loss(batch)
    backward(loss.mean())
    return loss


def set_gradients(parameters: Iterable[Tensor], *, on: bool) -> None:
    for parameter in parameters:
        parameter.requires_grad_(on)
