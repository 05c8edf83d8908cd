"""What ranks tell the leader at ticks: their sums, their memory, and whether they have drawn what it has drawn."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ganzoo.engine.device import random_state, set_random_state
from ganzoo.engine.ranks.group import Order, Ranks


@dataclass(frozen=True, kw_only=True)
class Gathered:
    numbers: Tensor  # the sum of all ranks', float64 on the CPU
    peak: int  # bytes: the largest of the others
    drawn_apart: bool  # whether another rank has drawn more or fewer random numbers than the leader


def gather(ranks: Ranks, names: Sequence[str], device: torch.device, own: Tensor) -> Gathered:
    """The leader's. `own`: its numbers, of `names`."""
    buffer = io.BytesIO()
    torch.save({"names": list(names), "random": random_state(device)}, buffer)
    ranks.send(Order.GATHER, buffer.getvalue())
    found = ranks.add(torch.cat([own, torch.zeros(1 + ranks.size, dtype=torch.float64)]))
    numbers, apart, peaks = found.split([len(own), 1, ranks.size])
    return Gathered(numbers=numbers, peak=int(peaks.max()), drawn_apart=bool(apart))


def answer(
    ranks: Ranks, data: bytes, device: torch.device, take_out: Callable[[Sequence[str]], Tensor], peak: int
) -> None:
    """The followers': add what they have of the names that are asked for, and draw from here on what the leader draws.
    `peak`: bytes.
    """
    asked = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    ours = random_state(device)
    apart = any(not torch.equal(ours[name], state) for name, state in asked["random"].items())
    if apart:
        set_random_state(asked["random"], device)
    others = torch.zeros(1 + ranks.size, dtype=torch.float64)
    others[0], others[1 + ranks.rank] = float(apart), peak
    ranks.add(torch.cat([take_out(asked["names"]), others]))
