"""The averaged generator: the one that is scored."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn


def ema_copy(module: nn.Module) -> nn.Module:
    """A frozen copy in eval mode, parameters and buffers alike."""
    return copy.deepcopy(module).eval().requires_grad_(False)


def ema_decay(images_per_update: int, images_seen: int, half_life: float, rampup: float) -> float:
    """Decay so that a weight's share halves every `half_life` images (Karras et al. 2018, arXiv 1710.10196, and the
    ramp-up of StyleGAN2: the half-life never exceeds `rampup` times the images seen, so that a short run is not
    averaged with its own first steps). 0.0 copies.
    """
    half_life = min(half_life, rampup * images_seen)
    return 0.5 ** (images_per_update / half_life) if half_life > 0 else 0.0


class Average:
    """What moves an averaged network after the one that is trained. Parameters are looked up once, which for a small
    network takes as long as moving them: they must not be replaced. Buffers may be.
    """

    def __init__(self, average: nn.Module, module: nn.Module) -> None:
        self._averages: list[Tensor] = list(average.parameters())
        self._parameters: list[Tensor] = list(module.parameters())
        self._averaged = _holders(average)
        self._trained = _holders(module)

    @torch.no_grad()
    def update(self, decay: float | Tensor) -> None:
        """Parameters move towards the module's; buffers (batch-norm statistics) are copied.

        `decay` may be a tensor `[]` on the device: a CUDA graph that is replayed reads the value of the moment from it.
        """
        if isinstance(decay, Tensor):
            moves = torch._foreach_sub(self._parameters, self._averages)
            torch._foreach_mul_(moves, 1.0 - decay)
            torch._foreach_add_(self._averages, moves)
        else:
            torch._foreach_lerp_(self._averages, self._parameters, 1.0 - decay)
        buffers = _held(self._averaged)
        if buffers:
            torch._foreach_copy_(buffers, _held(self._trained))


Holder = dict[str, Tensor | None]
"""Buffers of a module, by name; None where one is not set."""


def _holders(module: nn.Module) -> list[Holder]:
    return [one._buffers for one in module.modules()]


def _held(holders: list[Holder]) -> list[Tensor]:
    """The buffers, each once."""
    return list(dict.fromkeys(one for holder in holders for one in holder.values() if one is not None))
