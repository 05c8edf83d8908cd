"""Batch norm over the batch of all ranks: with it, a run in several processes is the run of one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ganzoo.engine.ranks.group import Ranks

BatchNorm = Callable[..., Tensor]
"""As `torch.nn.functional.batch_norm`."""


def synchronised(ranks: Ranks, *, halves: bool = False) -> BatchNorm:
    """`torch.nn.functional.batch_norm`, in train mode of all ranks' samples together; `halves`: of each half of the
    batch by itself, the first half first. On any device and differentiable twice, which torch's SyncBatchNorm is not.
    """

    def batch_norm(
        input: Tensor,
        running_mean: Tensor | None,
        running_var: Tensor | None,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        training: bool = False,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> Tensor:
        arguments = running_mean, running_var, weight, bias, training, momentum, eps
        if not training:
            return F.batch_norm(input, *arguments)
        if halves and len(input) % 2 == 0:
            return torch.cat([normalised(ranks, half, *arguments) for half in input.chunk(2)])
        return normalised(ranks, input, *arguments)

    return batch_norm


def normalised(
    ranks: Ranks,
    input: Tensor,  # [N,C,...], as many samples on each rank
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
) -> Tensor:
    x = input.float()
    over = [dimension for dimension in range(x.ndim) if dimension != 1]
    own = torch.stack(torch.var_mean(x, over, correction=0)[::-1])  # [2,C]: mean, variance
    of_ranks = gathered(ranks, own)  # [R,2,C]
    # Means and variances of equally many numbers each are put together as in Chan, Golub and LeVeque 1983.
    means, variances = of_ranks.unbind(1)
    mean = means.mean(0)
    var = variances.mean(0) + (means - mean).square().mean(0)
    n = x.numel() // x.shape[1] * ranks.size
    with torch.no_grad():
        if running_mean is not None:
            running_mean.lerp_(mean.to(running_mean), momentum)
        if running_var is not None:
            running_var.lerp_((var * (n / (n - 1))).to(running_var), momentum)
    shape = [1, -1, *[1] * (x.ndim - 2)]
    scale = (var + eps).rsqrt() if weight is None else (var + eps).rsqrt() * weight
    out = (x - mean.view(shape)) * scale.view(shape)
    if bias is not None:
        out = out + bias.view(shape)
    return out.to(input.dtype)


def gathered(ranks: Ranks, own: Tensor) -> Tensor:
    """The ranks' tensors, `[R, ...]`. Their gradients find the way back."""
    slots = own.new_zeros(ranks.size, *own.shape)
    return _Sum.apply(torch.cat([slots[: ranks.rank], own[None], slots[ranks.rank + 1 :]]), ranks)


class _Sum(torch.autograd.Function):
    """Over ranks. The gradient of a sum over ranks that each of them uses is the sum of their gradients."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, ranks: Ranks) -> Tensor:
        ctx.ranks = ranks
        return ranks.total(tensor)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return _Sum.apply(gradient.contiguous(), ctx.ranks), None
