"""Learning rates that move: by what factor, after how many images."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

from ganzoo.config.run_config import Train

Rate = Callable[[int], float]
"""Of the number of a step, counted from 1: the factor of the learning rates in it."""


def rate_of(train: Train, player: Literal["D", "G"]) -> Rate | None:
    """The factor of a player's learning rates; None where it is always 1.

    From `train.decay_from` of the budget on, "linear" falls to 0 at its end, and "cosine" as half a cosine does
    (Loshchilov & Hutter 2017, arXiv:1608.03983, equation 5, without restarts). `train.warmup_kimg` lets it rise
    linearly from 0 before.
    """
    schedule = (train.g_schedule if player == "G" else train.d_schedule) or train.schedule
    if schedule == "constant" and not train.warmup_kimg:
        return None
    batch, warm = train.batch_size, train.warmup_kimg * 1000
    end = 0.0 if train.kimg is None else train.kimg * 1000
    start = train.decay_from * end

    def factor(step: int) -> float:
        images = step * batch
        rising = min(1.0, images / warm) if warm else 1.0
        if schedule == "constant":
            return rising
        # The last step of the budget still moves: it is the first beyond it that would not.
        gone = min(1.0, max(0.0, images - batch - start) / max(end - start, batch))
        return rising * (1 - gone if schedule == "linear" else (1 + math.cos(math.pi * gone)) / 2)

    return factor


def rates_move(train: Train) -> bool:
    """Whether any does."""
    return rate_of(train, "D") is not None or rate_of(train, "G") is not None
