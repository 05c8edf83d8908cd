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


@torch.no_grad()
def ema_update(average: nn.Module, module: nn.Module, decay: float | Tensor) -> None:
    """Parameters move towards the module's; buffers (batch-norm statistics) are copied.

    `decay` may be a tensor `[]` on the device: a CUDA graph that is replayed reads the value of the moment from it.
    """
    averages: list[Tensor] = list(average.parameters())
    parameters: list[Tensor] = list(module.parameters())
    if isinstance(decay, Tensor):
        moves = torch._foreach_sub(parameters, averages)
        torch._foreach_mul_(moves, 1.0 - decay)
        torch._foreach_add_(averages, moves)
    else:
        torch._foreach_lerp_(averages, parameters, 1.0 - decay)
    buffers = list(average.buffers())
    if buffers:
        torch._foreach_copy_(buffers, list(module.buffers()))
