"""Discriminators that judge many parts of an image: an objective for each of their logits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from torch import Tensor

from ganzoo import Batch, Losses, Phase


def phases(losses: Losses, *, with_d: Sequence[str] = ()) -> list[Phase]:
    """D's and G's phases, where D returns "patches" `[N, K]` beside its "logits" `[N]`, which are their means.

    The objective's losses are those of each patch alone, averaged over an image's: a hinge is not that of the mean.
    Whoever else asks for logits, penalties on gradients among them, is given the means. `with_d`: parts that D's phase
    moves as well.
    """
    return [
        Phase(name="D", moves=("discriminator", *with_d), loss=partial(of_d, losses)),
        Phase(name="G", moves=("generator",), loss=partial(of_g, losses)),
    ]


def of_d(losses: Losses, batch: Batch) -> Tensor:
    """`[N]`."""
    loss = each(losses.d_loss, batch.of_real["patches"], batch.of_fake["patches"])
    if losses.penalty is not None:
        loss = loss + losses.penalty(batch.critic, batch.real, batch.fake)
    return loss


def of_g(losses: Losses, batch: Batch) -> Tensor:
    """`[N]`."""
    real = batch.of_real["patches"] if losses.g_uses_real else None
    return each(losses.g_loss, batch.of_fake["patches"], real)


def each(loss: Callable[[Tensor, Any], Tensor], logits: Tensor, others: Tensor | None) -> Tensor:
    """`loss(logits, others)` of `[N, K]` each, taken as N * K logits -> `[N]`, the mean over K."""
    value = loss(logits.flatten(), None if others is None else others.flatten())
    # A loss of another shape is told by the engine, which names it.
    return value.view(logits.shape).mean(1) if value.shape == (logits.numel(),) else value
