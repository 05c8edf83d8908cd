"""What variants with phases of their own have in common: the objective's losses on logits that they have formed."""

from __future__ import annotations

from torch import Tensor

from ganzoo import Batch, Losses


def d_loss(losses: Losses, batch: Batch) -> Tensor:
    """D's usual loss, float32 `[N]`: of the batch's own images, the objective's penalty included."""
    loss = losses.d_loss(batch.of_real["logits"], batch.of_fake["logits"])
    return penalised(loss, losses, batch, batch.fake)


def penalised(loss: Tensor, losses: Losses, batch: Batch, fake: Tensor) -> Tensor:
    """loss `[N]` -> float32 `[N]`, with the objective's penalty, if it has one, on D between `batch.real` and `fake`
    `[N,C,H,W]`.
    """
    return loss if losses.penalty is None else loss + losses.penalty(batch.critic, batch.real, fake)


def g_loss(losses: Losses, batch: Batch, fake: Tensor) -> Tensor:
    """The objective's loss of G at the logits `fake` `[N]`, float32 `[N]`."""
    return losses.g_loss(fake, batch.of_real["logits"] if losses.g_uses_real else None)
